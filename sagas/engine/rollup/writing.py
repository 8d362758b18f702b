"""Adding up: what was read in one look, in the rollup's tables. Whoever calls holds the rollup's lock."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from ...core.states import SagaState
from ...models import SagaCount, SagaHour, StepHour
from .durations import bin_of
from .events import Move

#: Hours are kept for so long.
KEEP = timedelta(days=8)
Key = tuple[str, str, str]


def add_moves(alias: str, moves: Iterable[Move]) -> None:
    """Sagas that went from one state to another."""
    counts: Counter[Key] = Counter()
    recounts: Counter[Key] = Counter()
    for move in moves:
        for state, sign in ((move.old, -move.count), (move.new, move.count)):
            if state:
                counts[move.name, move.version, state] += sign
                recounts[move.name, move.version, state] += sign if move.walked else 0
    add_counts(alias, counts, recounts)


def add_counts(alias: str, counts: Counter[Key], recounts: Counter[Key]) -> None:
    """Differences by definition, version and state."""
    changed = [key for key in {*counts, *recounts} if counts[key] or recounts[key]]
    rows = SagaCount.objects.using(alias)
    rows.bulk_create([SagaCount(name=n, version=v, state=s) for n, v, s in changed], ignore_conflicts=True)
    for key in changed:
        name, version, state = key
        rows.filter(name=name, version=version, state=state).update(
            count=F("count") + counts[key], recount=F("recount") + recounts[key]
        )


def begin_recount(alias: str) -> None:
    """Nothing is counted yet of the next full count."""
    SagaCount.objects.using(alias).exclude(recount=0).update(recount=0)


def end_recount(alias: str) -> None:
    """The full count is done: from now on it is the count."""
    rows = SagaCount.objects.using(alias)
    rows.update(count=F("recount"))
    rows.update(recount=0)
    rows.filter(count=0).delete()


_HOURLY = {
    SagaState.STARTED: "started",
    SagaState.COMPLETED: "completed",
    SagaState.COMPENSATED: "compensated",
    SagaState.FAILED: "failed",
}


def add_hours(alias: str, moves: Iterable[Move], since: datetime) -> None:
    """Starts and ends, by the hour."""
    found: dict[tuple[datetime, str], Counter[str]] = defaultdict(Counter)
    for move in moves:
        field = _HOURLY.get(SagaState(move.new))
        if field and move.hour is not None and move.hour >= since:
            found[move.hour, move.name][field] += move.count
    rows = SagaHour.objects.using(alias)
    rows.bulk_create([SagaHour(hour=hour, name=name) for hour, name in found], ignore_conflicts=True)
    for (hour, name), counts in found.items():
        changes: dict[str, Any] = {field: F(field) + count for field, count in counts.items()}
        rows.filter(hour=hour, name=name).update(**changes)


def add_durations(alias: str, times: Iterable[tuple[datetime, str, str, timedelta]], since: datetime) -> None:
    """How long steps took, by the hour."""
    found: dict[tuple[datetime, str, str], Counter[str]] = defaultdict(Counter)
    for hour, name, step, time in times:
        if hour >= since:
            found[hour, name, step][str(bin_of(time.total_seconds()))] += 1
    rows = StepHour.objects.using(alias)
    for (hour, name, step), bins in found.items():
        row, _ = rows.get_or_create(hour=hour, name=name, step=step)
        row.bins = dict(Counter(row.bins) + bins)
        row.save(using=alias, update_fields=["bins"])


def drop_old(alias: str, since: datetime) -> None:
    """Hours that no page shows any more."""
    SagaHour.objects.using(alias).filter(hour__lt=since).delete()
    StepHour.objects.using(alias).filter(hour__lt=since).delete()


def drop_all(alias: str) -> None:
    """Begin anew."""
    for model in (SagaCount, SagaHour, StepHour):
        model.objects.using(alias).all().delete()
