"""Rows of a saga as values that can be compared and hashed, and the real `decide` over them.

Times are three: none, come, and still to come. What only counts or tells (revision, errors, times of the past) is left
out, so that rows which no decision can tell apart are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import NamedTuple
from uuid import UUID

from sagas.core import triggers as t
from sagas.core.claims import Claim, Offer, TokenBook
from sagas.core.decide import Desk, decide
from sagas.core.graph import Graph
from sagas.core.readiness import next_look, open_steps
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import TERMINAL, Hold, SagaState, StepStatus, Wait
from tests.core.build import SAGA, handlers

from .state import Violation

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
WORKER = UUID(int=100)


class FrozenStep(NamedTuple):
    """What decisions look at in a step."""

    status: StepStatus = StepStatus.PENDING
    round: int = 1
    attempt: int = 0
    undo_attempt: int = 0
    tries: int = 0
    undo_tries: int = 0
    doubt: bool = False
    claim: int = 0
    #: The token of a thread that must end first.
    stale: int = 0
    hold: Hold = Hold.NONE
    #: None, NOW (it has come) or LATER.
    due: datetime | None = None
    executed: bool = False
    opened: bool = False
    waits: Wait = Wait.NONE
    answer: str = ""


class Frozen(NamedTuple):
    """A saga."""

    state: SagaState
    rewind_to: int | None
    attention: bool
    steps: tuple[FrozenStep, ...]


class Answer(NamedTuple):
    """What one decision did."""

    rows: Frozen
    ignored: str
    claims: tuple[Claim, ...]
    errands: tuple[int, ...]


def token(step: FrozenStep, *, undo: bool) -> int:
    """The token of the next claim: every attempt has its own."""
    return step.round * 100 + undo * 10 + (step.undo_attempt if undo else step.attempt) + 1


@dataclass
class Table:
    """`decide` for one graph; each question is answered once."""

    graph: Graph
    rollback: bool = True
    id: UUID = SAGA
    parent: UUID | None = None
    parent_step: str = ""
    parent_round: int = 0

    def __post_init__(self) -> None:
        self.ask = cache(self._ask)

    def fresh(self) -> Frozen:
        """A saga that was just started."""
        return Frozen(SagaState.STARTED, None, False, (FrozenStep(),) * len(self.graph.steps))

    def thaw(self, rows: Frozen) -> tuple[SagaRow, list[StepRow]]:
        """The rows that the value stands for."""
        wake = None if rows.state in TERMINAL else NOW
        saga = SagaRow(self.id, self.graph, self.rollback, rows.state, 1, wake, NOW - timedelta(hours=1))
        saga.rewind_to = rows.rewind_to
        saga.parent, saga.parent_step, saga.parent_round = self.parent, self.parent_step, self.parent_round
        return saga, [_thaw(position, step) for position, step in enumerate(rows.steps)]

    def _ask(self, rows: Frozen, trigger: t.Trigger, slots: int = 0, now: datetime = NOW) -> Answer:
        saga, steps = self.thaw(rows)
        desk = None
        if slots:
            undo = rows.state is SagaState.COMPENSATING
            tokens = {position: token(step, undo=undo) for position, step in enumerate(rows.steps)}
            offer = Offer(WORKER, handlers(self.graph), lambda: 0, slots=slots, action_slots=slots)
            desk = Desk(offer, offer.budget(), TokenBook(tokens))
        decision = decide(saga, steps, trigger, now, desk)
        _check_wake(decision.saga, decision.steps, now)
        after = Frozen(
            decision.saga.state,
            decision.saga.rewind_to,
            bool(decision.saga.attention),
            tuple(_freeze(step, now) for step in decision.steps),
        )
        return Answer(after, decision.ignored, tuple(decision.claims), tuple(decision.errands))


def _thaw(position: int, step: FrozenStep) -> StepRow:
    row = StepRow(
        position, step.status, step.round, step.attempt, step.undo_attempt, step.tries, step.undo_tries, step.doubt
    )
    if step.claim:
        row.claim_worker, row.claim_token, row.claimed_at = WORKER, step.claim, NOW
    if step.stale:
        row.stale_worker, row.stale_token = WORKER, step.stale
    row.hold, row.due_at, row.opened, row.waits, row.answer = (
        step.hold, step.due, step.opened, step.waits, step.answer,
    )  # fmt: skip
    row.executed_at = NOW if step.executed else None
    return row


def _freeze(row: StepRow, now: datetime) -> FrozenStep:
    due = None if row.due_at is None else NOW if row.due_at <= now else LATER
    return FrozenStep(
        row.status, row.round, row.attempt, row.undo_attempt, row.tries, row.undo_tries, row.doubt,
        row.claim_token or 0, row.stale_token or 0, row.hold, due, row.executed_at is not None, row.opened,
        row.waits, row.answer,
    )  # fmt: skip


def _check_wake(saga: SagaRow, steps: list[StepRow], now: datetime) -> None:
    """I1: a living saga is looked at, and not later than it is needed."""
    if saga.state in TERMINAL:
        if saga.wake_at is not None:
            raise Violation("I1 an ended saga is still looked at")
    elif saga.wake_at is None or saga.wake_at > next_look(saga, steps, open_steps(saga, steps), now):
        raise Violation("I1 a living saga is looked at too late")
