"""A saga being changed: copies of rows, made when first touched, whose every status change passes the edge table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from .errors import InvariantError
from .rows import SagaRow, StepRow
from .states import SAGA_EDGES, STEP_EDGES, Cause, Hold, SagaState, StepStatus


class Draft:
    """Working copies of one saga's rows; the originals stay as they were."""

    __slots__ = ("before", "kind", "later", "now", "original", "rounds", "saga", "steps", "touched")

    def __init__(self, saga: SagaRow, steps: Sequence[StepRow], now: datetime) -> None:
        self.before = saga
        self.original = steps
        self.saga = saga.copy()
        self.steps = list(steps)
        self.touched: set[int] = set()
        #: Steps that were undone and begin anew: what they have stored is out of date.
        self.rounds: set[int] = set()
        #: What the history entry is called, where the trigger does not say.
        self.kind = ""
        #: Ready steps that have to wait for their limits, and when to look at them again.
        self.later: dict[int, datetime] = {}
        self.now = now

    def step(self, position: int) -> StepRow:
        """The step's working copy."""
        if position not in self.touched:
            self.touched.add(position)
            self.steps[position] = self.steps[position].copy()
        return self.steps[position]

    def move(self, position: int, cause: Cause, to: StepStatus) -> StepRow:
        """Change a step's status along an edge of the table."""
        step = self.step(position)
        if to not in STEP_EDGES.get((step.status, cause), ()):
            raise InvariantError(f"no edge for a step from {step.status} by {cause} to {to}", saga_id=self.saga.id)
        step.status = to
        return step

    def move_saga(self, cause: Cause, to: SagaState) -> None:
        """Change the saga's state along an edge of the table."""
        if to not in SAGA_EDGES.get((self.saga.state, cause), ()):
            raise InvariantError(f"no edge for a saga from {self.saga.state} by {cause} to {to}", saga_id=self.saga.id)
        self.saga.state = to

    def release(self, position: int) -> StepRow:
        """End the claim of a step."""
        step = self.step(position)
        step.claim_worker = step.claim_token = step.claimed_at = None
        return step

    def free(self, position: int) -> StepRow:
        """Lift a step's hold and let it run at once."""
        step = self.step(position)
        step.hold = Hold.NONE
        step.due_at = None
        step.crashes = 0
        return step
