"""Another theme's `ModelAdmin`."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest


class OtherAdmin(admin.ModelAdmin):
    """It says on every list that it is there."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        response = super().changelist_view(request, extra_context)
        response["Themed"] = "by another base"
        return response
