"""The app: on start it imports the `sagas.py` of every installed app, so that handlers and definitions are known."""

from __future__ import annotations

from importlib import import_module, util

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _


class SagasConfig(AppConfig):
    """Add `"sagas"` to INSTALLED_APPS; nothing else is needed."""

    name = "sagas"
    label = "sagas"
    verbose_name = _("Sagas")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Find handlers and definitions, register the system checks and the beat entry."""
        autodiscover()
        import_module("sagas.checks")
        import_module("sagas.schedule")


def autodiscover() -> None:
    """Import `sagas.py` of every installed app but `sagas` itself. Import errors surface."""
    for config in apps.get_app_configs():
        name = f"{config.name}.sagas"
        if config.name != "sagas" and util.find_spec(name) is not None:
            import_module(name)
