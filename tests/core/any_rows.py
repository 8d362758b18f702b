"""Any rows and any triggers, reachable or not, for tests that `decide` has an answer to everything."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from sagas.core import triggers as t
from sagas.core.graph import Graph
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import CLAIMED, TERMINAL, Hold, SagaState, StepStatus

from .build import ANNA, BERT, EPOCH, SAGA, SECOND, diamond, line, side_by_side

GRAPHS = [
    line(1),
    line(3),
    side_by_side(2),
    diamond(),
    line(2, no_compensation="reads only"),
    line(2, atomic=True),
    line(0),
]
WORKERS = st.sampled_from([ANNA, BERT])
TOKENS = st.integers(1, 3)
TIMES = st.sampled_from([None, EPOCH - SECOND, EPOCH, EPOCH + SECOND])


@st.composite
def step_rows(draw: st.DrawFn, position: int, *, sound: bool) -> StepRow:
    """A step's row; `sound`: only an attempt that runs has a claim, and exactly a debt is held as one."""
    status = draw(st.sampled_from(StepStatus))
    row = StepRow(position, status, round=draw(st.integers(1, 2)), doubt=draw(st.booleans()))
    row.tries, row.undo_tries, row.crashes = (draw(st.integers(0, 6)) for _ in range(3))
    row.attempt, row.undo_attempt = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    row.hold, row.due_at = draw(st.sampled_from(Hold)), draw(TIMES)
    claimed = draw(st.booleans())
    if sound:
        claimed = status is StepStatus.RUNNING or (claimed and status in CLAIMED)
        if (row.hold is Hold.DEBT) != (status is StepStatus.COMPENSATION_FAILED):
            row.hold = Hold.DEBT if status is StepStatus.COMPENSATION_FAILED else Hold.NONE
    if claimed:
        row.claim_worker, row.claim_token, row.claimed_at = draw(WORKERS), draw(TOKENS), EPOCH - SECOND
    if draw(st.integers(0, 3)) == 0:
        row.stale_worker, row.stale_token = draw(WORKERS), draw(TOKENS)
    return row


@st.composite
def sagas(draw: st.DrawFn, *, sound: bool = True) -> tuple[SagaRow, list[StepRow]]:
    """A saga with its steps."""
    graph: Graph = draw(st.sampled_from(GRAPHS))
    state = draw(st.sampled_from(SagaState))
    wake = None if state in TERMINAL else draw(TIMES)
    saga = SagaRow(SAGA, graph, draw(st.booleans()), state, draw(st.integers(1, 9)), wake, EPOCH - timedelta(days=1))
    saga.paused_at, saga.stale_since = (draw(st.sampled_from([None, None, EPOCH])) for _ in range(2))
    steps = [draw(step_rows(position, sound=sound)) for position in range(len(graph.steps))]
    return saga, steps


ATTEMPTS: list[type[t.AttemptTrigger]] = [kind for kind in t.TRIGGERS if issubclass(kind, t.AttemptTrigger)]
WISHES = st.sampled_from([None, timedelta.min, timedelta(0), SECOND, timedelta.max])


@st.composite
def triggers(draw: st.DrawFn) -> t.Trigger:
    """Any trigger."""
    kind: Any = draw(st.sampled_from(t.TRIGGERS))
    if issubclass(kind, t.AttemptTrigger):
        options: dict[str, Any] = {}
        if kind in (t.InDoubt, t.NoEffect):
            options = {"thread_alive": draw(st.booleans()), "after": draw(WISHES)}
        return kind(draw(st.integers(-1, 4)), draw(WORKERS), draw(TOKENS), draw(st.booleans()), **options)
    if kind is t.Look:
        return t.Look(sweep=draw(st.booleans()))
    if kind is t.WorkerLost:
        return t.WorkerLost(draw(WORKERS), draw(st.none() | TOKENS))
    if kind is t.NoHandler:
        return t.NoHandler(draw(st.integers(-1, 4)))
    if issubclass(kind, t.OperatorTrigger):
        return kind("op", "why", draw(st.none() | st.integers(1, 9)))
    return kind()
