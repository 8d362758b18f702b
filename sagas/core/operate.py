"""What operators (and the stale monitor) ask for."""

from __future__ import annotations

from . import triggers as t
from .draft import Draft
from .errors import TransitionNotAllowedError
from .rows import StepRow
from .settle import begin_rollback
from .states import Cause, Hold, SagaState, StepStatus

APPLIED = ""


def flag_stale(draft: Draft, trigger: t.FlagStale) -> str:
    """Flag it once; progress clears it."""
    saga = draft.saga
    if saga.stale_since is not None or saga.paused_at is not None or saga.attention:
        return "it is flagged, paused or waits for a person"
    saga.stale_since = draft.now
    return APPLIED


def compensate(draft: Draft, trigger: t.Compensate) -> str:
    """Roll back."""
    if draft.saga.state is SagaState.FAILED:
        for step in list(draft.steps):
            if step.status in (StepStatus.UNKNOWN, StepStatus.COMPLETED):
                draft.free(step.position)
    if not draft.saga.error_code:
        draft.saga.error_code = "compensate"
        draft.saga.error_message = trigger.reason
    begin_rollback(draft, Cause.COMPENSATE)
    return APPLIED


def retry(draft: Draft, trigger: t.Retry) -> str:
    """Run now, with a fresh budget, what is stuck; refused when nothing is."""
    reopened = draft.saga.state is SagaState.FAILED
    if reopened:
        _reopen_failed(draft)
    else:
        for step in list(draft.steps):
            _unstick(draft, step)
    if not draft.touched:
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
    if step.claimed:
        return
    position = step.position
    waits = step.hold in (Hold.CRASHES, Hold.NO_HANDLER) or step.due_at is not None
    if step.status is StepStatus.COMPENSATION_FAILED:
        draft.move(position, Cause.RETRY, StepStatus.COMPENSATING)
    elif step.status is StepStatus.UNKNOWN and step.hold is Hold.UNRECORDED:
        draft.move(position, Cause.RETRY, StepStatus.PENDING)
    elif not waits:
        return
    fresh = draft.free(position)
    fresh.tries = fresh.undo_tries = 0


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
            fresh.round += 1
            fresh.attempt = 0
            fresh.started_at = None
