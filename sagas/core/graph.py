"""The frozen graph of a saga: its steps, what each waits for, and their policies.

A graph is immutable, is stored once by its content hash, and is shared by all sagas that were started with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from .errors import DefinitionError
from .retry import RetryPolicy

#: The most steps one saga may have.
MAX_STEPS = 100
#: The longest name of a step, action, compensation, definition or queue.
MAX_NAME = 100


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

    def to_json(self) -> dict[str, Any]:
        """The step as plain data."""
        return {
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

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StepSpec:
        """Read a frozen step."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["depends_on"] = tuple(known.get("depends_on", ()))
        known["retry"] = RetryPolicy.from_json(known.get("retry", {}))
        known["undo_retry"] = RetryPolicy.from_json(known.get("undo_retry", {}))
        return cls(**known)


class Graph:
    """Steps in their written order, with the relations that the engine asks for precomputed."""

    __slots__ = ("ancestors", "dependents", "hash", "names", "reverse", "steps", "text")

    def __init__(self, steps: Sequence[StepSpec]) -> None:
        self.steps = tuple(steps)
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
        if len(self.steps) > MAX_STEPS:
            raise DefinitionError(f"expected at most {MAX_STEPS} steps, got {len(self.steps)}")
        sorter = TopologicalSorter({position: spec.depends_on for position, spec in enumerate(self.steps)})
        try:
            order = list(sorter.static_order())
        except CycleError as exc:
            circle = " → ".join(self.steps[position].name for position in reversed(exc.args[1]))
            raise DefinitionError(f"the steps wait for each other in a circle: {circle}") from exc
        # A stable order (by position) where the graph leaves a choice: plans and tests read the same every time.
        return self._stable(order)

    def _ancestors(self, order: list[int]) -> tuple[frozenset[int], ...]:
        found: dict[int, frozenset[int]] = {}
        for position in order:
            direct = self.steps[position].depends_on
            found[position] = frozenset(direct).union(*(found[needed] for needed in direct))
        return tuple(found[position] for position in range(len(self.steps)))

    def _stable(self, order: list[int]) -> list[int]:
        depth: dict[int, int] = {}
        for position in order:
            depth[position] = 1 + max((depth[needed] for needed in self.steps[position].depends_on), default=-1)
        return sorted(order, key=lambda position: (depth[position], position))

    def to_json(self) -> dict[str, Any]:
        """The graph as plain data."""
        return {"format": 1, "steps": [spec.to_json() for spec in self.steps]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Graph:
        """Read a frozen graph."""
        return cls([StepSpec.from_json(step) for step in data["steps"]])
