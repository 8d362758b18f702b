"""Why a saga is not moving: the one thing that it waits for first, and the verb that mends it. Only reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from ..conf import app_settings
from ..core.claims import handler_name, is_undo
from ..core.graph import StepSpec
from ..core.readiness import open_steps
from ..core.rows import SagaRow, StepRow
from ..core.states import TERMINAL, Hold, Lock, Wait
from ..models import NEWEST_FIRST, HistoryEntry, SagaLock, Worker


class Cause(StrEnum):
    """What a saga waits for; of several the first in this order is told."""

    PAUSED = "paused"
    LOCKED = "locked"
    #: A person must look at a step: its hold says why.
    HELD = "held"
    NO_WORKER = "no worker"
    NO_QUEUE = "no queue"
    NO_HANDLER = "no handler"
    WORKER_LOST = "worker lost"
    #: A timed-out attempt whose thread still runs.
    THREAD = "thread"
    WAITS = "waits"
    RETRY = "retry"
    BUSY = "busy"
    RUNS = "runs"
    #: Nothing hinders it.
    SOON = "soon"


_ORDER = {cause: number for number, cause in enumerate(Cause)}


@dataclass(frozen=True, slots=True)
class Why:
    """One thing that a saga waits for."""

    cause: Cause
    #: The name of the step, where it is one step's.
    step: str = ""
    #: Since when, or until when.
    at: datetime | None = None
    #: What else a sentence about it needs.
    facts: Mapping[str, Any] = field(default_factory=dict)
    #: The verb that mends it; empty: there is nothing to press.
    mend: str = ""


def why(saga: SagaRow, steps: Sequence[StepRow], now: datetime) -> Why | None:
    """What the saga waits for first; None when it has ended, or when its rows make no sense."""
    if saga.state in TERMINAL or [step.position for step in steps] != list(range(len(saga.graph.steps))):
        return None
    if saga.paused_at is not None:
        return _paused(saga)
    if saga.lock_state is Lock.WAITS:
        holder = SagaLock.objects.filter(key=saga.lock_key, held=True).values_list("saga_id", flat=True).first()
        return Why(Cause.LOCKED, facts={"key": saga.lock_key, "holder": holder})
    crew = _Crew(now)
    found = [reason for reason in (_of_step(saga, step, crew) for step in steps) if reason is not None]
    found += [_of_free(saga, steps[place], crew) for place in open_steps(saga, steps) if _is_due(steps[place], now)]
    return min(found, key=lambda reason: _ORDER[reason.cause], default=Why(Cause.SOON))


def _paused(saga: SagaRow) -> Why:
    entry = HistoryEntry.objects.filter(saga_id=saga.id, kind="pause").order_by(NEWEST_FIRST).first()
    if entry is None or entry.at != saga.paused_at:  # a step that stops the line
        return Why(Cause.PAUSED, at=saga.paused_at, mend="resume")
    return Why(Cause.PAUSED, at=entry.at, facts={"actor": entry.actor, "reason": entry.reason}, mend="resume")


class _Crew:
    """The workers that live."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.known = {worker.pk: worker for worker in Worker.objects.all()}
        lease = app_settings().LEASE
        self.alive = [worker for worker in self.known.values() if _lives(worker, now - lease)]


def _lives(worker: Worker, since: datetime) -> bool:
    return not worker.dead and (worker.beat_at or worker.started_at) >= since


def _of_step(saga: SagaRow, step: StepRow, crew: _Crew) -> Why | None:
    """Of a step that somebody has, or that waits."""
    spec = saga.graph.steps[step.position]
    if step.hold not in (Hold.NONE, Hold.NO_HANDLER) and step.waits is not Wait.APPROVAL:
        return _held(spec, step)
    if step.stale_worker is not None:
        return Why(Cause.THREAD, spec.name, step.claimed_at)
    if step.waits is not Wait.NONE:
        return _waiting(spec, step)
    if step.claim_worker is not None:
        return _claimed(spec, step, step.claim_worker, crew)
    if step.due_at is not None and step.due_at > crew.now:
        facts = {"code": step.error_code, "error": step.error_message, "undo": is_undo(step)}
        return Why(Cause.RETRY, spec.name, step.due_at, facts, mend="run_now")
    return None


def _claimed(spec: StepSpec, step: StepRow, worker: UUID, crew: _Crew) -> Why:
    row = crew.known.get(worker)
    if row in crew.alive:
        return Why(Cause.RUNS, spec.name, step.claimed_at, {"worker": str(row), "undo": is_undo(step)})
    return Why(Cause.WORKER_LOST, spec.name, row.beat_at if row else None, {"anyone": bool(crew.alive)})


def _held(spec: StepSpec, step: StepRow) -> Why:
    facts = {"hold": step.hold, "code": step.error_code, "error": step.error_message, "owner": step.owner}
    if step.hold is Hold.APPROVAL:
        facts["approvers"] = spec.approvers
    return Why(Cause.HELD, spec.name, step.due_at, facts, mend=_MENDS.get(step.hold, "retry"))


#: What somebody who is asked does first.
_MENDS = {
    Hold.APPROVAL: "approve",
    Hold.AT_MOST_ONCE: "resolve",
    Hold.UNRECORDED: "resolve",
    Hold.LATE_EFFECT: "resolve",
    Hold.CHILD: "",
}


def _waiting(spec: StepSpec, step: StepRow) -> Why:
    facts = {"wait": step.waits, "signal": spec.wait_for, "approvers": spec.approvers}
    mend = {Wait.APPROVAL: "approve", Wait.TIMER: "run_now", Wait.SIGNAL: "signal"}.get(step.waits, "")
    return Why(Cause.WAITS, spec.name, step.due_at, facts, mend)


def _is_due(step: StepRow, now: datetime) -> bool:
    """Whether it lacks nothing but a worker."""
    taken = step.claimed or step.waits or step.stale_worker is not None
    later = step.due_at is not None and step.due_at > now and step.hold is Hold.NONE
    return not (taken or later) and step.hold in (Hold.NONE, Hold.NO_HANDLER)


def _of_free(saga: SagaRow, step: StepRow, crew: _Crew) -> Why:
    """Of a step that nobody has, and whose turn it is."""
    spec, name, undo = saga.graph.steps[step.position], handler_name(saga.graph, step), is_undo(step)
    facts = {"handler": name, "queue": spec.queue, "undo": undo}
    if not crew.alive:
        return Why(Cause.NO_WORKER, spec.name, facts=facts)
    able = [worker for worker in crew.alive if worker.queues is None or spec.queue in worker.queues]
    if not able:
        return Why(Cause.NO_QUEUE, spec.name, facts=facts)
    able = [worker for worker in able if not name or name in worker.handlers]
    if not able:
        return Why(Cause.NO_HANDLER, spec.name, facts=facts)
    if all(worker.free_slots <= 0 for worker in able):
        return Why(Cause.BUSY, spec.name, facts={**facts, "slots": sum(worker.slots for worker in able)})
    return Why(Cause.SOON, spec.name)
