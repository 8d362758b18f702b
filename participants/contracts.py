"""What the four participants agree on: the shape of an order, and how an effect happens once.

All that one participant may know of another is here. The parsers accept anything that JSON can hold and
answer with `Rejected`, so that a malformed request is a sure "no" and never a doubt. No app is imported here.

An order, as it is sent to `POST /api/sagas/` in `context`:

    {"number": "D-0001", "customer": "ines@example.org", "currency": "EUR", "card": "tok_4242",
     "lines": [{"sku": "MUG-BLUE", "quantity": 2, "price": 1250}],
     "address": {"name": "Inês Duarte", "street": "Rua Augusta 5", "city": "Lisboa",
                 "postcode": "1100-048", "country": "PT"}}

Money is in whole minor units of the currency (cents; yen have none). `card` is the provider's token, never
the card's number. Prices come with the order: a basket service has fixed them before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from django.db import models, transaction

from sagas import Rejected

#: Currencies that we sell in, and the digits after their point.
CURRENCIES: Mapping[str, int] = {"EUR": 2, "USD": 2, "GBP": 2, "CHF": 2, "SEK": 2, "JPY": 0}
MAX_LINES = 50
MAX_QUANTITY = 100_000
MAX_PRICE = 100_000_000
#: The largest total of an order that passes the three limits above: what an amount may be.
MAX_AMOUNT = MAX_LINES * MAX_QUANTITY * MAX_PRICE
MAX_ID = 2**63 - 1

Request = Mapping[str, Any]
Result = dict[str, Any]


class Operation(models.Model):
    """What one participant did under one key, or refuses to do because its undo came first (the fence).

    Each participant has a table of its own. Effects are written in the same transaction as their operation,
    so that a key that is here has its effect, once, and a rejected or interrupted do leaves no line.
    """

    #: The idempotency key of the do.
    key = models.CharField(max_length=255, primary_key=True)
    #: What the do returned; a repeated do returns it again. None: the do never happened.
    result = models.JSONField(null=True)
    #: The undo has been here, after the do or before it: from now on a do is refused.
    undone = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.key

    @classmethod
    def do_once(cls, key: str, work: Callable[[], Result]) -> tuple[Result, bool]:
        """Run `work` unless `key` is done; return its result and whether it ran now.

        The key is looked up before `work` may reject anything: what is done is never refused.
        """
        with transaction.atomic():
            operation = cls._locked(key)
            if operation.undone:
                raise Rejected(f"{key} was undone before it was done", code="undone")
            if operation.result is not None:
                return operation.result, False
            operation.result = work()
            operation.save(update_fields=["result"])
            return operation.result, True

    @classmethod
    def undo_once(cls, key: str, work: Callable[[Result], None]) -> None:
        """Give the result of the do to `work`, once; when there was no do, remember that none may come."""
        with transaction.atomic():
            operation = cls._locked(key)
            if operation.undone:
                return
            if operation.result is not None:
                work(operation.result)
            operation.undone = True
            operation.save(update_fields=["undone"])

    @classmethod
    def _locked(cls, key: str) -> Self:
        # The insert comes first: it waits for another transaction with this key, and on SQLite, which has
        # no row locks, it takes the write lock before anything is read.
        cls._default_manager.bulk_create([cls(key=key)], ignore_conflicts=True)
        return cls._default_manager.select_for_update().get(key=key)


@dataclass(frozen=True)
class Line:
    """So many pieces of one article, and the price of one piece."""

    sku: str
    quantity: int
    price: int


@dataclass(frozen=True)
class Address:
    """Where a parcel goes; `country` is an ISO 3166 code of two letters."""

    name: str
    street: str
    city: str
    postcode: str
    country: str


@dataclass(frozen=True)
class Order:
    """An order that has passed every check that needs no other service."""

    number: str
    customer: str
    currency: str
    card: str
    lines: tuple[Line, ...]
    address: Address

    @property
    def total(self) -> int:
        return sum(line.quantity * line.price for line in self.lines)

    @property
    def quantities(self) -> dict[str, int]:
        return quantities(self.lines)


def quantities(lines: tuple[Line, ...]) -> dict[str, int]:
    """How many pieces of each article; an article may stand on several lines."""
    wanted: dict[str, int] = {}
    for line in lines:
        wanted[line.sku] = wanted.get(line.sku, 0) + line.quantity
    return wanted


def read_order(data: object) -> Order:
    """The order in `data`; `Rejected` with code `invalid_request` says what is wrong with it."""
    request = as_object(data, "the order")
    return Order(
        number=text(request, "number", limit=40),
        customer=text(request, "customer", limit=200),
        currency=currency(request),
        card=text(request, "card", limit=40),
        lines=read_lines(request),
        address=read_address(request),
    )


def read_lines(request: Request) -> tuple[Line, ...]:
    found = request.get("lines")
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_LINES:
        raise invalid("lines", f"a list of 1 to {MAX_LINES} lines", found)
    return tuple(_line(as_object(line, "a line")) for line in found)


def _line(line: Request) -> Line:
    return Line(
        sku=text(line, "sku", limit=40),
        quantity=whole(line, "quantity", limit=MAX_QUANTITY),
        price=whole(line, "price", limit=MAX_PRICE),
    )


def read_address(request: Request) -> Address:
    address = as_object(request.get("address"), "address")
    country = text(address, "country", limit=2)
    if len(country) != 2 or not (country.isascii() and country.isupper()):
        raise invalid("country", "two capital letters", country)
    return Address(
        name=text(address, "name", limit=100),
        street=text(address, "street", limit=200),
        city=text(address, "city", limit=100),
        postcode=text(address, "postcode", limit=20),
        country=country,
    )


def currency(request: Request) -> str:
    found = request.get("currency")
    if not isinstance(found, str) or found not in CURRENCIES:
        raise invalid("currency", f"one of {', '.join(CURRENCIES)}", found)
    return found


def as_object(data: object, name: str) -> Request:
    if not isinstance(data, Mapping):
        raise invalid(name, "an object", data)
    return data


def text(request: Request, name: str, *, limit: int) -> str:
    found = request.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= limit or not found.isprintable():
        raise invalid(name, f"1 to {limit} printable characters", found)
    return found


def whole(request: Request, name: str, *, limit: int) -> int:
    found = request.get(name)
    # bool is a subclass of int, and `true` is no quantity.
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= limit:
        raise invalid(name, f"a whole number from 1 to {limit}", found)
    return found


def invalid(name: str, expected: str, found: object) -> Rejected:
    return Rejected(f"{name}: expected {expected}, got {found!r:.60}", code="invalid_request")
