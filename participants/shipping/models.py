"""The parcel book. A parcel called back stays, cancelled."""

from django.db import models
from django.db.models import Q

from participants import contracts


class Operation(contracts.Operation):
    """What this service did, by idempotency key."""


class Parcel(models.Model):
    """A parcel that the carrier will take, unless it was called back."""

    #: The idempotency key of the do that scheduled it.
    key = models.CharField(max_length=255, unique=True)
    saga = models.UUIDField(db_index=True)
    order_id = models.BigIntegerField()
    tracking = models.CharField(max_length=20, unique=True)
    pieces = models.IntegerField()
    recipient = models.CharField(max_length=100)
    street = models.CharField(max_length=200)
    city = models.CharField(max_length=100)
    postcode = models.CharField(max_length=20)
    country = models.CharField(max_length=2)
    #: None: on its way.
    cancelled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pieces__gt=0), name="shipping_pieces_positive")]

    def __str__(self) -> str:
        return self.tracking
