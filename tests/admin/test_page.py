"""A saga's page: what it says in every plight, and that it survives odd rows."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from sagas.admin import cells, page
from sagas.core.states import SagaState
from sagas.models import HistoryEntry, Saga, SagaGraph
from tests.admin import pages, scenes


@pytest.mark.parametrize(
    ("plight", "words"),
    [
        ("started", ["started", "Progress 1/5", "2. reserve_inventory"]),
        ("running", ["charge_payment admin_tests.do admin_tests.undo running taken by a worker"]),
        (
            "waiting",
            [
                "pending in doubt: it may have had an effect",
                "1 (1 of 3 failed)",
                "TimeoutError no answer from the bank",
                "ended without an answer charge_payment, attempt 1 charge_payment: pending, in doubt, next attempt at",
            ],
        ),
        ("completed", ["completed", "Progress 5/5", "Ended 20", "the saga is completed schedule_shipping: completed"]),
        (
            "compensating",
            [
                "Why it does not go forward: card_declined the card was declined",
                "the saga is compensating error card_declined charge_payment: failed, error card_declined",
                "nothing to undo: reads only",
            ],
        ),
        ("compensated", ["Progress 2/2 undone", "the saga is compensated create_order: compensated", "undo: 1"]),
        ("failed", ["failed", "On failure stop, undo nothing", "Why it does not go forward: card_declined"]),
        (
            "debt",
            [
                "Needs attention: undo failed The compensation failed for good",
                "create_order : order_locked the order is locked",
                "compensation failed undo failed",
            ],
        ),
        ("without_handler", ["Needs attention: no handler No live worker knows the handler", "held: no handler"]),
        ("unrecorded", ["Needs attention: result not recorded", "unknown result not recorded in doubt"]),
        ("crashed", ["Needs attention: workers crash", "workers lost while running it: 5"]),
        ("late_effect", ["Needs attention: late effect", "check it by hand"]),
    ],
)
def test_plights(plight: str, words: list[str], operator: Client) -> None:
    text = pages.text(operator.get(pages.page(scenes.PLIGHTS[plight]())))

    for expected in words:
        assert expected in text


def test_facts_and_payloads(operator: Client) -> None:
    user = User.objects.get()
    saga = scenes.waiting(
        context={"number": "A-1", "city": "Évora"},
        owner="ines",
        subject=user,
        idempotency_key="order-1",
        request_id="req-9",
        tags=["vip", "web"],
        priority=5,
    )

    response = operator.get(pages.page(saga))

    text = pages.text(response)
    for fact in ("Owner ines", "Idempotency key order-1", "Request id req-9", "Tags vip, web", "Priority 5"):
        assert fact in text
    assert f"Revision {saga.revision}" in text
    assert (
        f'<a href="{reverse("admin:auth_user_change", args=[user.pk])}">user {user.pk}</a>' in response.content.decode()
    )
    assert '{ "number": "A-1", "city": "Évora" }' in text or '{ "city": "Évora", "number": "A-1" }' in text
    assert 'Input of charge_payment { "amount": 1250 }' in text
    assert 'Output of create_order { "id": 0 }' in text
    assert "Output of the compensation" not in text


def test_payloads__what_a_compensation_returned(operator: Client) -> None:
    saga = scenes.compensating()
    (claim,) = scenes.claims(saga)
    scenes.complete(saga, claim, {"refund": "R-7"})

    text = pages.text(operator.get(pages.page(saga)))

    name = saga.steps.get(position=claim.position).name
    assert f'Output of the compensation of {name} {{ "refund": "R-7" }}' in text


def test_subject__without_the_right_to_see_it_no_link(client_of: Callable[[str], Client]) -> None:
    client = client_of("viewer")
    user = User.objects.get()

    html = client.get(pages.page(scenes.started(subject=user))).content.decode()

    assert f"user {user.pk}" in html
    assert reverse("admin:auth_user_change", args=[user.pk]) not in html


def test_address__by_ulid_and_uuid(operator: Client) -> None:
    saga = scenes.started()

    for key in (saga.ulid, saga.ulid.lower(), str(saga.pk), saga.pk.hex):
        assert operator.get(f"{pages.LIST}{key}/change/").context["saga"].pk == saga.pk


@pytest.mark.parametrize("key", ["nonsense", "01ARZ3NDEKTSV4RRFFQ69G5FAV", f"{7:032x}", "_00", "a/b"])
def test_address__unknown(key: str, operator: Client) -> None:
    assert operator.get(f"{pages.LIST}{key}/change/").headers["Location"] == reverse("admin:index")


def test_history__older_entries_on_further_pages(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "ENTRIES", 4)
    saga, seen = scenes.completed(), []

    query: str | None = ""
    while query is not None:
        response = operator.get(pages.page(saga) + query)
        seen += [view.entry.seq for view in response.context["entries"]]
        older = response.context["older"]
        assert ("Older entries" in pages.text(response)) is (older is not None)
        query = f"?before={older}" if older else None

    assert seen == list(range(saga.revision, 0, -1))
    assert operator.get(f"{pages.page(saga)}?before=x").status_code == 200
    assert operator.get(f"{pages.page(saga)}?before={'9' * 40}").status_code == 200


def test_history__another_sagas_is_not_shown(operator: Client) -> None:
    one, _other = scenes.started(), scenes.completed()

    assert len(operator.get(pages.page(one)).context["entries"]) == one.history.count()


def test_queries__do_not_grow_with_the_saga(operator: Client) -> None:
    def queries(saga: Saga) -> int:
        operator.get(pages.page(saga))
        with CaptureQueriesContext(connection) as captured:
            operator.get(pages.page(saga))
        return len(captured)

    from sagas import step

    many = [step(f"step_{i}", action="admin_tests.do", no_compensation="reads") for i in range(40)]

    assert queries(scenes.start(steps=many[:1])) == queries(scenes.start(steps=many)) <= 14
    assert queries(scenes.completed(steps=many)) <= 14


def test_json__is_cut_where_a_page_would_drown(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "MAX_JSON", 50)

    text = pages.text(operator.get(pages.page(scenes.started(context={"text": "x" * 500}))))

    assert "… cut: the first 50 of 516 characters" in text
    assert "x" * 51 not in text


@pytest.mark.parametrize(
    "data",
    [
        [],
        ["odd"],
        "text",
        7,
        {"steps": []},
        {"steps": {"99": {"status": "pending"}, "x": 7, "-1": {}, "²": {"hold": ""}}},
        {"steps": {"0": {"status": None, "due_at": "yesterday", "round": {}, "new_field": [1]}}},
        {"steps": {"0": {"due_at": "2026-13-45T99:99:99+00:00"}}},
        {"state": "exploded", "attention": 3, "stale_since": True, "paused_at": None, "later": {"a": 1}},
    ],
)
def test_odd_history__is_shown(data: Any, operator: Client) -> None:
    saga = scenes.started()
    HistoryEntry.objects.filter(saga=saga, seq=2).update(data=data, kind="late_late_odd", attempt=99)

    response = operator.get(pages.page(saga))

    assert response.status_code == 200
    assert "too late, not counted: too late, not counted: odd" in pages.text(response)


@pytest.mark.parametrize(
    "odd",
    [
        {"state": "exploded"},
        {"attention": "odd"},
        {"context": [1, 2], "tags": {"a": 1}},
        {"context": "text", "tags": "text"},
        {"subject_id": "gone"},
        {"wake_at": None, "state": SagaState.COMPLETED},
    ],
)
def test_odd_saga__is_shown(odd: dict[str, Any], operator: Client) -> None:
    saga = scenes.started()
    Saga.objects.filter(pk=saga.pk).update(**odd)

    assert operator.get(pages.page(saga)).status_code == 200
    assert operator.get(pages.LIST).status_code == 200


@pytest.mark.parametrize("odd", [{"status": "odd"}, {"hold": "odd"}, {"position": 77}, {"depends_on": {}}])
def test_odd_step__is_shown(odd: dict[str, Any], operator: Client) -> None:
    saga = scenes.waiting()
    saga.steps.filter(name="charge_payment").update(**odd)

    assert operator.get(pages.page(saga)).status_code == 200
    assert operator.get(pages.LIST).status_code == 200


def test_unreadable__the_page_says_so_and_others_can_still_be_acted_on(operator: Client) -> None:
    """The frozen graph of one saga is gone: the engine can do nothing with it, the operator must still see it."""
    from sagas import step
    from sagas.store import reading

    good, bad = scenes.waiting(), scenes.start(steps=[step("lonely", action="admin_tests.do", no_compensation="none")])
    SagaGraph.objects.filter(pk=bad.graph_id)._raw_delete("default")
    reading.stored_graph.cache_clear()

    text = pages.text(operator.get(pages.page(bad)))
    asked = pages.text(pages.select(operator, "compensate", good, bad))

    assert "lonely" in text
    assert "the engine can not read this saga" in text
    assert f"{bad} : the engine can not read this saga" in asked
    assert "Compensate 1 saga" in asked


def test_step_notes__times_to_come_old_threads_and_rounds(operator: Client) -> None:
    saga = scenes.waiting()
    due = timezone.now() + timedelta(minutes=5, seconds=30)
    saga.steps.filter(name="charge_payment").update(due_at=due, stale_worker=uuid4(), stale_token=1, round=2)

    text = pages.text(operator.get(pages.page(saga)))

    assert "next attempt in 5 min a timed-out attempt still runs round 2" in text


def test_subject__of_a_model_that_is_not_in_the_admin_or_gone(operator: Client) -> None:
    from django.contrib.contenttypes.models import ContentType

    saga = scenes.started(subject=ContentType.objects.first())
    assert "Subject content type 1" in re.sub(r"type \d+", "type 1", pages.text(operator.get(pages.page(saga))))

    gone = ContentType.objects.create(app_label="removed", model="order")
    Saga.objects.filter(pk=saga.pk).update(subject_type=gone, subject_id="A-7")

    assert "A-7" in pages.text(operator.get(pages.page(saga)))


def test_no_steps(operator: Client) -> None:
    text = pages.text(operator.get(pages.page(scenes.start(steps=[]))))

    assert "It has no steps." in text
    assert "Progress 0/0" in text


# -- locks and heartbeats ---------------------------------------------------------------------------------------------


def test_lock__who_has_it_and_who_waits(operator: Client) -> None:
    holder, second, third = (scenes.locked() for _ in range(3))
    scenes.locked("another")

    has, waits = (operator.get(pages.page(saga)) for saga in (holder, third))

    assert f"Lock order:A-1 (held), behind it wait {second}, {third} " in pages.text(has).replace(" ,", ",")
    assert f"Lock order:A-1 (it waits for it), held by {holder} " in pages.text(waits)
    assert f'<a href="{pages.page(holder)}">' in waits.content.decode()
    assert pages.text(operator.get(pages.LIST)).count("waits for the lock order:A-1") == 2
    scenes.finish(holder)
    ended = pages.text(operator.get(pages.page(holder)))
    assert "Lock order:A-1 " in ended
    assert "(held)" not in ended


def test_lock__a_line_is_one_query_however_long(operator: Client) -> None:
    holder = scenes.locked()
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            operator.get(pages.page(holder))
        counts.append(sum("sagas_sagalock" in query["sql"] for query in queries))
        for _ in range(8):
            scenes.locked()

    assert counts == [1, 1]
    assert "and others" in pages.text(operator.get(pages.page(holder)))


def test_lock__of_no_lock_is_no_query(operator: Client) -> None:
    saga = scenes.started()

    with CaptureQueriesContext(connection) as queries:
        assert "Lock " not in pages.text(operator.get(pages.page(saga)))

    assert not any("sagas_sagalock" in query["sql"] for query in queries)


def test_step__says_how_far_it_is_and_how_often_it_must(operator: Client) -> None:
    saga = scenes.locked()
    row = saga.steps.filter(name="charge")
    before = pages.text(operator.get(pages.page(saga)))
    (claim,) = scenes.claims(saga)

    row.update(progress=0.456, progress_token=claim.token)
    running = pages.text(operator.get(pages.page(saga)))
    row.update(progress_token=claim.token + 1)
    earlier = pages.text(operator.get(pages.page(saga)))

    assert "progress" not in before.lower().replace("progress 0/1", "")
    assert "ended when it is silent" not in before
    assert "progress 45 % ended when it is silent for 30 s" in running
    assert "progress 45 %" not in earlier
