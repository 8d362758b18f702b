"""POST …/compensate/ and …/retry/: what they do, what they refuse, and what is left in the history."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from sagas.core.states import SagaState, StepStatus
from sagas.exceptions import MAX_MESSAGE
from sagas.models import HistoryEntry, Saga
from tests.api.people import URL, Caller, error_of, names

pytestmark = pytest.mark.django_db

ACTIONS = ("compensate", "retry")


def where(saga: Saga, action: str) -> str:
    return f"{URL}{saga.ulid}/{action}/"


def actors(saga: Saga) -> list[tuple[str, str, str]]:
    entries = HistoryEntry.objects.filter(saga=saga).exclude(reason="")
    return list(entries.values_list("kind", "actor", "reason"))


def test_compensate__answers_with_the_body_as_it_is_then(boss: Caller, failed: Saga) -> None:
    response = boss.post(where(failed, "compensate"), {"reason": "sold twice"})

    assert response.status_code == 200
    body = response.json()
    assert (body["id"], body["state"]) == (failed.ulid, "compensating")
    assert body["revision"] == failed.revision + 1
    assert body == boss.get(f"{URL}{failed.ulid}/").json()
    assert actors(failed) == [("compensate", "boss", "sold twice")]


def test_compensate__nothing_was_executed(boss: Caller, started: Callable[..., Saga]) -> None:
    body = boss.post(where(started(), "compensate"), {"reason": "a mistake"}).json()

    assert body["state"] == "compensated"
    assert names(body["steps"], "status") == ["cancelled", "cancelled"]


def test_compensate__twice_changes_nothing_more(boss: Caller, failed: Saga) -> None:
    first = boss.post(where(failed, "compensate"), {"reason": "once"}).json()

    again = boss.post(where(failed, "compensate"), {"reason": "twice"})

    assert again.status_code == 200
    assert again.json() == first
    assert actors(failed) == [("compensate", "boss", "once")]


def test_compensate__not_what_is_completed(boss: Caller, started: Callable[..., Saga]) -> None:
    saga = started("api_nothing")

    response = boss.post(where(saga, "compensate"), {"reason": "changed my mind"})

    assert response.status_code == 409
    error = error_of(response)
    assert error["code"] == "not_allowed"
    assert error["details"] == {"state": "completed"}
    assert "expected state" in error["message"]
    assert actors(saga) == []


def test_retry__opens_the_failed_step_again(boss: Caller, failed: Saga) -> None:
    response = boss.post(where(failed, "retry"), {"reason": "restocked"})

    assert response.status_code == 200
    body = response.json()
    assert (body["state"], body["completed_at"]) == ("started", None)
    assert names(body["steps"], "status") == ["completed", "pending"]
    assert actors(failed) == [("retry", "boss", "restocked")]


def test_retry__does_not_wait_for_the_next_attempt(boss: Caller, started: Callable[..., Saga]) -> None:
    saga = started()
    saga.steps.filter(position=0).update(due_at=timezone.now() + timedelta(hours=1), tries=1, attempt=1)

    response = boss.post(where(saga, "retry"), {"reason": "now"})

    assert response.status_code == 200
    assert saga.steps.get(position=0).due_at is None


def test_retry__not_what_moves_by_itself(boss: Caller, started: Callable[..., Saga]) -> None:
    response = boss.post(where(started(), "retry"), {"reason": "faster"})

    assert response.status_code == 409
    assert error_of(response)["code"] == "not_allowed"


@pytest.mark.parametrize("action", ACTIONS)
def test_revision__that_was_looked_at(boss: Caller, failed: Saga, action: str) -> None:
    stale = {"reason": "as I saw it", "expected_revision": failed.revision + 1}

    refused = boss.post(where(failed, action), stale)
    accepted = boss.post(where(failed, action), stale | {"expected_revision": failed.revision})

    assert refused.status_code == 409
    error = error_of(refused)
    assert (error["code"], error["details"]) == ("moved", {"revision": failed.revision})
    assert accepted.status_code == 200
    assert len(actors(failed)) == 1


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": " \t\n"}, "reason"),
        ({"reason": None}, "reason"),
        ({"reason": 1}, "reason"),
        ({"reason": ["x"]}, "reason"),
        ({"reason": "r" * (MAX_MESSAGE + 1)}, "reason"),
        ({"reason": "r", "expected_revision": "1"}, "expected_revision"),
        ({"reason": "r", "expected_revision": 1.0}, "expected_revision"),
        ({"reason": "r", "expected_revision": True}, "expected_revision"),
        ({"reason": "r", "expected_revision": 0}, "expected_revision"),
        ({"reason": "r", "expected_revision": None}, "expected_revision"),
        ({"reason": "r", "actor": "somebody else"}, "actor"),
        ({"reason": "r", "state": "completed"}, "state"),
    ],
)
def test_wish__is_checked(boss: Caller, failed: Saga, action: str, body: Any, field: str) -> None:
    response = boss.post(where(failed, action), body)

    assert response.status_code == 400
    assert list(error_of(response)["details"]) == [field]
    failed.refresh_from_db()
    assert (failed.state, failed.revision) == (SagaState.FAILED, 1)


@pytest.mark.parametrize("action", ACTIONS)
def test_wish__huge_revision_is_just_another(boss: Caller, failed: Saga, action: str) -> None:
    response = boss.post(where(failed, action), {"reason": "r", "expected_revision": 10**300})

    assert response.status_code == 409


@pytest.mark.parametrize("action", ACTIONS)
def test_permission__comes_before_the_body(owner: Caller, failed: Saga, action: str) -> None:
    """Nobody learns the state of a saga by acting on it, nor the form of a wish that they may not have."""
    response = owner.post(where(failed, action), b"{")

    assert response.status_code == 403


@pytest.mark.parametrize("action", ACTIONS)
def test_permission__an_owner_may_have_it(started: Callable[..., Saga], action: str) -> None:
    """Without the right to see all sagas: theirs are enough."""
    mine, theirs = started(role="acting_owner"), started(role="owner")
    for saga in (mine, theirs):
        saga.steps.update(status=StepStatus.FAILED)
    Saga.objects.update(state=SagaState.FAILED, wake_at=None)
    caller = Caller("acting_owner")

    assert caller.post(where(mine, action), {"reason": "mine"}).status_code == 200
    assert caller.post(where(theirs, action), {"reason": "not mine"}).status_code == 404
    assert actors(theirs) == []


def test_get__changes_nothing(boss: Caller, failed: Saga) -> None:
    for action in ACTIONS:
        assert boss.get(where(failed, action)).status_code == 405

    failed.refresh_from_db()
    assert (failed.state, failed.revision) == (SagaState.FAILED, 1)
