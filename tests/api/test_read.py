"""GET: the one body, whoever may see it, filters, pages and what they cost."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from sagas.api import reading
from sagas.core.states import Hold, SagaState, StepStatus, Wait
from sagas.models import Saga, Step
from tests.api.people import URL, Caller, error_of, names

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 21, 9, 30, 0, 250000, tzinfo=UTC)


def test_body__whole(owner: Caller, started: Callable[..., Saga]) -> None:
    saga = started()
    first, second = saga.steps.all()
    saga.steps.filter(pk=first.pk).update(
        status=StepStatus.COMPENSATED,
        output=[1],
        undo_output={"refund": 3},
        attempt=2,
        executed_at=AT,
        compensated_at=AT,
        approved_by="ann\nbob",
    )
    saga.steps.filter(pk=second.pk).update(
        status=StepStatus.FAILED,
        error_code="sold_out",
        error_message="no more",
        round=2,
        doubt=True,
        waits=Wait.APPROVAL,
        hold=Hold.APPROVAL,
        due_at=AT,
        owner="ines",
    )
    Saga.objects.update(
        state=SagaState.COMPENSATED,
        revision=9,
        attention="debt",
        stale_since=AT,
        paused_at=AT,
        deadline_at=AT,
        created_at=AT,
        updated_at=AT,
        completed_at=AT,
        context={"sku": "MUG"},
    )

    body = owner.get(f"{URL}{saga.ulid}/").json()

    at = "2026-11-21T09:30:00.250000Z"
    assert body == {
        "id": saga.ulid,
        "name": "api_open",
        "version": "1",
        "state": "compensated",
        "revision": 9,
        "attention": "debt",
        "stale_since": at,
        "paused_at": at,
        "deadline_at": at,
        "parent": None,
        "context": {"sku": "MUG"},
        "created_at": at,
        "updated_at": at,
        "completed_at": at,
        "steps": [
            {
                "id": first.pk,
                "name": "first",
                "action": "api.act",
                "compensation": "api.undo",
                "input": {"number": 1},
                "output": [1],
                "undo_output": {"refund": 3},
                "status": "compensated",
                "round": 1,
                "attempt": 2,
                "progress": None,
                "in_doubt": False,
                "waits": None,
                "child": None,
                "due_at": None,
                "hold": None,
                "approved_by": ["ann", "bob"],
                "owner": None,
                "error": None,
                "executed_at": at,
                "compensated_at": at,
            },
            {
                "id": second.pk,
                "name": "second",
                "action": "api.act",
                "compensation": "",
                "input": {},
                "output": None,
                "undo_output": None,
                "status": "failed",
                "round": 2,
                "attempt": 0,
                "progress": None,
                "in_doubt": True,
                "waits": "approval",
                "child": None,
                "due_at": at,
                "hold": "approval",
                "approved_by": [],
                "owner": "ines",
                "error": {"code": "sold_out", "message": "no more"},
                "executed_at": None,
                "compensated_at": None,
            },
        ],
    }
    assert owner.get(URL).json()["results"] == [body]


def test_body__of_a_fresh_saga(owner: Caller, started: Callable[..., Saga]) -> None:
    body = owner.get(f"{URL}{started().ulid}/").json()

    assert (body["attention"], body["stale_since"], body["completed_at"]) == (None, None, None)
    assert names(body["steps"], "status") == ["pending", "pending"]


def test_body__saga_and_steps_are_of_one_moment(
    owner: Caller, started: Callable[..., Saga], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker commits between the two statements, twice."""
    saga = started()
    attach = reading._attach_steps
    moves = iter([StepStatus.RUNNING, StepStatus.COMPLETED])

    def attach_after_a_move(sagas: list[Saga]) -> None:
        if (status := next(moves, None)) is not None:
            Step.objects.filter(saga=saga).update(status=status)
            Saga.objects.update(revision=F("revision") + 1)
        attach(sagas)

    monkeypatch.setattr(reading, "_attach_steps", attach_after_a_move)
    body = owner.get(f"{URL}{saga.ulid}/").json()

    assert body["revision"] == 3
    assert set(names(body["steps"], "status")) == {"completed"}


def test_body__of_a_saga_that_never_stands_still(
    owner: Caller, started: Callable[..., Saga], monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = started()
    attach = reading._attach_steps

    def attach_after_a_move(sagas: list[Saga]) -> None:
        Saga.objects.update(revision=F("revision") + 1)
        attach(sagas)

    monkeypatch.setattr(reading, "_attach_steps", attach_after_a_move)
    body = owner.get(f"{URL}{saga.ulid}/").json()

    assert body["id"] == saga.ulid
    assert len(body["steps"]) == 2


@pytest.mark.parametrize("spelling", [str, str.upper, str.lower])
def test_id__ulid_and_uuid_in_any_case(
    owner: Caller, started: Callable[..., Saga], spelling: Callable[[str], str]
) -> None:
    saga = started()

    for text in (saga.ulid, str(saga.pk), saga.pk.hex):
        assert owner.get(f"{URL}{spelling(text)}/").json()["id"] == saga.ulid


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "nothing",
        "00000000000000000000000000",
        "8" * 26,
        "00000000-0000-0000-0000-000000000000",
        "%00",
        "..%2F..%2Fetc",
        "%ED%A0%80",
        "'%20OR%201=1--",
        "x" * 3000,
    ],
)
def test_id__unknown(owner: Caller, started: Callable[..., Saga], text: str) -> None:
    started()

    response = owner.get(f"{URL}{text}/")

    assert response.status_code == 404
    assert error_of(response)["code"] == "not_found"


def test_list__shows_an_owner_their_own_and_a_viewer_all(started: Callable[..., Saga]) -> None:
    mine, theirs = started(role="owner"), started(role="other")
    nobodys = Saga.objects.start("api_open")

    def seen(role: str) -> list[str]:
        return names(Caller(role).get().json()["results"])

    assert seen("owner") == [mine.ulid]
    assert seen("other") == [theirs.ulid]
    assert seen("blind") == []
    assert seen("viewer") == [nobodys.ulid, theirs.ulid, mine.ulid]
    assert seen("boss") == [nobodys.ulid, theirs.ulid, mine.ulid]


def test_list__filters(boss: Caller, started: Callable[..., Saga]) -> None:
    open_one, done, guarded = started(), started("api_nothing"), started("api_guarded")

    def found(query: str) -> set[str]:
        response = boss.get(f"{URL}?{query}")
        assert response.status_code == 200, response.content
        return set(names(response.json()["results"]))

    assert found("state=completed") == {done.ulid}
    assert found("state=started") == {open_one.ulid, guarded.ulid}
    assert found("state=started&state=completed") == {open_one.ulid, done.ulid, guarded.ulid}
    assert found("name=api_guarded") == {guarded.ulid}
    assert found("name=api_open&state=completed") == set()


@pytest.mark.parametrize(
    "query",
    [
        "state=stale",
        "state=STARTED",
        "state=",
        "state=started&state=x",
        "state=%00",
        "name=%00",
        "name=" + "n" * 101,
        "cursor=",
        "cursor=x",
        "cursor=%00",
        "cursor=cD0xMjM=",  # p=123
        "cursor=cD0nIE9SIDE9MQ==",  # p=' OR 1=1
        "cursor=bz05OTk5OTk5OTk5OTk5OTk5",  # o=9999999999999999
        "cursor=cj14",  # r=x
        "cursor=" + "9" * 5000,
    ],
)
def test_list__unusable_query(boss: Caller, started: Callable[..., Saga], query: str) -> None:
    started()

    response = boss.get(f"{URL}?{query}")

    assert response.status_code == 400
    error = error_of(response)
    assert error["code"] == "invalid"
    assert list(error["details"]) == [query.partition("=")[0]]


@pytest.mark.parametrize("query", ["owner=other", "state__in=x", "_connector=OR", "ordering=owner", "format=xml"])
def test_list__no_other_parameter_names_a_column(owner: Caller, started: Callable[..., Saga], query: str) -> None:
    mine = started(role="owner")
    started(role="other")

    assert names(owner.get(f"{URL}?{query}").json()["results"]) == [mine.ulid]


def test_list__pages_by_cursor_without_loss_while_sagas_start(boss: Caller) -> None:
    ids = [saga.ulid for saga in Saga.objects.start_many("api_nothing", [{}] * 45)]

    page = boss.get().json()
    seen = [page["results"]]
    Saga.objects.start("api_nothing")
    while page["next"]:
        page = boss.get(page["next"]).json()
        seen.append(page["results"])
    back = boss.get(page["previous"]).json()

    assert [len(results) for results in seen] == [20, 20, 5]
    assert [saga["id"] for results in seen for saga in results] == ids[::-1]
    assert "count" not in page
    assert names(back["results"]) == names(seen[1])


def test_list__costs_the_same_whatever_its_length(
    started: Callable[..., Saga], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    viewer = Caller("viewer")
    for _ in range(2):
        started()
        # The token with its user, two of the permissions, sagas, steps.
        with django_assert_num_queries(5):
            assert viewer.get().status_code == 200
        Saga.objects.start_many("api_open", [{"owner": "owner"}] * 30)


def test_list__asks_for_no_count_and_no_column_too_many(boss: Caller, started: Callable[..., Saga]) -> None:
    started()

    with CaptureQueriesContext(connection) as queries:
        boss.get()

    sql = " ".join(query["sql"] for query in queries)
    assert "COUNT(" not in sql
    for column in ("payload_hash", "idempotency_key", "tags", "claim_worker", "depends_on"):
        assert column not in sql


def test_user_without_a_name__sees_nothing() -> None:
    """What belongs to nobody would be theirs, where a user model allows an empty name."""
    nobodys = Saga.objects.start("api_open")
    nameless = Caller("other")
    User.objects.filter(username="other").update(username="")

    assert nameless.get().status_code == 403
    assert nameless.get(f"{URL}{nobodys.ulid}/").status_code == 403
