"""Any graph, any outcomes, any faults, in any order: every decision keeps the invariants, and every run ends."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from sagas.core.graph import Graph
from sagas.core.retry import RetryPolicy
from sagas.core.states import EXECUTED, SagaState, StepStatus

from .build import spec
from .simulation import Simulation

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


@ANY
@given(graphs(), SCHEDULES)
def test_no_faults__every_saga_completes_or_is_undone(graph: Graph, schedule: list[int]):
    simulation = Simulation(graph, faults=0)

    run(simulation, schedule)

    held = any(step.status is StepStatus.COMPENSATION_FAILED for step in simulation.driver.steps)
    assert held or simulation.driver.state in (SagaState.COMPLETED, SagaState.COMPENSATED)
