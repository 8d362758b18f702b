"""Pages of long lists. The count stops at a cap: counting millions is slow, and nobody pages through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

if TYPE_CHECKING:
    Pages = Paginator[Any]
else:
    Pages = Paginator

#: Rows that can be paged through.
CAP = 1000


class CappedPaginator(Pages):
    """A paginator that counts to `CAP` and no further."""

    cap = CAP

    @cached_property
    def found(self) -> int:
        """Rows found, one more than the cap at most."""
        rows = self.object_list
        return rows[: self.cap + 1].count() if isinstance(rows, QuerySet) else len(rows)

    @cached_property
    def count(self) -> int:
        """Rows that can be paged through."""
        return min(self.found, self.cap)

    @property
    def has_more(self) -> bool:
        """Whether there are rows behind the cap."""
        return self.found > self.cap


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
