"""What can be done to sagas, and what it would do: the engine's own `decide` is asked, nothing is changed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ..core.claims import is_undo
from ..core.decide import Decision, decide
from ..core.errors import SagaError
from ..core.plan import CompensationPlan, compensation_plan
from ..core.rows import SagaRow, StepRow
from ..core.triggers import Compensate, Retry
from ..engine import operate
from ..models import Saga
from ..store import get_store
from . import words
from .cells import saga_link

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

logger = logging.getLogger(__name__)

#: What reading a row raises that no version of the engine has written.
ODD = (LookupError, TypeError, ValueError)
Rows = tuple[SagaRow, list[StepRow]]


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing an operator can do to a saga."""

    name: str
    label: StrOrPromise
    #: What it does, in one sentence.
    meaning: StrOrPromise
    trigger: type[Compensate] | type[Retry]
    #: The engine's use case.
    act: Callable[..., Saga]
    #: "Compensate 3 sagas", and "3 sagas are being compensated".
    asked: Callable[[int], str]
    told: Callable[[int], str]


def _asked_compensate(count: int) -> str:
    return ngettext("Compensate %(count)d saga", "Compensate %(count)d sagas", count) % {"count": count}


def _told_compensate(count: int) -> str:
    told = ngettext("%(count)d saga is being compensated", "%(count)d sagas are being compensated", count)
    return told % {"count": count}


def _asked_retry(count: int) -> str:
    return ngettext("Retry %(count)d saga", "Retry %(count)d sagas", count) % {"count": count}


def _told_retry(count: int) -> str:
    return ngettext("%(count)d saga is being retried", "%(count)d sagas are being retried", count) % {"count": count}


COMPENSATE = Verb(
    "compensate",
    _("Compensate"),
    _("Stops the saga and undoes what it has done, step by step in reverse order. It can not be taken back."),
    Compensate,
    operate.compensate,
    _asked_compensate,
    _told_compensate,
)
RETRY = Verb(
    "retry",
    _("Retry"),
    _("Runs what is stuck now, with a fresh budget of attempts."),
    Retry,
    operate.retry,
    _asked_retry,
    _told_retry,
)
VERBS = {verb.name: verb for verb in (COMPENSATE, RETRY)}


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a verb would do to a saga as it is now."""

    saga: Saga
    revision: int = 0
    #: Why it is not possible; empty when it is.
    refusal: str = ""
    plan: CompensationPlan | None = None
    #: What runs again, in words.
    again: list[str] = field(default_factory=list)

    @property
    def link(self) -> SafeString:
        """The saga, with the way to its page."""
        return saga_link(self.saga)

    @property
    def state(self) -> SafeString:
        """The saga's state."""
        return words.state_badge(self.saga)


def load(ids: Iterable[UUID]) -> dict[UUID, Rows]:
    """Rows of sagas as the engine sees them; those that it can not read are missing, and hide no page."""
    wanted = list(ids)
    try:
        return get_store().load(wanted)
    except (SagaError, *ODD):
        if len(wanted) < 2:
            return {}
        return {key: rows for one in wanted for key, rows in load([one]).items()}


def prospects(verb: Verb, sagas: Sequence[Saga]) -> list[Prospect]:
    """What a verb would do to each."""
    rows, now = load(saga.pk for saga in sagas), get_store().clock()
    return [prospect(verb, saga, rows.get(saga.pk), now) for saga in sagas]


def prospect(verb: Verb, saga: Saga, rows: Rows | None, now: datetime) -> Prospect:
    """What a verb would do to one saga."""
    if rows is not None:
        try:
            return _prospect(verb, saga, rows, now)
        except ODD:
            logger.exception("saga %s can not be read", saga.ulid, extra={"action": "unreadable", "saga_id": saga.ulid})
    return Prospect(saga, refusal=gettext("the engine can not read this saga; see manage.py saga_check"))


def _prospect(verb: Verb, saga: Saga, rows: Rows, now: datetime) -> Prospect:
    row, steps = rows
    try:
        decision = decide(row, steps, verb.trigger(), now)
    except SagaError as exc:
        return Prospect(saga, row.revision, refusal=exc.message.removeprefix(f"cannot {verb.name} saga: "))
    if not decision.moved:
        return Prospect(saga, row.revision, refusal=decision.ignored or gettext("there is nothing to do"))
    if verb is RETRY:
        return Prospect(saga, row.revision, again=_again(row, steps, decision))
    return Prospect(saga, row.revision, plan=compensation_plan(row, steps))


def _again(row: SagaRow, before: Sequence[StepRow], decision: Decision) -> list[str]:
    return [_run_again(row, before[position], decision.steps[position]) for position in sorted(decision.changed)]


def _run_again(row: SagaRow, before: StepRow, after: StepRow) -> str:
    spec = row.graph.steps[after.position]
    handler = spec.compensation if is_undo(after) else spec.action
    if before.status is not after.status:
        change = {"before": words.status_words(before.status), "after": words.status_words(after.status)}
        what = gettext("%(before)s → %(after)s") % change
    else:
        what = gettext("waits no longer")
    fresh = gettext("; with new idempotency keys") if after.round > before.round else ""
    kept = gettext("; in doubt: with the same idempotency key") if after.doubt and not is_undo(after) else ""
    return f"{spec.name} ({handler}): {what}{fresh or kept}"
