"""The parcel book for reading; parcels are scheduled and called back through sagas only."""

from typing import Any

from django.contrib import admin

from participants.shipping.models import Operation, Parcel
from sagas.panel import SagaInline


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: Any) -> bool:
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(Parcel)
class ParcelAdmin(ReadOnlyAdmin):
    list_display = ["tracking", "order_id", "recipient", "city", "country", "pieces", "cancelled_at", "saga"]
    list_filter = ["country", ("cancelled_at", admin.EmptyFieldListFilter)]
    search_fields = ["tracking", "order_id", "recipient", "saga"]
    ordering = ["-pk"]
    inlines = [SagaInline.by("saga")]


@admin.register(Operation)
class OperationAdmin(ReadOnlyAdmin):
    list_display = ["key", "undone", "result", "created_at"]
    list_filter = ["undone"]
    search_fields = ["key"]
    ordering = ["-created_at"]
