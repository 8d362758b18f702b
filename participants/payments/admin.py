"""The money book for reading; money moves through sagas only."""

from typing import Any

from django.contrib import admin

from participants.payments.models import Charge, Operation, Refund
from sagas.panel import SagaInline


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Charge)
class ChargeAdmin(ReadOnlyAdmin):
    list_display = ["order_id", "amount", "currency", "card", "created_at", "saga"]
    list_filter = ["currency", "card", ("refund", admin.EmptyFieldListFilter)]
    search_fields = ["order_id", "saga"]
    ordering = ["-pk"]
    inlines = [SagaInline.by("saga")]


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    list_display = ["charge", "created_at"]
    list_select_related = ["charge"]
    search_fields = ["charge__order_id", "charge__saga"]
    ordering = ["-pk"]


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ["key", "undone", "result", "created_at"]
    list_filter = ["undone"]
    search_fields = ["key"]
    ordering = ["-created_at"]
