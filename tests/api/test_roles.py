"""Every address, every method, every role."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import get_resolver

from sagas.api import urls
from sagas.models import Saga
from tests.api.people import ROLES, URL, Caller, error_of, person

pytestmark = pytest.mark.django_db

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
CSRF = "c" * 32
START = {"name": "api_open", "context": {}}
ACT = {"reason": "because"}

#: Name of the address → its path and the body that is sent.
ADDRESSES: dict[str, tuple[str, dict[str, object]]] = {
    "saga-list": ("/api/sagas/", START),
    "saga-detail": ("/api/sagas/{id}/", {}),
    "saga-compensate": ("/api/sagas/{id}/compensate/", ACT),
    "saga-retry": ("/api/sagas/{id}/retry/", ACT),
    "schema": ("/api/schema/", {}),
    "unknown": ("/api/sagas/{id}/nothing/", {}),
}

EVERYBODY = dict.fromkeys(ROLES, 200)
SEES_IT = {"owner": 200, "viewer": 200, "compensator": 200, "retrier": 200, "boss": 200}
NOBODY = dict.fromkeys(ROLES, 404)

#: (address, method) → role → status; a role that is not named: 404. What is not here at all: 405.
EXPECTED: dict[tuple[str, str], dict[str, int]] = {
    ("saga-list", "GET"): EVERYBODY,
    ("saga-list", "HEAD"): EVERYBODY,
    ("saga-list", "POST"): dict.fromkeys(ROLES, 201),
    ("saga-detail", "GET"): SEES_IT,
    ("saga-detail", "HEAD"): SEES_IT,
    ("saga-compensate", "POST"): {"owner": 403, "viewer": 403, "compensator": 200, "retrier": 403, "boss": 200},
    ("saga-retry", "POST"): {"owner": 403, "viewer": 403, "compensator": 403, "retrier": 200, "boss": 200},
    ("schema", "GET"): EVERYBODY,
    ("schema", "HEAD"): EVERYBODY,
    **{("unknown", method): NOBODY for method in METHODS},
}


def expected(address: str, method: str, role: str) -> int:
    if (address, method) not in EXPECTED:
        return 405
    return EXPECTED[address, method].get(role, 404)


def test_addresses__all_are_in_the_matrix() -> None:
    assert {pattern.name for pattern in urls.urlpatterns} == set(ADDRESSES)
    assert "sagas-api" in get_resolver().namespace_dict


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("role", ROLES)
def test_matrix(failed: Saga, role: str, address: str) -> None:
    path, body = ADDRESSES[address]
    caller = Caller(role)
    got = {}

    for method in METHODS:
        # Taken back, so that the next method finds what this one found.
        with transaction.atomic():
            response = caller.send(method, path.format(id=failed.ulid), body)
            changed = Saga.objects.count() != 1 or Saga.objects.get().revision != failed.revision
            transaction.set_rollback(True)
        got[method] = response.status_code
        if response.status_code >= 400 and method != "HEAD":
            error_of(response)
        assert changed == (method == "POST" and response.status_code < 300)

    assert got == {method: expected(address, method, role) for method in METHODS}


@pytest.mark.parametrize("address", ADDRESSES)
def test_stranger__gets_a_challenge_everywhere(stranger: Caller, failed: Saga, address: str) -> None:
    path, body = ADDRESSES[address]

    for method in METHODS:
        for saga_id in (failed.ulid, "0" * 26):
            response = stranger.send(method, path.format(id=saga_id), body)

            assert response.status_code == 401
            assert response["WWW-Authenticate"] == "Token"
            if method != "HEAD":
                assert error_of(response)["code"] == "not_authenticated"
    assert Saga.objects.count() == 1


@pytest.mark.parametrize(
    "header",
    ["Token", "Token x", "Token a b", "Token " + "f" * 40, "token \x00", "Token \xff\xfe", "Token " + "9" * 9000],
)
def test_token__that_is_none(stranger: Caller, header: str) -> None:
    response = stranger.get(Authorization=header)

    assert response.status_code == 401
    assert error_of(response)["code"] == "authentication_failed"


def test_token__of_an_inactive_user(owner: Caller) -> None:
    User.objects.update(is_active=False)

    assert owner.get().status_code == 401


@pytest.mark.parametrize("header", ["Basic b3duZXI6cHc=", "Bearer x", "x"])
def test_other_schemes__are_strangers(stranger: Caller, header: str) -> None:
    User.objects.create_user("owner", password="pw")

    assert stranger.get(Authorization=header).status_code == 401


def logged_in(role: str) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person(role))
    client.cookies["csrftoken"] = CSRF
    return client


def test_session__reads() -> None:
    assert logged_in("owner").get(URL).status_code == 200


@pytest.mark.parametrize("path", ["/api/sagas/", "/api/sagas/{id}/compensate/", "/api/sagas/{id}/retry/"])
def test_session__writes_need_the_csrf_token(failed: Saga, path: str) -> None:
    client = logged_in("boss")
    body = ACT if "{id}" in path else START

    without = client.post(path.format(id=failed.ulid), body, content_type="application/json")
    failed.refresh_from_db()
    state_after_refusal = failed.state
    with_it = client.post(
        path.format(id=failed.ulid), body, content_type="application/json", headers={"X-CSRFToken": CSRF}
    )

    assert without.status_code == 403
    assert error_of(without)["code"] == "csrf_failed"
    assert state_after_refusal == "failed"
    assert with_it.status_code in (200, 201)


def test_session__a_forged_form_starts_nothing() -> None:
    """What another site's page can send with the visitor's cookies."""
    client = logged_in("owner")

    for content_type in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"):
        response = client.post(URL, '{"name": "api_open"}', content_type=content_type)

        assert response.status_code == 403
        assert error_of(response)["code"] == "csrf_failed"
    assert not Saga.objects.exists()


def test_session__body_is_not_parsed_before_csrf() -> None:
    response = logged_in("owner").post(URL, b"\xff{{{", content_type="application/json")

    assert error_of(response)["code"] == "csrf_failed"


def test_token__wins_over_the_session(started: Callable[..., Saga]) -> None:
    """And needs no CSRF token: no browser adds it by itself."""
    caller = Caller("viewer")
    caller.client = logged_in("other")
    started()

    assert len(caller.get().json()["results"]) == 1
    assert caller.post(URL, START).status_code == 201
