"""What may run next, in either direction, and when to look again. One loop over the graph, forward or backward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from .graph import Graph
from .rows import SagaRow, StepRow
from .states import EXECUTED, PASSED, RESOLVED, UNDECIDED, Hold, Lock, SagaState, StepStatus, Wait

#: How often the sweep looks at a saga whose steps are all claimed.
RECHECK = timedelta(seconds=30)
#: How often it looks at one that waits for a person or for a worker that knows its handler.
RECHECK_HELD = timedelta(seconds=60)
#: How often it looks at one that is paused, or that only waits for the outside world.
RECHECK_WAITING = timedelta(minutes=15)

_ENDED_BADLY = frozenset({StepStatus.FAILED, StepStatus.UNKNOWN})
_UNDO_OPEN = frozenset({StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED})
_FREE = frozenset({Hold.NONE, Hold.NO_HANDLER})


def compensable(graph: Graph, position: int) -> bool:
    """Whether the step has something to undo it with."""
    spec = graph.steps[position]
    return bool(spec.compensation or spec.saga)


def failing(steps: Sequence[StepRow]) -> bool:
    """Whether a step ended so that the saga can not complete. What a person has to decide may still turn out well."""
    for step in steps:
        if step.status in _ENDED_BADLY and step.hold not in UNDECIDED:
            return True
    return False


def past_return(graph: Graph, steps: Sequence[StepRow]) -> int | None:
    """The point of no return that is passed, or may be: its position."""
    for position in graph.pivots:
        step = steps[position]
        if step.status not in (StepStatus.PENDING, *RESOLVED) or step.doubt:
            return position
    return None


def undoing(saga: SagaRow) -> frozenset[int] | None:
    """Which steps are being undone; None = all."""
    return None if saga.rewind_to is None else saga.graph.behind(saga.rewind_to)


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
    if saga.lock_state is Lock.WAITS:
        return []
    if saga.state is SagaState.STARTED:
        return [] if failing(steps) else _open_forward(saga.graph, steps)
    if saga.state is SagaState.COMPENSATING:
        return _open_backward(saga, steps)
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


def _open_backward(saga: SagaRow, steps: Sequence[StepRow]) -> list[int]:
    graph, scope = saga.graph, undoing(saga)
    done = undone(graph, steps)
    found = []
    for position in graph.reverse:
        status = steps[position].status
        mine = status in _UNDO_OPEN or (status in EXECUTED and compensable(graph, position))
        if scope is not None and position not in scope:
            continue
        if mine and not done[position] and all(done[later] for later in graph.dependents[position]):
            found.append(position)
    return _one_by_one(found, steps) if graph.policy.serial_undo else found


def _one_by_one(found: list[int], steps: Sequence[StepRow]) -> list[int]:
    """The first that nobody has to look at, and those that somebody has to: a debt does not stop the others."""
    free = [position for position in found if steps[position].status is not StepStatus.COMPENSATION_FAILED]
    return [position for position in found if position in free[:1] or position not in free]


def blocked(step: StepRow, now: datetime) -> bool:
    """Whether an open, unclaimed step must still wait: for its time, for a person, for an old thread to end."""
    return (
        step.claimed
        or step.waits is not Wait.NONE
        or step.hold not in _FREE
        or step.stale_worker is not None
        or (step.due_at is not None and step.due_at > now)
    )


def next_look(
    saga: SagaRow,
    steps: Sequence[StepRow],
    opened: Sequence[int],
    now: datetime,
    later: Mapping[int, datetime] = MappingProxyType({}),
) -> datetime:
    """When the sweep must look at a living saga at the latest; `opened` is what `open_steps` found, `later` what of it
    waits for its limits."""
    if saga.paused_at is not None:
        return now + RECHECK_WAITING
    soon = opened or saga.attention or saga.lock_state is Lock.WAITS
    at = now + (RECHECK_HELD if soon else RECHECK_WAITING)
    for step in steps:
        # … or whoever was to tell of the end of its child saga may have died before.
        if step.claim_worker is not None or step.stale_worker is not None or step.waits is Wait.CHILD:
            at = min(at, now + RECHECK)
        elif step.due_at is not None and (step.waits or step.status is StepStatus.COMPENSATION_FAILED):
            at = min(at, max(step.due_at, now))
    if saga.deadline_at is not None and saga.state is SagaState.STARTED:
        at = min(at, max(saga.deadline_at, now))
    for position in opened:
        step = steps[position]
        if step.claim_worker is None and step.hold is Hold.NONE and step.stale_worker is None and not step.waits:
            at = min(at, step.due_at if step.due_at is not None and step.due_at > now else later.get(position, now))
    return at
