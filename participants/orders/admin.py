"""The order book for reading; orders change through sagas only."""

from typing import Any

from django.contrib import admin

from participants.orders.models import Operation, Order
from sagas.panel import SagaInline


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = ["number", "customer", "total", "currency", "state", "created_at", "saga"]
    list_filter = ["state", "currency"]
    search_fields = ["number", "customer", "saga"]
    ordering = ["-pk"]
    inlines = [SagaInline.by("saga")]


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ["key", "undone", "result", "created_at"]
    list_filter = ["undone"]
    search_fields = ["key"]
    ordering = ["-created_at"]
