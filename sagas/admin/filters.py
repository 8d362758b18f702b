"""Filters of the saga list: links for what has few values, fields for the rest. What they mean is in
`sagas.engine.criteria`. Each refuses what it does not know, says so, and then nothing is shown: a list that ignores a
filter is dangerous to act upon. None reads the whole table for its choices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db import connections
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..definitions.registry import registry
from ..engine.criteria import CRITERIA, NO, NOT_ENDED, REASONS, YES, CriterionError
from ..models.saga import SAGA_STATES
from .words import hold_words

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList
    from django_stubs_ext import StrOrPromise

    Base = admin.SimpleListFilter
    Several = admin.ListFilter
else:
    Base, Several = admin.SimpleListFilter, admin.ListFilter

#: Names of definitions that are offered at most.
NAMES = 200
#: One look into the index per name, however many sagas have it.
_NAMES = """
WITH RECURSIVE found (name) AS (
    SELECT MIN(name) FROM sagas_saga
    UNION ALL
    SELECT (SELECT MIN(s.name) FROM sagas_saga s WHERE s.name > found.name) FROM found WHERE found.name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL LIMIT %s
"""


def known_names() -> list[str]:
    """Definitions to choose from: those that are registered, and those that sagas have."""
    with connections[app_settings().DATABASE].cursor() as cursor:
        cursor.execute(_NAMES, [NAMES])
        used = [name for (name,) in cursor.fetchall()]
    return sorted({*registry.definitions, *used})


@dataclass(frozen=True, slots=True)
class Chosen:
    """A filter that is set: what it is called, its value, and where the list without it is."""

    title: str
    value: str
    url: str
    problem: str = ""


class KnownValuesFilter(Base):
    """Base: a filter with few values, as links."""

    template = "admin/sagas/saga/filter.html"
    #: Why nothing is shown.
    problem = ""
    #: What makes no sense without it.
    goes_with: tuple[str, ...] = ()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """The matching rows; none where the value makes no sense; None without a choice."""
        value = self.value()
        if not value:
            return None
        try:
            return self.matching(queryset, value)
        except CriterionError as exc:
            self.problem = str(exc)
            return queryset.none()

    def matching(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The rows that have a value. Raises `CriterionError`."""
        return CRITERIA[self.parameter_name](queryset, value)  # type: ignore[index]

    def chosen(self, changelist: ChangeList) -> Iterator[Chosen]:
        """What is set."""
        value = self.value()
        if value:
            label = {str(key): str(text) for key, text in self.lookup_choices}.get(value, value.replace("\x00", "�"))
            url = changelist.get_query_string(remove=[str(self.parameter_name), *self.goes_with])
            yield Chosen(str(self.title), label, url, self.problem)


class StateFilter(KnownValuesFilter):
    """By state."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """The five states, and the two together that have not ended."""
        return [(NOT_ENDED, _("not ended")), *SAGA_STATES]


class NameFilter(KnownValuesFilter):
    """By definition: those that are registered, and those that sagas have."""

    title = _("definition")
    parameter_name = "name"
    goes_with = ("version",)

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Sagas may be of a definition that is gone, or bring their own steps."""
        return [(name, name) for name in known_names()]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Another definition has other versions."""
        for choice in super().choices(changelist):
            query = QueryDict(choice["query_string"].removeprefix("?"), mutable=True)
            query.pop("version", None)
            yield {**choice, "query_string": f"?{query.urlencode()}"}


class YesNoFilter(KnownValuesFilter):
    """Base: a flag."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Yes and no."""
        return [(YES, _("Yes")), (NO, _("No"))]


class AttentionFilter(YesNoFilter):
    """Whether a person must look, and why."""

    title = _("needs attention")
    parameter_name = "attention"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Yes, no, and the reasons."""
        return [*super().lookups(request, model_admin), *((reason, hold_words(reason)) for reason in REASONS)]


class StaleFilter(YesNoFilter):
    """Whether it made no progress for longer than allowed."""

    title = _("stale")
    parameter_name = "stale"


class PausedFilter(YesNoFilter):
    """Whether somebody has paused it."""

    title = _("paused")
    parameter_name = "paused"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form."""

    name: str
    label: StrOrPromise
    value: str
    help: StrOrPromise
    problem: str


class DetailsFilter(Several):
    """What has too many values for links: one form with a field for each."""

    title = _("details")
    template = "admin/sagas/saga/details_filter.html"
    fields: ClassVar[dict[str, tuple[StrOrPromise, StrOrPromise]]] = {
        "version": (_("Version"), _("of the definition that is chosen above")),
        "step": (_("Failed step"), ""),
        "error": (_("Error code"), ""),
        "tag": (_("Tag"), ""),
        "owner": (_("Owner"), ""),
        "since": (_("Started since"), _("24h (ago), 7d, 2026-11-21 or 2026-11-21 15:04")),
        "until": (_("Started before"), ""),
        "ended_since": (_("Ended since"), ""),
        "ended_until": (_("Ended before"), ""),
    }
    #: For `since`, as links.
    spans: ClassVar[dict[str, StrOrPromise]] = {"1h": _("last hour"), "24h": _("last 24 hours"), "7d": _("last 7 days")}

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.problems: dict[str, str] = {}
        self.typed: dict[str, str] = {}
        self.has_name = bool(request.GET.get("name"))
        for name in self.fields:
            value = params.pop(name, [""])[-1].strip()
            if value:
                self.typed[name] = value
        self.used_parameters.update(self.typed)

    def has_output(self) -> bool:
        """Always."""
        return True

    def expected_parameters(self) -> list[str | None]:
        """The names of the fields."""
        return list(self.fields)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows that all fields let through; none where one of them makes no sense."""
        for name, value in self.typed.items():
            try:
                queryset = CRITERIA[name](queryset, value)
            except CriterionError as exc:
                self.problems[name] = str(exc)
        if "version" in self.typed and not self.has_name:
            self.problems["version"] = gettext("choose a definition as well: each counts its own versions")
        return queryset.none() if self.problems else queryset

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """The quick links."""
        chosen = self.typed.get("since", "")
        for value, label in self.spans.items():
            url = changelist.get_query_string({"since": value}, ["until"])
            yield {"display": label, "query_string": url, "selected": value == chosen}

    def chosen(self, changelist: ChangeList) -> Iterator[Chosen]:
        """What is set."""
        for name, value in self.typed.items():
            url = changelist.get_query_string(remove=[name])
            yield Chosen(str(self.fields[name][0]), value.replace("\x00", "�"), url, self.problems.get(name, ""))

    def form(self) -> list[Field]:
        """The fields, filled in."""
        return [
            Field(name, label, self.typed.get(name, ""), text, self.problems.get(name, ""))
            for name, (label, text) in self.fields.items()
        ]

    def kept(self) -> list[tuple[str, str]]:
        """What else narrows the list."""
        gone = {*self.fields, "p", "e", "after", "before"}
        return [(name, value) for name, value in self.request.GET.dict().items() if name not in gone]

    def zone(self) -> str:
        """In which zone times are read."""
        return timezone.get_current_timezone_name()
