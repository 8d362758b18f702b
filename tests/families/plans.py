"""Random plans: parents of steps of every sort, in a line, side by side or in between, and what their children are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import note
from hypothesis import strategies as st

from sagas.core.graph import Graph, Policy, StepSpec
from sagas.core.retry import RetryPolicy
from sagas.store.base import Store
from tests.core.build import child, gate, spec

from . import laws
from .parts import LIMITED, Clock, Plan
from .town import Town

SCHEDULES = st.lists(st.integers(0, 1_000_000), min_size=20, max_size=70)
WORDS = ("fail", "retry", "attention")
#: Words of `StepSpec` by what they make of a step; times in minutes.
SORTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "limited": {},
    "atomic": {"atomic": True},
    "no undo": {"no_compensation": "reads only"},
    "probed": {"probe": "probe"},
    "once": {"at_most_once": True},
    "once, probed": {"at_most_once": True, "probe": "probe"},
    "stops": {"pause_after": True},
    "when": {"when": "x"},
    "for_each": {"for_each": "x"},
    "for_each, when": {"for_each": "x", "when": "x"},
    "delay": {"delay": 1.0},
    "until": {"until": "x"},
    "approved": {"approval": True, "approve_undo": 2},
    **{f"waits, {word}": {"wait_timeout": 1.0, "on_timeout": word} for word in WORDS},
    **{f"approval, {word}": {"approval": True, "wait_timeout": 1.0, "on_timeout": word} for word in WORDS},
}
GATES: dict[str, dict[str, Any]] = {
    "timer": {"delay": 1.0},
    "signal": {"wait_for": "x"},
    **{f"signal, {word}": {"wait_for": "x", "wait_timeout": 1.0, "on_timeout": word} for word in WORDS},
}
CHILDREN: dict[str, dict[str, Any]] = {
    "child": {},
    "child, when": {"when": "x"},
    "child, delay": {"delay": 1.0},
    "child, approved": {"approve_undo": 1},
    "children": {"for_each": "x"},
}
PIVOT = "pivot"
ALONE = (*SORTS, *GATES, PIVOT)


def _step(sort: str, number: int, needs: list[int], tries: tuple[int, int], minute: float) -> StepSpec:
    name = "abcdef"[number]
    words = {**SORTS, **GATES, **CHILDREN, PIVOT: {"pivot": True}}[sort]
    words = {word: value * minute if isinstance(value, float) else value for word, value in words.items()}
    retry, undo = (RetryPolicy(max_attempts=most, base=minute if most > 2 else 0, jitter=False) for most in tries)
    if sort in CHILDREN:
        return child(name, *needs, retry=retry, undo_retry=undo, **words)
    if sort in GATES:
        return gate(name, *needs, **{**words, **({"wait_for": f"signal {name}"} if "wait_for" in words else {})})
    made = spec(name, *needs, retry=retry, undo_retry=undo, **words)
    return replace(made, action=LIMITED) if sort == "limited" else made


@st.composite
def graphs(draw: st.DrawFn, sorts: tuple[str, ...], most: int, minute: float) -> Graph:
    """Up to `most` steps; a point of no return only in a line, and once."""
    in_line = draw(st.booleans())
    found: list[StepSpec] = []
    for sort in draw(st.lists(st.sampled_from(sorts), min_size=1, max_size=most)):
        number = len(found)
        pivot = sort == PIVOT and (not in_line or any(step.pivot for step in found))
        needs = [number - 1] if number and (in_line or draw(st.integers(0, 2)) == 0) else []
        tries = draw(st.integers(1, 3)), draw(st.integers(1, 3))
        found.append(_step("plain" if pivot else sort, number, needs, tries, minute))
    policy = Policy(draw(st.booleans()), draw(st.sampled_from(["rollback", "attention"])), drain=minute / 2)
    return Graph(found, policy)


@st.composite
def plans(draw: st.DrawFn, minute: float = 60.0) -> Plan:
    """One to three parents, at least one with a child."""
    family = draw(graphs((*ALONE, *CHILDREN), 3, minute))
    number = len(family.steps)
    behind = draw(st.booleans()) or any(step.pivot for step in family.steps)
    needs = list(range(number)) if behind else []
    last = _step(draw(st.sampled_from(list(CHILDREN))), number, needs, (2, 2), minute)
    parents = [Graph([*family.steps, last], family.policy)]
    parents += draw(st.lists(graphs((*ALONE, *CHILDREN), 3, minute), max_size=2))
    kids = [draw(graphs(("plain", "plain", *ALONE, "child"), 2, minute)), draw(graphs(ALONE, 2, minute))]
    deadlines = [draw(st.integers(0, 3)) == 0 for _ in parents]
    return Plan(parents, kids, draw(st.booleans()), draw(st.integers(0, 3)), deadlines, minute)


def run(store: Store, plan: Plan, schedule: list[int], faults: int, clock: Clock | None = None) -> None:
    """To the end; what happened is told with a failure."""
    town = Town(store, plan, faults, clock, laws.check)
    try:
        town.play(schedule)
        town.finish()
        laws.check_books(town)
    finally:
        note("\n".join([plan.told(), *town.log]))
