"""The engine on the memory store, one saga and its child sagas on it: claims attempts, runs them, submits what came of
them, and tells parents and children of each other.

Everything that changes a saga goes through `submit` (an atomic step's own commit: through `accept`); the clock moves
by itself in `pass_time` only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

from ..core.claims import Claim, Offer
from ..core.graph import Graph
from ..core.rows import StepRow
from ..core.states import ALIVE, Wait
from ..core.triggers import AttemptTrigger, Look, Prepared, Trigger, WorkerLost
from ..definitions.context import StepContext
from ..definitions.handlers import Handler
from ..definitions.registry import registry
from ..engine.attempt import Attempt, Ended, call, run
from ..engine.children import errands, news, start_child
from ..store.base import Loaded, NewSaga, Result, Submission, Texts
from .clock import Clock
from .isolation import open_blocks, spared
from .stand_ins import StandIns
from .store import RigStore

#: Whatever answers a call: the registered handler, or what stands in for it.
Participant = Callable[[StepContext], Any]
#: More attempts than any saga has at once: the worker has room for all.
_MANY = 100_000


class Rig:
    """See the module. One worker process at a time; `lose_worker` ends it and starts the next."""

    def __init__(self, new: NewSaga, clock: Clock, stand_ins: StandIns | None = None) -> None:
        self.clock = clock
        self.store = RigStore(self.clock)
        self.id = new.id
        self.worker = UUID(int=1)
        #: Claimed and not begun, in the order of their claims.
        self.queue: list[Attempt] = []
        #: Attempts of processes that were frozen before the handler was called.
        self.frozen: list[tuple[Attempt, Participant]] = []
        #: As if there were several: steps that have crashed a worker before run side by side.
        self.many_processes = False
        #: What handlers said last of how far they are, by saga and position.
        self.progress: dict[tuple[UUID, int], float] = {}
        #: Is told of every result.
        self.heard: Callable[[Result], None] | None = None
        self._stand_ins = stand_ins
        self._tokens = count(1)
        self._offer: Offer | None = None
        self._edition = -1
        #: The test's own transactions.
        self._blocks = open_blocks()
        self.begin: datetime = self.clock.now
        self.store.insert([new])

    @property
    def graph(self) -> Graph:
        """The saga's steps; a fan-out adds some."""
        return self.loaded.saga.graph

    @property
    def loaded(self) -> Loaded:
        """The saga's rows."""
        return self.store.sagas[self.id]

    def path(self, saga_id: UUID) -> str:
        """What stands before the names of a child saga's steps: "ship/"; empty for the saga itself."""
        saga = self.store.sagas[saga_id].saga
        return "" if saga.parent is None else f"{self.path(saga.parent)}{saga.parent_step}/"

    def name_of(self, attempt: Attempt) -> str:
        """The attempt's step, as the saga above all sees it."""
        return self.path(attempt.saga_id) + attempt.spec.name

    # -- what runs next -----------------------------------------------------------------------------------------

    def fill(self, *, waits: bool) -> bool:
        """Claim what can run; `waits`: set the clock forward where there is nothing to do but wait. Is there any?"""
        while not self.queue:
            if not self.look() and not (waits and self.pass_time()):
                return False
        return True

    def look(self) -> bool:
        """The sweep comes by; whether anything came of it."""
        before = self._revisions()
        for saga_id in list(self.store.sagas):
            if self.store.sagas[saga_id].saga.wake_at is not None:
                self.submit(Submission(saga_id, Look(sweep=True)))
        return bool(self.queue) or self._revisions() != before

    def _revisions(self) -> list[int]:
        return [found.saga.revision for found in self.store.sagas.values()]

    def pass_time(self) -> bool:
        """Set the clock to when the next thing is due; False when nothing will be. What waits for somebody is waited
        for by moving the clock oneself: else no answer would ever be in time."""
        times = [time for found in self.store.sagas.values() if (time := _due(found)) is not None]
        ahead = [time for time in times if time > self.clock.now]
        if ahead:
            self.clock.now = min(ahead)
        return bool(ahead)

    # -- attempts -----------------------------------------------------------------------------------------------

    def real(self, attempt: Attempt) -> Participant:
        """The registered handler, async or not; for a child saga: what starts it."""
        if attempt.spec.saga:
            return lambda context: _start(attempt, self.store)
        handler = registry.handlers[attempt.handler_name]
        return lambda context: call(handler, context)

    def keeps_books(self, attempt: Attempt) -> bool:
        """Whether nothing happens in the attempt: a gate, a list that is opened out, or joined."""
        spec, claim = attempt.spec, attempt.claim
        opens = bool(spec.for_each) and not (claim.undo or claim.opened)
        return not attempt.handler_name or bool(spec.join) or opens

    def calls_nobody(self, attempt: Attempt) -> bool:
        """Whether the attempt is the engine's own affair: that, or a child saga's start."""
        return self.keeps_books(attempt) or bool(attempt.spec.saga and not attempt.claim.undo)

    def execute(self, attempt: Attempt, participant: Participant | None = None) -> Ended:
        """Run an attempt to its end, with its own handler or with another in its place; nothing is submitted yet."""
        self.store.in_database = not attempt.spec.saga
        if attempt.spec.saga and self._stand_ins is not None:
            with self._stand_ins.standing():
                return self._execute(attempt, participant)
        return self._execute(attempt, participant)

    def _execute(self, attempt: Attempt, participant: Participant | None) -> Ended:
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
        for saga_id, found in list(self.store.sagas.items()):
            if any(lost in (step.claim_worker, step.stale_worker) for step in found.steps):
                self.submit(Submission(saga_id, WorkerLost(lost)))

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
        """Take note of what was committed, and tell parents and children what it means for them."""
        if result.claims:
            saga_id = result.submission.saga_id
            texts = self.store.texts([saga_id])[saga_id]
            self.queue += [self._attempt(saga_id, claim, texts) for claim in result.claims]
        if self.heard is not None:
            self.heard(result)
        while self.store.arrived:
            self.submit(Submission(self.store.arrived.pop(0), Look()))
        todo = errands(result)
        if todo:
            for submission in news(self.store, todo):
                self.submit(submission)

    def _attempt(self, saga_id: UUID, claim: Claim, texts: Texts) -> Attempt:
        def beat(progress: float | None) -> None:
            if progress is not None:
                self.progress[saga_id, claim.position] = progress

        found = self.store.sagas[saga_id]
        saga = found.saga
        return Attempt(
            saga_id, found.name, found.request_id, saga.graph, claim, self.worker, texts, depth=saga.depth, beat=beat
        )

    def offer(self, trigger: Trigger | None = None) -> Offer:
        """What the worker can take on: everything, but of the steps that have crashed a worker one at a time, so that
        the one which does crash it does not take the others along for ever."""
        if self._offer is None or self._edition != registry.edition:
            known = registry.names().union(self._stand_ins.names if self._stand_ins else ())
            crashed = _MANY if self.many_processes else 1
            self._offer = Offer(self.worker, known, self._tokens.__next__, None, _MANY, _MANY, crashed)
            self._edition = registry.edition
        return replace(self._offer, crashed_slots=0) if self._crashed_runs(trigger) else self._offer

    def _crashed_runs(self, trigger: Trigger | None) -> bool:
        """Whether such a step runs already; a result brings its own slot back."""
        if self.worker.int == 1 or self.many_processes:
            return False
        ends = isinstance(trigger, AttemptTrigger) and not isinstance(trigger, Prepared)
        return any(
            step.crashes and step.claimed and not (ends and _same_claim(step, trigger))
            for found in self.store.sagas.values()
            for step in found.steps
        )


def _same_claim(step: StepRow, trigger: Any) -> bool:
    return step.held_by(trigger.worker, trigger.token)


def _due(found: Loaded) -> datetime | None:
    """When the saga's next thing is due; None when nothing will be by itself."""
    if found.saga.state not in ALIVE:
        return None
    times = [
        step.due_at
        for step in found.steps
        if step.due_at is not None and not step.claimed and step.waits in (Wait.NONE, Wait.TIMER)
    ]
    return min(times, default=None)


def _start(attempt: Attempt, store: RigStore) -> None:
    """What a child saga's step does in its transaction."""
    start_child(attempt, store)


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
