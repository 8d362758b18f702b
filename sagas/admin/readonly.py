"""`ReadOnlyAdmin`: rows are looked at, never added, changed or deleted. Lists stay fast on big tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from ..conf import admin_base, app_settings
from .paging import CappedChangeList, CappedPaginator
from .zone import all_in_viewers_zone

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList

    Base = admin.ModelAdmin[Any]
else:
    Base = admin_base()


class ReadOnlyAdmin(Base):
    """Base of every admin here."""

    #: The only query parameters that narrow a list: others could ask for any column, and for whole tables.
    allowed_lookups: frozenset[str] = frozenset()
    #: The only columns that a list reads; none = all.
    list_columns: tuple[str, ...] = ()

    actions_selection_counter = False
    list_per_page = 50
    list_max_show_all = 50
    paginator = CappedPaginator
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    sortable_by: ClassVar[Any] = ()

    class Media:
        css = {"all": ["sagas/admin.css"]}

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never: rows come from the engine."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    @property
    def urls(self) -> list[Any]:
        """Each page tells its times in the viewer's zone."""
        return all_in_viewers_zone(super().urls)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """From the database that holds the sagas."""
        return super().get_queryset(request).using(app_settings().DATABASE)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """A list with a capped count."""
        return CappedChangeList

    def for_list(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What the list reads."""
        return queryset.only(*self.list_columns) if self.list_columns else queryset

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what the list offers."""
        return lookup in self.allowed_lookups

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, titled by what it holds: nothing is selected "to view" in it."""
        title = str(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title[:1].upper() + title[1:], **(extra_context or {})})
