"""kill -9 of the worker that takes a batch further: every saga is acted upon once, and the batch knows it."""

from __future__ import annotations

import os
import signal
from uuid import UUID

import pytest

from sagas.engine import batch as batches
from sagas.models import Batch, HistoryEntry, Saga
from tests.crash.scene import Scene, orders
from tests.services.waiting import wait_until

COUNT = 12
#: Crash point, and at which passage.
POINTS = [
    ("batch_before_act", 3),
    ("operate_before_commit", 2),
    ("batch_before_commit", 4),
    ("batch_after_commit", 5),
    ("operate_after_commit", 3),
]


@pytest.mark.parametrize(("point", "passage"), POINTS, ids=[f"{point}-{passage}" for point, passage in POINTS])
def test_worker_killed__each_saga_of_the_batch_once(scene: Scene, point: str, passage: int) -> None:
    ids = _paused(scene)
    batch = batches.create("resume", {"paused": "yes"}, reason="the shop is open", actor="ann", rate=50)

    with scene.worker(SAGAS_CRASH_AT=scene.crash_at(point, passage)):
        wait_until(lambda: Batch.objects.get().state in ("done", "stopped"), within=60, what="the batch")
        scene.settle(ids)

    assert scene.marker.exists(), f"no process has passed {point} {passage} times"
    batch.refresh_from_db()
    assert batch.state == "done"
    assert batch.acted == COUNT
    assert set(batch.items.values_list("saga_id", flat=True)) == set(ids)
    resumed = HistoryEntry.objects.filter(kind="resume").values_list("saga_id", flat=True)
    assert sorted(resumed) == sorted(ids)
    scene.judge(ids)


def test_frozen_worker__another_one_goes_on_and_it_does_nothing_more_when_it_thaws(scene: Scene) -> None:
    ids = _paused(scene)
    batch = batches.create("resume", {"paused": "yes"}, reason="the shop is open", actor="ann", rate=50)

    with scene.worker(SAGAS_CRASH_AT=scene.freeze_at("batch_before_commit", 3)):
        wait_until(lambda: scene.marker.exists() and scene.marker.read_text(), within=30)
        frozen = int(scene.marker.read_text())
        try:
            wait_until(lambda: Batch.objects.get().state == "done", within=60, what="the batch")
            scene.settle(ids)
        finally:
            os.kill(frozen, signal.SIGCONT)

    resumed = HistoryEntry.objects.filter(kind="resume").values_list("saga_id", flat=True)
    assert sorted(resumed) == sorted(ids)
    assert batch.items.count() == COUNT
    scene.judge(ids)


def _paused(scene: Scene) -> list[UUID]:
    ids = scene.start(orders(COUNT))
    for key in ids:
        Saga.objects.get(pk=key).pause(reason="stock-taking")
    return ids
