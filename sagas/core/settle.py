"""Where a saga stands after a change: complete, failing, rolled back. Nothing to do is terminal in the same commit."""

from __future__ import annotations

from .draft import Draft
from .readiness import failing, undone
from .states import PASSED, Cause, Hold, SagaState, StepStatus


def settle(draft: Draft) -> None:
    """Move the saga on if its steps say so."""
    if draft.saga.state is SagaState.STARTED:
        _settle_forward(draft)
    if draft.saga.state is SagaState.COMPENSATING and all(undone(draft.saga.graph, draft.steps)):
        draft.move_saga(Cause.SETTLED, SagaState.COMPENSATED)


def _settle_forward(draft: Draft) -> None:
    if all(step.status in PASSED for step in draft.steps):
        draft.move_saga(Cause.SETTLED, SagaState.COMPLETED)
    elif failing(draft.steps):
        _keep_reason(draft)
        if draft.saga.rollback:
            begin_rollback(draft, Cause.ROLLBACK)
        elif not any(step.claimed for step in draft.steps):
            # Nothing is undone: what was never executed is cancelled, what is in doubt stays unknown.
            _close_pending(draft, Cause.GIVE_UP)
            draft.move_saga(Cause.GIVE_UP, SagaState.FAILED)


def begin_rollback(draft: Draft, cause: Cause) -> None:
    """From here on nothing goes forward; running attempts are drained before their own undo (I6)."""
    draft.move_saga(cause, SagaState.COMPENSATING)
    draft.saga.completed_at = None
    _close_pending(draft, Cause.ROLLBACK)
    for step in list(draft.steps):
        if step.hold is Hold.UNRECORDED:
            draft.step(step.position).hold = Hold.NONE


def _close_pending(draft: Draft, cause: Cause) -> None:
    for step in list(draft.steps):
        if step.status is StepStatus.PENDING:
            draft.move(step.position, cause, StepStatus.UNKNOWN if step.doubt else StepStatus.CANCELLED)
            draft.free(step.position)


def _keep_reason(draft: Draft) -> None:
    if draft.saga.error_code:
        return
    for step in draft.steps:
        if step.status in (StepStatus.FAILED, StepStatus.UNKNOWN):
            draft.saga.error_code = step.error_code or str(step.status)
            draft.saga.error_message = step.error_message
            return
