"""kill -9 around the start of a child saga, its end, and what it and its parent tell each other.

Each parent is a saga of its own steps: an order as its child, then a confirmation. Some orders are rolled back by
themselves; of the others half are confirmed, and half of the parents are cancelled, so that a complete order is undone.
In the end parent and child agree, and stock, money and parcels balance.
"""

from __future__ import annotations

from uuid import UUID

import pytest

from sagas import step
from sagas.models import Saga
from tests.crash.scene import Scene, orders
from tests.services.waiting import wait_until

#: Crash point, and at which passage: one that some process surely reaches, however the two share the work. Twelve
#: children end and some are undone, and each of that is an errand, so that one of them runs at least six.
POINTS = [
    ("child_before_commit", 1),
    ("child_before_commit", 5),
    ("result_before_commit.do", 1),
    ("child_after_commit", 1),
    ("child_after_commit", 6),
    ("errand", 1),
    ("errand", 4),
    ("errand", 6),
    ("result_after_commit.undo", 2),
]


@pytest.mark.parametrize(("point", "passage"), POINTS, ids=[f"{point}-{passage}" for point, passage in POINTS])
def test_worker_killed__parent_and_child_agree(scene: Scene, point: str, passage: int) -> None:
    scene.start([])
    parents = [_start(order) for order in orders(12)]

    with scene.worker(SAGAS_CRASH_AT=scene.crash_at(point, passage)):
        wait_until(lambda: all(_is_up_to_us(parent) for parent in parents), within=60, what="the orders")
        for number, parent in enumerate(parents):
            saga = Saga.objects.get(pk=parent)
            if saga.is_started and number % 2:
                saga.signal("confirmed")
            elif saga.is_started:
                saga.cancel(reason="not confirmed")
        scene.settle(parents)

    assert scene.marker.exists(), f"no process has passed {point} {passage} times"
    children = list(Saga.objects.filter(parent__in=parents))
    assert len(children) == len(parents)
    ends = dict(Saga.objects.filter(pk__in=parents).values_list("pk", "state"))
    assert {child.parent_id: child.state for child in children} == ends
    assert set(ends.values()) == {"completed", "compensated"}
    scene.judge([child.pk for child in children])


def _start(order: dict[str, object]) -> UUID:
    fulfil = step("fulfil", saga="order_processing", input=order)
    found: UUID = Saga.objects.start("confirmed_order", steps=[fulfil, step("confirm", wait_for="confirmed")]).pk
    return found


def _is_up_to_us(parent: UUID) -> bool:
    saga = Saga.objects.get(pk=parent)
    return saga.is_terminal or saga.steps.filter(name="confirm", status="waiting").exists()
