"""Definitions and handlers for the tests of `run_saga`. `SEEN` keeps what handlers were given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from sagas import Rejected, Retryable, RetryPolicy, SagaDefinition, StepContext, action, compensation, parallel, step

SEEN: list[StepContext] = []
#: What the participant has done and not undone, by key.
LEDGER: dict[str, int] = {}
#: Steps that say no.
REFUSED: dict[str, bool] = {}
TWO = RetryPolicy(max_attempts=2, base=60, jitter=False)


@action("kit.reserve", retry=TWO)
def reserve(ctx: StepContext) -> dict[str, Any]:
    """Remembers its key."""
    SEEN.append(ctx)
    LEDGER[ctx.idempotency_key] = 1
    ctx.update(reserved=ctx.input.get("sku"))
    return {"reservation": ctx.input.get("sku"), "pair": (1, 2), 7: "int key"}


@compensation("kit.release", retry=TWO)
def release(ctx: StepContext) -> None:
    """Forgets the action's key."""
    SEEN.append(ctx)
    LEDGER.pop(ctx.action_key, None)


@action("kit.check")
def check(ctx: StepContext) -> None:
    """Reads only; says no while it is told to."""
    SEEN.append(ctx)
    if REFUSED.get(ctx.step):
        raise Rejected("not now")


@action("kit.charge", retry=TWO)
async def charge(ctx: StepContext) -> dict[str, Any]:
    """An async handler."""
    SEEN.append(ctx)
    return {"charged": ctx.input["total"]}


@compensation("kit.refund")
async def refund(ctx: StepContext) -> None:
    """An async undo."""
    SEEN.append(ctx)


@action("kit.book", atomic=True, retry=TWO)
def book(ctx: StepContext) -> dict[str, Any]:
    """Its effect and its outcome are one transaction."""
    SEEN.append(ctx)
    if ctx.context.get("trouble") == "always" or ctx.context.get("trouble") == f"attempt {ctx.attempt}":
        raise RuntimeError("the database says no")
    return {"entry": ctx.attempt}


@compensation("kit.unbook", atomic=True)
def unbook(ctx: StepContext) -> None:
    """Atomic too."""
    SEEN.append(ctx)


@action("kit.odd")
def odd(ctx: StepContext) -> Any:
    """Does what the context says."""
    SEEN.append(ctx)
    return ODD[ctx.context["what"]](ctx)


@compensation("kit.even")
def even(ctx: StepContext) -> None:
    """Nothing to do."""
    SEEN.append(ctx)


def _raise(exc: BaseException) -> Any:
    raise exc


def _endless() -> Iterator[int]:
    yield 1


ODD: dict[str, Any] = {
    "rejects": lambda ctx: _raise(Rejected("no", code="not_today")),
    "retryable": lambda ctx: _raise(Retryable("busy", code="busy", after=3600)),
    "raises": lambda ctx: _raise(ValueError("what?")),
    "exits": lambda ctx: _raise(SystemExit(3)),
    "interrupts": lambda ctx: _raise(KeyboardInterrupt()),
    "not a number": lambda ctx: {"x": float("nan")},
    "decimal": lambda ctx: Decimal(1),
    "generator": lambda ctx: _endless(),
    "context": lambda ctx: ctx.update(x=float("inf")),
    "writes context": lambda ctx: ctx.context.__setitem__("a", 1),
    "writes outputs": lambda ctx: ctx.outputs.__setitem__("a", 1),
    "unknown output": lambda ctx: ctx.outputs["nobody"],
    "nothing": lambda ctx: None,
}


def order_input(context: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """What charging needs: from the context, and from what was done before."""
    return {"total": context["total"], "for": outputs["reserve"]["reservation"], "tuple": (1,)}


class Order(SagaDefinition):
    """Two steps, a check beside the first, all of them undone."""

    name = "kit_order"
    steps = [
        parallel(
            step("reserve", action="kit.reserve", compensation="kit.release", input={"sku": "MUG"}),
            step("check", action="kit.check", no_compensation="reads only"),
        ),
        step("charge", action="kit.charge", compensation="kit.refund", input=order_input),
        step("book", action="kit.book", compensation="kit.unbook"),
    ]


class Kept(SagaDefinition):
    """Failures undo nothing."""

    name = "kit_kept"
    rollback = False
    steps = [
        step("reserve", action="kit.reserve", compensation="kit.release"),
        step("check", action="kit.check", no_compensation="reads only"),
    ]


class Odd(SagaDefinition):
    """One step that does what the context says."""

    name = "kit_odd"
    steps = [step("odd", action="kit.odd", compensation="kit.even")]
