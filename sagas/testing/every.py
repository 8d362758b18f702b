"""`fail_every_step`: one saga, once per step and way of failing, and the books must balance each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.audit import audit
from ..core.audit_family import audit_children
from ..core.graph import Graph, StepSpec
from ..core.states import ALIVE, TERMINAL, Hold, SagaState
from ..definitions.definition import SagaDefinition
from ..exceptions import Rejected, SagaError
from .faults import CrashAfter, CrashBefore, Failure, Failures, Frozen, Timeout
from .isolation import rolled_back
from .repeats import Repeater
from .run import SagaRun
from .view import SagaView

_SAID = "as fail_every_step wished"
_GONE = "the fault is gone"


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which a step can fail, with a name for the report."""

    name: str
    #: As in `run_saga(fail={step: …})`.
    failure: Failure | Sequence[Failure | None]


#: The business says no; no answer at all, until the budget is spent; done, but too late, until the budget is spent;
#: dead before and after the effect, once.
WAYS = (
    Way("rejected", Rejected(_SAID, code="simulated")),
    Way("exception", RuntimeError(_SAID)),
    Way("timeout", Timeout()),
    Way("crash before the effect", [CrashBefore()]),
    Way("crash after the effect", [CrashAfter()]),
)
#: A process freezes before the effect; its work is taken over and undone; then it thaws, and does what was undone
#: already. Participants need a fence to bear that.
FROZEN = Way("frozen before the effect, thawed at the end", [Frozen(), Rejected(_SAID, code="simulated")])


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of the saga."""

    #: The step that was made to fail ("ship/label": a child saga's); empty in the first run, in which nothing was.
    step: str
    #: Its compensation failed, not its action.
    undo: bool
    #: The name of the way.
    way: str
    #: Whether it came to that: False when the saga never called the step.
    happened: bool
    #: Where the saga ended.
    state: str

    def __str__(self) -> str:
        what = f"{self.step}.undo" if self.undo else self.step or "every step"
        return f"{what}: {self.way}: {self.state}{'' if self.happened else ' (never called)'}"


@dataclass(frozen=True, slots=True)
class Report:
    """What `fail_every_step` has tried. `print(report)` shows it."""

    trials: tuple[Trial, ...]

    def __len__(self) -> int:
        return len(self.trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    @property
    def count(self) -> int:
        """How many runs."""
        return len(self.trials)

    @property
    def not_reached(self) -> tuple[Trial, ...]:
        """Runs in which the step was never called, so that they show nothing about it: use another context."""
        return tuple(trial for trial in self.trials if not trial.happened)

    def __str__(self) -> str:
        return "\n".join(map(str, self.trials))


@dataclass(frozen=True, slots=True)
class _Case:
    """What one trial does."""

    step: str
    undo: bool
    way: str
    fail: Failures
    #: Why the saga rolls back, where a compensation shall fail.
    because: str = ""
    #: Roll back as an operator would, while the step's action runs.
    by_operator: bool = False

    def __str__(self) -> str:
        if not self.step:
            return self.way
        what = f"the compensation of {self.step}" if self.undo else self.step
        return f"{what} fails: {self.way}{self.because}"


def fail_every_step(
    definition: str | type[SagaDefinition],
    context: Mapping[str, Any] | None = None,
    *,
    invariant: Callable[[SagaRun], object] | None = None,
    ways: Sequence[Way] = WAYS,
    reset: Callable[[], object] | None = None,
    **options: Any,
) -> Report:
    """Run a saga in memory once as it is, then once per step and way of failing; then the same for each compensation,
    while something else makes the saga roll back. The steps of child sagas are among them. Every message (hint, result,
    news between parent and child) is submitted twice.

    After each run the saga must have ended (what is held for a person is retried first, with the fault gone), its
    history must be lawful, and `invariant(run)` must hold: it raises, or returns False, when it does not.

    `ways`: `WAYS` (the default), a selection, your own `Way`s; `[*WAYS, FROZEN]` checks the participants' fence too.
    `reset` is called before each run. What handlers write to a database is rolled back after each run where the test
    is in a transaction, as a Django `TestCase` is; elsewhere it stays. `options`: those of `Saga.objects.start`.

    Returns a `Report`. Raises AssertionError naming the step, the way and the history of the first run that fails.
    """
    given = {"context": context, **options}
    trials = []

    def attempt(case: _Case) -> SagaRun:
        with rolled_back():
            if reset is not None:
                reset()
            run = SagaRun(definition, given, case.fail)
            trials.append(_try(run, case, invariant))
        return run

    first = attempt(_Case("", False, "nothing fails", {}))
    for case in _cases(list(_places(first)), ways):
        attempt(case)
    return Report(tuple(trials))


@dataclass(frozen=True, slots=True)
class _Place:
    """One step of the family, as the first run has shown it."""

    #: What stands before the names of its saga's steps.
    path: str
    graph: Graph
    position: int
    #: The steps that wait for its saga, the nearest last.
    above: tuple[_Place, ...]

    @property
    def spec(self) -> StepSpec:
        return self.graph.steps[self.position]

    @property
    def name(self) -> str:
        return self.path + self.spec.name


def _places(view: SagaView, above: tuple[_Place, ...] = ()) -> Iterator[_Place]:
    """Every step, each child saga's behind the step that has started it. A list's join calls nobody."""
    children = view.children
    for position, spec in enumerate(view.graph.steps):
        if spec.join:
            continue
        place = _Place(view.rig.path(view.id), view.graph, position, above)
        yield place
        if spec.name in children:
            yield from _places(children[spec.name], (*above, place))


def _cases(places: Sequence[_Place], ways: Sequence[Way]) -> Iterator[_Case]:
    for place in places:
        for way in ways:
            yield _Case(place.name, False, way.name, {place.name: way.failure})
    for place in places:
        for way in ways if place.spec.compensation else ():
            yield _undo_case(place, way)


def _undo_case(place: _Place, way: Way) -> _Case:
    """A failure behind the step rolls it back; behind the last one there is none, so an operator does."""
    fail: dict[str, Any] = {f"{place.name}.undo": way.failure}
    culprit = _behind(place)
    if culprit:
        fail[culprit] = Rejected(_SAID, code="simulated")
        return _Case(place.name, True, way.name, fail, f" (the saga rolls back because {culprit} is rejected)")
    because = " (an operator rolls the saga back while the step runs)"
    return _Case(place.name, True, way.name, fail, because, by_operator=True)


def _behind(place: _Place) -> str:
    """A step that comes later, in its own saga or in one above it; empty when there is none."""
    for one in (place, *reversed(place.above)):
        for behind in one.graph.reverse:
            spec = one.graph.steps[behind]
            if one.position in one.graph.ancestors[behind] and spec.does and not spec.join:
                return one.path + spec.name
    return ""


def _try(run: SagaRun, case: _Case, invariant: Callable[[SagaRun], object] | None) -> Trial:
    repeater = Repeater(run.rig)
    try:
        _play(run, case)
        repeater.all_again()
        _check_engine(run, repeater)
        _check(run, invariant)
    except Exception as exc:
        raise AssertionError(_complaint(run, case, exc)) from exc
    calls = run.undo_called if case.undo else run.called
    return Trial(case.step, case.undo, case.way, not case.step or case.step in calls, run.state)


def _play(run: SagaRun, case: _Case) -> None:
    """To its end; what waits for a person gets one, and finds the fault gone."""
    if case.by_operator:
        _roll_back_while_running(run, case.step)
    run.finish().heal()
    if run.state not in TERMINAL:
        _retry(run)
        run.finish()
    run.thaw().finish()


def _retry(run: SagaRun) -> None:
    """What is held, the children first: a step that waits for its child goes on with it."""
    stuck = [one for one in run.family() if one.state in (SagaState.FAILED, *ALIVE) and one.attention != Hold.CHILD]
    retried = False
    for one in reversed([one for one in stuck if one.attention or one.state == SagaState.FAILED]):
        one.retry(_GONE)
        retried = True
    if not retried:
        run.retry(_GONE)


def _roll_back_while_running(run: SagaRun, step: str) -> None:
    while run.rig.fill(waits=True):
        if any(run.rig.name_of(attempt) == step and not attempt.claim.undo for attempt in run.rig.queue):
            run.compensate("while it runs")
            return
        run.next_step()


def _check_engine(run: SagaRun, repeater: Repeater) -> None:
    problems = list(repeater.problems)
    rows = run.store.load(run.store.sagas)
    for one in run.family():
        problems += map(str, audit_children(*rows[one.id], one.history, rows))
        found, name = run.store.sagas[one.id], run.rig.path(one.id)[:-1]
        what = f"its child {name!r}" if name else "the saga"
        problems += [f"{what}: {each}" if name else str(each) for each in audit(found.saga, found.steps, one.history)]
        if found.saga.state not in TERMINAL:
            problems.append(f"{what} has not ended, though an operator has retried it")
        if found.saga.attention:
            problems.append(f"a person must look at {what}: {found.saga.attention}")
    if problems:
        raise AssertionError("\n".join(problems))


def _check(run: SagaRun, invariant: Callable[[SagaRun], object] | None) -> None:
    if invariant is None:
        return
    found = invariant(run)
    # A list of what is wrong would be true, and pass for "it holds": only these two words are taken.
    if found is not None and found is not True:
        name = getattr(invariant, "__name__", "invariant")
        raise AssertionError(f"{name} does not hold: expected True or None from it, got {found!r}")


def _complaint(run: SagaRun, case: _Case, exc: Exception) -> str:
    what = str(exc) if isinstance(exc, (AssertionError, SagaError)) else f"{type(exc).__name__}: {exc}"
    return (
        f"{run.name} breaks when {case}\n\n{what or type(exc).__name__}\n\n"
        f"The saga is {run.state}. What happened:\n{run.story}"
    )
