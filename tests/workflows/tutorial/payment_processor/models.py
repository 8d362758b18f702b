from pydantic import BaseModel


class PaymentState(BaseModel):
    order_id: str
    amount: float
    #: The step that fails.
    fail_at: str | None = None
    order_created: bool = False
    order_reference: str | None = None
    payment_charged: bool = False
    inventory_reserved: bool = False
    shipment_created: bool = False
    workflow_status: str = "pending"
    compensations_run: list[str] = []
