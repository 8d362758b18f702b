"""What a store has written about a saga, read back and held against itself."""

from collections.abc import Callable
from uuid import UUID

from sagas.core.audit import audit
from sagas.core.history import Entry, fold
from sagas.models import HistoryEntry
from sagas.store.base import Store
from sagas.store.memory import MemoryStore


class Books:
    """The history of sagas in a store."""

    def __init__(self, store: Store, entries: Callable[[UUID], list[Entry]]) -> None:
        self.store = store
        self.entries = entries

    def notes(self, saga_id: UUID) -> list[Entry]:
        return [entry for entry in self.entries(saga_id) if entry.seq is None]

    def kinds(self, saga_id: UUID) -> list[str]:
        """What happened, in order."""
        return [entry.kind for entry in self.entries(saga_id) if entry.seq is not None]

    def balance(self, *ids: UUID) -> None:
        """The history tells exactly what the rows are (I2), and no invariant is broken."""
        for saga_id, (saga, steps) in self.store.load(ids).items():
            entries = self.entries(saga_id)
            told, told_steps = fold(saga, entries)
            told.wake_at = saga.wake_at
            assert told == saga
            assert told_steps == steps
            assert audit(saga, steps, entries) == []


def memory_books(store: MemoryStore) -> Books:
    return Books(store, lambda saga_id: list(store.history.get(saga_id, [])))


def sql_books(store: Store, alias: str) -> Books:
    def entries(saga_id: UUID) -> list[Entry]:
        rows = HistoryEntry.objects.using(alias).filter(saga_id=saga_id).order_by("id")
        return [_entry(row) for row in rows]

    return Books(store, entries)


def _entry(row: HistoryEntry) -> Entry:
    return Entry(row.seq, row.kind, row.at, None, row.attempt, row.round, row.actor, row.reason, row.data, row.note_key)
