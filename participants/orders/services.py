"""Take an order and withdraw it: what the orders service can do, whoever asks.

A request is looked at only when its key is new, so that an order once taken is never refused.
"""

from uuid import UUID

from django.utils import timezone

from participants.contracts import Request, Result, read_order
from participants.orders.models import Operation, Order


def create_order(key: str, request: Request, *, saga: UUID) -> Result:
    """Take the order; its id and total are for those who fulfil it."""
    result, _ = Operation.do_once(key, lambda: _create(request, saga))
    return result


def cancel_order(key: str) -> None:
    """Withdraw the order that was taken under `key`; if none was, none will be."""
    Operation.undo_once(key, _cancel)


def _create(request: Request, saga: UUID) -> Result:
    order = read_order(request)
    row = Order.objects.create(
        saga=saga,
        number=order.number,
        customer=order.customer,
        currency=order.currency,
        total=order.total,
    )
    return {"order_id": row.pk, "total": row.total, "currency": row.currency}


def _cancel(result: Result) -> None:
    Order.objects.filter(pk=result["order_id"]).update(state=Order.State.CANCELLED, cancelled_at=timezone.now())
