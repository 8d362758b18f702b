"""The order saga run by the real engine, its handlers against the real books: every way an order can go."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from participants.demo import seed_stock
from participants.inventory import services as stock
from participants.inventory.models import Reservation, Stock
from participants.orders import services as order_book
from participants.orders.models import Order
from participants.orders.sagas import OrderProcessing
from participants.payments import services as cashier
from participants.payments.models import Charge, Refund
from participants.shipping import services as carrier
from participants.shipping.models import Parcel
from sagaproject import storefront
from sagas.testing import run_saga
from tests.participants.books import books_balance
from tests.participants.requests import ADDRESS, order

FORWARD = {"create_order", "reserve_inventory", "validate_address", "charge_payment", "schedule_shipping"}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def full_shelves(db: None) -> None:
    seed_stock()


def an_order(**changes: Any) -> dict[str, Any]:
    return order(lines=[{"sku": "TEAPOT", "quantity": 2, "price": 4400}], **changes)


def test_good_order__leaves_one_of_everything():
    run = run_saga(OrderProcessing, an_order())

    assert run.state == "completed"
    assert set(run.outputs) == FORWARD
    assert Order.objects.get().saga == run.id
    assert Reservation.objects.values_list("stock_id", "quantity").get() == ("TEAPOT", 2)
    assert Charge.objects.values_list("amount", "currency").get() == (8800, "EUR")
    assert Parcel.objects.get().pieces == 2
    assert books_balance(run)


def test_stock_missing__takes_the_order_back():
    context = an_order() | {"lines": [{"sku": "TEAPOT", "quantity": 99_999, "price": 1}]}

    run = run_saga(OrderProcessing, context)

    assert (run.state, run.undone) == ("compensated", ["create_order"])
    assert not Charge.objects.exists()
    assert books_balance(run)


def test_address_not_served__releases_what_was_reserved_beside_it():
    context = an_order(address=ADDRESS | {"country": "AQ"})

    run = run_saga(OrderProcessing, context)

    assert run.state == "compensated"
    assert run.undone[-1] == "create_order"
    assert not Reservation.objects.filter(released_at=None).exists()
    assert books_balance(run)


def test_card_declined__undoes_in_reverse_and_charges_nothing():
    context = an_order(card="tok_0002")

    run = run_saga(OrderProcessing, context)

    assert run.undone == ["reserve_inventory", "create_order"]
    assert not Charge.objects.exists()
    assert Stock.objects.get(sku="TEAPOT").reserved == 0
    assert books_balance(run)


def test_answer_lost_once__is_charged_once_and_completes():
    context = an_order(card="tok_0119")

    run = run_saga(OrderProcessing, context)

    assert run.state == "completed"
    assert run.called.count("charge_payment") == 2
    assert Charge.objects.count() == 1
    assert books_balance(run)


def test_no_answer_ever__is_unknown_and_refunded():
    context = an_order(card="tok_0341")

    run = run_saga(OrderProcessing, context)

    assert run.undone == ["charge_payment", "reserve_inventory", "create_order"]
    assert Charge.objects.get() == Refund.objects.get().charge
    assert books_balance(run)


def test_parcel_too_large__undoes_all_four():
    context = an_order() | {"lines": [{"sku": "TEAPOT", "quantity": 31, "price": 4400}]}

    run = run_saga(OrderProcessing, context)

    assert run.undone == ["charge_payment", "reserve_inventory", "create_order"]
    assert Refund.objects.count() == 1
    assert books_balance(run)


@pytest.mark.parametrize("context", [{}, {"lines": 7}, an_order(currency="???")])
def test_no_order_at_all__is_refused_and_leaves_nothing(context: dict[str, Any]):
    run = run_saga(OrderProcessing, context)

    assert (run.state, run.called, run.undone) == ("compensated", ["create_order"], [])
    assert not Order.objects.exists()
    assert books_balance(run)


@pytest.mark.parametrize(
    ("service", "do", "step"),
    [
        (order_book, "create_order", "create_order"),
        (stock, "reserve", "reserve_inventory"),
        (cashier, "charge", "charge_payment"),
        (carrier, "schedule", "schedule_shipping"),
    ],
)
def test_done_but_never_answered__at_any_step__leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, service: ModuleType, do: str, step: str
):
    really = getattr(service, do)

    def done_and_lost(*args: Any, **options: Any) -> None:
        really(*args, **options)
        raise ConnectionError("the answer is lost")

    monkeypatch.setattr(service, do, done_and_lost)

    run = run_saga(OrderProcessing, an_order())

    assert (run.state, run.undone[0]) == ("compensated", step)
    assert run.called.count(step) == 3
    assert books_balance(run)


@pytest.mark.parametrize("step", ["create_order", "reserve_inventory", "charge_payment", "schedule_shipping"])
def test_never_done_and_never_answered__at_any_step__is_undone_all_the_same(step: str):
    run = run_saga(OrderProcessing, an_order(), fail={step: ConnectionError("nobody there")})

    assert (run.state, run.undone[0]) == ("compensated", step)
    assert books_balance(run)


def test_undo_half_way__gives_everything_back():
    run = run_saga(OrderProcessing, an_order(), finish=False)
    while run.next_step() != "charge_payment":
        pass

    run.compensate("the customer has changed their mind").finish()

    assert run.state == "compensated"
    assert books_balance(run)


@pytest.mark.parametrize("scenario", storefront.SCENARIOS, ids=lambda scenario: scenario["label"])
def test_storefront_scenario__ends_as_its_label_says(scenario: dict[str, Any]):
    lines = [{"sku": sku, "quantity": pieces, "price": 100} for sku, pieces in scenario["cart"].items()]
    address = storefront.ADDRESSES[scenario["address"]]
    context = order(lines=lines, card=scenario["card"], address=address)

    run = run_saga(OrderProcessing, context)

    goes_well = scenario["label"] in {"All goes well", "Answer lost once"}
    assert run.state == ("completed" if goes_well else "compensated")
    assert books_balance(run)
