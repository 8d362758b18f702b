"""What such a town is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sagas.core.claims import Claim
from sagas.core.graph import Graph
from tests.core.build import ANNA, BERT

Action = Callable[[], None]
WORKERS = (ANNA, BERT)
#: The action with a limit, and how many of it may run at once.
LIMITED, LIMIT = "do.limited", 1
ROOT = UUID(int=2**100)


@dataclass
class Clock:
    """The time of a store in memory. Time in a database goes by itself."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def jump(self, seconds: float) -> None:
        """Forth, or (somebody has corrected it) back."""
        self.now += timedelta(seconds=seconds)


@dataclass(eq=False)
class Thread:
    """One attempt in a worker."""

    saga: UUID
    worker: UUID
    claim: Claim
    #: Its handler may have been called.
    called: bool = False
    effect: bool = False
    #: The service has said no to it.
    refused: bool = False
    #: Its process was taken for dead and woke up again.
    lapsed: bool = False
    timed_out: bool = False


@dataclass
class Plan:
    """What is started: parents with their graphs, their children's graph, their children's children's graph …"""

    parents: Sequence[Graph]
    kids: Sequence[Graph]
    #: Whether a failed child is rolled back.
    kid_rolls_back: bool = True
    #: How many of the parents share the lock.
    locked: int = 0
    #: Which of the parents have a deadline.
    deadlines: Sequence[bool] = field(default=(False,) * 3)
    #: Its seconds: a microsecond where nobody moves the clock.
    minute: float = 60.0

    def told(self) -> str:
        """To be read with a failure."""
        parents = [
            f"parent{' *' * due}: {show(graph)}" for graph, due in zip(self.parents, self.deadlines, strict=False)
        ]
        kids = [f"child, depth {depth}: {show(graph)}" for depth, graph in enumerate(self.kids, 1)]
        rest = f"lock for {self.locked}, failed children are {'rolled back' if self.kid_rolls_back else 'left'}"
        return "\n".join([*parents, *kids, rest])


def show(graph: Graph) -> str:
    """Its steps, each with what it waits for and what is special about it."""
    usual = ("name", "retry", "undo_retry", "compensation", "depends_on", "timeout", "undo_timeout", "queue")
    told = []
    for step in graph.steps:
        words = [f"{name}={value}" for name, value in step.to_json().items() if value and name not in usual]
        tries = f"{step.retry.max_attempts}/{step.undo_retry.max_attempts}"
        told.append(f"{step.name}({', '.join([*words, tries])} after {list(step.depends_on)})")
    return "; ".join([*told, str(graph.policy)])
