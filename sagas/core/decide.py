"""The one decision function: trigger in, changed rows and one history entry out. Every way in passes through it.

`decide` is total: each (state, trigger) is an edge, ignored with a reason, or refused with `TransitionNotAllowedError`
(the table is in `answers`). It reads no clock, no database and no payload, and calls no user code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import attempts, children, migrate, operate, steer, waiting
from . import triggers as t
from .answers import ANSWERS, Ignored, Refused
from .claims import Budget, Claim, Offer, TokenBook, claim, handler_name, is_undo, standing
from .draft import Draft
from .errors import SagaMovedError, TransitionNotAllowedError
from .history import Entry, changes, since, step_changes
from .readiness import blocked, next_look, open_steps
from .rows import SagaRow, StepRow
from .settle import settle
from .states import PASSED, TERMINAL, Cause, Hold, Lock, SagaState, StepStatus

APPLIED = ""


@dataclass(slots=True)
class Decision:
    """What one trigger changed."""

    saga: SagaRow
    steps: list[StepRow]
    #: Positions of the steps that changed.
    changed: set[int] = field(default_factory=set)
    #: Why the trigger does not count; empty when it was applied. (A late result that reports an effect does not
    #: count, and still asks for a person: then there is an entry too.)
    ignored: str = APPLIED
    entry: Entry | None = None
    #: A note: a late or repeated result. It has no seq.
    note: Entry | None = None
    #: Claims that the asking worker holds now.
    claims: list[Claim] = field(default_factory=list)
    #: Steps that could run now but that nobody took.
    unclaimed: list[int] = field(default_factory=list)
    #: Steps that could run now but for the limits of their handlers.
    limited: list[int] = field(default_factory=list)
    #: Steps that were undone and begin anew: what they have stored is out of date.
    rounds: set[int] = field(default_factory=set)
    #: Steps whose child sagas must be looked at.
    errands: list[int] = field(default_factory=list)

    @property
    def moved(self) -> bool:
        """Whether the saga's row must be written."""
        return self.entry is not None


@dataclass(slots=True)
class Desk:
    """What a worker brings to one decision: its offer, what is left of it, the tokens given out for this trigger."""

    offer: Offer
    budget: Budget
    book: TokenBook


def _look(draft: Draft, trigger: t.Look) -> str:
    if trigger.unlocked and draft.saga.lock_state is Lock.WAITS:
        draft.saga.lock_state, draft.kind = Lock.HELD, "unlocked"
    return waiting.fire(draft)


_HANDLERS: dict[type, Callable[[Draft, Any], str]] = {
    t.Look: _look,
    t.Prepared: attempts.prepared,
    t.Completed: attempts.completed,
    t.Rejected: attempts.rejected,
    t.InDoubt: attempts.in_doubt,
    t.NoEffect: attempts.no_effect,
    t.HandedBack: attempts.handed_back,
    t.NoCode: attempts.no_code,
    t.Unrecorded: attempts.unrecorded,
    t.ThreadEnded: attempts.thread_ended,
    t.WorkerLost: attempts.worker_lost,
    t.NoHandler: attempts.no_handler,
    t.FlagStale: operate.flag_stale,
    t.Checked: waiting.checked,
    t.PassedOver: waiting.passed_over,
    t.OpenedOut: waiting.opened_out,
    t.Waits: waiting.waits,
    t.ChildStarted: children.child_started,
    t.Absent: attempts.absent,
    t.Answer: waiting.answer,
    t.Signal: waiting.signal,
    t.ChildEnded: children.child_ended,
    t.ParentUndoes: children.parent_undoes,
    t.Compensate: operate.compensate,
    t.Cancel: operate.compensate,
    t.Retry: operate.retry,
    t.Pause: steer.pause,
    t.Resume: steer.resume,
    t.RunNow: steer.run_now,
    t.Edit: steer.edit,
    t.Skip: steer.skip,
    t.Approve: steer.approve,
    t.Deny: steer.deny,
    t.Resolve: steer.resolve,
    t.Rewind: steer.rewind,
    t.Assign: steer.assign,
    t.Restart: operate.restart,
    t.Migrate: migrate.migrate,
}


def decide(
    saga: SagaRow, steps: Sequence[StepRow], trigger: t.Trigger, now: datetime, desk: Desk | None = None
) -> Decision:
    """What `trigger` does to the saga at `now`, and which steps the asking worker (if any) claims in the same commit.

    Raises `TransitionNotAllowedError` for what the state does not allow and `SagaMovedError` when an operator's
    `expected_revision` is not the saga's.
    """
    answer = ANSWERS[saga.state, type(trigger)]
    if isinstance(answer, Refused):
        raise _refusal(saga, trigger, answer)
    draft = Draft(saga, steps, now)
    _check_revision(saga, trigger)
    if isinstance(answer, Ignored):
        ignored = answer.reason
    else:
        ignored = _HANDLERS[type(trigger)](draft, trigger)
        if not ignored:
            waiting.open_gates(draft)
            settle(draft)
            if draft.rounds:  # what is opened anew stands before its gates, before anybody may claim it
                waiting.open_gates(draft)
                settle(draft)
            _pause_after(draft, trigger)
            if desk is not None:
                _claim(draft, desk)
    return _seal(draft, trigger, ignored, desk)


def _refusal(saga: SagaRow, trigger: t.Trigger, answer: Refused) -> TransitionNotAllowedError:
    return TransitionNotAllowedError(
        f"cannot {trigger.kind} saga: expected state {answer.expected}, got {saga.state}; {answer.advice}",
        saga_id=saga.id,
        state=saga.state,
    )


def _check_revision(saga: SagaRow, trigger: t.Trigger) -> None:
    expected = trigger.expected_revision if isinstance(trigger, t.OperatorTrigger) else None
    if expected is not None and expected != saga.revision:
        raise SagaMovedError(
            f"the saga has moved: expected revision {expected}, it is at {saga.revision}; load it again",
            saga_id=saga.id,
            revision=saga.revision,
        )


def _pause_after(draft: Draft, trigger: t.Trigger) -> None:
    """A step that stops the line when it is done; the last one can not."""
    if draft.saga.state is not SagaState.STARTED or not draft.saga.graph.stops:
        return
    for position in draft.saga.graph.stops & draft.touched:
        passed = draft.steps[position].status in PASSED and draft.original[position].status not in PASSED
        if passed and not isinstance(trigger, t.Skip):
            draft.saga.paused_at = draft.now


def ready(saga: SagaRow, steps: Sequence[StepRow], now: datetime) -> list[StepRow]:
    """Steps that could be claimed now."""
    if saga.paused_at is not None:
        return []
    return [steps[position] for position in open_steps(saga, steps) if not blocked(steps[position], now)]


def _claim(draft: Draft, desk: Desk) -> None:
    candidates = ready(draft.saga, draft.steps, draft.now)
    taken, limited = claim(draft.saga.graph, candidates, desk.offer, desk.budget) if candidates else ([], [])
    for position in limited:
        room = desk.offer.rooms[handler_name(draft.saga.graph, draft.steps[position])]
        draft.later[position] = draft.now + room.later
    for position in taken:
        undo = is_undo(draft.steps[position])
        step = draft.move(position, Cause.CLAIM, StepStatus.COMPENSATING if undo else StepStatus.RUNNING)
        token = desk.book.tokens.get(position)
        if token is None:
            token = desk.book.tokens[position] = desk.offer.next_token()
        step.claim_worker, step.claim_token, step.claimed_at = desk.offer.worker, token, draft.now
        step.hold = Hold.NONE
        step.due_at = None
        if undo:
            step.undo_attempt += 1
            step.undo_started_at = step.undo_started_at or draft.now
        else:
            step.attempt += 1
            step.started_at = step.started_at or draft.now


def _seal(draft: Draft, trigger: t.Trigger, ignored: str, desk: Desk | None) -> Decision:
    saga = draft.saga
    pairs = [(draft.original[position], draft.steps[position]) for position in sorted(draft.touched)]
    _note_holds(pairs, draft.now)
    changed = step_changes(pairs, draft.now)
    _derive(draft, trigger, bool(changed))
    decision = Decision(saga, draft.steps, set(changed), ignored, rounds=draft.rounds)
    data = changes(draft.before, saga, changed, draft.now)
    if isinstance(trigger, t.Migrate) and not ignored:
        data["graph"] = draft.before.graph.hash
    if data or (not ignored and isinstance(trigger, t.OperatorTrigger)):
        saga.revision += 1
        saga.updated_at = draft.now
        decision.entry = _entry(draft, trigger, data, late=bool(ignored))
    elif ignored and isinstance(trigger, t.AttemptTrigger):
        decision.note = attempts.late_note(draft, trigger, ignored)
    elif ignored and isinstance(trigger, t.Answer):
        decision.note = waiting.late_answer(draft, trigger, ignored)
    opened = open_steps(saga, draft.steps)
    saga.wake_at = _wake(draft, trigger, opened)
    if saga.graph.nested:
        decision.errands = children.errands(draft, trigger)
    if desk is not None:
        decision.claims = standing(draft.steps, desk.offer, desk.book)
    if opened and (data or isinstance(trigger, t.Look)) and saga.paused_at is None:
        free = (draft.steps[position] for position in opened if position not in draft.later)
        decision.unclaimed = [s.position for s in free if s.hold is Hold.NONE and not blocked(s, draft.now)]
        decision.limited = list(draft.later)
    return decision


def _note_holds(pairs: Sequence[tuple[StepRow, StepRow]], now: datetime) -> None:
    """Since when steps ask for a person. Nobody looks after what is done; a debt that is tried again may come back."""
    for was, step in pairs:
        if step.hold is Hold.NONE and was.hold is Hold.NONE:
            continue
        step.held_since = since(was, step, now)
        if step.hold is Hold.NONE and step.status is not StepStatus.COMPENSATING:
            step.owner = ""


def _derive(draft: Draft, trigger: t.Trigger, progressed: bool) -> None:
    saga = draft.saga
    saga.attention = ""
    for step in draft.steps:
        if step.hold is not Hold.NONE:
            saga.attention = str(step.hold)
            break
    else:
        if saga.overdue_at is not None and saga.state not in TERMINAL:
            saga.attention = "deadline"
    if saga.state in TERMINAL:
        saga.completed_at = saga.completed_at or draft.now
        saga.stale_since = None
    elif progressed:
        saga.stale_since = None
    if saga.lock_key:
        _derive_lock(saga)


def _derive_lock(saga: SagaRow) -> None:
    """It is the saga's while it lives; one that comes back to life takes it again, and the store says if it may."""
    if saga.state in TERMINAL:
        saga.lock_state = Lock.NONE
    elif saga.lock_state is Lock.NONE:
        saga.lock_state = Lock.HELD


def _wake(draft: Draft, trigger: t.Trigger, opened: Sequence[int]) -> datetime | None:
    """Early is allowed, late is not: a busy saga's `wake_at` (which is indexed) is left alone."""
    if draft.saga.state in TERMINAL:
        return None
    needed = next_look(draft.saga, draft.steps, opened, draft.now, draft.later)
    current = draft.before.wake_at
    if current is None or needed < current or (isinstance(trigger, t.Look) and trigger.sweep):
        return needed
    return current


def _entry(draft: Draft, trigger: t.Trigger, data: dict[str, Any], *, late: bool) -> Entry:
    position: int | None = None
    if isinstance(trigger, (t.AttemptTrigger, t.NoHandler, t.Answer, t.StepTrigger)):
        position = trigger.position
    elif isinstance(trigger, t.ChildEnded):
        position = draft.saga.graph.names.get(trigger.step)
    if position is None and len(draft.touched) == 1:
        position = next(iter(draft.touched))
    if position not in range(len(draft.steps)):
        position = None
    asked = trigger if isinstance(trigger, (t.OperatorTrigger, t.Signal)) else None
    step = draft.steps[position] if position is not None else None
    return Entry(
        seq=draft.saga.revision,
        kind=f"late_{trigger.kind}" if late else draft.kind or trigger.kind,
        at=draft.now,
        position=position,
        # An undo begins only when the actions are over: from then on its attempts are meant.
        attempt=0 if step is None else step.undo_attempt or step.attempt,
        round=0 if step is None else step.round,
        actor=asked.actor if asked else "",
        reason=asked.reason if asked else "",
        data=data,
    )


__all__ = ["APPLIED", "Decision", "Desk", "decide", "handler_name", "ready"]
