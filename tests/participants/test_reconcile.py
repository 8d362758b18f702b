"""The auditor, tested by sabotage: whatever is wrong in any book, it names the order."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from participants.inventory import services as stock
from participants.inventory.models import Delivery, Reservation, Stock
from participants.orders import services as order_book
from participants.orders.models import Order
from participants.payments import services as cashier
from participants.payments.models import Charge, Refund
from participants.reconcile import Imbalance, reconcile
from participants.shipping import services as carrier
from participants.shipping.models import Parcel
from sagas.core.states import SagaState
from sagas.models import Saga
from tests.participants.requests import order

pytestmark = pytest.mark.usefixtures("shelves")


def placed(number: str, *, state: SagaState) -> UUID:
    """An order whose services did, and undid, what a saga in that state has made them do."""
    context = order(number=number)
    saga = Saga.objects.start("order_processing", context=context)
    key = f"{saga.pk}:do"
    request = context | order_book.create_order(key, context, saga=saga.pk)
    request |= stock.reserve(key, request, saga=saga.pk)
    cashier.charge(key, request | {"amount": request["total"]}, saga=saga.pk)
    carrier.schedule(key, request, saga=saga.pk)
    if state is SagaState.COMPENSATED:
        for undo in (carrier.cancel, cashier.refund, stock.release, order_book.cancel_order):
            undo(key)
    Saga.objects.filter(pk=saga.pk).update(state=state, wake_at=None, completed_at=timezone.now())
    return saga.pk


@pytest.fixture
def sagas(shelves: None) -> list[UUID]:
    return [
        placed("T-DONE", state=SagaState.COMPLETED),
        placed("T-UNDONE", state=SagaState.COMPENSATED),
        placed("T-OTHER", state=SagaState.COMPLETED),
    ]


def test_reconcile__books_in_order__finds_nothing(sagas: list[UUID]):
    assert reconcile(sagas) == []


def delete_order(saga: UUID) -> None:
    Order.objects.filter(saga=saga).delete()


def cancel_order(saga: UUID) -> None:
    Order.objects.filter(saga=saga).update(state=Order.State.CANCELLED)


def second_order(saga: UUID) -> None:
    Order.objects.create(saga=saga, number="T", customer="c", currency="EUR", total=4730)


def other_total(saga: UUID) -> None:
    Order.objects.filter(saga=saga).update(total=1)


def delete_reservation(saga: UUID) -> None:
    Reservation.objects.filter(saga=saga, stock="TEA").delete()


def reserve_more(saga: UUID) -> None:
    Reservation.objects.filter(saga=saga, stock="TEA").update(quantity=2)


def release_reservation(saga: UUID) -> None:
    Reservation.objects.filter(saga=saga, stock="TEA").update(released_at=timezone.now())


def double_charge(saga: UUID) -> None:
    charge = Charge.objects.get(saga=saga)
    charge.pk, charge.key = None, "another key"
    charge.save(force_insert=True)


def delete_charge(saga: UUID) -> None:
    Charge.objects.filter(saga=saga).delete()


def other_amount(saga: UUID) -> None:
    Charge.objects.filter(saga=saga).update(amount=1)


def other_currency(saga: UUID) -> None:
    Charge.objects.filter(saga=saga).update(currency="JPY")


def refund_it(saga: UUID) -> None:
    Refund.objects.create(charge=Charge.objects.get(saga=saga))


def delete_parcel(saga: UUID) -> None:
    Parcel.objects.filter(saga=saga).delete()


def call_parcel_back(saga: UUID) -> None:
    Parcel.objects.filter(saga=saga).update(cancelled_at=timezone.now())


def parcel_for_another_order(saga: UUID) -> None:
    Parcel.objects.filter(saga=saga).update(order_id=999_999)


def parcel_elsewhere(saga: UUID) -> None:
    Parcel.objects.filter(saga=saga).update(country="SE")


@pytest.mark.parametrize(
    ("sabotage", "book"),
    [
        (delete_order, "orders"),
        (cancel_order, "orders"),
        (second_order, "orders"),
        (other_total, "orders"),
        (delete_reservation, "stock"),
        (reserve_more, "stock"),
        (release_reservation, "stock"),
        (double_charge, "money"),
        (delete_charge, "money"),
        (other_amount, "money"),
        (other_currency, "money"),
        (refund_it, "money"),
        (delete_parcel, "parcels"),
        (call_parcel_back, "parcels"),
        (parcel_for_another_order, "parcels"),
        (parcel_elsewhere, "parcels"),
    ],
)
def test_reconcile__completed_order_sabotaged__is_named(sagas: list[UUID], sabotage: Callable[[UUID], None], book: str):
    sabotage(sagas[0])

    found = reconcile(sagas)

    assert ("T-DONE", book) in {(imbalance.order, imbalance.book) for imbalance in found}
    assert not any(imbalance.order in {"T-OTHER", "T-UNDONE"} for imbalance in found)


def stands_again(saga: UUID) -> None:
    Order.objects.filter(saga=saga).update(state=Order.State.CREATED)


def reserved_again(saga: UUID) -> None:
    Reservation.objects.filter(saga=saga).update(released_at=None)


def refund_lost(saga: UUID) -> None:
    Refund.objects.filter(charge__saga=saga).delete()


def parcel_sent(saga: UUID) -> None:
    Parcel.objects.filter(saga=saga).update(cancelled_at=None)


@pytest.mark.parametrize(
    ("sabotage", "book"),
    [
        (stands_again, "orders"),
        (reserved_again, "stock"),
        (refund_lost, "money"),
        (parcel_sent, "parcels"),
        (double_charge, "money"),
    ],
)
def test_reconcile__compensated_order_sabotaged__is_named(
    sagas: list[UUID], sabotage: Callable[[UUID], None], book: str
):
    sabotage(sagas[1])

    found = reconcile(sagas)

    assert ("T-UNDONE", book, "nothing") in {(found.order, found.book, found.expected) for found in found}


@pytest.mark.parametrize("column", ["on_hand", "reserved"])
def test_reconcile__changed_stock_row__names_article_and_orders_that_it_holds(sagas: list[UUID], column: str):
    shelf = Stock.objects.get(sku="TEA")
    setattr(shelf, column, getattr(shelf, column) + 1)
    shelf.save()

    found = reconcile(sagas)

    assert found
    for imbalance in found:
        assert imbalance.book == "stock"
        assert imbalance.order == "any that holds TEA (latest: T-DONE, T-OTHER)"
        assert "TEA" in imbalance.expected


def test_reconcile__delivery_without_goods__is_found(sagas: list[UUID]):
    Delivery.objects.create(stock_id="MUG", quantity=5)

    (found,) = reconcile(sagas)

    assert (found.book, found.expected) == ("stock", "15 MUG on hand and reserved, as delivered")


def test_reconcile__charge_of_no_saga__names_its_order(sagas: list[UUID]):
    charge = Charge.objects.get(saga=sagas[0])
    charge.pk, charge.key, charge.saga = None, "another key", uuid4()
    charge.save(force_insert=True)

    (found,) = reconcile(sagas)

    assert (found.order, found.book) == ("T-DONE", "money")


def test_reconcile__order_of_no_saga__is_named(sagas: list[UUID]):
    order_book.create_order("stray:do", order(number="T-STRAY"), saga=uuid4())

    (found,) = reconcile(sagas)

    assert (found.order, found.book) == ("T-STRAY", "orders")


def test_reconcile__strays_from_before__are_not_this_run_s(shelves: None):
    order_book.create_order("stray:do", order(number="T-STRAY"), saga=uuid4())

    assert reconcile([placed("T-DONE", state=SagaState.COMPLETED)]) == []


def test_reconcile__saga_lost__is_found(sagas: list[UUID]):
    lost = uuid4()

    (found,) = reconcile([*sagas, lost])

    assert found == Imbalance(f"of saga {lost}", "sagas", "a saga", "none")


@pytest.mark.parametrize("state", [SagaState.STARTED, SagaState.COMPENSATING, SagaState.FAILED])
def test_reconcile__saga_not_at_its_end__is_found(sagas: list[UUID], state: SagaState):
    Saga.objects.filter(pk=sagas[0]).update(state=state, wake_at=timezone.now())

    (found,) = reconcile(sagas)

    assert (found.order, found.book, found.found) == ("T-DONE", "sagas", state)


def test_reconcile__completed_saga_of_nonsense__is_found(sagas: list[UUID]):
    Saga.objects.filter(pk=sagas[0]).update(context={"number": "T-DONE", "lines": "none"})

    found = reconcile(sagas)

    assert {imbalance.order for imbalance in found} == {"T-DONE"}


def test_imbalance__reads_as_a_sentence():
    text = str(Imbalance("D-0007", "parcels", "3 pieces to PT", "nothing"))

    assert text == "order D-0007: parcels: expected 3 pieces to PT, found nothing"
