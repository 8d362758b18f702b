"""A store in memory: for tests, simulation and a newcomer's first steps. Same core, same contract, no database."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from ..core.claims import Offer
from ..core.history import Entry
from ..core.rows import SagaRow, StepRow, fresh_steps
from ..core.start import opening
from .base import DueSaga, Existing, Inherited, Inserted, Loaded, NewSaga, Result, Store, Submission, Texts
from .grouping import SagaWrite, decide_group


class MemoryStore(Store):
    """Sagas in a dict. `clock` gives the time; tests move it."""

    def __init__(self, clock: object = None) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self.sagas: dict[UUID, Loaded] = {}
        self.payloads: dict[UUID, Texts] = {}
        self.history: dict[UUID, list[Entry]] = {}
        self.new: dict[UUID, NewSaga] = {}
        self._keys: dict[tuple[str, str, str], Existing] = {}

    def now(self) -> datetime:
        """The given clock's time, or the machine's."""
        if callable(self._clock):
            found = self._clock()
            if isinstance(found, datetime):
                return found
        return datetime.now(UTC)

    def insert(self, sagas: Sequence[NewSaga]) -> list[Inserted | Existing]:
        """Put new sagas into the dict."""
        with self._lock:
            return [self._insert_one(new) for new in sagas]

    def _insert_one(self, new: NewSaga) -> Inserted | Existing:
        if new.idempotency_key is not None:
            key = (new.name, new.owner, new.idempotency_key)
            if key in self._keys:
                return self._keys[key]
            self._keys[key] = Existing(new.id, new.payload_hash)
        now = self.now()
        saga, entry = opening(
            new.id, new.graph, new.rollback, now, now + new.wake_in, new.owner, deadline_at=new.deadline_at
        )
        saga.parent, saga.parent_step, saga.parent_round = new.parent, new.parent_step, new.parent_round
        saga.depth = new.depth
        self.sagas[new.id] = Loaded(saga, fresh_steps(new.graph), new.name, new.request_id)
        inputs: dict[int, str | None] = dict.fromkeys(range(len(new.graph.steps)))
        inputs.update(new.inputs)
        self.payloads[new.id] = Texts(1, new.context, inputs, dict.fromkeys(range(len(new.graph.steps))))
        self.history[new.id] = [entry]
        self.new[new.id] = new
        return Inserted(now, saga.wake_at)

    def load(self, ids: Iterable[UUID]) -> dict[UUID, tuple[SagaRow, list[StepRow]]]:
        """The rows as they are."""
        with self._lock:
            return {i: (self.sagas[i].saga, self.sagas[i].steps) for i in ids if i in self.sagas}

    def texts(self, ids: Iterable[UUID]) -> dict[UUID, Texts]:
        """Copies of the payloads."""
        with self._lock:
            return {i: self._texts(i) for i in ids if i in self.sagas}

    def _texts(self, saga_id: UUID) -> Texts:
        found = self.payloads[saga_id]
        return Texts(self.sagas[saga_id].saga.revision, found.context, dict(found.inputs), dict(found.outputs))

    def inherited(self, saga_id: UUID) -> Inherited:
        """From what it was started with."""
        with self._lock:
            new = self.new[saga_id]
        return Inherited(new.owner, new.priority)

    def due(self, *, limit: int, after: DueSaga | None = None) -> list[DueSaga]:
        """Sagas whose time has come."""
        now = self.now()
        with self._lock:
            found = [
                DueSaga(i, entry.saga.wake_at)
                for i, entry in self.sagas.items()
                if entry.saga.wake_at is not None and entry.saga.wake_at <= now
            ]
        found.sort(key=lambda due: (due.wake_at, due.id))
        if after is not None:
            found = [due for due in found if (due.wake_at, due.id) > (after.wake_at, after.id)]
        return found[:limit]

    def apply(
        self, submissions: Sequence[Submission], offer: Offer | None = None, *, wait: bool = False
    ) -> list[Result]:
        """Decide under the one lock."""
        with self._lock:
            ids = {submission.saga_id for submission in submissions}
            loaded = {
                i: Loaded(
                    found.saga, found.steps, found.name, found.request_id, (), found.saga.revision, found.saga.wake_at
                )
                for i in ids
                if (found := self.sagas.get(i)) is not None
            }
            results, writes = decide_group(submissions, loaded, {}, self.now(), offer)
            for write in writes:
                self._write(write)
            return results

    def _write(self, write: SagaWrite) -> None:
        saga_id = write.loaded.saga.id
        self.sagas[saga_id] = write.loaded
        payload = self.payloads[saga_id]
        payload.outputs.update(dict.fromkeys(write.cleared))
        payload.outputs.update(write.outputs)
        places = (*write.written, *write.added) if write.inputs or write.edits or write.cleared or write.grown else ()
        for position in places:
            text, replaces = write.input_of(position)
            if replaces or payload.inputs.get(position) is None:
                payload.inputs[position] = text
        patch = write.patch()
        if patch is not None:
            payload.context = json.dumps(
                {**json.loads(payload.context), **json.loads(patch)}, ensure_ascii=False, separators=(",", ":")
            )
        told = self.history[saga_id]
        for entry in write.entries:
            if entry.note_key is None or all(entry.note_key != known.note_key for known in told):
                told.append(entry)
