"""Requests as the four services get them, and one way to ask each service for its do and its undo."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from django.db import models

from participants.inventory import models as inventory
from participants.inventory import services as stock
from participants.orders import models as orders
from participants.orders import services as order_book
from participants.payments import models as payments
from participants.payments import services as cashier
from participants.shipping import models as shipping
from participants.shipping import services as carrier

ADDRESS = {
    "name": "Inês Duarte",
    "street": "Rua Augusta 5",
    "city": "Lisboa",
    "postcode": "1100-048",
    "country": "PT",
}
ORDER = {
    "number": "T-1",
    "customer": "ines@example.org",
    "currency": "EUR",
    "card": "tok_4242",
    "lines": [
        {"sku": "MUG", "quantity": 2, "price": 1250},
        {"sku": "TEA", "quantity": 1, "price": 980},
        {"sku": "MUG", "quantity": 1, "price": 1250},
    ],
    "address": ADDRESS,
}
TOTAL = 3 * 1250 + 980


def order(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(ORDER) | changes


def goods(*lines: tuple[str, int]) -> dict[str, Any]:
    return {
        "order_id": 1,
        "lines": [{"sku": sku, "quantity": quantity, "price": 100} for sku, quantity in lines],
    }


def payment(card: str = "tok_4242", amount: int = 500) -> dict[str, Any]:
    return {"order_id": 1, "amount": amount, "currency": "EUR", "card": card}


def parcel(pieces: int = 3, **address: str) -> dict[str, Any]:
    return {"order_id": 1, "pieces": pieces, "address": ADDRESS | address}


@dataclass(frozen=True)
class Service:
    """One service's do and undo, and how many of its effects stand."""

    do: Callable[..., dict[str, Any]]
    undo: Callable[[str], None]
    request: dict[str, Any]
    operations: type[models.Model]
    standing: Callable[[], int]
    saga: UUID = field(default_factory=uuid4)

    def run(self, key: str = "k:do", request: Any = None) -> dict[str, Any]:
        return self.do(key, self.request if request is None else request, saga=self.saga)


SERVICES = {
    "orders": Service(
        order_book.create_order,
        order_book.cancel_order,
        ORDER,
        orders.Operation,
        lambda: orders.Order.objects.filter(state=orders.Order.State.CREATED).count(),
    ),
    "inventory": Service(
        stock.reserve,
        stock.release,
        goods(("MUG", 2), ("TEA", 1)),
        inventory.Operation,
        lambda: inventory.Reservation.objects.filter(released_at=None).values("key").distinct().count(),
    ),
    "payments": Service(
        cashier.charge,
        cashier.refund,
        payment(),
        payments.Operation,
        lambda: payments.Charge.objects.filter(refund=None).count(),
    ),
    "shipping": Service(
        carrier.schedule,
        carrier.cancel,
        parcel(),
        shipping.Operation,
        lambda: shipping.Parcel.objects.filter(cancelled_at=None).count(),
    ),
}
