"""Reserve stock and release it: what the inventory service can do, whoever asks.

Stock moves by conditional updates only, in the order of the SKUs: two buyers of the last piece can neither
both get it nor lock each other out.
"""

from collections.abc import Mapping
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from participants.contracts import MAX_ID, Request, Result, quantities, read_lines, whole
from participants.inventory.catalogue import catalogue
from participants.inventory.models import Delivery, Operation, Reservation, Stock
from sagas import Rejected


def reserve(key: str, request: Request, *, saga: UUID) -> Result:
    """Set the pieces aside, all of them or none."""
    result, _ = Operation.do_once(key, lambda: _reserve(key, request, saga))
    return result


def release(key: str) -> None:
    """Put back what was reserved under `key`; if nothing was, nothing will be."""
    Operation.undo_once(key, lambda result: _release(key))


def take_stock(levels: Mapping[str, int]) -> None:
    """Bring the free stock of each article to its level, by a delivery or by writing off."""
    with transaction.atomic():
        for sku, level in sorted(levels.items()):
            _bring_to(sku, level)


def seed_stock() -> None:
    """Fill the shelves as the catalogue says; before each run of the demo, so that runs repeat."""
    take_stock({article.sku: article.quantity for article in catalogue()})


def _reserve(key: str, request: Request, saga: UUID) -> Result:
    order_id = whole(request, "order_id", limit=MAX_ID)
    wanted = quantities(read_lines(request))
    for sku, quantity in sorted(wanted.items()):
        _set_aside(sku, quantity)
    Reservation.objects.bulk_create(
        Reservation(key=key, saga=saga, order_id=order_id, stock_id=sku, quantity=quantity)
        for sku, quantity in wanted.items()
    )
    return {"reserved": wanted, "pieces": sum(wanted.values())}


def _set_aside(sku: str, quantity: int) -> None:
    free = Stock.objects.filter(sku=sku, on_hand__gte=quantity)
    if not free.update(on_hand=F("on_hand") - quantity, reserved=F("reserved") + quantity):
        raise Rejected(f"{sku}: fewer than {quantity} in stock", code="insufficient_stock")


def _release(key: str) -> None:
    held = Reservation.objects.filter(key=key, released_at=None)
    # Sorted here and not by the database, whose collation may order the SKUs in another way than `_reserve`.
    for sku, quantity in sorted(held.values_list("stock_id", "quantity")):
        Stock.objects.filter(sku=sku).update(on_hand=F("on_hand") + quantity, reserved=F("reserved") - quantity)
    held.update(released_at=timezone.now())


def _bring_to(sku: str, level: int) -> None:
    Stock.objects.bulk_create([Stock(sku=sku)], ignore_conflicts=True)
    stock = Stock.objects.select_for_update().get(sku=sku)
    missing = level - stock.on_hand
    if missing:
        Delivery.objects.create(stock=stock, quantity=missing)
        Stock.objects.filter(sku=sku).update(on_hand=level)
