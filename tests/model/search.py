"""Breadth first through all states of any small world: what goes wrong there, by the shortest way, and whether every
state has a way to an end on which no fault happens. (`explore` is the like for the world of claims.)"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple, Protocol

from .explore import STUCK, Exploration, Found
from .state import Violation


class Move(NamedTuple):
    """Something that may happen next."""

    label: str
    state: Any
    #: Nothing may depend on its happening.
    fault: bool = False


class SmallWorld(Protocol):
    """What can be explored."""

    def start(self) -> Hashable:
        """The first state."""

    def moves(self, state: Any) -> Iterable[Move]:
        """What may happen next. Raises `Violation` for a decision that must not be."""

    def wrong(self, state: Any) -> Iterable[str]:
        """What must never be, in this state."""

    def has_ended(self, state: Any) -> bool:
        """Whether nothing more has to happen, or a person was asked for."""


def search(world: SmallWorld, *, stop_at_first: bool = False) -> Exploration:
    """All states, or those before the first violation."""
    first = world.start()
    #: How each state was reached first.
    ways: dict[Any, tuple[Any, str]] = {first: (None, "")}
    back: dict[Any, list[Any]] = {}
    found = Exploration()
    queue = deque([first])
    while queue and not (stop_at_first and found.violations):
        state = queue.popleft()
        for what in world.wrong(state):
            _note(found, ways, what, state)
        try:
            moves = list(world.moves(state))
        except Violation as exc:
            _note(found, ways, str(exc), state)
            continue
        for label, reached, fault in moves:
            found.edges += 1
            if reached not in ways:
                ways[reached] = (state, label)
                queue.append(reached)
            if not fault:
                back.setdefault(reached, []).append(state)
    found.states, found.exhaustive = len(ways), not queue
    if found.exhaustive:
        _find_stuck(found, world, ways, back)
    return found


def _find_stuck(
    found: Exploration, world: SmallWorld, ways: dict[Any, tuple[Any, str]], back: dict[Any, list[Any]]
) -> None:
    safe = {state for state in ways if world.has_ended(state)}
    waiting = list(safe)
    while waiting:
        for before in back.get(waiting.pop(), ()):
            if before not in safe:
                safe.add(before)
                waiting.append(before)
    for state in ways:
        if state not in safe:
            _note(found, ways, STUCK, state)


def _note(found: Exploration, ways: dict[Any, tuple[Any, str]], what: str, state: Any) -> None:
    if what in found.violations:
        found.violations[what].states += 1
        return
    labels: list[str] = []
    while ways[state][0] is not None:
        state, label = ways[state]
        labels.append(label)
    found.violations[what] = Found(1, labels[::-1])
