"""The project without REST framework and what belongs to it."""

from sagaproject.settings import *  # noqa: F403
from sagaproject.settings import INSTALLED_APPS as _ALL

_API = ("rest_framework", "django_filters", "drf_spectacular")
INSTALLED_APPS = [app for app in _ALL if not app.startswith(_API)]
