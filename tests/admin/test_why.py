"""Why is it not moving? One sentence, and the button that mends it."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from sagas.core.triggers import NoEffect
from sagas.models import Saga, Worker
from tests.admin import pages, scenes

KNOWN = ["admin_tests.do", "admin_tests.undo"]


def worker(**changes: Any) -> Worker:
    """A worker that lives."""
    given = {"host": "web-1", "pid": 4711, "slots": 8, "free_slots": 3, "handlers": KNOWN}
    found: Worker = Worker.objects.create(**{"beat_at": timezone.now(), **given, **changes})
    return found


def said(client: Client, saga: Saga) -> tuple[str, str]:
    """What the box says, and what its button does."""
    page = client.get(pages.page(saga))
    why = page.context["why"]
    sentence = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", str(why.sentence))))
    text = re.sub(r" +([.,;:)])", r"\1", pages.text(page))
    assert text.count(sentence) == 1
    assert text.count("Why is it not moving?") == (not why.asks)
    return sentence, "" if why.verb is None else why.verb.name


Work = Callable[[], object]


@pytest.mark.parametrize(
    ("crew", "sentence"),
    [
        (lambda: None, "No worker is running, and it is the turn of create_order: start one with manage.py"),
        (lambda: worker(dead=True), "No worker is running"),
        (lambda: worker(beat_at=timezone.now() - timedelta(hours=1)), "No worker is running"),
        (lambda: worker(queues=["slow"]), "No running worker serves the queue common of create_order"),
        (lambda: worker(handlers=[]), "No running worker knows the handler admin_tests.do of create_order: deploy"),
        (lambda: worker(free_slots=0), "It is the turn of create_order, and all 8 slots of the workers that can run"),
        (lambda: worker(), "Nothing hinders it: a worker takes it up in a moment."),
        (lambda: (worker(handlers=[]), worker(queues=["", "slow"])), "Nothing hinders it"),
    ],
    ids=["none", "dead", "silent", "queue", "handler", "busy", "well", "one of two"],
)
def test_why__nobody_has_it(operator: Client, crew: Work, sentence: str) -> None:
    saga = scenes.start()
    crew()

    assert said(operator, saga)[0].startswith(sentence)


def waiting_long() -> Saga:
    """Its next attempt is not due while a busy machine gets to the page."""
    saga, due = scenes.waiting(), timezone.now() + timedelta(seconds=50)
    saga.steps.filter(name="charge_payment").update(due_at=due)
    Saga.objects.filter(pk=saga.pk).update(wake_at=due)
    return saga


@pytest.mark.parametrize(
    ("plight", "sentence", "button"),
    [
        (scenes.paused, r"Paused \d+ s ago by ines: stock-taking", "resume"),
        (scenes.awaiting_answer, r"ship waits for an answer to its token\. Its time is up in 59 min\.", ""),
        (scenes.awaiting_signal, r"payment waits for the signal paid\.", "signal"),
        (scenes.awaiting_time, r"remind waits for its time: in 59 min\.", "run_now"),
        (lambda: scenes.awaiting_approval(approvers="finance"), r"charge waits for approval by finance\.", "approve"),
        (scenes.awaiting_approval, r"charge waits for approval\.", "approve"),
        (
            lambda: scenes.awaiting_undo(approvers="auth.view_user"),
            r"Undoing charge waits for approval by auth\.view_user\.",
            "approve",
        ),
        (
            waiting_long,
            r"charge_payment failed \(no answer from the bank\); the next attempt is in \d+ s\.",
            "run_now",
        ),
        (scenes.debt, r"The compensation failed for good.*", "retry"),
        (scenes.unrecorded, r"The step ran, but its result could not be written.*", "resolve"),
        (scenes.crashed, r"Workers died again and again.*", "retry"),
    ],
    ids=[
        "paused",
        "answer",
        "signal",
        "time",
        "approvers",
        "approval",
        "undo",
        "retry",
        "debt",
        "unrecorded",
        "crashed",
    ],
)
def test_why__it_waits(operator: Client, plight: Callable[[], Saga], sentence: str, button: str) -> None:
    saga = plight()
    worker()

    found = said(operator, saga)

    assert re.fullmatch(sentence, found[0]), found
    assert found[1] == button


def test_why__it_runs__or_its_worker_is_lost(operator: Client) -> None:
    saga = scenes.running()
    row = worker(id=scenes.WORKER)
    assert re.fullmatch(r"It moves: charge_payment is running on web-1:4711, \d+ s ago\.", said(operator, saga)[0])

    Worker.objects.filter(pk=row.pk).update(beat_at=timezone.now() - timedelta(minutes=5))
    lost = "The worker that ran charge_payment has been silent since 5 min ago. "
    assert said(operator, saga)[0] == lost + "No other worker is running: start one with manage.py saga_worker."

    worker(pid=2)
    assert said(operator, saga)[0] == lost + "Another one takes over shortly."

    row.delete()
    gone = "The worker that ran charge_payment has died. Another one takes over shortly."
    assert said(operator, saga)[0] == gone


def test_why__an_undo_that_waits_for_its_next_attempt(operator: Client) -> None:
    saga = scenes.compensating()
    (claim,) = scenes.claims(saga)
    late = timedelta(minutes=7, seconds=30)
    reply = NoEffect(claim.position, scenes.WORKER, claim.token, True, message="the shop is closed", after=late)
    scenes.submit(saga, reply)
    worker()

    expected = "Undoing reserve_inventory failed (the shop is closed); the next attempt is in 7 min."
    assert said(operator, scenes.fresh(saga)) == (expected, "run_now")


def test_why__a_lock_that_another_saga_has(operator: Client) -> None:
    holder, saga = (scenes.locked() for _ in range(2))

    assert said(operator, saga) == (f"It waits for the lock order:A-1, held by the saga {holder.ulid}.", "")
    assert pages.page(holder) in operator.get(pages.page(saga)).content.decode()


@pytest.mark.parametrize("plight", [scenes.completed, scenes.compensated, scenes.failed], ids=["good", "undone", "bad"])
def test_why__what_has_ended_needs_no_reason(operator: Client, plight: Callable[[], Saga]) -> None:
    page = operator.get(pages.page(plight()))

    assert page.context["why"] is None
    assert "Why is it not moving?" not in pages.text(page)


def test_why__the_button_leads_to_the_confirmation(operator: Client) -> None:
    saga = scenes.awaiting_approval()
    why = operator.get(pages.page(saga)).context["why"]

    form = {"saga": pages.item(saga), "step": str(why.position), "origin": "page"}
    asked = operator.post(why.url, form)

    assert why.url == pages.act("approve")
    assert "charge" in pages.text(asked)
    assert asked.status_code == 200


def test_why__who_may_not_press__sees_the_sentence_alone(client_of: Callable[[str], Client]) -> None:
    saga = scenes.paused()

    sentence, button = said(client_of("viewer"), saga)

    assert sentence.endswith("by ines: stock-taking")
    assert button == ""
