"""The plan says what a rollback would undo, and the rollback then undoes just that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas.core import triggers as t
from sagas.core.errors import TransitionNotAllowedError
from sagas.core.graph import Graph
from sagas.core.plan import CompensationPlan, NotUndone, PlannedUndo, compensation_plan
from sagas.core.rows import StepRow
from sagas.core.states import SagaState, StepStatus

from .build import Driver, diamond, line, spec
from .simulation import Simulation
from .test_any_schedule import ANY, SCHEDULES, graphs, run

S = StepStatus


def plan(driver: Driver) -> CompensationPlan:
    return compensation_plan(driver.saga, driver.steps)


def why(found: CompensationPlan) -> dict[str, str]:
    return {kept.step: kept.reason for kept in found.keep}


def test_plan__of_a_fresh_saga_is_empty():
    found = plan(Driver(line(2)))

    assert found == CompensationPlan(
        1,
        (),
        (NotUndone("b", "not executed yet: it is cancelled"), NotUndone("a", "not executed yet: it is cancelled")),
    )


def test_plan__reverse_order_with_branches_side_by_side():
    driver = Driver(diamond())
    driver.run(t.Completed)
    for claim in driver.look():
        driver.end(t.Completed, claim)

    assert [(step.step, step.compensation, step.rank) for step in plan(driver).undo] == [
        ("c", "undo.c", 1),
        ("b", "undo.b", 1),
        ("a", "undo.a", 2),
    ]


def test_plan__running_and_doubtful_steps_are_marked():
    driver = Driver(Graph([spec("a"), spec("b"), spec("c")]))
    first, second, _ = driver.look()
    driver.end(t.InDoubt, first)
    driver.end(t.Unrecorded, second)

    assert {step.step: step for step in plan(driver).undo} == {
        "a": PlannedUndo("a", "undo.a", 1, in_doubt=True),
        "b": PlannedUndo("b", "undo.b", 1, in_doubt=True),
        "c": PlannedUndo("c", "undo.c", 1, running=True),
    }


def test_plan__says_why_a_step_is_kept():
    driver = Driver(Graph([spec("a", no_compensation="reads only"), spec("b", 0), spec("c", 1), spec("d", 2)]))
    driver.run(t.Completed, t.Completed, t.Rejected)

    assert why(plan(driver)) == {
        "d": "it was never executed",
        "c": "it surely had no effect",
        "a": "nothing to undo: reads only",
    }
    driver.run(t.Completed)
    assert why(plan(driver))["b"] == "it is undone already"


def test_plan__a_step_that_can_not_be_undone_takes_no_rank():
    driver = Driver(Graph([spec("a"), spec("b", 0, no_compensation="reads only"), spec("c", 1)]))
    driver.run(t.Completed, t.Completed)
    driver.claim()

    assert [(step.step, step.rank) for step in plan(driver).undo] == [("c", 1), ("a", 2)]


@pytest.mark.parametrize("status", StepStatus)
def test_plan__has_a_word_for_every_status(status: StepStatus):
    driver = Driver(line(1))

    found = compensation_plan(driver.saga, [StepRow(0, status)])

    assert len(found.undo) + len(found.keep) == 1


def test_plan__carries_the_revision_that_it_was_made_for():
    driver = Driver(line(1))
    driver.claim()

    assert plan(driver).revision == driver.saga.revision == 2


@ANY
@given(graphs(), SCHEDULES, st.integers(0, 6))
def test_plan__is_what_compensate_does(graph: Graph, schedule: list[int], faults: int):
    """At any moment of a saga that goes forward: compensate, drain, and see what is undone in which order."""
    simulation = Simulation(graph, rollback=False, faults=faults)
    simulation.play(schedule)
    driver = simulation.driver
    found = plan(driver)
    try:
        simulation.submit(t.Compensate("op"))
    except TransitionNotAllowedError:
        assert driver.state in (SagaState.COMPLETED, SagaState.COMPENSATED)
        return

    entries = len(driver.history)
    run(simulation, [])

    done = [e.position for e in driver.history[entries:] if e.kind == "completed" and e.position is not None]
    undone = [graph.steps[p].name for p in done if driver.steps[p].status is S.COMPENSATED]
    ranks = {step.step: step.rank for step in found.undo}
    sure = {step.step for step in found.undo if not step.running}
    debts = {graph.steps[step.position].name for step in driver.steps if step.status is S.COMPENSATION_FAILED}
    assert set(undone) <= set(ranks)
    if driver.state is SagaState.COMPENSATED:
        assert sure <= set(undone) | debts
    for name in undone:
        spec_ = graph.steps[graph.names[name]]
        for needed in spec_.depends_on:
            before = graph.steps[needed].name
            if before in undone:
                assert undone.index(name) < undone.index(before)
                assert ranks[name] < ranks[before]
