"""Everything stored comes from somebody else: none of it may become markup."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from sagas.models import HistoryEntry, Saga, Step, Worker
from tests.admin import pages, scenes

EVIL = '"><script>alert(1)</script>'
#: Short enough for the shortest column that takes text.
SHORT = "\"><script>'"


def evil_values(model: type[models.Model], keep: set[str]) -> dict[str, Any]:
    """Evil text for every column that takes text or JSON."""
    found: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if field.primary_key or field.is_relation or field.name in keep:
            continue
        if isinstance(field, models.JSONField):
            found[field.name] = {EVIL: [EVIL, {EVIL: EVIL}]}
        elif isinstance(field, (models.CharField, models.TextField)):
            found[field.name] = EVIL if (field.max_length or 999) >= len(EVIL) else SHORT
    return found


def assert_harmless(response: Any) -> None:
    html = response.content.decode()
    assert "<script>alert" not in html
    assert SHORT not in html
    assert not re.findall(r"<script(?![^>]*\bsrc=)[^>]*>", html)


@pytest.fixture
def saga(db: None) -> Saga:
    saga = scenes.debt(subject=ContentType.objects.first())
    Saga.objects.filter(pk=saga.pk).update(**evil_values(Saga, {"state"}), stale_since=timezone.now())
    for step in saga.steps.all():
        Step.objects.filter(pk=step.pk).update(**{**evil_values(Step, set()), "name": f"{EVIL}{step.position}"})
    for entry in saga.history.all():
        values = evil_values(HistoryEntry, {"note_key"})
        HistoryEntry.objects.filter(pk=entry.pk).update(**values)
    steps = {
        str(step.position): {"status": EVIL, "hold": EVIL, EVIL: EVIL, "due_at": EVIL} for step in saga.steps.all()
    }
    HistoryEntry.objects.filter(saga=saga, seq=2).update(
        data={"state": EVIL, "attention": EVIL, "error_code": EVIL, EVIL: EVIL, "steps": {**steps, EVIL: EVIL}}
    )
    return scenes.fresh(saga)


def test_every_column_is_covered(saga: Saga) -> None:
    """So that a new column does not slip through: text is evil in all of them."""
    for row in (saga, saga.steps.all()[0], saga.history.all()[0]):
        names = evil_values(type(row), {"state", "note_key"})
        assert names
        assert all("<script>" in str(getattr(row, name)) for name in names)


def test_list(saga: Saga, operator: Client) -> None:
    response = operator.get(pages.LIST)

    assert_harmless(response)
    assert response.content.decode().count("&lt;script&gt;") >= 3


def test_page(saga: Saga, operator: Client) -> None:
    response = operator.get(pages.page(saga))

    assert_harmless(response)
    assert response.content.decode().count("&lt;script&gt;") >= 50


def test_state(operator: Client) -> None:
    saga = scenes.completed()
    Saga.objects.filter(pk=saga.pk).update(state=SHORT, wake_at=timezone.now())

    assert_harmless(operator.get(pages.page(saga)))
    assert_harmless(operator.get(pages.LIST))


@pytest.mark.parametrize("verb", ["skip", "roll_back_to"])
def test_confirmation_and_messages__of_a_step(verb: str, operator: Client) -> None:
    """What is typed, and the step's own name and payloads, are evil."""
    saga = scenes.waiting(owner=EVIL)
    data = saga.graph.data
    data["steps"] = [{**step, "name": step["name"] + EVIL, "compensation": EVIL} for step in data["steps"]]
    type(saga.graph).objects.create(hash="e" * 64, data=data)
    Saga.objects.filter(pk=saga.pk).update(graph_id="e" * 64)

    asked = pages.ask_step(operator, verb, saga, "charge_payment", follow=True)
    wrong = pages.confirm_step(operator, verb, saga, "charge_payment", output=EVIL, reason="")
    moved = operator.post(
        pages.act(verb), {"saga": pages.item(saga, 1), "step": "3", "confirmed": "yes", "reason": EVIL}
    )
    pages.confirm_step(operator, verb, saga, "charge_payment", reason=EVIL)

    assert moved.status_code == 302
    assert scenes.fresh(saga).revision == saga.revision + 1
    for response in (asked, wrong, operator.get(pages.page(saga)), operator.get(pages.LIST)):
        assert "&lt;script&gt;" in response.content.decode()
        assert_harmless(response)


@pytest.mark.parametrize("verb", ["compensate", "retry", "cancel", "pause", "run_now"])
def test_confirmation_and_messages(verb: str, operator: Client) -> None:
    """Here the saga can be acted on; its name and its steps' names in the frozen graph are evil."""
    saga = scenes.waiting(owner=EVIL)
    Saga.objects.filter(pk=saga.pk).update(name=EVIL)
    graph = Saga.objects.get(pk=saga.pk).graph
    data = graph.data
    for step in data["steps"]:
        step["name"] += EVIL
        step["action"] = step["compensation"] = EVIL
        step["no_compensation"] = ""
    type(graph).objects.create(hash="e" * 64, data=data)
    Saga.objects.filter(pk=saga.pk).update(graph_id="e" * 64)

    asked = operator.post(pages.act(verb), {"saga": pages.item(saga)})
    empty = pages.confirm(operator, verb, saga, reason="", filters=EVIL)
    moved = operator.post(
        pages.act(verb), {"saga": pages.item(saga, 1), "confirmed": "yes", "reason": EVIL}, follow=True
    )
    done = operator.post(pages.act(verb), {"saga": pages.item(saga), "confirmed": "yes", "reason": EVIL}, follow=True)

    for response in (asked, empty, moved, done):
        assert response.status_code == 200
        assert "&lt;script&gt;" in response.content.decode()
        assert_harmless(response)
    assert_harmless(operator.get(pages.page(saga)))
    assert_harmless(operator.get(reverse("admin:sagas_saga_history", args=[saga.pk])))


def test_what_is_typed(operator: Client) -> None:
    scenes.started()

    for query in (f"?q={EVIL}", f"?state={EVIL}", f"?name={EVIL}"):
        assert_harmless(operator.get(pages.LIST + query, follow=True))
    assert_harmless(operator.get(f"{pages.LIST}%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E/change/", follow=True))


def test_workers(client_of: Callable[[str], Client]) -> None:
    worker = Worker.objects.create(pid=1, **evil_values(Worker, set()), beat_at=timezone.now() - timedelta(days=1))
    client = client_of("superuser")

    for response in (
        client.get(reverse("admin:sagas_worker_changelist")),
        client.get(reverse("admin:sagas_worker_change", args=[worker.pk])),
    ):
        assert "&lt;script&gt;" in response.content.decode()
        assert_harmless(response)
