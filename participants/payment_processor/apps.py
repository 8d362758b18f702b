"""The app's registration; its workflow is found in `sagas.yaml`."""

from django.apps import AppConfig


class PaymentProcessorConfig(AppConfig):
    name = "participants.payment_processor"
    label = "payment_processor"
