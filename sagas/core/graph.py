"""The frozen graph of a saga: its steps, what each waits for, and their policies.

A graph is immutable, is stored once by its content hash, and is shared by all sagas that were started with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .errors import DefinitionError
from .retry import RetryPolicy
from .states import Wait

#: The most steps one saga may have.
MAX_STEPS = 100
#: The longest name of a step, action, compensation, definition or queue.
MAX_NAME = 100
#: How a child saga's definition is called among the handlers that a worker knows.
SAGA = "saga:"
#: In place of text that a graph could hold: a function of today's code.
CODE = "<code>"
#: What a wait that was in vain means.
FAIL, RETRY, ATTENTION = "fail", "retry", "attention"
ON_TIMEOUT = (FAIL, RETRY, ATTENTION)
#: What a missed deadline means (or attention).
ROLLBACK = "rollback"
ON_DEADLINE = (ROLLBACK, ATTENTION)


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One step as declared: names, dependencies (by position) and policies."""

    name: str
    action: str
    compensation: str = ""
    #: Why there is nothing to undo; empty when there is a compensation.
    no_compensation: str = ""
    depends_on: tuple[int, ...] = ()
    queue: str = ""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    undo_retry: RetryPolicy = field(default_factory=RetryPolicy)
    #: Seconds that one attempt of the action may take, counted from the handler's start.
    timeout: float = 60.0
    undo_timeout: float = 60.0
    #: The action runs inside the transaction that records its outcome.
    atomic: bool = False
    undo_atomic: bool = False
    #: Its input is worked out by a function of today's code.
    computed: bool = False
    #: The step is skipped unless this holds: a safe expression, or CODE for a function of today's code.
    when: str = ""
    #: The name of the signal that completes it.
    wait_for: str = ""
    #: Seconds between its turn and its start.
    delay: float = 0.0
    #: Not before this time: the name of a key of the context, or CODE.
    until: str = ""
    #: Somebody must approve before it runs …
    approval: bool = False
    #: … with this permission ("app.name") or in this group; empty: whoever may act on the saga.
    approvers: str = ""
    #: How many different people must approve before it is undone.
    approve_undo: int = 0
    #: Seconds that it waits for an answer, a signal or an approval; None = for ever.
    wait_timeout: float | None = None
    #: What a wait that was in vain means: fail, retry or attention.
    on_timeout: str = FAIL
    #: The saga pauses after it until somebody resumes it.
    pause_after: bool = False
    #: The action that tells whether it happened, when its outcome is unknown.
    probe: str = ""
    #: A person decides instead of a second run.
    at_most_once: bool = False
    #: The point of no return: behind it there is only forward.
    pivot: bool = False
    #: One step per element of this list: the path of a key of the context (or of an output), or CODE.
    for_each: str = ""
    #: The most elements that the list may have.
    max_items: int = 100
    #: It has been opened out: it has nothing to do but to join what its elements returned, in their order.
    join: bool = False
    joins: tuple[int, ...] = ()
    #: For one of the steps it was opened out into: the position of the step that joins them.
    element_of: int = -1
    #: In place of an action: the definition of the child saga that it starts and waits for.
    saga: str = ""

    @property
    def does(self) -> str:
        """What a worker must know to run it: the name of its action, or of its child saga."""
        return self.action or (SAGA + self.saga if self.saga else "")

    #: Seconds between two heartbeats of its handler (`ctx.heartbeat()`), at most; None = it need not beat.
    heartbeat_timeout: float | None = None
    undo_heartbeat_timeout: float | None = None

    @property
    def checks(self) -> bool:
        """Whether a worker must work something out before its gates: user code runs in workers only."""
        return bool(self.when or self.until or self.for_each)

    @property
    def gate(self) -> Wait:
        """What must be passed before its action may run (or, without one, before it is done)."""
        if self.wait_for:
            return Wait.SIGNAL
        if self.approval:
            return Wait.APPROVAL
        return Wait.TIMER if self.delay or self.until else Wait.NONE

    def to_json(self) -> dict[str, Any]:
        """The step as plain data."""
        known = {
            "name": self.name,
            "action": self.action,
            "compensation": self.compensation,
            "no_compensation": self.no_compensation,
            "depends_on": list(self.depends_on),
            "queue": self.queue,
            "retry": self.retry.to_json(),
            "undo_retry": self.undo_retry.to_json(),
            "timeout": self.timeout,
            "undo_timeout": self.undo_timeout,
            "atomic": self.atomic,
            "undo_atomic": self.undo_atomic,
        }
        rare = {name: getattr(self, name) for name, default in _RARE.items() if getattr(self, name) != default}
        return {**known, **rare}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StepSpec:
        """Read a frozen step."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["depends_on"] = tuple(known.get("depends_on", ()))
        known["joins"] = tuple(known.get("joins", ()))
        known["retry"] = RetryPolicy.from_json(known.get("retry", {}))
        known["undo_retry"] = RetryPolicy.from_json(known.get("undo_retry", {}))
        return cls(**known)


_NAMES = [f.name for f in fields(StepSpec)]
#: Words of a step that most do without, and what they are then: those behind the last of the others.
_RARE = {f.name: f.default for f in fields(StepSpec)[_NAMES.index("undo_atomic") + 1 :]}


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for all steps of a graph."""

    #: Undo one step at a time, also where branches are independent.
    serial_undo: bool = False
    #: What a missed deadline means: rollback or attention.
    on_deadline: str = ROLLBACK
    #: Seconds that a rollback waits for answers that are still to come.
    drain: float = 60.0

    def to_json(self) -> dict[str, Any]:
        """What differs from the default, as plain data."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}


class Graph:
    """Steps in their written order, with the relations that the engine asks for precomputed."""

    __slots__ = (
        "ancestors", "approved", "dependents", "gated", "hash", "names", "nested", "pivots", "policy", "reverse",
        "signals", "steps", "stops", "text",
    )  # fmt: skip

    def __init__(self, steps: Sequence[StepSpec], policy: Policy = Policy()) -> None:
        self.steps = tuple(steps)
        self.policy = policy
        self.names = {spec.name: position for position, spec in enumerate(self.steps)}
        order = self._check()
        #: Positions, each after everything that depends on it: the order of undoing.
        self.reverse = tuple(reversed(order))
        #: For each step all it waits for, directly or not: the steps whose outputs it may see.
        self.ancestors = self._ancestors(order)
        dependents: list[list[int]] = [[] for _ in self.steps]
        for position, spec in enumerate(self.steps):
            for needed in spec.depends_on:
                dependents[needed].append(position)
        self.dependents = tuple(tuple(positions) for positions in dependents)
        #: Steps whose undoing somebody must approve, steps with a gate before them, and points of no return.
        self.approved = tuple(position for position, spec in enumerate(self.steps) if spec.approve_undo)
        self.gated = tuple(position for position, spec in enumerate(self.steps) if spec.gate)
        self.pivots = tuple(position for position, spec in enumerate(self.steps) if spec.pivot)
        #: Steps that are child sagas.
        self.nested = tuple(position for position, spec in enumerate(self.steps) if spec.saga)
        #: Which step takes which signal.
        self.signals = {spec.wait_for: position for position, spec in enumerate(self.steps) if spec.wait_for}
        #: Steps after which the saga pauses.
        self.stops = frozenset(position for position, spec in enumerate(self.steps) if spec.pause_after)
        self._check_pivots()
        #: Canonical JSON, and its SHA-256: the key under which the graph is stored.
        self.text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        self.hash = hashlib.sha256(self.text.encode()).hexdigest()

    def _check(self) -> list[int]:
        if len(self.names) != len(self.steps):
            seen: set[str] = set()
            for spec in self.steps:
                if spec.name in seen:
                    raise DefinitionError(f"two steps are called {spec.name!r}: every step needs a name of its own")
                seen.add(spec.name)
        written = sum(spec.element_of < 0 for spec in self.steps)
        if written > MAX_STEPS:
            raise DefinitionError(f"expected at most {MAX_STEPS} steps, got {written}")
        sorter = TopologicalSorter({position: spec.depends_on for position, spec in enumerate(self.steps)})
        try:
            order = list(sorter.static_order())
        except CycleError as exc:
            circle = " → ".join(self.steps[position].name for position in reversed(exc.args[1]))
            raise DefinitionError(f"the steps wait for each other in a circle: {circle}") from exc
        # A stable order (by position) where the graph leaves a choice: plans and tests read the same every time.
        return self._stable(order)

    def _check_pivots(self) -> None:
        """Nothing runs beside a point of no return: a failure there could neither be undone nor be gone on from."""
        for pivot in self.pivots:
            for position, spec in enumerate(self.steps):
                related = position in self.ancestors[pivot] or pivot in self.ancestors[position]
                if position != pivot and not related:
                    raise DefinitionError(
                        f"step {self.steps[pivot].name!r} is a pivot, so every other step must come before or after "
                        f"it; {spec.name!r} may run beside it"
                    )

    def _ancestors(self, order: list[int]) -> tuple[frozenset[int], ...]:
        found: dict[int, frozenset[int]] = {}
        for position in order:
            direct = self.steps[position].depends_on
            found[position] = frozenset(direct).union(*(found[needed] for needed in direct))
        return tuple(found[position] for position in range(len(self.steps)))

    def behind(self, position: int) -> frozenset[int]:
        """The step, what it was opened out into, and all that depends on it, directly or not."""
        later = {other for other, needed in enumerate(self.ancestors) if position in needed}
        joined = {element for step in (position, *later) for element in self.steps[step].joins}
        return frozenset({position, *later, *joined})

    def opened_out(self, position: int, count: int) -> Graph:
        """This graph with `count` elements in place of the step, which from then on joins them."""
        spec = self.steps[position]
        places = tuple(range(len(self.steps), len(self.steps) + count))
        element = replace(
            spec, when="", for_each="", pause_after=False, pivot=False, computed=False, element_of=position
        )
        elements = [replace(element, name=f"{spec.name}[{number}]") for number in range(count)]
        join = replace(
            spec,
            action="",
            compensation="",
            no_compensation="its elements are undone",
            for_each="",
            saga="",
            join=True,
            joins=places,
            depends_on=(*spec.depends_on, *places),
            computed=False,
        )
        steps = [join if other == position else old for other, old in enumerate(self.steps)]
        return Graph([*steps, *elements], self.policy)

    def _stable(self, order: list[int]) -> list[int]:
        depth: dict[int, int] = {}
        for position in order:
            depth[position] = 1 + max((depth[needed] for needed in self.steps[position].depends_on), default=-1)
        return sorted(order, key=lambda position: (depth[position], position))

    def to_json(self) -> dict[str, Any]:
        """The graph as plain data."""
        rules = self.policy.to_json()
        found = {"format": 1, "steps": [spec.to_json() for spec in self.steps]}
        return {**found, "policy": rules} if rules else found

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Graph:
        """Read a frozen graph."""
        rules = data.get("policy", {})
        policy = Policy(**{f.name: rules[f.name] for f in fields(Policy) if f.name in rules})
        return cls([StepSpec.from_json(step) for step in data["steps"]], policy)
