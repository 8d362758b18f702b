from payment_processor.models import PaymentState
from sagas import StepContext


def create_order(state: PaymentState, context: StepContext, **kwargs) -> dict:
    return {"order_created": True, "order_reference": "ORD-1", "workflow_status": "order_created"}


def cancel_order(state: PaymentState, context: StepContext, **kwargs) -> dict:
    state.compensations_run.append("cancel_order")
    return {"order_created": False, "workflow_status": "order_canceled"}


def charge_payment(state: PaymentState, context: StepContext, **kwargs) -> dict:
    return {"payment_charged": True, "workflow_status": "payment_charged"}


def refund_payment(state: PaymentState, context: StepContext, **kwargs) -> dict:
    state.compensations_run.append("refund_payment")
    return {"payment_charged": False, "workflow_status": "payment_refunded"}


def reserve_inventory(state: PaymentState, context: StepContext, **kwargs) -> dict:
    return {"inventory_reserved": True, "workflow_status": "inventory_reserved"}


def release_inventory(state: PaymentState, context: StepContext, **kwargs) -> dict:
    state.compensations_run.append("release_inventory")
    return {"inventory_reserved": False, "workflow_status": "inventory_released"}


def create_shipment(state: PaymentState, context: StepContext, **kwargs) -> dict:
    if state.fail_at == "Create_Shipment":
        raise RuntimeError("the carrier does not answer")
    return {"shipment_created": True, "workflow_status": "shipment_created"}


def cancel_shipment(state: PaymentState, context: StepContext, **kwargs) -> dict:
    state.compensations_run.append("cancel_shipment")
    return {"shipment_created": False, "workflow_status": "shipment_canceled"}
