"""Who is in the tables: definitions, what becomes of their sagas, and how often. Each is played once, then copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from benchmarks.volume import player
from benchmarks.volume.player import advance, claims, finish, five_steps, fresh, start, submit, to_the_fourth
from sagas import step
from sagas.core.states import SagaState
from sagas.core.triggers import ChildEnded, FlagStale, NoHandler, Unrecorded, Waits, WorkerLost
from sagas.models import Saga

#: Stands for an error code; each copy has one of `crowd.CODES`.
CODE = "code7340917265"
#: Stands for the number of an order that several sagas want to lock.
LOCK = f"order:{player.NUMBER}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A definition's version, and its share of all sagas."""

    name: str
    version: str
    share: float
    steps: Sequence[str]

    def start(self, fourth: dict[str, Any] | None = None, **columns: Any) -> Saga:
        return start(self.name, self.version, five_steps(self.steps, **(fourth or {})), **columns)


_ORDER = ("create_order", "reserve_inventory", "validate_address", "charge_payment", "schedule_shipping")
_PAYMENT = ("Create_Order", "Reserve_Inventory", "Validate", "Charge_Payment", "Create_Shipment")
_RENEWAL = ("open_period", "reserve_seats", "check_address", "charge_card", "send_invoice")
_TRANSFER = ("open_transfer", "pick_goods", "check_dock", "book_truck", "hand_over")
#: What child sagas are.
_CHILD = "PaymentProcessing"
#: The first is that of the scenes that are played once.
KINDS = (
    Kind("order_processing", "2", 0.40, _ORDER),
    Kind("order_processing", "1", 0.12, _ORDER),
    Kind("PaymentProcessing", "1.0.0", 0.23, _PAYMENT),
    Kind("subscription_renewal", "4", 0.10, _RENEWAL),
    Kind("subscription_renewal", "3", 0.05, _RENEWAL),
    Kind("stock_transfer", "1", 0.10, _TRANSFER),
)


def _stumbling(saga: Saga, times: int) -> Saga:
    """To the end, with so many attempts that got no answer, spread over the steps."""
    while taken := claims(saga):
        for claim in taken:
            if times > 0 and not claim.undo:
                player.stumble(saga, claim)
                times -= 1
            else:
                player.complete(saga, claim)
    return fresh(saga.pk)


def completed(kind: Kind, times: int) -> list[Saga]:
    return [_stumbling(kind.start(), times)]


def _declined(kind: Kind, times: int = 0, **columns: Any) -> Saga:
    saga = kind.start(**columns)
    claim = to_the_fourth(saga)
    for _ in range(times):
        player.stumble(saga, claim)
        (claim,) = claims(saga)
    player.reject(saga, claim, CODE)
    return saga


def compensated(kind: Kind) -> list[Saga]:
    return [finish(_declined(kind, 3))]


def failed(kind: Kind) -> list[Saga]:
    return [fresh(_declined(kind, 4, rollback=False).pk)]


def started(kind: Kind) -> list[Saga]:
    saga = kind.start()
    advance(saga, 1)
    return [saga]


def at_work(kind: Kind) -> list[Saga]:
    saga = kind.start()
    to_the_fourth(saga)
    return [saga]


def trying(kind: Kind) -> list[Saga]:
    saga = kind.start()
    player.stumble(saga, to_the_fourth(saga))
    return [saga]


def compensating(kind: Kind) -> list[Saga]:
    return [_declined(kind)]


def awaiting_answer(kind: Kind) -> list[Saga]:
    saga = kind.start({"wait_timeout": 40 * 86_400})
    claim = to_the_fourth(saga)
    submit(saga, Waits(claim.position, player.worker_of(saga), claim.token))
    return [saga]


def awaiting_signal(kind: Kind) -> list[Saga]:
    saga = kind.start({"wait_for": "paid"})
    advance(saga, 2)
    return [saga]


def awaiting_time(kind: Kind) -> list[Saga]:
    saga = kind.start({"delay": 40 * 86_400})
    advance(saga, 2)
    return [saga]


def awaiting_approval(kind: Kind) -> list[Saga]:
    saga = kind.start({"approval": True})
    advance(saga, 2)
    return [saga]


def debt(kind: Kind) -> list[Saga]:
    """The last undo was refused: the order still stands."""
    saga = _declined(kind)
    while (taken := claims(saga)) and taken[0].position != 0:
        for claim in taken:
            player.complete(saga, claim)
    player.reject(saga, taken[0], "order_locked")
    return [saga]


def without_handler(kind: Kind) -> list[Saga]:
    saga = kind.start()
    submit(saga, NoHandler(0))
    return [saga]


def unrecorded(kind: Kind) -> list[Saga]:
    saga = kind.start()
    (claim,) = claims(saga)
    text = "the database refused the output"
    submit(saga, Unrecorded(0, player.worker_of(saga), claim.token, code="DataError", message=text))
    return [saga]


def crashed(kind: Kind) -> list[Saga]:
    """Five workers died over its first step."""
    saga = kind.start()
    for _ in range(5):
        claims(saga)
        submit(saga, WorkerLost(player.worker_of(saga)))
    return [saga]


def stale(kind: Kind) -> list[Saga]:
    (saga,) = started(kind)
    submit(saga, FlagStale())
    return [saga]


def paused(kind: Kind) -> list[Saga]:
    (saga,) = started(kind)
    fresh(saga.pk).pause(reason="stock-taking", actor="ines")
    return [saga]


def locked(kind: Kind) -> list[Saga]:
    """One has the lock, two stand in line."""
    holder, *others = [kind.start(lock_key=LOCK) for _ in range(3)]
    advance(holder, 1)
    return [holder, *others]


def parent_done(kind: Kind) -> list[Saga]:
    parent, child = _family(kind)
    finish(child)
    submit(parent, ChildEnded("pay", 1, SagaState.COMPLETED))
    finish(parent)
    return [parent, child]


def parent_waits(kind: Kind) -> list[Saga]:
    return list(_family(kind))


def _family(kind: Kind) -> tuple[Saga, Saga]:
    steps = [*five_steps(kind.steps), step("pay", saga=_CHILD)]
    parent = start(kind.name, kind.version, steps)
    advance(parent, 4)
    return parent, player.child_of(parent, _CHILD, "pay", five_steps(_PAYMENT))


def fan_out(kind: Kind) -> list[Saga]:
    """A list of 100 elements, three of them in doubt."""
    saga = kind.start({"for_each": "context.lines", "max_items": 100})
    player.open_out(saga, 100, doubtful=3)
    return [saga]


def eventful(kind: Kind, entries: int) -> list[Saga]:
    """So many lines of history: a service that did not answer for a night."""
    saga = kind.start()
    claim = to_the_fourth(saga)
    for _ in range(entries // 2):
        player.stumble(saga, claim)
        (claim,) = claims(saga)
    return [saga]


Play = Callable[[Kind], list[Saga]]


@dataclass(frozen=True, slots=True)
class Role:
    """What becomes of sagas, and how many of all do."""

    name: str
    share: float
    play: Play
    #: Of every definition; else of one.
    everywhere: bool = False
    #: Those that stay for long are spread over the whole month, the others alive are the newest.
    lasting: bool = True


def _times(count: int) -> Play:
    return lambda kind: completed(kind, count)


def roles(entries: int) -> tuple[Role, ...]:
    """Everybody; `entries`: lines of the longest history. The shares are parts of all sagas."""
    return (
        Role("completed", 0.30, _times(4), everywhere=True),
        Role("completed_again", 0.34, _times(5), everywhere=True),
        Role("completed_hardly", 0.21, _times(8), everywhere=True),
        Role("compensated", 0.08, compensated, everywhere=True),
        Role("failed", 0.03, failed, everywhere=True),
        Role("parent_done", 0.012, parent_done),
        Role("started", 0.0025, started, lasting=False),
        Role("at_work", 0.002, at_work, lasting=False),
        Role("trying", 0.001, trying, lasting=False),
        Role("compensating", 0.0006, compensating, lasting=False),
        Role("parent_waits", 0.0002, parent_waits, lasting=False),
        Role("locked", 0.0001, locked, lasting=False),
        Role("awaiting_answer", 0.0005, awaiting_answer, lasting=False),
        Role("awaiting_signal", 0.0005, awaiting_signal),
        Role("awaiting_time", 0.001, awaiting_time),
        Role("awaiting_approval", 0.0005, awaiting_approval),
        Role("debt", 0.0004, debt),
        Role("without_handler", 0.0002, without_handler),
        Role("unrecorded", 0.0001, unrecorded),
        Role("crashed", 0.0001, crashed),
        Role("stale", 0.0003, stale),
        Role("paused", 0.0003, paused),
        Role("fan_out", 0.00004, fan_out),
        Role("eventful", 0.00002, lambda kind: eventful(kind, entries)),
    )


def played(entries: int) -> Iterator[tuple[Role, Kind, list[UUID]]]:
    """Play them all. Each with the ids of its sagas, the first one's first."""
    for role in roles(entries):
        for kind in KINDS if role.everywhere else KINDS[:1]:
            yield role, kind, [saga.pk for saga in role.play(kind)]
