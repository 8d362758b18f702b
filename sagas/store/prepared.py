"""Large statements, prepared once per connection: parsing and planning them costs more than running them.

In SQL (`PREPARE`, `EXECUTE`), so that it shows in every log of queries, under names that nobody else gives. Below
Django's own cursors such an `EXECUTE` is sent by name, with its values beside it: as a text, both sides would go
through them once more. Left alone where the project says, as Django's documentation asks, that its connections are
pooled per transaction (`DISABLE_SERVER_SIDE_CURSORS`): there the next transaction may meet another session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from django.db import DatabaseError
from django.db.backends.postgresql.base import Cursor, ServerBindingCursor
from django.db.backends.utils import CursorWrapper
from psycopg import RawCursor

#: Anything else below Django's wrapper, or around it, is somebody's who wants to see what is executed.
_DJANGOS = (Cursor, ServerBindingCursor)
#: No such prepared statement: somebody has discarded what the session knew.
_UNKNOWN = "26000"


class Prepared:
    """A statement with `%s` for its parameters: text that is cast, or in a place that tells its type.

    `texts`: SQL for `{…}` in it; one that has such is for connections that prepare, alone.
    """

    def __init__(self, name: str, sql: str, texts: Mapping[str, str] | None = None) -> None:
        self._sql = sql
        numbers = count(1)
        text = "".join(f"${next(numbers)}{part}" if i else part for i, part in enumerate(sql.split("%s")))
        if texts is not None:
            text = text.format_map(texts)
        # Its text is part of its name: two versions of this package may share a session one day.
        self.name = f"sagas_{name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        self.text = text
        self._prepare = f"PREPARE {self.name} AS {text}"
        self.execute = f"EXECUTE {self.name} ({', '.join(['%s'] * sql.count('%s'))})"

    def run(self, connection: Any, parameters: Sequence[str | None]) -> list[Any]:
        """Execute it; the rows."""
        with connection.cursor() as cursor:
            if prepares(connection):
                self._run_prepared(connection, cursor, parameters)
            else:
                cursor.execute(self._sql, parameters)
            rows: list[Any] = cursor.fetchall()
            return rows

    def _run_prepared(self, connection: Any, cursor: Any, parameters: Sequence[str | None]) -> None:
        known = _known(connection)
        if type(cursor) is CursorWrapper and type(cursor.cursor) in _DJANGOS:
            cursor.cursor = _Switch(cursor.cursor, self)
        if self.name in known:
            try:
                cursor.execute(self.execute, parameters)
            except DatabaseError as exc:
                if getattr(exc.__cause__, "sqlstate", None) != _UNKNOWN:
                    raise
                known.clear()
                if connection.in_atomic_block:
                    raise
            else:
                return
        cursor.execute(self._prepare)
        known.add(self.name)
        cursor.execute(self.execute, parameters)


def prepares(connection: Any) -> bool:
    """Whether its next transaction will meet the same session."""
    return not connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")


def _known(connection: Any) -> set[str]:
    """What the session behind this connection has prepared; it goes with the session."""
    session = connection.connection
    if not hasattr(session, "sagas_prepared"):
        session.sagas_prepared = set()
    found: set[str] = session.sagas_prepared
    return found


class _Switch:
    """The cursor below Django's wrapper: sends the `EXECUTE` of one statement by name. Whatever else comes (a wrapper
    of the project's may have changed the text) goes to the cursor that was there."""

    def __init__(self, plain: Any, statement: Prepared) -> None:
        self._plain = self._used = plain
        self._statement = statement
        self._session = plain.connection

    def execute(self, sql: str, params: Sequence[Any] | None = None) -> Any:
        """As the driver's."""
        if sql != self._statement.execute or params is None:
            self._used = self._plain
            return self._plain.execute(sql, params)
        if self._used is self._plain:
            # The session keeps one: to make it takes longer than to use it. Taken out, as two may want it at once.
            self._used = vars(self._session).pop("sagas_named", None) or _Named(self._session)
        return self._used.call(self._statement, params)

    def close(self) -> None:
        """Both, but for the one that is kept."""
        self._plain.close()
        if self._used is not self._plain:
            self._session.sagas_named = self._used

    def __getattr__(self, name: str) -> Any:
        return getattr(self._used, name)


class _Named(RawCursor[Any]):
    """Calls what was prepared in SQL by its name. The driver has no public way to: it knows by name only what it has
    prepared itself. Should it ask no more, the text is executed, with the same result."""

    _called = b""

    def call(self, statement: Prepared, params: Sequence[str | None]) -> Any:
        """Execute it."""
        self._called = statement.name.encode()
        return self.execute(statement.text, params)

    def _get_prepared(self, *args: Any, **options: Any) -> tuple[Any, bytes]:
        asked, _ = super()._get_prepared(*args, **options)
        return type(asked).YES, self._called
