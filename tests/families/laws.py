"""What must hold in such a town: after every move, and at its end.

The message of a law that is broken begins with its name: the number of an invariant, or else a word for what the
audit can not see (gate, deadline, time, condition; limit, once and lost in the town itself).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sagas.core import triggers as t
from sagas.core.audit import Violation, audit
from sagas.core.audit_family import audit_children, audit_parent
from sagas.core.children import child_id
from sagas.core.graph import StepSpec
from sagas.core.history import Entry
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import PASSED, RESOLVED, TERMINAL, Lock, SagaState, StepStatus, Wait
from sagas.models import HistoryEntry
from sagas.store.base import Store, Submission
from sagas.store.memory import MemoryStore

from .stage import effect_key
from .town import Town

S = StepStatus


def history(town: Town, key: UUID) -> Sequence[Entry]:
    """As it is stored; a migration with the graph before it."""
    store: Store = town.store
    saga = town.rows(key)[0]
    if isinstance(store, MemoryStore):
        told = list(store.history[key])
    else:
        rows = HistoryEntry.objects.using(store.alias).filter(saga_id=key).order_by("id")  # type: ignore[attr-defined]
        told = [
            Entry(r.seq, r.kind, r.at, saga.graph.names.get(r.step), r.attempt, r.round, r.actor, r.reason, r.data)
            for r in rows
        ]
    digests = [(entry, (entry.data or {}).get("graph")) for entry in told]
    return [replace(entry, graph=town.graphs[digest]) if digest else entry for entry, digest in digests]


def say(key: UUID, found: Sequence[Violation]) -> str:
    """What the audit has found; the law comes first."""
    return "; ".join(map(str, found)) + f" (saga {key.int % 1000})"


# -- after every move -----------------------------------------------------------------------------------------------


def check(town: Town, group: Sequence[Submission]) -> None:
    """I1, and what the audit tells from each history: I2, I5 to I8, I10 to I12, I15, I19; I17; then what is not written
    in a history: gates, joins, times, the lock."""
    for key in {one.saga_id for one in group}:
        saga, steps = town.rows(key)
        assert (saga.wake_at is None) == (saga.state in TERMINAL), "I1: who has ended sleeps, who lives does not"
        told = history(town, key)
        found = audit(saga, steps, told)
        assert found == [], say(key, found)
        wishes = [entry for entry in told if entry.actor]
        assert all(entry.reason and entry.seq for entry in wishes), "I17: a wish of a person without reason or number"
        _check_gates(saga, steps)
    for one in group:
        if isinstance(one.trigger, t.Look) and town.clock is not None:
            _check_times(town, *town.rows(one.saga_id))
    held = [key for key in town.ids if town.rows(key)[0].lock_state is Lock.HELD]
    assert len(held) <= 1, "I19: two sagas with one lock"


def _check_gates(saga: SagaRow, steps: Sequence[StepRow]) -> None:
    """I5: what joins elements is done after all of them. Nothing runs past its gate."""
    if saga.state not in (SagaState.STARTED, SagaState.COMPLETED):
        return
    for spec, step in zip(saga.graph.steps, steps, strict=True):
        if step.status is S.RUNNING and spec.gate and not spec.checks:
            assert step.opened, f"gate: {spec.name} runs past its gate"
        if spec.join and step.status in (S.RUNNING, S.COMPLETED):
            assert all(steps[position].status in PASSED for position in spec.joins), "I5: joined before all was done"


def _check_times(town: Town, saga: SagaRow, steps: Sequence[StepRow]) -> None:
    """A time that has come is acted on by whoever looks."""
    if saga.paused_at is not None or saga.state in TERMINAL:
        return
    now = town.store.now()
    if saga.state is SagaState.STARTED:
        assert saga.deadline_at is None or saga.deadline_at > now, "deadline: it has passed, and nobody minds"
    for step in steps:
        if step.due_at is not None and step.due_at <= now:
            assert step.status is not S.WAITING, "time: a wait is over, and goes on"
            assert step.waits is not Wait.ANSWER, "time: a wait is over, and goes on"


# -- at the end -----------------------------------------------------------------------------------------------------


def check_books(town: Town) -> None:
    """I3, I4: what was started is there, once. I9: rows and participants agree. I20: so do parents and children."""
    rows = {key: town.rows(key) for key in town.ids}
    for key, (saga, steps) in rows.items():
        assert not town.insert(town.new(key, saga.graph)), "I4: the same key made a second saga"
        orphan = audit_parent(saga, rows.get(saga.parent) if saga.parent else None)
        assert orphan == [], say(key, orphan)
        by_hand = [
            step.position
            for step, spec in zip(steps, saga.graph.steps, strict=True)
            if (key, spec.name, step.round) in town.by_hand
        ]
        told = [Entry(1, t.Skip.kind, saga.updated_at, at, round=steps[at].round) for at in by_hand]
        found = list(audit_children(saga, steps, told, rows))
        assert found == [], say(key, found)
        for step, spec in zip(steps, saga.graph.steps, strict=True):
            if spec.saga:
                _check_older_children(town, key, spec.name, step.round)
            elif spec.action:
                _check_effect(town, key, spec, step)


def _check_effect(town: Town, key: UUID, spec: StepSpec, step: StepRow) -> None:
    net = town.participant.net
    keys = [effect_key(key, spec.name, number) for number in range(1, step.round + 1)]
    if spec.compensation:
        left = [older for older in keys[:-1] if net.get(older, 0) and older not in town.left]
        assert left == [], "I9: left of an earlier round"
    held = net.get(keys[-1], 0)
    assert held in (0, 1), "I9: done twice"
    if step.status is S.COMPLETED and not step.doubt:
        assert held == 1, "I9: completed, and not done"
    if step.status in RESOLVED and keys[-1] not in town.left:
        assert held == 0, f"I9, I10: {step.status}, and its effect is there"
    for key_ in keys:
        assert key_ not in town.over or not net.get(key_, 0), "condition: it did not hold, and it was done"


def _check_older_children(town: Town, key: UUID, name: str, number: int) -> None:
    for older in range(1, number):
        gone = town.store.load([child_id(key, name, older)])
        if (key, name, older) not in town.by_hand:
            assert all(saga.state is SagaState.COMPENSATED for saga, _ in gone.values()), (
                "I20: a child of an earlier round is left"
            )
