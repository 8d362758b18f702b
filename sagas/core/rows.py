"""The rows as the core sees them: what `decide` may look at and change. Payloads are not among it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from .graph import Graph
from .states import Hold, Lock, SagaState, StepStatus, Wait


@dataclass(slots=True)
class SagaRow:
    """One saga, without its payloads."""

    id: UUID
    graph: Graph
    #: Whether a failure is rolled back; otherwise the saga ends failed with nothing undone.
    rollback: bool
    state: SagaState
    #: +1 per transition; the seq of the history entry that records it.
    revision: int
    #: When the sweep must look at the latest. It may be early, never late; None when terminal.
    wake_at: datetime | None
    updated_at: datetime
    stale_since: datetime | None = None
    paused_at: datetime | None = None
    #: Why a person must look (a `Hold`); empty when nobody must.
    attention: str = ""
    error_code: str = ""
    error_message: str = ""
    completed_at: datetime | None = None
    #: It is to be done by then; None once that time has come and was acted on.
    deadline_at: datetime | None = None
    #: The deadline was missed, and a person must look.
    overdue_at: datetime | None = None
    #: While rolling back in part: the step (and what depends on it) that is undone and opened again.
    rewind_to: int | None = None
    #: The saga whose step has started this one, the name of that step, and its round.
    parent: UUID | None = None
    parent_step: str = ""
    parent_round: int = 0
    #: How many sagas are above it.
    depth: int = 0
    #: Its semantic lock: one living saga per key. It never changes; empty = it has none.
    lock_key: str = ""
    lock_state: Lock = Lock.NONE

    def copy(self) -> SagaRow:
        """A copy that may be changed."""
        return SagaRow(
            self.id,
            self.graph,
            self.rollback,
            self.state,
            self.revision,
            self.wake_at,
            self.updated_at,
            self.stale_since,
            self.paused_at,
            self.attention,
            self.error_code,
            self.error_message,
            self.completed_at,
            self.deadline_at,
            self.overdue_at,
            self.rewind_to,
            self.parent,
            self.parent_step,
            self.parent_round,
            self.depth,
            self.lock_key,
            self.lock_state,
        )


@dataclass(slots=True)
class StepRow:
    """One step, without its payloads."""

    position: int
    status: StepStatus = StepStatus.PENDING
    #: One opening of the step; the next one gets new idempotency keys.
    round: int = 1
    #: Attempts of the action claimed in this round.
    attempt: int = 0
    undo_attempt: int = 0
    #: Attempts spent of the current budget (of the action, of the compensation).
    tries: int = 0
    undo_tries: int = 0
    #: An attempt ended without an answer: the effect may be there. Only completed and compensated clear it.
    doubt: bool = False
    claim_worker: UUID | None = None
    claim_token: int | None = None
    claimed_at: datetime | None = None
    #: A timed-out attempt whose thread still runs, in this process: nothing else of the step starts before it ended.
    stale_worker: UUID | None = None
    stale_token: int | None = None
    hold: Hold = Hold.NONE
    #: Not before this time; None = at once.
    due_at: datetime | None = None
    #: Workers that died while running it, since a person last looked.
    crashes: int = 0
    error_code: str = ""
    error_message: str = ""
    started_at: datetime | None = None
    executed_at: datetime | None = None
    compensated_at: datetime | None = None
    #: When its compensation was first tried.
    undo_started_at: datetime | None = None
    #: Its condition holds and its gates are passed.
    opened: bool = False
    #: What it waits for, while waiting.
    waits: Wait = Wait.NONE
    #: A digest of the answer or signal that it has got: the same again is harmless.
    answer: str = ""
    #: Who has approved, separated by line feeds; empty when nobody has, or when that has been acted on.
    approved_by: str = ""
    #: Who looks after what a person is asked for.
    owner: str = ""
    #: Since when a person is asked for (see `ASKING`); follows from the hold, so no history tells it.
    held_since: datetime | None = None

    @property
    def claimed(self) -> bool:
        """Whether some worker holds a claim."""
        return self.claim_worker is not None

    def held_by(self, worker: UUID, token: int) -> bool:
        """Whether this very claim is the current one: the fence against results of lost claims."""
        return self.claim_token == token and self.claim_worker == worker

    def copy(self) -> StepRow:
        """A copy that may be changed."""
        return StepRow(
            self.position,
            self.status,
            self.round,
            self.attempt,
            self.undo_attempt,
            self.tries,
            self.undo_tries,
            self.doubt,
            self.claim_worker,
            self.claim_token,
            self.claimed_at,
            self.stale_worker,
            self.stale_token,
            self.hold,
            self.due_at,
            self.crashes,
            self.error_code,
            self.error_message,
            self.started_at,
            self.executed_at,
            self.compensated_at,
            self.undo_started_at,
            self.opened,
            self.waits,
            self.answer,
            self.approved_by,
            self.owner,
            self.held_since,
        )


def fresh_steps(graph: Graph) -> list[StepRow]:
    """The steps of a saga that has just been started."""
    return [StepRow(position) for position in range(len(graph.steps))]


def in_order(steps: Sequence[StepRow]) -> list[StepRow]:
    """The steps by position, as `decide` expects them."""
    return sorted(steps, key=lambda step: step.position)
