"""What a partial rollback opens anew stands before its gate again. Found by the random families: the commit in which
the last undo was recorded claimed the step at once, past its approval or its timer."""

from typing import Any

import pytest

from sagas.core import triggers as t
from sagas.core.graph import Graph
from sagas.core.states import SagaState, StepStatus

from .build import ANNA, Driver, attempt_of, spec


@pytest.mark.parametrize("words", [{"approval": True}, {"delay": 60.0}], ids=str)
def test_rewind__a_step_with_a_gate__waits_there_again_whoever_ends_the_rollback(words: dict[str, Any]) -> None:
    driver = Driver(Graph([spec("a", **words)]))
    _pass_gate(driver)
    claim = driver.claim()
    driver.ask(t.Rewind("op", "why", position=0))

    decision = driver.ask(attempt_of(t.Rejected, claim), driver.offer(ANNA))

    assert driver.state is SagaState.STARTED
    assert driver.steps[0].round == 2
    assert driver.statuses == [StepStatus.WAITING]
    assert decision.claims == []


def _pass_gate(driver: Driver) -> None:
    driver.look()
    if driver.steps[0].due_at is None:
        driver.ask(t.Approve("anna", "why", position=0))
    driver.wait(61)
    driver.ask(t.Look())
