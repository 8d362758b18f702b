"""What is drawn: a graph, in words; and where each step of one saga stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..graph import CODE, Graph, StepSpec
from ..rows import StepRow
from ..states import StepStatus, Wait


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a step of one saga stands."""

    status: StepStatus
    #: What else is to be known: what it waits for, why a person must look.
    note: str = ""

    def __str__(self) -> str:
        return f"{self.status} ({self.note})" if self.note else str(self.status)


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to be said about a step."""

    #: One word: when, wait, limit (of its waits), each (element), do, probe, undo, note.
    label: str
    text: str
    #: Nothing comes of it.
    idle: bool = False

    def __str__(self) -> str:
        return f"{self.label} {self.text}"


@dataclass(frozen=True)
class Picture:
    """A graph to be drawn."""

    title: str
    graph: Graph
    #: Where the steps stand, by position; empty for a definition.
    marks: Sequence[Mark] = ()

    @cached_property
    def needs(self) -> tuple[tuple[int, ...], ...]:
        """For each step what it waits for, without what follows from the rest."""
        graph = self.graph
        found = []
        for spec in graph.steps:
            implied = frozenset[int]().union(*(graph.ancestors[needed] for needed in spec.depends_on))
            found.append(tuple(needed for needed in spec.depends_on if needed not in implied))
        return tuple(found)

    @property
    def summary(self) -> str:
        """One sentence about the whole."""
        count = len(self.graph.steps)
        how = "one by one" if self.graph.policy.serial_undo else "in reverse order"
        return f"{count} step{'' if count == 1 else 's'}, undone {how}"

    def mark(self, position: int) -> Mark | None:
        """Where the step stands; None in a definition."""
        return self.marks[position] if self.marks else None


def marks_of(steps: Sequence[StepRow]) -> list[Mark]:
    """Where the steps of a saga stand."""
    return [Mark(step.status, _note(step)) for step in steps]


def _note(step: StepRow) -> str:
    notes = [step.waits and step.waits.value, step.hold and step.hold.value]
    notes.append("in doubt" if step.doubt and step.status is not StepStatus.UNKNOWN else "")
    notes.append(f"round {step.round}" if step.round > 1 else "")
    return ", ".join(note for note in notes if note)


def facts(spec: StepSpec) -> list[Fact]:
    """All there is to say about a step, in the order in which it matters."""
    found = []
    if spec.when:
        found.append(Fact("when", _code(spec.when)))
    if spec.gate:
        found.append(Fact("wait", _gate(spec)))
    if spec.wait_timeout is not None:
        found.append(Fact("limit", f"{_span(spec.wait_timeout)}, then {spec.on_timeout}"))
    if spec.for_each:
        found.append(Fact("each", _each(spec)))
    if spec.does:
        found.append(Fact("do", spec.does))
    if spec.probe:
        found.append(Fact("probe", spec.probe))
    found.append(_undo(spec))
    return found + [Fact("note", note) for note in _notes(spec)]


def _code(text: str) -> str:
    return "a function says so" if text == CODE else text


def _undo(spec: StepSpec) -> Fact:
    if not (spec.compensation or spec.saga):
        return Fact("undo", f"nothing: {spec.no_compensation}", idle=True)
    approvals = {0: "", 1: ", once approved", 2: ", once two approve"}
    what = spec.compensation or "its saga is rolled back"
    return Fact("undo", what + approvals.get(spec.approve_undo, ", once approved"))


def _gate(spec: StepSpec) -> str:
    texts = {Wait.SIGNAL: f"for the signal {spec.wait_for}", Wait.APPROVAL: "for approval"}
    text = texts.get(spec.gate, "")
    if spec.gate is Wait.TIMER:
        text = _span(spec.delay) if spec.delay else f"until {_until(spec.until)}"
    if spec.approval and spec.approvers:
        text += f" by {spec.approvers}"
    return text


def _each(spec: StepSpec) -> str:
    what = "of what a function gives" if spec.for_each == CODE else f"of {spec.for_each}"
    return f"{what}, at most {spec.max_items}"


def _until(text: str) -> str:
    return "a function's time" if text == CODE else text


def _notes(spec: StepSpec) -> list[str]:
    flags = {
        "at most once": spec.at_most_once,
        "atomic": spec.atomic and not spec.saga,
        "pauses after it": spec.pause_after,
    }
    return [word for word, is_so in flags.items() if is_so]


def _span(seconds: float) -> str:
    """A duration in its largest whole unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def clean(value: str) -> str:
    """On one line, and without what a terminal, an XML or a YAML reader would stumble over."""
    return "".join(char if char.isprintable() else " " for char in value)
