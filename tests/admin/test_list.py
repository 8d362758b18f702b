"""The list: what it shows and finds, and that it stays fast."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sagas.admin.paging import CappedPaginator
from sagas.core.states import SagaState
from sagas.models import Saga
from tests.admin import pages, scenes


def listed(response: Any) -> set[Any]:
    return {saga.pk for saga in response.context["cl"].result_list}


def keys(*sagas: Saga) -> set[Any]:
    return {saga.pk for saga in sagas}


@pytest.mark.parametrize(
    ("plight", "words"),
    [
        ("started", "started 1/5"),
        ("running", "started 3/5"),
        ("completed", "completed 5/5"),
        ("compensating", "compensating 0/2 undone"),
        ("debt", "compensating 1/2 undone undo failed"),
        ("compensated", "compensated 2/2 undone"),
        ("failed", "failed 3/5"),
        ("late_effect", "compensated nothing to undo late effect"),
        ("without_handler", "started 0/5 no handler"),
    ],
)
def test_row__state_progress_and_attention(plight: str, words: str, operator: Client) -> None:
    saga = scenes.PLIGHTS[plight](owner="ines")

    text = pages.text(operator.get(pages.LIST))

    assert f"{scenes.NAME} {saga.ulid} {words}" in text
    assert " ines " in text


def test_row__stale_paused_and_ages(operator: Client) -> None:
    saga, now = scenes.started(), timezone.now()
    Saga.objects.filter(pk=saga.pk).update(
        stale_since=now - timedelta(hours=2),
        paused_at=now,
        created_at=now - timedelta(days=3, hours=1),
        updated_at=now - timedelta(minutes=5, seconds=10),
    )

    text = pages.text(operator.get(pages.LIST))

    assert "started paused 1/5 - stale 2 h - 3 d updated 5 min" in text


def test_filters(operator: Client) -> None:
    going, stuck, done = scenes.started(), scenes.debt(), scenes.completed()
    Saga.objects.filter(pk=going.pk).update(stale_since=timezone.now(), name="removed_definition")

    def found(query: str) -> set[Any]:
        return listed(operator.get(f"{pages.LIST}?{query}"))

    assert found("state=started") == keys(going)
    assert found("state=completed") == keys(done)
    assert found(f"name={scenes.NAME}") == keys(stuck, done)
    assert found("name=removed_definition") == keys(going)
    assert found("name=order_processing") == set()
    assert found("attention=yes") == keys(stuck)
    assert found("attention=no") == keys(going, done)
    assert found("stale=yes") == keys(going)
    assert found("stale=no") == keys(stuck, done)
    assert found("state=compensating&attention=yes&stale=no") == keys(stuck)


@pytest.mark.parametrize("query", ["state=odd", "state=%00", "name=unknown", "attention=1", "stale=%00", "p=99", "p=x"])
def test_filters__an_unknown_value_leads_back_to_the_whole_list(query: str, operator: Client) -> None:
    saga = scenes.started()

    response = operator.get(f"{pages.LIST}?{query}", follow=True)

    assert response.status_code == 200
    assert listed(response) == keys(saga)


@pytest.mark.parametrize(
    "query",
    [
        "context__card=1",
        "owner=ines",
        "owner__startswith=i",
        "steps__error_message__contains=x",
        "graph__data__has_key=x",
        "id__in=1",
        "payload_hash=1",
    ],
)
def test_filters__other_columns_can_not_be_asked_for(query: str, operator: Client) -> None:
    scenes.started(owner="ines")

    assert operator.get(f"{pages.LIST}?{query}").status_code == 400


def test_search(operator: Client) -> None:
    one, two = scenes.started(owner="ines", idempotency_key="order-1"), scenes.started(owner="bob")

    def found(term: str) -> set[Any]:
        return listed(operator.get(pages.LIST, {"q": term}))

    assert found(one.ulid) == keys(one)
    assert found(f"  {one.ulid.lower()} ") == keys(one)
    assert found(str(two.pk)) == keys(two)
    assert found(two.pk.hex) == keys(two)
    assert found("order-1") == keys(one)
    assert found("bob") == keys(two)
    assert found("order-") == set()
    assert found("bo") == set()
    assert found("%") == set()
    assert operator.get(pages.LIST, {"q": "\x00"}).status_code == 200


def test_queries__as_many_for_fifty_sagas_as_for_ten(operator: Client) -> None:
    def queries() -> list[str]:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert operator.get(pages.LIST).status_code == 200
        return [query["sql"] for query in captured.captured_queries]

    for _ in range(10):
        scenes.started()
    queries()
    few = queries()
    for _ in range(40):
        scenes.started()
    many = queries()

    assert len(few) == len(many) <= 8


def test_queries__no_payloads_and_no_count_over_everything(operator: Client) -> None:
    scenes.started()

    with CaptureQueriesContext(connection) as captured:
        operator.get(pages.LIST)

    asked = [query["sql"] for query in captured.captured_queries if "sagas_" in query["sql"]]
    assert asked
    for column in ("context", "input", "output", "error_message", "tags", "depends_on", "payload_hash"):
        assert not [sql for sql in asked if f'"{column}"' in sql], column
    counts = [sql for sql in asked if "COUNT(" in sql]
    assert len(counts) == 1
    assert "LIMIT 1001" in counts[0]


def test_paging__stops_at_the_cap(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CappedPaginator, "cap", 60)
    Saga.objects.start_many(scenes.NAME, [{"steps": scenes.steps()} for _ in range(61)])

    first, last = operator.get(pages.LIST), operator.get(f"{pages.LIST}?p=2")

    assert len(listed(first)) == 50
    assert len(listed(last)) == 10
    assert "the newest 60; search or filter to find older ones" in pages.text(first)
    assert "Show all" not in pages.text(first)
    assert not listed(first) & listed(last)


def test_order__newest_first(operator: Client) -> None:
    one, two = scenes.started(), scenes.started()

    def order(query: str = "") -> list[Any]:
        return [saga.pk for saga in operator.get(pages.LIST + query).context["cl"].result_list]

    assert order() == [two.pk, one.pk]
    assert order("?o=1") == [one.pk, two.pk]
    assert order("?o=-5.3.x") == [two.pk, one.pk]


def test_empty(operator: Client) -> None:
    response = operator.get(pages.LIST)

    assert response.status_code == 200
    assert "0 sagas" in pages.text(response)


def test_links__by_ulid(operator: Client) -> None:
    saga = scenes.started()

    assert f'href="{pages.page(saga)}"' in operator.get(pages.LIST).content.decode()
    assert saga.ulid in pages.page(saga)


def test_viewer__reads_the_list_without_checkboxes(client_of: Callable[[str], Client]) -> None:
    scenes.started()

    html = client_of("viewer").get(pages.LIST).content.decode()

    assert "action-checkbox" not in html
    assert str(SagaState.STARTED) in html
