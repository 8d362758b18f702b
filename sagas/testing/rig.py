"""The engine on the memory store, one saga on it: claims attempts, runs them, submits what came of them.

Everything that changes the saga goes through `submit` (an atomic step's own commit: through `accept`); the clock moves
by itself in `pass_time` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import count
from typing import Any
from uuid import UUID

from django.db import connections, transaction

from ..conf import app_settings
from ..core.claims import Claim, Offer
from ..core.graph import Graph
from ..core.history import Entry
from ..core.states import ALIVE, Wait
from ..core.triggers import AttemptTrigger, Look, Prepared, Trigger, WorkerLost
from ..definitions.context import StepContext
from ..definitions.handlers import Handler
from ..definitions.registry import registry
from ..engine.attempt import Attempt, Ended, call, run
from ..store.base import Loaded, NewSaga, Result, Submission, Texts
from ..store.memory import MemoryStore
from .clock import Clock
from .isolation import open_blocks, spared

#: Whatever answers a call: the registered handler, or what stands in for it.
Participant = Callable[[StepContext], Any]


class RigStore(MemoryStore):
    """The memory store, with transactions for atomic steps: what they write goes when their outcome does not count."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        #: The saga before an atomic step's own commit.
        self._before: tuple[Loaded, Texts, list[Entry]] | None = None

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """In the database too, where the test has one. A test that has touched none has no transaction there."""
        alias = app_settings().DATABASE
        try:
            with nullcontext() if connections[alias].connection is None else transaction.atomic(using=alias):
                yield
        except BaseException:
            self._restore()
            raise
        finally:
            self._before = None

    def apply(
        self, submissions: Sequence[Submission], offer: Offer | None = None, *, wait: bool = False
    ) -> list[Result]:
        """Only a commit inside an atomic step waits: no other is undone with the step."""
        if wait:
            saga_id = submissions[0].saga_id
            self._before = self.sagas[saga_id], self._texts(saga_id), list(self.history[saga_id])
        return super().apply(submissions, offer)

    def _restore(self) -> None:
        if self._before is not None:
            saga_id = self._before[0].saga.id
            self.sagas[saga_id], self.payloads[saga_id], self.history[saga_id] = self._before


class Rig:
    """See the module. One worker process at a time; `lose_worker` ends it and starts the next."""

    def __init__(self, new: NewSaga, stand_ins: frozenset[str] = frozenset()) -> None:
        if new.graph.nested:
            name = new.graph.steps[new.graph.nested[0]].name
            raise NotImplementedError(
                f"step {name!r} is a child saga: here a saga runs alone; test each of the two by "
                f"itself, and the family with a worker (`saga_worker --burst`)"
            )
        self.clock = Clock()
        self.store = RigStore(self.clock)
        self.id = new.id
        self.worker = UUID(int=1)
        #: Claimed and not begun, in the order of their claims.
        self.queue: list[Attempt] = []
        #: Attempts of processes that were frozen before the handler was called.
        self.frozen: list[tuple[Attempt, Participant]] = []
        #: As if there were several: steps that have crashed a worker before run side by side.
        self.many_processes = False
        #: What handlers said last of how far they are, by position.
        self.progress: dict[int, float] = {}
        #: Is told of every result.
        self.heard: Callable[[Result], None] | None = None
        self._new = new
        self._stand_ins = stand_ins
        self._tokens = count(1)
        self._offer: Offer | None = None
        self._edition = -1
        #: The test's own transactions.
        self._blocks = open_blocks()
        self.store.insert([new])

    @property
    def graph(self) -> Graph:
        """The saga's steps; a fan-out adds some."""
        return self.loaded.saga.graph

    @property
    def loaded(self) -> Loaded:
        """The saga's rows."""
        return self.store.sagas[self.id]

    # -- what runs next -----------------------------------------------------------------------------------------

    def fill(self, *, waits: bool) -> bool:
        """Claim what can run; `waits`: set the clock forward where there is nothing to do but wait. Is there any?"""
        while not self.queue:
            if not self.look() and not (waits and self.pass_time()):
                return False
        return True

    def look(self) -> bool:
        """The sweep comes by; whether anything came of it."""
        before = self.loaded.saga
        if before.wake_at is None:
            return False
        self.submit(Submission(self.id, Look(sweep=True)))
        return bool(self.queue) or self.loaded.saga.revision != before.revision

    def pass_time(self) -> bool:
        """Set the clock to when the next thing is due; False when nothing will be. What waits for somebody is waited
        for by moving the clock oneself: else no answer would ever be in time."""
        found = self.loaded
        due = [
            step.due_at
            for step in found.steps
            if step.due_at is not None and not step.claimed and step.waits in (Wait.NONE, Wait.TIMER)
        ]
        if found.saga.state not in ALIVE or not due or min(due) <= self.clock.now:
            return False
        self.clock.now = min(due)
        return True

    # -- attempts -----------------------------------------------------------------------------------------------

    def real(self, attempt: Attempt) -> Participant:
        """The registered handler, async or not."""
        handler = registry.handlers[attempt.handler_name]
        return lambda context: call(handler, context)

    def execute(self, attempt: Attempt, participant: Participant | None = None) -> Ended:
        """Run an attempt to its end, with its own handler or with another in its place; nothing is submitted yet."""
        if participant is None and not self._blocks:
            return run(attempt, self.store, self.submit, self.offer)
        with _in_place(attempt, participant), spared(self._blocks):
            return run(attempt, self.store, self.submit, self.offer)

    def settle(self, ended: Ended) -> None:
        """Record how an attempt ended."""
        if ended.submission is not None:
            self.submit(ended.submission)
        elif ended.result is not None:
            self.accept(ended.result)

    def lose_worker(self) -> None:
        """The process is dead, or taken for dead: what it had claimed, begun or not, is taken over by the next."""
        lost, self.worker = self.worker, UUID(int=self.worker.int + 1)
        self.queue.clear()
        self._offer = None
        self.submit(Submission(self.id, WorkerLost(lost)))

    def thaw(self) -> None:
        """Frozen processes go on where they were: their handlers are called now, their results come late."""
        while self.frozen:
            attempt, participant = self.frozen.pop(0)
            self.settle(self.execute(attempt, participant))

    # -- submitting ---------------------------------------------------------------------------------------------

    def submit(self, submission: Submission) -> Result:
        """Decide and record; what is claimed with it waits for its turn."""
        result = self.store.apply([submission], self.offer(submission.trigger))[0]
        self.accept(result)
        return result

    def accept(self, result: Result) -> None:
        """Take note of what was committed."""
        if result.claims:
            texts = self.store.texts([self.id])[self.id]
            self.queue += [self._attempt(claim, texts) for claim in result.claims]
        if self.heard is not None:
            self.heard(result)

    def _attempt(self, claim: Claim, texts: Texts) -> Attempt:
        def beat(progress: float | None) -> None:
            if progress is not None:
                self.progress[claim.position] = progress

        return Attempt(self.id, self._new.name, self._new.request_id, self.graph, claim, self.worker, texts, beat=beat)

    def offer(self, trigger: Trigger | None = None) -> Offer:
        """What the worker can take on: everything, but of the steps that have crashed a worker one at a time, so that
        the one which does crash it does not take the others along for ever."""
        if self._offer is None or self._edition != registry.edition:
            many = len(self.graph.steps) + 1
            known = self._stand_ins.union(registry.handlers)
            crashed = many if self.many_processes else 1
            self._offer = Offer(self.worker, known, self._tokens.__next__, None, many, many, crashed)
            self._edition = registry.edition
        return replace(self._offer, crashed_slots=0) if self._crashed_runs(trigger) else self._offer

    def _crashed_runs(self, trigger: Trigger | None) -> bool:
        """Whether such a step runs already; a result brings its own slot back."""
        if self.worker.int == 1 or self.many_processes:
            return False
        ended = trigger.position if isinstance(trigger, AttemptTrigger) and not isinstance(trigger, Prepared) else None
        return any(step.crashes and step.claimed and step.position != ended for step in self.loaded.steps)


@contextmanager
def _in_place(attempt: Attempt, participant: Participant | None) -> Iterator[None]:
    """Put another function (if there is one) in the registered handler's place for one attempt."""
    if participant is None:
        yield
        return
    name, spec = attempt.handler_name, attempt.spec
    known = registry.handlers.get(name)
    if known is None:
        atomic = spec.undo_atomic if attempt.claim.undo else spec.atomic
        registry.handlers[name] = Handler(name, participant, attempt.claim.undo, atomic=atomic)
    else:
        registry.handlers[name] = replace(known, function=participant, is_async=False)
    try:
        yield
    finally:
        if known is None:
            del registry.handlers[name]
        else:
            registry.handlers[name] = known
