"""The audit of families (I20): a step that is a child saga, and that child, tell the same story. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from uuid import UUID

from . import triggers as t
from .audit import Violation
from .children import child_id
from .history import Entry
from .rows import SagaRow, StepRow
from .states import SagaState, StepStatus, Wait

Rows = tuple[SagaRow, Sequence[StepRow]]
#: How an id is written.
Show = Callable[[UUID], str]

#: What a step's status says of its child.
_MEANS = {
    StepStatus.COMPLETED: SagaState.COMPLETED,
    StepStatus.COMPENSATED: SagaState.COMPENSATED,
    StepStatus.FAILED: SagaState.COMPENSATED,
}
#: A person has said what came of the step; its child may say otherwise.
_BY_HAND = frozenset({t.Resolve.kind, t.Skip.kind})


def children_of(saga: SagaRow, steps: Sequence[StepRow]) -> Iterator[tuple[StepRow, UUID]]:
    """Each step that is a child saga, with the id that its child has, or would have."""
    for position in saga.graph.nested:
        spec, step = saga.graph.steps[position], steps[position]
        if not spec.join:
            yield step, child_id(saga.id, spec.name, step.round)


def audit_children(
    saga: SagaRow, steps: Sequence[StepRow], entries: Sequence[Entry], found: Mapping[UUID, Rows], show: Show = str
) -> Iterator[Violation]:
    """What a saga says of its children, held against their rows: a complete one is undone with its parent only."""
    told = {(entry.position, entry.round) for entry in entries if entry.kind in _BY_HAND}
    for step, key in children_of(saga, steps):
        text = _disagreement(step, found.get(key))
        if text and (step.position, step.round) not in told:
            name = saga.graph.steps[step.position].name
            waits = " and waits for it" if step.waits is Wait.CHILD else ""
            yield Violation("I20", f"step {name!r} is {step.status}{waits}, but its child saga {show(key)} {text}")


def _disagreement(step: StepRow, child: Rows | None) -> str:
    meant = _MEANS.get(step.status)
    if child is None:
        # A step that has failed may never have had one.
        expected = step.waits is Wait.CHILD or (meant is not None and step.status is not StepStatus.FAILED)
        return "is not there" if expected else ""
    return f"is {child[0].state}" if meant is not None and child[0].state is not meant else ""


def audit_parent(child: SagaRow, parent: Rows | None, show: Show = str) -> list[Violation]:
    """What a saga says of its parent, held against the parent's rows."""
    if child.parent is None:
        return []
    if parent is None:
        return [Violation("I20", f"its parent saga {show(child.parent)} is not there")]
    saga, steps = parent
    position = saga.graph.names.get(child.parent_step)
    if position is None:
        return [Violation("I20", f"its parent saga {show(saga.id)} has no step {child.parent_step!r}")]
    own = child_id(saga.id, child.parent_step, child.parent_round)
    if child.id != own or child.parent_round > steps[position].round:
        text = f"round {child.parent_round} of step {child.parent_step!r} of saga {show(saga.id)}"
        return [Violation("I20", f"it is said to be the child of {text}, which has another, or none")]
    return []
