"""What the end of an attempt does to its step. Each function gets a draft and a trigger and returns why it was
ignored, or the empty string.

Doubt is never "no", and it is sticky: an attempt that ended without an answer leaves doubt, and only *completed* and
*compensated* clear it. A rejection in doubt is unknown, not failed (I10).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from . import triggers as t
from .draft import Draft
from .history import Entry
from .readiness import RECHECK_HELD, failing, open_steps
from .rows import StepRow
from .states import RESOLVED, Cause, Hold, SagaState, StepStatus

#: Crashes of one step after which it is held for a person.
MAX_CRASHES = 5
#: The longest wait that a handler may ask for.
MAX_WAIT = timedelta(days=366)

#: The error code of a step that is undone, but not what its compensation returned could be kept.
UNDO_OUTPUT = "undo_output"

APPLIED = ""
LATE = "its claim is not the current one"


def current(draft: Draft, trigger: t.AttemptTrigger) -> bool:
    """Whether the trigger comes from the attempt that holds the claim: the fence (I11).

    What the thread of an attempt says that an answer was faster than (or that is of an earlier round) does not count;
    but the thread is gone then, unless this is its timeout.
    """
    if not 0 <= trigger.position < len(draft.steps):
        return False
    step = draft.steps[trigger.position]
    overtaken = step.answer or not step.attempt
    alive = isinstance(trigger, (t.InDoubt, t.NoEffect)) and trigger.thread_alive
    if overtaken and not alive and (step.stale_worker, step.stale_token) == (trigger.worker, trigger.token):
        ended = draft.step(trigger.position)
        ended.stale_worker = ended.stale_token = None
    return step.held_by(trigger.worker, trigger.token)


def forward(draft: Draft) -> bool:
    """Whether the saga still goes forward, so that an action may be tried again."""
    return draft.saga.state is SagaState.STARTED and not failing(draft.steps)


def note_error(step: StepRow, code: str, message: str) -> None:
    """Keep what the attempt said."""
    step.error_code, step.error_message = code, message


def prepared(draft: Draft, trigger: t.Prepared) -> str:
    """The input is stored beside; the rows do not change."""
    return APPLIED if current(draft, trigger) else LATE


def completed(draft: Draft, trigger: t.Completed) -> str:
    """The action was done, or undone."""
    if not current(draft, trigger):
        return _late_effect(draft, trigger)
    undo = draft.steps[trigger.position].status is StepStatus.COMPENSATING
    step = draft.move(trigger.position, Cause.COMPLETED, StepStatus.COMPENSATED if undo else StepStatus.COMPLETED)
    draft.release(trigger.position)
    step.doubt = False
    step.crashes = 0
    if undo:
        step.compensated_at = draft.now
        if trigger.code:
            note_error(step, trigger.code, trigger.message)
    else:
        step.executed_at = draft.now
        note_error(step, "", "")
    return APPLIED


def _late_effect(draft: Draft, trigger: t.Completed) -> str:
    """A late result that reports an effect which nothing will undo is a person's business.

    Where the action was recorded as done before it was undone, its key was seen: this is the same result again, or an
    attempt that the participant has deduped.
    """
    if trigger.undo or not 0 <= trigger.position < len(draft.steps):
        return LATE
    step = draft.steps[trigger.position]
    settled = step.status in RESOLVED and step.status is not StepStatus.SKIPPED
    if settled and step.executed_at is None and not step.hold:
        draft.step(trigger.position).hold = Hold.LATE_EFFECT
    return LATE


def rejected(draft: Draft, trigger: t.Rejected) -> str:
    """A "no": final. Without doubt nothing happened; with doubt it is unknown. A refused undo is a debt."""
    if not current(draft, trigger):
        return LATE
    step = draft.release(trigger.position)
    if step.status is StepStatus.COMPENSATING:
        _debt(draft, trigger.position, Cause.REJECTED)
    else:
        draft.move(trigger.position, Cause.REJECTED, StepStatus.UNKNOWN if step.doubt else StepStatus.FAILED)
    note_error(step, trigger.code, trigger.message)
    return APPLIED


def absent(draft: Draft, trigger: t.Absent) -> str:
    """The participant says that the action never happened: nothing is to be undone."""
    if not current(draft, trigger) or draft.steps[trigger.position].status is not StepStatus.COMPENSATING:
        return LATE
    step = draft.move(trigger.position, Cause.COMPLETED, StepStatus.COMPENSATED)
    draft.release(trigger.position)
    step.doubt, step.crashes, step.compensated_at = False, 0, draft.now
    note_error(step, "absent", "the probe says that it never happened: there was nothing to undo")
    return APPLIED


def in_doubt(draft: Draft, trigger: t.InDoubt) -> str:
    """No answer: try again while the budget lasts, then unknown. The doubt stays either way."""
    if not current(draft, trigger):
        return LATE
    step = draft.release(trigger.position)
    if step.status is StepStatus.RUNNING and _called(draft, step):
        step.doubt = True
    _end_attempt(draft, trigger, Cause.IN_DOUBT)
    return APPLIED


def _called(draft: Draft, step: StepRow) -> bool:
    """Whether its action may have been called: not before its condition was checked."""
    return step.opened or not draft.saga.graph.steps[step.position].checks


def no_effect(draft: Draft, trigger: t.NoEffect) -> str:
    """The attempt failed and surely left nothing: try again while the budget lasts, then failed."""
    if not current(draft, trigger):
        return LATE
    draft.release(trigger.position)
    _end_attempt(draft, trigger, Cause.NO_EFFECT)
    return APPLIED


def _end_attempt(draft: Draft, trigger: t.InDoubt | t.NoEffect, cause: Cause) -> None:
    step = draft.step(trigger.position)
    note_error(step, trigger.code, trigger.message)
    if trigger.thread_alive:
        step.stale_worker, step.stale_token = trigger.worker, trigger.token
    final = trigger.final
    if step.status is StepStatus.COMPENSATING:
        retry_or_owe(draft, trigger.position, cause, final=final, after=trigger.after)
    else:
        sure = cause is Cause.NO_EFFECT and not step.doubt
        retry_or_give_up(draft, trigger.position, cause, sure=sure, final=final, after=trigger.after)


def retry_or_owe(
    draft: Draft, position: int, cause: Cause, *, final: bool = False, after: timedelta | None = None
) -> None:
    """An attempt to undo failed: again while its budget lasts, then it is a debt."""
    step, policy = draft.step(position), draft.saga.graph.steps[position].undo_retry
    step.undo_tries += 1
    if final or step.undo_tries >= policy.max_attempts or not policy.allows(_since(step.undo_started_at, draft)):
        _debt(draft, position, cause)
        return
    draft.move(position, cause, StepStatus.COMPENSATING)
    wait = policy.delay(step.undo_tries, f"{draft.saga.id}:{position}:undo")
    step.due_at = draft.now + _wished(after, wait)


def retry_or_give_up(
    draft: Draft, position: int, cause: Cause, *, sure: bool, final: bool = False, after: timedelta | None = None
) -> None:
    """An attempt of the action failed: again while its budget lasts, then failed or (without being sure) unknown."""
    spec, step = draft.saga.graph.steps[position], draft.step(position)
    step.tries += 1
    once = spec.at_most_once and step.doubt and not spec.probe
    allowed = step.tries < spec.retry.max_attempts and spec.retry.allows(_since(step.started_at, draft))
    if not final and not once and allowed and forward(draft):
        draft.move(position, cause, StepStatus.PENDING)
        wait = spec.retry.delay(step.tries, f"{draft.saga.id}:{position}:do")
        step.due_at = draft.now + _wished(after, wait)
        return
    going = forward(draft)
    draft.move(position, cause, StepStatus.FAILED if sure else StepStatus.UNKNOWN)
    if going and spec.at_most_once and not sure:
        step.hold = Hold.AT_MOST_ONCE


def _since(began: datetime | None, draft: Draft) -> timedelta:
    return timedelta(0) if began is None else draft.now - began


def _wished(after: timedelta | None, wait: timedelta) -> timedelta:
    """What the handler asked for, within bounds: a wish must neither leave the calendar nor hide a saga for ever."""
    return wait if after is None else min(max(after, timedelta(0)), MAX_WAIT)


def _debt(draft: Draft, position: int, cause: Cause) -> None:
    step = draft.move(position, cause, StepStatus.COMPENSATION_FAILED)
    step.hold = Hold.DEBT


def handed_back(draft: Draft, trigger: t.HandedBack) -> str:
    """The attempt never began: the step is as it was before the claim."""
    if not current(draft, trigger):
        return LATE
    draft.release(trigger.position)
    _reopen(draft, trigger.position, Cause.HANDED_BACK)
    return APPLIED


def no_code(draft: Draft, trigger: t.NoCode) -> str:
    """A bad deploy must not roll back customers' orders: it waits, and is tried again now and then."""
    if not current(draft, trigger):
        return LATE
    step = draft.release(trigger.position)
    note_error(step, "no_code", trigger.message)
    _reopen(draft, trigger.position, Cause.HANDED_BACK)
    if step.status is StepStatus.PENDING:
        step.hold, step.due_at = Hold.NO_HANDLER, draft.now + RECHECK_HELD
    return APPLIED


def _reopen(draft: Draft, position: int, cause: Cause) -> None:
    """After a claim that ended without a result: forward it is due again, in a rollback an action is not run again."""
    step = draft.step(position)
    if step.status is StepStatus.COMPENSATING:
        draft.move(position, cause, StepStatus.COMPENSATING)
    elif forward(draft):
        draft.move(position, cause, StepStatus.PENDING)
    else:
        draft.move(position, cause, StepStatus.UNKNOWN if step.doubt else StepStatus.CANCELLED)


def worker_lost(draft: Draft, trigger: t.WorkerLost) -> str:
    """Take over what a dead worker had claimed; its timed-out threads are gone with it."""
    for step in list(draft.steps):
        position = step.position
        if step.stale_worker == trigger.worker and trigger.token is None:
            stale = draft.step(position)
            stale.stale_worker = stale.stale_token = None
        if step.claim_worker == trigger.worker and trigger.token in (None, step.claim_token):
            _take_over(draft, position)
    return APPLIED if draft.touched else "it holds no claim here"


def _take_over(draft: Draft, position: int) -> None:
    spec = draft.saga.graph.steps[position]
    step = draft.release(position)
    step.crashes += 1
    if step.status is StepStatus.RUNNING and not spec.atomic and _called(draft, step):
        step.doubt = True
    note_error(step, "worker_lost", "the worker died while it ran this step")
    once = step.status is StepStatus.RUNNING and step.doubt and spec.at_most_once and not spec.probe
    if once and forward(draft):
        draft.move(position, Cause.WORKER_LOST, StepStatus.UNKNOWN)
        step.hold = Hold.AT_MOST_ONCE
        return
    _reopen(draft, position, Cause.WORKER_LOST)
    if step.crashes >= MAX_CRASHES and step.status in (StepStatus.PENDING, StepStatus.COMPENSATING):
        step.hold = Hold.CRASHES


def unrecorded(draft: Draft, trigger: t.Unrecorded) -> str:
    """A result that the database did not take: going forward it waits for a person; in a rollback it is undone."""
    if not current(draft, trigger):
        return LATE
    going = forward(draft)
    step = draft.release(trigger.position)
    note_error(step, trigger.code, trigger.message)
    if step.status is StepStatus.COMPENSATING:
        _debt(draft, trigger.position, Cause.UNRECORDED)
        return APPLIED
    draft.move(trigger.position, Cause.UNRECORDED, StepStatus.UNKNOWN)
    step.doubt = True
    step.hold = Hold.UNRECORDED if going else Hold.NONE
    return APPLIED


def thread_ended(draft: Draft, trigger: t.ThreadEnded) -> str:
    """The old thread is gone: the step may start again."""
    step = draft.steps[trigger.position] if 0 <= trigger.position < len(draft.steps) else None
    if step is None or (step.stale_worker, step.stale_token) != (trigger.worker, trigger.token):
        return LATE
    step = draft.step(trigger.position)
    step.stale_worker = step.stale_token = None
    return APPLIED


def no_handler(draft: Draft, trigger: t.NoHandler) -> str:
    """Nobody can run the step: a bad deploy must not roll back customers' orders, so it waits."""
    if trigger.position not in open_steps(draft.saga, draft.steps):
        return "the step is not open"
    step = draft.steps[trigger.position]
    if step.claimed or step.hold:
        return "the step is claimed or held"
    draft.step(trigger.position).hold = Hold.NO_HANDLER
    return APPLIED


def late_note(draft: Draft, trigger: t.AttemptTrigger, reason: str) -> Entry | None:
    """What remains of a result whose claim was lost; at most one per token."""
    if isinstance(trigger, (t.ThreadEnded, t.Prepared, t.HandedBack)):
        return None
    return Entry(
        seq=None,
        kind=f"late_{trigger.kind}",
        at=draft.now,
        position=trigger.position if 0 <= trigger.position < len(draft.steps) else None,
        reason=reason,
        data={"worker": str(trigger.worker), "token": trigger.token, "undo": trigger.undo},
        note_key=f"{trigger.worker}:{trigger.token}",
    )
