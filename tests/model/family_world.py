"""A saga whose first step is a child saga, that child, and what they tell each other: around the real `decide` and the
real `news`.

What has to be told is worked out from the rows of both, at one moment, and told at another; in between anything may
happen. It may be lost (its teller died), told twice, or told after the step was opened anew. One worker process, which
may die at each point; participants that are idempotent by key, with a fence. A gate behind the step keeps the parent
open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from uuid import UUID

from sagas.core import triggers as t
from sagas.core.children import child_id
from sagas.core.errors import TransitionNotAllowedError
from sagas.core.graph import Graph
from sagas.core.retry import RetryPolicy
from sagas.core.states import EXECUTED, RESOLVED, TERMINAL, SagaState, StepStatus, Wait
from sagas.engine.children import Errand, check_parent, news
from sagas.store.base import Store
from tests.core.build import child, gate, spec

from .frozen import WORKER, Answer, Frozen, Table
from .search import Move
from .state import Account

PARENT = UUID(int=1)
MAX_ROUND = 2
_ONCE = RetryPolicy(max_attempts=2, base=0, jitter=False)


class Faults(NamedTuple):
    """How many of each sort may still happen."""

    #: The process dies.
    crash: int = 0
    #: What is told is lost, or told twice.
    post: int = 0
    operator: int = 0
    #: The child's action is refused.
    refusal: int = 0


class Thread(NamedTuple):
    """One attempt. Saga 0 is the parent, saga n the child of its step's round n."""

    saga: int
    position: int
    token: int
    undo: bool
    #: Of an attempt of the child: its effect is there.
    done: bool = False


class FamilyState(NamedTuple):
    """Rows of the parent, and of its children by round; the participants' memory of each child's first step."""

    parent: Frozen
    children: tuple[Frozen | None, ...]
    ledger: tuple[Account, ...]
    faults: Faults
    threads: tuple[Thread, ...] = ()
    #: Somebody is to look what there is to tell.
    errand: bool = False
    #: Triggers on their way, with the number of the saga that they are for.
    told: tuple[tuple[int, Any], ...] = ()
    dead: bool = False


class FamilyWorld:
    """See the module. `pivot`: the child's second step is a point of no return."""

    def __init__(
        self,
        faults: Faults,
        *,
        pivot: bool = False,
        rollback: bool = True,
        wishes: tuple[Any, ...] = (t.Compensate("op"), t.Rewind("op", position=0)),
        atomic: bool = True,
        hands_back: bool = True,
    ) -> None:
        #: Without it, a child is inserted first and the step told of it in another transaction.
        self.atomic = atomic
        #: Without it, a worker that may not start the child any more just drops the claim.
        self.hands_back = hands_back
        parent = Graph([child("c"), gate("b", 0, wait_for="go")])
        first = spec("x", retry=_ONCE, undo_retry=_ONCE)
        own = Graph([first, *([spec("y", 0, pivot=True, retry=_ONCE)] if pivot else [])])
        self.tables = [Table(parent)] + [
            Table(own, rollback, child_id(PARENT, "c", number), PARENT, "c", number)
            for number in range(1, MAX_ROUND + 1)
        ]
        self.numbers = {table.id: number for number, table in enumerate(self.tables)}
        self.faults = faults
        self.wishes = wishes

    def start(self) -> FamilyState:
        """Just started."""
        return FamilyState(self.tables[0].fresh(), (None,) * MAX_ROUND, (Account(),) * MAX_ROUND, self.faults)

    def has_ended(self, state: FamilyState) -> bool:
        """All have ended, or a person was asked for in one of them."""
        alive = [rows for rows in (state.parent, *state.children) if rows is not None]
        return any(rows.attention for rows in alive) or all(rows.state in TERMINAL for rows in alive)

    def moves(self, state: FamilyState) -> Iterator[Move]:
        """Everything that may happen next."""
        if not state.dead:
            for number in range(MAX_ROUND + 1):
                yield from self._look(state, number)
        for thread in state.threads:
            yield from self._start_child(state, thread) if not thread.saga else self._run(state, thread)
        yield from self._tell(state)
        yield from self._die(state)
        yield from self._operate(state)

    def _ask(self, state: FamilyState, number: int, trigger: t.Trigger, slots: int = 0) -> Answer:
        rows = _rows(state, number)
        assert rows is not None
        return self.tables[number].ask(rows, trigger, slots)

    # -- the worker ---------------------------------------------------------------------------------------------

    def _look(self, state: FamilyState, number: int) -> Iterator[Move]:
        """A hint, or the sweep, which also finds what was not told."""
        rows = _rows(state, number)
        if rows is None or rows.state in TERMINAL:
            return
        answer = self._ask(state, number, t.Look(), 1)
        threads = [Thread(number, claim.position, claim.token, claim.undo) for claim in answer.claims]
        after = _with(state, number, answer, threads=tuple(sorted([*state.threads, *threads])))
        what = "".join(f", claims {'undo' if thread.undo else 'do'} {thread.position}" for thread in threads)
        if after != state:
            yield Move(f"look at {_name(number)}{what}", after)

    def _start_child(self, state: FamilyState, thread: Thread) -> Iterator[Move]:
        number = state.parent.steps[0].round
        known = state.children[number - 1]
        fresh = state
        if known is None:
            children = list(state.children)
            children[number - 1] = self.tables[number].fresh()
            fresh = state._replace(children=tuple(children))
        if not self.atomic and known is None:
            yield Move("child inserted", fresh)
            return
        trigger = t.ChildStarted(0, WORKER, thread.token, look=known is not None)
        answer = self._ask(state, 0, trigger)
        rest = _less(state.threads, thread)
        if answer.ignored:  # the transaction is rolled back: there is no child
            back: t.Trigger = t.HandedBack(0, WORKER, thread.token) if self.hands_back else t.FlagStale()
            after = _with(state, 0, self._ask(state, 0, back), threads=rest)
            yield Move("child not started, handed back", after)
        else:
            yield Move("child started", _with(fresh, 0, answer, threads=rest))

    def _run(self, state: FamilyState, thread: Thread) -> Iterator[Move]:
        what = f"{_name(thread.saga)} {'undo' if thread.undo else 'do'} {thread.position}"
        at = (thread.position, WORKER, thread.token, thread.undo)
        if not thread.done and not thread.position:
            yield from self._effect(state, thread, what)
        if thread.done or thread.position:
            answer = self._ask(state, thread.saga, t.Completed(*at))
            yield Move(f"{what} completed", _with(state, thread.saga, answer, threads=_less(state.threads, thread)))
        if state.faults.refusal and not thread.done:
            answer = self._ask(state, thread.saga, t.Rejected(*at, "no"))
            fewer = _spend(state, "refusal")
            after = _with(fewer, thread.saga, answer, threads=_less(state.threads, thread))
            yield Move(f"{what} rejected", after, True)

    def _effect(self, state: FamilyState, thread: Thread, what: str) -> Iterator[Move]:
        ledger = list(state.ledger)
        done, undone, net = ledger[thread.saga - 1]
        if thread.undo:
            ledger[thread.saga - 1] = Account(done, 1, net if undone else net - done)
        elif not undone:
            ledger[thread.saga - 1] = Account(1, undone, net if done else net + 1)
        threads = tuple(sorted([*_less(state.threads, thread), thread._replace(done=True)]))
        yield Move(f"{what} effect", state._replace(ledger=tuple(ledger), threads=threads))

    def _die(self, state: FamilyState) -> Iterator[Move]:
        if state.dead:
            after = state._replace(dead=False)
            for number in range(MAX_ROUND + 1):
                if _rows(after, number) is not None:
                    after = _with(after, number, self._ask(after, number, t.WorkerLost(WORKER)))
            yield Move("found dead", after)
        elif state.faults.crash and (state.threads or state.errand):
            yield Move("crash", _spend(state, "crash")._replace(threads=(), errand=False, dead=True), True)

    # -- telling ------------------------------------------------------------------------------------------------

    def _store(self, state: FamilyState) -> Store:
        """As much of a store as `news` reads: all rows at one moment."""

        def load(ids: Collection[UUID]) -> dict[UUID, Any]:
            found = {key: (self.numbers[key], _rows(state, self.numbers[key])) for key in ids}
            return {key: self.tables[number].thaw(rows) for key, (number, rows) in found.items() if rows is not None}

        def texts(ids: Collection[UUID]) -> dict[UUID, Any]:
            return {key: SimpleNamespace(context="{}") for key in ids}

        return cast(Store, SimpleNamespace(load=load, texts=texts))

    def _tell(self, state: FamilyState) -> Iterator[Move]:
        if state.errand:
            found = [(self.numbers[n.saga_id], n.trigger) for n in news(self._store(state), [Errand(PARENT, "c")])]
            told = tuple(sorted({*state.told, *found}, key=repr))
            yield Move("news is worked out", state._replace(errand=False, told=told))
            if state.faults.post:
                yield Move("errand is lost", _spend(state, "post")._replace(errand=False), True)
        for number, trigger in state.told:
            rest = tuple(one for one in state.told if one != (number, trigger))
            answer = self._ask(state, number, trigger)
            what = f"{_name(number)} is told {trigger.kind}{' LATE' if answer.ignored else ''}"
            yield Move(what, _with(state, number, answer, told=rest))
            if state.faults.post:
                yield Move(f"{what}, to be told again", _with(_spend(state, "post"), number, answer), True)
                yield Move(f"{what} NOT", _spend(state, "post")._replace(told=rest), True)

    # -- people -------------------------------------------------------------------------------------------------

    def _operate(self, state: FamilyState) -> Iterator[Move]:
        if state.parent.steps[1].waits is Wait.SIGNAL:
            yield Move("signal", _with(state, 0, self._ask(state, 0, t.Signal("go", "yes"))))
        if not state.faults.operator:
            return
        for number in range(MAX_ROUND + 1):
            for trigger in self.wishes if not number else (t.Compensate("op"), t.Retry("op")):
                if isinstance(trigger, t.Rewind) and state.parent.steps[0].round == MAX_ROUND:
                    continue
                yield from self._wish(state, number, trigger)

    def _wish(self, state: FamilyState, number: int, trigger: t.OperatorTrigger) -> Iterator[Move]:
        if _rows(state, number) is None:
            return
        try:
            check_parent(self._store(state), self.tables[number].id, trigger)
            answer = self._ask(state, number, trigger)
        except TransitionNotAllowedError:
            return
        if not answer.ignored:
            yield Move(f"op {trigger.kind} {_name(number)}", _with(_spend(state, "operator"), number, answer), True)

    # -- what must never be -------------------------------------------------------------------------------------

    def wrong(self, state: FamilyState) -> Iterator[str]:
        """I8 to I10 over the family: what the parent's rows say of a child is so."""
        step, net = state.parent.steps[0], [account.net for account in state.ledger]
        here = net[step.round - 1]
        if step.status in RESOLVED and here:
            yield f"I10 the step is {step.status}, but its child's effect is there"
        if step.status is StepStatus.COMPLETED and state.parent.state is not SagaState.COMPENSATING and here != 1:
            yield "I9 the step is completed, its child's effect is not there"
        if any(net[: step.round - 1]):
            yield "I9 the effect of an earlier round's child is left"
        for number, rows in enumerate(state.children, start=1):
            alive = rows is not None and rows.state not in TERMINAL
            if alive and (number < step.round or step.status in RESOLVED):
                yield "I8 a child goes on that nobody waits for"
            if rows is not None and len(rows.steps) > 1 and rows.steps[1].executed:
                if rows.steps[1].status not in EXECUTED or net[number - 1] != 1:
                    yield "PIVOT undone behind the point of no return"


def _rows(state: FamilyState, number: int) -> Frozen | None:
    return state.children[number - 1] if number else state.parent


def _name(number: int) -> str:
    return f"child {number}" if number else "parent"


def _spend(state: FamilyState, sort: str) -> FamilyState:
    return state._replace(faults=state.faults._replace(**{sort: getattr(state.faults, sort) - 1}))


def _less(threads: tuple[Thread, ...], gone: Thread) -> tuple[Thread, ...]:
    return tuple(thread for thread in threads if thread != gone)


def _with(state: FamilyState, number: int, answer: Answer, **changes: Any) -> FamilyState:
    """The rows after the decision, and whether it has to be followed by telling somebody."""
    before = _rows(state, number)
    if number:
        children = list(state.children)
        children[number - 1] = answer.rows
        state = state._replace(children=tuple(children))
    else:
        state = state._replace(parent=answer.rows)
    ended = bool(number) and answer.rows.state in TERMINAL and before is not None and answer.rows != before
    return state._replace(errand=state.errand or ended or bool(answer.errands), **changes)
