"""PostgreSQL: a group is locked in one statement and written in three, with arrays that are unnested.

`UPDATE … FROM unnest` is planned anew each time (client-side binding) with sequential scans discouraged: on freshly
filled tables the planner otherwise reads them whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from ..conf import app_settings
from ..crash import crash_point
from .arrays import Columns
from .base import DueSaga, Inserted, NewSaga
from .grouping import SagaWrite
from .prepared import Prepared
from .reading import SAGA_COLUMNS, STEP_COLUMNS
from .sql import no_lock
from .sql_start import Starts
from .sql_write import statement_for

_STARTS = Starts()
_IDS = Columns("id uuid")
_STEP_FIELDS = ["id" if name == "pk" else name for name in STEP_COLUMNS]
_NO_SAGA = ", ".join(["NULL"] * (len(SAGA_COLUMNS) + 2))
_NO_STEP = ", ".join(["NULL"] * (len(STEP_COLUMNS) + 3))
#: Sagas with their steps in one statement, so of one moment: first the columns of a saga, then those of a step.
_READ = Prepared(
    "read",
    f"""
SELECT s.{", s.".join(SAGA_COLUMNS)}, s.context::text, statement_timestamp(), {_NO_STEP}
FROM sagas_saga AS s WHERE s.id IN (SELECT {_IDS.unnest})
UNION ALL
SELECT {_NO_SAGA}, t.{", t.".join(_STEP_FIELDS)}, t.input::text, t.output::text, t.undo_output::text
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

    def insert(self, connection: Any, sagas: Sequence[NewSaga]) -> list[Inserted | None]:
        """All rows in one statement."""
        return _STARTS.insert(connection, sagas)

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


def _settings(verb: str) -> str:
    """Plans are pinned to the indexes. A process that freezes in the middle of a group loses its locks well before
    others take its work over."""
    pause = int(app_settings().LEASE.total_seconds() * 1000 / 3)
    return f"{verb} enable_seqscan = off; {verb} idle_in_transaction_session_timeout = {max(pause, 1)}"


POSTGRES = Postgres()
