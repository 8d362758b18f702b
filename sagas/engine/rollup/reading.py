"""What the rollup says, for pages: a constant number of queries, however many sagas there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from ...conf import app_settings
from ...core.states import ALIVE
from ...models import Rollup, SagaCount, SagaHour, StepHour
from .durations import added

#: Hours in a chart, the one that is not over included.
HOURS = 24


@dataclass(frozen=True)
class Reading:
    """The counts of all sagas. What is not counted yet is not there."""

    row: Rollup
    #: By definition, version and state.
    counts: Mapping[tuple[str, str, str], int] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """A full count was done. Before that the counts are those of the sagas that it has come to."""
        return self.row.walked_at is not None

    @cached_property
    def by_state(self) -> Counter[tuple[str, str]]:
        """By definition and state."""
        found: Counter[tuple[str, str]] = Counter()
        for (name, _version, state), count in self.counts.items():
            found[name, state] += count
        return found

    @property
    def alive(self) -> int:
        """Sagas that have not ended."""
        return sum(count for (_name, state), count in self.by_state.items() if state in ALIVE)

    @cached_property
    def attention(self) -> list[tuple[str, str, int]]:
        """Definition, reason and number of the sagas that a person must look at."""
        return [(name, why, count) for name, why, count in self.row.facts.get("attention", ())]

    @cached_property
    def stale(self) -> Counter[str]:
        """Stale sagas by definition."""
        return Counter(dict(self.row.facts.get("stale", ())))

    @property
    def oldest(self) -> Mapping[str, str] | None:
        """The oldest saga that has not ended: id, name, and since when it is there."""
        found: Mapping[str, str] | None = self.row.facts.get("oldest")
        return found

    def names(self) -> set[str]:
        """Definitions that have sagas."""
        return {name for name, _version, _state in self.counts}


def read(name: str | None = None) -> Reading:
    """All counts, or those of one definition. Two queries."""
    alias = app_settings().DATABASE
    row = Rollup.objects.using(alias).filter(pk=Rollup.ONLY).first() or Rollup()
    rows = SagaCount.objects.using(alias).order_by("name", "version", "state")
    if name is not None:
        rows = rows.filter(name=name)
    column = "count" if row.walked_at is not None else "recount"
    found = {(n, v, s): count for n, v, s, count in rows.values_list("name", "version", "state", column) if count > 0}
    return Reading(row, found)


def first_hour(now: datetime, hours: int = HOURS) -> datetime:
    """Where so many hours begin."""
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)


def flow(now: datetime, name: str | None = None) -> dict[datetime, Counter[str]]:
    """Started, completed, compensated and failed in each of the last hours. One query."""
    begin = first_hour(now)
    rows = SagaHour.objects.using(app_settings().DATABASE).filter(hour__gte=begin)
    if name is not None:
        rows = rows.filter(name=name)
    found: dict[datetime, Counter[str]] = {begin + timedelta(hours=at): Counter() for at in range(HOURS)}
    for row in rows:
        found.setdefault(row.hour.astimezone(UTC), Counter()).update(_counts(row))
    return found


def flow_by_name(now: datetime, hours: int = HOURS) -> dict[str, Counter[str]]:
    """The same of all these hours together, by definition. One query."""
    rows = SagaHour.objects.using(app_settings().DATABASE).filter(hour__gte=first_hour(now, hours))
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(row.name, Counter()).update(_counts(row))
    return found


def _counts(row: SagaHour) -> dict[str, Any]:
    return {what: getattr(row, what) for what in ("started", "completed", "compensated", "failed")}


def durations_of(name: str, now: datetime, hours: int = HOURS) -> dict[str, Counter[int]]:
    """How long a definition's steps took in the last hours, in bins. One query."""
    rows = StepHour.objects.using(app_settings().DATABASE).filter(name=name, hour__gte=first_hour(now, hours))
    found: dict[str, list[Mapping[str, int]]] = {}
    for row in rows:
        found.setdefault(row.step, []).append(row.bins)
    return {step: added(bins) for step, bins in found.items()}


def success(counts: Mapping[str, int]) -> float | None:
    """The completed among those that ended; None where none did."""
    ended = counts["completed"] + counts["compensated"] + counts["failed"]
    return counts["completed"] / ended if ended else None
