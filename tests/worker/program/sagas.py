"""Found by the app's autodiscovery in a worker's process."""

from .handlers import register

register()
