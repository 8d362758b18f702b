"""Fixtures of the API's tests: callers, and sagas in the states that the tests need."""

from collections.abc import Callable

import pytest

from sagas.core.states import SagaState, StepStatus
from sagas.models import Saga
from tests.api import definitions  # noqa: F401  (registers them)
from tests.api.people import Caller, person


@pytest.fixture
def owner(db: None) -> Caller:
    return Caller("owner")


@pytest.fixture
def boss(db: None) -> Caller:
    return Caller("boss")


@pytest.fixture
def stranger(db: None) -> Caller:
    return Caller(None)


@pytest.fixture
def started(db: None) -> Callable[..., Saga]:
    """Starts a saga that belongs to a role."""

    def start(name: str = "api_open", *, role: str = "owner") -> Saga:
        return Saga.objects.start(name, owner=person(role).username)

    return start


@pytest.fixture
def failed(started: Callable[..., Saga]) -> Saga:
    """One that ended without being undone: it can be compensated, and retried."""
    saga = started()
    saga.steps.filter(position=0).update(status=StepStatus.COMPLETED, output={"done": True})
    saga.steps.filter(position=1).update(status=StepStatus.FAILED, error_code="sold_out", error_message="no more of it")
    Saga.objects.filter(pk=saga.pk).update(
        state=SagaState.FAILED, rollback=False, wake_at=None, completed_at=saga.created_at
    )
    saga.refresh_from_db()
    return saga
