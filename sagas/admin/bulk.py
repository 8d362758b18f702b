"""The way from a filtered list to a batch: what the list says of itself, and the addresses that lead there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR
from django.http import HttpRequest
from django.urls import reverse

from ..engine.batch import VERBS as FOR_MANY
from . import cells
from .keyset import AFTER, BEFORE, WAIT
from .verbs import Verb

if TYPE_CHECKING:
    from .saga import SagaChangeList

#: In a list's address, what does not narrow it.
BESIDE = frozenset({"_facets", ALL_VAR, ERROR_FLAG, ORDER_VAR, PAGE_VAR, AFTER, BEFORE, WAIT, "verb"})


@dataclass(frozen=True, slots=True)
class Bulk:
    """What can be done to all sagas that a list has found."""

    #: How many, as text; empty where nobody has counted them.
    count: str
    verbs: list[Verb]
    #: What narrows the list.
    filters: list[tuple[str, str]]
    url: str


def narrowing(params: Any) -> dict[str, str]:
    """Of a list's address, what narrows it."""
    return {name: value for name, value in params.items() if name not in BESIDE and value.strip()}


def counted(count: int, *, more: bool) -> str:
    """So many, or more."""
    return f"{cells.number(count)}+" if more else cells.number(count)


def bulk(request: HttpRequest, changelist: SagaChangeList, verbs: Iterable[Verb]) -> Bulk | None:
    """What the list offers; None where it is not narrowed, has found nothing, or nothing may be done."""
    filters = narrowing(request.GET)
    offered = [verb for verb in verbs if verb.name in FOR_MANY]
    if not (filters and offered and changelist.result_count) or changelist.wait_url or changelist.problems():
        return None
    pages = changelist.paginator
    count = "" if pages.is_uncounted else counted(changelist.result_count, more=pages.has_more)
    return Bulk(count, offered, list(filters.items()), reverse("admin:sagas_batch_start"))
