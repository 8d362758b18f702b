"""A store in memory: for tests, simulation and a newcomer's first steps. Same core, same contract, no database."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from ..core.claims import Offer
from ..core.history import Entry
from ..core.rows import SagaRow, StepRow, fresh_steps
from ..core.start import opening
from ..core.states import TERMINAL, Lock, StepStatus
from ..core.triggers import Look
from ..definitions.ids import id_text
from ..exceptions import LockHeldError
from .base import DueSaga, Existing, Inherited, Inserted, Loaded, NewSaga, Result, Store, Submission, Texts, Verdict
from .grouping import SagaWrite, decide_group


class MemoryStore(Store):
    """Sagas in a dict. `clock` gives the time; tests move it."""

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self._clock = clock or partial(datetime.now, UTC)
        self._lock = threading.RLock()
        self.sagas: dict[UUID, Loaded] = {}
        self.payloads: dict[UUID, Texts] = {}
        self.history: dict[UUID, list[Entry]] = {}
        self.new: dict[UUID, NewSaga] = {}
        self._keys: dict[tuple[str, str, str], Existing] = {}
        #: For each semantic lock who has it, and behind it who waits for it.
        self._lines: dict[str, list[UUID]] = {}

    def now(self) -> datetime:
        """The given clock's time, or the machine's."""
        return self._clock()

    def insert(self, sagas: Sequence[NewSaga]) -> list[Inserted | Existing]:
        """Put new sagas into the dict."""
        with self._lock:
            for new in sagas:
                line = self._lines.get(new.lock_key, ())
                if line and new.lock_refuse and self._known(new) is None:
                    raise _held(new.lock_key, line[0])
            return [self._insert_one(new) for new in sagas]

    def _known(self, new: NewSaga) -> Existing | None:
        return None if new.idempotency_key is None else self._keys.get((new.name, new.owner, new.idempotency_key))

    def _insert_one(self, new: NewSaga) -> Inserted | Existing:
        known = self._known(new)
        if known is not None:
            return known
        if new.idempotency_key is not None:
            self._keys[new.name, new.owner, new.idempotency_key] = Existing(new.id, new.payload_hash)
        if new.lock_key and new.graph.steps:
            new.lock_state = Lock.WAITS if self._lines.get(new.lock_key) else Lock.HELD
            self._lines.setdefault(new.lock_key, []).append(new.id)
        now = self.now()
        saga, entry = opening(
            new.id, new.graph, new.rollback, now, now + new.wake_in, new.owner,
            deadline_at=new.deadline_at, lock_key=new.lock_key, lock_state=new.lock_state,
        )  # fmt: skip
        saga.parent, saga.parent_step, saga.parent_round = new.parent, new.parent_step, new.parent_round
        saga.depth = new.depth
        self.sagas[new.id] = Loaded(saga, fresh_steps(new.graph), new.name, new.request_id)
        places = range(len(new.graph.steps))
        inputs: dict[int, str | None] = {**dict.fromkeys(places), **new.inputs}
        self.payloads[new.id] = Texts(1, new.context, inputs, dict.fromkeys(places), dict.fromkeys(places))
        self.history[new.id] = [entry]
        self.new[new.id] = new
        return Inserted(now, saga.wake_at)

    def add_note(self, saga_id: UUID, entry: Entry, *, status: StepStatus | None) -> bool:
        """Behind the others."""
        with self._lock:
            found, told = self.sagas.get(saga_id), self.history.get(saga_id, [])
            if found is None or (status is not None and found.steps[entry.position or 0].status is not status):
                return False
            if entry.note_key is not None and any(entry.note_key == known.note_key for known in told):
                return False
            told.append(entry)
            return True

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
        revision = self.sagas[saga_id].saga.revision
        return Texts(revision, found.context, dict(found.inputs), dict(found.outputs), dict(found.undo_outputs))

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
                DueSaga(i, entry.saga.wake_at, self.new[i].priority)
                for i, entry in self.sagas.items()
                if entry.saga.wake_at is not None and entry.saga.wake_at <= now
            ]
        found.sort(key=_turn)
        if after is not None:
            found = [due for due in found if _turn(due) > _turn(after)]
        return found[:limit]

    def apply(
        self, submissions: Sequence[Submission], offer: Offer | None = None, *, wait: bool = False
    ) -> list[Result]:
        """Decide under the one lock."""
        with self._lock:
            loaded: dict[UUID, Loaded] = {}
            for one in submissions:
                mine = loaded.get(one.saga_id) or self._load(one.saga_id)
                if mine is not None:
                    loaded[one.saga_id] = mine
                    if mine.saga.lock_state is Lock.WAITS and isinstance(one.trigger, Look):
                        mine.unlocked = self._lines[mine.saga.lock_key][0] == one.saga_id
            results, writes = decide_group(submissions, loaded, {}, self.now(), offer)
            for write in writes:
                if not write.relocks or self._relock(write, results):
                    self._write(write)
            # Once all are written: the next in line may be in the same group.
            for result in results:
                for saga in (self.sagas[saga_id].saga for saga_id in result.woken):
                    # … or has ended in it.
                    saga.wake_at = self.now() if saga.state not in TERMINAL else None
            return results

    def _load(self, saga_id: UUID) -> Loaded | None:
        found = self.sagas.get(saga_id)
        if found is None:
            return None
        saga = found.saga
        return Loaded(saga, found.steps, found.name, found.request_id, (), saga.revision, saga.wake_at)

    def _relock(self, write: SagaWrite, results: Sequence[Result]) -> bool:
        """Give the lock up, or take it again; False: another saga has it."""
        saga = write.loaded.saga
        line = self._lines.setdefault(saga.lock_key, [])
        mine = [result for result in results if result.submission.saga_id == saga.id]
        if saga.state in TERMINAL:
            had = line[:1] == [saga.id]
            line.remove(saga.id)
            if had and line:
                mine[-1].woken.append(line[0])
        elif write.lock_before is Lock.NONE and line:
            error = _held(saga.lock_key, line[0])
            for result in mine:
                result.verdict, result.reason, result.error, result.claims = Verdict.REFUSED, str(error), error, []
            return False
        elif write.lock_before is Lock.NONE:
            line.append(saga.id)
        return True

    def _write(self, write: SagaWrite) -> None:
        saga_id = write.loaded.saga.id
        self.sagas[saga_id] = write.loaded
        payload = self.payloads[saga_id]
        if write.cleared:
            payload.outputs.update(dict.fromkeys(write.cleared))
            payload.undo_outputs.update(dict.fromkeys(write.cleared))
        payload.outputs.update(write.outputs)
        payload.undo_outputs.update(write.undo_outputs)
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


def _held(key: str, holder: UUID) -> LockHeldError:
    return LockHeldError(f"saga {id_text(holder)} has the lock {key!r} until it ends", key=key, holder=id_text(holder))


def _turn(due: DueSaga) -> tuple[int, datetime, UUID]:
    return -due.priority, due.wake_at, due.id
