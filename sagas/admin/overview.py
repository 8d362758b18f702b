"""The overview: what is broken, how much of it, and whether the machinery runs. Numbers come from the rollup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..core.states import ALIVE, Hold, SagaState
from ..engine.criteria import NOT_ENDED, YES
from ..engine.rollup.reading import HOURS, Reading, first_hour, flow, read
from ..engine.work import CAP, counts
from . import cells, links, words
from .alike import Worst, worst
from .charts import Chart, chart, hour_words
from .machinery import Machinery, machinery
from .work_filters import ME

#: What the charts show: the counter, its title, and the state whose list it leads to (none: those that were started).
FLOWS = (
    ("started", _("Started"), ""),
    ("completed", _("Completed"), SagaState.COMPLETED),
    ("compensated", _("Rolled back"), SagaState.COMPENSATED),
    ("failed", _("Failed"), SagaState.FAILED),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, and where it leads."""

    text: str
    url: str = ""
    label: object = ""
    tone: str = ""
    #: What it consists of.
    parts: tuple[Figure, ...] = ()
    note: object = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A definition and its numbers."""

    name: str
    url: str
    cells: list[Figure]


@dataclass(frozen=True, slots=True)
class Hour:
    """A line of the charts' table."""

    label: str
    cells: list[Figure]


@dataclass(frozen=True, slots=True)
class Counted:
    """How good the numbers are."""

    at: SafeString | None
    every: str
    #: They are older than they should be.
    late: bool
    #: The first full count is not done.
    first: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """What the template shows."""

    tiles: list[Figure]
    heads: list[str]
    lines: list[Line]
    total: Line
    charts: list[Chart]
    hours: list[Hour]
    machinery: Machinery
    #: What fails most.
    worst: list[Worst]
    failures_url: str
    counted: Counted
    #: Sagas wait, and nobody runs them.
    nobody: bool
    zone: str


def overview(user: Any) -> Overview:
    """Seven queries, however many sagas there are."""
    now = timezone.now()
    found = read()
    hours = flow(now)
    machines = machinery(user, found.row)
    lines = [_line(name, found) for name in sorted(found.names() | {name for name, _why, _n in found.attention})]
    return Overview(
        tiles=[*_tiles(found), _work(user)],
        heads=_heads(),
        lines=lines,
        total=_line("", found),
        charts=charts(hours, now),
        hours=hour_table(hours),
        machinery=machines,
        worst=worst(now),
        failures_url=links.failures(),
        counted=counted(found, now),
        nobody=bool(found.alive) and not machines.beating,
        zone=timezone.get_current_timezone_name(),
    )


def counted(found: Reading, now: datetime) -> Counted:
    """As of when the numbers are."""
    every, at = app_settings().ROLLUP_EVERY, found.row.counted_at
    return Counted(
        at=cells.moment(at) if at else None,
        every=cells.span(every),
        late=at is not None and now - at > 6 * every + app_settings().LEASE,
        first=not found.is_complete,
    )


def _tiles(found: Reading) -> list[Figure]:
    why: Counter[str] = Counter()
    for _name, reason, count in found.attention:
        why[reason] += count
    parts = tuple(
        Figure(cells.number(count), links.sagas(attention=reason), words.hold_words(reason))
        for reason, count in sorted(why.items(), key=lambda item: (-item[1], item[0]))
    )
    held, debts, stale = why.total(), why[Hold.DEBT], found.stale.total()
    return [
        _tile(held, _("need attention"), links.sagas(attention=YES), "bad", parts=parts),
        _tile(debts, _("debts: an undo failed"), links.sagas(attention=Hold.DEBT), "bad"),
        _tile(stale, _("stale: no progress"), links.sagas(stale=True), "undoing"),
        _alive(found),
        _oldest(found.oldest),
    ]


def _tile(count: int, label: object, url: str, tone: str, parts: tuple[Figure, ...] = ()) -> Figure:
    return Figure(cells.number(count), url, label, tone if count else "", parts)


def _alive(found: Reading) -> Figure:
    states: Counter[str] = Counter()
    for (_name, state), count in found.by_state.items():
        states[state] += count
    parts = tuple(
        Figure(cells.number(states[state]), links.sagas(state=state), words.state_words(state))
        for state in SagaState
        if state in ALIVE
    )
    return Figure(cells.number(found.alive), links.sagas(state=NOT_ENDED), _("have not ended"), "", parts)


def _oldest(oldest: Mapping[str, str] | None) -> Figure:
    at = parse_datetime(oldest["at"]) if oldest else None
    if oldest is None or at is None:
        return Figure("-", "", _("oldest that has not ended"))
    text = cells.span(timezone.now() - at)
    return Figure(text, links.saga(oldest["id"]), _("oldest that has not ended"), note=oldest["name"])


def _work(user: Any) -> Figure:
    """What waits for a person, counted now; and what this user looks after."""
    waiting, mine = counts(user)
    parts = (Figure(_capped(mine), links.work(owner=ME), _("mine")),)
    return Figure(
        _capped(waiting), links.work(), _("work items: a person is asked"), "undoing" if waiting else "", parts
    )


def _capped(count: int) -> str:
    return f"{cells.number(CAP)}+" if count > CAP else cells.number(count)


def _heads() -> list[str]:
    states = [words.state_words(state) for state in SagaState]
    # What is broken comes first: narrow screens do not show all columns at once.
    return [gettext("needs attention"), gettext("stale"), *states]


def _line(name: str, found: Reading) -> Line:
    """Of one definition, or (without a name) of all."""
    held = sum(count for one, _why, count in found.attention if name in ("", one))
    stale = found.stale[name] if name else found.stale.total()
    numbers = [
        Figure(cells.number(held), links.sagas(name=name, attention=YES) if held else "", tone="bad"),
        Figure(cells.number(stale), links.sagas(name=name, stale=True) if stale else "", tone="undoing"),
    ]
    for state in SagaState:
        count = sum(n for (one, which), n in found.by_state.items() if which == state and name in ("", one))
        numbers.append(Figure(cells.number(count), links.sagas(name=name, state=state) if count else ""))
    return Line(name, links.definition(name) if name else links.sagas(), numbers)


def charts(hours: Mapping[datetime, Counter[str]], now: datetime, name: str = "") -> list[Chart]:
    """One per kind of thing that happens to sagas."""
    day = links.hours(first_hour(now), HOURS)
    return [
        chart(key, str(title), {hour: counts[key] for hour, counts in hours.items()}, _flow_url(state, day, name))
        for key, title, state in FLOWS
    ]


def hour_table(hours: Mapping[datetime, Counter[str]], name: str = "") -> list[Hour]:
    """What the charts show, in numbers, the latest first."""
    return [
        Hour(
            hour_words(hour),
            [
                Figure(cells.number(counts[key]), _flow_url(state, links.hours(hour), name) if counts[key] else "")
                for key, _title, state in FLOWS
            ],
        )
        for hour, counts in sorted(hours.items(), reverse=True)
    ]


def _flow_url(state: str, hours: str, name: str) -> str:
    return links.sagas(name=name, state=state, ended=hours) if state else links.sagas(name=name, began=hours)
