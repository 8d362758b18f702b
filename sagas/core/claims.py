"""Claims: which of the ready steps a worker takes, given what it offers. Pure; tokens are handed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from .graph import Graph
from .rows import StepRow
from .states import EXECUTED, StepStatus


@dataclass(frozen=True, slots=True)
class Room:
    """What a handler with limits (over all processes) may take on here."""

    free: int
    #: When a step that found none is looked at again, if nobody has looked before.
    later: timedelta = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker process can take on now."""

    worker: UUID
    #: Names of the actions and compensations it has handlers for.
    handlers: frozenset[str]
    next_token: Callable[[], int]
    #: Queues it serves; None = every queue.
    queues: frozenset[str] | None = None
    slots: int = 1
    #: How many of the slots may go to actions: from two threads on, one is kept for compensations.
    action_slots: int = 1
    #: Whether it may take a step that has crashed a worker before: one at a time in a process.
    crashed_slots: int = 1
    #: By handler; those that are not in it have no limits.
    rooms: Mapping[str, Room] = field(default_factory=dict)

    def budget(self) -> Budget:
        """A fresh count of what is left, for one group."""
        rooms = {name: room.free for name, room in self.rooms.items()}
        return Budget(self.slots, self.action_slots, self.crashed_slots, rooms)


@dataclass(slots=True)
class Budget:
    """What is left of an offer while a group is decided."""

    slots: int
    action_slots: int
    crashed_slots: int
    rooms: dict[str, int] = field(default_factory=dict)

    def bring(self, *, undo: bool) -> None:
        """A result brings the slot of its attempt along: its saga goes on here, whatever has come in meanwhile."""
        self.slots = max(self.slots, 1)
        if not undo:
            self.action_slots = max(self.action_slots, 1)


@dataclass(slots=True)
class TokenBook:
    """The tokens given out for one submission, by step: the same again when the group is submitted again."""

    tokens: dict[int, int] = field(default_factory=dict)


# Not frozen, though nobody changes one: a frozen one takes three times as long to make, and each transition makes some.
@dataclass(slots=True)
class Claim:
    """One worker's durable right to run one attempt of a step."""

    position: int
    token: int
    undo: bool
    attempt: int
    round: int
    #: In a compensation: the action is known to have completed.
    executed: bool = False
    #: An attempt before it ended without an answer.
    doubt: bool = False
    #: The step's condition holds and its gates are passed.
    opened: bool = False


def is_undo(step: StepRow) -> bool:
    """Whether the step's next (or current) attempt is of its compensation."""
    return step.status in EXECUTED or step.status in (StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED)


def handler_name(graph: Graph, step: StepRow) -> str:
    """The handler that the step needs next."""
    spec = graph.steps[step.position]
    return spec.compensation if is_undo(step) else spec.does


def can_run(graph: Graph, step: StepRow, offer: Offer) -> bool:
    """Whether the worker serves the step's queue and knows its handler."""
    queue, name = graph.steps[step.position].queue, handler_name(graph, step)
    # A step without an action has a condition that any worker can look at.
    return (offer.queues is None or queue in offer.queues) and (name in offer.handlers or not name)


def take(step: StepRow, budget: Budget) -> bool:
    """Take a slot for the step, if one of its sort is left."""
    undo = is_undo(step)
    if budget.slots < 1 or (not undo and budget.action_slots < 1) or (step.crashes and budget.crashed_slots < 1):
        return False
    budget.slots -= 1
    if not undo:
        budget.action_slots -= 1
    if step.crashes:
        budget.crashed_slots -= 1
    return True


def claim(graph: Graph, ready: Sequence[StepRow], offer: Offer, budget: Budget) -> tuple[list[int], list[int]]:
    """The positions of the ready steps that the worker takes, and of those that have to wait for their limits."""
    runnable = [step for step in ready if can_run(graph, step, offer)]
    if not budget.rooms:
        return [step.position for step in runnable if take(step, budget)], []
    taken, limited = [], []
    for step in runnable:
        name = handler_name(graph, step)
        if budget.rooms.get(name, 1) < 1:
            limited.append(step.position)
        elif take(step, budget):
            taken.append(step.position)
            if name in budget.rooms:
                budget.rooms[name] -= 1
    return taken, limited


def standing(steps: Sequence[StepRow], offer: Offer, book: TokenBook) -> list[Claim]:
    """The claims that hold under the tokens given out for one submission: new ones, and those of a commit whose
    answer was lost."""
    found = []
    for position, token in book.tokens.items():
        step = steps[position]
        if step.held_by(offer.worker, token):
            undo = step.status is StepStatus.COMPENSATING
            attempt = step.undo_attempt if undo else step.attempt
            executed = step.executed_at is not None
            found.append(Claim(position, token, undo, attempt, step.round, executed, step.doubt, step.opened))
    return found
