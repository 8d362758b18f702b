"""Keeping the groups of failures: how often, when, and which sagas stand so now. Whoever calls holds the rollup's lock,
and what is written is written with the walk's position, so that each failure is counted once.

Which sagas stand failed is read from their rows, not worked out from the history: the slice only says whom to look at,
and the full count looks at all that need somebody. So it is right whatever happened in between.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, F, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from ...core.states import SagaState
from ...models import FailedSaga, FailureGroup, FailureHour, HistoryEntry, Saga, Step
from . import failures
from .failures import FAILED, STUCK, Failure, Kind, chunks, kind_of

#: A saga that needs nobody any more is known as one that failed for so long.
KEEP_SAGAS = timedelta(days=14)
#: A group without open sagas is forgotten when it was not seen for so long.
KEEP_GROUPS = timedelta(days=30)
#: Rows that are forgotten in one look.
FORGET = 2000

Open = dict[UUID, dict[UUID, Kind]]


def add(alias: str, slice_: QuerySet[HistoryEntry], since: datetime, *, newest: bool) -> None:
    """Count the failures of a slice, and look at the sagas that it is about. `newest`: it is the end of the history,
    not what was before the counting began."""
    found = failures.failures(alias, slice_)
    _count(alias, found, since)
    _remember(alias, found, newest=newest)
    members = FailedSaga.objects.using(alias).order_by()
    known = {one.saga for one in found}
    for keys in chunks(failures.moved(slice_) - known):
        known.update(members.filter(saga_id__in=keys).values_list("saga_id", flat=True))
    look(alias, known)


@dataclass(slots=True)
class _Sum:
    """What a slice adds to a group."""

    kind: Kind
    saga: UUID
    first: datetime
    last: datetime
    count: int = 0
    hours: Counter[datetime] = field(default_factory=Counter)

    def add(self, one: Failure) -> None:
        self.count += 1
        self.first = min(self.first, one.at)
        if one.at >= self.last:
            self.last, self.kind, self.saga = one.at, one.kind, one.saga
        self.hours[one.at.replace(minute=0, second=0, microsecond=0)] += 1


def _count(alias: str, found: Iterable[Failure], since: datetime) -> None:
    sums: dict[UUID, _Sum] = {}
    for one in found:
        sums.setdefault(one.kind.key, _Sum(one.kind, one.saga, one.at, one.at)).add(one)
    known = FailureGroup.objects.using(alias).in_bulk(list(sums))
    fresh = [_group(total) for key, total in sums.items() if key not in known]
    FailureGroup.objects.using(alias).bulk_create(fresh, batch_size=failures.CHUNK)
    for key, group in known.items():
        total = sums[key]
        group.total += total.count
        group.first_seen = min(group.first_seen, total.first)
        if total.last >= group.last_seen:
            group.last_seen, group.example, group.example_saga = total.last, total.kind.example, total.saga
    columns = ["total", "first_seen", "last_seen", "example", "example_saga"]
    for group in known.values():
        group.save(using=alias, update_fields=columns)
    _add_hours(alias, sums, since)


def _group(total: _Sum) -> FailureGroup:
    kind = total.kind
    return FailureGroup(
        id=kind.key,
        name=kind.name,
        step=kind.step,
        code=kind.code,
        pattern=kind.pattern,
        example=kind.example,
        example_saga=total.saga,
        total=total.count,
        first_seen=total.first,
        last_seen=total.last,
    )


def _add_hours(alias: str, sums: Mapping[UUID, _Sum], since: datetime) -> None:
    hours = {(key, hour): n for key, total in sums.items() for hour, n in total.hours.items() if hour >= since}
    rows = FailureHour.objects.using(alias)
    fresh = [FailureHour(group_id=key, hour=hour) for key, hour in hours]
    rows.bulk_create(fresh, ignore_conflicts=True, batch_size=failures.CHUNK)
    for (key, hour), count in hours.items():
        rows.filter(group_id=key, hour=hour).update(count=F("count") + count)


def _remember(alias: str, found: Iterable[Failure], *, newest: bool) -> None:
    """Which sagas they are of."""
    times: dict[tuple[UUID, UUID], datetime] = {}
    for one in found:
        pair = (one.saga, one.kind.key)
        times[pair] = max(one.at, times.get(pair, one.at))
    rows = [FailedSaga(saga_id=saga, group_id=key, at=at) for (saga, key), at in times.items()]
    # What was before the counting began comes after what has happened since.
    ways: dict[str, Any] = {"ignore_conflicts": True}
    if newest:
        ways = {"update_conflicts": True, "update_fields": ["at"], "unique_fields": ["saga", "group"]}
    FailedSaga.objects.using(alias).bulk_create(rows, batch_size=failures.CHUNK, **ways)


def look(alias: str, sagas: Collection[UUID], *, heal: bool = False) -> None:
    """Bring up to date how these sagas stand. `heal`: what they stand in and nobody has counted is counted as well."""
    for keys in chunks(sagas):
        found = {saga.pk: saga for saga in _sagas(alias, keys)}
        stands = _open(alias, found.values())
        members = list(FailedSaga.objects.using(alias).filter(saga_id__in=keys))
        if heal:
            members += _heal(alias, found, stands, members)
        _flip(alias, [one for one in members if one.open != (one.group_id in stands.get(one.saga_id, {}))])


def _sagas(alias: str, keys: Collection[UUID]) -> QuerySet[Saga]:
    found: QuerySet[Saga] = Saga.objects.using(alias).filter(pk__in=keys)
    return found.only("id", "name", "state", "attention", "updated_at")


def _open(alias: str, sagas: Iterable[Saga]) -> Open:
    """The kinds of failures in which sagas stand that need somebody."""
    needy = {saga.pk: saga for saga in sagas if saga.state == SagaState.FAILED or saga.attention}
    bad = Q(status__in=FAILED) | Q(hold__in=STUCK)
    steps = Step.objects.using(alias).filter(bad, saga_id__in=list(needy)).order_by("saga_id", "position")
    found: Open = defaultdict(dict)
    for step in steps.only("saga_id", "name", "status", "hold", "error_code", "error_message"):
        saga = needy[step.saga_id]
        # A saga that is being rolled back needs nobody for the step that began it.
        if step.hold or saga.state == SagaState.FAILED:
            why = step.status if step.status in FAILED else step.hold
            kind = kind_of(saga.name, step.name, step.error_code or why, step.error_message)
            found[saga.pk][kind.key] = kind
    return found


def _heal(alias: str, sagas: Mapping[UUID, Saga], stands: Open, members: Iterable[FailedSaga]) -> list[FailedSaga]:
    known = {(one.saga_id, one.group_id) for one in members}
    missed = [
        Failure(key, kind, sagas[key].updated_at)
        for key, kinds in stands.items()
        for kind in kinds.values()
        if (key, kind.key) not in known
    ]
    if not missed:
        return []
    # When it failed nobody knows: no hour gets it.
    _count(alias, missed, max(one.at for one in missed) + timedelta(hours=1))
    _remember(alias, missed, newest=False)
    return list(FailedSaga.objects.using(alias).filter(saga_id__in={one.saga for one in missed}, open=False))


def _flip(alias: str, members: Iterable[FailedSaga]) -> None:
    wrong = {one.pk: one for one in members}
    for opened in (True, False):
        rows = [one for one in wrong.values() if one.open is not opened]
        FailedSaga.objects.using(alias).filter(pk__in=[one.pk for one in rows]).update(open=opened)
        for key, count in Counter(one.group_id for one in rows).items():
            change = F("open") + (count if opened else -count)
            FailureGroup.objects.using(alias).filter(pk=key).update(open=change)


def walk(alias: str, begin: UUID, end: UUID | None, sagas: Iterable[tuple[UUID, str, str]], late: set[UUID]) -> None:
    """A slice of the full count: the sagas behind `begin` and up to `end` (None = they are the last), with state and
    attention. `late`: those of which the next slice of the history tells more."""
    members = FailedSaga.objects.using(alias).filter(saga_id__gt=begin).order_by()
    if end is not None:
        members = members.filter(saga_id__lte=end)
    there = {key: state == SagaState.FAILED or bool(why) for key, state, why in sagas}
    opened = set(members.filter(open=True).values_list("saga_id", flat=True))
    needy = {key for key, needs in there.items() if needs}
    look(alias, needy - late, heal=True)
    look(alias, (opened - needy) | (needy & late))
    gone = [pk for pk, saga in members.values_list("pk", "saga_id") if saga not in there]
    FailedSaga.objects.using(alias).filter(pk__in=gone).delete()


def settle(alias: str) -> None:
    """A full count is done: what the groups say of open sagas is that."""
    members = FailedSaga.objects.using(alias).filter(open=True, group_id=OuterRef("pk")).order_by()
    counts = members.values("group_id").annotate(count=Count("pk")).values("count")
    found = Coalesce(Subquery(counts, output_field=IntegerField()), 0)
    FailureGroup.objects.using(alias).update(open=found)


def forget(alias: str, now: datetime, since: datetime) -> None:
    """What no page shows any more."""
    FailureHour.objects.using(alias).filter(hour__lt=since).delete()
    members = FailedSaga.objects.using(alias)
    old = members.filter(open=False, at__lt=now - KEEP_SAGAS).order_by("at").values_list("pk", flat=True)
    members.filter(pk__in=list(old[:FORGET])).delete()
    groups = FailureGroup.objects.using(alias)
    silent = groups.filter(open=0, last_seen__lt=now - KEEP_GROUPS).order_by("last_seen").values_list("pk", flat=True)
    groups.filter(pk__in=list(silent[:FORGET])).delete()


def drop_all(alias: str) -> None:
    """Begin anew."""
    FailureHour.objects.using(alias).all().delete()
    FailedSaga.objects.using(alias).all().delete()
    FailureGroup.objects.using(alias).all().delete()
