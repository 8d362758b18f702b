"""The handlers of the payments service."""

from typing import Any

from participants.payments import services
from sagas import Retryable, RetryPolicy, StepContext, action, compensation


@action("payment.charge", retry=RetryPolicy(max_attempts=3, base=0.3), timeout=30)
def charge(ctx: StepContext) -> dict[str, Any]:
    try:
        return services.charge(ctx.idempotency_key, ctx.input, saga=ctx.saga_id)
    except TimeoutError as exc:
        # Not `Rejected`: the card may be charged. If no attempt gets an answer, the saga refunds it.
        raise Retryable(str(exc), code="provider_timeout") from exc


@compensation("payment.refund")
def refund(ctx: StepContext) -> None:
    services.refund(ctx.action_key)
