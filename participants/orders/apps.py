"""The app's registration; its handlers are found in `sagas.py`."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "participants.orders"
    label = "orders"
    default_auto_field = "django.db.models.BigAutoField"
