"""`fail_every_step`: one saga, once per step and way of failing, and the books must balance each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.audit import audit
from ..core.graph import Graph
from ..core.states import TERMINAL
from ..definitions.definition import SagaDefinition
from ..engine.start import prepare
from ..exceptions import Rejected, SagaError
from .faults import CrashAfter, CrashBefore, Failure, Failures, Frozen, Timeout
from .isolation import rolled_back
from .repeats import Repeater
from .run import SagaRun

_SAID = "as fail_every_step wished"


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

    #: The step that was made to fail; empty in the first run, in which nothing was.
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
    while something else makes the saga roll back. Every message (hint, result) is submitted twice.

    After each run the saga must have ended (what is held for a person is retried first, with the fault gone), its
    history must be lawful, and `invariant(run)` must hold: it raises, or returns False, when it does not.

    `ways`: `WAYS` (the default), a selection, your own `Way`s; `[*WAYS, FROZEN]` checks the participants' fence too.
    `reset` is called before each run. What handlers write to a database is rolled back after each run where the test
    is in a transaction, as a Django `TestCase` is; elsewhere it stays. `options`: those of `Saga.objects.start`.

    Returns a `Report`. Raises AssertionError naming the step, the way and the history of the first run that fails.
    """
    given = {"context": context, **options}
    graph = prepare(definition, **given).graph
    trials = []
    for case in _cases(graph, ways):
        with rolled_back():
            if reset is not None:
                reset()
            trials.append(_try(SagaRun(definition, given, case.fail), case, invariant))
    return Report(tuple(trials))


def _cases(graph: Graph, ways: Sequence[Way]) -> Iterator[_Case]:
    yield _Case("", False, "nothing fails", {})
    for spec in graph.steps:
        for way in ways:
            yield _Case(spec.name, False, way.name, {spec.name: way.failure})
    for position, spec in enumerate(graph.steps):
        for way in ways if spec.compensation else ():
            yield _undo_case(graph, position, way)


def _undo_case(graph: Graph, position: int, way: Way) -> _Case:
    """A failure behind the step rolls it back; behind the last one there is none, so an operator does."""
    name = graph.steps[position].name
    fail: dict[str, Any] = {f"{name}.undo": way.failure}
    for behind in graph.reverse:
        if position in graph.ancestors[behind]:
            culprit = graph.steps[behind].name
            fail[culprit] = Rejected(_SAID, code="simulated")
            return _Case(name, True, way.name, fail, f" (the saga rolls back because {culprit} is rejected)")
    because = " (an operator rolls the saga back while the step runs)"
    return _Case(name, True, way.name, fail, because, by_operator=True)


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
    if run.rig.loaded.saga.state not in TERMINAL:
        run.retry("the fault is gone").finish()
    run.thaw().finish()


def _roll_back_while_running(run: SagaRun, step: str) -> None:
    while run.rig.fill(waits=True):
        if any(attempt.spec.name == step and not attempt.claim.undo for attempt in run.rig.queue):
            run.compensate("while it runs")
            return
        run.next_step()


def _check_engine(run: SagaRun, repeater: Repeater) -> None:
    found = run.rig.loaded
    problems = [*map(str, audit(found.saga, found.steps, run.history)), *repeater.problems]
    if found.saga.state not in TERMINAL:
        problems.append("the saga has not ended, though an operator has retried it")
    if found.saga.attention:
        problems.append(f"a person must look at the saga: {found.saga.attention}")
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
