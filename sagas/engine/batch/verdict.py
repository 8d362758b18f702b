"""Whether a batch goes on: how many sagas it may have out of which nothing is known yet, and when it stops itself."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import takewhile

from ...models import Batch, BatchItem, ItemOutcome
from ...models.batch import BatchState
from .fates import UNWATCHED, fates
from .row import note

#: So many that failed again or were refused, in a row, stop a batch. So many may be out before anything is known.
TRIAL = 10
#: Out of which nothing is known: each that went well allows one more, up to this.
MOST_OUT = 200
#: When no more may be out, one is tried so often: a saga may take days.
DRIP = timedelta(seconds=10)
#: Between two looks at what became of the sagas.
WATCH = timedelta(seconds=1)
#: After the last saga it is waited so long for what becomes of them.
SETTLE = timedelta(minutes=10)

_BAD = (ItemOutcome.FAILED, ItemOutcome.REFUSED)


class Why(StrEnum):
    """Why a batch has stopped itself."""

    IN_A_ROW = "in_a_row"
    ALL = "all"
    NOT_ALLOWED = "not_allowed"
    BAD_FILTER = "bad_filter"


def watch(batch: Batch, now: datetime) -> None:
    """Look what became of the sagas; the caller saves the batch."""
    if not batch.unknown or (batch.watched_at is not None and now - batch.watched_at < WATCH):
        return
    batch.watched_at = now
    items = list(batch.items.filter(outcome=ItemOutcome.ACTED).order_by("pk")[:MOST_OUT])
    known = fates(batch.verb, items)
    for fate in known:
        fate.item.outcome, fate.item.message, fate.item.known_at = fate.outcome, fate.message, now
    BatchItem.objects.using(batch._state.db).bulk_update(
        [fate.item for fate in known], ["outcome", "message", "known_at"], batch_size=50
    )
    counts = Counter(fate.outcome for fate in known)
    batch.ok += counts[ItemOutcome.OK]
    batch.failed += counts[ItemOutcome.FAILED]


def room(batch: Batch, now: datetime) -> int:
    """How many sagas it may act upon now, whatever its rate."""
    left = _left(batch)
    if left > 0:
        return left
    last = batch.items.order_by("-pk").values_list("acted_at", flat=True).first()
    return int(last is None or now - last >= DRIP)


def holds_back(batch: Batch) -> bool:
    """Whether it waits to hear of the sagas that are out before it takes up its rate again."""
    return _left(batch) <= 0


def _left(batch: Batch) -> int:
    if batch.verb in UNWATCHED:
        return MOST_OUT
    return min(TRIAL + batch.ok, MOST_OUT) - batch.unknown - len(_streak(batch))


def judge(batch: Batch, now: datetime) -> bool:
    """Stop the batch where it has to; whether it did. The caller saves it."""
    counts = Counter(_streak(batch))
    if counts.total() < TRIAL:
        return False
    stop(batch, now, Why.IN_A_ROW, again=counts[ItemOutcome.FAILED], refused=counts[ItemOutcome.REFUSED])
    return True


def _streak(batch: Batch) -> list[str]:
    """What went wrong in a row and is the last that is known; ten at most."""
    known = batch.items.exclude(outcome=ItemOutcome.ACTED).order_by("-pk")
    if batch.forgiven is not None:
        known = known.filter(pk__gt=batch.forgiven).exclude(outcome=ItemOutcome.REFUSED)
    last = known.values_list("outcome", flat=True)[:TRIAL]
    return list(takewhile(_BAD.__contains__, last))


def conclude(batch: Batch, now: datetime) -> bool:
    """End a batch that has acted on its last saga and knows what became of them; whether it did."""
    if batch.walked_at is None or (batch.unknown and now - batch.walked_at < SETTLE):
        return False
    if batch.done and not (batch.ok or batch.unknown) and batch.forgiven is None:
        stop(batch, now, Why.ALL, again=batch.failed, refused=batch.refused)
    else:
        batch.state, batch.ended_at = BatchState.DONE, now
    return True


def stop(batch: Batch, now: datetime, why: Why, **counts: int) -> None:
    """By itself; the caller saves it."""
    batch.state, batch.why = BatchState.STOPPED, why
    note(batch, now, "stopped", why=str(why), **counts)
