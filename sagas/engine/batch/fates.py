"""What became of the sagas that a batch has acted upon.

One that needs a person again, has failed, or is rolled back though it was to go forward, has failed again. One that has
ended as it was to went well; so did one going forward that has come a step further, or that waits for the outside world
only. Of the others nothing is known yet.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from ...conf import app_settings
from ...core import triggers as t
from ...core.readiness import open_steps
from ...core.states import ALIVE, Hold, SagaState, Wait
from ...exceptions import MAX_MESSAGE, SagaError
from ...models import BatchItem, HistoryEntry, ItemOutcome, Saga
from ...store import get_store

logger = logging.getLogger(__name__)

#: Verbs after which sagas go forward (or back, where they were on their way back).
_FORWARD = ("retry", "run_now", "resume")
#: Verbs that set nothing going: there is nothing to watch.
UNWATCHED = ("pause",)
#: Kinds of history entries that say: a step has come further.
_FURTHER = tuple(
    trigger.kind
    for trigger in (t.Completed, t.Waits, t.ChildStarted, t.OpenedOut, t.Answer, t.ChildEnded, t.Resolve, t.Skip)
)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one saga."""

    item: BatchItem
    outcome: ItemOutcome
    message: str = ""


def fates(verb: str, items: Sequence[BatchItem]) -> list[Fate]:
    """Of those items of which it is known by now."""
    alias = app_settings().DATABASE
    columns = ("id", "state", "attention", "paused_at", "revision", "error_code", "error_message")
    sagas = Saga.objects.using(alias).only(*columns).in_bulk([item.saga_id for item in items])
    found = {item.saga_id: _ended(verb, item, sagas.get(item.saga_id)) for item in items}
    open_ = [item for item in items if found[item.saga_id] is None and item.saga_id in sagas]
    if verb not in _FORWARD:  # one undo that went well says nothing of the others
        open_ = []
    well = _further(alias, open_)
    well |= _waiting(item.saga_id for item in open_ if item.saga_id not in well)
    found |= {item.saga_id: Fate(item, ItemOutcome.OK) for item in open_ if item.saga_id in well}
    return [fate for fate in found.values() if fate is not None]


def _ended(verb: str, item: BatchItem, saga: Saga | None) -> Fate | None:
    """By the saga's row alone."""
    if saga is None:
        return Fate(item, ItemOutcome.FAILED, "gone")
    if saga.attention and saga.revision > (item.revision or 0):
        well = saga.attention == Hold.APPROVAL
    elif saga.state in (SagaState.FAILED, SagaState.COMPLETED):
        well = saga.state == SagaState.COMPLETED
    elif saga.state == SagaState.STARTED or _was_meant(verb, item):
        if saga.state != SagaState.COMPENSATED:
            return None
        well = True
    else:
        well = False
    return Fate(item, ItemOutcome.OK) if well else Fate(item, ItemOutcome.FAILED, _why(saga))


def _was_meant(verb: str, item: BatchItem) -> bool:
    """Whether it is right that it is rolled back."""
    return verb not in _FORWARD or item.state in (SagaState.COMPENSATING, SagaState.COMPENSATED)


def _why(saga: Saga) -> str:
    error = f"{saga.error_code}: {saga.error_message}" if saga.error_message else saga.error_code
    return (error or saga.attention)[:MAX_MESSAGE]


def _further(alias: str, items: Sequence[BatchItem]) -> set[UUID]:
    """Sagas of which a step has come further since."""
    if not items:
        return set()
    after: Mapping[UUID, int] = {item.saga_id: item.revision or 0 for item in items}
    least = min(after.values())
    lines = HistoryEntry.objects.using(alias).filter(saga_id__in=list(after), seq__gt=least, kind__in=_FURTHER)
    return {saga for saga, seq in lines.values_list("saga_id", "seq").order_by() if (seq or 0) > after[saga]}


def _waiting(keys: Iterable[UUID]) -> set[UUID]:
    """Sagas of which everything that is open waits for the outside world."""
    wanted = list(keys)
    try:
        rows = get_store().load(wanted) if wanted else {}
    except (SagaError, LookupError, TypeError, ValueError):
        logger.warning("sagas of a batch can not be read", exc_info=True)
        return set()
    found = set()
    for key, (saga, steps) in rows.items():
        alive = saga.state in ALIVE and saga.paused_at is None
        waits = any(step.waits is not Wait.NONE for step in steps)
        busy = any(step.claimed for step in steps)
        due = any(steps[position].waits is Wait.NONE for position in open_steps(saga, steps))
        if alive and waits and not busy and not due:
            found.add(key)
    return found
