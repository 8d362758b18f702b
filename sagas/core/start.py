"""How a saga begins: its first row and its first history entry. A saga without steps is complete at once."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from .graph import Graph
from .history import AT_ONCE, Entry
from .rows import SagaRow
from .states import Lock, SagaState

KIND = "started"


def opening(  # noqa: PLR0913
    saga_id: UUID,
    graph: Graph,
    rollback: bool,
    now: datetime,
    wake_at: datetime,
    actor: str = "",
    *,
    deadline_at: datetime | None = None,
    lock_key: str = "",
    lock_state: Lock = Lock.NONE,
) -> tuple[SagaRow, Entry]:
    """The row and the entry of a saga that starts `now`."""
    state, data = opening_state(graph, deadline_at, lock_state)
    done = state is not SagaState.STARTED
    saga = SagaRow(saga_id, graph, rollback, state, 1, None if done else wake_at, now)
    saga.completed_at = now if done else None
    saga.deadline_at = deadline_at
    saga.lock_key, saga.lock_state = lock_key, lock_state
    return saga, Entry(1, KIND, now, actor=actor, data=data)


def opening_state(
    graph: Graph, deadline_at: datetime | None = None, lock_state: Lock = Lock.NONE
) -> tuple[SagaState, dict[str, Any]]:
    """The first state, and what the first history entry says of it."""
    data: dict[str, Any] = {} if deadline_at is None else {"deadline_at": deadline_at.isoformat()}
    if lock_state:
        data["lock_state"] = str(lock_state)
    if graph.steps:
        return SagaState.STARTED, data
    return SagaState.COMPLETED, {**data, "state": str(SagaState.COMPLETED), "completed_at": AT_ONCE}
