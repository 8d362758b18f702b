"""kill -9 at every named point of the worker, on the way forward and on the way back.

Each test: orders are started, a supervised worker of two processes runs them, one of its processes is killed at the
point, its work is taken over. All sagas end, the history tells a lawful story (I1 to I15, by the audit), and stock,
money and parcels balance: no effect is lost and none is done twice (I9).
"""

from __future__ import annotations

import pytest

from tests.crash.scene import Scene, orders

#: Crash point, and at which passage.
POINTS = [
    ("claim_before_commit", 2),
    ("claim_after_commit", 1),
    ("claim_after_ack", 2),
    ("before_handler.do", 4),
    ("before_handler.undo", 2),
    ("after_handler.do", 5),
    ("after_handler.undo", 2),
    ("result_before_commit.do", 4),
    ("result_before_commit.undo", 1),
    ("result_after_commit.do", 6),
    ("result_after_commit.undo", 1),
    ("group_before_write", 1),
    ("group_before_write", 7),
    ("group_after_write", 1),
    ("group_after_write", 7),
    ("inline_claim.do", 2),
    ("inline_claim.undo", 1),
    ("sweep", 2),
]


@pytest.mark.parametrize(("point", "passage"), POINTS, ids=[f"{point}-{passage}" for point, passage in POINTS])
def test_worker_killed__nothing_lost_nothing_twice(scene: Scene, point: str, passage: int) -> None:
    ids = scene.start(orders(16))

    with scene.worker(SAGAS_CRASH_AT=scene.crash_at(point, passage)):
        ids += scene.start(orders(24)[16:])
        scene.settle(ids)

    assert scene.marker.exists(), f"no process has passed {point} {passage} times"
    scene.judge(ids)


def test_worker_killed_while_taking_over__the_next_one_takes_over(scene: Scene) -> None:
    # One child dies in a handler; the next dies in the middle of taking over its claims.
    ids = scene.start(orders(16))
    other = scene.marker.with_name("crashed-too")

    # Whichever of the two workers notices first.
    points = f"{scene.crash_at('after_handler.do', 3)},take_over:1:{other}"

    with scene.worker(processes=1, SAGAS_CRASH_AT=points), scene.worker(processes=1, SAGAS_CRASH_AT=points):
        scene.settle(ids)

    assert scene.marker.exists()
    assert other.exists()
    scene.judge(ids)
