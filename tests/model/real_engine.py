"""The real `decide` behind the interface of the model's engine: the same world, the same faults, our own code.

Rows are rebuilt from a small value that can be hashed and back, so that all states can be told apart; times stand
still and every wait is over at once. What one decision does is remembered: few rows, many schedules.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sagas.core import triggers as t
from sagas.core.claims import Offer, TokenBook
from sagas.core.decide import Desk, decide
from sagas.core.errors import TransitionNotAllowedError
from sagas.core.graph import Graph
from sagas.core.readiness import next_look, open_steps
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import TERMINAL, Hold, SagaState, StepStatus

from .state import CLAIMED, CURRENT, FRESH, NONE, STALE, Book, State, Thread, Violation

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SAGA = UUID(int=1)
WORKER = (UUID(int=100), UUID(int=101))
#: The token by which the thread of a timed-out attempt is known in the rows.
_THREAD = 7

_SAGA_LETTERS = {
    SagaState.STARTED: "S",
    SagaState.COMPENSATING: "R",
    SagaState.COMPLETED: "C",
    SagaState.COMPENSATED: "D",
    SagaState.FAILED: "F",
}
_STEP_LETTERS = {
    StepStatus.PENDING: "p",
    StepStatus.RUNNING: "r",
    StepStatus.COMPLETED: "c",
    StepStatus.FAILED: "f",
    StepStatus.UNKNOWN: "u",
    StepStatus.CANCELLED: "x",
    StepStatus.COMPENSATING: "g",
    StepStatus.COMPENSATED: "G",
    StepStatus.COMPENSATION_FAILED: "B",
}
_FORWARD = (StepStatus.PENDING, StepStatus.RUNNING)
#: An unknown step may be opened again: its doubt must come along.
_DOUBTED = (*_FORWARD, StepStatus.UNKNOWN)


class RealStep(NamedTuple):
    """A step's row, as far as `decide` looks at it. Letters as in the model; w: its undo waits for its next attempt."""

    status: str
    token: int
    owner: int
    #: Which worker has a timed-out thread of it.
    stale: int
    row: StepStatus
    doubt: bool = False
    tries: int = 0
    undo_tries: int = 0
    hold: Hold = Hold.NONE

    def normal(self) -> RealStep:
        """Without what no decision will look at any more."""
        return self._replace(
            token=CURRENT if self.token else STALE,
            doubt=self.doubt and self.row in _DOUBTED,
            tries=self.tries if self.row in _FORWARD else 0,
        )

    def swapped(self) -> RealStep:
        """The same with the workers' names exchanged."""
        return self._replace(owner=_other(self.owner), stale=_other(self.stale))


def _other(worker: int) -> int:
    return worker if worker < 0 else 1 - worker


class Answer(NamedTuple):
    """What one decision did."""

    book: Book
    ignored: str
    claims: tuple[Thread, ...]


class RealEngine:
    """`decide` for one graph."""

    def __init__(self, graph: Graph, *, rollback: bool = True) -> None:
        self.graph = graph
        self.rollback = rollback
        self.needs = tuple(spec.depends_on for spec in graph.steps)
        self._handlers = frozenset(name for spec in graph.steps for name in (spec.action, spec.compensation))
        self._ask = cache(self._decide)

    def start(self) -> Book:
        """A saga that was just started."""
        fresh = RealStep("p", STALE, -1, -1, StepStatus.PENDING)
        return Book("S", 0, (fresh,) * len(self.graph.steps))

    # -- rows and back ------------------------------------------------------------------------------------------

    def rows(self, book: Book) -> tuple[SagaRow, list[StepRow]]:
        """The rows that the value stands for."""
        state = next(state for state, letter in _SAGA_LETTERS.items() if letter == book.saga)
        wake = None if state in TERMINAL else NOW
        saga = SagaRow(SAGA, self.graph, self.rollback, state, 1, wake, NOW - timedelta(hours=1))
        return saga, [_row(position, step) for position, step in enumerate(book.steps)]

    def _decide(self, book: Book, trigger: Any, worker: int, tokens: tuple[tuple[int, int], ...]) -> Answer:
        """`worker` < 0: nobody who could claim anything asks."""
        saga, steps = self.rows(book)
        desk = None
        if worker >= 0:
            offer = Offer(WORKER[worker], self._handlers, lambda: FRESH)
            desk = Desk(offer, offer.budget(), TokenBook(dict(tokens)))
        decision = decide(saga, steps, trigger, NOW, desk)
        _check_wake(decision.saga, decision.steps)
        after = Book(
            _SAGA_LETTERS[decision.saga.state],
            int(bool(decision.saga.attention)),
            tuple(_value(step) for step in decision.steps),
        )
        claims = tuple(
            Thread(claim.position, "u" if claim.undo else "d", claim.token, CLAIMED) for claim in decision.claims
        )
        return Answer(after, decision.ignored, claims)

    # -- what the world asks ------------------------------------------------------------------------------------

    def ready(self, state: State) -> tuple[int, str] | None:
        """What a worker with one free slot would be given."""
        claims = self._ask(state.book, t.Look(), 0, ()).claims
        return (claims[0].step, claims[0].phase) if claims else None

    def take(self, state: State, worker: int, token: int = FRESH) -> tuple[State, Thread]:
        """A look by the worker."""
        answer = self._ask(state.book, t.Look(), worker, ())
        return state._replace(book=answer.book), answer.claims[0]

    def submit(self, state: State, worker: int, thread: Thread, outcome: str) -> tuple[State, bool, Thread | tuple[()]]:
        """A result, with the token book of its first submission: what the worker holds but for the attempt itself."""
        key = (thread.step, WORKER[worker], thread.token, thread.phase == "u")
        if outcome == "doubt":
            answer = self._ask(state.book, t.InDoubt(*key, thread_alive=True), -1, ())
        elif outcome == "unstarted":
            answer = self._ask(state.book, t.HandedBack(*key), -1, ())
        else:
            trigger = t.Completed(*key) if outcome == "ok" else t.Rejected(*key, "no", "no")
            answer = self._ask(state.book, trigger, worker, _held(state.book, worker, thread))
        state = state._replace(book=answer.book)
        return state, not answer.ignored, answer.claims[0] if answer.claims else NONE

    def thread_ended(self, state: State, worker: int, thread: Thread) -> State:
        """The worker says so."""
        trigger = t.ThreadEnded(thread.step, WORKER[worker], _THREAD, thread.phase == "u")
        return state._replace(book=self._ask(state.book, trigger, -1, ()).book)

    def names(self, state: State, worker: int) -> bool:
        """In a claim, or because its old thread is waited for."""
        return any(worker in (step.owner if step.token else -1, step.stale) for step in state.book.steps)

    def lose(self, state: State, worker: int) -> State:
        """Take over."""
        return state._replace(book=self._ask(state.book, t.WorkerLost(WORKER[worker]), -1, ()).book)

    def compensate(self, state: State) -> State | None:
        """As an operator."""
        return self._operate(state, t.Compensate("op"))

    def retry(self, state: State) -> State | None:
        """As an operator."""
        return self._operate(state, t.Retry("op"))

    def skip(self, state: State) -> State | None:
        """Not in this version."""
        return None

    def _operate(self, state: State, trigger: t.OperatorTrigger) -> State | None:
        try:
            answer = self._ask(state.book, trigger, -1, ())
        except TransitionNotAllowedError:
            return None
        return None if answer.ignored else state._replace(book=answer.book)


def _row(position: int, step: RealStep) -> StepRow:
    row = StepRow(position, step.row, doubt=step.doubt, tries=step.tries, undo_tries=step.undo_tries, hold=step.hold)
    if step.token:
        row.claim_worker, row.claim_token, row.claimed_at = WORKER[step.owner], step.token, NOW
    if step.stale >= 0:
        row.stale_worker, row.stale_token = WORKER[step.stale], _THREAD
    if (step.status == "p" and step.tries) or step.status == "w":
        row.due_at = NOW
    return row


def _value(row: StepRow) -> RealStep:
    letter = _STEP_LETTERS[row.status]
    return RealStep(
        "w" if letter == "g" and not row.claimed else letter,
        row.claim_token or STALE,
        WORKER.index(row.claim_worker) if row.claim_worker else -1,
        WORKER.index(row.stale_worker) if row.stale_worker else -1,
        row.status,
        row.doubt,
        row.tries,
        row.undo_tries,
        row.hold,
    )


def _held(book: Book, worker: int, thread: Thread) -> tuple[tuple[int, int], ...]:
    return tuple(
        (position, step.token)
        for position, step in enumerate(book.steps)
        if step.owner == worker and step.token and (position, step.token) != (thread.step, thread.token)
    )


def _check_wake(saga: SagaRow, steps: list[StepRow]) -> None:
    """I1: a living saga is looked at, and not later than it is needed."""
    if saga.state in TERMINAL:
        if saga.wake_at is not None:
            raise Violation("I1 an ended saga is still looked at")
    elif saga.wake_at is None or saga.wake_at > next_look(saga, steps, open_steps(saga, steps), NOW):
        raise Violation("I1 a living saga is looked at too late")
