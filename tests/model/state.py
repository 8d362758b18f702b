"""The states of the claim model: values that can be compared and hashed, and how states that only differ in names are
made the same (`canonical`). Nothing here knows a rule."""

from __future__ import annotations

from typing import Any, NamedTuple

#: No thread, no open commit.
NONE: tuple[()] = ()
WORKERS = (0, 1)
#: Sagas that have ended.
ENDED = "CD"
#: Steps with nothing left to undo.
RESOLVED = "xfGk"
#: A claim's token matters only by whether it is the row's: a new one, the row's, one that is no longer the row's.
FRESH, CURRENT, STALE = 2, 1, 0
#: Stages of a thread.
CLAIMED, BEGUN, DONE, REFUSED = 1, 2, 3, 4


class Violation(Exception):
    """A rule that must hold at this very moment does not."""


class ModelStep(NamedTuple):
    """A step. status: p pending, r action runs, c completed, f failed (surely no effect), u unknown, x cancelled,
    k skipped, g undo runs, G compensated, B undo failed (debt)."""

    status: str = "p"
    token: int = 0
    owner: int = -1
    doubt: int = 0
    tries: int = 0

    def normal(self) -> ModelStep:
        """Without what no rule will look at any more."""
        token = CURRENT if self.token else STALE
        if self.status in "prk":
            return ModelStep(self.status, token, self.owner, self.doubt, self.tries)
        return ModelStep(self.status, token, self.owner)

    def swapped(self) -> ModelStep:
        """The same with the workers' names exchanged."""
        return self if self.owner < 0 else self._replace(owner=1 - self.owner)


class Book(NamedTuple):
    """The rows. saga: S started, R rolling back, C completed, D compensated, F failed and not undone."""

    saga: str
    #: A person was asked for.
    attention: int
    steps: tuple[Any, ...]


class Account(NamedTuple):
    """A participant's memory of one step: do key seen, undo key seen, net effect."""

    done: int = 0
    undone: int = 0
    net: int = 0


class Thread(NamedTuple):
    """One attempt inside a worker; phase: d the action, u its undo."""

    step: int
    phase: str
    token: int
    stage: int


class OpenCommit(NamedTuple):
    """A commit whose answer was lost. kind: claim, result."""

    kind: str
    step: int
    phase: str
    token: int
    outcome: str
    #: The saga's revision is another one than before this commit.
    moved: bool


class WorkerState(NamedTuple):
    """A worker process. mode: A alive, F frozen, X dead."""

    mode: str = "A"
    judged_dead: int = 0
    slot: Any = NONE
    #: A timed-out attempt whose thread still runs.
    zombie: Any = NONE
    open_commit: Any = NONE
    #: It was frozen for longer than its lease while it had something in hand.
    lapsed: int = 0


class Budget(NamedTuple):
    """How many faults of each sort may still happen."""

    #: Crashes and freezes.
    crash: int = 1
    #: Hints lost or delivered twice.
    hint: int = 1
    operator: int = 1
    timeout: int = 1
    ambiguous: int = 1
    #: Live workers taken for dead.
    suspicion: int = 0


class State(NamedTuple):
    """Everything: the rows, the participants, the workers, the broker, and the faults that are left."""

    book: Any
    ledger: tuple[Account, ...]
    workers: tuple[WorkerState, WorkerState]
    hints: int
    budget: Budget


def with_worker(state: State, number: int, **changes: Any) -> State:
    """The state with one worker changed; a lapsed lease is forgotten with the last thing in hand."""
    worker = state.workers[number]._replace(**changes)
    if worker.lapsed and not (worker.slot or worker.zombie or worker.open_commit):
        worker = worker._replace(lapsed=0)
    return state._replace(workers=(worker, state.workers[1]) if number == 0 else (state.workers[0], worker))


def with_step(state: State, number: int, **changes: Any) -> State:
    """The state with one step changed."""
    steps = list(state.book.steps)
    steps[number] = steps[number]._replace(**changes)
    return state._replace(book=state.book._replace(steps=tuple(steps)))


def spend(state: State, fault: str) -> State:
    """The state with one fault fewer to come."""
    left = getattr(state.budget, fault)
    return state._replace(budget=state.budget._replace(**{fault: left - 1}))


def moved(state: State, but: int | None = None) -> State:
    """The saga changed: every other worker with an open commit would see a revision that has moved."""
    for number in WORKERS:
        commit = state.workers[number].open_commit
        if commit and number != but:
            state = with_worker(state, number, open_commit=commit._replace(moved=True))
    return state


def claim_of(state: State, number: int, but: tuple[int, int] | None = None) -> Thread | None:
    """A claim that the rows hold in the worker's name, but for this (step, token); as the thread that would run it."""
    for position, step in enumerate(state.book.steps):
        if step.owner == number and step.token and (position, step.token) != but:
            return Thread(position, "d" if step.status == "r" else "u", step.token, CLAIMED)
    return None


def forgotten(state: State, number: int) -> Thread | None:
    """A claim in the worker's name although nothing in the worker runs it."""
    worker = state.workers[number]
    return None if worker.slot or worker.open_commit else claim_of(state, number)


def normal(state: State) -> State:
    """Tokens to current or stale, dead columns to zero. After the saga's end no fault changes a row."""
    steps = state.book.steps
    workers = tuple(_normal_worker(worker, steps) for worker in state.workers)
    book = state.book._replace(steps=tuple(step.normal() for step in steps))
    if book.saga in ENDED:
        return State(book, state.ledger, workers, 0, Budget(0, 0, 0, 0, 0, 0))  # type: ignore[arg-type]
    return State(book, state.ledger, workers, state.hints, state.budget)  # type: ignore[arg-type]


def _normal_worker(worker: WorkerState, steps: tuple[Any, ...]) -> WorkerState:
    if not (worker.slot or worker.zombie or worker.open_commit):
        return worker
    slot, zombie, commit = (_normal_token(thing, steps) for thing in (worker.slot, worker.zombie, worker.open_commit))
    return WorkerState(worker.mode, worker.judged_dead, slot, zombie, commit, worker.lapsed)


def _normal_token(thing: Any, steps: tuple[Any, ...]) -> Any:
    if not thing:
        return thing
    current = thing.token and thing.token == steps[thing.step].token
    return thing._replace(token=CURRENT if current else STALE)


def canonical(state: State) -> State:
    """`normal`, and of the two states that differ by the workers' names only, always the same one."""
    state = normal(state)
    first, second = state.workers
    if first < second:
        return state
    other = _swapped(state)
    return other if second < first else min(state, other)


def _swapped(state: State) -> State:
    steps = tuple(step.swapped() for step in state.book.steps)
    return state._replace(book=state.book._replace(steps=steps), workers=state.workers[::-1])
