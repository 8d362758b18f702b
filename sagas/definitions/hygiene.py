"""What is lawful in a definition and still a mistake. Pure; `manage.py check` shows it.

Circles, unknown or double names, a step that says nothing about its undo and the like are refused when they are
declared, so that they never get here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from ..core.conditions import holds, parse
from ..core.errors import PayloadError
from ..core.graph import CODE, Graph, StepSpec
from ..core.states import Wait
from .handlers import Handler
from .steps import StepDefinition


class Smell(Enum):
    """A sort of mistake, with what to do about it."""

    NO_REASON = "give it compensation='…', or say in no_compensation why there is nothing to undo"
    UNREACHABLE = "mend what it waits for, or take the step out"
    BEHIND_PIVOT = "say why there is nothing to undo in no_compensation, or put the step before the pivot"
    ONCE_WITH_RETRIES = (
        "take the retry away, or at_most_once; a probe=… lets it run again when it surely did not happen"
    )
    ENDLESS_WAIT = "give it wait_timeout=… and on_timeout=…, or give the definition a deadline"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in one step."""

    smell: Smell
    text: str


def mistakes(
    graph: Graph, steps: Sequence[StepDefinition], handlers: Mapping[str, Handler], *, deadline: bool = False
) -> Iterator[Mistake]:
    """What is wrong with the steps of a definition. `deadline`: the whole saga has one."""
    for position, (spec, written) in enumerate(zip(graph.steps, steps, strict=True)):
        found = {
            Smell.NO_REASON: _no_reason(spec),
            Smell.UNREACHABLE: _unreachable(graph, position),
            Smell.BEHIND_PIVOT: _behind_pivot(graph, position),
            Smell.ONCE_WITH_RETRIES: _once_with_retries(spec, written, handlers),
            Smell.ENDLESS_WAIT: "" if deadline else _endless_wait(spec),
        }
        yield from (Mistake(smell, f"step {spec.name!r} {text}") for smell, text in found.items() if text)


def _no_reason(spec: StepSpec) -> str:
    """A reason of blanks: without any the step is refused when it is declared."""
    if spec.compensation or spec.saga or spec.no_compensation.strip():
        return ""
    return "has neither a compensation nor a reason why it has none"


def _unreachable(graph: Graph, position: int) -> str:
    spec = graph.steps[position]
    if _never(spec.when):
        return f"is never reached: its condition {spec.when!r} never holds"
    seen = {graph.steps[other].name for other in graph.ancestors[position]}
    for text in (spec.when, spec.for_each):
        for name in sorted(_outputs(text) - seen):
            return f"can not see what {text!r} asks for: {name!r} is no step that it waits for"
    taker = graph.signals.get(spec.wait_for, position)
    if taker != position:
        return f"is never passed: the signal {spec.wait_for!r} goes to step {graph.steps[taker].name!r} alone"
    return ""


def _never(text: str) -> bool:
    """A condition that names nothing, and does not hold."""
    if text in ("", CODE):
        return False
    constants = {"true", "false", "null"}
    if any(isinstance(node, ast.Name) and node.id not in constants for node in ast.walk(parse(text))):
        return False
    try:
        return not holds(text, {}, {})
    except PayloadError:
        return True


def _outputs(text: str) -> set[str]:
    """The steps whose outputs a condition looks at."""
    found: set[str] = set()
    for node in () if text in ("", CODE) else ast.walk(parse(text)):
        value = getattr(node, "value", None)
        if not isinstance(value, ast.Name) or value.id != "outputs":
            continue
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            found.add(str(node.slice.value))
    return found


def _behind_pivot(graph: Graph, position: int) -> str:
    """A point of no return that its own condition may skip is none for sure."""
    spec = graph.steps[position]
    for pivot in graph.pivots if spec.compensation else ():
        if not graph.steps[pivot].when and (pivot == position or pivot in graph.ancestors[position]):
            where = "it is the point of no return" if pivot == position else f"{graph.steps[pivot].name!r} is the pivot"
            return f"has the compensation {spec.compensation!r}, which never runs: {where}"
    return ""


def _once_with_retries(spec: StepSpec, written: StepDefinition, handlers: Mapping[str, Handler]) -> str:
    """Only what somebody has written down counts. A probe, or a rollback of the handler's own, makes retries useful."""
    handler = handlers.get(written.action)
    policy = written.retry or (handler.retry if handler else None)
    if not spec.at_most_once or spec.probe or spec.atomic or policy is None or policy.max_attempts < 2:
        return ""
    return f"is to run at most once, and its retry policy allows {policy.max_attempts} attempts"


def _endless_wait(spec: StepSpec) -> str:
    if spec.gate not in (Wait.SIGNAL, Wait.APPROVAL) or spec.wait_timeout is not None:
        return ""
    return f"waits for {f'the signal {spec.wait_for!r}' if spec.wait_for else 'approval'} without a limit"
