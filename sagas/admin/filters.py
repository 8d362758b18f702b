"""Filters of the saga list. Each knows its values and refuses others; none reads the whole table for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..definitions.registry import registry
from ..models import Saga
from ..models.saga import SAGA_STATES

YES, NO = "yes", "no"
#: Names are collected from the registry and from this many of the newest sagas.
RECENT = 1000


class KnownValuesFilter(admin.SimpleListFilter):
    """Base: a filter whose values are those that it offers."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """The matching rows; None without a choice."""
        value = self.value()
        if value is None:
            return None
        if value not in {str(known) for known, _label in self.lookup_choices}:
            raise IncorrectLookupParameters(f"{self.parameter_name}: unknown value")
        return self.matching(queryset, value)

    def matching(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The rows that have a value."""
        raise NotImplementedError


class StateFilter(KnownValuesFilter):
    """By state."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """The five states."""
        return SAGA_STATES

    def matching(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The sagas in a state."""
        return queryset.filter(state=value)


class NameFilter(KnownValuesFilter):
    """By definition: those that are registered, and those of the newest sagas."""

    title = _("name")
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Reading the names of all sagas would read the whole table."""
        newest = Saga.objects.using(app_settings().DATABASE).order_by("-pk").values_list("name", flat=True)[:RECENT]
        return [(name, name) for name in sorted({*registry.definitions, *newest})]

    def matching(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The sagas of a definition."""
        return queryset.filter(name=value)


class YesNoFilter(KnownValuesFilter):
    """Base: a flag."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Yes and no."""
        return [(YES, _("Yes")), (NO, _("No"))]


class AttentionFilter(YesNoFilter):
    """Whether a person must look."""

    title = _("needs attention")
    parameter_name = "attention"

    def matching(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """By whether there is a reason."""
        return queryset.exclude(attention="") if value == YES else queryset.filter(attention="")


class StaleFilter(YesNoFilter):
    """Whether it made no progress for longer than allowed."""

    title = _("stale")
    parameter_name = "stale"

    def matching(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """By whether it is flagged."""
        return queryset.filter(stale_since__isnull=value == NO)
