"""Large statements, prepared once per connection: parsing and planning them costs more than running them.

In SQL (`PREPARE`, `EXECUTE`), so that it needs nothing of the driver and shows in every log of queries. Left alone
where the project says, as Django's documentation asks, that its connections are pooled per transaction
(`DISABLE_SERVER_SIDE_CURSORS`): there the next transaction may meet another session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from django.db import DatabaseError

#: No such prepared statement: somebody has discarded what the session knew.
_UNKNOWN = "26000"


class Prepared:
    """A statement with `%s` for its parameters, each of them cast or in a place that tells its type.

    `texts`: SQL for `{…}` in it; one that has such is for connections that prepare, alone.
    """

    def __init__(self, name: str, sql: str, texts: Mapping[str, str] | None = None) -> None:
        self._sql = sql
        numbers = count(1)
        text = "".join(f"${next(numbers)}{part}" if i else part for i, part in enumerate(sql.split("%s")))
        if texts is not None:
            text = text.format_map(texts)
        # Its text is part of its name: two versions of this package may share a session one day.
        self._name = f"sagas_{name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        self._prepare = f"PREPARE {self._name} AS {text}"
        self._execute = f"EXECUTE {self._name} ({', '.join(['%s'] * sql.count('%s'))})"

    def run(self, connection: Any, parameters: Sequence[Any]) -> list[Any]:
        """Execute it; the rows."""
        with connection.cursor() as cursor:
            if prepares(connection):
                self._run_prepared(connection, cursor, parameters)
            else:
                cursor.execute(self._sql, parameters)
            rows: list[Any] = cursor.fetchall()
            return rows

    def _run_prepared(self, connection: Any, cursor: Any, parameters: Sequence[Any]) -> None:
        known = _known(connection)
        if self._name in known:
            try:
                cursor.execute(self._execute, parameters)
            except DatabaseError as exc:
                if getattr(exc.__cause__, "sqlstate", None) != _UNKNOWN:
                    raise
                known.clear()
                if connection.in_atomic_block:
                    raise
            else:
                return
        cursor.execute(self._prepare)
        known.add(self._name)
        cursor.execute(self._execute, parameters)


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
