"""The handlers of the inventory service."""

from typing import Any

from participants.inventory import services
from sagas import StepContext, action, compensation


@action("inventory.reserve")
def reserve(ctx: StepContext) -> dict[str, Any]:
    return services.reserve(ctx.idempotency_key, ctx.input, saga=ctx.saga_id)


@compensation("inventory.release")
def release(ctx: StepContext) -> None:
    services.release(ctx.action_key)
