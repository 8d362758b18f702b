"""The simulation of sagas that wait, branch, fan out and are steered: what people and other services do comes in
between, at any moment."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from sagas.core import triggers as t
from sagas.core.graph import Graph
from sagas.core.rows import StepRow
from sagas.core.states import Hold, SagaState, StepStatus, Wait

from .simulation import Action, Simulation, Thread


class WideSimulation(Simulation):
    """See the module. People tell the truth: what they say that they have found out, they have."""

    def __init__(self, graph: Graph, *, rollback: bool = True, faults: int = 6) -> None:
        super().__init__(graph, rollback=rollback, faults=faults)
        #: Effects that somebody has decided to leave as they are.
        self.left: set[str] = set()

    # -- attempts -----------------------------------------------------------------------------------------------

    def _running(self, thread: Thread) -> list[Action]:
        spec = self.driver.graph.steps[thread.claim.position]
        if spec.join and not thread.timed_out:
            return [partial(self._end, thread, t.Completed)]
        if spec.checks and not (thread.claim.opened or thread.claim.undo) and not thread.begun:
            return self._checking(thread)
        found = super()._running(thread)
        if thread.begun and not thread.timed_out and not self._atomic(thread):
            found += [partial(self._end, thread, t.Waits), partial(self._end, thread, t.Waits, timeout=timedelta(1))]
        return found

    def _checking(self, thread: Thread) -> list[Action]:
        spec = self.driver.graph.steps[thread.claim.position]
        over = partial(self._end, thread, t.PassedOver)
        if spec.for_each:
            return [over, *(partial(self._end, thread, t.OpenedOut, count=count) for count in (0, 1, 3))]
        if spec.gate:
            opens = self.driver.now + timedelta(seconds=30)
            return [over, partial(self._end, thread, t.Checked, opens_at=opens)]
        return [over, *[partial(self._check, thread)] * 3]

    def _check(self, thread: Thread) -> None:
        """It holds: recorded, and the same attempt goes on."""
        claim = thread.claim
        decision = self.submit(t.Checked(claim.position, thread.worker, claim.token, claim.undo))
        thread.begun = True
        if decision.ignored:
            self.threads = [other for other in self.threads if other is not thread]

    def _atomic(self, thread: Thread) -> bool:
        spec = self.driver.graph.steps[thread.claim.position]
        return super()._atomic(thread) or bool(spec.join)

    def _failing(self, thread: Thread) -> list[Action]:
        return [] if self.driver.graph.steps[thread.claim.position].join else super()._failing(thread)

    # -- from outside -------------------------------------------------------------------------------------------

    def _faults(self) -> list[Action]:
        wide = self._waits() + self._people()
        return super()._faults() + wide * (2 if wide else 0)

    def _waits(self) -> list[Action]:
        """Answers and signals; some come twice, some contradict."""
        found: list[Action] = []
        for step in self.driver.steps:
            undo = step.status is StepStatus.COMPENSATING
            if step.waits is Wait.ANSWER or step.claimed:
                found += [partial(self._answer, step.position, undo=undo, ok=ok) for ok in (True, True, False)]
        for name in self.driver.graph.signals:
            found += [partial(self._operate, t.Signal(name, digest)) for digest in ("yes", "no")]
        return found

    def _answer(self, position: int, *, undo: bool, ok: bool) -> None:
        """Somebody did it (or found that it can not be done), and says so."""
        step, spec = self.driver.steps[position], self.driver.graph.steps[position]
        key = f"{spec.name}:{step.round}"
        if not undo and (spec.atomic or spec.join or (spec.checks and not step.opened)):
            return
        if undo:
            if ok:
                self.participant.undo(key)
        elif ok:
            ok = self.participant.do(key)
        elif key in self.participant.done:
            return
        attempt = step.undo_attempt if undo else step.attempt
        self.submit(t.Answer(position, step.round, attempt, undo, ok, f"{undo}:{step.round}:{ok}"))

    def _people(self) -> list[Action]:
        found: list[Action] = [
            partial(self._operate, kind("op", "why")) for kind in (t.Pause, t.Resume, t.Resume, t.Cancel, t.RunNow)
        ]
        for step in self.driver.steps:
            found += self._steering(step)
        return found

    def _steering(self, step: StepRow) -> list[Action]:
        at = step.position
        kinds = (t.Edit, t.Deny, t.Rewind)
        found: list[Action] = [partial(self._operate, kind("op", "why", None, at)) for kind in kinds]
        found += [partial(self._operate, t.Approve(who, "why", None, at)) for who in ("anna", "bert")]
        found += [
            partial(self._operate, t.Assign("op", "why", None, at, "anna", when)) for when in (None, self.driver.now)
        ]
        return [*found, partial(self._skip, at), partial(self._resolve, at)]

    def _skip(self, position: int) -> None:
        step = self.driver.steps[position]
        key = f"{self.driver.graph.steps[position].name}:{step.round}"
        if self.driver.state is SagaState.COMPENSATING:
            self.left.add(key)
        self._operate(t.Skip("op", "why", None, position))

    def _resolve(self, position: int) -> None:
        """A person looks into the participant's book; what is not there, nobody will do any more."""
        step = self.driver.steps[position]
        key = f"{self.driver.graph.steps[position].name}:{step.round}"
        done = key in self.participant.done and key not in self.participant.undone
        if step.claimed or step.stale_worker is not None:
            return
        if step.hold is Hold.DEBT or step.hold is Hold.LATE_EFFECT:
            self.participant.undo(key)
            done = True
        elif not done and step.status is StepStatus.UNKNOWN:
            self.participant.undo(key)
        self._operate(t.Resolve("op", "why", None, position, done))

    # -- to the end ---------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        super()._go_on()
        if self.driver.saga.paused_at is not None:
            self._operate(t.Resume("op", "why"))
        for step in list(self.driver.steps):
            spec = self.driver.graph.steps[step.position]
            if step.waits is Wait.SIGNAL:
                self._operate(t.Signal(spec.wait_for, "yes"))
            elif step.hold is Hold.APPROVAL:
                self._operate(t.Approve("anna", "why", None, step.position))
                self._operate(t.Approve("bert", "why", None, step.position))
            elif step.waits is Wait.ANSWER:
                self._answer(step.position, undo=step.status is StepStatus.COMPENSATING, ok=True)

    def _finish_thread(self, thread: Thread) -> bool:
        """What is checked or joined ends otherwise than by calling a handler."""
        spec = self.driver.graph.steps[thread.claim.position]
        if spec.join and not thread.timed_out:
            self._end(thread, t.Completed)
        elif spec.checks and not (thread.claim.opened or thread.claim.undo or thread.begun):
            self._checking(thread)[-1]()
        else:
            return False
        return True
