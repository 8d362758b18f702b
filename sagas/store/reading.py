"""Rows of the tables as the core sees them, and what is done with those that make no sense."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db.models import TextField
from django.db.models.functions import Cast

from ..core.errors import InvariantError, SagaError
from ..core.graph import Graph
from ..core.rows import SagaRow, StepRow
from ..core.states import Hold, Lock, SagaState, StepStatus, Wait
from ..models import SagaGraph, Step
from .base import Loaded, Texts
from .grouping import SagaWrite, complain

#: What is read of a saga; then, where wanted, its context as text; then the database's time, where it has one.
SAGA_COLUMNS = (
    "id",
    "graph_id",
    "rollback",
    "state",
    "revision",
    "wake_at",
    "updated_at",
    "stale_since",
    "paused_at",
    "attention",
    "error_code",
    "error_message",
    "completed_at",
    "deadline_at",
    "overdue_at",
    "rewind_to",
    "parent_id",
    "parent_step",
    "parent_round",
    "depth",
    "lock_key",
    "lock_state",
    "name",
    "request_id",
)
_LOCK, _NAME = SAGA_COLUMNS.index("lock_state"), SAGA_COLUMNS.index("name")
STEP_COLUMNS = (
    "saga_id",
    "pk",
    "position",
    "status",
    "round",
    "attempt",
    "undo_attempt",
    "tries",
    "undo_tries",
    "doubt",
    "claim_worker",
    "claim_token",
    "claimed_at",
    "stale_worker",
    "stale_token",
    "hold",
    "due_at",
    "crashes",
    "error_code",
    "error_message",
    "started_at",
    "executed_at",
    "compensated_at",
    "undo_started_at",
    "opened",
    "waits",
    "answer",
    "approved_by",
    "owner",
    "held_since",
)
_HOLD, _WAIT, _WIDTH = STEP_COLUMNS.index("hold"), STEP_COLUMNS.index("waits"), len(STEP_COLUMNS)
CONTEXT = Cast("context", TextField())
PAYLOADS = (Cast("input", TextField()), Cast("output", TextField()), Cast("undo_output", TextField()))
_STATES = {state.value: state for state in SagaState}
_STATUSES = {status.value: status for status in StepStatus}
_HOLDS = {hold.value: hold for hold in Hold}
_WAITS = {wait.value: wait for wait in Wait}
_LOCKS = {lock.value: lock for lock in Lock}


@lru_cache(maxsize=1024)
def stored_graph(digest: str, alias: str) -> Graph:
    """A frozen graph; immutable, so it is read once per process."""
    data = SagaGraph.objects.using(alias).filter(pk=digest).values_list("data", flat=True).first()
    if data is None:
        raise InvariantError(f"the graph {digest} of a saga is gone from the table {SagaGraph._meta.db_table}")
    return Graph.from_json(data)


def read_saga(row: Sequence[Any], alias: str) -> SagaRow:
    """A row of SAGA_COLUMNS as the core sees it."""
    values = (row[0], stored_graph(row[1], alias), row[2], _STATES[row[3]], *row[4:_LOCK], _LOCKS[row[_LOCK]])
    return SagaRow(*values)


def read_step(row: Sequence[Any]) -> StepRow:
    """A row of STEP_COLUMNS as the core sees it."""
    hold, waits = _HOLDS[row[_HOLD]], _WAITS[row[_WAIT]]
    values = (row[2], _STATUSES[row[3]], *row[4:_HOLD], hold, *row[_HOLD + 1 : _WAIT], waits, *row[_WAIT + 1 : _WIDTH])
    return StepRow(*values)


def added_step(write: SagaWrite, position: int) -> Step:
    """The row of a step that was added to a saga."""
    row, spec = write.loaded.steps[position], write.loaded.saga.graph.steps[position]
    values = {name: getattr(row, name) for name in STEP_COLUMNS if name not in ("saga_id", "pk")}
    text, _ = write.input_of(position)
    return Step(
        saga_id=write.loaded.saga.id,
        name=spec.name,
        action=spec.does,
        compensation=spec.compensation,
        queue=spec.queue,
        depends_on=list(spec.depends_on),
        input=None if text is None else json.loads(text),
        **values,
    )


def changed_steps(write: SagaWrite) -> Iterator[tuple[int, dict[str, Any]]]:
    """Keys of the rows of steps that are declared in another way now, and what is to be written there."""
    graph, old = write.loaded.saga.graph, write.graph
    for position in range(write.rows):
        spec, before = graph.steps[position], old.steps[position]
        values: dict[str, Any] = {"depends_on": list(spec.depends_on)}
        if not spec.join:  # what was opened out is still known by its action
            values |= {"name": spec.name, "action": spec.does, "compensation": spec.compensation, "queue": spec.queue}
        if spec != before:
            yield write.loaded.keys[position], values


def renamed_steps(write: SagaWrite) -> Iterator[tuple[int, dict[str, Any]]]:
    """Keys of the rows of steps that get other names, with names on the way that no step has."""
    graph, old = write.loaded.saga.graph, write.graph
    for position in range(write.rows):
        if graph.steps[position].name != old.steps[position].name:
            yield write.loaded.keys[position], {"name": f"\x01{position}"}


#: What reading a row raises that a newer version, or somebody's hand, has written.
_UNREADABLE = (SagaError, LookupError, ValueError, TypeError)


def _broken(saga_id: UUID, exc: Exception) -> InvariantError:
    text = f"its rows can not be read: {exc!r}"
    complain(saga_id, text)
    return InvariantError(f"saga {saga_id}: {text}", saga_id=saga_id)


@dataclass(slots=True)
class Read:
    """Sagas with their steps; those whose rows can not be read; the time at which they were read."""

    found: dict[UUID, Loaded] = field(default_factory=dict)
    unreadable: dict[UUID, SagaError] = field(default_factory=dict)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


def collect(saga_rows: Iterable[Sequence[Any]], step_rows: Iterable[Sequence[Any]], alias: str, **how: bool) -> Read:
    """Put rows together. `payloads`: they carry their payloads as text. `clock`: a saga's row ends in the time."""
    read = Read()
    for row in saga_rows:
        read.now = row[-1] if how.get("clock") else read.now
        try:
            saga = read_saga(row, alias)
        except _UNREADABLE as exc:
            read.unreadable[row[0]] = _broken(row[0], exc)
            continue
        texts = Texts(saga.revision, row[_NAME + 2], {}, {}) if how.get("payloads") else None
        read.found[saga.id] = Loaded(saga, [], row[_NAME], row[_NAME + 1], [], saga.revision, saga.wake_at, texts)
    for row in sorted(step_rows, key=itemgetter(2)):
        _add_step(read, row)
    for saga_id in read.unreadable:
        read.found.pop(saga_id, None)
    return read


def _add_step(read: Read, row: Sequence[Any]) -> None:
    loaded = read.found.get(row[0])
    if loaded is None:
        return
    try:
        loaded.steps.append(read_step(row))
    except _UNREADABLE as exc:
        read.unreadable[row[0]] = _broken(row[0], exc)
    loaded.keys = [*loaded.keys, row[1]]
    if loaded.texts is not None:
        loaded.texts.add(row[2], *row[_WIDTH:])
