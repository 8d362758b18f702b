"""Every address, every method, every role."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import get_resolver

from sagas.api import urls
from sagas.models import Saga
from tests.admin import scenes
from tests.api.people import ROLES, URL, Caller, error_of, person

pytestmark = pytest.mark.django_db

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
CSRF = "c" * 32
START = {"name": "api_open", "context": {}}
ACT = {"reason": "because"}
CHARGE = ACT | {"step": "charge"}
DEBT = ACT | {"step": "create_order"}
#: In place of these words: the saga's revision, the token of its step `ship`.
REVISION, TOKEN = "<revision>", "<token>"
Plight = Callable[..., Saga]

#: Name of the address → its path, the body that is sent, and a saga for which that can be done.
ADDRESSES: dict[str, tuple[str, dict[str, object], Plight]] = {
    "saga-list": ("/api/sagas/", START, scenes.started),
    "saga-detail": ("/api/sagas/{id}/", {}, scenes.started),
    "saga-compensate": ("/api/sagas/{id}/compensate/", ACT, scenes.failed),
    "saga-retry": ("/api/sagas/{id}/retry/", ACT, scenes.failed),
    "saga-cancel": ("/api/sagas/{id}/cancel/", ACT, scenes.started),
    "saga-pause": ("/api/sagas/{id}/pause/", ACT, scenes.started),
    "saga-resume": ("/api/sagas/{id}/resume/", ACT, scenes.paused),
    "saga-run-now": ("/api/sagas/{id}/run-now/", ACT, scenes.awaiting_time),
    "saga-retry-with": (
        "/api/sagas/{id}/retry-with/",
        ACT | {"step": "charge_payment", "input": {"amount": 1}},
        scenes.failed,
    ),
    "saga-skip": ("/api/sagas/{id}/skip/", CHARGE | {"output": {"id": 7}}, scenes.awaiting_approval),
    "saga-approve": ("/api/sagas/{id}/approve/", CHARGE | {"expected_revision": REVISION}, scenes.awaiting_approval),
    "saga-deny": ("/api/sagas/{id}/deny/", CHARGE, scenes.awaiting_approval),
    "saga-resolve": ("/api/sagas/{id}/resolve/", DEBT | {"done": True}, scenes.debt),
    "saga-roll-back-to": ("/api/sagas/{id}/roll-back-to/", DEBT, scenes.started),
    "saga-assign": ("/api/sagas/{id}/assign/", DEBT | {"owner": "ines"}, scenes.debt),
    "saga-signal": ("/api/sagas/{id}/signal/", {"name": "paid", "payload": {"id": 7}}, scenes.awaiting_signal),
    "saga-restart": ("/api/sagas/{id}/restart/", ACT, scenes.ended),
    "answers": ("/api/sagas/answers/", {"token": TOKEN, "output": {"id": 7}}, scenes.awaiting_answer),
    "schema": ("/api/schema/", {}, scenes.started),
    "unknown": ("/api/sagas/{id}/nothing/", {}, scenes.started),
}

EVERYBODY = dict.fromkeys(ROLES, 200)
#: All others are told that there is no such saga.
SEERS = [role for role in ROLES if role not in ("other", "acting_owner", "blind")]
SEES_IT = dict.fromkeys(SEERS, 200)
NOBODY = dict.fromkeys(ROLES, 404)


def only(role: str, status: int = 200) -> dict[str, int]:
    """One role may act, and the boss; who sees the saga is told that they may not."""
    return dict.fromkeys(SEERS, 403) | {role: status, "boss": status}


#: (address, method) → role → status; a role that is not named: 404. What is not here at all: 405.
EXPECTED: dict[tuple[str, str], dict[str, int]] = {
    ("saga-list", "GET"): EVERYBODY,
    ("saga-list", "HEAD"): EVERYBODY,
    ("saga-list", "POST"): dict.fromkeys(ROLES, 201),
    ("saga-detail", "GET"): SEES_IT,
    ("saga-detail", "HEAD"): SEES_IT,
    ("saga-compensate", "POST"): only("compensator"),
    ("saga-retry", "POST"): only("retrier"),
    ("saga-cancel", "POST"): only("canceller"),
    **{(f"saga-{verb}", "POST"): only("pauser") for verb in ("pause", "resume", "run-now")},
    **{(f"saga-{verb}", "POST"): only("steerer") for verb in ("retry-with", "skip", "roll-back-to")},
    **{(f"saga-{verb}", "POST"): only("approver") for verb in ("approve", "deny")},
    **{(f"saga-{verb}", "POST"): only("resolver") for verb in ("resolve", "assign")},
    ("saga-signal", "POST"): only("signaller"),
    ("saga-restart", "POST"): only("restarter", 201),
    ("answers", "POST"): EVERYBODY,
    ("schema", "GET"): EVERYBODY,
    ("schema", "HEAD"): EVERYBODY,
    **{("unknown", method): NOBODY for method in METHODS},
}


def filled(body: dict[str, object], saga: Saga) -> dict[str, object]:
    """The body with what only this saga knows."""
    known = {REVISION: lambda: saga.revision, TOKEN: lambda: scenes.token(saga)}
    return {name: known[value]() if value in (REVISION, TOKEN) else value for name, value in body.items()}


def expected(address: str, method: str, role: str) -> int:
    if (address, method) not in EXPECTED:
        return 405
    return EXPECTED[address, method].get(role, 404)


def test_addresses__all_are_in_the_matrix() -> None:
    assert {pattern.name for pattern in urls.urlpatterns} == set(ADDRESSES)
    assert "sagas-api" in get_resolver().namespace_dict


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("role", ROLES)
def test_matrix(role: str, address: str) -> None:
    path, body, plight = ADDRESSES[address]
    saga = plight(owner=person("owner").username)
    caller, body, got = Caller(role), filled(body, saga), {}

    for method in METHODS:
        # Taken back, so that the next method finds what this one found.
        with transaction.atomic():
            response = caller.send(method, path.format(id=saga.ulid), body)
            changed = Saga.objects.count() != 1 or Saga.objects.get().revision != saga.revision
            transaction.set_rollback(True)
        got[method] = response.status_code
        if response.status_code >= 400 and method != "HEAD":
            error_of(response)
        assert changed == (method == "POST" and response.status_code < 300)

    assert got == {method: expected(address, method, role) for method in METHODS}


@pytest.mark.parametrize("address", [address for address in ADDRESSES if address != "answers"])
def test_stranger__gets_a_challenge_everywhere(stranger: Caller, failed: Saga, address: str) -> None:
    path, body, _plight = ADDRESSES[address]

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


WRITES = [address for address, method in EXPECTED if method == "POST" and address not in ("unknown", "answers")]


@pytest.mark.parametrize("address", WRITES)
def test_session__writes_need_the_csrf_token(address: str) -> None:
    client = logged_in("boss")
    path, body, plight = ADDRESSES[address]
    saga = plight()
    path, body = path.format(id=saga.ulid), filled(body, saga)

    without = client.post(path, body, content_type="application/json")
    after_refusal = scenes.fresh(saga).revision
    with_it = client.post(path, body, content_type="application/json", headers={"X-CSRFToken": CSRF})

    assert without.status_code == 403
    assert error_of(without)["code"] == "csrf_failed"
    assert after_refusal == saga.revision
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
