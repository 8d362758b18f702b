"""Charge a card and give the money back: what the payments service can do, whoever asks.

A charge is on the books before the provider's answer is awaited: when that is lost, the next request with the
same key finds the charge, and so does a refund.
"""

from uuid import UUID

from participants.contracts import MAX_AMOUNT, MAX_ID, Request, Result, currency, text, whole
from participants.payments import provider
from participants.payments.models import Charge, Operation, Refund
from sagas import Rejected


def charge(key: str, request: Request, *, saga: UUID) -> Result:
    """Take the money; `TimeoutError` says that it may have been taken."""
    result, fresh = Operation.do_once(key, lambda: _charge(key, request, saga))
    provider.answer(str(request.get("card")), first=fresh)
    return result


def refund(key: str) -> None:
    """Give back what was charged under `key`; if nothing was, nothing will be."""
    Operation.undo_once(key, _refund)


def _charge(key: str, request: Request, saga: UUID) -> Result:
    made = Charge(
        key=key,
        saga=saga,
        order_id=whole(request, "order_id", limit=MAX_ID),
        amount=whole(request, "amount", limit=MAX_AMOUNT),
        currency=currency(request),
        card=text(request, "card", limit=40),
    )
    try:
        provider.authorise(made.card)
    except provider.CardDeclinedError as exc:
        raise Rejected(f"card declined: {exc}", code="card_declined") from exc
    made.save(force_insert=True)
    return {"transaction_id": f"tx_{made.pk}", "charge_id": made.pk}


def _refund(result: Result) -> None:
    Refund.objects.create(charge_id=result["charge_id"])
