"""The list's phrase about why a saga waits, or of what it failed; its subject; and what long texts do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from sagas.models import Saga, Step, Worker
from tests.admin import pages, scenes


def row(client: Client, saga: Saga) -> str:
    """What the saga's row says behind its state and progress."""
    text = pages.text(client.get(pages.LIST, {"q": saga.ulid}))
    return text.split(f"{saga.ulid} ", 2)[-1].split(" updated ")[0]


def worker(**options: Any) -> Worker:
    return Worker.objects.create(**{"host": "h", "pid": 1, "slots": 4, "free_slots": 4, "queues": None} | options)


@pytest.mark.parametrize(
    ("plight", "words"),
    [
        ("started", "reserve_inventory : no worker is running"),
        ("running", "charge_payment : its worker is lost"),
        ("waiting", "charge_payment : TimeoutError, next attempt in "),
        ("completed", "5/5 - "),
        ("compensating", "reserve_inventory : no worker is running"),
        ("compensated", "charge_payment : card_declined"),
        ("failed", "charge_payment : card_declined"),
        ("debt", "undo failed create_order : order_locked"),
        ("without_handler", "no handler create_order 0 s"),
        ("unrecorded", "result not recorded create_order : DataError"),
        ("crashed", "workers crash create_order : worker_lost"),
        ("awaiting_answer", "ship : waits for an answer, its time is up in "),
        ("awaiting_signal", "payment : waits for a signal"),
        ("awaiting_time", "remind : waits for its time: in "),
        ("awaiting_approval", "needs approval charge 0 s"),
        ("awaiting_undo", "needs approval charge 0 s"),
        ("paused", "paused for 0 s"),
    ],
)
def test_reason(plight: str, words: str, operator: Client) -> None:
    saga = scenes.PLIGHTS[plight]()
    Saga.objects.filter(pk=saga.pk, paused_at=None).update(created_at=timezone.now() + timedelta(hours=1))
    Saga.objects.filter(paused_at__isnull=False).update(paused_at=timezone.now() + timedelta(hours=1))
    # A busy machine may come here when an attempt is due already.
    saga.steps.filter(due_at__isnull=False).update(due_at=timezone.now() + timedelta(minutes=5))

    assert words in row(operator, saga)


def test_reason__of_who_waits_in_line_for_a_lock(operator: Client) -> None:
    scenes.locked()

    assert "waits for the lock order:A-1" in row(operator, scenes.locked())


def test_reason__a_step_that_runs_and_one_that_is_undone(operator: Client) -> None:
    going, back = scenes.running(), scenes.compensating()
    scenes.claims(back)
    worker(pk=scenes.WORKER, beat_at=timezone.now())
    Step.objects.filter(claim_worker=scenes.WORKER).update(claimed_at=timezone.now() - timedelta(minutes=2, seconds=9))

    assert "charge_payment : runs, for 2 min" in row(operator, going)
    assert "reserve_inventory : is being undone, for 2 min" in row(operator, back)


def test_reason__a_timed_out_thread_comes_before_what_waits(operator: Client) -> None:
    saga = scenes.waiting()
    saga.steps.filter(name="charge_payment").update(stale_worker=scenes.WORKER)

    assert "charge_payment : timed out, its thread still runs" in row(operator, saga)


def test_reason__what_the_workers_lack(operator: Client) -> None:
    saga, now = scenes.started(), timezone.now()

    worker(beat_at=now - timedelta(hours=1))
    worker(beat_at=now, dead=True)
    assert "no worker is running" in row(operator, saga)
    other = worker(beat_at=now, queues=["other"])
    assert "no worker serves the queue common" in row(operator, saga)
    Worker.objects.filter(pk=other.pk).update(queues=["", "other"], free_slots=0)
    assert "all workers are busy" in row(operator, saga)
    Worker.objects.filter(pk=other.pk).update(free_slots=1)
    assert "reserve_inventory : waits for a worker" in row(operator, saga)


def test_reason__workers_are_read_once_and_only_if_somebody_waits_for_them(operator: Client) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as captured:
            operator.get(pages.LIST)
        return sum("sagas_worker" in query["sql"] for query in captured.captured_queries)

    scenes.completed()
    assert asked() == 0
    for _ in range(3):
        scenes.started()
    assert asked() == 1


def test_subject__leads_to_its_own_page_for_who_may_see_it(
    operator: Client, client_of: Callable[[str], Client]
) -> None:
    about = User.objects.get()
    scenes.started(subject=about)
    link = f'<a href="/admin/auth/user/{about.pk}/change/">'

    seen, unseen = operator.get(pages.LIST), client_of("viewer").get(pages.LIST)

    assert link in seen.content.decode()
    assert link not in unseen.content.decode()
    assert f" user {about.pk} " in pages.text(unseen)


def test_subject__without_a_page_is_text(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    about = User.objects.get()
    scenes.started(subject=about)
    monkeypatch.delitem(admin.site._registry, User)

    response = operator.get(pages.LIST)

    assert f" user {about.pk} " in pages.text(response)
    assert "/admin/auth/user/" not in response.content.decode()


def test_subject__of_a_model_that_is_gone(operator: Client) -> None:
    saga = scenes.started(subject=User.objects.get())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_content_type SET model = 'gone' WHERE app_label = 'auth' AND model = 'user'")
    from django.contrib.contenttypes.models import ContentType

    ContentType.objects.clear_cache()
    try:
        assert f"gone {saga.subject_id}" in pages.text(operator.get(pages.LIST))
    finally:
        ContentType.objects.clear_cache()


def test_texts__that_are_stored_are_escaped_and_whole_in_the_title(operator: Client) -> None:
    saga = scenes.failed(owner="o" * 150)
    Saga.objects.filter(pk=saga.pk).update(name="<b>n", error_code="<i>code", subject_id="<u>42")
    Step.objects.filter(saga=saga, status="failed").update(name="<s>step")

    html = operator.get(pages.LIST).content.decode()

    for tag in ("<b>n", "<i>code", "<u>42", "<s>step"):
        assert tag not in html
        assert tag.replace("<", "&lt;").replace(">", "&gt;") in html
    assert f'title="{"o" * 150}"' in html
