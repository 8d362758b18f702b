"""The app's registration; its handlers are found in `sagas.py`."""

from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "participants.payments"
    label = "payments"
    default_auto_field = "django.db.models.BigAutoField"
