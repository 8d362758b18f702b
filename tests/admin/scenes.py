"""Sagas in every plight an operator meets, made through the store: each result is submitted as a worker would."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sagas import SagaDefinition, StepContext, action, compensation, parallel, step
from sagas.core.children import child_id
from sagas.core.claims import Claim, Offer
from sagas.core.retry import RetryPolicy
from sagas.core.states import SagaState
from sagas.core.triggers import (
    ChildStarted,
    Completed,
    InDoubt,
    Look,
    NoHandler,
    OpenedOut,
    Rejected,
    Unrecorded,
    Waits,
    WorkerLost,
)
from sagas.definitions.tokens import make_token
from sagas.engine.start import prepare
from sagas.models import Saga
from sagas.store import get_store
from sagas.store.base import Payload, Submission

NAME = "admin_order"
WORKER = UUID(int=7)
_tokens = itertools.count(1)


@action("admin_tests.do")
def do(ctx: StepContext) -> dict[str, Any]:
    return {}


@compensation("admin_tests.undo")
def undo(ctx: StepContext) -> None:
    return None


def steps() -> list[Any]:
    once = RetryPolicy(max_attempts=1)
    return [
        step("create_order", action="admin_tests.do", compensation="admin_tests.undo", undo_retry=once),
        parallel(
            step("reserve_inventory", action="admin_tests.do", compensation="admin_tests.undo"),
            step("validate_address", action="admin_tests.do", no_compensation="reads only"),
        ),
        step("charge_payment", action="admin_tests.do", compensation="admin_tests.undo", input={"amount": 1250}),
        step("schedule_shipping", action="admin_tests.do", compensation="admin_tests.undo"),
    ]


def start(**options: Any) -> Saga:
    options = {"context": {"number": "A-1"}, "steps": steps()} | options
    return Saga.objects.start(NAME, **options)


def claims(saga: Saga) -> list[Claim]:
    """Claim what is ready, as a worker with slots for everything."""
    offer = Offer(
        WORKER,
        frozenset({"admin_tests.do", "admin_tests.undo", "saga:admin_short"}),
        lambda: next(_tokens),
        slots=100,
        action_slots=100,
        crashed_slots=100,
    )
    return get_store().apply([Submission(saga.pk, Look())], offer, wait=True)[0].claims


def submit(saga: Saga, trigger: Any, output: Mapping[str, Any] | None = None) -> None:
    payload = Payload(output=json.dumps(output)) if output is not None else None
    result = get_store().apply([Submission(saga.pk, trigger, payload)], wait=True)[0]
    assert not result.error, result.error


def complete(saga: Saga, claim: Claim, output: Mapping[str, Any] | None = None) -> None:
    output = {"id": claim.position} if output is None and not claim.undo else output
    submit(saga, Completed(claim.position, WORKER, claim.token, claim.undo), output)


def advance(saga: Saga, rounds: int) -> None:
    """Let `rounds` waves of steps complete."""
    for _ in range(rounds):
        for claim in claims(saga):
            complete(saga, claim)


def finish(saga: Saga) -> Saga:
    """Let everything that is ready complete, to the end."""
    while taken := claims(saga):
        for claim in taken:
            complete(saga, claim)
    return fresh(saga)


def fresh(saga: Saga) -> Saga:
    return Saga.objects.get(pk=saga.pk)


# -- plights


def started(**options: Any) -> Saga:
    """The order is created, two steps wait for a worker."""
    saga = start(**options)
    advance(saga, 1)
    return fresh(saga)


def running(**options: Any) -> Saga:
    """`charge_payment` runs in a worker; what came before is done."""
    saga = start(**options)
    advance(saga, 2)
    claims(saga)
    return fresh(saga)


def waiting(**options: Any) -> Saga:
    """`charge_payment` ended without an answer and waits for its next attempt: it is in doubt."""
    saga = start(**options)
    advance(saga, 2)
    (claim,) = claims(saga)
    submit(saga, InDoubt(claim.position, WORKER, claim.token, code="TimeoutError", message="no answer from the bank"))
    return fresh(saga)


def completed(**options: Any) -> Saga:
    return finish(start(**options))


class Short(SagaDefinition):
    """One that can be started again: it has a definition."""

    name = "admin_short"
    steps = [step("charge", action="admin_tests.do", compensation="admin_tests.undo")]


def ended(**options: Any) -> Saga:
    """Completed, of a definition."""
    return finish(Saga.objects.start("admin_short", **({"context": {"number": "A-1"}} | options)))


@dataclass
class Order:
    """The context of an order."""

    number: str
    express: bool = False


class Typed(SagaDefinition):
    """One whose context has a model."""

    name = "admin_typed"
    context_model = Order
    steps = [step("charge", action="admin_tests.do", compensation="admin_tests.undo")]


def ended_typed() -> Saga:
    """Completed, of a definition whose context has a model."""
    return finish(Saga.objects.start("admin_typed", context={"number": "A-1"}))


def family(**options: Any) -> tuple[Saga, Saga]:
    """A saga whose step `ship` waits for its child, and the child, which has just been started."""
    saga = start(**{"steps": [one_step("ship")[0], step("ship", saga="admin_short")]} | options)
    advance(saga, 1)
    (claim,) = claims(saga)
    new = prepare("admin_short", context={"number": "A-1"})
    new.id = child_id(saga.pk, "ship", 1)
    new.parent, new.parent_step, new.parent_round, new.depth = saga.pk, "ship", 1, 1
    get_store().insert([new])
    submit(saga, ChildStarted(claim.position, WORKER, claim.token, look=True))
    return fresh(saga), Saga.objects.get(pk=new.id)


class Locked(SagaDefinition):
    """One at a time per order, with a handler that says how far it is."""

    name = "admin_locked"
    lock = "order:{number}"
    steps = [step("charge", action="admin_tests.do", compensation="admin_tests.undo", heartbeat_timeout=30)]


def locked(number: str = "A-1") -> Saga:
    """It has the lock, or waits for it."""
    saga: Saga = Saga.objects.start("admin_locked", context={"number": number})
    return saga


def compensating(**options: Any) -> Saga:
    """The card was declined; nothing is undone yet."""
    return _declined(start(**options))


def compensated(**options: Any) -> Saga:
    return finish(compensating(**options))


def failed(**options: Any) -> Saga:
    """The card was declined, and no rollback was wanted."""
    return _declined(start(rollback=False, **options))


def _declined(saga: Saga, message: str = "the card was declined") -> Saga:
    advance(saga, 2)
    (claim,) = claims(saga)
    submit(saga, Rejected(claim.position, WORKER, claim.token, code="card_declined", message=message))
    return fresh(saga)


def debt(**options: Any) -> Saga:
    """The last undo was refused: the order still stands."""
    saga = compensating(**options)
    while (taken := claims(saga)) and taken[0].position != 0:
        for claim in taken:
            complete(saga, claim)
    (claim,) = taken
    submit(saga, Rejected(0, WORKER, claim.token, undo=True, code="order_locked", message="the order is locked"))
    return fresh(saga)


def without_handler(**options: Any) -> Saga:
    saga = start(**options)
    submit(saga, NoHandler(0))
    return fresh(saga)


def unrecorded(**options: Any) -> Saga:
    saga = start(**options)
    (claim,) = claims(saga)
    submit(saga, Unrecorded(0, WORKER, claim.token, code="DataError", message="the database refused the output"))
    return fresh(saga)


def crashed(**options: Any) -> Saga:
    """Five workers died over its first step."""
    saga = start(**options)
    for _ in range(5):
        claims(saga)
        submit(saga, WorkerLost(WORKER))
    return fresh(saga)


def late_effect(**options: Any) -> Saga:
    """A lost worker's payment went through after the saga had been rolled back."""
    saga = start(**options)
    (claim,) = claims(saga)
    submit(saga, Rejected(0, WORKER, claim.token, code="closed", message="the shop is closed"))
    submit(saga, Completed(0, uuid4(), 999))
    return fresh(saga)


def one_step(name: str, **options: Any) -> list[Any]:
    """A done step, the step that is meant, and one behind it."""
    simple = {"action": "admin_tests.do", "compensation": "admin_tests.undo"}
    return [
        step("first", **simple),
        step(name, **({} if "wait_for" in options else simple), **options),
        step("last", **simple),
    ]


def awaiting_answer(**options: Any) -> Saga:
    """`ship` has returned `Pending`: it waits for the answer to its token."""
    saga = start(**{"steps": one_step("ship", wait_timeout=3600)} | options)
    advance(saga, 1)
    (claim,) = claims(saga)
    submit(saga, Waits(claim.position, WORKER, claim.token))
    return fresh(saga)


def awaiting_signal(**options: Any) -> Saga:
    """`payment` waits for the signal `paid`."""
    saga = start(**{"steps": one_step("payment", wait_for="paid")} | options)
    advance(saga, 1)
    return fresh(saga)


def awaiting_time(**options: Any) -> Saga:
    """`remind` is to begin in an hour."""
    saga = start(**{"steps": one_step("remind", delay=3600)} | options)
    advance(saga, 1)
    return fresh(saga)


def awaiting_approval(**options: Any) -> Saga:
    """`charge` is to be approved; options beside `approvers` are the saga's."""
    saga = start(steps=one_step("charge", approval=True, approvers=options.pop("approvers", "")), **options)
    advance(saga, 1)
    return fresh(saga)


def awaiting_undo(**options: Any) -> Saga:
    """A rollback has come to `charge`, of whose undoing `people` must approve."""
    people, approvers = options.pop("people", 1), options.pop("approvers", "")
    saga = start(steps=one_step("charge", approve_compensation=people, approvers=approvers), **options)
    advance(saga, 2)
    saga.compensate(reason="the customer called")
    return fresh(saga)


def paused(**options: Any) -> Saga:
    saga = started(**options)
    return saga.pause(reason="stock-taking", actor="ines")


class Secret(SagaDefinition):
    """One with something to hide, beside what every project hides."""

    name = "admin_secret"
    sensitive = ("customer.street",)
    steps = [
        step(
            "charge",
            action="admin_tests.do",
            compensation="admin_tests.undo",
            input={"amount": 5, "card_number": "CANARY-input"},
        ),
        step("ship", action="admin_tests.do", compensation="admin_tests.undo"),
    ]


#: Everything that is to be hidden holds this word.
CANARY = "CANARY"


def secret(**options: Any) -> Saga:
    """Its context, an input, an output and what a compensation returned hold secrets; it is rolled back."""
    context = {
        "number": "A-1",
        "token": "CANARY-context",
        "customer": {"name": "ines", "street": "CANARY-street"},
        "cards": [{"cardNumber": "CANARY-list", "brand": "visa"}],
    }
    saga: Saga = Saga.objects.start("admin_secret", **({"context": context} | options))
    (claim,) = claims(saga)
    complete(saga, claim, {"receipt": "R-7", "client_secret": "CANARY-output"})
    (claim,) = claims(saga)
    submit(saga, Rejected(claim.position, WORKER, claim.token, code="closed", message="closed"))
    (claim,) = claims(saga)
    complete(saga, claim, {"refund": "R-8", "api_key": "CANARY-undo"})
    return fresh(saga)


def opened_out(count: int, *, doubtful: int = 0, done: int = 0) -> Saga:
    """`pack` is done for `count` elements: the first ones are in doubt, those behind them done."""
    packing = step("pack", action="admin_tests.do", compensation="admin_tests.undo", for_each="context.lines")
    simple = {"action": "admin_tests.do", "compensation": "admin_tests.undo"}
    saga = start(steps=[step("first", **simple), packing, step("last", **simple)])
    advance(saga, 1)
    (claim,) = claims(saga)
    submit(saga, OpenedOut(claim.position, WORKER, claim.token, count=count))
    for number, claim in enumerate(claims(saga)[: doubtful + done]):
        if number < doubtful:
            submit(saga, InDoubt(claim.position, WORKER, claim.token, code="TimeoutError", message="no answer"))
        else:
            complete(saga, claim)
    return fresh(saga)


def parent(**state: Any) -> tuple[Saga, Saga]:
    """A saga and the child that its step `ship` has started; `state`: columns of the child."""
    simple = {"action": "admin_tests.do", "compensation": "admin_tests.undo"}
    saga = start(steps=[step("pay", **simple), step("ship", saga="admin_short")])
    advance(saga, 1)
    saga.steps.filter(name="ship").update(attempt=1, status="waiting", waits="child")
    values = {"name": "admin_short", "graph": start(steps=[]).graph, "wake_at": saga.created_at, "depth": 1} | state
    row = saga.steps.get(name="ship")
    child = Saga.objects.create(id=row.child_id, parent=saga, parent_step="ship", parent_round=1, **values)
    return fresh(saga), child


def token(saga: Saga, name: str = "ship", *, undo: bool = False) -> str:
    """What the current attempt's handler got as `ctx.token`."""
    row = saga.steps.get(name=name)
    return make_token(saga.pk, name, row.round, undo=undo, attempt=row.undo_attempt if undo else row.attempt)


PLIGHTS = {
    made.__name__: made
    for made in (
        started,
        running,
        waiting,
        completed,
        compensating,
        compensated,
        failed,
        debt,
        without_handler,
        unrecorded,
        crashed,
        late_effect,
        awaiting_answer,
        awaiting_signal,
        awaiting_time,
        awaiting_approval,
        awaiting_undo,
        paused,
        secret,
    )
}


def names(sagas: Sequence[Saga]) -> list[str]:
    return [saga.ulid for saga in sagas]


__all__ = ["PLIGHTS", "SagaState"]
