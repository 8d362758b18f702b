"""The demo's orders: made by the committed script, and ending as planned whatever their order."""

import json
from collections import Counter
from random import Random
from typing import Any
from uuid import uuid4

import pytest

from participants import contracts, generate_orders
from participants.demo import ORDERS_FILE, demo_orders, seed_stock
from participants.inventory import services as stock
from participants.inventory.catalogue import STOCK_FILE, catalogue
from participants.inventory.models import Stock
from participants.orders import services as order_book
from participants.payments import services as cashier
from participants.shipping import services as carrier
from sagas import Rejected


def test_files__are_what_the_script_writes():
    orders, shelves = generate_orders.build()

    assert ORDERS_FILE.read_text(encoding="utf-8") == orders
    assert STOCK_FILE.read_text(encoding="utf-8") == shelves


def test_orders__are_valid_and_varied():
    orders = [contracts.read_order(context) for context in demo_orders()]

    assert len(orders) == 300
    assert len({order.number for order in orders}) == 300
    assert len({order.customer for order in orders}) > 100
    assert {order.currency for order in orders} == set(contracts.CURRENCIES)
    assert {len(order.lines) for order in orders} == {1, 2, 3, 4, 5}


def test_prices__are_those_of_the_catalogue():
    prices = {article.sku: article.prices for article in catalogue()}

    for context in demo_orders():
        for line in context["lines"]:
            assert line["price"] == prices[line["sku"]][context["currency"]]


def test_money__is_the_same_in_the_contract_and_in_the_script():
    assert {name: digits for name, (digits, _) in generate_orders.MONEY.items()} == contracts.CURRENCIES


def outcome(context: dict[str, Any]) -> str:
    """What the services make of an order, one after the other, with the undo of what a failure left."""
    saga = uuid4()
    key = f"{saga}:do"
    try:
        created = order_book.create_order(key, context, saga=saga)
        request = context | created
        request |= stock.reserve(key, request, saga=saga)
        carrier.validate_address(request)
        charge(key, request | {"amount": created["total"]}, saga)
        carrier.schedule(key, request, saga=saga)
    except Rejected as refused:
        reason = refused.code
    except TimeoutError:
        reason = "timeout"
    else:
        return "completed"
    for undo in (carrier.cancel, cashier.refund, stock.release, order_book.cancel_order):
        undo(key)
    return reason


def charge(key: str, request: dict[str, Any], saga: Any) -> None:
    try:
        cashier.charge(key, request, saga=saga)
    except TimeoutError:
        cashier.charge(key, request, saga=saga)


@pytest.mark.django_db
def test_outcomes__are_the_plan_in_any_order():
    seed_stock()
    orders = demo_orders()
    Random(7).shuffle(orders)

    outcomes = Counter(outcome(context) for context in orders)

    assert outcomes == {
        "completed": 231,
        "insufficient_stock": 22,
        "card_declined": 18,
        "address_unserviceable": 14,
        "timeout": 9,
        "parcel_too_large": 6,
    }


@pytest.mark.django_db
def test_seed_stock__again__fills_up_to_the_same_level():
    seed_stock()
    stock.reserve("k:do", demo_orders()[2] | {"order_id": 1}, saga=uuid4())

    seed_stock()

    levels = {article["sku"]: article["quantity"] for article in json.loads(STOCK_FILE.read_text())}
    assert dict(Stock.objects.values_list("sku", "on_hand")) == levels
