"""What each service does beside its promises: stock levels, cards, addresses, the orders themselves."""

from uuid import uuid4

import pytest

from participants.inventory import services as stock
from participants.inventory.models import Delivery, Reservation, Stock
from participants.orders import services as order_book
from participants.orders.models import Order
from participants.payments import provider
from participants.payments import services as cashier
from participants.payments.models import Charge, Operation, Refund
from participants.shipping import services as carrier
from participants.shipping.models import Parcel
from sagas import Rejected
from tests.participants.requests import TOTAL, goods, order, parcel, payment

SAGA = uuid4()

pytestmark = pytest.mark.usefixtures("shelves")


def on_shelf(sku: str) -> tuple[int, int]:
    shelf = Stock.objects.get(sku=sku)
    return shelf.on_hand, shelf.reserved


def test_create_order__tells_id_and_total():
    result = order_book.create_order("k:do", order(), saga=SAGA)

    row = Order.objects.get()
    assert result == {"order_id": row.pk, "total": TOTAL, "currency": "EUR"}
    assert (row.saga, row.number, row.total, row.state) == (SAGA, "T-1", TOTAL, Order.State.CREATED)


def test_cancel_order__keeps_the_row():
    order_book.create_order("k:do", order(), saga=SAGA)

    order_book.cancel_order("k:do")

    row = Order.objects.get()
    assert row.state == Order.State.CANCELLED
    assert row.cancelled_at is not None


def test_create_order__same_number_again__is_another_order():
    order_book.create_order("one:do", order(), saga=SAGA)
    order_book.create_order("two:do", order(), saga=uuid4())

    assert Order.objects.filter(number="T-1").count() == 2


def test_reserve__moves_from_the_shelf_and_adds_up_lines_of_one_article():
    result = stock.reserve("k:do", goods(("MUG", 2), ("TEA", 1), ("MUG", 3)), saga=SAGA)

    assert result == {"reserved": {"MUG": 5, "TEA": 1}, "pieces": 6}
    assert on_shelf("MUG") == (5, 5)
    assert on_shelf("TEA") == (9, 1)
    assert Reservation.objects.get(stock="MUG").quantity == 5


def test_release__puts_back_what_was_reserved():
    stock.reserve("k:do", goods(("MUG", 2), ("TEA", 1)), saga=SAGA)

    stock.release("k:do")
    stock.release("k:do")

    assert on_shelf("MUG") == (10, 0)
    assert on_shelf("TEA") == (10, 0)


def test_reserve__all_there_is__is_granted():
    stock.reserve("k:do", goods(("MUG", 10)), saga=SAGA)

    assert on_shelf("MUG") == (0, 10)


def test_reserve__unknown_article__is_rejected():
    with pytest.raises(Rejected, match="NOTHING") as refused:
        stock.reserve("k:do", goods(("NOTHING", 1)), saga=SAGA)

    assert refused.value.code == "insufficient_stock"


def test_take_stock__brings_the_shelf_to_its_level_and_books_the_difference():
    stock.reserve("k:do", goods(("MUG", 4)), saga=SAGA)

    stock.take_stock({"MUG": 7})
    stock.take_stock({"MUG": 7})

    assert on_shelf("MUG") == (7, 4)
    assert list(Delivery.objects.filter(stock="MUG").values_list("quantity", flat=True)) == [10, 1]


def test_take_stock__too_much__is_written_off():
    stock.take_stock({"MUG": 3})

    assert on_shelf("MUG") == (3, 0)
    assert list(Delivery.objects.filter(stock="MUG").values_list("quantity", flat=True)) == [10, -7]


def test_charge__takes_the_amount_once():
    result = cashier.charge("k:do", payment(amount=4321), saga=SAGA)

    charge = Charge.objects.get()
    assert (charge.amount, charge.currency, charge.card) == (4321, "EUR", "tok_4242")
    assert result == {"transaction_id": f"tx_{charge.pk}", "charge_id": charge.pk}


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("tok_0002", "the bank said no"),
        ("tok_9995", "insufficient funds"),
        ("tok_0069", "expired"),
        ("tok_unheard_of", "no such card"),
    ],
)
def test_charge__declined__takes_nothing(card: str, reason: str):
    with pytest.raises(Rejected, match=reason) as refused:
        cashier.charge("k:do", payment(card), saga=SAGA)

    assert refused.value.code == "card_declined"
    assert not Charge.objects.exists()
    assert not Operation.objects.exists()


def test_charge__first_answer_lost__is_charged_once_and_known_the_second_time():
    with pytest.raises(TimeoutError):
        cashier.charge("k:do", payment("tok_0119"), saga=SAGA)
    assert Charge.objects.count() == 1

    result = cashier.charge("k:do", payment("tok_0119"), saga=SAGA)

    assert result["charge_id"] == Charge.objects.get().pk


def test_charge__every_answer_lost__is_charged_once_and_can_be_refunded():
    for _ in range(3):
        with pytest.raises(TimeoutError):
            cashier.charge("k:do", payment("tok_0341"), saga=SAGA)
    assert Charge.objects.count() == 1

    cashier.refund("k:do")
    cashier.refund("k:do")

    assert Refund.objects.get().charge == Charge.objects.get()


def test_provider__every_card_behaves_in_one_way():
    silent = [name for name, card in provider.CARDS.items() if card.every_answer_lost]

    assert silent == ["tok_0341"]
    for name, card in provider.CARDS.items():
        assert not (card.declined and (card.first_answer_lost or card.every_answer_lost)), name


def test_validate_address__served__says_how_long_it_takes():
    assert carrier.validate_address(parcel()) == {"days": 4}


def test_validate_address__not_served__is_rejected():
    with pytest.raises(Rejected, match="AQ") as refused:
        carrier.validate_address(parcel(country="AQ"))

    assert refused.value.code == "address_unserviceable"


def test_schedule__writes_a_parcel_that_can_be_called_back():
    result = carrier.schedule("k:do", parcel(pieces=30), saga=SAGA)
    row = Parcel.objects.get()
    assert (result["tracking"], row.pieces, row.country, row.saga) == (row.tracking, 30, "PT", SAGA)

    carrier.cancel("k:do")

    row.refresh_from_db()
    assert row.cancelled_at is not None


@pytest.mark.parametrize(
    ("request_", "code"),
    [(parcel(pieces=31), "parcel_too_large"), (parcel(country="BV"), "address_unserviceable")],
)
def test_schedule__refused__leaves_no_parcel(request_: dict, code: str):
    with pytest.raises(Rejected) as refused:
        carrier.schedule("k:do", request_, saga=SAGA)

    assert refused.value.code == code
    assert not Parcel.objects.exists()
