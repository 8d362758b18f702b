"""PostgreSQL: what writes a decided group, in one statement that is conditional on each saga's revision.

There are two, that differ in their columns alone: most transitions (a claim, a completed or undone step, a rejection)
change few of them, and for small groups the arrays cost more than the rows. What compensations return is in the larger
one only: most return nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any
from uuid import UUID

from ..core.history import DERIVED, SAGA_FIELDS, STEP_FIELDS
from .arrays import Columns
from .grouping import SagaWrite
from .prepared import Prepared

_SAGA_TYPES = {"rewind_to": "int"}
_STEP_TYPES = {
    **dict.fromkeys(
        ("status", "hold", "error_code", "error_message", "waits", "answer", "approved_by", "owner"), "text"
    ),
    **dict.fromkeys(("round", "attempt", "undo_attempt", "tries", "undo_tries", "crashes"), "int"),
    **dict.fromkeys(("doubt", "opened"), "bool"),
    **dict.fromkeys(("claim_worker", "stale_worker"), "uuid"),
    **dict.fromkeys(("claim_token", "stale_token"), "bigint"),
}
#: What most transitions change, and nothing else.
OFTEN_OF_SAGA = ("state", "completed_at", "error_code", "error_message")
OFTEN_OF_STEP = (
    "status", "attempt", "undo_attempt", "claim_worker", "claim_token", "claimed_at", "started_at", "executed_at",
    "compensated_at", "undo_started_at", "error_code", "error_message",
)  # fmt: skip

_KEY = Columns("id uuid, revision int")
_HISTORY = Columns(
    "saga_id uuid, seq int, kind text, step text, attempt int, round int, actor text, reason text, data text, "
    "note_key text, at timestamptz"
)


def _typed(names: Sequence[str], types: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {types.get(name) or _type_of(name)}" for name in names)


def _type_of(name: str) -> str:
    return "timestamptz" if name.endswith(("_at", "_since")) else "text"


def _set(names: Sequence[str]) -> str:
    return ", ".join(f"{name} = d.{name}" for name in names)


class Write:
    """A statement that writes these columns."""

    def __init__(self, name: str, saga: Sequence[str], step: Sequence[str], *, replaces: bool) -> None:
        always = ("revision", "wake_at", "updated_at")
        saga = (*always, *saga)
        self._replaces = replaces
        self._saga = Columns(f"id uuid, {_typed(saga, {**_SAGA_TYPES, 'revision': 'int'})}, patch text")
        flags = ", undo_output text, replaces bool, cleared bool" if replaces else ""
        self._step = Columns(f"saga_id uuid, id bigint, {_typed(step, _STEP_TYPES)}, input text, output text{flags}")
        self._saga_values = attrgetter("id", *saga)
        self._step_values = attrgetter(*step)
        self._statement = Prepared(name, self._sql(saga, step))

    def _sql(self, saga: Sequence[str], step: Sequence[str]) -> str:
        payloads = "input = COALESCE(s.input, d.input::jsonb), output = COALESCE(d.output::jsonb, s.output)"
        if self._replaces:
            payloads = """
        input = CASE WHEN d.replaces THEN d.input::jsonb ELSE COALESCE(s.input, d.input::jsonb) END,
        output = CASE WHEN d.cleared THEN d.output::jsonb ELSE COALESCE(d.output::jsonb, s.output) END,
        undo_output = CASE WHEN d.cleared THEN d.undo_output::jsonb
                           ELSE COALESCE(d.undo_output::jsonb, s.undo_output) END"""
        return f"""
WITH mine AS (
    SELECT s.id FROM sagas_saga AS s JOIN {_KEY.unnest} AS k({_KEY.names}) ON s.id = k.id AND s.revision = k.revision
    FOR NO KEY UPDATE OF s SKIP LOCKED
), sagas AS (
    UPDATE sagas_saga AS s SET {_set(saga)},
        context = CASE WHEN d.patch IS NULL THEN s.context ELSE s.context || d.patch::jsonb END
    FROM {self._saga.unnest} AS d({self._saga.names}) JOIN mine ON mine.id = d.id
    WHERE s.id = d.id
), steps AS (
    UPDATE sagas_step AS s SET {_set(step)}, {payloads}
    FROM {self._step.unnest} AS d({self._step.names}) JOIN mine ON mine.id = d.saga_id
    WHERE s.id = d.id
), history AS (
    INSERT INTO sagas_historyentry (saga_id, seq, kind, step, attempt, round, actor, reason, data, note_key, at)
    SELECT d.saga_id, d.seq, d.kind, d.step, d.attempt, d.round, d.actor, d.reason, d.data::jsonb, d.note_key, d.at
    FROM {_HISTORY.unnest} AS d({_HISTORY.names}) JOIN mine ON mine.id = d.saga_id
    ON CONFLICT (saga_id, note_key) WHERE note_key IS NOT NULL DO NOTHING
)
SELECT id FROM mine
"""  # noqa: S608 - put together from constants

    def run(self, connection: Any, writes: Sequence[SagaWrite]) -> set[UUID]:
        """Write; the sagas that were still at the revision they were decided from."""
        parameters = [
            *_KEY.literals([(write.loaded.saga.id, write.loaded.read_revision) for write in writes]),
            *self._saga.literals([self._saga_row(write) for write in writes if write.moved or write.woken]),
            *self._step.literals([row for write in writes for row in self._step_rows(write)]),
            *_HISTORY.literals([row for write in writes for row in _history_rows(write)]),
        ]
        return {row[0] for row in self._statement.run(connection, parameters)}

    def _saga_row(self, write: SagaWrite) -> tuple[Any, ...]:
        return (*self._saga_values(write.loaded.saga), write.patch())

    def _step_rows(self, write: SagaWrite) -> list[tuple[Any, ...]]:
        loaded, rows = write.loaded, []
        for position in write.written:
            text, replaces = write.input_of(position)
            values = (*self._step_values(loaded.steps[position]), text, write.outputs.get(position))
            if self._replaces:
                values += write.undo_outputs.get(position), replaces, position in write.cleared
            rows.append((loaded.saga.id, loaded.keys[position], *values))
        return rows


def _history_rows(write: SagaWrite) -> list[tuple[Any, ...]]:
    saga = write.loaded.saga
    return [
        (
            saga.id, entry.seq, entry.kind,
            "" if entry.position is None else saga.graph.steps[entry.position].name, entry.attempt, entry.round,
            entry.actor, entry.reason, json.dumps(entry.data or {}), entry.note_key, entry.at,
        )
        for entry in write.entries
    ]  # fmt: skip


_OFTEN = Write("write", OFTEN_OF_SAGA, OFTEN_OF_STEP, replaces=False)
#: With what the history does not tell: where it changes, something that is told does too.
_ALL = Write("write_all", SAGA_FIELDS, (*STEP_FIELDS, *sorted(DERIVED)), replaces=True)
_RARE_OF_SAGA = frozenset(SAGA_FIELDS) - set(OFTEN_OF_SAGA)
_RARE_OF_STEP = frozenset(STEP_FIELDS) - set(OFTEN_OF_STEP)


def statement_for(writes: Sequence[SagaWrite]) -> Write:
    """The smaller statement, where all that the group changes is in it."""
    return _ALL if any(map(_is_rare, writes)) else _OFTEN


def _is_rare(write: SagaWrite) -> bool:
    if write.edits or write.cleared or write.version or write.undo_outputs:
        return True
    for entry in write.entries:
        if entry.seq is None or not entry.data:
            continue
        # The history tells of every field that has changed.
        if not _RARE_OF_SAGA.isdisjoint(entry.data):
            return True
        for diff in entry.data.get("steps", {}).values():
            if not _RARE_OF_STEP.isdisjoint(diff):
                return True
    return False
