"""Every state that a small saga can reach, by every trigger: no decision leaves the tables of edges, and every edge of
the tables is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple

import pytest

from sagas.core import triggers as t
from sagas.core.claims import Offer, TokenBook
from sagas.core.decide import Decision, Desk, decide
from sagas.core.draft import Draft
from sagas.core.errors import InvariantError, TransitionNotAllowedError
from sagas.core.graph import Graph, Policy
from sagas.core.plan import compensation_plan
from sagas.core.readiness import next_look, open_steps
from sagas.core.retry import RetryPolicy
from sagas.core.rows import SagaRow, StepRow, fresh_steps
from sagas.core.states import SAGA_EDGES, STEP_EDGES, TERMINAL, Cause, SagaState, StepStatus

from .build import ANNA, EPOCH, SAGA, child, gate, handlers, line, side_by_side, spec

TWICE: dict[str, Any] = {"retry": RetryPolicy(2, jitter=False), "undo_retry": RetryPolicy(2, jitter=False)}
ONCE: dict[str, Any] = {"retry": RetryPolicy(1), "undo_retry": RetryPolicy(1)}


class Case(NamedTuple):
    """A graph to explore, and how far."""

    graph: Graph
    rollback: bool = True
    #: Crashes of one step.
    crashes: int = 1
    #: How many steps a look may claim.
    slots: tuple[int, ...] = (1,)
    rounds: int = 2
    #: Stale sagas, missing handlers, late effects.
    flags: bool = True
    #: What else may come: what operators ask for, answers, signals, what attempts of some steps report.
    more: tuple[type, ...] = ()


def steered(graph: Graph, *more: type, rollback: bool = True, crashes: int = 0, rounds: int = 1) -> Case:
    """A graph to explore with some triggers more, and fewer of the others: together they are too many."""
    return Case(graph, rollback, crashes, rounds=rounds, flags=False, more=more)


CASES = {
    "one": Case(line(1, **TWICE), crashes=5),
    "one, not rolled back": Case(line(1, **TWICE), rollback=False, crashes=5),
    "one, atomic": Case(line(1, **TWICE, atomic=True)),
    "one, atomic, not rolled back": Case(line(1, **TWICE, atomic=True), rollback=False),
    "one, not to be undone": Case(line(1, **TWICE, no_compensation="reads only")),
    "two in a line": Case(line(2, **ONCE)),
    "two in a line, not rolled back": Case(line(2, **ONCE), rollback=False),
    "two side by side": Case(side_by_side(2, **ONCE), slots=(2,), crashes=0, flags=False),
    "two side by side, not rolled back": Case(
        side_by_side(2, **ONCE), rollback=False, crashes=0, rounds=1, flags=False
    ),
    "three in a line": Case(line(3, **ONCE), crashes=0),
    "one, steered": steered(line(1, **ONCE), t.Skip, t.Resolve, t.Assign),
    "one, at its pace": steered(line(1, **TWICE), t.Pause, t.Resume, t.RunNow, t.Cancel, t.Edit),
    "one, gone back to": steered(line(1, **ONCE), t.Rewind, t.Skip, t.Edit),
    "one, not rolled back, steered": steered(line(1, **ONCE), t.Resolve, t.Edit, t.Rewind, rollback=False),
    "one, not to be undone, gone back to": steered(line(1, no_compensation="reads only", **ONCE), t.Rewind),
    "two in a line, gone back to": steered(line(2, **ONCE), t.Rewind, rounds=2),
    "two in a line, steered": steered(line(2, **ONCE), t.Skip, t.Resolve),
    "a signal": steered(Graph([gate("a", wait_for="paid", wait_timeout=5.0)]), t.Signal, t.Skip, t.Cancel),
    "a signal that may come early": steered(Graph([spec("a", **ONCE), gate("b", 0, wait_for="paid")]), t.Signal),
    "a timer before an action": steered(Graph([spec("a", delay=5.0, **ONCE)]), t.RunNow, t.Pause, t.Resume),
    "a timer alone": steered(Graph([gate("a", delay=5.0), spec("b", 0, **ONCE)]), t.RunNow, rollback=False),
    "approved, then done": steered(
        Graph([spec("a", approval=True, wait_timeout=5.0, on_timeout="attention", **ONCE)]), t.Approve, t.Deny, t.Cancel
    ),
    "an approval alone": steered(
        Graph([gate("a", approval=True, wait_timeout=5.0, on_timeout="retry"), spec("b", **ONCE)]),
        t.Approve, t.Deny, rollback=False,
    ),
    "a condition": steered(Graph([spec("a", when="x", **ONCE), spec("b", 0, **ONCE)]), crashes=1),
    "a condition and a gate": steered(
        Graph([spec("a", when="x", approval=True, **ONCE)]), t.Approve, t.Cancel, crashes=1
    ),
    "one per element": steered(Graph([spec("a", for_each="x", **ONCE)])),
    "an answer": steered(line(1, wait_timeout=5.0, **ONCE), t.Waits, t.Answer, t.Skip),
    "an answer, in doubt": steered(line(1, wait_timeout=5.0, **TWICE), t.Waits, t.Answer),
    "an answer, asked for again": steered(line(1, wait_timeout=5.0, on_timeout="retry", **TWICE), t.Waits, t.Answer),
    "an answer, a person looks": steered(
        line(1, wait_timeout=5.0, on_timeout="attention", **ONCE), t.Waits, t.Answer, t.Resolve
    ),
    "an answer, not rolled back": steered(line(1, **ONCE), t.Waits, t.Answer, rollback=False),
    "once at most": steered(line(1, at_most_once=True, **TWICE), t.Resolve, crashes=1),
    "once at most, probed": steered(line(1, at_most_once=True, probe="p", **TWICE), t.Absent, crashes=1),
    "a point of no return": steered(
        Graph([spec("a", **ONCE), spec("b", 0, pivot=True, **ONCE), spec("c", 1, **ONCE)]), t.Skip, t.Rewind
    ),
    "undone with approval, one by one": steered(
        Graph([spec("a", approve_undo=2, **ONCE), spec("b", **ONCE)], Policy(serial_undo=True)), t.Approve, t.Skip
    ),
    "a child saga": steered(Graph([child("a", **ONCE)]), t.ChildStarted, t.ChildEnded, t.Skip, t.Resolve, crashes=1),
    "a child saga, gone back to": steered(
        Graph([spec("a", **ONCE), child("b", 0, **ONCE)]), t.ChildStarted, t.ChildEnded, t.Rewind, rounds=2
    ),
    "child sagas side by side, not rolled back": steered(
        Graph([child("a", **ONCE), child("b", **ONCE)]), t.ChildStarted, t.ChildEnded, rollback=False
    ),
    "a child saga, paused, undone with approval": steered(
        Graph([child("a", approve_undo=1, **ONCE)], Policy(serial_undo=True)),
        t.ChildStarted, t.ChildEnded, t.Pause, t.Resume, t.Approve, t.Assign,
    ),
    "undone by its parent": steered(line(2, **ONCE), t.ParentUndoes, rollback=False),
    "behind its point of no return, by its parent": steered(
        Graph([spec("a", **ONCE), spec("b", 0, pivot=True, **ONCE)]), t.ParentUndoes, t.Rewind
    ),
    "it stops after the first": steered(
        Graph([spec("a", pause_after=True, **ONCE), spec("b", 0, **ONCE)]), t.Resume, t.Skip
    ),
}  # fmt: skip


class Explorer:
    """Breadth first over the rows; those that differ in times, tokens and numbers of attempts are the same."""

    def __init__(self, case: Case) -> None:
        self.case = case
        #: Of the saga that is looked at: a fan-out adds steps.
        self.graph = case.graph
        self.states = 0

    def run(self) -> None:
        """All of them."""
        start = (SagaRow(SAGA, self.case.graph, self.case.rollback, SagaState.STARTED, 1, EPOCH, EPOCH), self._fresh())
        known = {_key(*start)}
        queue = deque([start])
        while queue:
            saga, steps = queue.popleft()
            self.states += 1
            compensation_plan(saga, steps)  # it can be worked out for every state
            for decision in self._decisions(saga, steps):
                key = _key(decision.saga, decision.steps)
                if key not in known:
                    known.add(key)
                    queue.append((decision.saga, decision.steps))

    def _fresh(self) -> list[StepRow]:
        return fresh_steps(self.case.graph)

    def _decisions(self, saga: SagaRow, steps: list[StepRow]) -> Iterator[Decision]:
        # Every wait is over.
        now = EPOCH + timedelta(hours=saga.revision)
        self.graph = saga.graph
        for trigger, slots in self._triggers(steps):
            desk = None
            if slots:
                offer = Offer(ANNA, handlers(self.case.graph), count(1).__next__, None, slots, slots, slots)
                desk = Desk(offer, offer.budget(), TokenBook())
            try:
                decision = decide(saga, steps, trigger, now, desk)
            except TransitionNotAllowedError:
                continue
            _check_wake(decision, now)
            if all(step.round <= self.case.rounds for step in decision.steps):
                yield decision

    def _triggers(self, steps: list[StepRow]) -> Iterator[tuple[t.Trigger, int]]:
        yield from ((t.Look(), slots) for slots in self.case.slots)
        yield from ((trigger, 0) for trigger in (t.Compensate(), t.Retry()))
        yield from ((trigger, 0) for trigger in self._more(steps) if type(trigger) in self.case.more)
        if self.case.flags:
            yield t.FlagStale(), 0
            yield from ((t.NoHandler(step.position), 0) for step in steps)
            yield from ((t.Completed(step.position, ANNA, 99), 0) for step in steps)
        for step in steps:
            if step.claim_token is not None:
                yield from ((trigger, 0) for trigger in _endings(step, step.claim_token) if self._may(trigger, step))
            if step.stale_token is not None:
                yield t.ThreadEnded(step.position, ANNA, step.stale_token), 0
        if any(step.claimed for step in steps) and all(step.crashes < self.case.crashes for step in steps):
            yield t.WorkerLost(ANNA), 0

    def _may(self, trigger: t.Trigger, step: StepRow) -> bool:
        spec = self.graph.steps[step.position]
        conditional = spec.checks and not step.opened
        if isinstance(trigger, (t.Checked, t.PassedOver, t.OpenedOut)):
            opens = isinstance(trigger, t.OpenedOut) == bool(spec.for_each) or isinstance(trigger, t.PassedOver)
            return conditional and step.status is StepStatus.RUNNING and opens
        if conditional and isinstance(trigger, t.Completed):
            return step.status is StepStatus.COMPENSATING
        if isinstance(trigger, t.ChildStarted):
            return bool(spec.saga) and not conditional
        if isinstance(trigger, (t.Waits, t.Absent)):
            return type(trigger) in self.case.more
        rare = isinstance(trigger, (t.HandedBack, t.Unrecorded, t.NoCode)) or getattr(trigger, "thread_alive", False)
        return self.case.flags or not self.case.more or not rare

    def _more(self, steps: list[StepRow]) -> Iterator[t.Trigger]:
        yield from (t.Pause(), t.Resume(), t.Cancel(), t.RunNow(), t.Restart())
        yield from (t.Signal(name, digest) for name in self.case.graph.signals for digest in ("yes", "no"))
        yield t.ParentUndoes("cancel", "why")
        for name, step in zip(self.graph.names, steps, strict=True):
            for state in (SagaState.COMPLETED, SagaState.COMPENSATED, SagaState.FAILED):
                yield from (t.ChildEnded(name, step.round, state, "no", "", refused) for refused in (True, False))
        for step in steps:
            at = step.position
            yield from (kind("op", "why", None, at) for kind in (t.Edit, t.Skip, t.Deny, t.Rewind))
            yield from (t.Approve(actor, "why", None, at) for actor in ("anna", "bert"))
            yield from (t.Resolve("op", "why", None, at, done) for done in (True, False))
            yield from (t.Assign("op", "why", None, at, "anna", when) for when in (None, EPOCH))
            undo = step.status is StepStatus.COMPENSATING
            attempt = step.undo_attempt if undo else step.attempt
            yield from (t.Answer(at, step.round, attempt, undo, ok, f"{undo}:{ok}") for ok in (True, False))
            yield t.Answer(at, step.round, 0, False, True, "late")


def _endings(step: StepRow, token: int) -> Iterator[t.Trigger]:
    at = (step.position, ANNA, token, step.status is StepStatus.COMPENSATING)
    yield t.Completed(*at)
    yield t.Rejected(*at, "no")
    yield t.InDoubt(*at)
    yield t.InDoubt(*at, thread_alive=True)
    yield t.NoEffect(*at)
    yield t.HandedBack(*at)
    yield t.Unrecorded(*at)
    yield t.NoCode(*at)
    yield t.Waits(*at)
    yield t.Waits(*at, timeout=timedelta(hours=1))
    yield t.Absent(*at)
    yield from (t.ChildStarted(*at, look=look) for look in (True, False))
    yield t.PassedOver(*at)
    yield t.Checked(*at)
    yield from (t.OpenedOut(*at, count=count) for count in (0, 1))
    yield t.WorkerLost(ANNA, token)


def _key(saga: SagaRow, steps: list[StepRow]) -> tuple[Any, ...]:
    return (
        saga.state,
        saga.stale_since is not None,
        saga.paused_at is not None,
        saga.rewind_to,
        tuple(
            (
                step.status,
                step.round,
                step.tries,
                step.undo_tries,
                step.doubt,
                step.claimed,
                step.stale_token is not None,
                step.hold,
                step.due_at is not None,
                step.waits,
                step.opened,
                step.answer,
                step.approved_by,
                min(step.crashes, 5),
            )
            for step in steps
        ),
    )


def _check_wake(decision: Decision, now: Any) -> None:
    saga = decision.saga
    assert (saga.wake_at is None) == (saga.state in TERMINAL)
    if saga.wake_at is not None:
        assert saga.wake_at <= next_look(saga, decision.steps, open_steps(saga, decision.steps), now)


Edge = tuple[Any, Any, Any]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> set[Edge]:
    """The edges along which anything moves."""
    found: set[Edge] = set()
    move, move_saga = Draft.move, Draft.move_saga

    def step_moves(draft: Draft, position: int, cause: Any, to: Any) -> StepRow:
        found.add((draft.steps[position].status, cause, to))
        return move(draft, position, cause, to)

    def saga_moves(draft: Draft, cause: Any, to: Any) -> None:
        found.add((draft.saga.state, cause, to))
        move_saga(draft, cause, to)

    monkeypatch.setattr(Draft, "move", step_moves)
    monkeypatch.setattr(Draft, "move_saga", saga_moves)
    return found


def edges(table: dict[Any, Any]) -> set[Edge]:
    return {(before, cause, after) for (before, cause), afters in table.items() for after in afters}


@pytest.mark.timeout(600)
def test_reachable__every_edge_is_used_and_no_other(seen: set[Edge]):
    for name, case in CASES.items():
        explorer = Explorer(case)
        explorer.run()
        assert explorer.states > 5, name

    assert seen == edges(STEP_EDGES) | edges(SAGA_EDGES)


def test_draft__refuses_to_leave_the_tables():
    """What keeps a wrong rule from being written to the rows."""
    saga = SagaRow(SAGA, line(1), True, SagaState.STARTED, 1, EPOCH, EPOCH)
    draft = Draft(saga, fresh_steps(line(1)), EPOCH)

    with pytest.raises(InvariantError, match="no edge for a step from pending by completed to completed") as broken:
        draft.move(0, Cause.COMPLETED, StepStatus.COMPLETED)
    with pytest.raises(InvariantError, match="no edge for a saga from started by retry to started"):
        draft.move_saga(Cause.RETRY, SagaState.STARTED)

    assert broken.value.details == {"saga_id": SAGA}
    assert (draft.saga.state, draft.steps[0].status) == (SagaState.STARTED, StepStatus.PENDING)


def test_reachable__no_status_is_without_an_edge():
    used = {status for edge in edges(STEP_EDGES) for status in (edge[0], edge[2])}

    assert set(StepStatus) == used
