"""The order book. Rows are written by `services` alone; a withdrawn order stays, cancelled."""

from django.db import models

from participants import contracts


class Operation(contracts.Operation):
    """What this service did, by idempotency key."""


class Order(models.Model):
    """An order that was taken."""

    class State(models.TextChoices):
        CREATED = "created"
        CANCELLED = "cancelled"

    #: The saga that placed it: the one reference that all four books share.
    saga = models.UUIDField(db_index=True)
    #: The customer's own number; the same number may be ordered again.
    number = models.CharField(max_length=40)
    customer = models.CharField(max_length=200)
    currency = models.CharField(max_length=3)
    #: In minor units of the currency.
    total = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.CREATED)
    created_at = models.DateTimeField(auto_now_add=True)
    cancelled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(total__gt=0), name="orders_total_positive")]

    def __str__(self) -> str:
        return f"{self.number} ({self.state})"
