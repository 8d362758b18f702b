"""The page of failures that are alike: what it shows, where it leads, who sees it, and what it costs."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from sagas.admin import failures, links
from sagas.admin.charts import spark
from sagas.core import triggers as t
from sagas.engine.rollup import refresh
from sagas.engine.rollup.reading import first_hour
from sagas.models import FailedSaga, FailureGroup, FailureHour, HistoryEntry, Saga
from tests.admin import pages, scenes
from tests.admin.test_injection import EVIL, assert_harmless

LIST = reverse("admin:sagas_failuregroup_changelist")
INDEX = reverse("admin:app_list", args=["sagas"])


def declined(message: str, *, rollback: bool = False) -> Saga:
    """The card was declined with these words."""
    return scenes._declined(scenes.start(rollback=rollback), message)


def count() -> None:
    """Bring the groups up to date."""
    while refresh(force=True):
        pass


def group_of(saga: Saga) -> FailureGroup:
    found: FailureGroup = FailedSaga.objects.get(saga=saga).group
    return found


def page(group: FailureGroup) -> str:
    return links.failure(group.pk)


def rows(response: Any) -> list[str]:
    """The lines of the table, as they are read."""
    html = response.content.decode().partition('id="result_list"')[2]
    lines = re.findall(r"<tr>(.*?)</tr>", html.partition("<tbody>")[2], flags=re.S)
    return [
        re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", line)))) for line in lines
    ]


def test_list__one_line_for_what_is_alike(operator: Client) -> None:
    for number in range(3):
        declined(f"card {number} was declined by 'bank {number}'")
    declined("no such card", rollback=True)
    count()

    response = operator.get(LIST)

    first, second = rows(response)
    assert "no such card" in first
    assert "open now: 0" in first
    assert "charge_payment card_declined" in second
    assert "card <n> was declined by <text>" in second
    assert "open now: 3" in second
    assert "failures: 3" in second
    assert "No worker" not in pages.text(response)


def test_numbers__lead_to_the_sagas(operator: Client) -> None:
    stays, mended = (declined(f"card {number} was declined") for number in (1, 2))
    mended.retry()
    count()
    html = operator.get(LIST).content.decode()
    key = group_of(stays).pk.hex

    assert f'href="{pages.LIST}?group={key}"' in html
    assert f'href="{pages.LIST}?group={key}-ever"' in html
    now, ever = (operator.get(f"{pages.LIST}?group={value}") for value in (key, f"{key}-ever"))
    assert [saga.pk for saga in now.context["cl"].result_list] == [stays.pk]
    assert {saga.pk for saga in ever.context["cl"].result_list} == {stays.pk, mended.pk}


def test_group__is_a_filter_that_can_be_taken_off(operator: Client) -> None:
    saga = declined("card 7 was declined")
    count()
    plain = operator.get(pages.LIST)
    response = operator.get(f"{pages.LIST}?group={group_of(saga).pk.hex}&state=failed")

    (chosen, _state) = response.context["cl"].chosen()
    assert (str(chosen.title), chosen.value) == ("failure", "charge_payment, card_declined: card <n> was declined")
    assert "group" not in chosen.url
    assert "state=failed" in chosen.url
    # Who does not come from the failures does not see the filter.
    assert "failure" not in [str(spec.title) for spec in plain.context["cl"].filter_specs]


@pytest.mark.parametrize("value", ["nonsense", "x" * 500, EVIL, "%00", "00" * 16 + "-later"])
def test_group__that_is_none_shows_nothing_and_says_so(value: str, operator: Client) -> None:
    declined("card 7 was declined")
    count()
    response = operator.get(pages.LIST, {"group": value})

    assert response.status_code == 200
    assert not response.context["cl"].result_list
    assert "signature of a group of failures" in pages.text(response)
    assert_harmless(response)


def test_group__that_is_forgotten(operator: Client) -> None:
    response = operator.get(f"{pages.LIST}?group={'0a' * 16}")

    assert not response.context["cl"].result_list
    assert "unknown failure 0a0a0a0a" in pages.text(response)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["late", "long ago", "mended"]),
        ("open=open", ["late", "long ago"]),
        ("open=none", ["mended"]),
        ("seen=1h", ["late", "mended"]),
        ("seen=24h&open=open", ["late"]),
        ("name=admin_order", ["late", "long ago", "mended"]),
        ("name=other", []),
        ("seen=yesterday", []),
        ("open=perhaps", []),
        ("name=%00", []),
    ],
)
def test_filters(query: str, expected: list[str], operator: Client) -> None:
    declined("late")
    declined("long ago")
    declined("mended", rollback=True)
    count()
    old = timezone.now() - timedelta(days=2)
    FailureGroup.objects.filter(pattern="long ago").update(last_seen=old, first_seen=old)

    response = operator.get(f"{LIST}?{query}")

    assert sorted(row.pattern for row in response.context["cl"].result_list) == expected
    assert bool(response.context["cl"].problems()) is (query in ("seen=yesterday", "open=perhaps"))


def test_order__latest_first_or_by_a_column(operator: Client) -> None:
    for message, times in (("often", 3), ("once", 1), ("twice", 2)):
        for _ in range(times):
            declined(message)
    count()

    def shown(query: str) -> list[str]:
        return [row.pattern for row in operator.get(f"{LIST}?{query}").context["cl"].result_list]

    assert shown("") == ["twice", "once", "often"]
    assert shown("o=-2") == shown("o=-1") == ["often", "twice", "once"]
    assert shown("o=5") == ["often", "once", "twice"]


def test_page__of_a_group(operator: Client) -> None:
    saga = declined("card 4111 was declined")
    count()

    response = operator.get(page(group_of(saga)))
    text = pages.text(response)

    assert "card <n> was declined" in text
    assert "card 4111 was declined" in text
    assert pages.page(saga) in response.content.decode()
    assert "1 in the last 24 hours; most in the hour" in response.content.decode()
    assert operator.get(page(FailureGroup(pk=saga.pk))).status_code == 302  # there is none: back to the index


def test_sparkline__has_a_bar_for_each_hour_with_failures(operator: Client) -> None:
    declined("card 4111 was declined")
    count()
    group = FailureGroup.objects.get()
    FailureHour.objects.create(group=group, hour=FailureHour.objects.get().hour - timedelta(hours=23), count=4)

    html = operator.get(LIST).content.decode()

    (svg,) = re.findall(r'<svg class="saga-spark".*?</svg>', html, flags=re.S)
    assert svg.count("<rect") == 2
    assert 'role="img" aria-label="5 in the last 24 hours; most in the hour from' in svg
    assert 'style="' not in svg


def test_spark__heights_are_to_scale() -> None:
    begin = first_hour(timezone.now())
    line = spark({begin: 0, begin + timedelta(hours=1): 10, begin + timedelta(hours=2): 1000})

    assert [(bar.x, bar.y, bar.height) for bar in line.bars] == [("4", "18", "2"), ("8", "0", "20")]
    assert (line.total, line.width) == ("1,010", 12)
    assert spark({}).bars == []
    assert "None in the last" in spark({begin: 0}).text


# -- retrying all


def test_retry_all__leads_to_a_batch_for_who_may_retry(client_of: Callable[[str], Client]) -> None:
    saga = declined("card 4111 was declined")
    declined("nobody needs to look", rollback=True)
    count()
    url = f"/admin/sagas/batch/start/?verb=retry&amp;name=admin_order&amp;group={group_of(saga).pk.hex}"

    for where in (LIST, page(group_of(saga))):
        assert client_of("superuser" if where == LIST else "retrier").get(where).content.decode().count(url) == 1
    viewer = client_of("viewer")
    assert "Retry all" not in viewer.get(LIST).content.decode()
    assert "Retry all" not in viewer.get(page(group_of(saga))).content.decode()


def test_retry_all__makes_a_batch_of_the_open_ones(operator: Client) -> None:
    open_ones = [declined(f"card {number} was declined") for number in range(3)]
    declined("another reason")
    count()
    url = reverse("admin:sagas_batch_start")
    query = {"verb": "retry", "name": "admin_order", "group": group_of(open_ones[0]).pk.hex}

    asked = operator.get(url, query)
    open_ones[0].retry()
    again = operator.get(url, query)

    assert "charge_payment, card_declined: card <n> was declined" in pages.text(asked)
    assert asked.context["count"] == "3"
    assert again.context["count"] == "2"


def test_retry_all__of_a_definition_that_is_not_theirs(client_of: Callable[[str], Client], settings: Any) -> None:
    saga = declined("card 4111 was declined")
    count()
    settings.SAGAS = {**settings.SAGAS, "OPERATORS": {saga.name: {"retry": ["finance"]}}}
    client = client_of("retrier")

    without = pages.text(client.get(LIST))
    User.objects.get(username="retrier").groups.add(Group.objects.create(name="finance"))

    assert "charge_payment" in without
    assert "Retry all" not in without
    assert "Retry all" in pages.text(client.get(LIST))


def test_retry_all__without_batches_is_not_offered(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_args: Any, **_kwargs: Any) -> str:
        raise NoReverseMatch

    declined("card 4111 was declined")
    count()
    monkeypatch.setattr(failures, "reverse", missing)

    assert "Retry all" not in operator.get(LIST).content.decode()


# -- on other pages


def test_saga__says_how_many_others_failed_in_the_same_way(operator: Client) -> None:
    sagas = [declined(f"card {number} was declined") for number in range(3)]
    count()
    response = operator.get(pages.page(sagas[0]))
    key = group_of(sagas[0]).pk.hex

    assert "Failed in the same way 2 other sagas ( all failures of this kind )" in pages.text(response)
    assert f'href="{pages.LIST}?group={key}"' in response.content.decode()

    for saga in sagas[1:]:
        saga.retry()
    count()
    assert "no other saga now" in pages.text(operator.get(pages.page(sagas[0])))


def test_saga__not_counted_yet_or_without_errors(operator: Client) -> None:
    failed, fine = declined("card 1 was declined"), scenes.completed()

    for saga in (failed, fine):
        assert "Failed in the same way" not in pages.text(operator.get(pages.page(saga)))


def test_overview__names_the_five_worst_of_the_day(operator: Client) -> None:
    assert "What failed most" not in pages.text(operator.get(INDEX))
    for message, times in zip("abcdef", range(6, 0, -1), strict=True):
        for _ in range(times):
            declined(f"reason {message}")
    declined("reason old")
    HistoryEntry.objects.filter(data__error_message="reason old").update(at=F("at") - timedelta(days=2))
    HistoryEntry.objects.filter(saga__error_message="reason old").update(at=F("at") - timedelta(days=2))
    count()

    response = operator.get(INDEX)

    worst = response.context["overview"].worst
    assert [(line.pattern, line.lately) for line in worst] == [
        (f"reason {letter}", str(times)) for letter, times in zip("abcde", range(6, 1, -1), strict=True)
    ]
    assert f'href="{LIST}"' in response.content.decode()
    assert f'href="{page(FailureGroup.objects.get(pattern="reason a"))}"' in response.content.decode()


# -- who, and at what cost


@pytest.mark.parametrize("role", ["anonymous", "staff", "blind", "viewer", "retrier", "superuser"])
def test_permissions__as_for_sagas(role: str, client_of: Callable[[str], Client]) -> None:
    saga, client = declined("card 1 was declined"), client_of(role)
    count()

    for url in (LIST, page(group_of(saga))):
        status = client.get(url).status_code
        assert status == {"anonymous": 302, "staff": 403, "blind": 403}.get(role, 200)
    for url in (LIST, page(group_of(saga)), f"{LIST}add/", f"{page(group_of(saga))}../delete/"):
        client.post(url, {"code": "changed", "action": "delete_selected", "post": "yes"})
    assert FailureGroup.objects.get().code == "card_declined"


def test_queries__as_many_for_many_groups_as_for_few(operator: Client) -> None:
    def queries(url: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(url).status_code == 200
        return len(captured)

    saga = declined("reason a")
    count()
    urls = (LIST, INDEX, pages.page(saga), f"{pages.LIST}?group={group_of(saga).pk.hex}")
    for url in urls:
        queries(url)
    few = [queries(url) for url in urls]
    for letter in "bcdefghi":
        declined(f"reason {letter}")
        declined("reason a")
    count()

    assert [queries(url) for url in urls] == few
    assert few[0] <= 14  # four of them bound the time of the count, because a test is in a transaction


def test_queries__read_no_sagas(operator: Client) -> None:
    declined("reason a")
    count()
    with CaptureQueriesContext(connection) as captured:
        operator.get(LIST)

    for found in captured.captured_queries:
        assert not re.search(r'"sagas_(saga|step|historyentry|failedsaga)"', found["sql"])


def test_hostile_texts(operator: Client) -> None:
    saga = declined(EVIL)
    count()
    group = group_of(saga)
    FailureGroup.objects.filter(pk=group.pk).update(name=EVIL, step=EVIL, code=EVIL, pattern=EVIL, example=EVIL)

    for url in (LIST, page(group), INDEX, pages.page(saga), f"{pages.LIST}?group={group.pk.hex}"):
        response = operator.get(url)
        assert response.status_code == 200
        assert "&lt;script&gt;" in response.content.decode()
        assert_harmless(response)


def test_walk__counts_a_message_with_markup_as_it_is(operator: Client) -> None:
    """What is counted is what was said, not what a page makes of it."""
    saga = scenes.start(rollback=False)
    (claim,) = scenes.claims(saga)
    scenes.submit(saga, t.Rejected(0, scenes.WORKER, claim.token, code=EVIL[:100], message=EVIL))
    count()

    assert group_of(saga).example == EVIL
