"""Any rows and any triggers, reachable or not, for tests that `decide` has an answer to everything."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from sagas.core import triggers as t
from sagas.core.graph import Graph, Policy
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import CLAIMED, GATES, TERMINAL, UNDECIDED, Hold, SagaState, StepStatus, Wait

from .build import ANNA, BERT, EPOCH, SAGA, SECOND, child, diamond, gate, line, side_by_side, spec

GRAPHS = [
    line(1),
    line(3),
    side_by_side(2),
    diamond(),
    line(2, no_compensation="reads only"),
    line(2, atomic=True),
    line(0),
    Graph([spec("a", approval=True), spec("b", 0, when="x", delay=5.0, approve_undo=2, pause_after=True)]),
    Graph([gate("a", wait_for="paid", wait_timeout=5.0), spec("b", 0, wait_timeout=5.0, at_most_once=True)]),
    Graph([spec("a"), spec("b", 0, pivot=True), spec("c", 1)], Policy(serial_undo=True, on_deadline="attention")),
    Graph([child("a"), spec("b", 0), child("c", 0, when="x", approve_undo=1)]),
]
#: Surely without an effect: a step in doubt is never recorded so.
SURE = (StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.SKIPPED)
ANSWERS = st.sampled_from(["yes", "no"])
TERMINAL_STATES = sorted(TERMINAL)
WORKERS = st.sampled_from([ANNA, BERT])
TOKENS = st.integers(1, 3)
TIMES = st.sampled_from([None, EPOCH - SECOND, EPOCH, EPOCH + SECOND])


@st.composite
def step_rows(draw: st.DrawFn, graph: Graph, position: int, *, sound: bool) -> StepRow:
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
        waits = _waits(draw, row, graph)
        claimed = claimed and not waits
    if claimed:
        row.claim_worker, row.claim_token, row.claimed_at = draw(WORKERS), draw(TOKENS), EPOCH - SECOND
    if draw(st.integers(0, 3)) == 0:
        row.stale_worker, row.stale_token = draw(WORKERS), draw(TOKENS)
    return row


def _waits(draw: st.DrawFn, row: StepRow, graph: Graph) -> bool:
    """What waits, waits for something that its step can wait for."""
    spec = graph.steps[row.position]
    own = Wait.CHILD if spec.saga else spec.gate
    row.answer, row.opened = draw(st.sampled_from(["", "", "yes", "no"])), draw(st.booleans())
    if row.status is StepStatus.WAITING:
        row.waits = draw(st.sampled_from([own or Wait.ANSWER, spec.gate or own or Wait.ANSWER]))
    elif row.status is StepStatus.COMPENSATING and draw(st.booleans()):
        row.waits = Wait.CHILD if spec.saga else Wait.ANSWER
    if row.hold in UNDECIDED and row.status not in (StepStatus.FAILED, StepStatus.UNKNOWN):
        row.hold = Hold.NONE
    if row.hold is Hold.CHILD and not (spec.saga and row.status is StepStatus.UNKNOWN):
        row.hold = Hold.NONE
    if row.hold is Hold.OVERDUE and row.status is not StepStatus.WAITING:
        row.hold = Hold.NONE
    if row.waits in GATES or row.status in SURE:
        row.doubt = False
    return bool(row.waits)


@st.composite
def sagas(draw: st.DrawFn, *, sound: bool = True) -> tuple[SagaRow, list[StepRow]]:
    """A saga with its steps."""
    graph: Graph = draw(st.sampled_from(GRAPHS))
    state = draw(st.sampled_from(SagaState))
    wake = None if state in TERMINAL else draw(TIMES)
    saga = SagaRow(SAGA, graph, draw(st.booleans()), state, draw(st.integers(1, 9)), wake, EPOCH - timedelta(days=1))
    saga.deadline_at, saga.overdue_at = draw(TIMES), draw(st.sampled_from([None, None, EPOCH]))
    saga.paused_at, saga.stale_since = (draw(st.sampled_from([None, None, EPOCH])) for _ in range(2))
    steps = [draw(step_rows(graph, position, sound=sound)) for position in range(len(graph.steps))]
    return saga, steps


ATTEMPTS: list[type[t.AttemptTrigger]] = [kind for kind in t.TRIGGERS if issubclass(kind, t.AttemptTrigger)]
WISHES = st.sampled_from([None, timedelta.min, timedelta(0), SECOND, timedelta.max])


def triggers() -> st.SearchStrategy[t.Trigger]:
    """Any trigger."""
    return st.sampled_from(t.TRIGGERS).flatmap(_of_kind)


def _of_kind(kind: Any) -> st.SearchStrategy[t.Trigger]:
    positions, flags = st.integers(-1, 4), st.booleans()
    if issubclass(kind, t.AttemptTrigger):
        more = {"thread_alive": flags, "after": WISHES} if kind in (t.InDoubt, t.NoEffect) else {}
        return st.builds(kind, positions, WORKERS, TOKENS, flags, **more)
    special: dict[type, st.SearchStrategy[Any]] = {
        t.Look: st.builds(t.Look, sweep=flags),
        t.WorkerLost: st.builds(t.WorkerLost, WORKERS, st.none() | TOKENS),
        t.NoHandler: st.builds(t.NoHandler, positions),
        t.Answer: st.builds(t.Answer, positions, st.integers(1, 2), st.integers(0, 4), flags, flags, ANSWERS),
        t.Signal: st.builds(t.Signal, st.sampled_from(["paid", "nobody waits for it"]), ANSWERS),
        t.FlagStale: st.builds(t.FlagStale),
        t.ChildEnded: st.builds(
            t.ChildEnded,
            st.sampled_from(["a", "b", "nobody"]),
            st.integers(1, 2),
            st.sampled_from(TERMINAL_STATES),
            refused=flags,
        ),
        t.ParentUndoes: st.builds(t.ParentUndoes),
    }
    if kind in special:
        return special[kind]
    who = (st.just("op"), st.just("why"), st.none() | st.integers(1, 9))
    return st.builds(kind, *who, positions) if issubclass(kind, t.StepTrigger) else st.builds(kind, *who)
