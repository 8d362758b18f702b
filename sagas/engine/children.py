"""Child sagas: starting one in the transaction that records it, and carrying news between it and its parent.

News is worked out from the rows of both, read without a lock, and told as a trigger under the other's lock alone:
telling twice is harmless, and what was not told (its teller died) is found again by the sweep.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from ..core import triggers as t
from ..core.children import MAX_DEPTH, child_id
from ..core.errors import PayloadError, TransitionNotAllowedError
from ..core.readiness import past_return, undoing
from ..core.rows import SagaRow, StepRow
from ..core.states import ALIVE, Hold, Lock, SagaState, StepStatus, Wait, is_terminal
from ..crash import crash_point
from ..definitions.ids import id_text
from ..exceptions import Rejected
from ..store.base import Inserted, NewSaga, Payload, Result, Store, Submission
from .claimed import Attempt
from .start import announce, first_queue, prepare

logger = logging.getLogger(__name__)

#: What makes a saga go forward again, or undoes it.
_STEERS = (t.Compensate, t.Retry, t.Edit, t.Rewind)

Rows = tuple[SagaRow, Sequence[StepRow]]


# -- starting -------------------------------------------------------------------------------------------------------


def start_child(attempt: Attempt, store: Store) -> Submission:
    """Insert the child of a claimed step, inside the transaction that records that the step waits for it.

    Raises `Rejected` for a child that can not be, with this input: another attempt would not help.
    """
    new = _child(attempt, store)
    known = store.insert([new])[0]
    crash_point("child_before_commit")
    fresh = isinstance(known, Inserted) and known.wake_at is not None
    if fresh:
        store.after_commit(partial(announce, [(new.id, first_queue(new))]))
    return attempt.submission(t.ChildStarted, look=not fresh)


def _child(attempt: Attempt, store: Store) -> NewSaga:
    spec, number = attempt.spec, attempt.claim.round
    if attempt.depth >= MAX_DEPTH:
        raise Rejected(
            f"step {spec.name!r} would start a child saga {spec.saga!r} under {attempt.depth} others: expected at most "
            f"{MAX_DEPTH} sagas above one (does {spec.saga!r} start itself?)",
            code="too_deep",
        )
    above = store.inherited(attempt.saga_id)
    try:
        new = prepare(
            spec.saga,
            context=json.loads(attempt.texts.inputs.get(attempt.claim.position) or "{}"),
            owner=above.owner,
            priority=above.priority,
            idempotency_key=f"{id_text(attempt.saga_id)}:{spec.name}:{number}:child",
            request_id=attempt.request_id,
            now=store.now,
        )
    except PayloadError as exc:
        raise Rejected(f"child saga {spec.saga!r}: {exc}", code=exc.code) from exc
    new.id = child_id(attempt.saga_id, spec.name, number)
    new.parent, new.parent_step, new.parent_round = attempt.saga_id, spec.name, number
    new.depth = attempt.depth + 1
    if new.lock_key:
        _check_lock(store, new, spec.name)
    return new


def _check_lock(store: Store, new: NewSaga, step: str) -> None:
    """A lock that a saga above it has, or waits for, would never come to it: that one ends after its children.

    Read without a lock: a key never changes, and what is above a living step lives, or waits for it no more.
    """
    above = new.parent
    while above is not None:
        found = store.load([above]).get(above)
        if found is None:
            return
        saga = found[0]
        if saga.lock_key == new.lock_key and saga.lock_state is not Lock.NONE:
            what = "its parent" if above == new.parent else "a saga above it"
            raise Rejected(
                f"step {step!r} would start a child saga {new.name!r} with the lock {new.lock_key!r}, which {what}, "
                f"saga {id_text(above)}, has until it ends: the child would wait for a saga that waits for it; give "
                f"one of the two another lock, or none",
                code="lock_held",
            )
        above = saga.parent


# -- news -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Errand:
    """A step of a saga, and the child saga that it waits for: one of them may have something to hear."""

    parent: UUID
    step: str


def errands(result: Result) -> list[Errand]:
    """What a decision has to be followed by."""
    saga = result.saga
    if saga is None:
        return []
    found = [Errand(saga.id, saga.graph.steps[position].name) for position in result.errands]
    if saga.parent is not None and is_terminal(saga.state):
        found.append(Errand(saga.parent, saga.parent_step))
    return found


def news(store: Store, wanted: Iterable[Errand]) -> Iterator[Submission]:
    """What is to be told, as it stands now: to a parent that its child has ended, to a child that it is undone."""
    asked = sorted(set(wanted), key=lambda errand: (errand.parent, errand.step))
    for _ in asked:
        crash_point("errand")
    parents = store.load({errand.parent for errand in asked})
    pairs = [(parents[errand.parent], errand.step) for errand in asked if errand.parent in parents]
    steps = [(parent, step) for parent, name in pairs if (step := _waiting(parent, name)) is not None]
    ids = [_child_of(parent, step) for parent, step in steps]
    children = store.load(ids)
    for (parent, step), key in zip(steps, ids, strict=True):
        yield from _tell(store, parent[0], step, key, children.get(key))


def _waiting(parent: Rows, name: str) -> StepRow | None:
    saga, steps = parent
    position = saga.graph.names.get(name)
    step = None if position is None else steps[position]
    return step if step is not None and (step.waits is Wait.CHILD or step.hold is Hold.CHILD) else None


def _child_of(parent: Rows, step: StepRow) -> UUID:
    return child_id(parent[0].id, parent[0].graph.steps[step.position].name, step.round)


def _tell(store: Store, saga: SagaRow, step: StepRow, key: UUID, child: Rows | None) -> Iterator[Submission]:
    tell: Callable[..., t.ChildEnded] = partial(t.ChildEnded, saga.graph.steps[step.position].name, step.round)
    undo = step.status is StepStatus.COMPENSATING
    if child is None:
        message = f"the child saga {id_text(key)} is gone: its row was deleted"
        yield Submission(saga.id, tell(SagaState.FAILED, "child_lost", message, refused=undo))
        return
    row, rows = child
    behind = past_return(row.graph, rows)
    if undo and behind is not None and row.state is not SagaState.COMPENSATED:
        message = f"the child saga {id_text(key)} is behind its point of no return {row.graph.steps[behind].name!r}"
        yield Submission(saga.id, tell(row.state, "no_return", message, refused=True))
    elif row.state is SagaState.COMPENSATED or (is_terminal(row.state) and not undo):
        # What it did, or by then what was undone; of one that failed by itself there is nothing to say.
        output = store.texts([key])[key].context if undo or row.state is SagaState.COMPLETED else None
        yield Submission(saga.id, tell(row.state, row.error_code, row.error_message), Payload(output=output))
    elif row.state is not SagaState.COMPENSATING and (undo or _unwanted(saga, step)):
        yield Submission(key, t.ParentUndoes(saga.error_code or "parent", saga.error_message))


def _unwanted(saga: SagaRow, step: StepRow) -> bool:
    """Whether the step's action is not wanted any more: the saga is rolled back, and the step with it."""
    scope = undoing(saga)
    return saga.state is SagaState.COMPENSATING and (scope is None or step.position in scope)


def carry(store: Store, result: Result) -> None:
    """Tell what a decision has to be followed by, down and up the family, and wait for it. For programs that are no
    workers; never raises: what is not told here the sweep finds."""
    todo = errands(result)
    if not todo:
        return
    try:
        while todo:
            told = [store.apply([submission], wait=True)[0] for submission in news(store, todo)]
            todo = [errand for one in told for errand in errands(one)]
    except Exception:
        logger.warning("a child saga, or its parent, was not told: the sweep will", exc_info=True)


# -- people ---------------------------------------------------------------------------------------------------------


def check_parent(store: Store, key: UUID, trigger: object) -> None:
    """Refuse what would go over the head of a saga's parent. Raises `TransitionNotAllowedError`.

    Read without a lock: a parent that is alive stays so while it waits, and one that has ended waits for nothing.
    """
    if not isinstance(trigger, _STEERS):
        return
    child = store.load([key]).get(key)
    parent = None if child is None or child[0].parent is None else store.load([child[0].parent]).get(child[0].parent)
    if child is None or parent is None:
        return
    saga, step = child[0], _waiting(parent, child[0].parent_step)
    mine = step is not None and step.round == saga.parent_round
    if isinstance(trigger, t.Compensate):
        held = mine and step is not None and step.hold is Hold.CHILD
        free = parent[0].state not in ALIVE or held or saga.state is SagaState.COMPENSATING
        advice = "compensate or cancel that one, its children are rolled back with it"
    else:
        free = saga.state is not SagaState.FAILED or mine
        advice = "it does not wait for this one any more: start a new saga"
    if not free:
        raise TransitionNotAllowedError(
            f"cannot {trigger.kind} saga: it is the child of saga {id_text(parent[0].id)} (step "
            f"{saga.parent_step!r}), which is {parent[0].state}; {advice}",
            saga_id=key,
            state=saga.state,
            parent=parent[0].id,
        )
