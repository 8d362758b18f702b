"""The steps of the payment workflow and what undoes them.

A function gets the state and its attempt's context. It returns what is to be merged into the state, and may change
the state itself; both are stored with the step, in one transaction, so they happen exactly once. An effect elsewhere
(a card is charged) happens at least once: give `context.idempotency_key` to whoever does it, as here by making the
number from it. Raising means that nothing happened; `Retryable` means "ask again", and leaves doubt.
"""

from hashlib import sha256
from typing import Any

from participants.payment_processor.models import PaymentState
from sagas import StepContext

#: A card's limit, in minor units.
CARD_LIMIT = 500_000
ON_THE_SHELF = 100
SERVED = frozenset({"DE", "ES", "FR", "PT"})


def create_order(state: PaymentState, context: StepContext, **kwargs: Any) -> dict[str, Any]:
    return {
        "order_created": True,
        "order_reference": f"ORD-{state.order_id}",
        "workflow_status": "order_created",
    }


def cancel_order(state: PaymentState, context: StepContext, **kwargs: Any) -> dict[str, Any]:
    state.compensations_run.append("cancel_order")
    return {"order_created": False, "workflow_status": "order_canceled"}


def charge_payment(state: PaymentState, context: StepContext, **kwargs: Any) -> dict[str, Any]:
    if state.amount > CARD_LIMIT:
        raise ValueError(f"card declined: {state.amount} is over its limit")
    return {
        "payment_charged": True,
        "transaction_id": _number("TXN", context.idempotency_key),
        "workflow_status": "payment_charged",
    }


def refund_payment(state: PaymentState, context: StepContext, **kwargs: Any) -> dict[str, Any]:
    state.compensations_run.append("refund_payment")
    return {"payment_charged": False, "workflow_status": "payment_refunded"}


def reserve_inventory(state: PaymentState, context: StepContext, **kwargs: Any) -> dict[str, Any]:
    if state.quantity > ON_THE_SHELF:
        raise ValueError(f"out of stock: {ON_THE_SHELF} of {state.sku} are left")
    return {
        "inventory_reserved": True,
        "reservation_id": _number("RES", context.idempotency_key),
        "workflow_status": "inventory_reserved",
    }


def release_inventory(state: PaymentState, context: StepContext, **kwargs: Any) -> dict[str, Any]:
    state.compensations_run.append("release_inventory")
    return {"inventory_reserved": False, "workflow_status": "inventory_released"}


def create_shipment(state: PaymentState, context: StepContext, **kwargs: Any) -> dict[str, Any]:
    if state.country not in SERVED:
        raise ValueError(f"no carrier goes to {state.country}")
    return {
        "shipment_created": True,
        "tracking_number": _number("SHP", context.idempotency_key),
        "workflow_status": "shipment_created",
    }


def cancel_shipment(state: PaymentState, context: StepContext, **kwargs: Any) -> dict[str, Any]:
    state.compensations_run.append("cancel_shipment")
    return {"shipment_created": False, "workflow_status": "shipment_canceled"}


def _number(prefix: str, key: str) -> str:
    """The same for every attempt with the same key, as a provider would answer."""
    return f"{prefix}-{sha256(key.encode()).hexdigest()[:12].upper()}"
