"""The app's registration; its handlers are found in `sagas.py`."""

from django.apps import AppConfig


class InventoryConfig(AppConfig):
    name = "participants.inventory"
    label = "inventory"
    default_auto_field = "django.db.models.BigAutoField"
