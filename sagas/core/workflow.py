"""A saga's status in the words of the workflow tutorial: read only, worked out from state, pause and attention."""

from __future__ import annotations

from enum import StrEnum

from .states import ALIVE, SagaState


class WorkflowStatus(StrEnum):
    """The tutorial's words."""

    #: Going forward, or being rolled back.
    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    #: Ended, and not undone.
    FAILED = "FAILED"
    #: Ended, and everything that was executed is undone.
    FAILED_ROLLED_BACK = "FAILED_ROLLED_BACK"
    #: Paused, or waiting for a person.
    PAUSED = "PAUSED"


_ENDED = {
    SagaState.COMPLETED: WorkflowStatus.COMPLETED,
    SagaState.FAILED: WorkflowStatus.FAILED,
    SagaState.COMPENSATED: WorkflowStatus.FAILED_ROLLED_BACK,
}


def workflow_status(state: str, *, paused: bool, attention: str) -> WorkflowStatus:
    """The tutorial's word for a saga in this state; one that has ended waits for nobody."""
    known = SagaState(state)
    if known in ALIVE:
        return WorkflowStatus.PAUSED if paused or attention else WorkflowStatus.ACTIVE
    return _ENDED[known]
