"""POST …/restart/: a new saga in the place of one that has ended."""

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse

from sagas.models import Saga
from tests.admin import scenes
from tests.api.people import URL, Caller, error_of

pytestmark = pytest.mark.django_db


def restart(caller: Caller, saga: Saga, key: str = "", **body: Any) -> HttpResponse:
    headers = {"Idempotency_Key": key} if key else {}
    return caller.post(f"{URL}{saga.ulid}/restart/", {"reason": "once more"} | body, **headers)


def test_restart__answers_with_the_new_saga(boss: Caller) -> None:
    saga = scenes.ended(owner="ann", tags=["vip"])

    response = restart(boss, saga, expected_revision=saga.revision)

    assert response.status_code == 201, response.content
    new = Saga.objects.exclude(pk=saga.pk).get()
    assert response["Location"] == f"{URL}{new.ulid}/"
    assert response.json() == boss.get(response["Location"]).json()
    assert (new.name, new.context, new.owner) == (saga.name, saga.context, "ann")
    assert new.tags == ["vip", f"restart-of:{saga.ulid}"]
    assert new.request_id == response["X-Request-ID"]
    entry = saga.history.order_by("-id")[0]
    assert (entry.kind, entry.actor, entry.reason, entry.seq) == ("restart", "boss", "once more", saga.revision + 1)
    assert (scenes.fresh(saga).state, scenes.fresh(saga).completed_at) == (saga.state, saga.completed_at)


def test_restart__with_another_context(boss: Caller) -> None:
    assert restart(boss, scenes.ended(), context={"number": "A-2"}).json()["context"] == {"number": "A-2"}


def test_restart__of_a_revision_starts_one(boss: Caller) -> None:
    saga = scenes.ended()

    codes = [restart(boss, saga, expected_revision=saga.revision).status_code for _ in range(2)]

    assert codes == [201, 409]
    assert Saga.objects.count() == 2


def test_restart__under_an_idempotency_key_starts_one(boss: Caller) -> None:
    saga = scenes.ended()

    first, again = (restart(boss, saga, "k-1", expected_revision=saga.revision) for _ in range(2))
    other = restart(boss, saga, "k-1", context={"number": "A-2"})

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 422)
    assert first.json() == again.json()
    assert Saga.objects.count() == 2
    assert saga.history.filter(kind="restart").count() == 1


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (scenes.started, "expected state completed or compensated, got started; it may still have something to undo"),
        (scenes.failed, "expected state completed or compensated, got failed"),
        (scenes.debt, "expected state completed or compensated, got compensating"),
        (scenes.compensated, "expected a definition 'admin_order', there is none"),
    ],
    ids=["started", "failed", "debt", "of no definition"],
)
def test_restart__not_possible(boss: Caller, made: Callable[[], Saga], why: str) -> None:
    saga = made()

    response = restart(boss, saga)

    assert response.status_code == 409
    error = error_of(response)
    assert (error["code"], error["details"]) == ("not_allowed", {"state": saga.state})
    assert why in error["message"]
    assert Saga.objects.count() == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"reason": ""}, "reason"),
        ({"context": []}, "context"),
        ({"actor": "x"}, "actor"),
        ({"owner": "x"}, "owner"),
        ({"expected_revision": "1"}, "expected_revision"),
    ],
    ids=str,
)
def test_restart__wish_is_checked(boss: Caller, wrong: dict[str, Any], field: str) -> None:
    response = restart(boss, scenes.ended(), **wrong)

    assert (response.status_code, list(error_of(response)["details"])) == (400, [field])
    assert Saga.objects.count() == 1
