"""The app's registration; its handlers are found in `sagas.py`."""

from django.apps import AppConfig


class ShippingConfig(AppConfig):
    name = "participants.shipping"
    label = "shipping"
    default_auto_field = "django.db.models.BigAutoField"
