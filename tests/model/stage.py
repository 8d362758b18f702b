"""A saga in a store, played by hand: every submission can be made again, as after a commit whose answer was lost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count
from typing import Any
from uuid import UUID

from sagas.core import triggers as t
from sagas.core.claims import Claim, Offer
from sagas.core.graph import Graph
from sagas.core.history import Entry, fold
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import SagaState, StepStatus
from sagas.definitions.ids import new_id
from sagas.models import HistoryEntry
from sagas.store.base import NewSaga, Payload, Result, Store, Submission
from sagas.store.memory import MemoryStore
from tests.core.build import handlers


class Stage:
    """One saga in `store`, and two workers with one slot each."""

    def __init__(self, store: Store, graph: Graph, *, rollback: bool = True) -> None:
        self.store = store
        self.graph = graph
        self.id = new_id()
        self._tokens = count(1)
        store.insert(
            [NewSaga(self.id, "staged", "1", graph, rollback, "{}", dict.fromkeys(range(len(graph.steps)), "{}"), "")]
        )

    # -- submitting ---------------------------------------------------------------------------------------------

    def offer(self, worker: UUID) -> Offer:
        """One free slot."""
        return Offer(worker, handlers(self.graph), self._tokens.__next__)

    def apply(self, submission: Submission, worker: UUID | None = None) -> Result:
        """One transaction."""
        return self.store.apply([submission], self.offer(worker) if worker else None)[0]

    def submission(self, kind: Any, claim: Claim, worker: UUID, **details: Any) -> Submission:
        """The end of an attempt."""
        payload = Payload(output=json.dumps({"token": claim.token})) if kind is t.Completed else None
        return Submission(self.id, kind(claim.position, worker, claim.token, claim.undo, **details), payload)

    def look(self, worker: UUID) -> list[Claim]:
        """What the worker is given."""
        return self.apply(Submission(self.id, t.Look()), worker).claims

    def claim(self, worker: UUID) -> Claim:
        """The one thing there is to do."""
        (found,) = self.look(worker)
        return found

    def end(self, kind: Any, claim: Claim, worker: UUID, **details: Any) -> Result:
        """An attempt ends; nothing is claimed with it."""
        return self.apply(self.submission(kind, claim, worker, **details))

    def go_on(self, kind: Any, claim: Claim, worker: UUID, **details: Any) -> Result:
        """An attempt ends, and the same worker goes on."""
        return self.apply(self.submission(kind, claim, worker, **details), worker)

    def again(self, submission: Submission, worker: UUID) -> Result:
        """The answer was lost: the very same submission."""
        submission.again = True
        return self.apply(submission, worker)

    def tell(self, trigger: t.Trigger) -> Result:
        """A trigger that belongs to no attempt."""
        return self.apply(Submission(self.id, trigger))

    # -- looking ------------------------------------------------------------------------------------------------

    @property
    def rows(self) -> tuple[SagaRow, list[StepRow]]:
        """As they are stored."""
        return self.store.load([self.id])[self.id]

    @property
    def state(self) -> SagaState:
        """The saga's state."""
        return self.rows[0].state

    @property
    def statuses(self) -> list[StepStatus]:
        """The steps' statuses."""
        return [step.status for step in self.rows[1]]

    @property
    def history(self) -> Sequence[Entry]:
        """As it is stored."""
        if isinstance(self.store, MemoryStore):
            return self.store.history[self.id]
        rows = HistoryEntry.objects.filter(saga_id=self.id).order_by("id")
        return [
            Entry(row.seq, row.kind, row.at, self.graph.names.get(row.step), row.attempt, row.round, data=row.data)
            for row in rows
        ]

    def check(self) -> None:
        """I2: the history tells of the very rows that are stored."""
        saga, steps = self.rows
        told, told_steps = fold(saga, self.history)
        told.wake_at = saga.wake_at
        assert (told, told_steps) == (saga, steps)
