"""The auditor: do the books of the four participants say what their sagas say?

It may read every book and the sagas, and writes nothing. Of each order it asks: completed, then there is one
order, its goods are set aside, one charge of its total, one parcel; compensated, then nothing is left in any
book. Then it looks for entries that belong to no saga, and whether every shelf adds up.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from participants import contracts
from participants.inventory.models import Delivery, Reservation, Stock
from participants.orders.models import Order
from participants.payments.models import Charge
from participants.shipping.models import Parcel
from sagas import Rejected
from sagas.models import Saga

#: Sagas looked at with one statement per book; far below any database's limit of parameters.
CHUNK = 500
#: So many orders are named where a shelf does not add up.
NAMED = 5


@dataclass(frozen=True)
class Imbalance:
    """One thing that a book should say and does not."""

    #: The number of the order; where a shelf is wrong, of the orders that it holds goods for.
    order: str
    #: Which book: sagas, orders, stock, money or parcels.
    book: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"order {self.order}: {self.book}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True)
class Entry:
    """A line of a book that still stands: not cancelled, released, refunded or called back."""

    saga: UUID
    order_id: int
    text: str


def reconcile(saga_ids: Iterable[UUID]) -> list[Imbalance]:
    """Every imbalance of these sagas' orders and of the shelves; an empty list: all is well.

    A saga that is not there, or not at its end yet, is an imbalance too.
    """
    found: list[Imbalance] = []
    wanted = list(dict.fromkeys(saga_ids))
    for start in range(0, len(wanted), CHUNK):
        found.extend(_check_sagas(wanted[start : start + CHUNK]))
    first = Saga.objects.filter(pk__in=sorted(wanted)[:CHUNK]).order_by("created_at").first()
    if first is not None:
        found.extend(_check_strays(since=first.created_at))
    found.extend(_check_shelves())
    return found


def _check_sagas(saga_ids: list[UUID]) -> Iterator[Imbalance]:
    sagas = Saga.objects.in_bulk(saga_ids)
    standing = {book: _by_saga(read(saga_ids)) for book, read in BOOKS.items()}
    for saga_id in saga_ids:
        if saga_id not in sagas:
            yield Imbalance(f"of saga {saga_id}", "sagas", "a saga", "none")
            continue
        entries = {book: of_saga.get(saga_id, []) for book, of_saga in standing.items()}
        yield from _check_saga(sagas[saga_id], entries)


def _check_saga(saga: Saga, entries: dict[str, list[Entry]]) -> Iterator[Imbalance]:
    number = _number(saga)
    if not (saga.is_completed or saga.is_compensated):
        yield Imbalance(number, "sagas", "completed or compensated", saga.state)
        return
    due = _due(saga) if saga.is_completed else {}
    own = {entry.order_id for entry in entries["orders"]}
    for book in BOOKS:
        expected = sorted(due.get(book, []))
        found = sorted(_text(entry, own) for entry in entries[book])
        if expected != found:
            yield Imbalance(number, book, _in_words(expected), _in_words(found))


def _due(saga: Saga) -> dict[str, list[str]]:
    """What a completed order leaves in the books."""
    try:
        order = contracts.read_order(saga.context)
    except Rejected as exc:
        return {"orders": [f"no completed saga for this: {exc}"]}
    return {
        "orders": [f"{order.total} {order.currency}"],
        "stock": [f"{quantity} of {sku}" for sku, quantity in order.quantities.items()],
        "money": [f"{order.total} {order.currency}"],
        "parcels": [f"{sum(order.quantities.values())} pieces to {order.address.country}"],
    }


def _orders(saga_ids: list[UUID]) -> Iterator[Entry]:
    for order in Order.objects.filter(saga__in=saga_ids, state=Order.State.CREATED):
        yield Entry(order.saga, order.pk, f"{order.total} {order.currency}")


def _reservations(saga_ids: list[UUID]) -> Iterator[Entry]:
    for reservation in Reservation.objects.filter(saga__in=saga_ids, released_at=None):
        yield Entry(reservation.saga, reservation.order_id, f"{reservation.quantity} of {reservation.stock_id}")


def _charges(saga_ids: list[UUID]) -> Iterator[Entry]:
    for charge in Charge.objects.filter(saga__in=saga_ids, refund=None):
        yield Entry(charge.saga, charge.order_id, f"{charge.amount} {charge.currency}")


def _parcels(saga_ids: list[UUID]) -> Iterator[Entry]:
    for parcel in Parcel.objects.filter(saga__in=saga_ids, cancelled_at=None):
        yield Entry(parcel.saga, parcel.order_id, f"{parcel.pieces} pieces to {parcel.country}")


#: Each book and how its standing entries are read.
BOOKS: dict[str, Callable[[list[UUID]], Iterator[Entry]]] = {
    "orders": _orders,
    "stock": _reservations,
    "money": _charges,
    "parcels": _parcels,
}


def _by_saga(entries: Iterable[Entry]) -> dict[UUID, list[Entry]]:
    of_saga: dict[UUID, list[Entry]] = defaultdict(list)
    for entry in entries:
        of_saga[entry.saga].append(entry)
    return of_saga


def _text(entry: Entry, own: set[int]) -> str:
    return entry.text if entry.order_id in own else f"{entry.text} for order_id {entry.order_id}"


def _in_words(entries: list[str]) -> str:
    return ", ".join(entries) or "nothing"


def _check_strays(since: datetime) -> Iterator[Imbalance]:
    """Entries made since then whose saga nobody knows."""
    saga = Saga.objects.filter(pk=OuterRef("saga"))
    numbers = Order.objects.filter(pk=OuterRef("order_id")).values("number")
    for order in Order.objects.filter(~Exists(saga), created_at__gte=since):
        yield Imbalance(order.number, "orders", "no entry without a saga", str(order))
    for book, model in (("stock", Reservation), ("money", Charge), ("parcels", Parcel)):
        strays = model.objects.filter(~Exists(saga), created_at__gte=since)
        for stray in strays.annotate(number=Subquery(numbers)):
            name = stray.number or f"with order_id {stray.order_id}"
            yield Imbalance(name, book, "no entry without a saga", str(stray))


def _check_shelves() -> Iterator[Imbalance]:
    """On hand + reserved = delivered, and reserved = the open reservations, for every article."""
    for stock in _shelves():
        on_shelf = stock.on_hand + stock.reserved
        if on_shelf != stock.delivered:
            expected = f"{stock.delivered} {stock.sku} on hand and reserved, as delivered"
            yield Imbalance(_holders(stock), "stock", expected, f"{stock.on_hand} + {stock.reserved}")
        if stock.reserved != stock.promised:
            expected = f"{stock.promised} {stock.sku} reserved, as the open reservations say"
            yield Imbalance(_holders(stock), "stock", expected, str(stock.reserved))


def _shelves() -> QuerySet[Stock]:
    # One statement, so that sagas which run meanwhile are seen whole or not at all.
    deliveries = Delivery.objects.filter(stock=OuterRef("pk"))
    open_reservations = Reservation.objects.filter(stock=OuterRef("pk"), released_at=None)
    return Stock.objects.order_by("sku").annotate(delivered=_total(deliveries), promised=_total(open_reservations))


def _total(rows: QuerySet) -> Coalesce:
    return Coalesce(Subquery(rows.values("stock").annotate(total=Sum("quantity")).values("total")), 0)


def _holders(stock: Stock) -> str:
    """The latest orders that this shelf holds goods for: where to begin to look."""
    sagas = Reservation.objects.filter(stock=stock, released_at=None).order_by("-pk").values("saga")
    numbers = [_number(saga) for saga in Saga.objects.filter(pk__in=sagas[:NAMED])]
    return f"any that holds {stock.sku} (latest: {', '.join(sorted(numbers)) or 'none'})"


def _number(saga: Saga) -> str:
    return str(saga.context.get("number") or f"of saga {saga.ulid}")
