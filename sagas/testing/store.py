"""The memory store as the rig uses it: with transactions for atomic steps, and without hints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from uuid import UUID

from django.db import connections, transaction

from ..conf import app_settings
from ..core.claims import Offer
from ..core.history import Entry
from ..store.base import Existing, Inserted, Loaded, NewSaga, Result, Submission, Texts
from ..store.memory import MemoryStore
from .clock import Clock


class RigStore(MemoryStore):
    """What an atomic step writes, and the child saga that it starts, goes when its outcome does not count."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        #: Whether an atomic step may write to the database: a child's start does not, and a test may forbid it.
        self.in_database = True
        #: Child sagas that nobody has looked at yet.
        self.arrived: list[UUID] = []
        #: The saga before an atomic step's own commit, and what was inserted in the same transaction.
        self._before: tuple[Loaded, Texts, list[Entry]] | None = None
        self._born: list[NewSaga] = []

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """In the database too, where the test has one. A test that has touched none has no transaction there."""
        alias = app_settings().DATABASE
        lines = {key: list(line) for key, line in self._lines.items()}
        self._born = []
        try:
            there = self.in_database and connections[alias].connection is not None
            with transaction.atomic(using=alias) if there else nullcontext():
                yield
        except BaseException:
            self._restore(lines)
            raise
        finally:
            self.arrived += [new.id for new in self._born]
            self._before, self._born = None, []

    def insert(self, sagas: Sequence[NewSaga]) -> list[Inserted | Existing]:
        """Remembers what is new."""
        found = super().insert(sagas)
        self._born += [new for new, known in zip(sagas, found, strict=True) if isinstance(known, Inserted)]
        return found

    def after_commit(self, function: Callable[[], None]) -> None:
        """Only hints come here, and there is no worker to hear them: the rig looks at what has arrived."""

    def apply(
        self, submissions: Sequence[Submission], offer: Offer | None = None, *, wait: bool = False
    ) -> list[Result]:
        """Only a commit inside an atomic step waits: no other is undone with the step."""
        if wait:
            saga_id = submissions[0].saga_id
            self._before = self.sagas[saga_id], self._texts(saga_id), list(self.history[saga_id])
        return super().apply(submissions, offer)

    def _restore(self, lines: dict[str, list[UUID]]) -> None:
        if self._before is not None:
            saga_id = self._before[0].saga.id
            self.sagas[saga_id], self.payloads[saga_id], self.history[saga_id] = self._before
        for new in self._born:
            for rows in (self.sagas, self.payloads, self.history, self.new):
                rows.pop(new.id)
            self._keys.pop((new.name, new.owner, new.idempotency_key or ""), None)
        self._lines, self._born = lines, []
