"""Everything stored comes from somebody else: none of it may become markup."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Value
from django.db.models.functions import Concat
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from participants.orders.models import Order
from sagas.models import HistoryEntry, Saga, SagaGraph, Step, Worker
from sagas.store.reading import stored_graph
from tests.admin import matrix, pages, scenes

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


#: Columns whose text is not anybody's: the engine's own books, which it would not understand any more.
OWN_BOOKS = {"Rollup": {"mark", "facts"}, "StepHour": {"bins"}}


def a_row(model: type[models.Model], saga: Saga) -> models.Model:
    """One whose text is all evil; whatever else it must have is made up."""
    values: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        if field.has_default() or field.null or getattr(field, "auto_now_add", False):
            continue
        if field.is_relation:
            values[field.name] = saga if field.related_model is Saga else field.related_model._default_manager.first()
        elif isinstance(field, models.DateTimeField):
            values[field.name] = timezone.now()
        elif isinstance(field, models.UUIDField):
            values[field.name] = uuid4()
        elif isinstance(field, (models.IntegerField, models.FloatField)) and not field.primary_key:
            values[field.name] = 1
        elif isinstance(field, models.CharField) and field.primary_key:
            values[field.name] = SHORT
    return model._default_manager.create(**(values | evil_values(model, OWN_BOOKS.get(model.__name__, set()))))


def test_every_table__on_every_page(saga: Saga, operator: Client) -> None:
    """Tables and addresses that are new, too: of each a row whose text is markup, and all pages are looked at."""
    made = {model: a_row(model, saga) for model in matrix.stored_models() if model not in (Saga, Step, HistoryEntry)}
    looks = {name: address(saga) for name, address in matrix.ADDRESSES.items()}
    looks["a definition that somebody has counted"] = matrix.url("sagas_definition_change", EVIL)
    for model, row in made.items():
        if model in admin.site._registry:
            looks[model.__name__] = matrix.url(f"sagas_{model._meta.model_name}_change", row.pk)

    for name, address in looks.items():
        response = operator.get(address)
        assert response.status_code in (200, 302, 403, 404), name
        if response.headers["Content-Type"].startswith("text/html"):
            assert_harmless(response)
    assert len(made) >= 7


def test_list(saga: Saga, operator: Client) -> None:
    response = operator.get(pages.LIST)

    assert_harmless(response)
    assert response.content.decode().count("&lt;script&gt;") >= 3


def test_page(saga: Saga, operator: Client) -> None:
    response = operator.get(pages.page(saga))

    assert_harmless(response)
    assert response.content.decode().count("&lt;script&gt;") >= 50


def test_page__drawing_elements_and_family(operator: Client) -> None:
    """Names of steps in squares and boxes, of signals, and of relatives."""
    saga, child = scenes.opened_out(4, doubtful=1, done=1), scenes.parent()[1]
    for one in saga.steps.all():
        columns = {"compensation": EVIL, "error_code": EVIL, "name": f"{EVIL}{one.position}"}
        Step.objects.filter(pk=one.pk).update(**columns)
    Saga.objects.filter(pk=child.pk).update(name=EVIL, parent_step=EVIL, attention=SHORT)
    Saga.objects.filter(pk=child.parent_id).update(name=EVIL)
    data = saga.graph.data
    data["steps"] = [{**step, "wait_for": EVIL} for step in data["steps"]]
    SagaGraph.objects.filter(pk=saga.graph_id).update(data=data)
    stored_graph.cache_clear()

    for one in (saga, child, Saga.objects.get(pk=child.parent_id)):
        response = operator.get(pages.page(one))
        assert response.context["drawings"] or one == child
        assert "&lt;script&gt;" in response.content.decode()
        assert_harmless(response)
    stored_graph.cache_clear()


def test_timeline(operator: Client) -> None:
    """Statuses, errors, workers and people are whatever somebody wrote there."""
    saga = scenes.debt()
    Worker.objects.create(pk=scenes.WORKER, host=EVIL, pid=1)
    saga.steps.update(name=Concat(Value(EVIL), "name"))
    for entry in saga.history.order_by("id"):
        steps = entry.data.get("steps", {})
        for diff in steps.values():
            diff |= {"error_code": EVIL, **({"status": EVIL} if "status" in diff and entry.seq != 2 else {})}
            diff |= {name: EVIL for name in ("attempt", "undo_attempt", "hold", "waits") if name in diff}
        HistoryEntry.objects.filter(pk=entry.pk).update(data=entry.data, actor=EVIL, reason=EVIL)

    response = operator.get(pages.page(saga))

    assert len(response.context["timeline"].spans) >= 5
    assert response.context["timeline"].marks
    assert_harmless(response)


def test_reveal_and_whole_payloads(operator: Client) -> None:
    saga = scenes.secret()
    evil = {EVIL: EVIL, "token": EVIL, "list": [{f"{EVIL}token": EVIL}]}
    Saga.objects.filter(pk=saga.pk).update(context=evil, name=EVIL)
    saga.steps.update(name=Concat(Value(EVIL), "name"), input=evil, output=evil, undo_output=evil)
    address = reverse("admin:sagas_saga_reveal")

    asked = operator.post(address, {"saga": pages.item(saga)})
    shown = operator.post(address, {"saga": pages.item(saga), "confirmed": "yes", "reason": EVIL})
    whole = operator.get(reverse("admin:sagas_saga_payload", args=[saga.ulid]) + "?part=context")

    for response in (asked, shown, operator.get(pages.page(saga))):
        assert "&lt;script&gt;" in response.content.decode()
        assert_harmless(response)
    assert whole.headers["Content-Type"].startswith("text/plain")
    assert whole.headers["X-Content-Type-Options"] == "nosniff"


def test_panel(saga: Saga, operator: Client) -> None:
    order = Order.objects.create(saga=saga.pk, number=EVIL, customer=EVIL, currency="EUR", total=1)

    response = operator.get(reverse("admin:orders_order_change", args=[order.pk]))

    assert response.content.decode().count("&lt;script&gt;") >= 3
    assert_harmless(response)


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

    assert moved.status_code == 200, "what was typed is shown once more"
    assert scenes.fresh(saga).revision == saga.revision + 1
    for response in (asked, wrong, moved, operator.get(pages.page(saga)), operator.get(pages.LIST)):
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


def test_start(operator: Client) -> None:
    """The saga to begin from is evil, and so is what is typed."""
    old = scenes.ended(owner=SHORT, tags=[EVIL])
    Saga.objects.filter(pk=old.pk).update(context={EVIL: [EVIL]}, subject_id=EVIL)
    address = reverse("admin:sagas_saga_start", args=["admin_short"])
    typed = {"other": EVIL, "owner": EVIL, "tags": EVIL, "subject_kind": EVIL, "priority": EVIL, "reason": ""}

    for response in (
        operator.get(address, {"like": old.ulid}),
        operator.post(address, typed),
        operator.post(address, {"reason": EVIL, "idempotency_key": "1", "priority": "0", "owner": EVIL}, follow=True),
    ):
        assert "&lt;script&gt;" in response.content.decode()
        assert_harmless(response)


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
