"""`FailureAdmin`: failures that are the same, as one line each; from there to the sagas, or to retrying all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..engine.criteria import CriterionError, moment
from ..engine.failures import hours_of
from ..engine.may import may
from ..engine.rollup.reading import read
from ..models import FailureGroup
from . import cells, links
from .charts import spark
from .filters import KnownValuesFilter
from .overview import counted
from .paging import CappedChangeList
from .readonly import ReadOnlyAdmin

#: Names of definitions that are offered at most.
NAMES = 200
#: Characters of a message in the list.
SHOWN = 160
OPEN, ENDED = "open", "none"


class GroupNameFilter(KnownValuesFilter):
    """By definition: those that have failures."""

    title = _("definition")
    parameter_name = "name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Of the groups that are kept."""
        names = FailureGroup.objects.using(app_settings().DATABASE).order_by("name").values_list("name", flat=True)
        return [(name, name) for name in names.distinct()[:NAMES]]

    def matching(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Exactly."""
        return queryset.none() if "\x00" in value else queryset.filter(name=value)


class OpenFilter(KnownValuesFilter):
    """Whether sagas need somebody."""

    title = _("sagas that need somebody")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Two."""
        return [(OPEN, _("some")), (ENDED, _("none any more"))]

    def matching(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """As the column says."""
        if value not in (OPEN, ENDED):
            raise CriterionError(
                gettext("expected one of %(expected)s, got “%(value)s”")
                % {"expected": f"{OPEN}, {ENDED}", "value": value.replace("\x00", "�")[:80]}
            )
        return queryset.exclude(open=0) if value == OPEN else queryset.filter(open=0)


class SeenFilter(KnownValuesFilter):
    """By when they were seen last."""

    title = _("last seen")
    parameter_name = "seen"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Links for the usual spans; any other time can be written into the address."""
        return [("1h", _("last hour")), ("24h", _("last 24 hours")), ("7d", _("last 7 days"))]

    def matching(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """Then or later."""
        return queryset.filter(last_seen__gte=moment(value))


class FailureChangeList(CappedChangeList):
    """With the hours of the page's groups, for their sparklines: one query."""

    def get_results(self, request: HttpRequest) -> None:
        """The page, and its hours."""
        super().get_results(request)
        rows = list(self.result_list)
        hours = hours_of([row.pk for row in rows], timezone.now())
        for row in rows:
            row.lately = hours[row.pk]
            row.retry_url = retry_url(request, row)
        self.result_list = rows


@admin.register(FailureGroup)
class FailureAdmin(ReadOnlyAdmin):
    """Groups of failures."""

    list_columns = ("id", "name", "step", "code", "pattern", "total", "first_seen", "last_seen", "open")
    list_display = (
        "failure_column",
        "open_column",
        "total_column",
        "lately_column",
        "last_column",
        "first_column",
    )
    list_filter = (OpenFilter, SeenFilter, GroupNameFilter)
    allowed_lookups = frozenset({"open", "seen", "name"})
    ordering = ("-last_seen", "id")
    sortable_by = ("open_column", "total_column", "last_column", "first_column")
    fields = (
        "name_field",
        "step",
        "code",
        "pattern_field",
        "example_field",
        "example_saga_field",
        "open_column",
        "total_column",
        "lately_column",
        "first_column",
        "last_column",
    )
    readonly_fields = fields

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As sagas."""
        return bool(request.user.has_perm("sagas.view_saga"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As sagas."""
        return self.has_view_permission(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[FailureChangeList]:
        """With hours."""
        return FailureChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """With its hours."""
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            found.lately = hours_of([found.pk], timezone.now())[found.pk]
            found.retry_url = retry_url(request, found)
        return found

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """As of when the counts are."""
        when = counted(read(""), timezone.now()) if self.has_view_permission(request) else None
        return super().changelist_view(request, {"counted": when, **(extra_context or {})})

    @admin.display(description=_("failure"))
    def failure_column(self, group: FailureGroup) -> SafeString:
        """Where, which code, and what it says."""
        return format_html(
            '<span class="saga-name">{}</span> <span class="saga-failure-step">{}</span> {}'
            '<span class="saga-failure-text">{}</span>',
            group.name,
            group.step,
            cells.badge("bad", group.code),
            Truncator(group.pattern).chars(SHOWN) or gettext("no message"),
        )

    @admin.display(description=_("open now"), ordering="open")
    def open_column(self, group: FailureGroup) -> SafeString:
        """Sagas that need somebody for it; and the way to retry them."""
        label = labelled(gettext("open now"))
        if not group.open:
            return format_html('{}<span class="quiet">{}</span>', label, cells.number(0))
        url, count = links.sagas(group=group.pk.hex), cells.number(group.open)
        found = format_html('{}<a class="saga-ink-bad" href="{}">{}</a>', label, url, count)
        url = getattr(group, "retry_url", "")
        if not url:
            return found
        return format_html('{} <a class="saga-retry-all" href="{}">{} …</a>', found, url, gettext("Retry all"))

    @admin.display(description=_("failures"), ordering="total")
    def total_column(self, group: FailureGroup) -> SafeString:
        """How often, as far back as it is known; and the sagas that failed so."""
        url = links.sagas(group=f"{group.pk.hex}-ever")
        label = labelled(gettext("failures"))
        return format_html('{}<a href="{}">{}</a>', label, url, cells.number(group.total))

    @admin.display(description=_("last 24 hours"))
    def lately_column(self, group: FailureGroup) -> SafeString:
        """A bar for each hour."""
        hours: Mapping[datetime, int] = getattr(group, "lately", {})
        return drawn(hours)

    @admin.display(description=_("first seen"), ordering="first_seen")
    def first_column(self, group: FailureGroup) -> SafeString:
        """Its age."""
        return format_html("{}{}", labelled(gettext("first seen")), cells.ago(group.first_seen))

    @admin.display(description=_("last seen"), ordering="last_seen")
    def last_column(self, group: FailureGroup) -> SafeString:
        """Its age."""
        return format_html("{}{}", labelled(gettext("last seen")), cells.ago(group.last_seen))

    @admin.display(description=_("definition"))
    def name_field(self, group: FailureGroup) -> SafeString:
        """With its page."""
        return format_html('<a href="{}">{}</a>', links.definition(group.name), group.name)

    @admin.display(description=_("message, without what differs"))
    def pattern_field(self, group: FailureGroup) -> SafeString:
        """The pattern."""
        return format_html('<span class="saga-message">{}</span>', group.pattern or "-")

    @admin.display(description=_("one message"))
    def example_field(self, group: FailureGroup) -> SafeString:
        """As it was."""
        return format_html('<span class="saga-message">{}</span>', group.example or "-")

    @admin.display(description=_("of the saga"))
    def example_saga_field(self, group: FailureGroup) -> SafeString | str:
        """Its page."""
        return cells.page_link(group.example_saga) if group.example_saga else "-"


def labelled(text: str) -> SafeString:
    """A column's title, where narrow screens have no columns."""
    return format_html('<span class="saga-narrow quiet">{}: </span>', text)


def retry_url(request: HttpRequest, group: FailureGroup) -> str:
    """Where all open sagas of a group can be retried; empty where there are none, or that is not for the user."""
    if not group.open or not may(request.user, "retry", group.name):
        return ""
    try:
        url = reverse("admin:sagas_batch_start")
    except NoReverseMatch:
        return ""
    # With the name of the definition, whose operators may be others.
    return f"{url}?{urlencode({'verb': 'retry', 'name': group.name, 'group': group.pk.hex})}"


def drawn(hours: Mapping[datetime, int]) -> SafeString:
    """A sparkline: bars, and the same in words for who does not see them."""
    line = spark(hours)
    bars = format_html_join(
        "",
        '<rect x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
        ((bar.x, bar.y, line.bar_width, bar.height, bar.title) for bar in line.bars),
    )
    return format_html(
        '<svg class="saga-spark" role="img" aria-label="{}" width="{}" height="{}" viewBox="0 0 {} {}">{}</svg>'
        ' <span class="saga-spark-sum">{}</span>',
        line.text, line.width, line.height, line.width, line.height, bars, line.total,
    )  # fmt: skip
