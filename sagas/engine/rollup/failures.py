"""What the history tells about failures: the entries with which a step failed for good, and why.

Not every attempt that fails is a failure: one that is followed by the next is none. A step has failed when it became
failed, unknown, or a debt, or when it is held because its workers died too often or what it waits for did not come. A
step that became unknown only because a rollback did not wait for it is the rollback's business, not a failure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from ...core.signature import MAX_MESSAGE, MAX_NAME, base_name, pattern, signature
from ...core.states import Hold, StepStatus
from ...models import HistoryEntry, Step

#: Statuses of a step that failed for good.
FAILED = (StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.COMPENSATION_FAILED)
#: Holds of a step that is stuck, whatever its status.
STUCK = (Hold.CRASHES, Hold.OVERDUE)
#: Rows asked for in one statement.
CHUNK = 500
#: Entries of a saga that just goes on; where its state or its attention changes as well they are looked at.
_ORDINARY = ("claimed", "prepared", "completed", "child_started", "waits", "checked", "passed_over", "opened_out")
#: One of these words ends a JSON text in an entry that tells of a failure; what else has it is sorted out behind.
_WORDS = f'({"|".join((*FAILED, *STUCK))})"'


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes failures the same, and one message as an example."""

    key: UUID
    name: str
    step: str
    code: str
    pattern: str
    example: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One step that failed for good."""

    saga: UUID
    kind: Kind
    at: datetime


def kind_of(name: str, step: str, code: str, message: str) -> Kind:
    """The group of a failure."""
    # NUL can be in no text of PostgreSQL's, and nobody reads it.
    code, message = code.replace("\x00", "")[:MAX_NAME], message.replace("\x00", "")[:MAX_MESSAGE]
    return Kind(signature(name, step, code, message), name[:MAX_NAME], base_name(step), code, pattern(message), message)


def failures(alias: str, found: QuerySet[HistoryEntry]) -> list[Failure]:
    """All of these entries."""
    telling = found.annotate(text=Cast("data", TextField())).filter(text__regex=_WORDS)
    rows = telling.values_list("saga_id", "saga__name", "seq", "step", "data", "at").order_by("id")
    failed = [one for row in rows for one in _failed(*row)]
    names = _names(alias, failed)
    errors = _errors(alias, [one for one in failed if one.error is None])
    result = []
    for one in failed:
        step = names.get((one.saga, one.position), one.step)
        code, message = one.error or errors[one]
        if step and (one.sure or step == one.step):
            result.append(Failure(one.saga, kind_of(one.name, step, code or one.status, message), one.at))
    return result


@dataclass(frozen=True, slots=True)
class _Failed:
    """A step that failed, as its entry tells it."""

    saga: UUID
    name: str
    seq: int
    #: The step that the entry is about, if it is about one.
    step: str
    position: int
    status: str
    #: It failed even if the entry is about something else.
    sure: bool
    #: Code and message; None = they are those of an attempt before, and not told again.
    error: tuple[str, str] | None
    at: datetime


def _failed(saga: UUID, name: str, seq: int | None, step: str, data: Any, at: datetime) -> Iterator[_Failed]:
    for position, diff in _diffs(data):
        status, hold = diff.get("status"), diff.get("hold")
        if status not in FAILED and hold not in STUCK:
            continue
        why = str(status if status in FAILED else hold)
        told = "error_code" in diff and "error_message" in diff
        error = (str(diff["error_code"]), str(diff["error_message"])) if told else None
        sure = status != StepStatus.UNKNOWN or bool(hold)
        yield _Failed(saga, name, seq or 0, step, position, why, sure, error, at)


def _diffs(data: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The changes of steps in an entry, by position."""
    steps = data.get("steps") if isinstance(data, dict) else None
    for position, diff in steps.items() if isinstance(steps, dict) else ():
        if position.isascii() and position.isdecimal() and len(position) < 6 and isinstance(diff, dict):
            yield int(position), diff


def _names(alias: str, failed: Iterable[_Failed]) -> dict[tuple[UUID, int], str]:
    """Names of steps by their places. A migration may have moved them: then it is the name that is there now."""
    places: dict[UUID, set[int]] = defaultdict(set)
    for one in failed:
        places[one.saga].add(one.position)
    found: dict[tuple[UUID, int], str] = {}
    for keys in chunks(places):
        wanted = {place for key in keys for place in places[key]}
        rows = Step.objects.using(alias).filter(saga_id__in=keys, position__in=wanted).order_by()
        found.update({(saga, place): name for saga, place, name in rows.values_list("saga_id", "position", "name")})
    return found


def _errors(alias: str, failed: Iterable[_Failed]) -> dict[_Failed, tuple[str, str]]:
    """What was said last before an entry that says nothing new, because the last attempt failed as the one before."""
    wanted: dict[tuple[UUID, int], list[_Failed]] = defaultdict(list)
    for one in failed:
        wanted[one.saga, one.position].append(one)
    found = {one: ("", "") for ones in wanted.values() for one in ones}
    for keys in chunks({saga for saga, _place in wanted}):
        entries = HistoryEntry.objects.using(alias).filter(saga_id__in=keys, seq__isnull=False)
        told = entries.annotate(text=Cast("data", TextField())).filter(text__contains='"error_')
        for saga, seq, data in told.order_by("saga_id", "seq").values_list("saga_id", "seq", "data"):
            told_here = [(one, diff) for place, diff in _diffs(data) for one in wanted.get((saga, place), ())]
            for one, diff in told_here:
                code, message = found[one]
                if (seq or 0) <= one.seq:
                    found[one] = (str(diff.get("error_code", code)), str(diff.get("error_message", message)))
    return found


def moved(found: QuerySet[HistoryEntry]) -> set[UUID]:
    """Sagas that may have failed, or need nobody any more, by these entries."""
    telling = found.filter(~Q(kind__in=_ORDINARY) | Q(data__has_key="state") | Q(data__has_key="attention"))
    return set(telling.exclude(seq=1).order_by().values_list("saga_id", flat=True))


def chunks(keys: Iterable[UUID]) -> Iterator[list[UUID]]:
    """A few at a time, in order."""
    ordered = sorted(keys)
    for begin in range(0, len(ordered), CHUNK):
        yield ordered[begin : begin + CHUNK]
