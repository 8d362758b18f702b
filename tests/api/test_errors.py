"""One shape for every error, with nothing inner in it: wrong requests, faults of ours, a database that is gone."""

import logging
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection
from django.http import Http404
from django.http.request import UnreadablePostError

from sagas.api import reading, views
from sagas.exceptions import (
    DefinitionError,
    InvariantError,
    PayloadError,
    SagaNotFoundError,
    StoreConflictError,
    StoreConnectionError,
    StoreDataError,
)
from sagas.models import Saga
from sagas.store.orm import OrmStore
from tests.api.people import URL, Caller, error_of, person

pytestmark = pytest.mark.django_db

SECRET = "hunter2"


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("raised", "status", "code"),
    [
        (Http404(SECRET), 404, "not_found"),
        (PermissionDenied(SECRET), 403, "permission_denied"),
        (SuspiciousOperation(SECRET), 400, "malformed"),
        (UnreadablePostError(SECRET), 400, "malformed"),
        (PayloadError("said"), 400, "invalid_payload"),
        (SagaNotFoundError("said"), 404, "not_found"),
        (caused(StoreDataError(SECRET), DataError(SECRET)), 400, "invalid_payload"),
        (caused(StoreDataError(SECRET), IntegrityError(SECRET)), 500, "internal"),
        (StoreConnectionError(SECRET), 503, "unavailable"),
        (StoreConflictError(SECRET), 503, "unavailable"),
        (OperationalError(SECRET), 503, "unavailable"),
        (InterfaceError(SECRET), 503, "unavailable"),
        (InvariantError(SECRET), 500, "internal"),
        (DefinitionError(SECRET), 500, "internal"),
        (RuntimeError(SECRET), 500, "internal"),
        (RecursionError(SECRET), 500, "internal"),
        (KeyError(SECRET), 500, "internal"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_shape__whatever_is_raised(
    owner: Caller, monkeypatch: pytest.MonkeyPatch, raised: Exception, status: int, code: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise raised

    monkeypatch.setattr(views, "startable", fail)
    owner.client.raise_request_exception = False
    response = owner.post(URL, {"name": "api_open"})

    assert response.status_code == status
    assert error_of(response)["code"] == code
    assert SECRET not in response.content.decode()
    assert "Traceback" not in response.content.decode()


def test_fault_of_ours__is_logged_under_the_request_id_and_told_to_listeners(
    owner: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(saga: Saga) -> Saga:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(reading, "body", fail)
    owner.client.raise_request_exception = False
    response = owner.post(URL, {"name": "api_open"}, X_Request_ID="r-1")

    assert error_of(response)["details"] == {"request_id": "r-1"}
    [record] = [record for record in caplog.records if record.name == "sagas.api" and record.exc_info]
    assert record.request_id == "r-1"
    assert SECRET in caplog.text
    owner.client.raise_request_exception = True
    # Django's test client hears of it as an error tracker would.
    with pytest.raises(RuntimeError, match=SECRET):
        owner.post(URL, {"name": "api_open"})


def test_fault_of_ours__shows_nothing_when_debugging(
    owner: Caller, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.DEBUG = True
    monkeypatch.setattr(reading, "body", lambda saga: 1 / 0)
    owner.client.raise_request_exception = False

    response = owner.post(URL, {"name": "api_open"})

    assert error_of(response)["code"] == "internal"
    assert b"ZeroDivision" not in response.content


def test_refusal__is_logged_in_one_line(stranger: Caller, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="sagas.api"):
        stranger.get(X_Request_ID="r-2")

    [record] = [record for record in caplog.records if record.name == "sagas.api"]
    assert (record.status, record.code, record.request_id) == (401, "not_authenticated", "r-2")


def test_method__not_allowed_says_what_is(owner: Caller) -> None:
    response = owner.send("DELETE", URL)

    assert response.status_code == 405
    assert error_of(response)["code"] == "method_not_allowed"
    assert response["Allow"] == "GET, HEAD, POST"


def test_address__unknown_below_sagas(owner: Caller) -> None:
    response = owner.post(f"{URL}x/y/z/")

    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"


def test_invalid__says_it_in_words_and_by_field(owner: Caller) -> None:
    error = error_of(owner.post(URL, {"context": []}))

    assert error["details"] == {"name": ["This field is required."], "context": ["Expected an object."]}
    assert error["message"] == "name: This field is required.; context: Expected an object."


def test_invalid__many_unknown_fields_are_not_all_repeated(owner: Caller) -> None:
    response = owner.post(URL, {f"field{number}{'x' * 200}": 1 for number in range(1000)})

    assert response.status_code == 400
    assert len(response.content) < 5000


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("login", ["token", "session"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_database__gone(
    owner: Caller, monkeypatch: pytest.MonkeyPatch, free_port: int, login: str, method: str
) -> None:
    """Nobody listens where it should be: the very first question, who asks, has no answer."""
    if login == "session":
        owner.headers = {}
        owner.client.force_login(person("owner"))
    connection.close()
    with monkeypatch.context() as elsewhere:
        elsewhere.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        elsewhere.setitem(connection.settings_dict, "PORT", free_port)
        response = owner.send(method, URL, {"name": "api_open"} if method == "POST" else None)
        connection.close()

    assert response.status_code == 503
    assert error_of(response)["code"] == "unavailable"
    assert int(response["Retry-After"]) > 0
    assert b"127.0.0.1" not in response.content
    assert owner.get().status_code == 200


def test_database__goes_while_a_saga_is_started(owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def insert(self: OrmStore, sagas: Any) -> Any:
        raise StoreConnectionError("the database does not answer: at 10.0.0.1")

    monkeypatch.setattr(OrmStore, "insert", insert)
    response = owner.post(URL, {"name": "api_open"})

    assert response.status_code == 503
    assert b"10.0.0.1" not in response.content
