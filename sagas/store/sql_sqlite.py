"""SQLite: the first ten minutes of a user. One writer at a time; every write is conditional on what was read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connections, transaction
from django.db.models import JSONField, Q, Value

from ..core.errors import InvariantError
from ..core.start import opening, opening_state
from ..exceptions import StoreConflictError
from ..models import HistoryEntry, Saga, Step
from .base import DueSaga, Inserted, NewSaga
from .grouping import SagaWrite

#: SQLite has one write lock for the whole file; waiting for it in Python is fairer than its busy handler.
_WRITER = threading.RLock()


class Sqlite:
    """See `store.sql.Dialect`."""

    no_key = False
    skip_locked = False
    clock = ()
    one_statement = False

    def now(self, connection: Any) -> datetime:
        """The file's machine is this machine."""
        return datetime.now(UTC)

    def begin(self, connection: Any) -> None:
        """Take the write lock first: a transaction that reads first and then writes would fail at once when another
        one wrote in between (SQLITE_BUSY_SNAPSHOT), without waiting."""
        with connection.cursor() as cursor:
            cursor.execute("UPDATE sagas_saga SET revision = revision WHERE id IS NULL")

    def begin_atomic(self, connection: Any) -> None:
        """Likewise: a handler that reads first must not be turned away when it writes."""
        self.begin(connection)

    @contextmanager
    def reading(self, connection: Any) -> Iterator[None]:
        """Every transaction of SQLite reads one moment; one in IMMEDIATE mode would wait for the write lock."""
        connection.ensure_connection()
        mode, connection.transaction_mode = connection.transaction_mode, None
        try:
            with transaction.atomic(using=connection.alias):
                connection.transaction_mode = mode
                yield
        finally:
            connection.transaction_mode = mode

    def one_writer(self, alias: str) -> AbstractContextManager[Any]:
        """Among the threads of this process. One in a transaction may have the file's lock already: it must not wait
        for a thread that waits for the file."""
        return nullcontext() if connections[alias].in_atomic_block else _WRITER

    def impatient(self, connection: Any) -> AbstractContextManager[Any]:
        """There is one writer only."""
        return nullcontext()

    def insert(self, connection: Any, sagas: Sequence[NewSaga]) -> list[Inserted | None]:
        """Saga by saga: conflicts are found by the unique constraint."""
        self.begin(connection)
        return [self._insert_one(connection.alias, new) for new in sagas]

    def _insert_one(self, alias: str, new: NewSaga) -> Inserted | None:
        now = self.now(None)
        row, entry = opening(
            new.id, new.graph, new.rollback, now, now + new.wake_in, new.owner,
            deadline_at=new.deadline_at, lock_key=new.lock_key, lock_state=new.lock_state,
        )  # fmt: skip
        saga = Saga(
            id=new.id,
            name=new.name,
            version=new.version,
            graph_id=new.graph.hash,
            state=opening_state(new.graph)[0],
            rollback=new.rollback,
            context=json.loads(new.context),
            subject_type_id=new.subject_type,
            subject_id=new.subject_id,
            owner=new.owner,
            idempotency_key=new.idempotency_key,
            payload_hash=new.payload_hash,
            tags=json.loads(new.tags),
            priority=new.priority,
            wake_at=row.wake_at,
            deadline_at=new.deadline_at,
            request_id=new.request_id,
            parent_id=new.parent,
            parent_step=new.parent_step,
            parent_round=new.parent_round,
            depth=new.depth,
            created_at=now,
            updated_at=now,
            completed_at=row.completed_at,
            lock_key=new.lock_key,
            lock_state=new.lock_state,
        )
        try:
            with transaction.atomic(using=alias):
                saga.save(using=alias, force_insert=True)
        except IntegrityError:
            if new.idempotency_key is None:
                raise
            return None
        Step.objects.using(alias).bulk_create(
            Step(
                saga_id=new.id,
                position=position,
                name=spec.name,
                action=spec.does,
                compensation=spec.compensation,
                queue=spec.queue,
                depends_on=list(spec.depends_on),
                input=None if new.inputs.get(position) is None else json.loads(new.inputs[position]),
            )
            for position, spec in enumerate(new.graph.steps)
        )
        HistoryEntry.objects.using(alias).create(
            saga_id=new.id, seq=1, kind=entry.kind, actor=entry.actor, data=entry.data, at=now
        )
        return Inserted(now, row.wake_at)

    def read(self, connection: Any, ids: Sequence[UUID]) -> tuple[list[Any], list[Any]]:
        """Never asked for: a group of several statements takes the lock first (`one_statement`)."""
        raise InvariantError("SQLite reads sagas under the lock only")

    def due(self, connection: Any, *, limit: int, after: DueSaga | None) -> list[tuple[UUID, datetime, int]]:
        """Along the partial index."""
        found = Saga.objects.using(connection.alias).filter(wake_at__isnull=False, wake_at__lte=self.now(connection))
        rows = found.order_by("-priority", "wake_at", "id").values_list("id", "wake_at", "priority")
        if after is not None:
            later = Q(wake_at__gt=after.wake_at) | Q(wake_at=after.wake_at, id__gt=after.id)
            rows = rows.filter(Q(priority__lt=after.priority) | (Q(priority=after.priority) & later))
        return list(rows[:limit])

    def write(self, connection: Any, writes: Sequence[SagaWrite]) -> set[UUID]:
        """Row by row."""
        for write in writes:
            self._write_saga(connection.alias, write)
            self._write_steps(connection.alias, write)
            self._write_history(connection.alias, write)
        return {write.loaded.saga.id for write in writes}

    def pin(self, connection: Any) -> None:
        """There is one plan only."""

    def _write_saga(self, alias: str, write: SagaWrite) -> None:
        if not (write.moved or write.woken):
            return
        saga = write.loaded.saga
        values: dict[str, Any] = {
            "state": saga.state,
            "revision": saga.revision,
            "wake_at": saga.wake_at,
            "updated_at": saga.updated_at,
            "stale_since": saga.stale_since,
            "paused_at": saga.paused_at,
            "attention": saga.attention,
            "error_code": saga.error_code,
            "error_message": saga.error_message,
            "completed_at": saga.completed_at,
            "deadline_at": saga.deadline_at,
            "overdue_at": saga.overdue_at,
            "rewind_to": saga.rewind_to,
            "lock_state": saga.lock_state,
        }
        rows = Saga.objects.using(alias).filter(pk=saga.id)
        patch = write.patch()
        if patch is not None:
            values["context"] = {**rows.values_list("context", flat=True).get(), **json.loads(patch)}
        if not rows.filter(revision=write.loaded.read_revision).update(**values):
            raise StoreConflictError(f"saga {saga.id} was changed by another writer")

    def _write_steps(self, alias: str, write: SagaWrite) -> None:
        for position in write.written:
            step = write.loaded.steps[position]
            values: dict[str, Any] = {name: getattr(step, name) for name in _STEP_FIELDS}
            if position in write.cleared:
                values["output"] = values["undo_output"] = None
            for name, outputs in ("output", write.outputs), ("undo_output", write.undo_outputs):
                if position in outputs:
                    # None alone would be SQL's NULL: "no output yet".
                    found = json.loads(outputs[position])
                    values[name] = Value(None, JSONField()) if found is None else found
            rows = Step.objects.using(alias).filter(pk=write.loaded.keys[position])
            text, replaces = write.input_of(position)
            if replaces:
                values["input"] = None if text is None else json.loads(text)
            elif text is not None:
                rows.filter(input__isnull=True).update(input=json.loads(text))
            rows.update(**values)

    def _write_history(self, alias: str, write: SagaWrite) -> None:
        saga = write.loaded.saga
        HistoryEntry.objects.using(alias).bulk_create(
            [
                HistoryEntry(
                    saga_id=saga.id,
                    seq=entry.seq,
                    kind=entry.kind,
                    step="" if entry.position is None else saga.graph.steps[entry.position].name,
                    attempt=entry.attempt,
                    round=entry.round,
                    actor=entry.actor,
                    reason=entry.reason,
                    data=entry.data or {},
                    note_key=entry.note_key,
                    at=entry.at,
                )
                for entry in write.entries
            ],
            ignore_conflicts=any(entry.note_key for entry in write.entries),
        )


_STEP_FIELDS = (
    "status", "round", "attempt", "undo_attempt", "tries", "undo_tries", "doubt", "claim_worker", "claim_token",
    "claimed_at", "stale_worker", "stale_token", "hold", "due_at", "crashes", "error_code", "error_message",
    "started_at", "executed_at", "compensated_at", "undo_started_at", "opened", "waits", "answer", "approved_by",
    "owner", "held_since",
)  # fmt: skip

SQLITE = Sqlite()
