"""The saga that fulfils an order, and the handlers of the orders service.

The other services are known by the names of their actions; nothing of theirs is imported.
"""

from collections.abc import Mapping
from typing import Any

from participants.orders import services
from sagas import SagaDefinition, StepContext, action, compensation, parallel, step


@action("orders.create")
def create(ctx: StepContext) -> dict[str, Any]:
    return services.create_order(ctx.idempotency_key, ctx.input, saga=ctx.saga_id)


@compensation("orders.delete")
def delete(ctx: StepContext) -> None:
    services.cancel_order(ctx.action_key)


def _order(context: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    return dict(context)


def _goods(context: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"order_id": outputs["create_order"]["order_id"], "lines": context["lines"]}


def _destination(context: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"address": context["address"]}


def _payment(context: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    order = outputs["create_order"]
    return {
        "order_id": order["order_id"],
        "amount": order["total"],
        "currency": order["currency"],
        "card": context["card"],
    }


def _parcel(context: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "order_id": outputs["create_order"]["order_id"],
        "pieces": outputs["reserve_inventory"]["pieces"],
        "address": context["address"],
    }


class OrderProcessing(SagaDefinition):
    """An order, from taking it to handing over its parcel."""

    name = "order_processing"
    rest_permission = "authenticated"
    # Whose order it is, and what pays for it, is nobody else's business.
    sensitive = ["card", "customer", "address.street"]
    steps = [
        step("create_order", action="orders.create", compensation="orders.delete", input=_order),
        parallel(
            step(
                "reserve_inventory",
                action="inventory.reserve",
                compensation="inventory.release",
                input=_goods,
            ),
            step(
                "validate_address",
                action="shipping.validate",
                no_compensation="reads only",
                input=_destination,
            ),
        ),
        step("charge_payment", action="payment.charge", compensation="payment.refund", input=_payment),
        step("schedule_shipping", action="shipping.schedule", compensation="shipping.cancel", input=_parcel),
    ]
