"""A step whose handler asks a service and returns `Pending`, the service's answers on their way, and an operator who
rolls back or rewinds: around the real `decide`.

Letters (answers) may come before the handler has returned, twice, late, never, and in the next round. The service is
idempotent by key and has a fence; it may refuse an attempt, and accept the next one. A handler may lose patience and do
by itself what it asked for. Behind the step a gate keeps the saga open, so that a step that is done can be rewound.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from sagas.core import triggers as t
from sagas.core.errors import TransitionNotAllowedError
from sagas.core.graph import Graph, Policy
from sagas.core.retry import RetryPolicy
from sagas.core.states import RESOLVED, TERMINAL, SagaState, StepStatus, Wait
from tests.core.build import gate, spec

from .frozen import LATER, WORKER, Answer, Frozen, Table
from .search import Move
from .state import Account, Violation

BEGUN, ASKED, DONE = "begun", "asked", "done"
#: How a thread stands to its process: as it should, past its timeout, or woken up after its process was taken for dead.
ON_TIME, TIMED_OUT, LAPSED = 0, 1, 2
MAX_ROUND = 2
#: What the operator may ask for.
WISHES = (t.Compensate("op"), t.Rewind("op", position=0), t.Retry("op"))
_SURE = (StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.SKIPPED)
_TWICE = RetryPolicy(max_attempts=2, base=0, jitter=False)


def waiting_graph(on_timeout: str = "retry") -> Graph:
    """`a` waits for an answer, `b` for a signal."""
    first = spec("a", retry=_TWICE, undo_retry=_TWICE, wait_timeout=60.0, on_timeout=on_timeout)
    return Graph([first, gate("b", 0, wait_for="go")], Policy(drain=30.0))


class Faults(NamedTuple):
    """How many of each sort may still happen."""

    #: The process dies, or freezes for longer than its lease.
    crash: int = 0
    timeout: int = 0
    #: Letters that are lost or come twice.
    post: int = 0
    operator: int = 0
    #: The service refuses.
    refusal: int = 0
    #: The handler does itself what it had asked for.
    itself: int = 0


class Thread(NamedTuple):
    """One attempt of `a`."""

    token: int
    undo: bool
    round: int
    attempt: int
    stage: str
    pace: int = ON_TIME


class Order(NamedTuple):
    """What the service was asked for, with the attempt's token."""

    round: int
    attempt: int
    undo: bool


class Letter(NamedTuple):
    """What the service says of it."""

    order: Order
    ok: bool


class WaitingState(NamedTuple):
    """Rows, the service's memory by round, and what is under way."""

    rows: Frozen
    ledger: tuple[Account, ...]
    faults: Faults
    threads: tuple[Thread, ...] = ()
    orders: tuple[Order, ...] = ()
    letters: tuple[Letter, ...] = ()
    #: The process is dead, and nobody has noticed.
    dead: bool = False


class WaitingWorld:
    """See the module."""

    def __init__(self, faults: Faults, *, on_timeout: str = "retry", wishes: tuple[Any, ...] = WISHES) -> None:
        self.table = Table(waiting_graph(on_timeout))
        self.faults = faults
        self.wishes = wishes

    def start(self) -> WaitingState:
        """Just started."""
        return WaitingState(self.table.fresh(), (Account(),) * MAX_ROUND, self.faults)

    def has_ended(self, state: WaitingState) -> bool:
        """Ended, or a person was asked for."""
        return state.rows.state in TERMINAL or state.rows.attention

    def moves(self, state: WaitingState) -> Iterator[Move]:
        """Everything that may happen next."""
        if not state.dead:
            yield from self._claim(state)
        for thread in state.threads:
            yield from self._run(state, thread)
        for order in state.orders:
            yield from self._serve(state, order)
        for letter in state.letters:
            yield from self._deliver(state, letter)
        yield from self._pass_time(state)
        yield from self._die(state)
        yield from self._operate(state)

    def _ask(self, state: WaitingState, trigger: t.Trigger, *more: Any) -> Answer | None:
        try:
            return self.table.ask(state.rows, trigger, *more)
        except TransitionNotAllowedError:
            return None

    # -- the worker ---------------------------------------------------------------------------------------------

    def _claim(self, state: WaitingState) -> Iterator[Move]:
        answer = self._ask(state, t.Look(), 1)
        for claim in answer.claims if answer else ():
            thread = Thread(claim.token, claim.undo, claim.round, claim.attempt, BEGUN)
            yield Move(f"claims {_what(thread)}", _with(state, answer, threads=_add(state.threads, thread)))

    def _run(self, state: WaitingState, thread: Thread) -> Iterator[Move]:
        what = _what(thread)
        if thread.stage == BEGUN:
            asked = _swap(state.threads, thread, thread._replace(stage=ASKED))
            order = Order(thread.round, thread.attempt, thread.undo)
            yield Move(f"{what} asks the service", state._replace(threads=asked, orders=_add(state.orders, order)))
        if thread.stage == ASKED and state.faults.itself and not thread.undo:
            yield from self._do_itself(state, thread)
        if thread.stage != BEGUN:
            yield self._return(state, thread)
        if thread.pace == ON_TIME and state.faults.timeout:
            late = t.InDoubt(0, WORKER, thread.token, thread.undo, "timeout", thread_alive=True)
            answer = self.table.ask(state.rows, late)
            threads = _swap(state.threads, thread, thread._replace(pace=TIMED_OUT))
            yield Move(f"timeout of {what}", _with(_spend(state, "timeout"), answer, threads=threads), True)

    def _do_itself(self, state: WaitingState, thread: Thread) -> Iterator[Move]:
        after, ok = self._effect(_spend(state, "itself"), thread.round, undo=False)
        if ok:
            threads = _swap(state.threads, thread, thread._replace(stage=DONE))
            yield Move(f"{_what(thread)} does it itself", after._replace(threads=threads), True)

    def _return(self, state: WaitingState, thread: Thread) -> Move:
        """With `Pending`, or (where it did it itself) with an output."""
        at = (0, WORKER, thread.token, thread.undo)
        trigger: t.Trigger = t.Completed(*at) if thread.stage == DONE else t.Waits(*at, timedelta(hours=1))
        if thread.pace == TIMED_OUT:
            trigger = t.ThreadEnded(*at)
        answer = self.table.ask(state.rows, trigger)
        word = "is over" if thread.pace == TIMED_OUT else "completed" if thread.stage == DONE else "waits"
        label = f"{_what(thread)} {word}" + (" LATE" if answer.ignored else "")
        return Move(label, _with(state, answer, threads=_swap(state.threads, thread)))

    def _die(self, state: WaitingState) -> Iterator[Move]:
        if state.dead or any(step.claim or step.stale for step in state.rows.steps):
            lost = self.table.ask(state.rows, t.WorkerLost(WORKER))
            if state.dead:
                yield Move("found dead", _with(state, lost, dead=False))
            elif state.faults.crash:
                lapsed = tuple(thread._replace(pace=LAPSED) for thread in state.threads)
                frozen = _with(_spend(state, "crash"), lost, threads=lapsed)
                yield Move("freezes, is taken for dead, thaws", frozen, True)
        if state.faults.crash and state.threads:
            yield Move("crash", _spend(state, "crash")._replace(threads=(), dead=True), True)

    # -- the service --------------------------------------------------------------------------------------------

    def _effect(self, state: WaitingState, number: int, *, undo: bool) -> tuple[WaitingState, bool]:
        done, undone, net = state.ledger[number - 1]
        if undo:
            net, undone = (net - done if not undone else net), 1
        elif not done and not undone:
            done, net = 1, net + 1
        ledger = list(state.ledger)
        ledger[number - 1] = Account(done, undone, net)
        return state._replace(ledger=tuple(ledger)), undo or bool(done)

    def _serve(self, state: WaitingState, order: Order) -> Iterator[Move]:
        served = state._replace(orders=tuple(other for other in state.orders if other != order))
        after, ok = self._effect(served, order.round, undo=order.undo)
        what = f"{'undo' if order.undo else 'do'} {order.round}.{order.attempt}"
        word = "done" if ok else "refused by the fence"
        yield Move(f"service: {what} {word}", after._replace(letters=_add(state.letters, Letter(order, ok))))
        if state.faults.refusal and not order.undo and not state.ledger[order.round - 1].done:
            refused = _spend(served, "refusal")._replace(letters=_add(state.letters, Letter(order, False)))
            yield Move(f"service: {what} refused", refused, True)

    def _deliver(self, state: WaitingState, letter: Letter) -> Iterator[Move]:
        order, ok = letter
        trigger = t.Answer(0, order.round, order.attempt, order.undo, ok, "yes" if ok else "no")
        answer = self.table.ask(state.rows, trigger)
        rest = tuple(other for other in state.letters if other != letter)
        what = f"letter {'undo' if order.undo else 'do'} {order.round}.{order.attempt} {trigger.digest}"
        step = state.rows.steps[0]
        if not (ok or answer.ignored) and order.attempt != (step.undo_attempt if order.undo else step.attempt):
            raise Violation("I11 the refusal of an earlier attempt counts")
        yield Move(f"{what}{' LATE' if answer.ignored else ''}", _with(state, answer, letters=rest))
        if state.faults.post:
            fewer = _spend(state, "post")
            yield Move(f"{what}, to come again", _with(fewer, answer), True)
            yield Move(f"{what} is lost", fewer._replace(letters=rest), True)

    # -- time and people ----------------------------------------------------------------------------------------

    def _pass_time(self, state: WaitingState) -> Iterator[Move]:
        if any(step.due == LATER for step in state.rows.steps):
            yield Move("the wait is over", _with(state, self._ask(state, t.Look(), 0, LATER)))
        if state.rows.steps[1].waits is Wait.SIGNAL:
            yield Move("signal", _with(state, self._ask(state, t.Signal("go", "yes"))))

    def _operate(self, state: WaitingState) -> Iterator[Move]:
        if not state.faults.operator:
            return
        for trigger in self.wishes:
            if isinstance(trigger, t.Rewind) and state.rows.steps[0].round == MAX_ROUND:
                continue
            answer = self._ask(state, trigger)
            if answer is not None and answer.rows != state.rows:
                yield Move(f"op {trigger.kind}", _with(_spend(state, "operator"), answer), True)

    # -- what must never be -------------------------------------------------------------------------------------

    def wrong(self, state: WaitingState) -> Iterator[str]:
        """I8 to I10, and no two threads of one step."""
        step, saga = state.rows.steps[0], state.rows.state
        here, net = state.ledger[step.round - 1], [account.net for account in state.ledger]
        if step.status in _SURE and here.net:
            yield f"I10 recorded as {step.status}, but the effect is there"
        if step.status is StepStatus.COMPLETED and saga is not SagaState.COMPENSATING and here.net != 1:
            yield "I9 completed, ledger is not exactly one do"
        if any(net[: step.round - 1]):
            yield "I9 an effect of an earlier round is left"
        if saga is SagaState.COMPENSATED:
            if step.status not in RESOLVED:
                yield "I8 compensated with an executed step not undone"
            if any(net) and not (state.rows.attention or state.letters):
                yield "I9 compensated, the effect is there and nobody was asked for"
        live = [thread.undo for thread in state.threads if thread.pace != LAPSED]
        if len(live) > 1:
            yield "OVERLAP do and undo run at once" if len(set(live)) > 1 else "TWICE one step in two live threads"


def _what(thread: Thread) -> str:
    return f"{'undo' if thread.undo else 'do'} {thread.round}.{thread.attempt}"


def _spend(state: WaitingState, sort: str) -> WaitingState:
    return state._replace(faults=state.faults._replace(**{sort: getattr(state.faults, sort) - 1}))


def _with(state: WaitingState, answer: Answer | None, **changes: Any) -> WaitingState:
    return state._replace(rows=state.rows if answer is None else answer.rows, **changes)


def _add(items: tuple[Any, ...], item: Any) -> tuple[Any, ...]:
    return tuple(sorted({*items, item}))


def _swap(threads: tuple[Thread, ...], old: Thread, *new: Thread) -> tuple[Thread, ...]:
    return tuple(sorted([*(thread for thread in threads if thread != old), *new]))
