"""The money book: every charge and every refund, in whole minor units of a currency."""

from django.db import models
from django.db.models import Q

from participants import contracts


class Operation(contracts.Operation):
    """What this service did, by idempotency key."""


class Charge(models.Model):
    """Money taken from a card."""

    #: The idempotency key of the do that took it.
    key = models.CharField(max_length=255, unique=True)
    saga = models.UUIDField(db_index=True)
    order_id = models.BigIntegerField()
    card = models.CharField(max_length=40)
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="payments_amount_positive")]

    def __str__(self) -> str:
        return f"{self.amount} {self.currency} for order {self.order_id}"


class Refund(models.Model):
    """The whole of a charge given back; a charge has one refund at most."""

    charge = models.OneToOneField(Charge, on_delete=models.PROTECT, related_name="refund")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"refund of {self.charge}"
