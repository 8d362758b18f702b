"""Up to which entry the history is complete: none with a lower id comes any more.

Ids are given out before transactions commit, so an entry may appear behind one that was counted already. On PostgreSQL
a mark is taken: the last id that was given out, and then the transactions that may hold such ids, which are those that
hold a writer's lock on the table. When none of them is left, all up to the mark is there, for every snapshot from then
on. One that stays open for long (a host's own, in which a saga was started) holds the counting back, and nothing else.
SQLite has one writer at a time, so whoever has the write lock sees all there is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections
from django.db.models import Max

from ...models import HistoryEntry
from ...store import get_store

#: Most of the engine's transactions take milliseconds: seconds between the looks at them.
_PAUSES = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1)

_LAST = "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('sagas_historyentry', 'id')::regclass), 0)"
_WRITERS = """
SELECT DISTINCT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'sagas_historyentry'::regclass AND mode = 'RowExclusiveLock'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND pid IS DISTINCT FROM pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """An entry up to which the history will be complete."""

    id: int
    #: What was committed before this is at or below it.
    at: datetime
    #: The transactions that it waits for.
    writers: frozenset[str] = frozenset()

    def data(self) -> dict[str, Any]:
        """To be kept until the next look."""
        return {"id": self.id, "at": self.at.isoformat(), "writers": sorted(self.writers)}


def kept(data: Mapping[str, Any]) -> Mark | None:
    """What was kept."""
    if not data:
        return None
    return Mark(data["id"], datetime.fromisoformat(data["at"]), frozenset(data["writers"]))


def settled(alias: str, mark: Mark | None) -> tuple[Mark | None, Mark | None]:
    """The latest mark that nothing is missing below, and one that has to wait; `mark` has waited before.

    To be called outside the transaction that counts: its snapshot must come after.
    """
    found = None
    for pause in _PAUSES:
        time.sleep(pause)
        mark = mark or _take(alias)
        if mark.writers and mark.writers & _writers(alias):
            continue
        found, mark = mark, None
        if pause:  # a fresh one: there is none that is much better
            break
    return found, mark


def _take(alias: str) -> Mark:
    at = get_store().now()
    last = seen(alias)
    with connections[alias].cursor() as cursor:
        cursor.execute(_LAST)
        last = max(last, cursor.fetchone()[0])
    return Mark(last, at, _writers(alias))


def _writers(alias: str) -> frozenset[str]:
    with connections[alias].cursor() as cursor:
        cursor.execute(_WRITERS)
        return frozenset(name for (name,) in cursor.fetchall())


def seen(alias: str) -> int:
    """The last entry that is there."""
    found: int | None = HistoryEntry.objects.using(alias).aggregate(last=Max("pk"))["last"]
    return found or 0
