"""Where a saga stands after a change: complete, failing, rolled back. Nothing to do is terminal in the same commit."""

from __future__ import annotations

from datetime import timedelta

from .draft import Draft
from .readiness import failing, open_steps, past_return, undoing, undone
from .rows import StepRow
from .states import EXECUTED, GATES, PASSED, UNDECIDED, Cause, Hold, SagaState, StepStatus, Wait


def settle(draft: Draft) -> None:
    """Move the saga on if its steps say so."""
    if draft.saga.state is SagaState.STARTED:
        _settle_forward(draft)
    if draft.saga.state is SagaState.COMPENSATING:
        _settle_backward(draft)


def _settle_backward(draft: Draft) -> None:
    _ask_approval(draft)
    _undo_children(draft)
    done = undone(draft.saga.graph, draft.steps)
    scope = undoing(draft.saga)
    if scope is None and all(done):
        draft.move_saga(Cause.SETTLED, SagaState.COMPENSATED)
    elif scope is not None and all(done[position] for position in scope):
        _reopen(draft, scope)


def _ask_approval(draft: Draft) -> None:
    """A step whose undoing somebody must approve is held when its turn comes."""
    if not draft.saga.graph.approved:
        return
    for position in open_steps(draft.saga, draft.steps):
        step, needed = draft.steps[position], draft.saga.graph.steps[position].approve_undo
        if step.status in EXECUTED and not step.hold and approvals(step) < needed:
            draft.step(position).hold = Hold.APPROVAL


def _undo_children(draft: Draft) -> None:
    """Undoing a step that is a child saga is between the two sagas: no worker is needed for it."""
    saga, specs = draft.saga, draft.saga.graph.steps
    if not saga.graph.nested or saga.paused_at is not None:
        return
    for position in open_steps(saga, draft.steps):
        step = draft.steps[position]
        owed = step.status is StepStatus.COMPENSATION_FAILED
        if not specs[position].saga or step.waits or owed or step.hold not in (Hold.NONE, Hold.NO_HANDLER):
            continue
        if step.status is not StepStatus.COMPENSATING:
            draft.move(position, Cause.CHILD, StepStatus.COMPENSATING)
        begun = draft.free(position)
        begun.waits = Wait.CHILD
        begun.undo_started_at = begun.undo_started_at or draft.now


def approvals(step: StepRow) -> int:
    """How many different people have approved."""
    return len(set(step.approved_by.split("\n"))) if step.approved_by else 0


def _reopen(draft: Draft, scope: frozenset[int]) -> None:
    """All that was to be undone is undone: each of these steps begins its next round, and the saga goes forward."""
    for step in list(draft.steps):
        # Beside the scope: given back meanwhile, when nothing went forward.
        if step.status is StepStatus.CANCELLED and step.position not in scope:
            draft.move(step.position, Cause.REWIND, StepStatus.PENDING)
    for position in sorted(scope):
        if draft.steps[position].status is not StepStatus.PENDING:
            draft.move(position, Cause.REWIND, StepStatus.PENDING)
        begin_round(draft, position)
        draft.rounds.add(position)
    draft.saga.rewind_to = None
    draft.saga.error_code = draft.saga.error_message = ""
    draft.move_saga(Cause.REWIND, SagaState.STARTED)


def begin_round(draft: Draft, position: int) -> None:
    """Open the step anew, with new keys; an old thread of it is still waited for."""
    old = draft.steps[position]
    draft.touched.add(position)
    fresh = StepRow(position, old.status, round=old.round + 1)
    fresh.stale_worker, fresh.stale_token = old.stale_worker, old.stale_token
    draft.steps[position] = fresh


def _settle_forward(draft: Draft) -> None:
    for step in draft.steps:
        if step.status not in PASSED:
            break
    else:
        draft.move_saga(Cause.SETTLED, SagaState.COMPLETED)
        return
    if failing(draft.steps):
        if _no_return(draft):
            return
        _keep_reason(draft)
        if draft.saga.rollback:
            begin_rollback(draft, Cause.ROLLBACK)
        elif not any(step.claimed or step.waits in (Wait.ANSWER, Wait.CHILD) for step in draft.steps):
            # Nothing is undone: what was never executed is cancelled, what is in doubt stays unknown.
            _close(draft, Cause.GIVE_UP)
            draft.move_saga(Cause.GIVE_UP, SagaState.FAILED)


def _no_return(draft: Draft) -> bool:
    """Behind the point of no return a failure waits for a person: nothing can be undone any more."""
    if past_return(draft.saga.graph, draft.steps) is None:
        return False
    for step in list(draft.steps):
        if step.status in (StepStatus.FAILED, StepStatus.UNKNOWN) and not step.hold:
            draft.step(step.position).hold = Hold.NO_RETURN
    return True


def begin_rollback(draft: Draft, cause: Cause, rewind_to: int | None = None) -> None:
    """From here on nothing goes forward; running attempts are drained before their own undo (I6). `rewind_to`: only
    this step, and what depends on it."""
    saga = draft.saga
    saga.rewind_to = rewind_to
    if saga.state is not SagaState.COMPENSATING:
        draft.move_saga(cause, SagaState.COMPENSATING)
    saga.completed_at = saga.paused_at = saga.overdue_at = None
    scope = undoing(saga)
    _close(draft, Cause.ROLLBACK, scope)
    for step in list(draft.steps):
        if step.hold in UNDECIDED and (scope is None or step.position in scope):
            draft.step(step.position).hold = Hold.NONE


def _close(draft: Draft, cause: Cause, scope: frozenset[int] | None = None) -> None:
    """What was not begun is not begun any more; answers that are still to come are waited for, but not for ever."""
    for step in list(draft.steps):
        position = step.position
        if scope is not None and position not in scope:
            continue
        if step.status is StepStatus.PENDING:
            draft.move(position, cause, StepStatus.UNKNOWN if step.doubt else StepStatus.CANCELLED)
            draft.free(position)
        elif step.status is StepStatus.WAITING and step.waits in GATES:
            draft.move(position, cause, StepStatus.CANCELLED).waits = Wait.NONE
            draft.free(position)
        elif step.waits is Wait.CHILD:  # it is told to roll back, or ends by itself: for that there is no limit
            draft.step(position).hold = Hold.NONE
        elif step.status is StepStatus.WAITING:
            drain(draft, position)


def drain(draft: Draft, position: int) -> None:
    """Wait for the answer, but only so long."""
    step = draft.step(position)
    end = draft.now + timedelta(seconds=draft.saga.graph.policy.drain)
    step.due_at = end if step.due_at is None else min(end, step.due_at)
    step.hold = Hold.NONE


def _keep_reason(draft: Draft) -> None:
    if draft.saga.error_code:
        return
    for step in draft.steps:
        if step.status in (StepStatus.FAILED, StepStatus.UNKNOWN):
            draft.saga.error_code = step.error_code or str(step.status)
            draft.saga.error_message = step.error_message
            return
