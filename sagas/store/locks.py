"""Semantic locks: one living saga per key, first come first served. Rows of `SagaLock` are the truth.

A saga that starts takes the lock if nobody has it and nobody waits for it; one that ends hands it to the first in line
in the commit that ends it. Two that come at the same moment are kept apart by a unique index: the second waits for the
first one's transaction, as it does for an idempotency key. Workers' groups never wait here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import IntegrityError, OperationalError, connections, transaction
from django.db.models import Q

from ..core.states import Lock
from ..definitions.ids import id_text
from ..exceptions import LockHeldError
from ..models import Saga, SagaLock
from .base import NewSaga
from .sql import Dialect

#: How often a start looks who has the lock that it did not get, when that saga ends in the same moment.
_LOOKS = 5


class Locks:
    """The locks in one database. Every method is called inside a transaction."""

    def __init__(self, alias: str, dialect: Dialect) -> None:
        self._alias = alias
        self._dialect = dialect

    @property
    def _rows(self) -> Any:
        return SagaLock.objects.using(self._alias)

    # -- starting -----------------------------------------------------------------------------------------------

    def enter(self, sagas: Sequence[NewSaga]) -> LockHeldError | None:
        """Take the locks of new sagas, or stand in line. The error: one would have to wait and is not to; then nothing
        is taken. (It is not raised: the caller's transaction goes on.)"""
        held = self._take_free(sagas)
        for new in sagas:
            new.lock_state = Lock.HELD if new.id in held else Lock.WAITS
        late = [new for new in sagas if new.id not in held and not self._repeats(new)]
        for new in late:
            error = self._refusal(new) if new.lock_refuse and new.lock_state is Lock.WAITS else None
            if error is not None:
                self.remove(other.id for other in sagas)
                return error
        self._add([new for new in late if new.lock_state is Lock.WAITS], held=False)
        return None

    def _take_free(self, sagas: Sequence[NewSaga]) -> set[UUID]:
        keys = {new.lock_key for new in sagas}
        taken = set(self._rows.filter(key__in=keys).values_list("key", flat=True))
        first: dict[str, NewSaga] = {}
        for new in sagas:
            if new.lock_key not in taken:
                first.setdefault(new.lock_key, new)
        # In one order everywhere: two that start several sagas at once must not wait for each other.
        self._add([first[key] for key in sorted(first)], held=True)
        mine = self._rows.filter(saga_id__in=[new.id for new in first.values()], held=True)
        return set(mine.values_list("saga_id", flat=True))

    def _add(self, sagas: Sequence[NewSaga], *, held: bool) -> None:
        rows = [SagaLock(key=new.lock_key, saga_id=new.id, held=held) for new in sagas]
        self._rows.bulk_create(rows, ignore_conflicts=True)

    def _repeats(self, new: NewSaga) -> bool:
        """A repeated request is answered with the saga that it started: it must not be refused because of it."""
        if new.idempotency_key is None:
            return False
        known = Saga.objects.using(self._alias).filter(name=new.name, owner=new.owner)
        found: bool = known.filter(idempotency_key=new.idempotency_key).exists()
        return found

    def _refusal(self, new: NewSaga) -> LockHeldError | None:
        for _ in range(_LOOKS):
            holder = self._first(new.lock_key)
            if holder is not None:
                return held_by(new.lock_key, holder)
            if new.id in self._take_free([new]):
                new.lock_state = Lock.HELD
                return None
        return held_by(new.lock_key, None)

    def _first(self, key: str) -> UUID | None:
        """Who has it, or will have it next."""
        found: UUID | None = (
            self._rows.filter(key=key).order_by("-held", "id").values_list("saga_id", flat=True).first()
        )
        return found

    def remove(self, ids: Iterable[UUID]) -> None:
        """Sagas that have ended, or were not inserted, stand in no line."""
        rows = self._rows.filter(saga_id__in=list(ids))
        rows._raw_delete(self._alias)

    # -- going on -----------------------------------------------------------------------------------------------

    def take(self, waiting: Mapping[UUID, str]) -> set[UUID]:
        """Of the sagas that wait (with their keys), those that may go on."""
        rows = {row[0]: row[1:] for row in self._rows.filter(saga_id__in=waiting).values_list("saga_id", "id", "held")}
        lost = [SagaLock(key=key, saga_id=saga_id) for saga_id, key in waiting.items() if saga_id not in rows]
        if lost:  # somebody has deleted their rows by hand: to the end of the line
            self._rows.bulk_create(lost, ignore_conflicts=True)
        granted = set()
        for saga_id, (place, held) in rows.items():
            line = self._rows.filter(key=waiting[saga_id])
            if held or (not line.filter(Q(held=True) | Q(id__lt=place)).exists() and self._grant(place)):
                granted.add(saga_id)
        return granted

    def _grant(self, place: int) -> bool:
        """False when somebody else was faster, or is just about to be."""
        try:
            with transaction.atomic(using=self._alias), self._dialect.impatient(connections[self._alias]):
                return bool(self._rows.filter(pk=place).update(held=True))
        except (IntegrityError, OperationalError):
            return False

    def retake(self, saga_id: UUID, key: str) -> LockHeldError | None:
        """For a saga that comes back to life."""
        self._rows.bulk_create([SagaLock(key=key, saga_id=saga_id, held=True)], ignore_conflicts=True)
        if self._rows.filter(saga_id=saga_id, held=True).exists():
            return None
        return held_by(key, self._first(key))

    # -- ending -------------------------------------------------------------------------------------------------

    def leave(self, ended: Mapping[UUID, str]) -> dict[UUID, UUID]:
        """Sagas (with their keys) have ended: the next in line has the lock, and is due at once. Who follows whom."""
        self.remove(ended)
        found = {}
        for saga_id, key in sorted(ended.items(), key=lambda pair: pair[1]):
            follower = self._hand_over(key)
            if follower is not None:
                found[saga_id] = follower
        return found

    def _hand_over(self, key: str) -> UUID | None:
        line = self._rows.filter(key=key)
        if line.filter(held=True).exists():
            return None
        # One that is just being ended itself is passed over.
        first = line.order_by("id").select_for_update(skip_locked=self._dialect.skip_locked).first()
        if first is None or not self._grant(first.pk):
            return None
        saga_id: UUID = first.saga_id
        self._wake(saga_id)
        return saga_id

    def _wake(self, saga_id: UUID) -> None:
        """One that is locked now is looked at now, or by the sweep a little later."""
        rows = Saga.objects.using(self._alias).filter(pk=saga_id, wake_at__isnull=False)
        free = rows.select_for_update(no_key=self._dialect.no_key, skip_locked=self._dialect.skip_locked)
        for found in free.values_list("pk", flat=True):
            now = self._dialect.now(connections[self._alias])
            Saga.objects.using(self._alias).filter(pk=found).update(wake_at=now)


def held_by(key: str, holder: UUID | None) -> LockHeldError:
    """The refusal."""
    name = "another saga" if holder is None else f"saga {id_text(holder)}"
    details = {} if holder is None else {"holder": id_text(holder)}
    return LockHeldError(f"{name} has the lock {key!r} until it ends", key=key, **details)
