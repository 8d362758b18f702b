"""The sagas of a town in their store: inserted, read, changed in groups; what was claimed runs, what is to be told is
noted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

from sagas.core.claims import Offer, Room
from sagas.core.graph import Graph, StepSpec
from sagas.core.rows import SagaRow, StepRow
from sagas.engine.children import Errand, errands
from sagas.store.base import Inserted, NewSaga, Result, Store, Submission, Verdict
from tests.core.simulation import Participant

from .parts import LIMIT, LIMITED, ROOT, WORKERS, Clock, Plan, Thread

#: More than any run needs: one that does not end says so, instead of running on.
MOST = 3000


@dataclass
class Stage:
    """See the module."""

    store: Store
    plan: Plan
    faults: int = 10
    #: The store's, where somebody moves it.
    clock: Clock | None = None
    #: Called with the ids of the sagas that a move has touched, and the group that did it.
    check: Callable[[Any, Sequence[Submission]], None] = lambda town, group: None
    ids: list[UUID] = field(default_factory=list)
    threads: list[Thread] = field(default_factory=list)
    participant: Participant = field(default_factory=Participant)
    #: Effects that a person has decided to leave.
    left: set[str] = field(default_factory=set)
    #: Steps and their rounds of which a person has said what came of them.
    by_hand: set[tuple[UUID, str, int]] = field(default_factory=set)
    #: Steps whose condition did not hold.
    over: set[str] = field(default_factory=set)
    frozen: set[UUID] = field(default_factory=set)
    todo: list[Errand] = field(default_factory=list)
    told: list[Submission] = field(default_factory=list)
    letters: list[Submission] = field(default_factory=list)
    #: Letters that have counted.
    counted: list[Submission] = field(default_factory=list)
    past: list[tuple[Submission, UUID]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    graphs: dict[str, Graph] = field(default_factory=dict)
    moves: int = 0

    def __post_init__(self) -> None:
        self._tokens: dict[UUID, Iterator[int]] = {worker: count(1) for worker in WORKERS}
        for number, graph in enumerate(self.plan.parents):
            lock = "the lock" if number < self.plan.locked else ""
            late = self.store.now() + timedelta(seconds=3 * self.plan.minute) if self.plan.deadlines[number] else None
            new = self.new(UUID(int=ROOT.int + number), graph, lock_key=lock, deadline_at=late)
            self.insert(new)
            self.ids.append(new.id)

    # -- the store ----------------------------------------------------------------------------------------------

    def new(self, key: UUID, graph: Graph, *, rollback: bool = True, **more: Any) -> NewSaga:
        """A saga to insert; its idempotency key is its id."""
        self.graphs[graph.hash] = graph
        inputs = dict.fromkeys(range(len(graph.steps)), "{}")
        return NewSaga(key, "town", "1", graph, rollback, "{}", inputs, "hash", idempotency_key=key.hex, **more)

    def insert(self, new: NewSaga) -> bool:
        """Whether it is new."""
        return isinstance(self.store.insert([new])[0], Inserted)

    def rows(self, key: UUID) -> tuple[SagaRow, list[StepRow]]:
        """As they are stored."""
        return self.store.load([key])[key]

    def offer(self, worker: UUID, slots: int = 3) -> Offer:
        """What the worker can take on; of the limited action no more than is free in the whole town."""
        graphs = self.graphs.values()
        names = {name for graph in graphs for step in graph.steps for name in (step.does, step.compensation) if name}
        busy = sum(self.does(thread) == LIMITED for thread in self.threads)
        rooms = {LIMITED: Room(max(0, LIMIT - busy))}
        return Offer(worker, frozenset(names), self._tokens[worker].__next__, None, slots, slots, slots, rooms)

    def apply(self, group: Sequence[Submission], worker: UUID | None = None, **options: Any) -> list[Result]:
        """One transaction; what was claimed runs, what is to be told is noted."""
        self.moves += 1
        assert self.moves < MOST, "I1: no end in sight"
        self.log.append(f"-- {worker.int:x} --" if worker else "--")
        results = self.store.apply(group, self.offer(worker) if worker else None, **options)
        for result in results:
            self.log.append(told(result))
            assert result.verdict is not Verdict.BUSY, "busy: nobody else is here"
            self._took(result, worker)
        self.check(self, group)
        return results

    def _took(self, result: Result, worker: UUID | None) -> None:
        key = result.submission.saga_id
        self.todo += errands(result)
        if worker is None:
            return
        self.past.append((result.submission, worker))
        for claim in result.claims:
            mine = [(thread.saga, thread.claim.token) for thread in self.threads if thread.worker == worker]
            if (key, claim.token) not in mine:
                self._begin(Thread(key, worker, claim))

    # -- threads ------------------------------------------------------------------------------------------------

    def _begin(self, thread: Thread) -> None:
        beside = [other for other in self.threads if self._place(other) == self._place(thread) and not other.lapsed]
        assert not beside, "I11: two live threads of one step"
        self.threads.append(thread)
        busy = [other for other in self.threads if self.does(other) == LIMITED]
        assert len(busy) <= LIMIT, "limit: more attempts of a limited action than it may have"

    def _place(self, thread: Thread) -> tuple[UUID, int]:
        return thread.saga, thread.claim.position

    def spec(self, thread: Thread) -> StepSpec:
        """The step that it is an attempt of."""
        return self.rows(thread.saga)[0].graph.steps[thread.claim.position]

    def does(self, thread: Thread) -> str:
        """The handler that the thread is in."""
        step = self.spec(thread)
        return step.compensation if thread.claim.undo else step.does

    def name(self, thread: Thread) -> str:
        """The key that the participants know the action by."""
        return effect_key(thread.saga, self.spec(thread).name, thread.claim.round)


def told(result: Result) -> str:
    """One line of the log: what was asked of which saga, and what it is now."""
    one, steps = result.submission, ", ".join(f"{step.status}{step.hold and '!'}" for step in result.steps)
    words = re.sub(r"UUID\('0*(\w+)'\)", r"\1", f"{one.trigger}").replace("-", "")
    answer = result.reason or result.verdict.value
    return f"{one.saga_id.int % 1000}: {words} -> {answer}; {result.saga and result.saga.state}: {steps}"


def effect_key(saga: UUID, step: str, number: int) -> str:
    """What the participants know an action of one round by."""
    return f"{saga.hex}:{step}:{number}"
