"""One saga, two workers, participants with a memory, and every fault that can happen to an attempt. Each decision is
checked on the spot against the invariants; a generated list of numbers is a schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sagas.core import triggers as t
from sagas.core.claims import Claim, TokenBook
from sagas.core.decide import Decision, decide
from sagas.core.errors import SagaMovedError, TransitionNotAllowedError
from sagas.core.graph import Graph
from sagas.core.states import SagaState

from .build import ANNA, BERT, Driver
from .invariants import Watch

Action = Callable[[], None]


@dataclass
class Thread:
    """One attempt in a worker."""

    worker: UUID
    claim: Claim
    begun: bool = False
    effect: bool = False
    #: Its timeout has passed; what it says does not count any more.
    timed_out: bool = False
    #: What the process will submit for it in the end.
    outcome: t.AttemptTrigger | None = None


@dataclass
class Participant:
    """Idempotent by key, with a fence: it remembers an undo that came first."""

    done: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)
    net: dict[str, int] = field(default_factory=dict)

    def do(self, key: str) -> bool:
        """Whether the effect is there afterwards."""
        if key in self.undone:
            return False
        if key not in self.done:
            self.done.add(key)
            self.net[key] = self.net.get(key, 0) + 1
        return True

    def undo(self, key: str) -> None:
        """Whether or not it ever happened."""
        if key not in self.undone:
            self.undone.add(key)
            if key in self.done:
                self.net[key] -= 1


class Simulation:
    """See the module. `faults` bounds what may go wrong."""

    def __init__(self, graph: Graph, *, rollback: bool = True, faults: int = 6) -> None:
        self.driver = Driver(graph, rollback=rollback)
        self.watch = Watch(self.driver)
        self.participant = Participant()
        self.faults = faults
        self.threads: list[Thread] = []
        self.frozen: set[UUID] = set()
        #: Workers whose process has died, and those whose claims somebody has to take over.
        self.dead: set[UUID] = set()
        self.submitted: list[tuple[t.Trigger, UUID, TokenBook]] = []
        self.log: list[str] = []

    # -- deciding -----------------------------------------------------------------------------------------------

    def submit(self, trigger: t.Trigger, worker: UUID | None = None, *, slots: int = 1) -> Decision:
        """One decision, watched; claims become threads."""
        self.log.append(f"{trigger}")
        book = TokenBook()
        driver = self.driver
        before, kept = (driver.saga, driver.steps), driver.snapshot()
        offer = driver.offer(worker, slots=slots, action_slots=slots) if worker else None
        decision = driver.ask(trigger, offer, book=book)
        assert before == kept, "decide changed the rows that it was given"
        self.watch.decided(trigger, *kept, decision)
        if worker is not None:
            self.threads += [Thread(worker, claim) for claim in decision.claims]
            self.submitted.append((trigger, worker, book))
        return decision

    def again(self, number: int) -> None:
        """A submission whose answer was lost, made again: recorded once."""
        trigger, worker, book = self.submitted[number % len(self.submitted)]
        before = self.driver.snapshot()
        self.log.append(f"again {trigger}")
        known = set(book.tokens)
        decision = self.driver.ask(trigger, self.driver.offer(worker, slots=0, action_slots=0), book=book)
        self.watch.again(trigger, before, decision)
        assert {claim.position for claim in decision.claims} <= known

    # -- what may happen ----------------------------------------------------------------------------------------

    def act(self, number: int) -> None:
        """What the number chooses: mostly threads go on, or else few sagas would come far."""
        choice, rest = number % 16, number // 16
        found: list[Action] = []
        if choice >= 14 and self.faults > 0:
            found = [partial(self._fault, action) for action in self._faults()]
        elif choice == 13:
            found = self._judging(ANNA) + self._judging(BERT)
        elif choice == 12:
            found = [partial(self.driver.wait, 7), partial(self.driver.wait, 3600)]
        elif choice < 9:
            found = [action for thread in self._awake() for action in self._running(thread)]
        found = found or self._looks()
        if found:
            found[rest % len(found)]()

    def _awake(self) -> list[Thread]:
        return [thread for thread in self.threads if thread.worker not in self.frozen]

    def _looks(self) -> list[Action]:
        workers = [worker for worker in (ANNA, BERT) if worker not in self.frozen | self.dead]
        looks = [partial(self.submit, t.Look(), worker) for worker in workers]
        return looks + [partial(self.submit, t.Look(sweep=True), worker, slots=2) for worker in workers]

    def _fault(self, action: Action) -> None:
        self.faults -= 1
        action()

    def _judging(self, worker: UUID) -> list[Action]:
        found: list[Action] = []
        if worker in self.frozen:
            found.append(partial(self._thaw, worker))
        if worker in self.dead | self.frozen:
            found.append(partial(self.lose, worker))
        return found

    def _thaw(self, worker: UUID) -> None:
        self.frozen.discard(worker)

    def lose(self, worker: UUID) -> None:
        """Found dead, taken over. A process that died starts again under a name of its own: here, the same."""
        self.submit(t.WorkerLost(worker))
        self.dead.discard(worker)

    def _running(self, thread: Thread) -> list[Action]:
        if thread.timed_out:
            return [partial(self._effect, thread), partial(self._end_timed_out, thread)]
        if not thread.begun:
            return [partial(self._begin, thread)] * 6 + [partial(self._end, thread, t.HandedBack)]
        found: list[Action] = [partial(self._effect, thread)] * 5
        if thread.effect:
            found += [partial(self._end, thread, t.Completed)] * 9
        else:
            found.append(partial(self._end, thread, t.NoEffect, code="input"))
        if thread.claim.undo or self._key(thread) not in self.participant.done:
            found.append(partial(self._end, thread, t.Rejected, code="no"))
        return found

    def _faults(self) -> list[Action]:
        found: list[Action] = [
            *[partial(self._operate, t.Compensate("op", "why"))] * 3,
            *[partial(self._operate, t.Retry("op", "why"))] * 2,
            partial(self._operate, t.Retry("op", "why", expected_revision=1)),
            partial(self.submit, t.FlagStale()),
            *(partial(self.submit, t.NoHandler(step.position)) for step in self.driver.steps),
        ]
        if self.submitted:
            found += [partial(self.again, number) for number in range(min(3, len(self.submitted)))]
        for thread in self._awake():
            if thread.begun and not thread.timed_out:
                found += self._failing(thread)
        for worker in (ANNA, BERT):
            if worker not in self.frozen | self.dead:
                found += [partial(self._crash, worker), partial(self.frozen.add, worker)]
        return found

    def _failing(self, thread: Thread) -> list[Action]:
        if self._atomic(thread):
            return [partial(self._end, thread, t.NoEffect, code="exception"), partial(self._time_out, thread)]
        return [
            partial(self._end, thread, t.InDoubt, code="exception"),
            partial(self._end, thread, t.InDoubt, code="wish", after=timedelta(days=10**6)),
            partial(self._end, thread, t.InDoubt, code="payload", final=True),
            partial(self._end, thread, t.Unrecorded, code="unrecorded"),
            partial(self._time_out, thread),
        ]

    # -- attempts -----------------------------------------------------------------------------------------------

    def _key(self, thread: Thread) -> str:
        return f"{self.driver.graph.steps[thread.claim.position].name}:{thread.claim.round}"

    def _atomic(self, thread: Thread) -> bool:
        """Its effect is there if, and only if, its completion is recorded."""
        return self.driver.graph.steps[thread.claim.position].atomic and not thread.claim.undo

    def _begin(self, thread: Thread) -> None:
        thread.begun = True

    def _effect(self, thread: Thread) -> None:
        if thread.claim.undo:
            self.participant.undo(self._key(thread))
            thread.effect = True
        elif self._atomic(thread):
            thread.effect = True
        else:
            thread.effect = self.participant.do(self._key(thread))
            if not thread.effect:
                self._end(thread, t.Rejected, code="fenced")

    def _end(self, thread: Thread, kind: Any, **details: Any) -> None:
        self.threads = [other for other in self.threads if other is not thread]
        claim = thread.claim
        worker = None if kind in (t.HandedBack, t.Unrecorded) else thread.worker
        trigger = kind(claim.position, thread.worker, claim.token, claim.undo, **details)
        if thread.timed_out:
            trigger = t.ThreadEnded(claim.position, thread.worker, claim.token, claim.undo)
        self._record(thread, trigger, worker)

    def _record(self, thread: Thread, trigger: t.Trigger, worker: UUID | None) -> None:
        decision = self.submit(trigger, worker)
        if self._atomic(thread) and isinstance(trigger, t.Completed) and not decision.ignored:
            self.participant.do(self._key(thread))

    def _time_out(self, thread: Thread) -> None:
        thread.timed_out = True
        claim = thread.claim
        kind = t.NoEffect if self._atomic(thread) else t.InDoubt
        self.submit(kind(claim.position, thread.worker, claim.token, claim.undo, "timeout", thread_alive=True))

    def _end_timed_out(self, thread: Thread) -> None:
        """Its result does not count; some processes report it all the same."""
        claim = thread.claim
        if thread.effect:
            self._record(thread, t.Completed(claim.position, thread.worker, claim.token, claim.undo), None)
        self._end(thread, t.ThreadEnded)

    def _crash(self, worker: UUID) -> None:
        self.threads = [thread for thread in self.threads if thread.worker != worker]
        self.frozen.discard(worker)
        self.dead.add(worker)

    def _operate(self, trigger: t.OperatorTrigger | t.Signal) -> None:
        before = self.driver.snapshot()
        try:
            self.submit(trigger)
        except (TransitionNotAllowedError, SagaMovedError):
            assert (self.driver.saga, self.driver.steps) == before

    # -- to the end ---------------------------------------------------------------------------------------------

    def play(self, schedule: list[int]) -> None:
        """Do what the numbers choose."""
        for number in schedule:
            self.act(number)

    def finish(self) -> None:
        """No more faults: threads end, dead workers are found, the sweep comes. The saga ends or waits for a person."""
        self.faults = 0
        self.frozen.clear()
        for worker in sorted(self.dead):
            self.lose(worker)
        for _ in range(40 * len(self.driver.steps) + 40):
            if self._is_over():
                return
            self._go_on()
        raise AssertionError("no end in sight")

    def _go_on(self) -> None:
        while self.threads:
            thread = self.threads[0]
            if self._finish_thread(thread):
                continue
            thread.begun = True
            self._effect(thread)
            if any(other is thread for other in self.threads):
                (self._end_timed_out if thread.timed_out else partial(self._end, kind=t.Completed))(thread)
        wake = self.driver.saga.wake_at
        if wake is not None:
            # The sweep comes more often than that; looks between two attempts would only make the run longer.
            due = [step.due_at for step in self.driver.steps if step.due_at is not None]
            self.driver.now = max([self.driver.now, wake, *(due and [min(due)])])
            self.submit(t.Look(sweep=True), ANNA, slots=2)

    def _finish_thread(self, thread: Thread) -> bool:
        """Whether the thread was ended in another way than by running its handler."""
        return False

    def _is_over(self) -> bool:
        """Ended, or nothing is left but what a person must look at."""
        saga, steps = self.driver.saga, self.driver.steps
        if self.threads:
            return False
        if saga.state in (SagaState.COMPLETED, SagaState.COMPENSATED, SagaState.FAILED):
            return True
        probe = decide(saga, steps, t.Look(), self.driver.now + timedelta(days=400), None)
        return bool(saga.attention) and not probe.unclaimed and not any(step.claimed for step in steps)
