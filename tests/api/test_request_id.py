"""X-Request-ID: kept with the saga, sent back with every answer, and on every line that is logged meanwhile."""

import logging
from collections.abc import Iterator

import pytest

from sagas.api.request_id import RequestIdFilter
from sagas.models import Saga
from tests.api.people import URL, Caller

pytestmark = pytest.mark.django_db


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, root = Kept(), logging.getLogger()
    handler.addFilter(RequestIdFilter())
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)


@pytest.mark.parametrize("given", ["r", "abc-123", "a b", "0af7651916cd43dd8448eb211c80319c", "~" * 128])
def test_sane_id__is_kept_and_sent_back(owner: Caller, given: str) -> None:
    response = owner.post(URL, {"name": "api_open"}, X_Request_ID=given)

    assert response["X-Request-ID"] == given
    assert Saga.objects.get().request_id == given


@pytest.mark.parametrize(
    "given", [None, "", "  ", "x" * 129, "a\nb", "a\r\nSet-Cookie: x=1", "é", "\x1b[31m", "a\x00b", "\x7f"]
)
def test_other_id__is_replaced(owner: Caller, given: str | None) -> None:
    headers = {} if given is None else {"X_Request_ID": given}

    first, second = (owner.post(URL, {"name": "api_open"}, **headers) for _ in range(2))

    assert first["X-Request-ID"] != second["X-Request-ID"]
    assert len(first["X-Request-ID"]) == 32
    assert first["X-Request-ID"].isalnum()
    ids = set(Saga.objects.values_list("request_id", flat=True))
    assert ids == {first["X-Request-ID"], second["X-Request-ID"]}


def test_errors__carry_it_too(stranger: Caller, owner: Caller) -> None:
    for response in (
        stranger.get(X_Request_ID="r-1"),
        owner.post(URL, b"{", X_Request_ID="r-1"),
        owner.get(f"{URL}nothing/", X_Request_ID="r-1"),
        owner.send("DELETE", URL, X_Request_ID="r-1"),
        owner.get(f"{URL}x/y/", X_Request_ID="r-1"),
    ):
        assert response.status_code >= 400
        assert response["X-Request-ID"] == "r-1"


def test_repeated_key__keeps_the_id_of_the_first(owner: Caller) -> None:
    for given in ("r-1", "r-2"):
        owner.post(URL, {"name": "api_open"}, Idempotency_Key="k", X_Request_ID=given)

    assert Saga.objects.get().request_id == "r-1"


def test_log__names_request_saga_and_actor(owner: Caller, kept: Kept) -> None:
    body = owner.post(URL, {"name": "api_open"}, X_Request_ID="r-1").json()

    [record] = [record for record in kept.records if record.name == "sagas.api"]
    assert (record.action, record.saga_id, record.actor) == ("rest_start", body["id"], "owner")
    assert record.request_id == "r-1"


def test_log__of_other_modules_has_it_while_the_request_is_answered(
    owner: Caller, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = logging.getLogger("somewhere.else")
    start = type(Saga.objects).start

    def start_aloud(self: object, *args: object, **kwargs: object) -> Saga:
        elsewhere.warning("starting")
        return start(self, *args, **kwargs)

    monkeypatch.setattr(type(Saga.objects), "start", start_aloud)
    owner.post(URL, {"name": "api_open"}, X_Request_ID="r-1")
    elsewhere.warning("done")

    during, after = [record for record in kept.records if record.name == "somewhere.else"]
    assert during.request_id == "r-1"
    assert not hasattr(after, "request_id")


def test_answers__are_not_cached(owner: Caller) -> None:
    assert owner.get()["Cache-Control"] == "no-store"
