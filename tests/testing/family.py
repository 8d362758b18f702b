"""An order, its shipping (a child saga) and the label on each parcel (its child): for the tests of families."""

from __future__ import annotations

from typing import Any

from sagas import Rejected, RetryPolicy, SagaDefinition, StepContext, action, compensation, step

TWO = RetryPolicy(max_attempts=2, base=60, jitter=False)
#: What was done and not undone, in order.
DONE: list[str] = []
#: Not empty: the glue stays.
CARELESS: list[str] = []


@action("family.do", retry=TWO)
def do(ctx: StepContext) -> dict[str, Any]:
    """Idempotent, and with a fence."""
    if f"undone {ctx.idempotency_key}" in DONE:
        raise Rejected("undone already", code="undone")
    if ctx.idempotency_key not in DONE:
        DONE.append(ctx.idempotency_key)
    ctx.update(**{ctx.step.partition("[")[0]: True})
    return {"did": ctx.step}


@compensation("family.undo", retry=TWO)
def undo(ctx: StepContext) -> None:
    """Also of what never happened."""
    if not (CARELESS and ctx.step == "glue"):
        DONE[:] = [key for key in DONE if key != ctx.action_key]
    DONE.append(f"undone {ctx.action_key}")


def _does(name: str, **words: Any) -> Any:
    return step(name, action="family.do", compensation="family.undo", **words)


class Label(SagaDefinition):
    """The grandchild."""

    name = "family_label"
    steps = [_does("print"), _does("glue")]


class Shipping(SagaDefinition):
    """The child."""

    name = "family_shipping"
    steps = [_does("pack"), step("label", saga="family_label", input={"size": 4}), _does("send")]


class Order(SagaDefinition):
    """The parent."""

    name = "family_order"
    steps = [
        _does("order"),
        step("ship", saga="family_shipping", input=lambda context, outputs: {"to": context["to"]}),
        _does("bill"),
    ]


class Parcels(SagaDefinition):
    """A child per element."""

    name = "family_parcels"
    steps = [step("label", saga="family_label", for_each="parcels"), _does("bill")]


class Composed(SagaDefinition):
    """A child whose steps are a function of its context."""

    name = "family_composed"
    steps = lambda context: [_does(name) for name in context.get("names", ())]  # noqa: E731 - as short as it gets


class Chosen(SagaDefinition):
    """Its parent."""

    name = "family_chosen"
    steps = [step("do", saga="family_composed", input=lambda context, outputs: dict(context))]


class Bottles(SagaDefinition):
    """Elements that are no children."""

    name = "family_bottles"
    steps = [_does("fill", for_each="bottles")]


class Kept(SagaDefinition):
    """A child whose failures undo nothing."""

    name = "family_kept"
    rollback = False
    steps = [_does("pack"), _does("send")]


class Lenient(SagaDefinition):
    """Its parent."""

    name = "family_lenient"
    steps = [_does("order"), step("ship", saga="family_kept"), _does("bill")]


class Waiting(SagaDefinition):
    """A child that waits: for a time, for a signal, and then fails for good where that is wished."""

    name = "family_waiting"
    rollback = False
    steps = [step("pause", delay=3600), step("hold", wait_for="go", wait_timeout=86400), _does("send")]


class Patient(SagaDefinition):
    """The parent of one that waits."""

    name = "family_patient"
    steps = [_does("order"), step("wait", saga="family_waiting")]


class Locked(SagaDefinition):
    """A child that may want its parent's lock, or another child's."""

    name = "family_locked"
    lock = "{key}"
    steps = [step("inner", saga="family_keyed", for_each="keys"), _does("bill")]


class Keyed(SagaDefinition):
    """The child with a lock."""

    name = "family_keyed"
    lock = "{key}"
    steps = [_does("print")]


def left() -> list[str]:
    """What was done and not undone."""
    return [key for key in DONE if not key.startswith("undone")]
