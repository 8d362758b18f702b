"""What took how long: every attempt, wait, retry and undo of a saga as a bar, read from its history.

One page is a stretch of the history. Time is drawn so that milliseconds and days are seen side by side: what lies
between two moments takes the more room the longer it was, but not in proportion. Lengths are written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils.translation import gettext, gettext_lazy

from ..core.states import StepStatus
from ..models import NEWEST_FIRST, HistoryEntry, Saga, Worker
from . import cells, words
from .changes import step_name

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: Entries of the history on one page of the timeline, and steps with a line of their own.
ENTRIES, LANES = 100, 30
#: In pixels: the names at the left, the room for time, the height of a line, and of the times above.
_NAMES, _ROOM, _LANE, _HEAD = 165.0, 785.0, 24.0, 26.0
_NARROWEST = 4.0
_LONGEST = 22

ATTEMPT, UNDO, WAIT, PAUSE, HELD, PAUSED = "attempt", "undo", "wait", "pause", "held", "paused"
_KIND_WORDS: Mapping[str, StrOrPromise] = {
    ATTEMPT: gettext_lazy("attempt %(number)s"),
    UNDO: gettext_lazy("undo, attempt %(number)s"),
    WAIT: gettext_lazy("waits"),
    PAUSE: gettext_lazy("until the next attempt"),
    HELD: gettext_lazy("held"),
    PAUSED: gettext_lazy("paused"),
}
#: A sign in each bar, so that it is not its colour alone.
SIGNS = {ATTEMPT: "»", UNDO: "«", WAIT: "…", PAUSE: "·", HELD: "!", PAUSED: "‖"}


@dataclass(slots=True)
class Span:
    """One thing that lasted."""

    step: str
    kind: str
    #: None: it began before this page.
    begin: datetime | None
    #: None: it lasts.
    end: datetime | None = None
    number: int = 0
    #: What came of it, or why it was.
    outcome: str = ""
    bad: bool = False
    worker: str = ""

    @property
    def what(self) -> str:
        """In words."""
        return str(_KIND_WORDS[self.kind]) % {"number": self.number or "?"}


@dataclass(frozen=True, slots=True)
class SpanView:
    """A line of the table."""

    step: str
    what: str
    begin: object
    lasted: str
    worker: str
    outcome: str
    bad: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """A span as it is drawn."""

    look: str
    x: str
    y: str
    width: str
    sign: str
    sign_x: str
    sign_y: str
    title: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that a person did."""

    x: str
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A step's line."""

    name: str
    title: str
    y: str
    text_y: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The whole."""

    spans: list[SpanView]
    bars: list[Bar]
    lanes: list[Lane]
    marks: list[Mark]
    first: object
    last: object
    #: Steps that have no line.
    left_out: int
    #: Where older ones begin, and whether there are newer ones.
    older: int | None
    newer: bool
    width: str = f"{_NAMES + _ROOM + 16:.0f}"
    height: str = "0"
    left: str = f"{_NAMES:.0f}"
    right: str = f"{_NAMES + _ROOM:.0f}"


@dataclass(slots=True)
class _Reader:
    """Follows the steps through the history."""

    names: Sequence[str]
    workers: Mapping[str, str]
    done: list[Span] = field(default_factory=list)
    open: dict[str, Span] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)

    def read(self, entry: HistoryEntry) -> None:
        """Take one entry in."""
        data = entry.data if isinstance(entry.data, Mapping) else {}
        if "paused_at" in data:
            self.turn("", PAUSED if data["paused_at"] else "", entry, data)
        steps = data.get("steps")
        for position, diff in steps.items() if isinstance(steps, Mapping) else ():
            if isinstance(diff, Mapping):
                self._step(step_name(position, self.names), diff, entry)

    def _step(self, name: str, diff: Mapping[str, Any], entry: HistoryEntry) -> None:
        if "status" in diff:
            self.status[name] = str(diff["status"])
        kind = self._kind(name, diff)
        if kind is not None:
            self.turn(name, kind, entry, diff)

    def _kind(self, name: str, diff: Mapping[str, Any]) -> str | None:
        """What begins with it; "" ends what was; None: it goes on."""
        if diff.get("claim_token") is not None:
            return UNDO if self.status.get(name) == StepStatus.COMPENSATING else ATTEMPT
        if diff.get("hold"):
            return HELD
        if diff.get("waits"):
            return WAIT
        ended = any(field in diff and not diff[field] for field in ("claim_token", "hold", "waits"))
        if isinstance(diff.get("due_at"), str) and (ended or name not in self.open):
            return PAUSE
        return "" if ended or "status" in diff else None

    def turn(self, name: str, kind: str, entry: HistoryEntry, diff: Mapping[str, Any]) -> None:
        """End what was, and begin something else."""
        was = self.open.pop(name, None)
        if was is None and diff.get("claim_token", 0) is None:
            # It ran when this page begins.
            undo = str(diff.get("status", "")).startswith(StepStatus.COMPENSATING[:9])
            was = Span(name, UNDO if undo else ATTEMPT, None, number=entry.attempt)
        if was is not None:
            self._end(was, entry, diff)
        if kind:
            self.open[name] = self._begin(name, kind, entry, diff)

    def _end(self, span: Span, entry: HistoryEntry, diff: Mapping[str, Any]) -> None:
        span.end = entry.at
        if span.kind in (ATTEMPT, UNDO):
            code = str(diff.get("error_code") or "")
            span.bad = bool(code) or entry.kind in ("rejected", "in_doubt", "no_effect", "unrecorded", "worker_lost")
            word = words.status_words(str(diff["status"])) if diff.get("status") else words.kind_words(entry.kind)
            word = words.kind_words(entry.kind) if span.bad else word
            span.outcome = f"{word}: {code}" if code else word
        elif entry.actor:
            span.outcome = f"{words.kind_words(entry.kind)} ({entry.actor})"
        self.done.append(span)

    def _begin(self, name: str, kind: str, entry: HistoryEntry, diff: Mapping[str, Any]) -> Span:
        span = Span(name, kind, entry.at)
        if kind in (ATTEMPT, UNDO):
            number = diff.get("undo_attempt" if kind == UNDO else "attempt", entry.attempt)
            span.number = number if isinstance(number, int) else 0
            span.worker = self.workers.get(str(diff.get("claim_worker")), str(diff.get("claim_worker") or ""))
        elif kind == HELD:
            span.outcome, span.bad = words.hold_words(str(diff["hold"])), True
        elif kind == WAIT:
            span.outcome = words.wait_words(str(diff["waits"]))
        elif kind == PAUSED:
            span.outcome = " ".join(filter(None, (entry.actor, entry.reason[:80])))
        return span


def timeline(saga: Saga, names: Sequence[str], before: int | None, now: datetime) -> Timeline | None:
    """The newest stretch of the history, or the one before that entry; None where nothing lasted. Two queries."""
    found = saga.history.order_by(NEWEST_FIRST)
    newest = list((found if before is None else found.filter(id__lt=before))[: ENTRIES + 1])
    entries = newest[:ENTRIES][::-1]
    if not entries:
        return None
    reader = _Reader(names, _workers(entries))
    for entry in entries:
        reader.read(entry)
    end = now if before is None and saga.completed_at is None else entries[-1].at
    spans = [*reader.done, *reader.open.values()]
    older = entries[0].pk if len(newest) > ENTRIES else None
    if not spans:
        return None
    return _drawn(spans, entries, names, max(end, entries[-1].at), older=older, newer=before is not None)


def _workers(entries: Sequence[HistoryEntry]) -> dict[str, str]:
    """Host and process of each worker that is named, as far as it is still known."""
    keys = {key for entry in entries for key in _worker_keys(entry.data)}
    return {str(worker.pk): str(worker) for worker in Worker.objects.filter(pk__in=keys).only("host", "pid")}


def _worker_keys(data: object) -> Iterator[UUID]:
    steps = data.get("steps") if isinstance(data, Mapping) else None
    for diff in steps.values() if isinstance(steps, Mapping) else ():
        key = diff.get("claim_worker") if isinstance(diff, Mapping) else None
        if isinstance(key, str):
            try:
                yield UUID(key)
            except ValueError:
                continue


def _drawn(
    spans: Sequence[Span],
    entries: Sequence[HistoryEntry],
    names: Sequence[str],
    end: datetime,
    *,
    older: int | None,
    newer: bool,
) -> Timeline:
    begin = entries[0].at
    acted = [entry for entry in entries if entry.actor]
    moments = [at for span in spans for at in (span.begin, span.end) if at]
    place = _scale([begin, end, *moments, *(entry.at for entry in acted)])
    rank = {name: number for number, name in enumerate(names)}
    lanes = sorted({span.step for span in spans}, key=lambda name: (rank.get(name, -1), name))
    shown = {name: number for number, name in enumerate(lanes[:LANES])}
    ordered = sorted(spans, key=lambda span: (span.begin or begin, rank.get(span.step, -1)))
    return Timeline(
        [_row(span, begin, end) for span in ordered],
        [_bar(span, shown[span.step], place, begin, end) for span in ordered if span.step in shown],
        [_lane(name, number) for name, number in shown.items()],
        [_mark(entry, place) for entry in acted],
        cells.moment(begin),
        cells.moment(end),
        left_out=len(lanes) - len(shown),
        older=older,
        newer=newer,
        height=f"{_HEAD + _LANE * len(shown) + 8:.0f}",
    )


def _scale(times: Sequence[datetime]) -> Mapping[datetime, float]:
    """Where each moment is drawn: a long time between two takes more room than a short one, a day not 86400 times
    that of a second."""
    order, weights = sorted(set(times)), [0.0]
    for earlier, later in pairwise(order):
        weights.append(weights[-1] + 1 + math.log10(1 + (later - earlier).total_seconds() * 1000))
    whole = weights[-1] or 1.0
    return {at: _NAMES + _ROOM * weight / whole for at, weight in zip(order, weights, strict=True)}


def _row(span: Span, begin: datetime, end: datetime) -> SpanView:
    return SpanView(
        span.step or gettext("the saga"),
        span.what,
        cells.moment(span.begin) if span.begin else gettext("earlier"),
        _lasted(span, begin, end),
        span.worker,
        span.outcome,
        span.bad,
    )


def _lasted(span: Span, begin: datetime, end: datetime) -> str:
    text = cells.length((span.end or end) - (span.begin or begin))
    if span.begin is None:
        return gettext("more than %(time)s") % {"time": text}
    return text if span.end else gettext("%(time)s so far") % {"time": text}


def _bar(span: Span, lane: int, place: Mapping[datetime, float], begin: datetime, end: datetime) -> Bar:
    x, until = place[span.begin or begin], place[span.end or end]
    width = max(until - x, _NARROWEST)
    y = _HEAD + lane * _LANE + 3
    told = [span.step or gettext("the saga"), span.what, _lasted(span, begin, end), span.outcome, span.worker]
    return Bar(
        f"saga-bar-{span.kind}{' saga-bar-bad' if span.bad else ''}{'' if span.end else ' saga-bar-open'}",
        f"{x:.1f}",
        f"{y:.1f}",
        f"{width:.1f}",
        SIGNS[span.kind] if width >= 14 else "",
        f"{x + width / 2:.1f}",
        f"{y + 13:.1f}",
        ", ".join(filter(None, told)),
    )


def _lane(name: str, number: int) -> Lane:
    text = name or gettext("the saga")
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    y = _HEAD + number * _LANE
    return Lane(short, text, f"{y:.1f}", f"{y + 16:.1f}")


def _mark(entry: HistoryEntry, place: Mapping[datetime, float]) -> Mark:
    told = f"{cells.stamp(entry.at)} {words.kind_words(entry.kind)}: {entry.actor}"
    return Mark(f"{place[entry.at]:.1f}", told)
