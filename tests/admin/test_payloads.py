"""Payloads: folded, cut, and without what is sensitive; shown whole only to who may see it, on the record."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from sagas.admin import cells
from sagas.core.redaction import REDACTED
from sagas.models import HistoryEntry, Saga
from tests.admin import pages, scenes

REVEAL = reverse("admin:sagas_saga_reveal")


def whole(saga: Saga, query: str) -> str:
    return f"{reverse('admin:sagas_saga_payload', args=[saga.ulid])}?{query}"


def reveal(client: Client, saga: Saga, **fields: Any) -> Any:
    typed = {"saga": pages.item(saga), "confirmed": "yes", "reason": "the bank asks"}
    return client.post(REVEAL, typed | fields)


# -- the canary: nowhere but where it is asked for


def test_canary__on_no_page(operator: Client) -> None:
    saga = scenes.secret()
    looks = [
        operator.get(pages.page(saga)),
        operator.get(pages.LIST),
        operator.get(reverse("admin:sagas_saga_history", args=[saga.pk])),
        operator.get(whole(saga, "part=context")),
        *(operator.get(whole(saga, f"part={part}&step=0")) for part in ("input", "output", "undo_output")),
        *(operator.post(pages.act(verb), {"saga": pages.item(saga)}) for verb in pages.VERBS),
        *(pages.ask_step(operator, verb, saga, "charge") for verb in pages.STEP_VERBS),
        operator.post(REVEAL, {"saga": pages.item(saga)}),
    ]

    for response in looks:
        assert response.status_code in (200, 302)
        assert scenes.CANARY not in response.content.decode()
    assert looks[0].content.decode().count(REDACTED) >= 6
    assert scenes.CANARY not in str(list(HistoryEntry.objects.values_list("data", "reason")))


def test_canary__what_is_not_sensitive_is_shown(operator: Client) -> None:
    text = pages.text(operator.get(pages.page(scenes.secret())))

    for word in ("A-1", "ines", "visa", "R-7", "R-8", '"amount": 5'):
        assert word in text


def test_canary__an_approver_sees_of_what_but_no_secrets(operator: Client) -> None:
    saga = scenes.awaiting_approval()
    saga.steps.filter(name="charge").update(input={"amount": 7, "token": "CANARY"})

    text = pages.text(pages.ask_step(operator, "approve", saga, "charge"))

    assert '"amount": 7' in text
    assert '"token": "[redacted]"' in text
    assert scenes.CANARY not in text


def test_retry_with__begins_with_the_input_as_it_may_be_seen__and_keeps_the_rest(operator: Client) -> None:
    saga = scenes.failed()
    saga.steps.filter(name="charge_payment").update(input={"amount": 7, "token": "CANARY"})

    asked = pages.ask_step(operator, "retry_with", saga, "charge_payment")
    form = asked.context["form"]
    pages.confirm_step(operator, "retry_with", saga, "charge_payment", input=form["input"].value().replace("7", "8"))

    assert scenes.CANARY not in asked.content.decode()
    assert saga.steps.get(name="charge_payment").input == {"amount": 8, "token": "CANARY"}


def test_restart__begins_with_the_context_as_it_may_be_seen__and_keeps_the_rest(operator: Client) -> None:
    saga = scenes.ended(context={"number": "A-1", "password": "CANARY"})

    asked = operator.post(pages.act("restart"), {"saga": pages.item(saga)})
    pages.confirm(operator, "restart", saga, context=asked.context["form"]["context"].value())

    assert scenes.CANARY not in asked.content.decode()
    assert Saga.objects.latest("id").context == {"number": "A-1", "password": "CANARY"}


# -- showing what is hidden


def test_reveal__asks_for_a_reason_and_says_what_is_hidden(operator: Client) -> None:
    saga = scenes.secret()

    response = operator.post(REVEAL, {"saga": pages.item(saga)})

    text = pages.text(response)
    for place in (
        "context.token",
        "context.customer.street",
        "context.cards[0].cardNumber",
        "charge.input.card_number",
    ):
        assert place in text
    assert not saga.history.filter(kind="revealed").exists()


@pytest.mark.parametrize("reason", ["", "   "])
def test_reveal__without_a_reason_nothing_is_shown(reason: str, operator: Client) -> None:
    saga = scenes.secret()

    response = reveal(operator, saga, reason=reason)

    assert "Say why" in pages.text(response)
    assert scenes.CANARY not in response.content.decode()
    assert not saga.history.filter(kind="revealed").exists()


def test_reveal__shows_all_of_it__once__on_the_record(operator: Client) -> None:
    saga = scenes.secret()

    response = reveal(operator, saga)

    html = response.content.decode()
    for place in ("context", "street", "list", "input", "output", "undo"):
        assert f"CANARY-{place}" in html
    assert "no-store" in response.headers["Cache-Control"]
    line = saga.history.get(kind="revealed")
    assert (line.actor, line.reason, line.seq) == ("superuser", "the bank asks", None)
    assert LogEntry.objects.get(object_id=str(saga.pk)).change_message == "Show what is hidden: the bank asks"
    assert scenes.fresh(saga).revision == saga.revision
    page = pages.text(operator.get(pages.page(saga)))
    assert "hidden values were shown - context." in page
    assert "charge.input.card_number" in page
    assert "superuser the bank asks" in page
    assert scenes.CANARY not in page


def test_reveal__a_get_shows_and_changes_nothing(operator: Client) -> None:
    saga = scenes.secret()

    response = operator.get(REVEAL, {"saga": pages.item(saga), "confirmed": "yes", "reason": "x"})

    assert response.headers["Location"] == pages.LIST
    assert not saga.history.filter(kind="revealed").exists()


@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("anonymous", 302), ("staff", 403), ("viewer", 403), ("blind", 403), ("compensator", 403), ("steerer", 403),
        ("revealer", 200), ("superuser", 200),
    ],
)  # fmt: skip
def test_reveal__takes_a_permission_of_its_own(role: str, status: int, client_of: Callable[[str], Client]) -> None:
    saga, client = scenes.secret(), client_of(role)

    response = reveal(client, saga)

    assert response.status_code == status
    assert (scenes.CANARY in response.content.decode()) is (status == 200)
    assert saga.history.filter(kind="revealed").exists() is (status == 200)


@pytest.mark.parametrize(("role", "has"), [("viewer", False), ("revealer", True)])
def test_button__for_who_may__where_something_is_hidden(
    role: str, has: bool, client_of: Callable[[str], Client]
) -> None:
    client = client_of(role)

    with_secrets = client.get(pages.page(scenes.secret())).content.decode()
    without = client.get(pages.page(scenes.started())).content.decode()

    assert (f'action="{REVEAL}"' in with_secrets) is has
    assert "Sensitive values are hidden." in with_secrets
    assert REVEAL not in without
    assert "Sensitive values are hidden." not in without


def test_reveal__needs_its_csrf_token(operator: Client) -> None:
    saga, strict = scenes.secret(), Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get())

    assert reveal(strict, saga).status_code == 403
    assert not saga.history.filter(kind="revealed").exists()


@pytest.mark.parametrize("saga", ["", "nonsense", "01ARZ3NDEKTSV4RRFFQ69G5FAV:x"])
def test_reveal__odd_requests(saga: str, operator: Client) -> None:
    assert operator.post(REVEAL, {"saga": saga}).status_code == 400


def test_reveal__of_a_saga_that_is_gone(operator: Client) -> None:
    assert operator.post(REVEAL, {"saga": "01ARZ3NDEKTSV4RRFFQ69G5FAV:1"}).headers["Location"] == pages.LIST


def test_reveal__nothing_is_hidden(operator: Client) -> None:
    assert "Nothing is hidden." in pages.text(reveal(operator, scenes.started()))


# -- long ones


def test_long__cut_with_a_way_to_all_of_it(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "MAX_JSON", 50)
    saga = scenes.started(context={"text": "x" * 500, "token": "CANARY"})
    saga.steps.filter(position=0).update(output={"long": "y" * 600})

    html = operator.get(pages.page(saga)).content.decode()

    for query, letter, count in (("part=context", "x", 500), ("part=output&step=0", "y", 600)):
        address = whole(saga, query)
        assert f'href="{address.replace("&", "&amp;")}"' in html
        response = operator.get(address)
        assert letter * count in response.content.decode()
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert scenes.CANARY not in response.content.decode()
    assert "x" * 51 not in html


@pytest.mark.parametrize(
    "query",
    ["", "part=", "part=status&step=0", "part=input", "part=input&step=99", "part=input&step=x", "part=input&step=²"],
)
def test_whole__of_nothing(query: str, operator: Client) -> None:
    assert operator.get(whole(scenes.started(), query)).status_code == 404


def test_whole__of_a_saga_that_is_gone(operator: Client) -> None:
    for key in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "nonsense"):
        assert operator.get(reverse("admin:sagas_saga_payload", args=[key]) + "?part=context").status_code == 404


@pytest.mark.parametrize(("role", "status"), [("anonymous", 302), ("staff", 403), ("blind", 403), ("viewer", 200)])
def test_whole__for_who_may_view(role: str, status: int, client_of: Callable[[str], Client]) -> None:
    assert client_of(role).get(whole(scenes.started(), "part=context")).status_code == status
