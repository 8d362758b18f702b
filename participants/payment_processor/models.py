"""The state of one payment workflow: a pydantic model, and all that this app stores. It is the saga's context."""

from pydantic import BaseModel, Field


class PaymentState(BaseModel):
    """What is asked for, and how far it has come."""

    #: The customer's number of the order.
    order_id: str
    #: In minor units of the currency.
    amount: int = Field(gt=0)
    sku: str = "MUG-BLUE"
    quantity: int = Field(default=1, gt=0)
    #: ISO 3166, two letters.
    country: str = "PT"

    workflow_status: str = "new"
    order_created: bool = False
    order_reference: str | None = None
    payment_charged: bool = False
    transaction_id: str | None = None
    inventory_reserved: bool = False
    reservation_id: str | None = None
    shipment_created: bool = False
    tracking_number: str | None = None
    #: Compensations in the order in which they ran.
    compensations_run: list[str] = []
