"""Filters of the list. Fixed fields only; the query string never names a column."""

from __future__ import annotations

import django_filters  # type: ignore[import-untyped]
from django_filters.rest_framework import DjangoFilterBackend  # type: ignore[import-untyped]

from ..models import Saga
from ..models.saga import SAGA_STATES


class SagaFilter(django_filters.FilterSet):  # type: ignore[misc]
    """`?state=started&state=compensating&name=order_processing`."""

    state = django_filters.MultipleChoiceFilter(choices=SAGA_STATES, distinct=False)
    name = django_filters.CharFilter(max_length=100)

    class Meta:
        model = Saga
        fields = ("state", "name")


__all__ = ["DjangoFilterBackend", "SagaFilter"]
