"""A worker's look at the batches: each saga in a transaction of its own, which holds the batch's lock, acts, and writes
what became of it. A process that dies has done it and recorded it, or neither; another one goes on from there."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import transaction

from ...conf import app_settings
from ...core.errors import SagaError, SagaMovedError
from ...crash import crash_point
from ...exceptions import MAX_MESSAGE, BatchError, StoreConflictError, StoreConnectionError
from ...models import Batch, BatchItem, ItemOutcome
from ...models.batch import LIVING, BatchState
from ...store import get_store
from ..may import may
from .fates import UNWATCHED
from .row import locked
from .verdict import WATCH, Why, conclude, judge, room, stop, watch
from .wishes import VERBS, matching

logger = logging.getLogger(__name__)

#: Seconds between two looks where nothing is to be done.
IDLE = 1.0
#: Batches that one look goes through, and sagas of each.
MOST_BATCHES, MOST_SAGAS = 20, 25
#: What a batch is behind its rate is made up for so far: a worker that was away does not come back with a burst.
LATE = timedelta(milliseconds=250)
#: A saga that moves between the look and the act is looked at so often.
_AGAIN = 3


def step() -> float:
    """Do what is due, and return in how many seconds there may be more. Safe in any number of processes.

    Raises `StoreError` and `django.db.Error`: nothing is lost, the next look goes on.
    """
    alias = app_settings().DATABASE
    rows = Batch.objects.using(alias).filter(state__in=LIVING).order_by("next_at")
    found = list(rows.values_list("pk", "next_at")[:MOST_BATCHES])
    if not found:
        return IDLE
    now = get_store().now()
    soon = IDLE
    for key, next_at in found:
        if next_at <= now:
            soon = min(soon, _look(key))
        else:
            soon = min(soon, (next_at - now).total_seconds())
    return max(soon, 0.0)


def _look(key: int) -> float:
    """At one batch; in how many seconds again."""
    user: Any = _UNASKED
    with locked(key) as batch:
        now = get_store().now()
        if batch is None or not _is_due(batch, now):
            return IDLE  # another process is at it
        user = _user(batch)
        count = _prepare(batch, now, user)
        batch.save()
    if not count:
        return WATCH.total_seconds()
    try:
        keys = _next(batch, count)
    except BatchError:
        _halt(key, Why.BAD_FILTER)
        return IDLE
    for saga in keys:
        if not _act(key, saga, user):
            break
    else:
        if len(keys) < count:
            _at_end(key)
    return 1 / batch.rate


#: In place of a user: nobody was asked for, because the batch is a program's.
_UNASKED = object()


def _is_due(batch: Batch, now: datetime) -> bool:
    return batch.state in LIVING and batch.next_at <= now


def _prepare(batch: Batch, now: datetime, user: Any) -> int:
    """See what became of the sagas before, and say how many more may have their turn now."""
    if batch.state == BatchState.QUEUED:
        batch.state, batch.started_at = BatchState.GOING, now
    if user is not _UNASKED and not (user and user.is_active and may(user, batch.verb)):
        stop(batch, now, Why.NOT_ALLOWED)
        return 0
    watch(batch, now)
    if judge(batch, now) or conclude(batch, now):
        return 0
    by_rate = 1 + int((now - max(batch.next_at, now - LATE)).total_seconds() * batch.rate)
    count = 0 if batch.walked_at else min(by_rate, room(batch, now), MOST_SAGAS)
    if not count:
        batch.next_at = now + WATCH
    return count


def _user(batch: Batch) -> Any:
    """In whose name; None where there is no such user any more."""
    if not batch.user_key:
        return _UNASKED
    try:
        return get_user_model()._default_manager.filter(pk=batch.user_key).first()
    except (ValueError, ValidationError):
        return None


def _next(batch: Batch, count: int) -> list[UUID]:
    """The sagas whose turn it is, by age."""
    found = matching(batch.filters).filter(pk__lte=batch.upto, created_at__lte=batch.created_at)
    if batch.cursor is not None:
        found = found.filter(pk__gt=batch.cursor)
    return list(found.order_by("pk").values_list("pk", flat=True)[:count])


def _act(key: int, saga: UUID, user: Any) -> bool:
    """One saga's turn; whether the next one's may follow at once."""
    with locked(key) as batch:
        now = get_store().now()
        if batch is None or not _is_due(batch, now):
            return False
        if batch.cursor is not None and saga <= batch.cursor:
            return True  # another process was faster
        crash_point("batch_before_act")
        item = _item(batch, saga, user, now)
        batch.cursor = saga
        batch.next_at = max(batch.next_at, now - LATE) + timedelta(seconds=1 / batch.rate)
        if item is not None:
            item.save(using=batch._state.db, force_insert=True)
            batch.acted += item.outcome != ItemOutcome.REFUSED
            batch.refused += item.outcome == ItemOutcome.REFUSED
            batch.ok += item.outcome == ItemOutcome.OK
        # What goes wrong before anything is known of the others stops it at once.
        going = item is None or item.outcome != ItemOutcome.REFUSED or not judge(batch, now)
        batch.save()
        crash_point("batch_before_commit")
    crash_point("batch_after_commit")
    return going


def _item(batch: Batch, saga: UUID, user: Any, now: datetime) -> BatchItem | None:
    """Act; what is to be written of it. None where the filters do not find it any more."""
    item = BatchItem(batch=batch, saga_id=saga, outcome=ItemOutcome.REFUSED, message="moves", acted_at=now)
    for _ in range(_AGAIN):
        found = matching(batch.filters).filter(pk=saga).values_list("revision", "name").first()
        if found is None:
            return None
        item.expected_revision, name = found
        if user is not _UNASKED and not may(user, batch.verb, name):
            item.message = "forbidden"
            break
        try:
            _do(batch, item)
        except SagaMovedError:
            continue
        except (StoreConnectionError, StoreConflictError):
            raise
        except SagaError as exc:
            item.message = exc.message[:MAX_MESSAGE]
        break
    if item.outcome != ItemOutcome.ACTED:
        item.known_at = now
    return item


def _do(batch: Batch, item: BatchItem) -> None:
    """What an operator's button does, in the batch's transaction."""
    try:
        with transaction.atomic(using=batch._state.db):
            saga = VERBS[batch.verb](
                item.saga_id,
                reason=f"batch {batch.pk}: {batch.reason}",
                actor=batch.actor,
                expected_revision=item.expected_revision,
            )
    except (LookupError, TypeError, ValueError):  # a row that no version of the engine has written
        logger.exception("batch %d: saga %s can not be read", batch.pk, item.saga_id, extra={"action": "unreadable"})
        item.message = "unreadable"
        return
    if saga.revision == item.expected_revision:
        item.message = "unchanged"
        return
    item.revision, item.state, item.message = saga.revision, saga.state, ""
    item.outcome = ItemOutcome.OK if batch.verb in UNWATCHED else ItemOutcome.ACTED


def _at_end(key: int) -> None:
    """There is no saga behind the last one."""
    with locked(key) as batch:
        now = get_store().now()
        if batch is None or batch.state not in LIVING or batch.walked_at is not None:
            return
        batch.walked_at = now
        if not conclude(batch, now):
            batch.next_at = now + WATCH
        batch.save()


def _halt(key: int, why: Why) -> None:
    with locked(key) as batch:
        if batch is not None and batch.state in LIVING:
            stop(batch, get_store().now(), why)
            batch.save()
