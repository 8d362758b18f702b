"""The handlers of the shipping service."""

from typing import Any

from participants.shipping import services
from sagas import StepContext, action, compensation


@action("shipping.validate")
def validate(ctx: StepContext) -> dict[str, Any]:
    return services.validate_address(ctx.input)


@action("shipping.schedule")
def schedule(ctx: StepContext) -> dict[str, Any]:
    return services.schedule(ctx.idempotency_key, ctx.input, saga=ctx.saga_id)


@compensation("shipping.cancel")
def cancel(ctx: StepContext) -> None:
    services.cancel(ctx.action_key)
