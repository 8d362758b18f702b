"""A signal sent by an operator: which a saga can take, what is typed, and what is written down."""

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from sagas import step
from sagas.core.states import StepStatus
from sagas.models import Saga
from tests.admin import pages, scenes


def ask(client: Client, saga: Saga) -> Any:
    return client.post(pages.act("signal"), {"saga": pages.item(saga), "origin": "page"})


def test_signal__from_the_page_to_the_history(operator: Client) -> None:
    saga = scenes.awaiting_signal()

    asked = ask(operator, saga)
    done = pages.confirm(
        operator, "signal", saga, name="paid", payload='{"amount": 7}', reason="the bank says so", origin="page"
    )

    assert "paid: payment waits for it" in pages.text(asked)
    assert scenes.fresh(saga).revision == saga.revision + 1
    assert done.headers["Location"] == pages.page(saga)
    payment, entry = saga.steps.get(name="payment"), saga.history.order_by("-id")[0]
    assert (payment.status, payment.output) == (StepStatus.COMPLETED, {"amount": 7})
    assert (entry.kind, entry.actor, entry.reason) == ("signal", "superuser", "the bank says so")
    assert LogEntry.objects.get().change_message == "Send a signal: the bank says so"
    assert pages.told(operator.get(pages.page(saga))) == [f"1 saga has got the signal: {saga}"]


def test_signal__one_that_is_not_waited_for_yet_is_kept(operator: Client) -> None:
    saga = scenes.start(steps=scenes.one_step("payment", wait_for="paid"))

    assert "paid: for payment, later" in pages.text(ask(operator, saga))
    pages.confirm(operator, "signal", saga, name="paid", payload="")
    scenes.advance(saga, 1)

    assert saga.steps.get(name="payment").status == StepStatus.COMPLETED
    assert saga.steps.get(name="payment").output == {}


def test_signal__what_is_waited_for_comes_first(operator: Client) -> None:
    saga = scenes.start(steps=[step("paid", wait_for="b_paid"), step("packed", wait_for="a_packed")])
    scenes.claims(saga)

    field = ask(operator, scenes.fresh(saga)).context["form"].fields["name"]

    assert list(field.choices) == [("b_paid", "b_paid: paid waits for it"), ("a_packed", "a_packed: for packed, later")]


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"name": "unknown"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "paid", "payload": "{"}, "payload"),
        ({"name": "paid", "payload": '{"a": NaN}'}, "payload"),
        ({"name": "paid", "reason": ""}, "reason"),
    ],
)
def test_signal__what_is_typed_is_checked_and_kept(typed: dict[str, str], field: str, operator: Client) -> None:
    saga = scenes.awaiting_signal()

    response = pages.confirm(operator, "signal", saga, **typed)

    form = response.context["form"]
    assert list(form.errors) == [field]
    assert all(form[name].value() == value for name, value in typed.items())
    assert scenes.fresh(saga).revision == saga.revision
    assert not LogEntry.objects.exists()


def test_signal__twice_from_one_page_is_sent_once(operator: Client) -> None:
    saga = scenes.awaiting_signal()

    pages.confirm(operator, "signal", saga, name="paid")
    again = pages.confirm(operator, "signal", saga, name="paid")

    assert "no step takes a signal now" in pages.text(again)
    assert scenes.fresh(saga).revision == saga.revision + 1
    assert LogEntry.objects.count() == 1


def test_signal__a_saga_that_moved_since_is_left_alone(operator: Client) -> None:
    saga = scenes.start(steps=scenes.one_step("payment", wait_for="paid"))
    scenes.advance(saga, 1)

    again = pages.confirm(operator, "signal", saga, name="paid", payload="[7]")

    assert pages.told(again)[0].startswith("1 saga changed since you looked")
    assert again.context["form"]["payload"].value() == "[7]"
    assert saga.steps.get(name="payment").status == StepStatus.WAITING


@pytest.mark.parametrize("made", [scenes.started, scenes.completed, scenes.compensating])
def test_signal__no_button_and_no_way_where_no_step_takes_one(made: Any, operator: Client) -> None:
    saga = made()

    assert "signal" not in pages.buttons(operator.get(pages.page(saga)))
    assert "no step takes a signal now" in pages.text(ask(operator, saga))
    pages.confirm(operator, "signal", saga, name="paid")

    assert scenes.fresh(saga).revision == saga.revision
