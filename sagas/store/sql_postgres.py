"""PostgreSQL: a group is locked in one statement and written in three, with arrays that are unnested.

`UPDATE … FROM unnest` is planned anew each time (client-side binding) with sequential scans discouraged: on freshly
filled tables the planner otherwise reads them whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from ..conf import app_settings
from ..core.start import KIND, opening_state
from ..core.states import StepStatus
from ..crash import crash_point
from .arrays import Columns
from .base import DueSaga, Inserted, NewSaga
from .grouping import SagaWrite
from .prepared import Prepared
from .reading import SAGA_COLUMNS, STEP_COLUMNS
from .sql import no_lock
from .sql_write import statement_for

_NEW = (
    "id uuid, name text, version text, graph_id text, state text, rollback bool, context text, subject_type int, "
    "subject_id text, owner text, idempotency_key text, payload_hash text, tags text, priority int, wake_in float8, "
    "deadline_at timestamptz, request_id text, done bool"
)
#: What only children and sagas with a lock have.
_RELATED = ", parent_id uuid, parent_step text, parent_round int, depth int, lock_key text, lock_state text"
_PLAIN = "NULL, '', 0, 0, '', ''"
_NEW_STEP = Columns(
    "saga_id uuid, position int, name text, action text, compensation text, queue text, depends_on text, input text"
)
_NEW_HISTORY = Columns("id uuid, actor text, data text")


def _insert(name: str, columns: Columns, related: str) -> Prepared:
    """A statement that inserts sagas with their steps and the first lines of their histories."""
    return Prepared(
        name,
        f"""
WITH new AS (
    INSERT INTO sagas_saga (id, name, version, graph_id, state, revision, rollback, context, subject_type_id,
        subject_id, owner, idempotency_key, payload_hash, tags, priority, wake_at, deadline_at, attention, error_code,
        error_message, request_id, created_at, updated_at, completed_at, parent_id, parent_step, parent_round, depth,
        lock_key, lock_state)
    SELECT d.id, d.name, d.version, d.graph_id, d.state, 1, d.rollback, d.context::jsonb, d.subject_type, d.subject_id,
        d.owner, d.idempotency_key, d.payload_hash, d.tags::jsonb, d.priority,
        CASE WHEN d.done THEN NULL ELSE clock.now + d.wake_in * interval '1 second' END, d.deadline_at,
        '', '', '', d.request_id, clock.now, clock.now, CASE WHEN d.done THEN clock.now END,
        {related}
    FROM (SELECT clock_timestamp() AS now) clock, {columns.unnest} AS d({columns.names})
    ON CONFLICT (name, owner, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING id, created_at, wake_at
), steps AS (
    INSERT INTO sagas_step (saga_id, position, name, action, compensation, queue, depends_on, input, status, round,
        attempt, undo_attempt, tries, undo_tries, doubt, hold, crashes, error_code, error_message, opened, waits,
        answer, approved_by, owner)
    SELECT s.saga_id, s.position, s.name, s.action, s.compensation, s.queue, s.depends_on::jsonb, s.input::jsonb,
        %s, 1, 0, 0, 0, 0, false, '', 0, '', '', false, '', '', '', ''
    FROM {_NEW_STEP.unnest} AS s({_NEW_STEP.names}) JOIN new ON new.id = s.saga_id
), history AS (
    INSERT INTO sagas_historyentry (saga_id, seq, kind, step, attempt, round, actor, reason, data, at)
    SELECT new.id, 1, %s, '', 0, 0, h.actor, '', h.data::jsonb, new.created_at
    FROM new JOIN {_NEW_HISTORY.unnest} AS h({_NEW_HISTORY.names}) ON h.id = new.id
)
SELECT id, created_at, wake_at FROM new
""",  # noqa: S608 - put together from constants
    )


_NEW_PLAIN, _NEW_RELATED = Columns(_NEW), Columns(_NEW + _RELATED)
_INSERT_PLAIN = _insert("insert", _NEW_PLAIN, _PLAIN)
_INSERT_RELATED = _insert(
    "insert_related", _NEW_RELATED, "d.parent_id, d.parent_step, d.parent_round, d.depth, d.lock_key, d.lock_state"
)

_IDS = Columns("id uuid")
_STEP_FIELDS = ["id" if name == "pk" else name for name in STEP_COLUMNS]
_NO_SAGA = ", ".join(["NULL"] * (len(SAGA_COLUMNS) + 2))
_NO_STEP = ", ".join(["NULL"] * (len(STEP_COLUMNS) + 2))
#: Sagas with their steps in one statement, so of one moment: first the columns of a saga, then those of a step.
_READ = Prepared(
    "read",
    f"""
SELECT s.{", s.".join(SAGA_COLUMNS)}, s.context::text, statement_timestamp(), {_NO_STEP}
FROM sagas_saga AS s WHERE s.id IN (SELECT {_IDS.unnest})
UNION ALL
SELECT {_NO_SAGA}, t.{", t.".join(_STEP_FIELDS)}, t.input::text, t.output::text
FROM sagas_step AS t WHERE t.saga_id IN (SELECT {_IDS.unnest})
""",  # noqa: S608
)
_SAGA_WIDTH = len(SAGA_COLUMNS) + 2

#: A condition on `wake_at` behind an order by priority would read all that is not due yet. So the priorities that there
#: are come first, found by one step down the index each; then of each the due ones, until there are enough.
_DUE = """
WITH RECURSIVE priorities AS (
    (SELECT priority FROM sagas_saga WHERE wake_at IS NOT NULL AND (%s::int IS NULL OR priority <= %s)
     ORDER BY priority DESC LIMIT 1)
    UNION ALL
    SELECT (SELECT s.priority FROM sagas_saga AS s WHERE s.wake_at IS NOT NULL AND s.priority < p.priority
            ORDER BY s.priority DESC LIMIT 1)
    FROM priorities AS p WHERE p.priority IS NOT NULL
)
SELECT d.id, d.wake_at, p.priority FROM priorities AS p CROSS JOIN LATERAL (
    SELECT id, wake_at FROM sagas_saga AS s WHERE s.priority = p.priority AND s.wake_at IS NOT NULL
        AND s.wake_at <= statement_timestamp()
        AND (p.priority IS DISTINCT FROM %s::int OR (s.wake_at, s.id) > (%s::timestamptz, %s::uuid))
    ORDER BY s.wake_at, s.id LIMIT %s
) AS d
ORDER BY p.priority DESC, d.wake_at, d.id LIMIT %s
"""


class Postgres:
    """See `store.sql.Dialect`."""

    no_key = True
    skip_locked = True
    clock = (Now(),)
    one_statement = True

    def now(self, connection: Any) -> datetime:
        """Of the statement, not of the transaction: locks may have been waited for."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement_timestamp()")
            found: datetime = cursor.fetchone()[0]
            return found

    def begin(self, connection: Any) -> None:
        """Not in a transaction of the caller's, whose plans and pauses are not ours."""
        if connection.savepoint_ids or getattr(connection.connection, "sagas_pinned", False):
            return
        with connection.cursor() as cursor:
            cursor.execute(_settings("SET LOCAL"))

    @contextmanager
    def reading(self, connection: Any) -> Iterator[None]:
        """READ COMMITTED takes a new snapshot per statement; two reads of one saga need one."""
        with transaction.atomic(using=connection.alias):
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    def begin_atomic(self, connection: Any) -> None:
        """The handler's plans are its own."""

    def one_writer(self, alias: str) -> AbstractContextManager[Any]:
        """Row locks do it."""
        return no_lock(alias)

    @contextmanager
    def impatient(self, connection: Any) -> Iterator[None]:
        """A short wait is none: the other one may be about to commit."""
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
            yield
            cursor.execute("SET LOCAL lock_timeout TO DEFAULT")

    def insert(self, connection: Any, sagas: Sequence[NewSaga]) -> dict[UUID, Inserted]:
        """All rows in one statement."""
        rows, steps, history = [], [], []
        related = any(new.parent or new.lock_key for new in sagas)
        columns, statement = (_NEW_RELATED, _INSERT_RELATED) if related else (_NEW_PLAIN, _INSERT_PLAIN)
        for new in sagas:
            state, data = opening_state(new.graph, new.deadline_at, new.lock_state)
            rows.append(
                (
                    new.id, new.name, new.version, new.graph.hash, str(state), new.rollback, new.context,
                    new.subject_type, new.subject_id, new.owner, new.idempotency_key, new.payload_hash, new.tags,
                    new.priority, new.wake_in.total_seconds(), new.deadline_at, new.request_id, not new.graph.steps,
                    *(_related(new) if related else ()),
                )
            )  # fmt: skip
            history.append((new.id, new.owner, json.dumps(data)))
            for position, spec in enumerate(new.graph.steps):
                needed = str(list(spec.depends_on))
                steps.append(
                    (
                        new.id, position, spec.name, spec.does, spec.compensation, spec.queue, needed,
                        new.inputs.get(position),
                    )
                )  # fmt: skip
        parameters = [
            *columns.literals(rows),
            str(StepStatus.PENDING),
            *_NEW_STEP.literals(steps),
            KIND,
            *_NEW_HISTORY.literals(history),
        ]
        return {row[0]: Inserted(row[1], row[2]) for row in statement.run(connection, parameters)}

    def read(self, connection: Any, ids: Sequence[UUID]) -> tuple[list[Any], list[Any]]:
        """One statement."""
        literal = _IDS.literals([(saga_id,) for saga_id in ids])
        rows = _READ.run(connection, [*literal, *literal])
        sagas = [row[:_SAGA_WIDTH] for row in rows if row[0] is not None]
        return sagas, [row[_SAGA_WIDTH:] for row in rows if row[0] is None]

    def due(self, connection: Any, *, limit: int, after: DueSaga | None) -> list[tuple[UUID, datetime, int]]:
        """Along the partial index, one priority after the other."""
        top, at, last = (None, None, None) if after is None else (after.priority, after.wake_at, after.id)
        with connection.cursor() as cursor:
            cursor.execute(_DUE, [top, top, top, at, last, limit, limit])
            return list(cursor.fetchall())

    def write(self, connection: Any, writes: Sequence[SagaWrite]) -> set[UUID]:
        """One statement, however large the group."""
        crash_point("group_before_write")
        written = statement_for(writes).run(connection, writes)
        crash_point("group_after_write")
        return written

    def pin(self, connection: Any) -> None:
        """For as long as the connection lives: for a worker's own connections."""
        connection.ensure_connection()
        if not getattr(connection.connection, "sagas_pinned", False):
            with connection.cursor() as cursor:
                cursor.execute(_settings("SET"))
            connection.connection.sagas_pinned = True


def _related(new: NewSaga) -> tuple[Any, ...]:
    return new.parent, new.parent_step, new.parent_round, new.depth, new.lock_key, str(new.lock_state)


def _settings(verb: str) -> str:
    """Plans are pinned to the indexes. A process that freezes in the middle of a group loses its locks well before
    others take its work over."""
    pause = int(app_settings().LEASE.total_seconds() * 1000 / 3)
    return f"{verb} enable_seqscan = off; {verb} idle_in_transaction_session_timeout = {max(pause, 1)}"


POSTGRES = Postgres()
