"""Why a saga of the list waits, in one short phrase, from its own row and its light steps; its page says it in full.

The same things in the same order as `sagas.engine.why`, without the graph, the history and the lock's holder: those
would cost a query per row. Workers are read once for all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..core.states import EXECUTED, TERMINAL, Lock, SagaState, StepStatus, Wait
from ..models import Saga, Step, Worker
from . import cells, words

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

_ENDED_BADLY = frozenset({StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.COMPENSATION_FAILED})
#: In a list nobody sees whose token or which signal.
_WAITS: dict[str, StrOrPromise] = {
    Wait.ANSWER: _("waits for an answer"),
    Wait.SIGNAL: _("waits for a signal"),
    Wait.TIMER: _("waits for its time"),
    Wait.APPROVAL: _("waits for approval"),
    Wait.CHILD: _("waits for its child saga"),
}


class Crew:
    """The workers that live, read when the first row asks."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    @cached_property
    def alive(self) -> list[Worker]:
        """See the class."""
        rows = Worker.objects.filter(dead=False).only("id", "queues", "free_slots", "beat_at", "started_at")
        limit = self.now - app_settings().LEASE
        return [worker for worker in rows if (worker.beat_at or worker.started_at) >= limit]

    @cached_property
    def ids(self) -> frozenset[object]:
        """Who lives."""
        return frozenset(worker.pk for worker in self.alive)

    def lack(self, queue: str) -> str:
        """Why no worker takes up a step of the queue at once."""
        if not self.alive:
            return gettext("no worker is running")
        able = [worker for worker in self.alive if worker.queues is None or queue in worker.queues]
        if not able:
            return gettext("no worker serves the queue %(queue)s") % {"queue": queue or gettext("common")}
        if all(worker.free_slots <= 0 for worker in able):
            return gettext("all workers are busy")
        return gettext("waits for a worker")


def reason(saga: Saga, steps: Iterable[Step], crew: Crew) -> SafeString | str:
    """The phrase; empty where nothing is to be said. Of a saga that has ended: what it failed of."""
    ordered = sorted(steps, key=lambda step: step.position)
    if saga.state in TERMINAL:
        return _ending(saga, ordered)
    if saga.paused_at is not None:
        return format_html(gettext("paused for {}"), cells.since(saga.paused_at))
    if saga.lock_state == Lock.WAITS:
        return format_html(gettext("waits for the lock {}"), saga.lock_key)
    if saga.state != SagaState.STARTED:
        ordered.reverse()
    # A step that is free is the next one in this order: all before it would have had their say.
    found = (say(saga, step, crew) for say in (_held, _stuck, _waiting, _later, _running, _free) for step in ordered)
    return next(filter(None, found), "")


def _ending(saga: Saga, steps: Sequence[Step]) -> SafeString | str:
    if saga.state == SagaState.COMPLETED:
        return ""
    failed = next((step for step in steps if step.status in _ENDED_BADLY), None)
    code = saga.error_code or (failed.error_code if failed else "")
    if failed is None:
        return code
    return _of(failed, code or gettext("failed"))


def _of(step: Step, what: object) -> SafeString:
    return format_html("<strong>{}</strong>: {}", step.name, what)


def _held(saga: Saga, step: Step, crew: Crew) -> SafeString | str:
    if not step.hold:
        return ""
    # The badge beside it says the attention.
    what = step.error_code or ("" if step.hold == saga.attention else words.hold_words(step.hold))
    return _of(step, what) if what else format_html("<strong>{}</strong>", step.name)


def _stuck(saga: Saga, step: Step, crew: Crew) -> SafeString | str:
    if step.stale_worker is not None:
        return _of(step, gettext("timed out, its thread still runs"))
    if step.claim_worker is not None and step.claim_worker not in crew.ids:
        return _of(step, gettext("its worker is lost"))
    return ""


def _waiting(saga: Saga, step: Step, crew: Crew) -> SafeString | str:
    if not step.waits:
        return ""
    what = _WAITS.get(step.waits, step.waits)
    if step.due_at is None:
        return _of(step, what)
    text = gettext("{what}: {at}") if step.waits == Wait.TIMER else gettext("{what}, its time is up {at}")
    return _of(step, format_html(text, what=what, at=cells.ago(step.due_at)))


def _later(saga: Saga, step: Step, crew: Crew) -> SafeString | str:
    if step.due_at is None or step.due_at <= crew.now or step.claim_worker is not None:
        return ""
    code = step.error_code or gettext("failed")
    return _of(step, format_html(gettext("{code}, next attempt {at}"), code=code, at=cells.ago(step.due_at)))


def _running(saga: Saga, step: Step, crew: Crew) -> SafeString | str:
    if step.claim_worker is None:
        return ""
    text = gettext("is being undone, for {}") if _is_undo(step) else gettext("runs, for {}")
    return _of(step, format_html(text, cells.since(step.claimed_at)))


def _free(saga: Saga, step: Step, crew: Crew) -> SafeString | str:
    if saga.state == SagaState.STARTED:
        free = step.status == StepStatus.PENDING
    else:
        free = _is_undo(step) and bool(step.compensation or step.is_child)
    return _of(step, crew.lack(step.queue)) if free else ""


def _is_undo(step: Step) -> bool:
    return step.status in EXECUTED or step.status == StepStatus.COMPENSATING
