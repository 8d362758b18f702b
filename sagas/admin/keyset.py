"""`KeysetChangeList`: pages that begin behind a row, not after so many rows. As fast on the last page as on the first,
and no row is shown twice or left out while others come in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.views.main import PAGE_VAR
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext

from ..definitions.ids import id_text, parse_id
from .paging import CappedChangeList, TakesTooLongError, at_most

#: The page that begins behind this row, or ends before it, in the order that is shown.
AFTER, BEFORE = "after", "before"
#: Somebody has seen that it takes long, and waits.
WAIT = "wait"


class KeysetChangeList(CappedChangeList):
    """Rows whose primary key sorts them by age. `?p=3` leads where it always led, up to the cap."""

    #: Where the pages beside this one begin; empty: there is none.
    first_url = next_url = previous_url = ""
    newest_first = True
    #: Milliseconds that looking for the rows of a page may take: a guard for the database, not a pace.
    patience = 2_000
    #: Looking for them took longer: the same address for who wants to wait. Empty: it did not.
    wait_url = ""
    _waits: Mapping[str, str] = {}

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """The filtered rows of all pages."""
        # A place in the list is no filter, and no link to another filter leads there.
        for name in (AFTER, BEFORE, WAIT):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    def get_results(self, request: HttpRequest) -> None:
        """The keys of one page, then its rows."""
        self.paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.newest_first = self.queryset.query.order_by[0].startswith("-")
        self._waits = {WAIT: "1"} if WAIT in request.GET else {}
        found = self._page(request) if self._waits else self._page_in_time(request)
        if self.wait_url:
            self.paginator.found = None
        elif self.paginator.is_uncounted and not (self.previous_url or self.next_url):
            self.paginator.found = len(found)
        self.result_count = self.full_result_count = self.paginator.count
        self.show_admin_actions = bool(found)
        order = "-pk" if self.newest_first else "pk"
        self.result_list = self.model_admin.for_list(self.root_queryset).filter(pk__in=found).order_by(order)  # type: ignore[attr-defined]

    def _page_in_time(self, request: HttpRequest) -> list[UUID]:
        """Filters whose rows hardly ever meet are answered by walking past all that one of them finds."""
        try:
            with at_most(self.patience, self.queryset.db):
                return self._page(request)
        except TakesTooLongError:
            place = {name: request.GET[name] for name in (AFTER, BEFORE) if name in request.GET}
            self.wait_url = self.get_query_string({**place, WAIT: "1"})
            return []

    def _page(self, request: HttpRequest) -> list[UUID]:
        after, before = (self._key(request, name) for name in (AFTER, BEFORE))
        if after:
            found, more = self._keys(after, backwards=False)
            self._link(found, earlier=True, later=more)
        elif before:
            found, more = self._keys(before, backwards=True)
            if not more:
                return self._first()
            self._link(found, earlier=True, later=True)
        elif PAGE_VAR in request.GET:
            return self._numbered(request)
        else:
            return self._first()
        if not found:
            # What came behind has gone, or is filtered out.
            return self._first()
        return found

    def _first(self) -> list[UUID]:
        found, more = self._keys(None, backwards=False)
        self._link(found, earlier=False, later=more)
        return found

    def _numbered(self, request: HttpRequest) -> list[UUID]:
        text = request.GET[PAGE_VAR]
        number = int(text) if text.isdecimal() and len(text) < 9 else 0
        if not 0 < number <= self.paginator.num_pages:
            self._complain(
                request, gettext("There is no page “%(number)s”. This is the first.") % {"number": text[:20]}
            )
            return self._first()
        start = (number - 1) * self.list_per_page
        found = list(self._all()[start : start + self.list_per_page + 1])
        more = len(found) > self.list_per_page
        del found[self.list_per_page :]
        self._link(found, earlier=number > 1, later=more)
        return found

    def _all(self) -> QuerySet[Any, UUID]:
        found: QuerySet[Any, UUID] = self.queryset.prefetch_related(None).values_list("pk", flat=True)
        return found

    def _keys(self, edge: UUID | None, *, backwards: bool) -> tuple[list[UUID], bool]:
        """The keys of the page beside that row, as they are shown; and whether there are more in that direction."""
        falling = self.newest_first is not backwards
        found = self._all().order_by("-pk" if falling else "pk")
        if edge is not None:
            found = found.filter(**{"pk__lt" if falling else "pk__gt": edge})
        keys = list(found[: self.list_per_page + 1])
        more = len(keys) > self.list_per_page
        del keys[self.list_per_page :]
        return (keys[::-1] if backwards else keys), more

    def _key(self, request: HttpRequest, name: str) -> UUID | None:
        text = request.GET.get(name, "")
        key = parse_id(text) if text else None
        if text and key is None:
            what = gettext("“%(text)s” is no place in this list. This is its beginning.")
            self._complain(request, what % {"text": text[:40]})
        return key

    def _link(self, found: list[UUID], *, earlier: bool, later: bool) -> None:
        self.first_url = self.get_query_string() if earlier else ""
        self.previous_url = (
            self.get_query_string({BEFORE: id_text(found[0]), **self._waits}) if earlier and found else ""
        )
        self.next_url = self.get_query_string({AFTER: id_text(found[-1]), **self._waits}) if later and found else ""

    def _complain(self, request: HttpRequest, text: str) -> None:
        messages.warning(request, text)
