"""POST /sagas/: starting, idempotency, and what can not be started."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.urls import include, path

from sagas.definitions.ids import parse_id
from sagas.models import Saga
from tests.api.people import URL, Caller, error_of

pytestmark = pytest.mark.django_db

#: A host that has the API at two places.
urlpatterns = [
    path("one/", include("sagas.api.urls")),
    path("two/", include("sagas.api.urls", namespace="second")),
]


@pytest.mark.urls("tests.api.test_start")
@pytest.mark.parametrize("home", ["/one/", "/two/"])
def test_start__address_is_where_the_host_has_included_the_api(owner: Caller, home: str) -> None:
    response = owner.post(f"{home}sagas/", {"name": "api_open"})

    assert response["Location"] == f"{home}sagas/{response.json()['id']}/"


def test_start__answers_with_the_body_and_its_address(owner: Caller) -> None:
    response = owner.post(URL, {"name": "api_open", "context": {"sku": "MUG"}})

    assert response.status_code == 201
    body = response.json()
    assert response["Location"] == f"/api/sagas/{body['id']}/"
    assert owner.get(response["Location"]).json() == body
    assert (body["state"], body["revision"], body["context"]) == ("started", 1, {"sku": "MUG"})


def test_start__belongs_to_the_user(owner: Caller) -> None:
    saga = Saga.objects.get(pk=parse_id(owner.start()["id"]))

    assert saga.owner == "owner"
    assert saga.idempotency_key is None


def test_start__without_context(owner: Caller) -> None:
    response = owner.post(URL, {"name": "api_open"})

    assert response.status_code == 201
    assert response.json()["context"] == {}


def test_start__saga_without_steps_is_completed_at_once(owner: Caller) -> None:
    body = owner.start("api_nothing")

    assert (body["state"], body["steps"]) == ("completed", [])
    assert body["completed_at"] is not None


def test_start__repeated_key_finds_the_saga(owner: Caller) -> None:
    wish = {"name": "api_open", "context": {"a": 1, "b": 2}}
    first = owner.post(URL, wish, Idempotency_Key="order-1")

    again = owner.post(URL, {"context": {"b": 2, "a": 1}, "name": "api_open"}, Idempotency_Key="order-1")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again["Location"] == first["Location"]
    assert Saga.objects.count() == 1


def test_start__repeated_key_shows_how_far_the_saga_is(owner: Caller) -> None:
    first = owner.post(URL, {"name": "api_open"}, Idempotency_Key="order-1").json()
    Saga.objects.update(revision=2, attention="crashes")

    again = owner.post(URL, {"name": "api_open"}, Idempotency_Key="order-1").json()

    assert again["id"] == first["id"]
    assert (again["revision"], again["attention"]) == (2, "crashes")


def test_start__repeated_key_with_another_body_is_refused(owner: Caller) -> None:
    owner.post(URL, {"name": "api_open", "context": {"a": 1}}, Idempotency_Key="order-1")

    response = owner.post(URL, {"name": "api_open", "context": {"a": 2}}, Idempotency_Key="order-1")

    assert response.status_code == 422
    assert error_of(response)["code"] == "idempotency_conflict"
    assert Saga.objects.count() == 1


def test_start__keys_of_two_owners_are_two(owner: Caller) -> None:
    first = owner.post(URL, {"name": "api_open"}, Idempotency_Key="order-1")

    second = Caller("other").post(URL, {"name": "api_open", "context": {"x": 1}}, Idempotency_Key="order-1")

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


@pytest.mark.parametrize("key", ["", "   ", "k" * 201, "a\tb", "clé", "\x7f"])
def test_start__unusable_key(owner: Caller, key: str) -> None:
    response = owner.post(URL, {"name": "api_open"}, Idempotency_Key=key)

    assert response.status_code == 400
    error_of(response)
    assert not Saga.objects.exists()


@pytest.mark.parametrize("role", ["owner", "boss"])
@pytest.mark.parametrize("name", ["api_closed", "api_blank", "no_such_thing", "os.system", ""])
def test_start__nothing_by_accident(db: None, role: str, name: str) -> None:
    response = Caller(role).post(URL, {"name": name or "x", "context": {}})

    assert response.status_code == 403
    assert error_of(response)["code"] == "not_startable"
    assert not Saga.objects.exists()


def test_start__refusals_tell_no_names(owner: Caller) -> None:
    """Closed, not permitted and unknown are one answer."""
    answers = {owner.post(URL, {"name": name}).content for name in ("api_closed", "api_guarded", "nothing")}

    assert len(answers) == 1
    assert b"api_" not in answers.pop()


@pytest.mark.parametrize(("role", "expected"), [("owner", 403), ("viewer", 201), ("boss", 201)])
def test_start__by_permission(db: None, role: str, expected: int) -> None:
    assert Caller(role).post(URL, {"name": "api_guarded"}).status_code == expected


#: Everything a model has and a client must not set.
FOREIGN = {
    "id": str(uuid.uuid4()),
    "pk": 1,
    "state": "completed",
    "revision": 7,
    "owner": "boss",
    "version": "9",
    "attention": "x",
    "priority": 5,
    "idempotency_key": "k",
    "rollback": False,
    "steps": [],
    "tags": ["t"],
    "deadline": 1,
    "request_id": "r",
    "subject": 1,
    "wake_at": None,
    "__class__": "x",
}


@pytest.mark.parametrize("field", sorted(FOREIGN))
def test_start__other_fields_are_refused(owner: Caller, field: str) -> None:
    response = owner.post(URL, {"name": "api_open", "context": {}, field: FOREIGN[field]})

    assert response.status_code == 400
    assert error_of(response)["details"] == {field: ["Unknown field."]}
    assert not Saga.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"name": ["api_open"]}, "name"),
        ({"name": True}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "api_open", "context": None}, "context"),
        ({"name": "api_open", "context": []}, "context"),
        ({"name": "api_open", "context": "{}"}, "context"),
        ({"name": "api_open", "context": 1}, "context"),
    ],
)
def test_start__wrong_fields(owner: Caller, body: Any, field: str) -> None:
    response = owner.post(URL, body)

    assert response.status_code == 400
    assert list(error_of(response)["details"]) == [field]


def test_start__context_over_the_limit(owner: Caller, settings: Any) -> None:
    settings.SAGAS = settings.SAGAS | {"MAX_CONTEXT": 1000}

    fits = owner.post(URL, {"name": "api_open", "context": {"text": "x" * 900}})
    over = owner.post(URL, {"name": "api_open", "context": {"text": "x" * 1000}})

    assert fits.status_code == 201
    assert over.status_code == 400
    assert error_of(over)["code"] == "invalid_payload"
    assert "1000 bytes" in error_of(over)["message"]


@pytest.mark.django_db(transaction=True)
def test_start__works_with_a_transaction_around_every_request(owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's ATOMIC_REQUESTS would put the answer before the commit."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    open_transactions = []
    insert = Saga.objects.start

    def start(*args: Any, **kwargs: Any) -> Saga:
        open_transactions.append(connection.in_atomic_block)
        return insert(*args, **kwargs)

    monkeypatch.setattr(type(Saga.objects), "start", lambda self, *args, **kwargs: start(*args, **kwargs))
    body = owner.start()

    assert open_transactions == [False]
    assert owner.get(f"{URL}{body['id']}/").status_code == 200


def test_start__lock_is_held__conflict_with_the_holders_id(owner: Caller) -> None:
    holder = owner.start("api_locked", order=7)

    response = owner.post(URL, {"name": "api_locked", "context": {"order": 7}})

    assert response.status_code == 409
    error = error_of(response)
    assert (error["code"], error["details"]) == ("lock_held", {"holder": holder["id"]})
