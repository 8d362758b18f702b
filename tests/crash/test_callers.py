"""kill -9 of the process that starts a saga, or of an operator's, before and after its commit."""

from __future__ import annotations

import signal
from uuid import UUID

import pytest

from participants.demo import demo_orders, seed_stock
from sagas.models import HistoryEntry, Saga, Worker
from tests.crash.scene import Scene
from tests.services.waiting import wait_until

COUNT = 2


@pytest.mark.parametrize(("point", "stored"), [("start_before_commit", 5), ("start_after_commit", 6)])
def test_killed_while_starting__what_was_accepted_is_there_once(scene: Scene, point: str, stored: int) -> None:
    # I3: every id that was returned exists, what was not committed does not; I4: asking again starts nothing twice.
    seed_stock()
    killed = scene.call("start", "12", SAGAS_CRASH_AT=f"{point}:6")
    assert killed.returncode == -signal.SIGKILL
    accepted = {UUID(line) for line in killed.stdout.split()}
    assert len(accepted) == 5
    there = set(Saga.objects.values_list("pk", flat=True))
    assert accepted <= there
    assert len(there) == stored

    again = scene.call("start", "12")

    ids = [UUID(line) for line in again.stdout.split()]
    assert there <= set(ids)
    assert Saga.objects.count() == len(set(ids)) == 12
    with scene.worker():
        scene.settle(ids)
    scene.judge(ids)


@pytest.mark.parametrize("verb", ["compensate", "retry"])
@pytest.mark.parametrize(("point", "moved"), [("operate_before_commit", False), ("operate_after_commit", True)])
def test_operator_killed__the_action_is_there_once_or_not_at_all(
    scene: Scene, verb: str, point: str, *, moved: bool
) -> None:
    saga = _failed(scene, 1)[0]
    words = (verb, str(saga.pk), str(saga.revision))

    killed = scene.call(*words, SAGAS_CRASH_AT=f"{point}:1")

    assert killed.returncode == -signal.SIGKILL
    after = Saga.objects.get(pk=saga.pk)
    assert (after.revision > saga.revision) is moved
    again = scene.call(*words)
    assert again.returncode == int(moved), again.stdout
    entries = HistoryEntry.objects.filter(saga_id=saga.pk, kind=verb)
    assert [(entry.actor, entry.reason) for entry in entries] == [("ann", "the customer called")]
    with scene.worker():
        scene.settle([saga.pk])
    ended = Saga.objects.get(pk=saga.pk)
    if verb == "retry":  # its card is declined again
        assert ended.is_failed
        ended.compensate(reason="end of the test")
        with scene.worker():
            scene.settle([saga.pk])
    scene.judge([saga.pk])


@pytest.mark.parametrize(
    "point", ["claim_before_commit", "claim_after_commit", "claim_after_ack", "sweep", "group_before_write"]
)
def test_worker_killed_claiming_undos__each_is_done_once(scene: Scene, point: str) -> None:
    # All that is claimed here is an undo: the sagas had ended, not undone, and an operator compensates them.
    sagas = _failed(scene, COUNT)
    ids = [saga.pk for saga in sagas]

    def compensate() -> None:
        for saga in sagas:  # by a process that sends its hints to the scene's own broker
            assert scene.call("compensate", str(saga.pk), str(saga.revision)).returncode == 0

    if point == "sweep":  # found by the workers as they start, not by a hint
        compensate()
    with scene.worker(SAGAS_CRASH_AT=scene.crash_at(point, 1)):
        if point != "sweep":
            wait_until(lambda: Worker.objects.filter(beat__gt=0).count() == 2, within=30)
            compensate()
        scene.settle(ids)

    assert scene.marker.exists()
    assert Saga.objects.filter(pk__in=ids, state="compensated").count() == len(ids)
    scene.judge(ids)


def test_worker_killed_taking_over_an_undo__the_next_one_takes_over(scene: Scene) -> None:
    sagas = _failed(scene, COUNT)
    for saga in sagas:
        saga.compensate(reason="the shop is closed")
    ids, other = [saga.pk for saga in sagas], scene.marker.with_name("crashed-too")

    # Whichever of the two workers notices first.
    points = f"{scene.crash_at('after_handler.undo', 1)},take_over:1:{other}"

    with scene.worker(processes=1, SAGAS_CRASH_AT=points), scene.worker(processes=1, SAGAS_CRASH_AT=points):
        scene.settle(ids)

    assert scene.marker.exists()
    assert other.exists()
    scene.judge(ids)


def _failed(scene: Scene, count: int) -> list[Saga]:
    """Sagas whose card was declined, ended `failed` with two steps done and nothing undone."""
    seed_stock()
    address, lines = demo_orders()[1]["address"], demo_orders()[0]["lines"]
    declined = {"card": "tok_0002", "address": address, "lines": lines}
    cards = [order | declined for order in demo_orders()[:count]]
    ids = [Saga.objects.start("order_processing", context=order, rollback=False).pk for order in cards]
    with scene.worker():
        scene.settle(ids)
    sagas = list(Saga.objects.filter(pk__in=ids, error_code="card_declined", state="failed"))
    assert len(sagas) == count
    return sagas
