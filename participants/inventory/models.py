"""The stock book: what lies on the shelf, what is reserved, and what was ever delivered.

For each article: on hand + reserved = the sum of its deliveries; reserved = the sum of its open reservations.
"""

from django.db import models
from django.db.models import Q

from participants import contracts


class Operation(contracts.Operation):
    """What this service did, by idempotency key."""


class Stock(models.Model):
    """One article. The database itself refuses a negative shelf."""

    sku = models.CharField(max_length=40, primary_key=True)
    #: On the shelf and free.
    on_hand = models.IntegerField(default=0)
    #: Promised to an order.
    reserved = models.IntegerField(default=0)

    class Meta:
        verbose_name_plural = "stock"
        constraints = [
            models.CheckConstraint(condition=Q(on_hand__gte=0), name="inventory_on_hand_not_negative"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="inventory_reserved_not_negative"),
        ]

    def __str__(self) -> str:
        return self.sku


class Delivery(models.Model):
    """Pieces that came in; a negative quantity was written off at a stocktaking."""

    stock = models.ForeignKey(Stock, on_delete=models.PROTECT, related_name="deliveries")
    quantity = models.IntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return f"{self.quantity} of {self.stock_id}"


class Reservation(models.Model):
    """Pieces of one article set aside for one order."""

    #: The idempotency key of the do that made it.
    key = models.CharField(max_length=255)
    saga = models.UUIDField(db_index=True)
    order_id = models.BigIntegerField()
    stock = models.ForeignKey(Stock, on_delete=models.PROTECT, related_name="reservations")
    quantity = models.IntegerField()
    #: None: still set aside.
    released_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "stock"], name="inventory_one_reservation_per_key"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="inventory_quantity_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.stock_id} for order {self.order_id}"
