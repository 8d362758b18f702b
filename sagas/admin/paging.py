"""Pages of long lists. The count stops at a cap: counting millions is slow, and nobody pages through them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import OperationalError, connections, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

if TYPE_CHECKING:
    Pages = Paginator[Any]
else:
    Pages = Paginator

#: Rows that can be paged through.
CAP = 1000
_CANCELLED = "57014"


class TakesTooLongError(Exception):
    """A statement was given up."""


@contextmanager
def at_most(milliseconds: int, alias: str) -> Iterator[None]:
    """Statements inside are given up after that time, with `TakesTooLongError`; they take one core, and ask the disk
    for many pages at a time. Only on PostgreSQL."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        yield
        return
    inner = connection.in_atomic_block
    try:
        with transaction.atomic(using=alias), connection.cursor() as cursor:
            cursor.execute(_SET, [str(milliseconds)])
            before = cursor.fetchone()[:_SETTINGS]
            yield
            if inner:  # else it ends with the transaction
                cursor.execute(_SET_BACK, before)
    except OperationalError as exc:
        if getattr(exc.__cause__, "sqlstate", "") != _CANCELLED:
            raise
        raise TakesTooLongError from exc


#: To start processes for what an index answers takes longer than the answer, and a page is no reason to take all cores.
#: Before PostgreSQL 18 a server asks the disk for one page after the other: what no cache holds takes thrice as long
#: (zero: its operating system knows no other way).
_SET = """
SELECT current_setting('statement_timeout'), current_setting('max_parallel_workers_per_gather'),
    current_setting('effective_io_concurrency'),
    set_config('statement_timeout', %s, true), set_config('max_parallel_workers_per_gather', '0', true),
    set_config('effective_io_concurrency', CASE current_setting('effective_io_concurrency')::int
        WHEN 0 THEN '0' ELSE GREATEST(current_setting('effective_io_concurrency')::int, 32)::text END, true)
"""
_SET_BACK = """
SELECT set_config('statement_timeout', %s, true), set_config('max_parallel_workers_per_gather', %s, true),
    set_config('effective_io_concurrency', %s, true)
"""
_SETTINGS = 3


class CappedPaginator(Pages):
    """A paginator that counts to `CAP` and no further."""

    cap = CAP
    #: Milliseconds that a count may take.
    patience = 100

    @cached_property
    def found(self) -> int | None:
        """Rows found, one more than the cap at most; None where to count them takes too long: nobody waits for that."""
        rows = self.object_list
        if not isinstance(rows, QuerySet):
            return len(rows)
        try:
            with at_most(self.patience, rows.db):
                return rows[: self.cap + 1].count()
        except TakesTooLongError:
            return None

    @property
    def count(self) -> int:
        """Rows that can be paged through."""
        return self.cap if self.found is None else min(self.found, self.cap)

    @property
    def has_more(self) -> bool:
        """Whether there are rows behind the cap."""
        return self.found is not None and self.found > self.cap

    @property
    def is_uncounted(self) -> bool:
        """Whether nobody knows how many there are."""
        return self.found is None


class CappedChangeList(ChangeList):
    """A list that reads only its own columns and says nothing of totals that nobody counted."""

    def chosen(self) -> list[Any]:
        """The filters that are set (`sagas.admin.filters.Chosen`), to be seen and taken off above the list."""
        specs: list[Any] = self.filter_specs
        return [one for spec in specs for one in spec.chosen(self)]

    def problems(self) -> list[Any]:
        """Those of them that make no sense."""
        return [one for one in self.chosen() if one.problem]

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """The filtered rows, with the columns that the list shows."""
        queryset: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        found: QuerySet[Any] = self.model_admin.for_list(queryset)  # type: ignore[attr-defined]
        return found

    def get_results(self, request: HttpRequest) -> None:
        """Leave "n results (show all)" out where nothing was searched for."""
        super().get_results(request)
        if not self.query:
            self.full_result_count = self.result_count
