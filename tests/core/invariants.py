"""What must hold after every decision (I2, I5 to I8, I10 to I12), checked against what was there before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sagas.core import triggers as t
from sagas.core.attempts import MAX_CRASHES
from sagas.core.audit import audit
from sagas.core.decide import Decision
from sagas.core.readiness import next_look, open_steps
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import (
    EXECUTED,
    PASSED,
    RESOLVED,
    SAGA_EDGES,
    STEP_EDGES,
    TERMINAL,
    Cause,
    Hold,
    SagaState,
    StepStatus,
)

from .build import Driver

#: Statuses that say "surely no effect".
SURE = (StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.SKIPPED)
#: Statuses to which a doubtful or completed action leads when the rollback is through.
SETTLED_UNDO = (StepStatus.COMPENSATED, StepStatus.COMPENSATION_SKIPPED)


class Watch:
    """Follows one saga."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        #: How often each (step, round) was undone.
        self.undone: Counter[tuple[int, int]] = Counter()
        #: (step, round) with an attempt in doubt, or done: not undone since.
        self.doubtful: set[tuple[int, int]] = set()
        self.executed: set[tuple[int, int]] = set()
        #: Causes seen on edges, for tests of coverage.
        self.edges: set[tuple[StepStatus, StepStatus]] = set()

    def decided(self, trigger: t.Trigger, saga: SagaRow, steps: Sequence[StepRow], decision: Decision) -> None:
        """After one decision on `saga` and `steps`."""
        self._check_history(saga, decision)
        self._check_wake(decision)
        self._check_derived(decision)
        self._check_terminal(trigger, saga, steps, decision)
        if isinstance(trigger, t.AttemptTrigger):
            self._check_fence(trigger, steps, decision)
            self._note_doubt(trigger, steps, decision)
        if isinstance(trigger, t.WorkerLost):
            self._note_loss(trigger, steps)
        added = [StepRow(place) for place in range(len(steps), len(decision.steps))]
        assert not added or isinstance(trigger, t.OpenedOut)
        for old, new in zip([*steps, *added], decision.steps, strict=True):
            self._check_step(old, new, decision, trigger)
        self._check_complete(decision)

    def again(self, trigger: t.Trigger, before: tuple[SagaRow, list[StepRow]], decision: Decision) -> None:
        """The same submission a second time: nothing changes."""
        if isinstance(trigger, t.AttemptTrigger) and not isinstance(trigger, t.Prepared):
            assert decision.ignored
        if not isinstance(trigger, t.Look):
            assert (decision.saga, decision.steps) == before
        # A look also brings steps before their gates, and does what a time that has come meanwhile asks for.
        timed = decision.entry is not None and decision.entry.kind == "timer"
        assert decision.steps == before[1] or timed or any(step.waits for step in decision.steps)

    # -- the whole ----------------------------------------------------------------------------------------------

    def _check_history(self, before: SagaRow, decision: Decision) -> None:
        """I2: contiguous, one entry per change, and it tells of the very rows."""
        grown = decision.saga.revision - before.revision
        assert grown == (1 if decision.entry else 0)
        assert bool(decision.entry) == decision.moved
        if decision.entry is not None:
            assert decision.entry.seq == decision.saga.revision
            assert decision.saga.updated_at == self._driver.now
        told, steps = self._driver.folded()
        told.wake_at = decision.saga.wake_at
        assert (told, steps) == (decision.saga, decision.steps)
        assert audit(decision.saga, decision.steps, self._driver.history) == []

    def _check_wake(self, decision: Decision) -> None:
        """I1: alive means looked at, and never later than needed."""
        saga = decision.saga
        if saga.state in TERMINAL:
            assert saga.wake_at is None
            return
        assert saga.wake_at is not None
        assert saga.wake_at <= next_look(saga, decision.steps, open_steps(saga, decision.steps), self._driver.now)

    def _check_derived(self, decision: Decision) -> None:
        holds = {step.hold for step in decision.steps if step.hold}
        alone = "deadline" if decision.saga.overdue_at and decision.saga.state not in TERMINAL else Hold.NONE
        assert (decision.saga.attention in holds) if holds else decision.saga.attention == alone
        assert (decision.saga.completed_at is None) == (decision.saga.state not in TERMINAL)
        if decision.saga.state in TERMINAL:
            assert not any(step.claimed for step in decision.steps)

    def _check_terminal(
        self, trigger: t.Trigger, before: SagaRow, steps: Sequence[StepRow], decision: Decision
    ) -> None:
        """I12: final, but for a person. A note that a person must look, and the end of an old thread, are no change."""
        if before.state != decision.saga.state:
            # By one edge, or two: a rollback that is over at once, or a saga that goes forward again and fails.
            after = _next_states(before.state)
            assert decision.saga.state in after | {last for state in after for last in _next_states(state)}
        if before.state not in TERMINAL or isinstance(trigger, t.OperatorTrigger):
            return
        assert decision.saga.state is before.state
        assert [step.status for step in decision.steps] == [step.status for step in steps]

    def _check_complete(self, decision: Decision) -> None:
        """I8: compensated means that all that was executed is undone; completed, that all is done."""
        graph = self._driver.graph
        if decision.saga.state is SagaState.COMPLETED:
            assert all(step.status in PASSED for step in decision.steps)
        if decision.saga.state is not SagaState.COMPENSATED:
            return
        for step in decision.steps:
            if graph.steps[step.position].compensation:
                assert step.status in RESOLVED
                assert (step.position, step.round) not in self.executed | self.doubtful
            else:
                assert step.status in RESOLVED | EXECUTED

    # -- the trigger --------------------------------------------------------------------------------------------

    def _check_fence(self, trigger: t.AttemptTrigger, steps: Sequence[StepRow], decision: Decision) -> None:
        """I11: without the current claim nothing changes, but that a person may be asked for."""
        step = steps[trigger.position]
        if isinstance(trigger, t.ThreadEnded):
            current = (step.stale_worker, step.stale_token) == (trigger.worker, trigger.token)
        else:
            current = (step.claim_worker, step.claim_token) == (trigger.worker, trigger.token)
        assert bool(decision.ignored) == (not current)
        if current:
            return
        assert decision.claims == []
        for old, new in zip(steps, decision.steps, strict=True):
            if new != old:
                new = new.copy()
                if new.hold is not old.hold:
                    assert new.hold is Hold.LATE_EFFECT
                    assert isinstance(trigger, t.Completed)
                if (old.answer or not old.attempt) and (old.stale_worker, old.stale_token) == (
                    trigger.worker,
                    trigger.token,
                ):
                    # An answer was faster than its thread, which is gone now.
                    new.stale_worker, new.stale_token = old.stale_worker, old.stale_token
                new.hold, new.held_since = old.hold, old.held_since
                assert new == old

    def _note_doubt(self, trigger: t.AttemptTrigger, steps: Sequence[StepRow], decision: Decision) -> None:
        if decision.ignored or isinstance(trigger, t.ThreadEnded):
            return
        step = steps[trigger.position]
        called = step.opened or not self._driver.graph.steps[step.position].checks
        if step.status is StepStatus.RUNNING and called and isinstance(trigger, (t.InDoubt, t.Unrecorded)):
            self.doubtful.add((step.position, step.round))

    def _note_loss(self, trigger: t.WorkerLost, steps: Sequence[StepRow]) -> None:
        for step in steps:
            spec = self._driver.graph.steps[step.position]
            called = (step.opened or not spec.checks) and not spec.atomic
            if step.claim_worker == trigger.worker and step.status is StepStatus.RUNNING and called:
                self.doubtful.add((step.position, step.round))

    # -- one step -----------------------------------------------------------------------------------------------

    def _check_step(self, old: StepRow, new: StepRow, decision: Decision, trigger: t.Trigger) -> None:
        key = (new.position, new.round)
        assert new.round in (old.round, old.round + 1)
        assert new.claimed == (new.claim_token is not None) == (new.claimed_at is not None)
        assert not new.claimed or new.status in (StepStatus.RUNNING, StepStatus.COMPENSATING)
        assert new.claimed or new.status is not StepStatus.RUNNING
        assert (new.stale_worker is None) == (new.stale_token is None)
        assert new.crashes <= MAX_CRASHES + (new.undo_attempt > 0)
        assert (new.status is StepStatus.COMPENSATION_FAILED) == (new.hold is Hold.DEBT)
        if old.status is not new.status:
            if new.round == old.round:  # else undone, opened anew and claimed in one decision
                self._check_edge(old, new)
            self._note_status(key, new)
        if isinstance(trigger, t.Resolve):
            self.doubtful.discard(key)  # a person has found out
        if key in self.doubtful:
            assert new.status not in SURE, "I10: doubt is never no"
        if new.claimed and new.claim_token != old.claim_token:
            self._check_claim(new, decision)

    def _check_edge(self, old: StepRow, new: StepRow) -> None:
        self.edges.add((old.status, new.status))
        direct = _follows(old.status, new.status)
        # One decision may end an attempt and claim the next one.
        assert direct or any(_follows(old.status, middle) and _follows(middle, new.status) for middle in StepStatus), (
            f"{old.status} → {new.status}"
        )

    def _note_status(self, key: tuple[int, int], new: StepRow) -> None:
        if new.status is StepStatus.COMPLETED:
            self.executed.add(key)
            self.doubtful.discard(key)
        if new.status in SETTLED_UNDO:
            self.undone[key] += 1
            assert self.undone[key] == 1, "undone twice in one round"
            self.executed.discard(key)
            self.doubtful.discard(key)

    def _check_claim(self, step: StepRow, decision: Decision) -> None:
        graph, steps = self._driver.graph, decision.steps
        if step.status is StepStatus.RUNNING:
            assert decision.saga.state is SagaState.STARTED, "I6: no action is claimed in a rollback"
            for needed in graph.steps[step.position].depends_on:
                assert steps[needed].status in PASSED, "I5: forward order"
            return
        assert decision.saga.state is SagaState.COMPENSATING
        for later in _after(self._driver, step.position):
            kept = steps[later].status in EXECUTED and not graph.steps[later].compensation
            assert steps[later].status in RESOLVED or kept, "I7: reverse order"


def _follows(old: StepStatus, new: StepStatus) -> bool:
    return old is new or any(new in STEP_EDGES.get((old, cause), ()) for cause in Cause)


def _after(driver: Driver, position: int) -> set[int]:
    """Everything that waits for the step, directly or not."""
    return {later for later, before in enumerate(driver.graph.ancestors) if position in before}


def _next_states(state: SagaState) -> set[SagaState]:
    """Where one edge leads from a state."""
    return {after for cause in Cause for after in SAGA_EDGES.get((state, cause), ())}
