"""The order saga fails in every step and every way, and stock, money and parcels balance each time.

Then a participant is broken on purpose, in each way that participants are known to be wrong, and it is found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db.models import F
from django.test import TestCase
from django.utils import timezone

from participants import contracts
from participants.demo import seed_stock
from participants.inventory import services as stock
from participants.inventory.models import Stock
from participants.orders.models import Order
from participants.orders.sagas import OrderProcessing
from participants.payments import services as cashier
from participants.payments.models import Charge, Refund
from participants.shipping.models import Parcel
from sagas import Rejected
from sagas.definitions.registry import registry
from sagas.testing import FROZEN, WAYS, CrashAfter, Report, Timeout, fail_every_step, given
from tests.participants.books import books_balance
from tests.participants.requests import order

EVERYTHING = [*WAYS, FROZEN]
STEPS = ["create_order", "reserve_inventory", "validate_address", "charge_payment", "schedule_shipping"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _full_shelves(db: None) -> None:
    seed_stock()


def an_order(**changes: Any) -> dict[str, Any]:
    return order(lines=[{"sku": "TEAPOT", "quantity": 2, "price": 4400}], **changes)


def fail_everywhere(**changes: Any) -> Report:
    return fail_every_step(OrderProcessing, an_order(**changes), invariant=books_balance, ways=EVERYTHING)


def complaint(**changes: Any) -> str:
    with pytest.raises(AssertionError) as failed:
        fail_everywhere(**changes)
    return str(failed.value)


# -- as they are -----------------------------------------------------------------------------------------------------


def test_every_step_in_every_way__the_books_balance():
    report = fail_everywhere()

    assert report.count == 1 + 5 * 6 + 4 * 6
    assert not report.not_reached
    assert {trial.step for trial in report if trial.step} == set(STEPS)
    for model in (Order, Charge, Refund, Parcel):
        assert not model._default_manager.exists(), "each run is rolled back"


def test_every_step_in_every_way__with_a_provider_that_answers_late():
    """The card's first answer is lost: each charge is made in doubt already."""
    assert not fail_everywhere(card="tok_0119").not_reached


def test_every_step_in_every_way__of_an_order_that_is_undone_anyway():
    report = fail_everywhere(card="tok_0341")

    assert {trial.state for trial in report} == {"compensated"}
    assert {trial.step for trial in report.not_reached} == {"schedule_shipping"}


class InDjangosTestCase(TestCase):
    """The same without pytest."""

    def test_reserve(self):
        seed_stock()
        before = Stock.objects.get(sku="TEAPOT").on_hand

        report = fail_every_step(OrderProcessing, an_order(), invariant=books_balance)

        assert report.count == 1 + 5 * 5 + 4 * 5
        assert Stock.objects.get(sku="TEAPOT").on_hand == before


def test_scripted__the_orders_service_needs_no_other_to_be_there():
    run = (
        given(OrderProcessing, an_order())
        .expect("orders.create", input={"number": "T-1"})
        .call_through()
        .expect("shipping.validate")
        .reply({"days": 4})
        .expect("inventory.reserve", input={"lines": [{"sku": "TEAPOT", "quantity": 2, "price": 4400}]})
        .reply({"reserved": {"TEAPOT": 2}, "pieces": 2})
        .expect("payment.charge", input={"amount": 8800, "currency": "EUR"})
        .reply(Timeout())
        .expect("payment.charge")
        .reply(CrashAfter())
        .expect("payment.charge")
        .reply(Rejected("declined", code="card_declined"))
        .expect("payment.refund", input={"card": "tok_4242"})
        .reply()
        .expect("inventory.release")
        .reply()
        .expect("orders.delete")
        .call_through()
        .drain()
    )

    assert (run.state, run.undone) == ("compensated", ["charge_payment", "reserve_inventory", "create_order"])
    assert Order.objects.get().state == Order.State.CANCELLED


# -- broken on purpose -----------------------------------------------------------------------------------------------


def forgets_keys(cls: Any, key: str, work: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bool]:
    """No dedupe, no fence."""
    return work(), True


def forgets_fence(cls: Any, key: str, work: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bool]:
    """Dedupe, but an undone key may be done again."""
    operation = cls._locked(key)
    if operation.result is not None and not operation.undone:
        return operation.result, False
    operation.result, operation.undone = work(), False
    operation.save(update_fields=["result", "undone"])
    return operation.result, True


def undoes_blindly(cls: Any, key: str, work: Callable[[dict[str, Any]], None]) -> None:
    """What was done is undone as often as one asks."""
    operation = cls._locked(key)
    if operation.result is not None:
        work(operation.result)
    operation.undone = True
    operation.save(update_fields=["undone"])


def release_twice(key: str) -> None:
    """Puts back what was reserved whether or not it was put back before."""
    for reservation in stock.Reservation.objects.filter(key=key):
        Stock.objects.filter(pk=reservation.stock_id).update(
            on_hand=F("on_hand") + reservation.quantity, reserved=F("reserved") - reservation.quantity
        )
    stock.Reservation.objects.filter(key=key).update(released_at=timezone.now())


def test_broken__reserves_again_for_the_same_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stock.Operation, "do_once", classmethod(forgets_keys))

    text = complaint()

    assert text.startswith("order_processing breaks when reserve_inventory fails: timeout")


def test_broken__a_compensation_that_is_not_idempotent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(stock.Operation, "undo_once", classmethod(undoes_blindly))
    monkeypatch.setattr(stock, "_release", release_twice)

    text = complaint()

    first, *_ = text.splitlines()
    assert first == (
        "order_processing breaks when the compensation of reserve_inventory fails: timeout "
        "(the saga rolls back because schedule_shipping is rejected)"
    )
    assert "reserve_inventory compensation_failed held (debt)" in text
    assert "inventory_reserved_not_negative" in caplog.text, "one failing statement does not spoil the next run's"


def test_broken__no_fence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(contracts.Operation, "do_once", classmethod(forgets_fence))

    text = complaint()

    assert text.startswith(
        "order_processing breaks when create_order fails: frozen before the effect, thawed at the end"
    )
    assert "late_effect" in text


def test_broken__a_refund_that_is_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cashier, "_refund", lambda result: None)

    text = complaint()

    assert text.startswith("order_processing breaks when charge_payment fails: timeout")
    assert "order T-1: money: expected nothing, found 8800 EUR" in text


def test_broken__an_undo_that_needs_the_output(monkeypatch: pytest.MonkeyPatch):
    """It can not undo what was never answered."""
    known = registry.handlers["shipping.cancel"]
    trusting = replace(known, function=lambda ctx: Parcel.objects.filter(tracking=ctx.output["tracking"]).delete())
    monkeypatch.setitem(registry.handlers, "shipping.cancel", trusting)

    text = complaint()

    assert text.startswith("order_processing breaks when schedule_shipping fails: exception")
    assert "TypeError" in text
    assert "a person must look at the saga: debt" in text
