"""What operators ask for one step, and for the pace of a whole saga. Each is one history entry."""

from __future__ import annotations

from typing import NoReturn

from . import triggers as t
from .draft import Draft
from .errors import TransitionNotAllowedError
from .operate import refuse_past_return
from .readiness import open_steps
from .rows import StepRow
from .settle import approvals, begin_rollback, begin_round
from .states import ASKING, EXECUTED, UNDECIDED, Cause, Hold, SagaState, StepStatus, Wait
from .waiting import pass_gate

APPLIED = ""


def _refuse(draft: Draft, trigger: t.OperatorTrigger, text: str) -> NoReturn:
    raise TransitionNotAllowedError(
        f"cannot {trigger.kind.replace('_', ' ')}: {text}", saga_id=draft.saga.id, state=draft.saga.state
    )


def _step(draft: Draft, trigger: t.StepTrigger) -> StepRow:
    """The step that is meant, and that nobody is working on."""
    if not 0 <= trigger.position < len(draft.steps):
        _refuse(draft, trigger, f"expected a step from 0 to {len(draft.steps) - 1}, got {trigger.position}")
    step = draft.steps[trigger.position]
    if step.claimed or step.stale_worker is not None:
        _refuse(draft, trigger, f"step {_name(draft, step)} is running: wait for this attempt to end")
    return step


def _name(draft: Draft, step: StepRow) -> str:
    return repr(draft.saga.graph.steps[step.position].name)


# -- the pace -------------------------------------------------------------------------------------------------------


def pause(draft: Draft, trigger: t.Pause) -> str:
    """What runs is finished, nothing more begins."""
    if draft.saga.paused_at is not None:
        return "it is paused already"
    draft.saga.paused_at = draft.now
    return APPLIED


def resume(draft: Draft, trigger: t.Resume) -> str:
    """Go on."""
    if draft.saga.paused_at is None:
        return "it is not paused"
    draft.saga.paused_at = None
    return APPLIED


def run_now(draft: Draft, trigger: t.RunNow) -> str:
    """Wait no longer for a time."""
    for step in list(draft.steps):
        if step.due_at is None or step.claimed:
            continue
        if step.waits is Wait.TIMER:
            pass_gate(draft, step.position, Cause.TIMER)
        elif step.waits is Wait.NONE and step.status in (StepStatus.PENDING, StepStatus.COMPENSATING):
            draft.step(step.position).due_at = None
    if not draft.touched:
        _refuse(draft, trigger, "no step waits for a time")
    return APPLIED


# -- one step, forward ----------------------------------------------------------------------------------------------


def edit(draft: Draft, trigger: t.Edit) -> str:
    """Run it with another input, under a new key: the old key may mean the old input to the participant."""
    step = _step(draft, trigger)
    failed = step.status is StepStatus.FAILED and (draft.saga.state is SagaState.FAILED or step.hold in UNDECIDED)
    if step.doubt or step.status is StepStatus.UNKNOWN:
        _refuse(draft, trigger, f"step {_name(draft, step)} may have happened with its old input: resolve that first")
    if not failed and step.status is not StepStatus.PENDING:
        _refuse(draft, trigger, f"expected a step that is pending or failed, {_name(draft, step)} is {step.status}")
    if failed:
        draft.move(trigger.position, Cause.RETRY, StepStatus.PENDING)
    if failed or step.attempt:
        begin_round(draft, trigger.position)
    if draft.saga.state is SagaState.FAILED:
        _go_on(draft, trigger.position)
    return APPLIED


def _go_on(draft: Draft, edited: int) -> None:
    """A failed saga goes forward again: what was given up with the step is open too."""
    for step in list(draft.steps):
        if step.position != edited and step.status is StepStatus.CANCELLED:
            draft.move(step.position, Cause.RETRY, StepStatus.PENDING)
    draft.move_saga(Cause.RETRY, SagaState.STARTED)
    draft.saga.completed_at = None
    draft.saga.error_code = draft.saga.error_message = ""


def skip(draft: Draft, trigger: t.Skip) -> str:
    """Go on without it. Doubt stays: what may have happened counts as done, and a rollback will undo it."""
    step = _step(draft, trigger)
    if draft.saga.state is SagaState.COMPENSATING:
        return _skip_undo(draft, trigger, step)
    stuck = step.status in (StepStatus.FAILED, StepStatus.UNKNOWN) and step.hold in UNDECIDED
    if not stuck and step.status not in (StepStatus.PENDING, StepStatus.WAITING):
        _refuse(draft, trigger, f"expected a step that is still to be done, {_name(draft, step)} is {step.status}")
    doubtful = step.doubt or step.status is StepStatus.UNKNOWN or step.waits in (Wait.ANSWER, Wait.CHILD)
    fresh = draft.move(trigger.position, Cause.SKIP, StepStatus.COMPLETED if doubtful else StepStatus.SKIPPED)
    draft.free(trigger.position)
    fresh.doubt, fresh.waits = doubtful, Wait.NONE
    return APPLIED


def _skip_undo(draft: Draft, trigger: t.Skip, step: StepRow) -> str:
    open_now = trigger.position in open_steps(draft.saga, draft.steps)
    if not open_now or step.status not in (*EXECUTED, StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED):
        _refuse(draft, trigger, f"it is not the turn of step {_name(draft, step)} to be undone: it is {step.status}")
    draft.move(trigger.position, Cause.SKIP, StepStatus.COMPENSATION_SKIPPED)
    draft.free(trigger.position).waits = Wait.NONE
    return APPLIED


# -- decisions of people --------------------------------------------------------------------------------------------


def approve(draft: Draft, trigger: t.Approve) -> str:
    """One more approval; when there are enough, it goes on."""
    step = _step(draft, trigger)
    if step.hold is not Hold.APPROVAL:
        _refuse(draft, trigger, f"step {_name(draft, step)} does not wait for approval")
    actor = trigger.actor or "?"
    if actor in step.approved_by.split("\n"):
        _refuse(draft, trigger, f"{actor} has approved already: the other approval must be somebody else's")
    fresh = draft.step(trigger.position)
    fresh.approved_by = f"{step.approved_by}\n{actor}".strip("\n")
    if step.owner == actor:  # has had their say: what is left is somebody else's
        fresh.owner = ""
    if step.status is StepStatus.WAITING:
        pass_gate(draft, trigger.position, Cause.APPROVE)
        fresh.approved_by = ""
    elif approvals(fresh) >= draft.saga.graph.steps[trigger.position].approve_undo:
        fresh.hold = Hold.NONE
    return APPLIED


def deny(draft: Draft, trigger: t.Deny) -> str:
    """It is not to be done: the step fails, surely without effect."""
    step = _step(draft, trigger)
    if step.status is not StepStatus.WAITING or step.waits is not Wait.APPROVAL:
        _refuse(draft, trigger, f"step {_name(draft, step)} does not wait for approval")
    denied = draft.move(trigger.position, Cause.DENY, StepStatus.FAILED)
    draft.free(trigger.position).waits = Wait.NONE
    denied.error_code, denied.error_message = "denied", trigger.reason
    return APPLIED


def resolve(draft: Draft, trigger: t.Resolve) -> str:
    """Record what a person has found out or done by hand."""
    step = _step(draft, trigger)
    if step.hold is Hold.LATE_EFFECT:
        draft.step(trigger.position).hold = Hold.NONE
    elif step.status is StepStatus.COMPENSATION_FAILED:
        _resolve_debt(draft, trigger)
    elif step.status is StepStatus.UNKNOWN and (step.hold in UNDECIDED or draft.saga.state is SagaState.FAILED):
        to = StepStatus.COMPLETED if trigger.done else StepStatus.FAILED
        known = draft.move(trigger.position, Cause.RESOLVE, to)
        draft.free(trigger.position)
        known.doubt = False
        known.executed_at = draft.now if trigger.done else None
    else:
        _refuse(
            draft, trigger,
            f"expected a debt, a late effect, or a step whose outcome a person must find out; {_name(draft, step)} is "
            f"{step.status}",
        )  # fmt: skip
    return APPLIED


def _resolve_debt(draft: Draft, trigger: t.Resolve) -> None:
    to = StepStatus.COMPENSATED if trigger.done else StepStatus.COMPENSATION_SKIPPED
    settled = draft.move(trigger.position, Cause.RESOLVE, to)
    draft.free(trigger.position)
    if trigger.done:
        settled.doubt, settled.compensated_at = False, draft.now


def assign(draft: Draft, trigger: t.Assign) -> str:
    """Who looks after what a person is asked for; of a debt also when it is tried next (never by itself: it is
    parked). Of two who take it at once the second hears who has it."""
    step = _step(draft, trigger)
    if step.hold not in ASKING:
        _refuse(draft, trigger, f"expected a step that asks for a person, {_name(draft, step)} is {step.status}")
    if trigger.instead_of is not None and step.owner not in (trigger.instead_of, trigger.owner):
        has = f"{step.owner} looks after step" if step.owner else "nobody looks after step"
        _refuse(draft, trigger, f"{has} {_name(draft, step)}")
    debt = step.status is StepStatus.COMPENSATION_FAILED
    if trigger.next_try is not None and not debt:
        _refuse(draft, trigger, f"only a debt has a next try, step {_name(draft, step)} is {step.status}")
    asked = draft.step(trigger.position)
    asked.owner = trigger.owner
    if debt and not trigger.keeps_time:
        asked.due_at = trigger.next_try
    return APPLIED


def rewind(draft: Draft, trigger: t.Rewind) -> str:
    """Undo the step and all that depends on it, then begin their next round."""
    if not 0 <= trigger.position < len(draft.steps):
        _refuse(draft, trigger, f"expected a step from 0 to {len(draft.steps) - 1}, got {trigger.position}")
    refuse_past_return(draft, trigger)
    step = draft.steps[trigger.position]
    if step.status is StepStatus.PENDING and not step.attempt:
        _refuse(draft, trigger, f"step {_name(draft, step)} has not begun: there is nothing to go back to")
    for held in list(draft.steps):
        if draft.saga.state is SagaState.FAILED and held.status is StepStatus.CANCELLED:
            draft.move(held.position, Cause.RETRY, StepStatus.PENDING)
    begin_rollback(draft, Cause.REWIND, trigger.position)
    return APPLIED
