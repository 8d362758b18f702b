"""PostgreSQL: what starts sagas, in one statement with their steps and the first lines of their histories.

Most starts are of a few definitions, again and again. Those get a statement of their own, with what all their sagas
share in its text: neither side puts it together or takes it apart again, and that is a quarter of what a start costs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ..core.graph import StepSpec
from ..core.start import KIND, opening_state
from ..core.states import SagaState, StepStatus
from .arrays import Columns
from .base import Inserted, NewSaga
from .prepared import Prepared, prepares

#: What each saga brings of its own …
_OWN = (
    "id uuid, rollback bool, context jsonb, subject_type int, subject_id text, owner text, idempotency_key text, "
    "payload_hash text, tags jsonb, priority int, wake_in float8, deadline_at timestamptz, request_id text"
)
#: … what those of one definition share …
_SHARED = ("name", "version", "graph_id", "state")
#: … and what only children and sagas with a lock have.
_RELATED = ", parent_id uuid, parent_step text, parent_round int, depth int, lock_key text, lock_state text"
_UNRELATED = {"parent_id": "NULL", "parent_round": "0", "depth": "0"}
_STEP = Columns(
    "saga_id uuid, position int, name text, action text, compensation text, queue text, depends_on jsonb, input jsonb"
)
_INPUTS, _DATA = Columns("id uuid, inputs jsonb"), Columns("id uuid, data jsonb")
_STEPS_IN_TEXT = "(VALUES {steps}) AS s(position, name, action, compensation, queue, depends_on)"
#: Times come as numbers: reading a timestamp costs the driver more than the rest of the row.
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A definition gets a statement of its own once so many of its starts were seen. So many have one.
_OFTEN = 3
_MOST = 100


def _sql(columns: Columns, *, sagas: str, steps: str, step_input: str, data: str, shared: Sequence[str] = ()) -> str:
    """Where the parts come from: `sagas`, as `d`; `steps` of `new` sagas, as `s`, with their inputs; `data` of their
    histories, as `h`. `shared` is what all the sagas have in common."""

    def of(column: str) -> str:
        if column in shared:
            return "{" + column + "}"
        return f"d.{column}" if column in columns.listed else _UNRELATED.get(column, "''")

    done = f"{of('state')} = '{SagaState.COMPLETED}'"
    return f"""
WITH new AS (
    INSERT INTO sagas_saga (id, name, version, graph_id, state, revision, rollback, context, subject_type_id,
        subject_id, owner, idempotency_key, payload_hash, tags, priority, wake_at, deadline_at, attention, error_code,
        error_message, request_id, created_at, updated_at, completed_at, parent_id, parent_step, parent_round, depth,
        lock_key, lock_state)
    SELECT d.id, {of("name")}, {of("version")}, {of("graph_id")}, {of("state")}, 1, d.rollback, d.context,
        d.subject_type, d.subject_id, d.owner, d.idempotency_key, d.payload_hash, d.tags, d.priority,
        CASE WHEN {done} THEN NULL ELSE clock.now + d.wake_in * interval '1 second' END, d.deadline_at, '', '', '',
        d.request_id, clock.now, clock.now, CASE WHEN {done} THEN clock.now END, {of("parent_id")},
        {of("parent_step")}, {of("parent_round")}, {of("depth")}, {of("lock_key")}, {of("lock_state")}
    FROM (SELECT clock_timestamp() AS now) AS clock, {sagas} AS d({columns.names})
    ON CONFLICT (name, owner, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, owner, created_at
), steps AS (
    INSERT INTO sagas_step (saga_id, position, name, action, compensation, queue, depends_on, input, status, round,
        attempt, undo_attempt, tries, undo_tries, doubt, hold, crashes, error_code, error_message, opened, waits,
        answer, approved_by, owner)
    SELECT new.id, s.position, s.name, s.action, s.compensation, s.queue, s.depends_on, {step_input},
        '{StepStatus.PENDING}', 1, 0, 0, 0, 0, false, '', 0, '', '', false, '', '', '', ''
    FROM new {steps}
), history AS (
    INSERT INTO sagas_historyentry (saga_id, seq, kind, step, attempt, round, actor, reason, data, at)
    SELECT new.id, 1, '{KIND}', '', 0, 0, new.owner, '', h.data, new.created_at FROM new {data}
)
SELECT id, (extract(epoch FROM created_at) * 1000000)::bigint FROM new
"""  # noqa: S608 - put together from constants


class _OfAny:
    """Starts sagas of any definitions."""

    def __init__(self, name: str, *, related: bool) -> None:
        self._columns = Columns(_OWN + "".join(f", {name} text" for name in _SHARED) + (_RELATED if related else ""))
        self._related = related
        sql = _sql(
            self._columns,
            sagas=self._columns.unnest,
            steps=_joined(_STEP, "s", key="saga_id"),
            step_input="s.input",
            data=_joined(_DATA, "h"),
        )
        self._statement = Prepared(name, sql)

    def run(self, connection: Any, sagas: Sequence[NewSaga]) -> list[Any]:
        """Insert them; ids and times of those that were new."""
        steps = [
            (new.id, position, *_step(spec), new.inputs.get(position))
            for new in sagas
            for position, spec in enumerate(new.graph.steps)
        ]
        parameters = [
            *self._columns.literals([self._row(new) for new in sagas]),
            *_STEP.literals(steps),
            *_DATA.literals([(new.id, _first_entry(new)) for new in sagas]),
        ]
        return self._statement.run(connection, parameters)

    def _row(self, new: NewSaga) -> tuple[Any, ...]:
        row = (*_own(new), *_definition(new), str(opening_state(new.graph)[0]))
        if not self._related:
            return row
        return *row, new.parent, new.parent_step, new.parent_round, new.depth, new.lock_key, str(new.lock_state)


class _OfOne:
    """Starts sagas of one definition, many or one alone, that have steps, no parent and no lock."""

    def __init__(self, connection: Any, like: NewSaga, *, lone: bool) -> None:
        self._columns = Columns(_OWN)
        self._lone = lone
        steps = f"CROSS JOIN {_STEPS_IN_TEXT}"
        if lone:
            sagas, steps = self._columns.row, f"CROSS JOIN (SELECT %s::jsonb AS inputs) AS i {steps}"
            data = "CROSS JOIN (SELECT %s::jsonb AS data) AS h"
        else:
            sagas, steps, data = self._columns.unnest, f"{_joined(_INPUTS, 'i')} {steps}", _joined(_DATA, "h")
        self._statement = Prepared(
            f"start_{'one' if lone else 'many'}",
            _sql(
                self._columns,
                sagas=sagas,
                steps=steps,
                step_input="i.inputs -> s.position::text",
                data=data,
                shared=_SHARED,
            ),
            _texts(connection, like),
        )

    def run(self, connection: Any, sagas: Sequence[NewSaga]) -> list[Any]:
        """Insert them; ids and times of those that were new."""
        inputs, data = [_inputs(new) for new in sagas], [_first_entry(new) for new in sagas]
        if self._lone:
            return self._statement.run(connection, [*_own_texts(sagas[0]), inputs[0], data[0]])
        ids = [new.id for new in sagas]
        parameters = [
            *self._columns.literals([_own(new) for new in sagas]),
            *_INPUTS.literals(list(zip(ids, inputs, strict=True))),
            *_DATA.literals(list(zip(ids, data, strict=True))),
        ]
        return self._statement.run(connection, parameters)


def _texts(connection: Any, like: NewSaga) -> dict[str, str]:
    """What sagas of the definition share, as literals."""
    quote = partial(connection.ops.compose_sql, "%s")
    shared = zip(_SHARED, (like.name, like.version, like.graph.hash, str(SagaState.STARTED)), strict=True)
    steps = [
        f"({position}, {', '.join(quote([value]) for value in _step(spec))}::jsonb)"
        for position, spec in enumerate(like.graph.steps)
    ]
    return {**{name: quote([value]) for name, value in shared}, "steps": ", ".join(steps)}


def _joined(columns: Columns, name: str, *, key: str = "id") -> str:
    return f"JOIN {columns.unnest} AS {name}({columns.names}) ON {name}.{key} = new.id"


def _inputs(new: NewSaga) -> str:
    return "{" + ",".join([f'"{position}":{text}' for position, text in new.inputs.items()]) + "}"


def _first_entry(new: NewSaga) -> str:
    return json.dumps(opening_state(new.graph, new.deadline_at, new.lock_state)[1])


def _own(new: NewSaga) -> tuple[Any, ...]:
    return (
        new.id, new.rollback, new.context, new.subject_type, new.subject_id, new.owner, new.idempotency_key,
        new.payload_hash, new.tags, new.priority, new.wake_in.total_seconds(), new.deadline_at, new.request_id,
    )  # fmt: skip


def _own_texts(new: NewSaga) -> tuple[str | None, ...]:
    """The same as one row's parameters."""
    subject = None if new.subject_type is None else str(new.subject_type)
    deadline = None if new.deadline_at is None else new.deadline_at.isoformat()
    return (
        new.id.hex, "t" if new.rollback else "f", new.context, subject, new.subject_id, new.owner, new.idempotency_key,
        new.payload_hash, new.tags, str(new.priority), str(new.wake_in.total_seconds()), deadline, new.request_id,
    )  # fmt: skip


def _step(spec: StepSpec) -> tuple[str, ...]:
    return spec.name, spec.does, spec.compensation, spec.queue, str(list(spec.depends_on))


_PLAIN, _FAMILY = _OfAny("start", related=False), _OfAny("start_related", related=True)


def _definition(new: NewSaga) -> tuple[str, str, str]:
    return new.name, new.version, new.graph.hash


def _inserted(new: NewSaga, microseconds: int) -> Inserted:
    at = _EPOCH + timedelta(microseconds=microseconds)
    return Inserted(at, at + new.wake_in if new.graph.steps else None)


class Starts:
    """Which statement starts which sagas. Seen and made per process; a race between threads makes one twice."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str, bool], int] = {}
        self._of_one: dict[tuple[str, str, str, bool], _OfOne] = {}

    def insert(self, connection: Any, sagas: Sequence[NewSaga]) -> list[Inserted | None]:
        """One statement; None for those whose idempotency key was used before."""
        rows = self._statement(connection, sagas).run(connection, sagas)
        if len(sagas) == 1:
            return [_inserted(sagas[0], rows[0][1]) if rows else None]
        at = dict(rows)
        return [_inserted(new, at[new.id]) if new.id in at else None for new in sagas]

    def _statement(self, connection: Any, sagas: Sequence[NewSaga]) -> _OfAny | _OfOne:
        first, others = sagas[0], sagas[1:]
        if first.parent or first.lock_key or any(new.parent or new.lock_key for new in others):
            return _FAMILY
        definition, lone = _definition(first), not others
        if not (
            first.graph.steps
            and prepares(connection)
            and (lone or all(_definition(new) == definition for new in others))
        ):
            return _PLAIN
        key = (*definition, lone)
        found = self._of_one.get(key)
        if found is None:
            if not self._is_frequent(key):
                return _PLAIN
            found = self._of_one[key] = _OfOne(connection, first, lone=lone)
        return found

    def _is_frequent(self, key: tuple[str, str, str, bool]) -> bool:
        if len(self._seen) > _MOST:  # sagas with step lists of their own may have ever new graphs
            self._seen.clear()
        self._seen[key] = count = self._seen.get(key, 0) + 1
        return count >= _OFTEN and len(self._of_one) < _MOST
