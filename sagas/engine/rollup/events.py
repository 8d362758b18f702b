"""What the history tells about counts: who started, who changed state, and what took how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, Case, Count, F, OuterRef, Q, QuerySet, Subquery, TextField, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Mod, TruncHour

from ...core.states import SagaState
from ...models import HistoryEntry, Step

#: Entries with which a step may be done.
_DONE = ("completed", "answered", "child_ended")
#: At most about so many durations are taken from one slice: a sample is enough for percentiles.
_SAMPLE = 4000


@dataclass(frozen=True, slots=True)
class Move:
    """So many sagas of a version went from one state to another. No old state: they were started."""

    name: str
    version: str
    old: str
    new: str
    count: int
    #: The full count that is under way has come to them.
    walked: bool = False
    hour: datetime | None = None


def entries(alias: str, above: int, upto: int | None = None) -> QuerySet[HistoryEntry]:
    """Transitions between two entries."""
    found = HistoryEntry.objects.using(alias).filter(id__gt=above, seq__isnull=False).order_by()
    return found if upto is None else found.filter(id__lte=upto)


def changing(found: QuerySet[HistoryEntry]) -> QuerySet[Any]:
    """Of these, starts and changes of state, with the new state."""
    telling = found.filter(Q(seq=1) | Q(data__has_key="state"))
    return telling.annotate(new=_state())


def _state() -> Cast:
    # As text: what is looked up in a JSON value is taken for JSON.
    return Cast(KeyTextTransform("state", "data"), TextField())


def old_state() -> Subquery:
    """The last state before an entry; NULL = the one in which all begin."""
    before = HistoryEntry.objects.filter(saga_id=OuterRef("saga_id"), seq__lt=OuterRef("seq"), data__has_key="state")
    return Subquery(before.order_by("-seq").annotate(was=_state()).values("was")[:1])


def moves(found: QuerySet[HistoryEntry], walk: UUID | None) -> Iterator[Move]:
    """All of them. `walk`: the saga that the full count has come to."""
    telling = changing(found).annotate(
        old=old_state(),
        walked=_walked(walk),
        hour=TruncHour("at", tzinfo=UTC),
        first=Case(When(seq=1, then=True), default=False, output_field=BooleanField()),
    )
    columns = ("saga__name", "saga__version", "walked", "old", "new", "hour", "first")
    for name, version, walked, old, new, hour, first, count in telling.values_list(*columns).annotate(
        count=Count("pk")
    ):
        if first:
            yield Move(name, version, "", SagaState.STARTED, count, walked, hour)
        if new and new != SagaState.STARTED:
            yield Move(name, version, old or SagaState.STARTED, new, count, walked, hour)
        elif new and not first:
            yield Move(name, version, old or SagaState.STARTED, new, count, walked)


def _walked(walk: UUID | None) -> Any:
    if walk is None:
        return Value(False, output_field=BooleanField())
    return Case(When(saga_id__lte=walk, then=True), default=False, output_field=BooleanField())


def migrated(found: QuerySet[HistoryEntry]) -> bool:
    """Whether sagas moved to another version, of which the history does not say from which."""
    return found.filter(kind="migrate").exists()


def durations(found: QuerySet[HistoryEntry], size: int) -> Iterator[tuple[datetime, str, str, timedelta]]:
    """Hour, definition, step and time of steps that were done; a sample where there are many. `size`: of the slice,
    with the gaps that it may have.

    A step's row knows when it began; it is asked only if it was done by this very entry.
    """
    begun = Step.objects.filter(saga_id=OuterRef("saga_id"), name=OuterRef("step"), executed_at=OuterRef("at"))
    done = found.filter(kind__in=_DONE).exclude(step="")
    every = done.count() // _SAMPLE if size > _SAMPLE else 1
    if every > 1:
        done = done.annotate(rest=Mod(F("id"), Value(every))).filter(rest=0)
    rows = done.annotate(began=Subquery(begun.values("started_at")[:1])).filter(began__isnull=False)
    for name, step, began, at in rows.values_list("saga__name", "step", "began", "at"):
        # Elements of a list are the same step.
        hour = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        yield hour, name, step.partition("[")[0], at - began
