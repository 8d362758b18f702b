"""The state charts as Mermaid text, drawn from the edge tables. The README shows them; a test compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from .states import SAGA_EDGES, STEP_EDGES, TERMINAL, SagaState, StepStatus

_RESTS = (
    StepStatus.COMPLETED,
    StepStatus.FAILED,
    StepStatus.SKIPPED,
    StepStatus.CANCELLED,
    StepStatus.COMPENSATED,
    StepStatus.COMPENSATION_SKIPPED,
)


def saga_chart() -> str:
    """The chart of saga states."""
    return _chart(SagaState.STARTED, SAGA_EDGES, sorted(TERMINAL))


def step_chart() -> str:
    """The chart of step statuses."""
    used = {status for edge, targets in STEP_EDGES.items() for status in (edge[0], *targets)}
    return _chart(StepStatus.PENDING, STEP_EDGES, [status for status in _RESTS if status in used])


def _chart(first: StrEnum, edges: Mapping[Any, Iterable[StrEnum]], ends: Iterable[StrEnum]) -> str:
    causes: dict[tuple[StrEnum, StrEnum], list[str]] = {}
    for (state, cause), targets in edges.items():
        for target in sorted(targets):
            causes.setdefault((state, target), []).append(cause.value)
    lines = ["stateDiagram-v2", f"    [*] --> {first}"]
    lines += [f"    {state} --> {target}: {', '.join(names)}" for (state, target), names in causes.items()]
    lines += [f"    {state} --> [*]" for state in ends]
    return "\n".join(lines)
