"""What may run next, in either direction, and when to look again. One loop over the graph, forward or backward."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from .graph import Graph
from .rows import SagaRow, StepRow
from .states import EXECUTED, PASSED, RESOLVED, Hold, SagaState, StepStatus

#: How often the sweep looks at a saga whose steps are all claimed.
RECHECK = timedelta(seconds=30)
#: How often it looks at one that waits for a person or for a worker that knows its handler.
RECHECK_HELD = timedelta(seconds=60)

_ENDED_BADLY = frozenset({StepStatus.FAILED, StepStatus.UNKNOWN})
_UNDO_OPEN = frozenset({StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED})
_FREE = frozenset({Hold.NONE, Hold.NO_HANDLER})


def compensable(graph: Graph, position: int) -> bool:
    """Whether the step has something to undo it with."""
    return bool(graph.steps[position].compensation)


def failing(steps: Sequence[StepRow]) -> bool:
    """Whether a step ended so that the saga can not complete."""
    for step in steps:
        if step.status in _ENDED_BADLY and not (step.status is StepStatus.UNKNOWN and step.hold is Hold.UNRECORDED):
            return True
    return False


def undone(graph: Graph, steps: Sequence[StepRow]) -> list[bool]:
    """For each step: is nothing left to undo in it, nor in anything that depended on it?

    A step that cannot be undone counts only when all behind it is undone: its predecessors must not be undone
    before its successors (I7).
    """
    done = [False] * len(steps)
    for position in graph.reverse:
        status = steps[position].status
        here = status in RESOLVED or (status in EXECUTED and not compensable(graph, position))
        done[position] = here and all(done[later] for later in graph.dependents[position])
    return done


def open_steps(saga: SagaRow, steps: Sequence[StepRow]) -> list[int]:
    """Steps whose turn it is, claimed or not, due or not, held or not."""
    if saga.state is SagaState.STARTED:
        return [] if failing(steps) else _open_forward(saga.graph, steps)
    if saga.state is SagaState.COMPENSATING:
        return _open_backward(saga.graph, steps)
    return []


def _open_forward(graph: Graph, steps: Sequence[StepRow]) -> list[int]:
    found = []
    for position, step in enumerate(steps):
        if step.status is StepStatus.PENDING:
            for needed in graph.steps[position].depends_on:
                if steps[needed].status not in PASSED:
                    break
            else:
                found.append(position)
    return found


def _open_backward(graph: Graph, steps: Sequence[StepRow]) -> list[int]:
    done = undone(graph, steps)
    found = []
    for position in graph.reverse:
        status = steps[position].status
        mine = status in _UNDO_OPEN or (status in EXECUTED and compensable(graph, position))
        if mine and not done[position] and all(done[later] for later in graph.dependents[position]):
            found.append(position)
    return found


def blocked(step: StepRow, now: datetime) -> bool:
    """Whether an open, unclaimed step must still wait: for its time, for a person, for an old thread to end."""
    return (
        step.claimed
        or step.hold not in _FREE
        or step.stale_worker is not None
        or (step.due_at is not None and step.due_at > now)
    )


def next_look(saga: SagaRow, steps: Sequence[StepRow], opened: Sequence[int], now: datetime) -> datetime:
    """When the sweep must look at a living saga at the latest; `opened` is what `open_steps` found."""
    at = now + RECHECK_HELD
    if saga.paused_at is not None:
        return at
    for step in steps:
        if step.claim_worker is not None or step.stale_worker is not None:
            at = now + RECHECK
            break
    for position in opened:
        step = steps[position]
        if step.claim_worker is None and step.hold is Hold.NONE and step.stale_worker is None:
            at = min(at, step.due_at if step.due_at is not None and step.due_at > now else now)
    return at
