"""The timeline: what lasted, how long, who ran it and what came of it; in pages, and in words beside the drawing."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sagas.admin import cells, timeline
from sagas.models import HistoryEntry, Saga, Worker
from tests.admin import pages, scenes


def shown(client: Client, saga: Saga, query: str = "") -> Any:
    return client.get(pages.page(saga) + query).context["timeline"]


def told(client: Client, saga: Saga, query: str = "") -> list[tuple[str, str, str]]:
    return [(span.step, span.what, span.outcome) for span in shown(client, saga, query).spans]


def spread(saga: Saga, seconds: int = 60) -> None:
    """Put so much time between its entries."""
    begin = timezone.now() - timedelta(days=1)
    for number, entry in enumerate(saga.history.order_by("id")):
        HistoryEntry.objects.filter(pk=entry.pk).update(at=begin + timedelta(seconds=seconds * number))


def test_attempts_and_undos__with_what_came_of_them(operator: Client) -> None:
    saga = scenes.debt()
    spread(saga)

    assert told(operator, saga) == [
        ("create_order", "attempt 1", "completed"),
        ("reserve_inventory", "attempt 1", "completed"),
        ("validate_address", "attempt 1", "completed"),
        ("charge_payment", "attempt 1", "refused by the handler: card_declined"),
        ("reserve_inventory", "undo, attempt 1", "compensated"),
        ("create_order", "undo, attempt 1", "refused by the handler: order_locked"),
        ("create_order", "held", "undo failed"),
    ]


@pytest.mark.parametrize(
    ("plight", "last"),
    [
        ("running", ("charge_payment", "attempt 1", "")),
        ("waiting", ("charge_payment", "until the next attempt", "")),
        ("awaiting_answer", ("ship", "waits", "waits for an answer to its token")),
        ("awaiting_signal", ("payment", "waits", "waits for the signal")),
        ("awaiting_time", ("remind", "waits", "waits for its time")),
        ("awaiting_approval", ("charge", "held", "needs approval")),
        ("awaiting_undo", ("charge", "held", "needs approval")),
        ("paused", ("the saga", "paused", "ines stock-taking")),
    ],
)
def test_what_lasts_now(plight: str, last: tuple[str, str, str], operator: Client) -> None:
    saga = scenes.PLIGHTS[plight]()
    spread(saga)

    spans = shown(operator, saga).spans

    assert (spans[-1].step, spans[-1].what, spans[-1].outcome) == last
    assert spans[-1].lasted.endswith(" so far")
    assert not any(span.lasted.endswith("so far") for span in spans[:-1])


def test_length_and_worker(operator: Client) -> None:
    Worker.objects.create(pk=scenes.WORKER, host="box7", pid=12)
    saga = scenes.completed()
    spread(saga, 90)

    first = shown(operator, saga).spans[0]

    assert (first.lasted, first.worker) == ("1 min 30 s", "box7:12")


def test_worker__that_is_gone_is_named_by_its_key(operator: Client) -> None:
    assert shown(operator, scenes.completed()).spans[0].worker == str(scenes.WORKER)


def test_acts_of_people__are_marked(operator: Client) -> None:
    saga = scenes.paused()
    saga.resume(reason="done", actor="bert")

    marks = shown(operator, saga).marks

    assert [mark.title.partition(" ")[2][9:] for mark in marks] == ["pause requested: ines", "resume requested: bert"]


def test_bars__long_times_take_more_room_and_short_ones_are_seen(operator: Client) -> None:
    saga = scenes.completed()
    entries = list(saga.history.order_by("id"))
    begin = timezone.now() - timedelta(days=9)
    for entry, seconds in zip(entries, [0, 1, 1.005, 2, 3, 4, 500_000, *range(500_001, 600_000)], strict=False):
        HistoryEntry.objects.filter(pk=entry.pk).update(at=begin + timedelta(seconds=seconds))

    found = shown(operator, saga)

    widths = [float(bar.width) for bar in found.bars]
    assert min(widths) >= 4
    assert all(float(found.left) <= float(bar.x) for bar in found.bars)
    assert all(float(bar.x) + float(bar.width) <= float(found.width) for bar in found.bars)


def test_pages__of_a_long_history(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "ENTRIES", 4)
    saga = scenes.debt()
    spread(saga)

    query: str | None = ""
    seen = []
    while query is not None:
        found = shown(operator, saga, query)
        assert found.newer is bool(query)
        seen = [(span.step, span.what) for span in found.spans] + seen
        query = f"?timeline={found.older}" if found.older else None

    assert seen.count(("create_order", "attempt 1")) == 1
    assert ("charge_payment", "attempt 1") in seen
    second = shown(operator, saga, f"?timeline={saga.history.get(seq=9).pk}")
    assert [(span.step, span.lasted) for span in second.spans][:2] == [
        ("reserve_inventory", "more than 0 ms"),
        ("validate_address", "more than 1 min"),
    ]


@pytest.mark.parametrize("query", ["?timeline=0", "?timeline=x", f"?timeline={'9' * 40}", "?timeline=²"])
def test_pages__odd_addresses(query: str, operator: Client) -> None:
    assert operator.get(pages.page(scenes.completed()) + query).status_code == 200


def test_lanes__so_many_and_no_more(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "LANES", 5)
    saga = scenes.opened_out(20, done=20)

    found = shown(operator, saga)

    assert [lane.title for lane in found.lanes] == ["first", "pack", "pack[0]", "pack[1]", "pack[2]"]
    assert found.left_out == 17
    assert len(found.spans) == 22
    assert "17 more steps are in the table only." in pages.text(operator.get(pages.page(saga)))


def test_nothing_lasted(operator: Client) -> None:
    assert shown(operator, scenes.start(steps=[])) is None


def test_queries__two_however_long(operator: Client) -> None:
    counts = []
    for saga in (scenes.started(), scenes.opened_out(60, done=60)):
        operator.get(pages.page(saga))
        with CaptureQueriesContext(connection) as captured:
            operator.get(pages.page(saga))
        counts.append(len(captured))

    assert counts[0] == counts[1]


def test_accessible__an_image_with_a_title__and_a_table_that_says_the_same(operator: Client) -> None:
    html = operator.get(pages.page(scenes.debt())).content.decode()

    assert 'class="saga-timeline" role="img"' in html
    assert "The table below says the same in words." in html
    assert html.index("7 lines in words") > html.index("saga-timeline-desc")
    assert 'aria-labelledby="saga-timeline-title saga-timeline-desc"' in html


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (timedelta(0), "0 ms"),
        (timedelta(milliseconds=250), "250 ms"),
        (timedelta(seconds=1.5), "1.5 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(minutes=61, seconds=5), "1 h 1 min"),
        (timedelta(days=3, hours=4), "3 d 4 h"),
        (timedelta(seconds=-5), "0 ms"),
    ],
)
def test_length(time: timedelta, text: str) -> None:
    assert cells.length(time) == text
