"""Pages of the list: by key, in both directions and orders, and still while sagas come and go."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction
from django.test import Client
from django.utils.html import escape

from sagas.admin import bulk, keyset, paging
from sagas.admin.paging import CappedPaginator
from sagas.admin.saga import SagaAdmin
from sagas.models import Saga
from tests.admin import pages, scenes


@pytest.fixture
def ten(db: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Ten sagas, four on a page; their keys, newest first."""
    monkeypatch.setattr(SagaAdmin, "list_per_page", 4)
    return more(10)


def more(count: int) -> list[Any]:
    made = Saga.objects.start_many(scenes.NAME, [{"steps": scenes.steps(), "owner": "ines"} for _ in range(count)])
    return sorted((saga.pk for saga in made), reverse=True)


def shown(response: Any) -> list[Any]:
    return [saga.pk for saga in response.context["cl"].result_list]


def walk(client: Client, query: str, word: str) -> Iterator[Any]:
    """The page, and all that its links of that name lead to."""
    url = query
    while url:
        response = client.get(pages.LIST + url)
        yield response
        url = getattr(response.context["cl"], f"{word}_url")


@pytest.mark.parametrize("query", ["?", "?owner=ines", "?q=ines", "?o=1", "?o=1&state=started"])
def test_pages__lead_through_all_rows_and_back(query: str, operator: Client, ten: list[Any]) -> None:
    order = ten[::-1] if "o=1" in query else ten

    there = list(walk(operator, query, "next"))
    back = list(walk(operator, there[-1].context["cl"].previous_url, "previous"))

    assert [shown(page) for page in there] == [order[:4], order[4:8], order[8:]]
    # The one before the second is the first, and is full.
    assert [shown(page) for page in back] == [order[4:8], order[:4]]
    assert [bool(page.context["cl"].first_url) for page in there] == [False, True, True]


def test_pages__stay_where_they_are_while_sagas_come_in(operator: Client, ten: list[Any]) -> None:
    first = operator.get(pages.LIST)

    new = more(3)
    second = operator.get(pages.LIST + first.context["cl"].next_url)
    newer = operator.get(pages.LIST + second.context["cl"].previous_url)

    assert shown(second) == ten[4:8]
    assert shown(newer) == ten[:4]
    assert shown(operator.get(pages.LIST + newer.context["cl"].previous_url)) == [*new, ten[0]]


def test_pages__a_filter_begins_at_the_beginning(operator: Client, ten: list[Any]) -> None:
    second = operator.get(f"{pages.LIST}?{operator.get(pages.LIST).context['cl'].next_url[1:]}")

    assert 'href="?state=started"' in second.content.decode()
    assert "after=" not in second.context["cl"].get_query_string({"state": "failed"})


def test_pages__numbers_lead_where_they_led(operator: Client, ten: list[Any]) -> None:
    def numbered(number: object) -> Any:
        return operator.get(f"{pages.LIST}?p={number}")

    assert shown(numbered(1)) == ten[:4]
    assert shown(numbered(3)) == ten[8:]
    assert shown(operator.get(pages.LIST + numbered(2).context["cl"].next_url)) == ten[8:]
    assert shown(operator.get(pages.LIST + numbered(2).context["cl"].previous_url)) == ten[:4]


@pytest.mark.parametrize("number", ["0", "4", "-1", "x", "99999999999999999999", "", "%00"])
def test_pages__of_a_number_that_is_none_are_told(number: str, operator: Client, ten: list[Any]) -> None:
    response = operator.get(f"{pages.LIST}?p={number}")

    assert shown(response) == ten[:4]
    assert any("There is no page" in told for told in pages.told(response))


@pytest.mark.parametrize("name", ["after", "before"])
def test_pages__a_place_that_is_none_is_told(name: str, operator: Client, ten: list[Any]) -> None:
    response = operator.get(f"{pages.LIST}?{name}=<b>%00nowhere</b>")

    assert shown(response) == ten[:4]
    assert any("is no place in this list" in told for told in pages.told(response))
    assert "<b>" not in response.content.decode()


def test_pages__behind_the_last_row_is_the_beginning(operator: Client, ten: list[Any]) -> None:
    assert shown(operator.get(f"{pages.LIST}?after=00000000000000000000000001")) == ten[:4]
    assert shown(operator.get(f"{pages.LIST}?before=7ZZZZZZZZZZZZZZZZZZZZZZZZZ")) == ten[:4]


def test_pages__go_on_behind_what_is_counted(operator: Client, ten: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CappedPaginator, "cap", 5)

    there = list(walk(operator, "?", "next"))

    assert [key for page in there for key in shown(page)] == ten
    assert all("more than 5 sagas" in pages.text(page) for page in there)
    assert shown(operator.get(f"{pages.LIST}?p=2")) == ten[4:8]
    assert any("There is no page" in told for told in pages.told(operator.get(f"{pages.LIST}?p=3")))


@contextmanager
def gives_up(milliseconds: int, alias: str) -> Iterator[None]:
    """As if the count took too long."""
    raise paging.TakesTooLongError
    yield


def test_pages__where_counting_takes_too_long__there_are_many(
    operator: Client, ten: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "at_most", gives_up)

    there = list(walk(operator, "?owner=ines", "next"))

    assert [key for page in there for key in shown(page)] == ten
    assert all("many sagas" in pages.text(page) for page in there)
    assert all("All that match:" in pages.text(page) for page in there)
    assert shown(operator.get(f"{pages.LIST}?p=3")) == ten[8:]


def test_pages__all_on_one__need_no_count(operator: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "at_most", gives_up)
    more(3)

    assert "3 sagas" in pages.text(operator.get(pages.LIST))


def test_pages__where_looking_takes_too_long__it_says_so_and_who_wants_to_waits(
    operator: Client, ten: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "at_most", gives_up)
    place = f"{pages.LIST}?owner=ines"

    first = operator.get(place)

    assert shown(first) == []
    assert "It takes long to look for these sagas" in pages.text(first)
    assert "that match:" not in pages.text(first)
    further = pages.LIST + first.context["cl"].wait_url
    assert f'href="{escape(first.context["cl"].wait_url)}"' in first.content.decode()
    assert shown(operator.get(further)) == ten[:4]
    assert [key for page in walk(operator, f"{first.context['cl'].wait_url}", "next") for key in shown(page)] == ten
    assert bulk.narrowing({"owner": "ines", "wait": "1"}) == {"owner": "ines"}


def test_looking__is_given_up_by_the_database(db: None, operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    more(2)
    slow = Saga.objects.order_by("-pk").extra(where=["pg_sleep(30) IS NOT NULL"])
    monkeypatch.setattr(SagaAdmin, "get_queryset", lambda admin, request: slow)
    monkeypatch.setattr(keyset.KeysetChangeList, "patience", 100)

    assert "It takes long to look for these sagas" in pages.text(operator.get(pages.LIST))


def test_count__is_given_up_and_nothing_else_is(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CappedPaginator, "patience", 100)
    more(2)
    allowed = bounds()

    slow = Saga.objects.order_by("pk").extra(where=["pg_sleep(30) IS NOT NULL"])  # for each row

    assert CappedPaginator(slow, 10).is_uncounted
    assert bounds() == allowed
    monkeypatch.setattr(CappedPaginator, "patience", 60_000)
    assert CappedPaginator(Saga.objects.order_by("pk"), 10).count == 2
    assert bounds() == allowed


def test_count__other_errors_are_told(db: None) -> None:
    with pytest.raises(ProgrammingError), transaction.atomic():
        _ = CappedPaginator(Saga.objects.order_by("pk").extra(where=["nonsense"]), 10).found


def test_looking__takes_one_core_and_asks_the_disk_for_many_pages(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL max_parallel_workers_per_gather = 2")
        cursor.execute("SET LOCAL effective_io_concurrency = 1")
    allowed = bounds()

    with paging.at_most(2_000, "default"):
        assert bounds() == ["2s", "0", "32"]

    assert bounds() == allowed


@pytest.mark.parametrize(("there", "then"), [("0", "0"), ("200", "200")])
def test_looking__asks_for_no_fewer_pages_and_for_none_where_that_is_not_possible(
    db: None, there: str, then: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('effective_io_concurrency', %s, true)", [there])

    with paging.at_most(2_000, "default"):
        assert bounds()[2] == then


def bounds() -> list[str]:
    """How long a statement may take, with how many helpers, and how many pages are asked for at a time."""
    found = []
    with connection.cursor() as cursor:
        for name in ("statement_timeout", "max_parallel_workers_per_gather", "effective_io_concurrency"):
            cursor.execute(f"SHOW {name}")
            found.append(cursor.fetchone()[0])
    return found


def test_pages__an_action_finds_what_is_ticked_on_any_of_them(operator: Client, ten: list[Any]) -> None:
    last = Saga.objects.get(pk=ten[-1])
    second = operator.get(pages.LIST).context["cl"].next_url

    response = pages.select(operator, "pause", last, query=second)

    assert response.status_code == 200
    assert last.ulid in pages.text(response)
