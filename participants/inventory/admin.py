"""The stock book for reading; stock moves through sagas and deliveries only."""

from typing import Any

from django.contrib import admin

from participants.inventory.models import Delivery, Operation, Reservation, Stock
from sagas.panel import SagaInline


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Stock)
class StockAdmin(ReadOnlyAdmin):
    list_display = ["sku", "on_hand", "reserved"]
    search_fields = ["sku"]
    ordering = ["sku"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["stock_id", "quantity", "created_at"]
    search_fields = ["stock__sku"]
    ordering = ["-pk"]


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    list_display = ["order_id", "stock_id", "quantity", "created_at", "released_at", "saga"]
    list_filter = [("released_at", admin.EmptyFieldListFilter)]
    search_fields = ["order_id", "stock__sku", "saga"]
    ordering = ["-pk"]
    inlines = [SagaInline.by("saga")]


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ["key", "undone", "result", "created_at"]
    list_filter = ["undone"]
    search_fields = ["key"]
    ordering = ["-created_at"]
