"""A step and its child saga: what each makes of what it hears of the other."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sagas.core import triggers as t
from sagas.core.audit import audit
from sagas.core.children import child_id
from sagas.core.errors import TransitionNotAllowedError
from sagas.core.graph import Graph
from sagas.core.plan import compensation_plan
from sagas.core.readiness import RECHECK
from sagas.core.states import Hold, SagaState, StepStatus, Wait

from .build import SAGA, Driver, child, gate, line, spec

S = SagaState


def waiting(*more: Any, rollback: bool = True) -> Driver:
    """A saga that waits for the child of its first step."""
    driver = Driver(Graph([child("a"), *more]), rollback=rollback)
    driver.end(t.ChildStarted, driver.look()[0])
    assert (driver.steps[0].status, driver.steps[0].waits) == (StepStatus.WAITING, Wait.CHILD)
    return driver


def told(driver: Driver, state: SagaState, *, number: int = 1, refused: bool = False) -> str:
    """The child has ended; why that was ignored."""
    return driver.ask(t.ChildEnded("a", number, state, "no", "why", refused)).ignored


def lawful(driver: Driver) -> bool:
    return audit(driver.saga, driver.steps, driver.history) == []


def test_child_id__is_the_same_for_the_same_and_sorts_with_the_parent():
    parent = UUID(int=2**127 + 5)
    ids = [child_id(parent, "a", 1), child_id(parent, "a", 2), child_id(parent, "b", 1), child_id(SAGA, "a", 1)]

    assert child_id(parent, "a", 1) == ids[0]
    assert len(set(ids)) == 4
    assert ids[0].bytes[:6] == parent.bytes[:6]


def test_waiting__is_looked_at_again_soon():
    driver = waiting()

    driver.now += RECHECK
    assert driver.ask(t.Look(sweep=True)).errands == [0]
    assert driver.saga.wake_at == driver.now + RECHECK


def test_child_started__in_a_rollback__does_not_count():
    driver = Driver(Graph([child("a")]))
    claim = driver.look()[0]
    driver.ask(t.Compensate())

    assert driver.end(t.ChildStarted, claim).ignored
    driver.end(t.HandedBack, claim)
    assert (driver.state, driver.steps[0].status) == (S.COMPENSATED, StepStatus.CANCELLED)


def test_child_ended__badly__is_in_doubt_and_held_while_going_forward():
    driver = waiting(spec("b", 0))

    assert told(driver, S.FAILED) == ""
    step = driver.steps[0]
    assert (step.status, step.hold, step.doubt) == (StepStatus.UNKNOWN, Hold.CHILD, True)
    assert told(driver, S.FAILED)
    assert told(driver, S.COMPLETED) == ""
    assert (driver.steps[0].status, driver.steps[0].doubt, driver.saga.attention) == (StepStatus.COMPLETED, False, "")
    assert lawful(driver)


def test_child_ended__badly_in_a_rollback__is_undone_without_asking_anybody():
    driver = waiting()
    assert driver.ask(t.Cancel()).errands == [0]

    told(driver, S.FAILED)
    step = driver.steps[0]
    assert (step.status, step.hold, step.waits) == (StepStatus.COMPENSATING, Hold.NONE, Wait.CHILD)
    assert told(driver, S.COMPENSATED) == ""
    assert driver.state is S.COMPENSATED
    assert lawful(driver)


def test_child_ended__of_another_round__does_not_count():
    driver = waiting()

    assert told(driver, S.COMPLETED, number=2) == "the step has been opened anew since"
    assert driver.ask(t.ChildEnded("nobody", 1, S.COMPLETED)).ignored == "there is no such step"


def test_child_ended__told_twice_while_it_is_undone__is_no_refusal():
    driver = waiting(gate("b", 0, wait_for="go"))
    told(driver, S.COMPLETED)
    driver.ask(t.Compensate())
    assert driver.steps[0].status is StepStatus.COMPENSATING

    assert told(driver, S.COMPLETED) == "its child saga is not undone yet"
    assert told(driver, S.COMPLETED, refused=True) == ""
    assert (driver.steps[0].status, driver.steps[0].hold) == (StepStatus.COMPENSATION_FAILED, Hold.DEBT)
    driver.ask(t.Retry())
    assert (driver.steps[0].status, driver.steps[0].waits) == (StepStatus.COMPENSATING, Wait.CHILD)


def test_not_rolled_back__ends_when_its_child_has():
    driver = Driver(Graph([child("a"), spec("b")]), rollback=False)
    nested, other = driver.look()
    driver.end(t.ChildStarted, nested)

    driver.end(t.Rejected, other)
    assert driver.state is S.STARTED
    told(driver, S.FAILED)
    assert (driver.state, driver.steps[0].status, driver.steps[0].hold) == (S.FAILED, StepStatus.UNKNOWN, Hold.NONE)


def test_paused__the_undo_of_a_child_does_not_begin():
    driver = waiting(spec("b", 0))
    told(driver, S.COMPLETED)
    claim = driver.look()[0]
    driver.ask(t.Cancel())
    driver.ask(t.Pause())
    driver.end(t.Rejected, claim)
    assert driver.steps[0].status is StepStatus.COMPLETED

    assert driver.ask(t.Resume()).errands == [0]
    assert driver.steps[0].status is StepStatus.COMPENSATING


def test_retry_and_skip__of_a_step_whose_child_failed():
    driver = waiting(gate("b", 0, wait_for="go"))
    told(driver, S.FAILED)

    with pytest.raises(TransitionNotAllowedError):
        driver.ask(t.Retry())
    driver.ask(t.Skip("op", "why", None, 0))
    assert (driver.steps[0].status, driver.steps[0].doubt) == (StepStatus.COMPLETED, True)


def test_skip__of_a_child_that_runs__counts_as_done_in_doubt():
    driver = waiting(gate("b", 0, wait_for="go"))

    driver.ask(t.Skip("op", "why", None, 0))

    assert (driver.steps[0].status, driver.steps[0].doubt, driver.steps[0].waits) == (
        StepStatus.COMPLETED, True, Wait.NONE,
    )  # fmt: skip


def test_plan__names_the_child():
    driver = waiting()

    (planned,) = compensation_plan(driver.saga, driver.steps).undo
    assert (planned.step, planned.compensation, planned.running) == ("a", "saga:a_saga", True)


def test_audit__an_undo_of_a_child_out_of_order_is_found():
    driver = waiting(spec("b", 0))
    told(driver, S.COMPLETED)
    driver.end(t.Completed, driver.look()[0])
    found = Driver(driver.graph)
    found.saga, found.steps, found.history = driver.saga, driver.steps, list(driver.history)
    entry = driver.history[-1]
    assert entry.data is not None
    entry.data.update(state="compensating")
    entry.data["steps"]["0"] = {"status": "compensating", "waits": "child"}

    assert any(violation.invariant == "I7" for violation in audit(found.saga, found.steps, found.history))


@pytest.mark.parametrize("state", [S.STARTED, S.COMPLETED, S.FAILED])
def test_parent_undoes__whatever_state_it_is_in(state: SagaState):
    driver = Driver(line(2), rollback=False)
    driver.end(t.Completed, driver.claim())
    if state is not S.STARTED:
        driver.end(t.Completed if state is S.COMPLETED else t.Rejected, driver.claim())
    assert driver.state is state

    assert driver.ask(t.ParentUndoes("cancel", "why")).ignored == ""
    assert driver.state is S.COMPENSATING
    assert driver.ask(t.ParentUndoes("cancel", "why")).ignored == "it is compensating already"
    assert lawful(driver)


def test_parent_undoes__behind_the_point_of_no_return__changes_nothing():
    driver = Driver(Graph([spec("a", pivot=True)]))
    driver.end(t.Completed, driver.claim())

    assert driver.ask(t.ParentUndoes()).ignored == "it is behind its point of no return"
    assert driver.state is S.COMPLETED
