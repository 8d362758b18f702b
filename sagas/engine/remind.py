"""Debts that nobody settles are told again, once per DEBT_REMINDER. The notes of it are in the sagas' histories, so it
does not matter how many processes look, or whether they were started anew."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from ..conf import app_settings
from ..core.history import Entry
from ..core.states import SagaState, StepStatus
from ..definitions.ids import id_text
from ..models import NEWEST_FIRST, HistoryEntry, Step
from ..signals import debt_reminded
from ..store import get_store
from .tell import send

logger = logging.getLogger(__name__)

#: The note's kind in the history.
KIND = "debt_reminded"


@dataclass(frozen=True, slots=True)
class Debt:
    """One that is open, and of which nothing was heard for long enough."""

    saga_id: UUID
    name: str
    position: int
    step: str
    owner: str
    attempt: int
    round: int
    #: How often it was told again.
    told: int


def remind_of_debts(every: timedelta | None = None) -> int:
    """Tell again of debts about which nothing has happened for `every` (DEBT_REMINDER; None = never).

    Returns of how many. Running it twice, or in two places at once, tells nothing twice.
    """
    period = every or app_settings().DEBT_REMINDER
    if period is None:
        return 0
    store = get_store()
    now = store.now()
    count = 0
    for debt in list(_debts(now, period)):
        since = _since(debt, now)
        note = Entry(
            None, KIND, now, debt.position, debt.attempt, debt.round,
            data={"since": since.isoformat()}, note_key=f"debt:{debt.position}:{debt.told + 1}",
        )  # fmt: skip
        if store.add_note(debt.saga_id, note, status=StepStatus.COMPENSATION_FAILED):
            count += 1
            store.after_commit(partial(_tell, debt, now - since))
    return count


def _tell(debt: Debt, age: timedelta) -> None:
    logger.warning(
        "saga %s: the compensation of step %s has failed and is not settled, for %s",
        id_text(debt.saga_id),
        debt.step,
        age,
        extra={"action": KIND, "saga_id": id_text(debt.saga_id), "step": debt.step, "owner": debt.owner},
    )
    send(debt_reminded, debt.saga_id, debt.name, step=debt.step, age=age, owner=debt.owner)


def _debts(now: datetime, period: timedelta) -> Iterator[Debt]:
    """Whoever looks after them. One with a next try ahead is not told: it is tried by itself, and told if that fails.

    How often it was told is read with the time of its last line, so two processes give the same note the same key.
    """
    lines = _lines(OuterRef("saga_id"), OuterRef("name"))
    told = lines.filter(kind=KIND).order_by().values("step").annotate(count=Count("pk")).values("count")
    rows = (
        Step.objects.using(app_settings().DATABASE)
        .filter(status=StepStatus.COMPENSATION_FAILED, saga__state=SagaState.COMPENSATING)
        .exclude(saga__attention="")
        .filter(Q(due_at__isnull=True) | Q(due_at__lte=now))
        .annotate(last=Subquery(lines.values("at")[:1]), told=Subquery(told))
        .filter(last__lte=now - period)
        .order_by("saga_id", "position")
    )
    columns = ("saga_id", "saga__name", "position", "name", "owner", "undo_attempt", "round", "told")
    for saga_id, name, position, step, owner, attempt, round_, told_before in rows.values_list(*columns):
        yield Debt(saga_id, name, position, step, owner, attempt, round_, told_before or 0)


def _lines(saga: Any, step: Any) -> QuerySet[HistoryEntry]:
    """What has happened to a step, the last first."""
    return HistoryEntry.objects.using(app_settings().DATABASE).filter(saga=saga, step=step).order_by(NEWEST_FIRST)


def _since(debt: Debt, now: datetime) -> datetime:
    """When its compensation failed for good."""
    for at, data in _lines(debt.saga_id, debt.step).filter(seq__isnull=False).values_list("at", "data"):
        diff = data.get("steps", {}).get(str(debt.position), {})
        if diff.get("status") == StepStatus.COMPENSATION_FAILED:
            return at
    return now
