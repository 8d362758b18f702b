"""What operators (and the stale monitor) ask for."""

from __future__ import annotations

from datetime import timedelta

from . import triggers as t
from .draft import Draft
from .errors import TransitionNotAllowedError
from .readiness import past_return
from .rows import StepRow
from .settle import begin_rollback, begin_round
from .states import TERMINAL, UNDECIDED, Cause, Hold, Lock, SagaState, StepStatus, Wait

APPLIED = ""


def flag_stale(draft: Draft, trigger: t.FlagStale) -> str:
    """Flag it once; progress clears it."""
    saga = draft.saga
    if any(step.waits for step in draft.steps) and not any(step.claimed for step in draft.steps):
        return "it waits for the outside world"
    if saga.lock_state is Lock.WAITS:
        return "it waits for its lock"
    if saga.stale_since is not None or saga.paused_at is not None or saga.attention:
        return "it is flagged, paused or waits for a person"
    saga.stale_since = draft.now
    return APPLIED


def restart(draft: Draft, trigger: t.Restart) -> str:
    """Nothing changes but the history: it says who has started another in its place."""
    return APPLIED


def compensate(draft: Draft, trigger: t.Compensate) -> str:
    """Roll back."""
    if draft.saga.state is SagaState.COMPENSATING and draft.saga.rewind_to is None:
        return "it is compensating already"
    refuse_past_return(draft, trigger)
    roll_back(draft, Cause.COMPENSATE, trigger.kind, trigger.reason)
    return APPLIED


def roll_back(draft: Draft, cause: Cause, code: str, message: str) -> None:
    """Undo all; the reason is kept where there is none."""
    if draft.saga.state in TERMINAL:
        for step in list(draft.steps):
            if step.status in (StepStatus.UNKNOWN, StepStatus.COMPLETED):
                draft.free(step.position)
    if not draft.saga.error_code:
        draft.saga.error_code, draft.saga.error_message = code, message
    begin_rollback(draft, cause)


def refuse_past_return(draft: Draft, trigger: t.Trigger) -> None:
    """Behind the point of no return there is only forward."""
    position = past_return(draft.saga.graph, draft.steps)
    if position is not None:
        name, status = draft.saga.graph.steps[position].name, draft.steps[position].status
        raise TransitionNotAllowedError(
            f"cannot {trigger.kind} saga: its point of no return {name!r} is {status}, so it can only go forward: "
            f"retry, skip or resolve what is stuck",
            saga_id=draft.saga.id,
            state=draft.saga.state,
        )


def retry(draft: Draft, trigger: t.Retry) -> str:
    """Run now, with a fresh budget, what is stuck; refused when nothing is."""
    reopened = draft.saga.state is SagaState.FAILED
    if reopened:
        _reopen_failed(draft)
    else:
        for step in list(draft.steps):
            _unstick(draft, step)
    if draft.saga.overdue_at is not None:
        draft.saga.overdue_at = None
    elif not draft.touched:
        raise TransitionNotAllowedError(
            f"cannot retry saga: expected a step that waits for its next attempt, is unknown or is a debt, "
            f"found none in state {draft.saga.state}; it moves by itself",
            saga_id=draft.saga.id,
            state=draft.saga.state,
        )
    if reopened:
        draft.move_saga(Cause.RETRY, SagaState.STARTED)
        draft.saga.completed_at = None
        draft.saga.error_code = draft.saga.error_message = ""
    return APPLIED


def _unstick(draft: Draft, step: StepRow) -> None:
    if step.claimed or step.hold is Hold.CHILD:  # that is for the child: it is retried, not the step
        return
    position = step.position
    waits = step.hold in (Hold.CRASHES, Hold.NO_HANDLER) or (step.due_at is not None and not step.waits)
    if step.status is StepStatus.COMPENSATION_FAILED:
        draft.move(position, Cause.RETRY, StepStatus.COMPENSATING)
    elif step.hold is Hold.OVERDUE:
        _wait_again(draft, position)
        return
    elif step.hold in UNDECIDED:
        sure = step.status is StepStatus.FAILED
        draft.move(position, Cause.RETRY, StepStatus.PENDING)
        if sure:
            begin_round(draft, position)
    elif not waits:
        return
    fresh = draft.free(position)
    fresh.tries = fresh.undo_tries = 0


def _wait_again(draft: Draft, position: int) -> None:
    """What it waited for did not come: its action is run again (in doubt), a gate is waited for once more."""
    step, limit = draft.step(position), draft.saga.graph.steps[position].wait_timeout
    if step.waits is Wait.ANSWER:
        draft.move(position, Cause.RETRY, StepStatus.PENDING)
        step.waits, step.doubt, step.tries = Wait.NONE, True, 0
    step.hold = Hold.APPROVAL if step.waits is Wait.APPROVAL else Hold.NONE
    step.due_at = draft.now + timedelta(seconds=limit) if step.waits and limit is not None else None


def _reopen_failed(draft: Draft) -> None:
    """A rejection without doubt opens the next round (new keys); what is in doubt keeps its key."""
    for step in list(draft.steps):
        if step.status not in (StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.CANCELLED):
            continue
        sure = step.status is StepStatus.FAILED
        fresh = draft.move(step.position, Cause.RETRY, StepStatus.PENDING)
        draft.free(step.position)
        fresh.tries = 0
        if sure:
            begin_round(draft, step.position)
