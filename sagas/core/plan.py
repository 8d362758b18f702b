"""The compensation plan: what a rollback would undo, in which order, and what not and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .readiness import compensable
from .rows import SagaRow, StepRow
from .states import EXECUTED, StepStatus, Wait


@dataclass(frozen=True, slots=True)
class PlannedUndo:
    """One step that will be undone. Steps of the same `rank` may be undone side by side."""

    step: str
    compensation: str
    rank: int
    #: Whether it is only possible that the action had an effect.
    in_doubt: bool = False
    #: Its action still runs: it is drained first.
    running: bool = False


@dataclass(frozen=True, slots=True)
class NotUndone:
    """One step that will not be undone, and why."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class CompensationPlan:
    """What `compensate` would do to the saga as it was at `revision`."""

    revision: int
    undo: tuple[PlannedUndo, ...]
    keep: tuple[NotUndone, ...]


_WHY = {
    StepStatus.PENDING: "not executed yet: it is cancelled",
    StepStatus.WAITING: "not executed yet: it is cancelled",
    StepStatus.FAILED: "it surely had no effect",
    StepStatus.CANCELLED: "it was never executed",
    StepStatus.SKIPPED: "it was skipped",
    StepStatus.COMPENSATED: "it is undone already",
    StepStatus.COMPENSATION_SKIPPED: "a person decided not to undo it",
}


def compensation_plan(saga: SagaRow, steps: Sequence[StepRow]) -> CompensationPlan:
    """Work the plan out; nothing is changed."""
    undo: list[PlannedUndo] = []
    keep: list[NotUndone] = []
    ranks: dict[int, int] = {}
    for position in saga.graph.reverse:
        step, spec = steps[position], saga.graph.steps[position]
        behind = max((ranks[later] for later in saga.graph.dependents[position]), default=0)
        ranks[position] = behind
        if not to_undo(step):
            keep.append(NotUndone(spec.name, _WHY[step.status]))
        elif not compensable(saga.graph, position):
            keep.append(NotUndone(spec.name, f"nothing to undo: {spec.no_compensation}"))
        else:
            ranks[position] = behind + 1
            doubt = step.status is StepStatus.UNKNOWN or step.doubt
            running = step.status in (StepStatus.RUNNING, StepStatus.WAITING)
            undo.append(PlannedUndo(spec.name, spec.compensation or spec.does, behind + 1, doubt, running))
    undo.sort(key=lambda planned: planned.rank)
    return CompensationPlan(saga.revision, tuple(undo), tuple(keep))


def to_undo(step: StepRow) -> bool:
    """Whether a rollback has to undo the step (if it can)."""
    return (
        step.status in EXECUTED
        or step.status in (StepStatus.RUNNING, StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED)
        or (step.status is StepStatus.PENDING and step.doubt)
        or step.waits in (Wait.ANSWER, Wait.CHILD)
    )
