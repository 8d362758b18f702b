"""What runs beside the part of a saga that is rewound."""

import pytest

from sagas.core import triggers as t
from sagas.core.audit import audit
from sagas.core.states import SagaState, StepStatus

from .build import ANNA, Driver, side_by_side


@pytest.mark.parametrize("kind", [t.HandedBack, t.NoCode])
def test_rewind__a_step_beside_it_that_was_given_back__is_run_after_it(kind: type[t.AttemptTrigger]) -> None:
    """Found by the random families: it was cancelled, and the saga was neither complete nor failing, for ever."""
    driver = Driver(side_by_side(2))
    first, beside = driver.look()
    driver.end(t.Completed, first)
    driver.ask(t.Rewind("op", "why", position=0))

    driver.end(kind, beside)
    driver.run(t.Completed)  # undone

    assert driver.state is SagaState.STARTED
    assert driver.statuses == [StepStatus.PENDING, StepStatus.PENDING]
    driver.run(t.Completed, t.Completed)
    assert driver.state is SagaState.COMPLETED
    assert audit(driver.saga, driver.steps, driver.history) == []


def test_rewind__a_step_beside_it_whose_atomic_attempt_was_lost__is_run_after_it() -> None:
    driver = Driver(side_by_side(2, atomic=True))
    first, _ = driver.look()
    driver.end(t.Completed, first)
    driver.ask(t.Rewind("op", "why", position=0))

    driver.ask(t.WorkerLost(ANNA))
    driver.run(t.Completed, t.Completed, t.Completed)

    assert driver.state is SagaState.COMPLETED


def test_rewind__a_step_beside_it_that_ended_in_doubt__is_rolled_back_at_once() -> None:
    """Nobody would have looked for a quarter of an hour: going forward there was nothing to do."""
    driver = Driver(side_by_side(2))
    first, _ = driver.look()
    driver.end(t.InDoubt, first, thread_alive=True)
    driver.ask(t.Rewind("op", "why", position=0))
    driver.ask(t.WorkerLost(ANNA))
    assert driver.statuses == [StepStatus.UNKNOWN, StepStatus.UNKNOWN]

    driver.end(t.Completed, driver.claim())

    assert driver.state is SagaState.COMPENSATING
    assert driver.statuses == [StepStatus.CANCELLED, StepStatus.UNKNOWN]
    assert audit(driver.saga, driver.steps, driver.history) == []
    driver.run(t.Completed)
    assert driver.state is SagaState.COMPENSATED
