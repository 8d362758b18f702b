"""Large statements, prepared once per connection: parsing and planning them costs more than running them.

The driver does it, and sends the parameters beside the text. (Django has them put into the text, and then the server
reads them once more.) Left alone where the project says, as Django's documentation asks, that its connections are
pooled per transaction (`DISABLE_SERVER_SIDE_CURSORS`): there the next transaction may meet another session.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from django.db import DatabaseError
from psycopg import RawCursor

#: No such prepared statement: somebody has discarded what the session knew.
_UNKNOWN = "26000"


class Prepared:
    """A statement with `%s` for its parameters, each of them text that is cast, or in a place that tells its type.

    `texts`: SQL for `{…}` in it.
    """

    def __init__(self, sql: str, texts: Mapping[str, str] | None = None) -> None:
        numbers = count(1)
        numbered = "".join(f"${next(numbers)}{part}" if i else part for i, part in enumerate(sql.split("%s")))
        if texts is None:
            self._sql, self._numbered = sql, numbered
        else:
            self._sql = sql.format_map({name: text.replace("%", "%%") for name, text in texts.items()})
            self._numbered = numbered.format_map(texts)

    def run(self, connection: Any, parameters: Sequence[str | None]) -> list[Any]:
        """Execute it; the rows."""
        if not prepares(connection) or _is_watched(connection):
            with connection.cursor() as cursor:
                cursor.execute(self._sql, parameters)
                return list(cursor.fetchall())
        raw = _cursor(connection)
        # In Django's wrapper: it calls the project's, and makes Django's errors of the driver's.
        cursor = connection.make_cursor(raw)
        raw.prepared = self._numbered
        try:
            cursor.execute(self._numbered, parameters)
        except DatabaseError as exc:
            # A transaction can not go on; the driver forgets what it has prepared when that is rolled back.
            if getattr(exc.__cause__, "sqlstate", None) != _UNKNOWN or connection.in_atomic_block:
                raise
            cursor.execute("DEALLOCATE ALL")  # the driver reads along
            cursor.execute(self._numbered, parameters)
        with connection.wrap_database_errors:
            return raw.fetchall()


def prepares(connection: Any) -> bool:
    """Whether its next transaction will meet the same session."""
    return not connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")


def _is_watched(connection: Any) -> bool:
    """Somebody wants to see what is executed, with its values: Django's own log of queries (`DEBUG`), or cursors that
    a developer's toolbar has put into this connection."""
    return connection.queries_logged or "cursor" in vars(connection)


def _cursor(connection: Any) -> _Cursor:
    """The session's; it goes with the session. What Django's own `cursor()` does before it makes one is done here."""
    if connection.health_check_enabled:
        connection.close_if_health_check_failed()
    connection.ensure_connection()  # refuses, where an event loop runs in this thread
    connection.validate_thread_sharing()
    session = connection.connection
    try:
        found: _Cursor = session.sagas_cursor
    except AttributeError:
        found = session.sagas_cursor = _Cursor(session)
    return found


class _Cursor(RawCursor[Any]):
    """Has one statement prepared. Django switches the driver's preparing off: it is on for this call alone."""

    #: That statement.
    prepared = ""

    def execute(self, query: Any, params: Any = None, **options: Any) -> _Cursor:
        """What a wrapper has changed, by a comment that is another each time, is not worth preparing."""
        session = self.connection
        threshold, session.prepare_threshold = session.prepare_threshold, 0
        try:
            super().execute(query, params, prepare=query == self.prepared, **options)
        finally:
            session.prepare_threshold = threshold
        return self
