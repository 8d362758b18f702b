"""The tutorial's status words: one for every state, pause and attention."""

from itertools import product

import pytest

from sagas.core.states import Hold, SagaState, is_terminal
from sagas.core.workflow import WorkflowStatus, workflow_status

ENDED = {"completed": "COMPLETED", "failed": "FAILED", "compensated": "FAILED_ROLLED_BACK"}


@pytest.mark.parametrize(("state", "paused", "hold"), [*product(SagaState, [False, True], Hold)])
def test_word__for_every_saga(state: SagaState, paused: bool, hold: Hold) -> None:
    found = workflow_status(state, paused=paused, attention=hold)

    if is_terminal(state):
        assert found == ENDED[state], "what has ended waits for nobody"
    else:
        assert found == ("PAUSED" if paused or hold else "ACTIVE")


def test_words__are_the_tutorials() -> None:
    assert set(WorkflowStatus) == {"ACTIVE", "COMPLETED", "FAILED", "FAILED_ROLLED_BACK", "PAUSED"}


def test_word__of_a_state_as_the_database_has_it() -> None:
    assert workflow_status("started", paused=False, attention="") is WorkflowStatus.ACTIVE
