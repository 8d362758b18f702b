"""The ORM store: PostgreSQL in groups, SQLite one writer at a time. The only place that locks and writes saga rows.

Lock order: saga rows in id order (`FOR NO KEY UPDATE`, skipped when another transaction holds them), then, in a
statement that starts after the locks were granted, their steps. Reads go through the ORM; writes are raw SQL in the
dialect modules beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction

from ..conf import app_settings
from ..core.claims import Budget, Offer
from ..core.graph import Graph
from ..core.history import Entry
from ..core.rows import SagaRow, StepRow
from ..core.states import TERMINAL, Lock, StepStatus
from ..core.triggers import Look
from ..exceptions import StoreConflictError, StoreConnectionError, StoreDataError, StoreError
from ..models import Saga, SagaGraph, Step
from .base import DueSaga, Existing, Inherited, Inserted, Loaded, NewSaga, Result, Store, Submission, Texts, Verdict
from .grouping import SagaWrite, decide_group
from .locks import Locks
from .notes import add_note
from .reading import (
    CONTEXT,
    PAYLOADS,
    SAGA_COLUMNS,
    STEP_COLUMNS,
    Read,
    added_step,
    changed_steps,
    collect,
    renamed_steps,
)
from .sql import Dialect, dialect_for

#: SQLSTATEs after which the same transaction may simply be tried again: serialisation, deadlock, lock not available, a
#: prepared statement that somebody has discarded.
_TRY_AGAIN = frozenset({"40001", "40P01", "55P03", "26000"})
#: … that are nobody's value but the database's condition: read-only after a failover, the session ended for idling,
#: no such table or column or right to it (42: a migration that has not run yet).
_NOT_NOW = ("25006", "25P03", "42")


class Translated:
    """Vendor errors stop here. (No `contextmanager`, which takes four times as long: every start passes through it.)"""

    __slots__ = ("_alias",)

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        if isinstance(exc, DatabaseError):
            raise _translation(exc, self._alias) from exc
        if isinstance(exc, InterfaceError):
            raise _gone(exc, self._alias) from exc
        if isinstance(exc, UnicodeEncodeError):
            raise StoreDataError(f"the database refused a value: {exc}") from exc


def _translation(exc: DatabaseError, alias: str) -> StoreError:
    if _is_conflict(exc):
        return StoreConflictError(f"the database broke the transaction off: {exc}")
    if isinstance(exc, OperationalError) or _sqlstate(exc).startswith(_NOT_NOW):
        return _gone(exc, alias)
    return StoreDataError(f"the database refused a value: {exc}")


def _gone(exc: Exception, alias: str) -> StoreConnectionError:
    if not connections[alias].in_atomic_block:
        connections[alias].close()
    return StoreConnectionError(f"the database does not answer: {exc}")


def _sqlstate(exc: Exception) -> str:
    return getattr(exc.__cause__, "sqlstate", None) or ""


def _is_conflict(exc: Exception) -> bool:
    return _sqlstate(exc) in _TRY_AGAIN or "database is locked" in str(exc) or "database table is locked" in str(exc)


class OrmStore(Store):
    """Sagas in the host's database."""

    def __init__(self, alias: str | None = None) -> None:
        self.alias = alias or app_settings().DATABASE
        self._ahead = timedelta(0)

    @property
    def dialect(self) -> Dialect:
        """The SQL of the database behind the alias."""
        return dialect_for(connections[self.alias].vendor)

    @property
    def _locks(self) -> Locks:
        return Locks(self.alias, self.dialect)

    def now(self) -> datetime:
        """The database's time."""
        with Translated(self.alias):
            return self.dialect.now(connections[self.alias])

    def clock(self) -> datetime:
        """The machine's time, corrected by what the last group saw of the database's."""
        return datetime.now(UTC) + self._ahead

    def insert(self, sagas: Sequence[NewSaga]) -> list[Inserted | Existing]:
        """Insert in the caller's transaction, or in one of its own when there is none."""
        if not sagas:
            return []
        locking = [saga for saga in sagas if saga.lock_key and saga.graph.steps]
        graphs = {saga.graph.hash: saga.graph for saga in sagas if (self.alias, saga.graph.hash) not in _STORED}
        connection = connections[self.alias]
        dialect = dialect_for(connection.vendor)
        # One statement alone is all or nothing by itself: that saves two round trips.
        alone = dialect.one_statement and not (graphs or locking)
        with Translated(self.alias), nullcontext() if alone else transaction.atomic(using=self.alias, savepoint=False):
            if graphs:
                self._store_graphs(graphs)
            refused = self._locks.enter(locking) if locking else None
            if refused is None:
                inserted = dialect.insert(connection, sagas)
                if locking and None in inserted:
                    known = {saga.id for saga, found in zip(sagas, inserted, strict=True) if found is None}
                    self._locks.remove(saga.id for saga in locking if saga.id in known)
                return [found or self._existing(saga) for saga, found in zip(sagas, inserted, strict=True)]
        raise refused

    def _store_graphs(self, graphs: dict[str, Graph]) -> None:
        rows = [SagaGraph(hash=digest, data=graph.to_json()) for digest, graph in sorted(graphs.items())]
        SagaGraph.objects.using(self.alias).bulk_create(rows, ignore_conflicts=True)
        # Known only once committed: a rollback takes the row away again.
        transaction.on_commit(partial(_remember, self.alias, set(graphs)), using=self.alias, robust=True)

    def _existing(self, saga: NewSaga) -> Existing:
        row = (
            Saga.objects.using(self.alias)
            .filter(name=saga.name, owner=saga.owner, idempotency_key=saga.idempotency_key)
            .values_list("id", "payload_hash")
            .first()
        )
        if row is None:
            raise StoreConflictError("the saga that used this idempotency key was deleted meanwhile: start again")
        return Existing(*row)

    def load(self, ids: Iterable[UUID]) -> dict[UUID, tuple[SagaRow, list[StepRow]]]:
        """Read without a lock; saga and steps of one moment."""
        wanted = list(ids)
        with Translated(self.alias), self._snapshot():
            rows = list(Saga.objects.using(self.alias).filter(pk__in=wanted).values_list(*SAGA_COLUMNS))
            read = collect(rows, self._step_rows(rows), self.alias)
        for error in read.unreadable.values():
            raise error
        return {saga_id: (loaded.saga, loaded.steps) for saga_id, loaded in read.found.items()}

    def inherited(self, saga_id: UUID) -> Inherited:
        """From its row."""
        with Translated(self.alias):
            rows = Saga.objects.using(self.alias).filter(pk=saga_id)
            return Inherited(*(rows.values_list("owner", "priority").first() or ()))

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Reads of one moment. Inside the caller's own transaction they are as its isolation level makes them."""
        connection = connections[self.alias]
        if connection.in_atomic_block:
            yield
            return
        with self.dialect.reading(connection):
            yield

    def texts(self, ids: Iterable[UUID]) -> dict[UUID, Texts]:
        """Read payloads as text, never parsed: every handler gets values of its own."""
        wanted = list(ids)
        with Translated(self.alias), self._snapshot():
            sagas = Saga.objects.using(self.alias).filter(pk__in=wanted)
            found = {row[0]: Texts(row[1], row[2], {}, {}) for row in sagas.values_list("id", "revision", CONTEXT)}
            steps = Step.objects.using(self.alias).filter(saga_id__in=list(found)).order_by()
            for saga_id, position, *texts in steps.values_list("saga_id", "position", *PAYLOADS):
                found[saga_id].add(position, *texts)
        return found

    def due(self, *, limit: int, after: DueSaga | None = None) -> list[DueSaga]:
        """By the index on priority and `wake_at`, behind the cursor."""
        with Translated(self.alias):
            return [
                DueSaga(saga_id, wake_at, priority)
                for saga_id, wake_at, priority in self.dialect.due(connections[self.alias], limit=limit, after=after)
            ]

    def apply(
        self, submissions: Sequence[Submission], offer: Offer | None = None, *, wait: bool = False
    ) -> list[Result]:
        """Decide from memory and write in one statement what this process knows; lock, read, decide and write the rest.

        What had moved meanwhile comes back from the first part and takes the second.
        """
        budget = offer.budget() if offer is not None else None
        results: dict[int, Result] = {}
        with Translated(self.alias):
            if not wait and self.dialect.one_statement and not connections[self.alias].in_atomic_block:
                results = self._apply_optimistic(submissions, offer, budget)
            rest = [submission for submission in submissions if id(submission) not in results]
            if rest:
                found = self._apply_locked(rest, offer, budget, wait=wait)
                results.update({id(submission): result for submission, result in zip(rest, found, strict=True)})
        return [results[id(submission)] for submission in submissions]

    def _apply_optimistic(
        self, submissions: Sequence[Submission], offer: Offer | None, budget: Budget | None
    ) -> dict[int, Result]:
        """No lock: decide on what this process wrote last, or for a look on what is read now, and write in one
        statement that is conditional on the revision. The results of those for which that went well."""
        fresh = _only_looks(submissions) if offer is not None else set()
        mine = [one for one in submissions if one.known is not None or one.saga_id in fresh]
        if not mine:
            return {}
        connection = connections[self.alias]
        self.dialect.pin(connection)
        read = self._read(fresh) if fresh else Read()
        loaded = {one.saga_id: replace(one.known) for one in mine if one.known is not None} | read.found
        # One that waits for its lock has to ask for it first.
        loaded = {key: found for key, found in loaded.items() if found.saga.lock_state is not Lock.WAITS}
        mine = [one for one in mine if one.saga_id in loaded]
        results, writes = decide_group(mine, loaded, {}, self.clock(), offer, budget)
        idle = (read.found.keys() & loaded.keys()) - {write.loaded.saga.id for write in writes}
        # What has grown, or gives its lock up, takes more than one statement, and so a transaction.
        simple = [write for write in writes if not (write.grown or write.relocks)]
        written = self.dialect.write(connection, simple) if simple else set()
        well = [r for r in results if r.submission.saga_id in written or (r.submission.saga_id in idle and not r.error)]
        _give_texts(well, read.found)
        return {id(result.submission): result for result in well}

    def _read(self, ids: set[UUID]) -> Read:
        saga_rows, step_rows = self.dialect.read(connections[self.alias], sorted(ids))
        read = collect(saga_rows, step_rows, self.alias, payloads=True, clock=True)
        if saga_rows:
            self._ahead = read.now - datetime.now(UTC)
        return read

    def _apply_locked(
        self, submissions: Sequence[Submission], offer: Offer | None, budget: Budget | None, *, wait: bool
    ) -> list[Result]:
        ids = sorted({submission.saga_id for submission in submissions})
        with self.dialect.one_writer(self.alias), transaction.atomic(using=self.alias):
            connection = connections[self.alias]
            self.dialect.begin(connection)
            # A look is followed by a handler: its payloads come with the rows, instead of by a second journey.
            payloads = offer is not None and any(isinstance(submission.trigger, Look) for submission in submissions)
            read = self._lock(ids, wait=wait, payloads=payloads)
            existing = self._which_exist([i for i in ids if i not in read.found and i not in read.unreadable])
            others = {**dict.fromkeys(existing), **read.unreadable}
            self._unlock(submissions, read.found)
            results, writes = decide_group(submissions, read.found, others, read.now, offer, budget)
            relocked = [write for write in writes if write.relocks]
            if relocked:
                writes = self._retake(relocked, results, writes)
            if writes and len(self.dialect.write(connection, writes)) != len(writes):
                raise StoreConflictError("a saga that was locked has moved: submit again")
            for write in writes:
                if write.grown:
                    self._grow(write)
            if relocked:
                self._leave(relocked, results)
        if payloads:
            _give_texts(results, read.found)
        return results

    def _grow(self, write: SagaWrite) -> None:
        """Rows for the steps that were added, and the graph that they belong to."""
        saga, graph = write.loaded.saga, write.loaded.saga.graph
        self._store_graphs({graph.hash: graph})
        version = {"version": write.version} if write.version else {}
        Saga.objects.using(self.alias).filter(pk=saga.id).update(graph_id=graph.hash, **version)
        steps = Step.objects.using(self.alias)
        for pk, values in renamed_steps(write):  # two may change names
            steps.filter(pk=pk).update(**values)
        added = steps.bulk_create([added_step(write, position) for position in write.added])
        # In place: results that were made before have the same list.
        cast("list[Any]", write.loaded.keys).extend(step.pk for step in added)
        for pk, values in changed_steps(write):
            steps.filter(pk=pk).update(**values)

    def _unlock(self, submissions: Sequence[Submission], found: dict[UUID, Loaded]) -> None:
        """Sagas that wait for their lock, and are looked at: is it theirs by now?"""
        looks = {one.saga_id for one in submissions if isinstance(one.trigger, Look)} & found.keys()
        waiting = {key: found[key].saga.lock_key for key in looks if found[key].saga.lock_state is Lock.WAITS}
        for saga_id in self._locks.take(waiting) if waiting else ():
            found[saga_id].unlocked = True

    def _retake(
        self, relocked: Sequence[SagaWrite], results: Sequence[Result], writes: list[SagaWrite]
    ) -> list[SagaWrite]:
        """Sagas that come back to life; those that may not, because another one has the lock, stay as they are."""
        for write in relocked:
            saga = write.loaded.saga
            back = saga.lock_state is Lock.HELD and write.lock_before is Lock.NONE
            error = self._locks.retake(saga.id, saga.lock_key) if back else None
            if error is None:
                continue
            writes = [other for other in writes if other is not write]
            for result in results:
                if result.submission.saga_id == saga.id:
                    result.verdict, result.reason, result.error, result.claims = Verdict.REFUSED, str(error), error, []
        return writes

    def _leave(self, relocked: Sequence[SagaWrite], results: Sequence[Result]) -> None:
        """Sagas that have ended: those that waited for their locks are found on the results."""
        ended = {write.loaded.saga.id: write.loaded.saga.lock_key for write in relocked if _has_ended(write)}
        followers = self._locks.leave(ended) if ended else {}
        for result in results:
            follower = followers.pop(result.submission.saga_id, None)
            if follower is not None:
                result.woken.append(follower)

    def _lock(self, ids: Sequence[UUID], *, wait: bool, payloads: bool) -> Read:
        # select_for_update is left out silently by SQLite; there the transaction has begun with a write.
        sagas = Saga.objects.using(self.alias).select_for_update(
            no_key=self.dialect.no_key, skip_locked=self.dialect.skip_locked and not wait
        )
        columns = (*SAGA_COLUMNS, *((CONTEXT,) if payloads else ()), *self.dialect.clock)
        rows = list(sagas.filter(pk__in=ids).order_by("pk").values_list(*columns))
        steps = self._step_rows(rows, payloads=payloads)
        read = collect(rows, steps, self.alias, payloads=payloads, clock=bool(self.dialect.clock))
        self._ahead = read.now - datetime.now(UTC)
        return read

    def _step_rows(self, saga_rows: Sequence[Sequence[Any]], *, payloads: bool = False) -> list[Sequence[Any]]:
        if not saga_rows:
            return []
        steps = Step.objects.using(self.alias).filter(saga_id__in=[row[0] for row in saga_rows]).order_by()
        return list(steps.values_list(*STEP_COLUMNS, *(PAYLOADS if payloads else ())))

    def _which_exist(self, ids: Sequence[UUID]) -> set[UUID]:
        return set(Saga.objects.using(self.alias).filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()

    def add_note(self, saga_id: UUID, entry: Entry, *, status: StepStatus | None) -> bool:
        """Under the saga's lock."""
        with self.atomic():
            return add_note(self.alias, saga_id, entry, status)

    def after_commit(self, function: Callable[[], None]) -> None:
        """Robust: a hook of somebody else that raises must not take ours with it."""
        transaction.on_commit(function, using=self.alias, robust=True)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """A transaction of the handler's thread on the sagas' database."""
        with self.dialect.one_writer(self.alias), transaction.atomic(using=self.alias):
            self.dialect.begin_atomic(connections[self.alias])
            yield


def _has_ended(write: SagaWrite) -> bool:
    return write.loaded.saga.state in TERMINAL


def _only_looks(submissions: Sequence[Submission]) -> set[UUID]:
    """Sagas that this process does not know, and that are only looked at."""
    looks = {one.saga_id for one in submissions if one.known is None and isinstance(one.trigger, Look)}
    return looks - {one.saga_id for one in submissions if not isinstance(one.trigger, Look)}


def _give_texts(results: Sequence[Result], loaded: dict[UUID, Loaded]) -> None:
    for result in results:
        found = loaded.get(result.submission.saga_id)
        if result.claims and isinstance(result.submission.trigger, Look) and found is not None and found.texts:
            result.texts = replace(found.texts, revision=result.saga.revision if result.saga else 0)


_STORED: set[tuple[str, str]] = set()
_MOST_STORED = 10_000


def _remember(alias: str, digests: set[str]) -> None:
    if len(_STORED) > _MOST_STORED:  # sagas with step lists of their own may have ever new graphs
        _STORED.clear()
    _STORED.update((alias, digest) for digest in digests)


def forget() -> None:
    """Forget which graphs are stored."""
    _STORED.clear()
