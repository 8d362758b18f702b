"""Steps that wait: gates before an action (a timer, a signal, an approval), and answers that come from outside.

A gate is reached when a step's turn has come, in the same commit, and passed without a worker. A wait for an answer
begins when the handler returned `Pending`; its token is good from the claim on: the answer may be faster than it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from . import triggers as t
from .attempts import APPLIED, LATE, current, forward, note_error, retry_or_give_up, retry_or_owe
from .draft import Draft
from .errors import TransitionNotAllowedError
from .graph import ATTENTION, RETRY, ROLLBACK
from .history import Entry
from .readiness import failing, open_steps, past_return
from .rows import StepRow
from .settle import begin_rollback, drain
from .states import RESOLVED, Cause, Hold, SagaState, StepStatus, Wait

ALREADY = "it was answered so already"


# -- gates ----------------------------------------------------------------------------------------------------------


def open_gates(draft: Draft) -> None:
    """Bring every step whose turn has come to its gate."""
    graph = draft.saga.graph
    if not graph.gated or draft.saga.state is not SagaState.STARTED or failing(draft.steps):
        return
    again = True
    while again:  # what is done at once opens the next
        again = False
        for position in open_steps(draft.saga, draft.steps):
            spec, step = graph.steps[position], draft.steps[position]
            if spec.gate and not (spec.checks or step.opened or step.claimed or step.hold):
                again = reach(draft, position) or again


def reach(draft: Draft, position: int, opens_at: datetime | None = None) -> bool:
    """The step stands before its gate; whether it is done already (the signal came early, the time has passed)."""
    spec = draft.saga.graph.steps[position]
    if spec.gate is Wait.SIGNAL and draft.steps[position].answer:
        step = draft.move(position, Cause.GATE, StepStatus.COMPLETED)
        step.executed_at, step.opened = draft.now, True
        return True
    step = draft.move(position, Cause.GATE, StepStatus.WAITING)
    step.waits = spec.gate
    step.started_at = step.started_at or draft.now
    if spec.gate is Wait.TIMER:
        step.due_at = opens_at or draft.now + timedelta(seconds=spec.delay)
        if step.due_at <= draft.now:
            return pass_gate(draft, position, Cause.TIMER)
        return False
    _limit(draft, position)
    step.hold = Hold.APPROVAL if spec.gate is Wait.APPROVAL else Hold.NONE
    return False


def _limit(draft: Draft, position: int, wish: timedelta | None = None) -> None:
    """How long it waits."""
    limit = draft.saga.graph.steps[position].wait_timeout
    wait = wish if wish is not None else None if limit is None else timedelta(seconds=limit)
    draft.step(position).due_at = None if wait is None else draft.now + wait


def pass_gate(draft: Draft, position: int, cause: Cause) -> bool:
    """The action may run now; where there is none the step is done, and that is the answer."""
    done = not draft.saga.graph.steps[position].does
    step = draft.move(position, cause, StepStatus.COMPLETED if done else StepStatus.PENDING)
    step.opened = True
    _wait_no_more(draft, position)
    if done:
        step.executed_at = draft.now
    return done


def _wait_no_more(draft: Draft, position: int) -> None:
    step = draft.step(position)
    step.waits, step.due_at, step.hold = Wait.NONE, None, Hold.NONE


def checked(draft: Draft, trigger: t.Checked) -> str:
    """The condition holds: on to the gate, or on with this very attempt."""
    if not current(draft, trigger):
        return LATE
    spec = draft.saga.graph.steps[trigger.position]
    if not spec.gate or draft.steps[trigger.position].opened:
        draft.step(trigger.position).opened = True
        return APPLIED
    step = draft.release(trigger.position)
    step.attempt -= 1  # its action has not been called
    if forward(draft):
        reach(draft, trigger.position, trigger.opens_at)
    else:
        draft.move(trigger.position, Cause.GATE, StepStatus.CANCELLED)
    return APPLIED


def passed_over(draft: Draft, trigger: t.PassedOver) -> str:
    """The condition does not hold: what depends on the step goes on without it."""
    if not current(draft, trigger):
        return LATE
    draft.release(trigger.position)
    draft.move(trigger.position, Cause.PASSED_OVER, StepStatus.SKIPPED)
    return APPLIED


def opened_out(draft: Draft, trigger: t.OpenedOut) -> str:
    """One step per element takes this one's place; it joins them when they are done."""
    if not current(draft, trigger):
        return LATE
    graph, position = draft.saga.graph, trigger.position
    step = draft.release(position)
    step.attempt -= 1  # its action has not been called
    if not forward(draft):
        draft.move(position, Cause.GATE, StepStatus.CANCELLED)
        return APPLIED
    draft.move(position, Cause.GATE, StepStatus.PENDING).opened = True
    draft.saga.graph = graph.opened_out(position, trigger.count)
    fresh = [StepRow(place) for place in draft.saga.graph.steps[position].joins]
    draft.original = [*draft.original, *fresh]
    draft.steps += fresh
    return APPLIED


# -- answers --------------------------------------------------------------------------------------------------------


def waits(draft: Draft, trigger: t.Waits) -> str:
    """The handler is done, somebody else will say what came of it."""
    if not current(draft, trigger):
        return LATE
    step = draft.release(trigger.position)
    undo = step.status is StepStatus.COMPENSATING
    if not undo:
        draft.move(trigger.position, Cause.WAITS, StepStatus.WAITING)
    step.waits = Wait.ANSWER
    _limit(draft, trigger.position, trigger.timeout)
    if not undo and not forward(draft):
        drain(draft, trigger.position)
    return APPLIED


def answer(draft: Draft, trigger: t.Answer) -> str:
    """Success counts from any attempt of the round while it may still matter, failure from the current one only."""
    if not 0 <= trigger.position < len(draft.steps):
        return "there is no such step"
    step = draft.steps[trigger.position]
    first = _is_first(step, trigger)
    if step.answer == _said(trigger) and not first:
        return ALREADY
    if trigger.round != step.round:
        return "the step has been opened anew since"
    if step.answer.startswith(_phase(trigger)) and step.waits is not Wait.ANSWER and not first:
        return "it was answered differently before"
    undo = step.status is StepStatus.COMPENSATING
    if trigger.undo != undo or not _awaited(draft, trigger):
        return _too_late(draft, trigger)
    _take(draft, trigger, undo=undo)
    return APPLIED


def _said(trigger: t.Answer) -> str:
    """What is kept of an answer: of the action's, until its compensation is answered too."""
    return f"{_phase(trigger)}{trigger.digest}"


def _phase(trigger: t.Answer) -> str:
    return "undo:" if trigger.undo else "do:"


def _is_first(step: StepRow, trigger: t.Answer) -> bool:
    """Whether it is to the attempt that runs or waits now: what was said before was of one before it."""
    undo = step.status is StepStatus.COMPENSATING
    same = (trigger.round, trigger.undo) == (step.round, undo)
    open_now = step.claimed or step.waits is Wait.ANSWER
    return same and open_now and trigger.attempt == (step.undo_attempt if undo else step.attempt)


def _awaited(draft: Draft, trigger: t.Answer) -> bool:
    step = draft.steps[trigger.position]
    open_now = step.claimed or step.waits is Wait.ANSWER
    if trigger.ok:
        between = step.status is StepStatus.PENDING and step.attempt > 0 and draft.saga.state is SagaState.STARTED
        return open_now or between
    return open_now and trigger.attempt == (step.undo_attempt if trigger.undo else step.attempt)


def _too_late(draft: Draft, trigger: t.Answer) -> str:
    """An effect that nothing will undo is a person's business."""
    step = draft.steps[trigger.position]
    settled = step.status in RESOLVED and step.status is not StepStatus.SKIPPED
    if trigger.ok and not trigger.undo and settled and step.executed_at is None and not step.hold:
        draft.step(trigger.position).hold = Hold.LATE_EFFECT
    return "the step does not wait for this answer (any more)"


def _take(draft: Draft, trigger: t.Answer, *, undo: bool) -> None:
    step = draft.step(trigger.position)
    if step.claimed:  # the handler still runs: nothing else of the step begins before its thread is gone
        step.stale_worker, step.stale_token = step.claim_worker, step.claim_token
        draft.release(trigger.position)
        # A "no" while the handler may still do something is none.
        step.doubt = step.doubt or not (undo or trigger.ok)
    _wait_no_more(draft, trigger.position)
    step.answer = _said(trigger)
    note_error(step, trigger.code, trigger.message)
    if undo and trigger.ok:
        draft.move(trigger.position, Cause.COMPLETED, StepStatus.COMPENSATED).compensated_at = draft.now
    elif undo:
        draft.move(trigger.position, Cause.REJECTED, StepStatus.COMPENSATION_FAILED).hold = Hold.DEBT
    elif trigger.ok:
        draft.move(trigger.position, Cause.ANSWERED, StepStatus.COMPLETED).executed_at = draft.now
    else:
        draft.move(trigger.position, Cause.ANSWERED, StepStatus.UNKNOWN if step.doubt else StepStatus.FAILED)
    if trigger.ok:
        step.doubt, step.crashes = False, 0


def late_answer(draft: Draft, trigger: t.Answer, reason: str) -> Entry | None:
    """What remains of an answer that does not count; once per answer."""
    if reason == ALREADY or not 0 <= trigger.position < len(draft.steps):
        return None
    return Entry(
        seq=None,
        kind="late_answer",
        at=draft.now,
        position=trigger.position,
        attempt=trigger.attempt,
        round=trigger.round,
        reason=reason,
        data={"ok": trigger.ok, "undo": trigger.undo},
        note_key=f"answer:{trigger.digest}:{trigger.round}",
    )


def signal(draft: Draft, trigger: t.Signal) -> str:
    """Taken by the step that waits for it; kept by one that will. The same again is harmless, whatever came since."""
    position = draft.saga.graph.signals.get(trigger.name)
    if position is None:
        known = ", ".join(sorted(draft.saga.graph.signals)) or "none"
        raise TransitionNotAllowedError(
            f"no step of this saga waits for a signal {trigger.name!r} (signals: {known})", saga_id=draft.saga.id
        )
    step = draft.steps[position]
    if step.answer == trigger.digest:
        return ALREADY
    if draft.saga.state is not SagaState.STARTED:
        raise TransitionNotAllowedError(
            f"cannot signal saga: expected state {SagaState.STARTED}, got {draft.saga.state}; it does not go forward: "
            "nothing in it takes a signal any more",
            saga_id=draft.saga.id,
            state=draft.saga.state,
        )
    if step.answer or step.status not in (StepStatus.PENDING, StepStatus.WAITING):
        raise TransitionNotAllowedError(
            f"step {draft.saga.graph.steps[position].name!r} takes no signal any more: it is {step.status}"
            f"{', with another payload' if step.answer else ''}",
            saga_id=draft.saga.id,
        )
    draft.step(position).answer = trigger.digest
    if step.status is StepStatus.WAITING:
        done = draft.move(position, Cause.SIGNALLED, StepStatus.COMPLETED)
        _wait_no_more(draft, position)
        done.executed_at, done.opened = draft.now, True
    return APPLIED


# -- times ----------------------------------------------------------------------------------------------------------


def fire(draft: Draft) -> str:
    """Do what a time that has come asks for."""
    if draft.saga.paused_at is not None:
        return APPLIED
    _deadline(draft)
    _steps(draft)
    if draft.touched or draft.saga.state is not draft.before.state or draft.saga.overdue_at != draft.before.overdue_at:
        draft.kind = "timer"
    return APPLIED


def _steps(draft: Draft) -> None:
    for step in list(draft.steps):
        if step.due_at is None or step.due_at > draft.now or step.claimed:
            continue
        if step.status is StepStatus.WAITING:
            _end_wait(draft, step.position)
        elif step.status is StepStatus.COMPENSATING and step.waits is Wait.ANSWER:
            _wait_no_more(draft, step.position)
            note_error(draft.step(step.position), "timeout", "no answer came in time")
            retry_or_owe(draft, step.position, Cause.IN_DOUBT)
        elif step.status is StepStatus.COMPENSATION_FAILED:
            owed = draft.move(step.position, Cause.TIMER, StepStatus.COMPENSATING)
            owed.hold, owed.due_at = Hold.NONE, None
            owed.undo_tries = draft.saga.graph.steps[step.position].undo_retry.max_attempts - 1


def _deadline(draft: Draft) -> None:
    saga = draft.saga
    if saga.deadline_at is None or saga.deadline_at > draft.now or saga.state is not SagaState.STARTED:
        return
    saga.deadline_at = None
    if saga.graph.policy.on_deadline == ROLLBACK and saga.rollback and past_return(saga.graph, draft.steps) is None:
        saga.error_code, saga.error_message = "deadline", "it was not done by its deadline"
        begin_rollback(draft, Cause.ROLLBACK)
    else:
        saga.overdue_at = draft.now


def _end_wait(draft: Draft, position: int) -> None:
    spec, step = draft.saga.graph.steps[position], draft.steps[position]
    if step.waits is Wait.TIMER:
        pass_gate(draft, position, Cause.TIMER)
        return
    draining = draft.saga.state is not SagaState.STARTED
    note_error(draft.step(position), "timeout", f"no {step.waits} came in time")
    if spec.on_timeout == ATTENTION and not draining:
        overdue = draft.step(position)
        overdue.hold, overdue.due_at = Hold.OVERDUE, None
    elif step.waits is Wait.ANSWER:
        _no_answer(draft, position, again=spec.on_timeout == RETRY)
    elif spec.on_timeout == RETRY:
        _limit(draft, position)
    else:
        _wait_no_more(draft, position)
        draft.move(position, Cause.TIMER, StepStatus.FAILED)


def _no_answer(draft: Draft, position: int, *, again: bool) -> None:
    """Nobody said what came of it: in doubt."""
    _wait_no_more(draft, position)
    step = draft.step(position)
    step.doubt = True
    retry_or_give_up(draft, position, Cause.TIMER, sure=False, final=not again)
