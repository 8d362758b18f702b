"""The app: on start it imports the `sagas.py` of every installed app and reads its YAML definitions, so that handlers
and definitions are known."""

from __future__ import annotations

from importlib import import_module, util
from pathlib import Path

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _

from .definitions.files import files_of, load_file


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
    """Import `sagas.py` of every installed app but `sagas` itself, and load its `sagas.yaml` and
    `saga_definitions/*.yaml`. Errors surface."""
    for config in apps.get_app_configs():
        if config.name == "sagas":
            continue
        name = f"{config.name}.sagas"
        if util.find_spec(name) is not None:
            import_module(name)
        for path in files_of(Path(config.path)):
            load_file(path, app=config.name)
