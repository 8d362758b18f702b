"""From a filtered list to a batch: it means what the list has shown, asks before it does anything, and can be watched
and steered by whom it takes."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from sagas.engine import batch as batches
from sagas.models import Batch, BatchItem, Saga
from tests.admin import pages, scenes
from tests.admin.conftest import ROLES
from tests.admin.test_injection import EVIL, assert_harmless, evil_values

START = reverse("admin:sagas_batch_start")
LIST = reverse("admin:sagas_batch_changelist")
ACTORS = {
    "compensate": "compensator",
    "cancel": "canceller",
    "retry": "retrier",
    "run_now": "pauser",
    "pause": "pauser",
    "resume": "pauser",
}


def ask(client: Client, verb: str = "retry", **filters: str) -> Any:
    """The page that asks."""
    return client.get(START, {"verb": verb, **(filters or {"state": "failed"})})


def confirm(client: Client, asked: Any, **fields: Any) -> Any:
    """Press the button of the page."""
    hidden = dict(
        re.findall(r'<input type="hidden" name="(verb|filters|upto)" value="([^"]*)"', asked.content.decode())
    )
    hidden["filters"] = hidden["filters"].replace("&amp;", "&")
    return client.post(START, {**hidden, "reason": "the bank is back", "rate": "5", **fields})


def page(batch: Batch) -> str:
    return reverse("admin:sagas_batch_change", args=[batch.pk])


def steer(client: Client, batch: Batch, do: str, **fields: str) -> Any:
    return client.post(reverse("admin:sagas_batch_steer", args=[batch.pk]), {"do": do, **fields}, follow=True)


def make(verb: str = "retry", **columns: Any) -> Batch:
    """A batch of a saga that has failed."""
    scenes.failed()
    batch = batches.create(verb, {"state": "failed"}, reason="the bank is back", actor="ines")
    Batch.objects.filter(pk=batch.pk).update(**columns)
    batch.refresh_from_db()
    return batch


def item(batch: Batch, **columns: Any) -> BatchItem:
    values = {"expected_revision": 1, "revision": 2, "outcome": "ok", "acted_at": timezone.now()} | columns
    return BatchItem.objects.create(batch=batch, **({"saga_id": scenes.failed().pk} | values))


# -- from the list


@pytest.mark.parametrize("query", ["state=failed", "q=ines", "state=failed&o=1&p=1", "attention=no"])
def test_list__offers_what_can_be_done_to_all(query: str, operator: Client) -> None:
    scenes.failed(owner="ines")

    html = operator.get(f"{pages.LIST}?{query}").content.decode()

    form = re.search(r'<form class="saga-bulk".*?</form>', html, flags=re.S)
    assert form
    assert "All 1 that match:" in form[0]
    assert re.findall(r'<option value="(\w+)"', form[0]) == [
        "compensate",
        "cancel",
        "retry",
        "run_now",
        "pause",
        "resume",
    ]
    assert re.findall(r'type="hidden" name="(\w+)"', form[0]) == [query.partition("=")[0]]


@pytest.mark.parametrize("query", ["", "o=1", "state=completed", "state=odd", "version=1", "state="])
def test_list__offers_nothing_where_nothing_is_meant(query: str, operator: Client) -> None:
    scenes.failed()

    assert "saga-bulk-verb" not in operator.get(f"{pages.LIST}?{query}").content.decode()


@pytest.mark.parametrize(
    ("role", "seen"), [("viewer", []), ("retrier", ["retry"]), ("pauser", ["run_now", "pause", "resume"])]
)
def test_list__offers_what_is_permitted(role: str, seen: list[str], client_of: Callable[[str], Client]) -> None:
    scenes.failed()

    html = client_of(role).get(f"{pages.LIST}?state=failed").content.decode()

    form = re.search(r'<form class="saga-bulk".*?</form>', html, flags=re.S)
    assert re.findall(r'<option value="(\w+)"', form[0] if form else "") == seen


FILTERS = [
    {"state": "failed"},
    {"state": "alive"},
    {"name": scenes.NAME},
    {"name": scenes.NAME, "version": "1"},
    {"attention": "yes"},
    {"attention": "debt"},
    {"stale": "no"},
    {"paused": "yes"},
    {"step": "charge_payment"},
    {"error": "card_declined"},
    {"tag": "vip"},
    {"owner": "ann"},
    {"since": "1h"},
    {"until": "2001-01-01"},
    {"ended_since": "1d"},
    {"ended_until": "1h"},
    {"q": "ann"},
    {"q": " ann ", "state": "failed"},
    {"since": "1d", "state": "started", "paused": "no"},
]


@pytest.mark.parametrize("filters", FILTERS, ids=[urlencode(one) for one in FILTERS])
def test_batch__means_exactly_what_the_list_has_found(filters: dict[str, str], operator: Client) -> None:
    for made in (scenes.started, scenes.completed, scenes.compensated, scenes.debt, scenes.paused, scenes.waiting):
        made()
    scenes.failed(owner="ann", tags=["vip"])
    scenes.debt(owner="ann")
    listed = operator.get(pages.LIST, filters).context["cl"].queryset
    expected = set(listed.values_list("pk", flat=True))

    asked = ask(operator, **filters)

    assert {one.pk for one in batches.matching(batches.read_filters(filters))} == expected
    if expected:
        response = confirm(operator, asked)
        batch = Batch.objects.get()
        assert response.headers["Location"] == page(batch)
        assert set(batches.matching(batch.filters).values_list("pk", flat=True)) == expected
        assert batch.expected == len(expected)


# -- the page that asks


def test_asking__says_what_would_happen_and_does_nothing(operator: Client) -> None:
    saga = scenes.failed(owner="ann")

    asked = ask(operator, owner="ann", state="failed")

    said = pages.text(asked)
    for words in (
        "Retry: all 1 sagas that match",
        "with a fresh budget",
        saga.ulid,
        "Owner ann",
        "State failed",
        "stops itself",
    ):
        assert words in said, words
    assert not Batch.objects.exists()
    # Nothing but filters is taken from an address.
    assert operator.get(START, {"verb": "retry", "state": "failed", "reason": "x"}).status_code == 400
    assert not Batch.objects.exists()


def test_confirmed__the_batch_is_made_and_logged(operator: Client) -> None:
    scenes.failed()

    response = confirm(operator, ask(operator), reason="line\r\nline", rate="2.5")

    batch = Batch.objects.get()
    assert response.headers["Location"] == page(batch)
    assert (batch.verb, batch.filters, batch.reason) == ("retry", {"state": "failed"}, "line\nline")
    assert (batch.actor, batch.rate, batch.state) == ("superuser", 2.5, "queued")
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.user.username) == (str(batch.pk), "superuser")
    assert "Retry (state=failed): line" in entry.change_message


def test_confirmed__later_sagas_are_not_meant(operator: Client) -> None:
    scenes.failed()
    asked = ask(operator)
    later = scenes.failed()

    confirm(operator, asked)

    batch = Batch.objects.get()
    assert batch.expected == 1
    assert later.pk > batch.upto or later.created_at > timezone.now()


def test_confirmed__times_mean_what_they_meant(operator: Client) -> None:
    saga = scenes.failed()
    asked = ask(operator, since="1h")
    Saga.objects.filter(pk=saga.pk).update(created_at=timezone.now())

    confirm(operator, asked)

    assert Batch.objects.get().filters["since"].startswith(f"{timezone.now() - timedelta(hours=1):%Y-%m-%dT}")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reason": ""}, "Say why"),
        ({"rate": "0"}, "greater than or equal to 0.1"),
        ({"rate": "nan"}, "Enter a number"),
        ({"rate": "1e9"}, "less than or equal to 100"),
        ({"reason": "x" * 3000}, "at most 1950"),
    ],
)
def test_confirmed__says_what_is_wrong_and_keeps_what_was_typed(
    fields: dict[str, str], words: str, operator: Client
) -> None:
    scenes.failed()

    response = confirm(operator, ask(operator), **fields)

    assert response.status_code == 200
    assert words in pages.text(response)
    assert not Batch.objects.exists()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("verb=retry", "a batch is never about all sagas"),
        ("verb=retry&state=", "a batch is never about all sagas"),
        ("verb=retry&colour=red", "“colour” is no filter"),
        ("verb=retry&state=odd", "expected one of"),
        ("verb=retry&version=1", "Choose a definition"),
        ("verb=approve&state=failed", "no such verb"),
        ("state=failed", "no such verb"),
    ],
)
def test_asking__refuses_what_makes_no_sense(query: str, words: str, operator: Client) -> None:
    response = operator.get(f"{START}?{query}")

    assert response.status_code == 400
    assert words in pages.text(response)


def test_asking__of_none_offers_no_button(operator: Client) -> None:
    asked = ask(operator)

    assert "There is none" in pages.text(asked)
    assert 'name="reason"' not in asked.content.decode()


def test_asking__says_more_than_a_thousand(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagas.engine.batch.making.COUNTED", 3)
    monkeypatch.setattr("sagas.admin.batch_start.CAP", 2)
    for _ in range(4):
        scenes.failed()

    assert "all 2+ sagas that match" in pages.text(ask(operator))


# -- who may


@pytest.mark.parametrize("verb", ACTORS)
@pytest.mark.parametrize("role", ROLES)
def test_matrix(role: str, verb: str, client_of: Callable[[str], Client]) -> None:
    batch, client = make(verb), client_of(role)

    asked = ask(client, verb)
    made = client.post(START, {"verb": verb, "filters": "state=failed", "reason": "x", "rate": "5"})
    seen, listed = client.get(page(batch)), client.get(LIST)
    steered = client.post(reverse("admin:sagas_batch_steer", args=[batch.pk]), {"do": "pause"})

    refusal = 302 if role == "anonymous" else 403
    may_act = role in ("superuser", ACTORS[verb])
    may_see = role not in ("anonymous", "staff", "blind")
    assert (asked.status_code, made.status_code) == ((200, 302) if may_act else (refusal, refusal))
    assert (seen.status_code, listed.status_code) == ((200, 200) if may_see else (refusal, refusal))
    assert steered.status_code == (302 if may_act else refusal)
    assert Batch.objects.count() == 1 + may_act
    assert (Batch.objects.get(pk=batch.pk).state == "paused") is may_act
    assert LogEntry.objects.count() == 2 * may_act
    if may_see:
        assert ("Cancel the batch" in pages.text(client.get(page(batch)))) is may_act


def test_view_batch__is_a_permission_of_its_own(client_of: Callable[[str], Client]) -> None:
    batch, client = make(), client_of("staff")
    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_batch"))

    assert client.get(page(batch)).status_code == 200
    assert client.get(pages.LIST).status_code == 403
    assert ask(client).status_code == 403


def test_limits_of_a_definition__hold_here_too(client_of: Callable[[str], Client], settings: Any) -> None:
    settings.SAGAS = {**settings.SAGAS, "OPERATORS": {scenes.NAME: {"retry": ["finance"]}}}
    scenes.failed()
    client = client_of("retrier")

    assert ask(client, name=scenes.NAME).status_code == 403
    assert (
        client.post(START, {"verb": "retry", "filters": f"name={scenes.NAME}", "reason": "x", "rate": "5"}).status_code
        == 403
    )
    batch = make()
    Batch.objects.filter(pk=batch.pk).update(filters={"name": scenes.NAME})
    assert steer(client, batch, "pause").status_code == 403


def test_without_csrf_token__is_refused(client_of: Callable[[str], Client]) -> None:
    batch, strict = make(), Client(enforce_csrf_checks=True)
    strict.cookies = client_of("superuser").cookies

    assert strict.post(START, {"verb": "retry", "filters": "state=failed", "reason": "x"}).status_code == 403
    assert steer(strict, batch, "pause").status_code == 403
    assert Batch.objects.get().state == "queued"


def test_get__changes_nothing(operator: Client) -> None:
    batch = make()

    for url in (LIST, page(batch), reverse("admin:sagas_batch_steer", args=[batch.pk]) + "?do=cancel"):
        assert operator.get(url).status_code in (200, 302)
    for what in ("add", "delete"):
        args = [] if what == "add" else [batch.pk]
        assert operator.post(reverse(f"admin:sagas_batch_{what}", args=args)).status_code == 403

    assert Batch.objects.get().state == "queued"
    assert not LogEntry.objects.exists()


# -- watching and steering


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        ("queued", ["pause", "cancel"]),
        ("going", ["pause", "cancel"]),
        ("paused", ["resume", "cancel"]),
        ("stopped", ["go_on", "cancel"]),
        ("cancelled", []),
        ("done", []),
    ],
)
def test_page__has_the_buttons_of_its_state(state: str, buttons: list[str], operator: Client) -> None:
    batch = make(state=state)

    html = operator.get(page(batch)).content.decode()

    assert re.findall(r'name="do" value="(\w+)"', html) == buttons
    # It renews itself while there is something to be seen.
    assert ('src="/static/sagas/batch.js"' in html) is (state in ("queued", "going"))
    assert f'data-live="{state}"' in html


def test_page__counts_lead_to_the_sagas(operator: Client) -> None:
    batch = make(state="going", acted=2, ok=1, failed=1, refused=1, expected=7)
    item(batch)
    item(batch, outcome="failed", message="declined: still no")
    refused = item(batch, outcome="refused", message="forbidden")

    said = pages.text(operator.get(page(batch)))
    only = pages.text(operator.get(page(batch), {"outcome": "refused"}))

    for words in (
        "3 of 7 sagas had their turn",
        "1 Went well",
        "1 Failed again",
        "1 Refused",
        "0 Not known yet",
        "still no",
    ):
        assert words in said, words
    assert "may not do this to sagas of this definition" in only
    assert "still no" not in only
    assert Saga.objects.get(pk=refused.saga_id).ulid in only


def test_page__says_why_it_has_stopped(operator: Client) -> None:
    batch = make(state="stopped", why="in_a_row", events=[{"at": "x", "what": "stopped", "again": 7, "refused": 3}])

    said = pages.text(operator.get(page(batch)))

    assert "It has stopped itself" in said
    assert "ten times in a row: 7 failed again, 3 were refused" in said


def test_page__says_that_it_holds_back(operator: Client) -> None:
    assert "Nothing is known yet of 10 sagas" in pages.text(operator.get(page(make(state="going", acted=10))))


def test_page__of_sagas_that_are_gone_and_in_pages(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sagas.admin.batch_page.ITEMS", 2)
    batch = make()
    made = [item(batch) for _ in range(5)]
    Saga.objects.filter(pk=made[-1].saga_id).delete()

    first = operator.get(page(batch))
    second = operator.get(page(batch) + re.search(r'href="(\?before=\d+)', first.content.decode())[1])  # type: ignore[index]

    assert [view.saga is None for view in first.context["items"]] == [True, False]
    assert len(second.context["items"]) == 2
    assert operator.get(page(batch), {"before": "9" * 30, "outcome": "odd"}).status_code == 200


def test_queries__do_not_grow_with_the_batch(operator: Client) -> None:
    batch = make()
    counts = []
    for _ in range(2):
        for _ in range(3):
            item(batch)
        make()
        with CaptureQueriesContext(
            connection,
        ) as seen:
            operator.get(page(batch))
            operator.get(LIST)
        counts.append(len(seen))

    assert counts[0] == counts[1]


def test_steering__is_told_and_logged(operator: Client) -> None:
    batch = make()

    paused = steer(operator, batch, "pause", reason="wait a moment")

    assert pages.told(paused) == [f"Batch {batch.pk} is paused."]
    assert "wait a moment" in pages.text(paused)
    assert LogEntry.objects.get().change_message == "Pause the batch: wait a moment"
    batch.refresh_from_db()
    assert batch.events[-1]["actor"] == "superuser"

    again = steer(operator, batch, "pause")
    assert "there is nothing to do" in pages.told(again)[0]
    assert steer(operator, batch, "destroy").status_code == 400
    assert LogEntry.objects.count() == 1


def test_list__says_how_far_each_is(operator: Client) -> None:
    batch = make(state="done", acted=5, ok=3, failed=2, refused=1, walked_at=timezone.now())
    make(verb="cancel", state="going")

    said = pages.text(operator.get(LIST))
    narrowed = operator.get(LIST, {"state": "going"})
    odd = operator.get(LIST, {"state": "odd"})

    for words in (
        f"Retry, batch {batch.pk}",
        "6 of 6",
        "2 failed again, 1 refused",
        "State: failed",
        "the bank is back",
    ):
        assert words in said, words
    assert narrowed.context["cl"].result_count == 1
    assert odd.context["cl"].result_count == 0


# -- what is stored comes from somebody else


def test_injection(operator: Client) -> None:
    batch = make()
    events = [{"what": EVIL, "at": EVIL, "actor": EVIL, "reason": EVIL}, EVIL]
    values = evil_values(Batch, set()) | {"filters": {EVIL: EVIL, "since": EVIL}, "events": events}
    Batch.objects.filter(pk=batch.pk).update(**values)
    item(batch, **evil_values(BatchItem, set()))
    other = make(filters=[EVIL], events={EVIL: EVIL}, state="stopped", why="in_a_row")

    for response in (
        operator.get(LIST),
        operator.get(page(batch)),
        operator.get(page(other)),
        operator.get(START, {"verb": EVIL}),
        operator.get(START, {"verb": "retry", EVIL: EVIL}),
        operator.get(START, {"verb": "retry", "owner": EVIL}),
        operator.get(f"{pages.LIST}?owner={EVIL}"),
        steer(operator, batch, "pause", reason=EVIL),
    ):
        assert_harmless(response)
    Saga.objects.update(owner=EVIL[:100], name=EVIL[:90])
    assert_harmless(ask(operator, owner=EVIL[:100]))
    assert_harmless(operator.get(f"{pages.LIST}?owner={EVIL[:100]}"))
