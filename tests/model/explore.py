"""Breadth first through all states of a world: what goes wrong, by the shortest way there, and whether every state
has a way to an end on which no fault happens."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .state import ENDED, Account, Budget, State, Violation, WorkerState, canonical, normal
from .world import World, has_ended, wrong

STUCK = "LIVE stuck: no fault-free way to an end or to a person"


@dataclass
class Found:
    """One sort of violation."""

    states: int
    #: The shortest way to the first of them.
    trace: list[str]


@dataclass
class Exploration:
    """What came of it."""

    states: int = 0
    edges: int = 0
    #: False: it was broken off at the first violation, or at the limit.
    exhaustive: bool = True
    violations: dict[str, Found] = field(default_factory=dict)


class Explorer:
    """One exploration. `stop_at_first`: break off at the first violation."""

    def __init__(self, world: World, budget: Budget, *, stop_at_first: bool = False) -> None:
        self._world = world
        self._stop_at_first = stop_at_first
        book = world.engine.start()
        ledger = (Account(),) * len(book.steps)
        self._first = State(book, ledger, (WorkerState(), WorkerState()), 1, budget)
        root = canonical(self._first)
        self._parent: dict[State, State | None] = {root: None}
        self._back: dict[State, list[State]] = {}
        self._queue = deque([root])
        self.result = Exploration()

    def run(self) -> Exploration:
        """Explore all."""
        while self._queue and not (self._stop_at_first and self.result.violations):
            self._visit(self._queue.popleft())
        self.result.states = len(self._parent)
        self.result.exhaustive = not self._queue
        if self.result.exhaustive:
            self._find_stuck()
        return self.result

    def _visit(self, state: State) -> None:
        for what in wrong(state):
            self._note(what, state)
        try:
            moves = self._world.moves(state)
        except Violation as exc:
            self._note(str(exc), state, "(next claim)")
            return
        for label, reached, fault in moves:
            if state.book.saga in ENDED and _book_moved(state, reached):
                self._note("I12 terminal saga changed", state, label)
            self._reach(state, canonical(reached), fault=fault)

    def _reach(self, state: State, reached: State, *, fault: bool) -> None:
        self.result.edges += 1
        if reached not in self._parent:
            self._parent[reached] = state
            self._queue.append(reached)
        if not fault:
            self._back.setdefault(reached, []).append(state)

    def _find_stuck(self) -> None:
        safe = {state for state in self._parent if has_ended(state)}
        waiting = list(safe)
        while waiting:
            for before in self._back.get(waiting.pop(), ()):
                if before not in safe:
                    safe.add(before)
                    waiting.append(before)
        for state in self._parent:
            if state not in safe:
                self._note(STUCK, state)

    def _note(self, what: str, state: State, last: str = "") -> None:
        known = self.result.violations.get(what)
        if known is not None:
            known.states += 1
            return
        self.result.violations[what] = Found(1, self._trace(state) + ([last] if last else []))

    def _trace(self, state: State) -> list[str]:
        """Replayed from the start, so that the workers keep their names along the way."""
        path = [state]
        while (before := self._parent[path[-1]]) is not None:
            path.append(before)
        labels, real = [], normal(self._first)
        for reached in path[-2::-1]:
            label, real = next(
                (m.label, normal(m.state)) for m in self._world.moves(real) if canonical(m.state) == reached
            )
            labels.append(label)
        return labels


def _book_moved(before: State, after: State) -> bool:
    """The saga's state or a step's status is another one."""
    statuses = [[step.status for step in state.book.steps] for state in (before, after)]
    return bool(before.book.saga != after.book.saga or statuses[0] != statuses[1])
