"""Any graph, any outcomes, any faults, in any order: every decision keeps the invariants, and every run ends."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from sagas.core.graph import Graph, Policy, StepSpec
from sagas.core.retry import RetryPolicy
from sagas.core.states import EXECUTED, RESOLVED, SagaState, StepStatus

from .build import gate, spec
from .simulation import Simulation
from .wide_simulation import WideSimulation

ANY = settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
POLICIES = st.builds(
    RetryPolicy, max_attempts=st.integers(1, 3), base=st.sampled_from([0.0, 5.0]), jitter=st.booleans()
)


@st.composite
def graphs(draw: st.DrawFn, most: int = 6) -> Graph:
    """Up to six steps, each waiting for any of those before it; some can not be undone, some are atomic."""
    steps = []
    for number in range(draw(st.integers(1, most))):
        needs = draw(st.sets(st.integers(0, number - 1))) if number else set()
        options: dict[str, Any] = {"retry": draw(POLICIES), "undo_retry": draw(POLICIES), "atomic": draw(st.booleans())}
        if draw(st.integers(0, 4)) == 0:
            options["no_compensation"] = "reads only"
        steps.append(spec("abcdef"[number], *sorted(needs), **options))
    return Graph(steps)


SCHEDULES = st.lists(st.integers(0, 10_000), max_size=80)


@ANY
@given(graphs(), SCHEDULES, st.booleans(), st.integers(0, 12))
def test_any_schedule__every_decision_holds_and_every_run_ends(
    graph: Graph, schedule: list[int], rollback: bool, faults: int
):
    simulation = Simulation(graph, rollback=rollback, faults=faults)

    run(simulation, schedule)

    check_books(simulation)


def run(simulation: Simulation, schedule: list[int]) -> None:
    """To the end; what happened is told with a failure."""
    try:
        simulation.play(schedule)
        simulation.finish()
    finally:
        for step in simulation.driver.graph.steps:
            note(f"{step.name} waits for {step.depends_on}, {step.no_compensation or 'undone'}, atomic={step.atomic}")
        note("\n".join(simulation.log))


def check_books(simulation: Simulation) -> None:
    """I9: what the participants hold in the end is what the saga's rows say."""
    driver, net = simulation.driver, simulation.participant.net
    for step, frozen in zip(driver.steps, driver.graph.steps, strict=True):
        held = net.get(f"{frozen.name}:{step.round}", 0)
        older = [net.get(f"{frozen.name}:{number}", 0) for number in range(1, step.round)]
        assert older == [0] * len(older), "an effect of an earlier round is left"
        if step.status is StepStatus.COMPLETED:
            assert held == 1
        elif step.status not in (*EXECUTED, StepStatus.COMPENSATION_FAILED, StepStatus.COMPENSATING):
            assert held == 0 or step.status in (StepStatus.PENDING, StepStatus.RUNNING), step
    if driver.state is SagaState.COMPLETED:
        assert all(
            simulation.participant.net[f"{s.name}:{r.round}"] == 1
            for s, r in zip(driver.graph.steps, driver.steps, strict=True)
        )


@st.composite
def wide_graphs(draw: st.DrawFn) -> Graph:
    """Steps of every sort, in a line or side by side; at most one of them takes a signal, at most one is a pivot."""
    steps: list[StepSpec] = []
    sorts = st.lists(st.sampled_from(sorted(SORTS)), min_size=1, max_size=4)
    signals = 0
    in_line = draw(st.booleans())
    for number, sort in enumerate(draw(sorts)):
        options = {**SORTS[sort]}
        if sort == "pivot" and not in_line:
            options = {}
        if "wait_for" in options:
            options["wait_for"] = f"signal{signals}"
            signals += 1
        needs = [number - 1] if number and (in_line or draw(st.booleans())) else []
        if "action" in options:
            steps.append(gate("abcdef"[number], *needs, **{k: v for k, v in options.items() if k != "action"}))
            continue
        if draw(st.integers(0, 4)) == 0:
            options["no_compensation"] = "reads only"
        retry, undo_retry = draw(POLICIES), draw(POLICIES)
        steps.append(spec("abcdef"[number], *needs, retry=retry, undo_retry=undo_retry, **options))
    policy = Policy(draw(st.booleans()), draw(st.sampled_from(["rollback", "attention"])), drain=30.0)
    return Graph(steps, policy)


TIMEOUTS = ("fail", "retry", "attention")
#: Words of `StepSpec` by what they make of a step.
SORTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "atomic": {"atomic": True},
    "when": {"when": "x"},
    "for_each": {"for_each": "x"},
    "delay": {"delay": 60.0},
    "timer": {"action": "", "delay": 60.0},
    "until": {"until": "x"},
    "signal": {"action": "", "wait_for": "x"},
    "once": {"at_most_once": True},
    "pivot": {"pivot": True},
    "stops": {"pause_after": True},
    "approved": {"approval": True, "approve_undo": 2},
    **{f"waits, {word}": {"wait_timeout": 60.0, "on_timeout": word} for word in TIMEOUTS},
    **{
        f"signal, {word}": {"action": "", "wait_for": "x", "wait_timeout": 60.0, "on_timeout": word}
        for word in TIMEOUTS
    },
    **{f"approval, {word}": {"approval": True, "wait_timeout": 60.0, "on_timeout": word} for word in TIMEOUTS},
}


@settings(ANY, max_examples=600)
@given(wide_graphs(), st.lists(st.integers(0, 10_000), min_size=20, max_size=80), st.booleans(), st.integers(5, 25))
def test_any_wide_schedule__every_decision_holds_and_every_run_ends(
    graph: Graph, schedule: list[int], rollback: bool, faults: int
):
    simulation = WideSimulation(graph, rollback=rollback, faults=faults)

    run(simulation, schedule)

    check_wide_books(simulation)


def check_wide_books(simulation: WideSimulation) -> None:
    """I9 for those: what is left is left on purpose, and what a person passed over may or may not have happened."""
    driver, net = simulation.driver, simulation.participant.net
    for step, frozen in zip(driver.steps, driver.graph.steps, strict=True):
        keys = [f"{frozen.name}:{number}" for number in range(1, step.round + 1)]
        if frozen.compensation:
            assert all(net.get(key, 0) == 0 or key in simulation.left for key in keys[:-1]), "left of an earlier round"
        held = net.get(keys[-1], 0)
        assert held in (0, 1)
        if step.status is StepStatus.COMPLETED and not step.doubt and frozen.action:
            assert held == 1
        if step.status in RESOLVED and step.status is not StepStatus.COMPENSATION_SKIPPED and not step.hold:
            assert held == 0, step


@ANY
@given(graphs(), SCHEDULES)
def test_no_faults__every_saga_completes_or_is_undone(graph: Graph, schedule: list[int]):
    simulation = Simulation(graph, faults=0)

    run(simulation, schedule)

    held = any(step.status is StepStatus.COMPENSATION_FAILED for step in simulation.driver.steps)
    assert held or simulation.driver.state in (SagaState.COMPLETED, SagaState.COMPENSATED)
