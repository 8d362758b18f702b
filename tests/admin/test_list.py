"""The list: what it shows and finds, and that it stays fast."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sagas.admin.saga import SagaAdmin
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
def test_row__owner_state_progress_and_attention(plight: str, words: str, operator: Client) -> None:
    saga = scenes.PLIGHTS[plight](owner="ines")

    text = pages.text(operator.get(pages.LIST))

    assert f"{scenes.NAME} {saga.ulid} ines {words}" in text


def test_row__stale_paused_and_ages(operator: Client) -> None:
    saga, now = scenes.started(), timezone.now()
    Saga.objects.filter(pk=saga.pk).update(
        stale_since=now - timedelta(hours=2),
        paused_at=now - timedelta(minutes=3, seconds=10),
        created_at=now - timedelta(days=3, hours=1),
        updated_at=now - timedelta(minutes=5, seconds=10),
    )

    text = pages.text(operator.get(pages.LIST))

    assert "started paused 1/5 stale 2 h paused for 3 min 3 d updated 5 min" in text


@pytest.mark.parametrize(
    "query",
    [
        "context__card=1",
        "owner__startswith=i",
        "error_message=x",
        "steps__error_message__contains=x",
        "graph__data__has_key=x",
        "id__in=1",
        "payload_hash=1",
    ],
)
def test_filters__other_columns_can_not_be_asked_for(query: str, operator: Client) -> None:
    scenes.started(owner="ines")

    assert operator.get(f"{pages.LIST}?{query}").status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "",
        "state=started&attention=no&stale=no&paused=no&since=7d",
        f"name={scenes.NAME}&version=&owner=ines&tag=vip",
        "q=ines",
        "error=card_declined&step=charge_payment&until=2100-01-01",
        "p=1",
        "after=7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
    ],
)
def test_queries__as_many_for_two_pages_as_for_half_of_one(
    query: str, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SagaAdmin, "list_per_page", 8)

    def queries() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(f"{pages.LIST}?{query}").status_code == 200
        return [found["sql"] for found in captured.captured_queries]

    def more(count: int) -> None:
        about = User.objects.get()
        for number in range(count):
            make = scenes.failed if number % 2 else scenes.started
            make(owner="ines", tags=["vip"], subject=about)

    more(4)
    queries()
    few = queries()
    more(12)
    many = queries()

    assert len(few) == len(many) <= 19  # eight of them bound the time, four less outside a test's transaction


def test_queries__no_payloads_and_no_count_over_everything(operator: Client) -> None:
    scenes.started()

    with CaptureQueriesContext(connection) as captured:
        operator.get(pages.LIST)

    asked = [query["sql"] for query in captured.captured_queries if "sagas_" in query["sql"]]
    assert asked
    for column in ("context", "input", "output", "error_message", "tags", "depends_on", "payload_hash", "handlers"):
        assert not [sql for sql in asked if f'"{column}"' in sql], column
    counts = [sql for sql in asked if "COUNT(" in sql]
    assert len(counts) == 1
    assert "LIMIT 1001" in counts[0]


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
    assert "There are no sagas yet." in pages.text(response)
    assert "0 sagas" in pages.text(response)
    assert "Action:" not in pages.text(response)


def test_links__by_ulid(operator: Client) -> None:
    saga = scenes.started()

    assert f'href="{pages.page(saga)}"' in operator.get(pages.LIST).content.decode()
    assert saga.ulid in pages.page(saga)


def test_viewer__reads_the_list_without_checkboxes(client_of: Callable[[str], Client]) -> None:
    scenes.started()

    html = client_of("viewer").get(pages.LIST).content.decode()

    assert "action-checkbox" not in html
    assert str(SagaState.STARTED) in html
