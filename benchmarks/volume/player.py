"""Plays sagas through the engine's own store, as workers would: what they leave in the tables is real."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sagas import parallel, step
from sagas.core.children import child_id
from sagas.core.claims import Claim, Offer
from sagas.core.retry import RetryPolicy
from sagas.core.triggers import ChildStarted, Completed, InDoubt, Look, OpenedOut, Rejected
from sagas.definitions.ids import new_id
from sagas.engine.start import prepare
from sagas.models import Saga
from sagas.store import get_store
from sagas.store.base import Payload, Submission

#: The workers that run what runs.
WORKERS = (UUID(int=0xA0), UUID(int=0xA1))
#: Stands for the number of an order wherever that is told; each copy has its own.
NUMBER = "7340917265"
CONTEXT: Mapping[str, Any] = {
    "number": f"O-{NUMBER}",
    "customer": {"name": "Ines Albrecht", "email": f"customer-{NUMBER}@example.com"},
    "address": {"street": "Lindenweg 4", "city": "Leipzig", "postcode": "04109", "country": "DE"},
    "lines": [{"sku": "TEA-GREEN-250", "quantity": 2}, {"sku": "MUG-BLUE", "quantity": 1}],
    "currency": "EUR",
    "card": "4242424242424242",
}
#: For each of a saga's steps: the action and its compensation; all of them registered by the participants.
ACTIONS = (
    ("orders.create", "orders.delete"),
    ("inventory.reserve", "inventory.release"),
    ("shipping.validate", ""),
    ("payment.charge", "payment.refund"),
    ("shipping.schedule", "shipping.cancel"),
)
_MANY = 1_000
_tokens = itertools.count(1)


def five_steps(names: Sequence[str], **of_the_fourth: Any) -> list[Any]:
    """Five steps, the second and the third side by side; the fourth is the one on which things go wrong."""
    made = [_step(name, place, **(of_the_fourth if place == 3 else {})) for place, name in enumerate(names)]
    return [made[0], parallel(made[1], made[2]), *made[3:]]


def _step(name: str, place: int, **more: Any) -> Any:
    action, compensation = ACTIONS[place]
    undo = {"compensation": compensation} if compensation else {"no_compensation": "reads only"}
    options: dict[str, Any] = {"input": {"order": f"O-{NUMBER}", "amount": 12990, "currency": "EUR"}}
    options |= {"retry": RetryPolicy(max_attempts=_MANY), "undo_retry": RetryPolicy(max_attempts=1)} | more
    if options.get("wait_for"):
        return step(name, wait_for=options["wait_for"])
    return step(name, action=action, **undo, **options)


def start(name: str, version: str, steps: Sequence[Any], **columns: Any) -> Saga:
    """A saga of a definition's version, however that is spelled in today's code."""
    new = prepare(name, context={**CONTEXT}, steps=steps)
    new.id, new.version = new_id(), version
    for column, value in columns.items():
        setattr(new, column, value)
    get_store().insert([new])
    return fresh(new.id)


def fresh(key: UUID) -> Saga:
    """The row as it is now."""
    return Saga.objects.get(pk=key)


def claims(saga: Saga) -> list[Claim]:
    """Take what is ready."""
    handlers = {name for pair in ACTIONS for name in pair if name} | {"saga:PaymentProcessing"}
    room = {"slots": 500, "action_slots": 500, "crashed_slots": 500}
    offer = Offer(WORKERS[saga.pk.int % 2], frozenset(handlers), lambda: next(_tokens), **room)
    return get_store().apply([Submission(saga.pk, Look())], offer, wait=True)[0].claims


def submit(saga: Saga, trigger: Any, output: Mapping[str, Any] | None = None) -> None:
    """One trigger, which must be welcome."""
    payload = None if output is None else Payload(output=json.dumps(output))
    result = get_store().apply([Submission(saga.pk, trigger, payload)], wait=True)[0]
    if result.error:
        raise result.error


def worker_of(saga: Saga) -> UUID:
    return WORKERS[saga.pk.int % 2]


def complete(saga: Saga, claim: Claim) -> None:
    """The handler returned."""
    done = {"reference": f"R-{NUMBER}-{claim.position}", "status": "ok", "pieces": 3}
    submit(saga, Completed(claim.position, worker_of(saga), claim.token, claim.undo), None if claim.undo else done)


def stumble(saga: Saga, claim: Claim, code: str = "TimeoutError") -> None:
    """No answer; it is tried again at once."""
    text = "no answer from the bank within 30 s"
    trigger = InDoubt(claim.position, worker_of(saga), claim.token, claim.undo, code, text, timedelta(0))
    submit(saga, trigger)


def reject(saga: Saga, claim: Claim, code: str) -> None:
    """The handler said no."""
    text = f"order O-{NUMBER} was refused: {code.replace('_', ' ')}"
    submit(saga, Rejected(claim.position, worker_of(saga), claim.token, claim.undo, code, text))


def advance(saga: Saga, waves: int) -> None:
    """Let so many waves of steps complete."""
    for _ in range(waves):
        for claim in claims(saga):
            complete(saga, claim)


def finish(saga: Saga) -> Saga:
    """Let everything that is ready complete, to the end."""
    while taken := claims(saga):
        for claim in taken:
            complete(saga, claim)
    return fresh(saga.pk)


def to_the_fourth(saga: Saga) -> Claim:
    """The fourth step has been taken."""
    advance(saga, 2)
    (claim,) = claims(saga)
    return claim


def open_out(saga: Saga, count: int, doubtful: int) -> None:
    """The fourth step is done for so many elements, the first of which have no answer yet."""
    claim = to_the_fourth(saga)
    submit(saga, OpenedOut(claim.position, worker_of(saga), claim.token, count=count))
    for number, one in enumerate(claims(saga)):
        (stumble if number < doubtful else complete)(saga, one)


def child_of(saga: Saga, name: str, step_name: str, steps: Sequence[Any]) -> Saga:
    """The child saga of the step that is ready, just started."""
    (claim,) = claims(saga)
    key = child_id(saga.pk, step_name, 1)
    new = prepare(name, context={**CONTEXT}, steps=steps)
    new.id, new.version = key, "1.0.0"
    new.parent, new.parent_step, new.parent_round, new.depth = saga.pk, step_name, 1, 1
    get_store().insert([new])
    submit(saga, ChildStarted(claim.position, worker_of(saga), claim.token, look=True))
    return fresh(key)
