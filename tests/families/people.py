"""What people do in a town: they steer, approve, look after what is stuck, and tell the truth: what they say that they
have found out, they have."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sagas.core import triggers as t
from sagas.core.children import child_id
from sagas.core.errors import TransitionNotAllowedError
from sagas.core.graph import Graph
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import UNDECIDED, Hold, SagaState, StepStatus, Wait
from sagas.engine.children import check_parent
from sagas.store.base import Submission, Verdict
from tests.core.build import spec

from .parts import Action
from .stage import effect_key
from .workers import Workers

S = StepStatus
OP = ("op", "why")


class People(Workers):
    """See the module."""

    def wish(self, key: UUID, trigger: Any) -> bool:
        """As a person would, who is told when it can not be; I17: what is done is one entry. Whether it was done."""
        with suppress(TransitionNotAllowedError):
            check_parent(self.store, key, trigger)
            before = self.rows(key)[0]
            if isinstance(trigger, t.Migrate):
                self.graphs[before.graph.hash] = before.graph
            result = self.apply([Submission(key, trigger)])[0]
            self.graphs[self.rows(key)[0].graph.hash] = self.rows(key)[0].graph
            grown = self.rows(key)[0].revision - before.revision
            applied = result.verdict is Verdict.APPLIED
            assert grown == applied, f"I17: {trigger.kind} made {grown} entries"
            return applied
        return False

    # -- what is expected of them -------------------------------------------------------------------------------

    def expected(self, key: UUID) -> list[Action]:
        """Signals that are waited for, approvals, what was paused."""
        saga, steps = self.rows(key)
        found: list[Action] = []
        for step in steps:
            if step.waits is Wait.SIGNAL:
                found.append(partial(self.wish, key, t.Signal(saga.graph.steps[step.position].wait_for, "yes")))
            if step.hold is Hold.APPROVAL:
                found += [
                    partial(self.wish, key, t.Approve(who, "why", None, step.position)) for who in ("anna", "bert")
                ]
        if saga.paused_at is not None:
            found.append(partial(self.wish, key, t.Resume(*OP)))
        return found

    # -- what comes over them -----------------------------------------------------------------------------------

    def steering(self, key: UUID) -> list[list[Action]]:
        """Wishes for the saga, and for each of its steps."""
        saga, steps = self.rows(key)
        wishes: list[Any] = [kind(*OP) for kind in (t.Compensate, t.Cancel, t.Retry, t.Pause, t.Resume, t.RunNow)]
        wishes += [t.Signal(name, digest) for name in saga.graph.signals for digest in ("yes", "no")]
        if saga.parent is None:
            wishes.append(self._migration(saga))
        back = [step for step in steps if step.status not in (S.PENDING, S.CANCELLED)]
        return [
            [partial(self.wish, key, wish) for wish in wishes],
            [partial(self.wish, key, t.Rewind(*OP, None, step.position)) for step in back],
            [action for step in steps for action in self._for_step(key, step)],
        ]

    def _for_step(self, key: UUID, step: StepRow) -> list[Action]:
        at, soon = step.position, self.store.now() + timedelta(seconds=self.plan.minute)
        found = [partial(self.wish, key, kind(*OP, None, at)) for kind in (t.Edit, t.Deny)]
        found.append(partial(self.wish, key, t.Approve("anna", "why", None, at)))
        if step.status is S.COMPENSATION_FAILED:
            found += [partial(self.wish, key, t.Assign(*OP, None, at, "anna", when)) for when in (None, soon)]
            found.append(partial(self.resolve, key, at, done=False))
        return [*found, partial(self.skip, key, at), partial(self.resolve, key, at)]

    def _migration(self, saga: SagaRow) -> t.Migrate:
        """One more step, behind all others."""
        count = len(saga.graph.steps)
        more = spec(f"more{count}", *range(count), retry=saga.graph.steps[0].retry)
        target = Graph([*saga.graph.steps, more], saga.graph.policy)
        return t.Migrate(*OP, saga.revision, target, {name: name for name in saga.graph.names}, "2")

    def skip(self, key: UUID, position: int) -> None:
        """Go on without it, or leave what it did."""
        saga, steps = self.rows(key)
        step, name = steps[position], saga.graph.steps[position].name
        if self.wish(key, t.Skip(*OP, None, position)):
            self.by_hand.add((key, name, step.round))
            if saga.state is SagaState.COMPENSATING:
                self.left.add(effect_key(key, name, step.round))

    def resolve(self, key: UUID, position: int, *, done: bool = True) -> None:
        """A person looks into the participant's book; what is not there, nobody will do any more. Or settles a debt."""
        saga, steps = self.rows(key)
        step, name = steps[position], saga.graph.steps[position].name
        effect = effect_key(key, name, step.round)
        debt = step.hold is Hold.DEBT
        if not debt and step.hold is not Hold.LATE_EFFECT:
            there = effect in self.participant.done and effect not in self.participant.undone
            done = saga.graph.steps[position].saga == "" and there
        if not self.wish(key, t.Resolve(*OP, None, position, done)):
            return
        self.by_hand.add((key, name, step.round))
        if debt and not done:
            self.left.add(effect)
        elif debt or not done or step.hold is Hold.LATE_EFFECT:
            self.participant.undo(effect)

    # -- what they do in the end --------------------------------------------------------------------------------

    def settle(self, key: UUID) -> None:
        """Whatever somebody must look at, somebody has."""
        saga, steps = self.rows(key)
        if saga.overdue_at is not None:
            self.wish(key, t.Retry(*OP))
        for step in steps:
            if step.hold is Hold.LATE_EFFECT:
                self.resolve(key, step.position)
            elif step.hold is Hold.DEBT and saga.graph.steps[step.position].saga:
                self.skip(key, step.position)
            elif step.hold is Hold.CHILD:
                below = child_id(key, saga.graph.steps[step.position].name, step.round)
                self.wish(below, t.Retry(*OP))
            elif step.hold in UNDECIDED | {Hold.DEBT, Hold.CRASHES, Hold.NO_HANDLER, Hold.OVERDUE}:
                self.wish(key, t.Retry(*OP))
