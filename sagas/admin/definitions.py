"""`DefinitionAdmin`: what definitions there are, how their sagas fare, and how long their steps take. Only reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..core.drawing.svg import svg
from ..core.errors import DefinitionError
from ..core.graph import Graph
from ..core.states import ALIVE, SagaState
from ..definitions.registry import registry
from ..engine.criteria import NOT_ENDED, YES
from ..engine.picture import picture_of
from ..engine.rollup.durations import percentile
from ..engine.rollup.reading import HOURS, Reading, durations_of, first_hour, flow, flow_by_name, read, success
from ..models import Definition
from . import cells, links, words
from .overview import FLOWS, Figure, Line, charts, counted, hour_table
from .readonly import ReadOnlyAdmin
from .told import told

#: For the success rate that is not of today only.
WEEK = 7 * 24


@dataclass(frozen=True, slots=True)
class StepLine:
    """A step of today's code, or one that sagas of other versions have done."""

    name: str
    does: str
    undoes: str
    half: str
    most: str
    samples: str
    known: bool


@dataclass(frozen=True, slots=True)
class VersionLine:
    """A version and its sagas by state."""

    version: str
    is_today: bool
    cells: list[Figure]


@admin.register(Definition)
class DefinitionAdmin(ReadOnlyAdmin):
    """Definitions are code: the pages are made from the registry and from the rollup."""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As sagas."""
        return bool(request.user.has_perm("sagas.view_saga"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As sagas."""
        return self.has_view_permission(request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """All definitions that are registered, or have sagas."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        now = timezone.now()
        found, lately = read(), flow_by_name(now)
        day = links.hours(first_hour(now), HOURS)
        context = {
            "title": gettext("Saga definitions"),
            "heads": [title for _key, title, _state in FLOWS],
            "lines": [
                _summary(name, found, lately.get(name, Counter()), day)
                for name in sorted({*registry.definitions, *found.names()})
            ],
            "counted": counted(found, now),
        }
        return self._page(request, "admin/sagas/definition/list.html", context, extra_context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One definition. Nothing can be sent to it."""
        if not self.has_view_permission(request) or request.method == "POST":
            raise PermissionDenied
        name, now = unquote(object_id), timezone.now()
        found = read(name)
        definition = registry.definitions.get(name)
        if definition is None and not found.counts:
            raise Http404(gettext("There is no saga definition of this name."))
        hours = flow(now, name)
        day: Counter[str] = sum(hours.values(), Counter())
        graph, drawing, trouble = _drawn(name) if definition else (None, "", "")
        version = definition.version if definition else ""
        context = {
            "title": name,
            "name": name,
            "definition": definition,
            "version": version,
            "about": (definition.__doc__ or "").strip().partition("\n\n")[0] if definition else "",
            "drawing": drawing,
            "trouble": trouble,
            "steps": _steps(graph, durations_of(name, now)),
            "states": [words.state_words(state) for state in SagaState],
            "versions": _versions(name, version, found),
            "attention": sum(count for one, _why, count in found.attention if one == name),
            "attention_url": links.sagas(name=name, attention=YES),
            "alive": sum(count for (_one, state), count in found.by_state.items() if state in ALIVE),
            "alive_url": links.sagas(name=name, state=NOT_ENDED),
            "success_day": cells.percent(success(day)),
            "success_week": cells.percent(success(flow_by_name(now, WEEK).get(name, Counter()))),
            "all_url": links.sagas(name=name),
            "charts": charts(hours, now, name),
            "hours": hour_table(hours, name),
            "zone": timezone.get_current_timezone_name(),
            "counted": counted(found, now),
        }
        return self._page(request, "admin/sagas/definition/page.html", context, extra_context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """None: nobody changes a definition here. (It is code; the admin would look for a row of this name.)"""
        if not self.has_view_permission(request):
            raise PermissionDenied
        raise Http404(gettext("Definitions are code: here they have no history."))

    def _page(
        self, request: HttpRequest, template: str, context: dict[str, Any], extra: dict[str, Any] | None
    ) -> HttpResponse:
        shared = self.admin_site.each_context(request)
        context = {**shared, "opts": self.opts, "media": self.media, **context, **(extra or {})}
        request.current_app = self.admin_site.name
        return TemplateResponse(request, template, context)


def _summary(name: str, found: Reading, lately: Mapping[str, int], day: str) -> Line:
    """A definition's line in the list."""
    versions = sorted({version for one, version, state in found.counts if one == name and state in ALIVE})
    alive = sum(found.by_state[name, state] for state in ALIVE)
    held = sum(count for one, _why, count in found.attention if one == name)
    figures = [
        Figure(", ".join(versions) or "-", links.sagas(name=name, state=NOT_ENDED) if versions else ""),
        Figure(cells.number(alive), links.sagas(name=name, state=NOT_ENDED) if alive else ""),
        Figure(cells.number(held), links.sagas(name=name, attention=YES) if held else "", tone="bad"),
    ]
    for key, _title, state in FLOWS:
        url = links.sagas(name=name, state=state, ended=day) if state else links.sagas(name=name, began=day)
        count = lately.get(key, 0)
        figures.append(Figure(cells.number(count), url if count else ""))
    rate = success({key: lately.get(key, 0) for key, _title, _state in FLOWS})
    figures.append(Figure(cells.percent(rate) or "-", links.definition(name) if rate is not None else ""))
    return Line(name, links.definition(name), figures)


def _drawn(name: str) -> tuple[Graph | None, SafeString | str, str]:
    """Today's graph, its picture, and why there is none."""
    try:
        picture = picture_of(name)
    except DefinitionError as exc:
        return None, "", told(exc.message)
    # The drawing escapes every text in it (see `core.drawing.svg`).
    return picture.graph, SafeString(svg(picture, alone=False)), ""


def _steps(graph: Graph | None, times: Mapping[str, Counter[int]]) -> list[StepLine]:
    found = []
    for spec in graph.steps if graph else ():
        bins = times.get(spec.name, Counter())
        undoes = spec.compensation or (gettext("its child saga") if spec.saga else "")
        found.append(_step(spec.name, spec.does or spec.saga or "", undoes, bins, known=True))
    known = {line.name for line in found}
    return found + [_step(name, "", "", bins, known=False) for name, bins in sorted(times.items()) if name not in known]


def _step(name: str, does: str, undoes: str, bins: Counter[int], *, known: bool) -> StepLine:
    half, most = cells.lasting(percentile(bins, 0.5)), cells.lasting(percentile(bins, 0.95))
    return StepLine(name, does, undoes, half, most, cells.number(bins.total()), known)


def _versions(name: str, today: str, found: Reading) -> list[VersionLine]:
    """Today's first, then the others."""
    versions = {version for _name, version, _state in found.counts} | ({today} if today else set())
    return [
        VersionLine(version, version == today, [_count(name, version, state, found) for state in SagaState])
        for version in sorted(versions, key=lambda version: (version != today, version))
    ]


def _count(name: str, version: str, state: str, found: Reading) -> Figure:
    count = found.counts.get((name, version, state), 0)
    return Figure(cells.number(count), links.sagas(name=name, version=version, state=state) if count else "")
