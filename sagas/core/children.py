"""Child sagas: a step that starts another saga and waits for its end. What the two tell each other, as triggers.

Parent and child are two sagas with two histories; neither is ever decided together with the other. Whatever one has to
hear of the other can be worked out again from the rows of both, at any time, so that a message may be lost.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

from . import triggers as t
from .attempts import APPLIED, LATE, current, forward, note_error
from .draft import Draft
from .operate import roll_back
from .readiness import past_return
from .states import Cause, Hold, SagaState, StepStatus, Wait

#: The most sagas that may be above one.
MAX_DEPTH = 5


def child_id(parent: UUID, step: str, number: int) -> UUID:
    """The id of the child saga of a step's round: always the same, so no row need name it. It sorts with the parent."""
    digest = hashlib.sha256(f"{parent.hex}:{step}:{number}".encode()).digest()
    return UUID(bytes=parent.bytes[:6] + digest[:10])


def child_started(draft: Draft, trigger: t.ChildStarted) -> str:
    """The child is there, in the same transaction as this; in a rollback none is started any more."""
    if not current(draft, trigger) or not forward(draft):
        return LATE
    step = draft.release(trigger.position)
    draft.move(trigger.position, Cause.WAITS, StepStatus.WAITING)
    step.waits = Wait.CHILD
    note_error(step, "", "")
    return APPLIED


def child_ended(draft: Draft, trigger: t.ChildEnded) -> str:
    """Its end is the step's; one that ended without being undone is a person's business."""
    position = draft.saga.graph.names.get(trigger.step)
    if position is None:
        return "there is no such step"
    step = draft.steps[position]
    if trigger.round != step.round:
        return "the step has been opened anew since"
    if step.waits is Wait.CHILD and step.status is StepStatus.COMPENSATING:
        return _undone(draft, position, trigger)
    held = step.hold is Hold.CHILD and trigger.state is not SagaState.FAILED
    if trigger.refused or not (step.waits is Wait.CHILD or held):
        return "the step does not wait for its child saga (any more)"
    _ended(draft, position, trigger)
    return APPLIED


def _ended(draft: Draft, position: int, trigger: t.ChildEnded) -> None:
    going, step = forward(draft), draft.step(position)
    step.waits, step.hold = Wait.NONE, Hold.NONE
    step.doubt = trigger.state is SagaState.FAILED
    if trigger.state is SagaState.COMPLETED:
        draft.move(position, Cause.CHILD, StepStatus.COMPLETED).executed_at = draft.now
        note_error(step, "", "")
        return
    note_error(step, trigger.code or str(trigger.state), trigger.message)
    if trigger.state is SagaState.COMPENSATED:
        draft.move(position, Cause.CHILD, StepStatus.FAILED)
    else:
        draft.move(position, Cause.CHILD, StepStatus.UNKNOWN)
        step.hold = Hold.CHILD if going else Hold.NONE


def _undone(draft: Draft, position: int, trigger: t.ChildEnded) -> str:
    if trigger.state is SagaState.COMPENSATED:
        step = draft.move(position, Cause.CHILD, StepStatus.COMPENSATED)
        step.doubt, step.compensated_at = False, draft.now
    elif trigger.refused:
        step = draft.move(position, Cause.CHILD, StepStatus.COMPENSATION_FAILED)
        step.hold = Hold.DEBT
        note_error(step, trigger.code, trigger.message)
    else:
        return "its child saga is not undone yet"
    step.waits = Wait.NONE
    return APPLIED


def parent_undoes(draft: Draft, trigger: t.ParentUndoes) -> str:
    """Roll back, whatever state the saga is in: its parent's step is not wanted any more. Also one that is complete."""
    if draft.saga.state is SagaState.COMPENSATING and draft.saga.rewind_to is None:
        return "it is compensating already"
    if past_return(draft.saga.graph, draft.steps) is not None:
        return "it is behind its point of no return"
    roll_back(draft, Cause.PARENT, trigger.code, trigger.message)
    return APPLIED


def errands(draft: Draft, trigger: t.Trigger) -> list[int]:
    """Steps whose child sagas must be looked at: they may have ended, or must hear that they are undone."""
    saga, before = draft.saga, draft.before
    look = isinstance(trigger, t.Look) or (isinstance(trigger, t.ChildStarted) and trigger.look)
    turned = saga.state is not before.state or saga.rewind_to != before.rewind_to
    found = []
    for position in saga.graph.nested:
        step = draft.steps[position]
        waits = step.waits is Wait.CHILD
        told = saga.state is SagaState.COMPENSATING and (turned or position in draft.touched)
        if (waits and (look or told)) or (look and step.hold is Hold.CHILD):
            found.append(position)
    return found
