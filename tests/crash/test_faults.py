"""Servers that stop, freeze and lie in the middle of a run. Private servers, always."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from uuid import UUID

import pytest

from sagas.models import HistoryEntry, Saga, Step, Worker
from tests.crash.scene import Scene, children, orders
from tests.services import rabbitmq
from tests.services.postgres import PrivatePostgres
from tests.services.proxy import Proxy
from tests.services.rabbitmq import PrivateRabbitMQ
from tests.services.waiting import wait_until

COUNT = "40"


def _moved(scene: Scene, share: float = 0.2) -> None:
    """Wait until the worker is in the middle of it: some sagas have ended, not all."""
    import json

    import psycopg

    wanted = len(json.loads((scene.files / "ids.json").read_text())) * share

    def ended() -> bool:
        with psycopg.connect(scene.environment["DATABASE_URL"]) as connection:
            row = connection.execute("SELECT count(*) FROM sagas_saga WHERE wake_at IS NULL").fetchone()
            return bool(row and row[0] >= wanted)

    wait_until(ended, within=60)


def _states() -> list[tuple[object, ...]]:
    """What all sagas and steps have come to."""
    steps = Step.objects.order_by("saga_id", "position")
    return list(steps.values_list("saga__state", "saga_id", "name", "status", "attempt", "undo_attempt", "round"))


def _awake(pid: int) -> None:
    """Wait until a process that was frozen beats again; it may have been taken for dead, and begun anew."""

    def beats() -> dict[UUID, int]:
        return dict(Worker.objects.filter(pid=pid, dead=False).values_list("pk", "beat"))

    before = beats()
    wait_until(lambda: any(beat > before.get(worker, 0) + 1 for worker, beat in beats().items()), within=30)


@pytest.fixture
def own(private_postgres: PrivatePostgres, private_rabbitmq: PrivateRabbitMQ, tmp_path: Path) -> Scene:
    """A scene on servers that may be stopped."""
    scene = Scene(private_postgres.create_database(), private_rabbitmq.create_vhost(), tmp_path)
    scene.run("manage.py", "migrate", "--verbosity", "0")
    return scene


def test_database_restarted__results_are_kept_and_recorded_once(own: Scene, private_postgres: PrivatePostgres) -> None:
    own.shop("start", SHOP_ORDERS=COUNT)

    with own.worker():
        _moved(own)
        private_postgres.restart("immediate")
        _moved(own, 0.5)
        private_postgres.restart("immediate")
        own.shop("settle")

    own.shop("judge")


def test_broker_killed_and_started_again__only_time_is_lost(own: Scene, private_rabbitmq: PrivateRabbitMQ) -> None:
    with own.worker():
        own.shop("start", SHOP_ORDERS=COUNT)
        _moved(own)
        private_rabbitmq.kill()
        _moved(own, 0.5)
        private_rabbitmq.start()
        own.shop("settle")

    own.shop("judge")


def test_queues_deleted__only_time_is_lost(scene: Scene) -> None:
    # I18: the broker is expendable.
    ids = scene.start(orders(20))

    with scene.worker():
        for _ in range(3):
            rabbitmq.remove_queues(
                scene.environment["BROKER_URL"], queues=["saga.steps", "saga.compensate"], exchanges=[]
            )
            ids += scene.start(orders(10))
        scene.settle(ids)

    scene.judge(ids)


#: Where a process is frozen: in a group with the sagas locked, with a claim in hand, with an effect that nobody knows
#: of, with a result in hand.
FROZEN = [
    ("group_before_write", 1),
    ("group_after_write", 1),
    ("before_handler.do", 3),
    ("after_handler.do", 4),
    ("after_handler.undo", 1),
    ("result_before_commit.do", 4),
    ("result_after_commit.do", 4),
]


@pytest.mark.parametrize(("point", "passage"), FROZEN, ids=[f"{point}-{passage}" for point, passage in FROZEN])
def test_frozen_worker__is_fenced_when_it_thaws(scene: Scene, point: str, passage: int) -> None:
    # Frozen past its lease (4 s in a scene); another process takes its work over and ends it; then it thaws.
    ids = scene.start(orders(20))

    with scene.worker(SAGAS_CRASH_AT=scene.freeze_at(point, passage)):
        wait_until(lambda: scene.marker.exists() and scene.marker.read_text(), within=30)
        frozen = int(scene.marker.read_text())
        try:
            scene.settle(ids)
        finally:
            os.kill(frozen, signal.SIGCONT)
        before, told = _states(), HistoryEntry.objects.filter(seq__isnull=False)
        known = set(told.values_list("pk", flat=True))
        _awake(frozen)  # and has said what it had to say
        # An effect whose step was undone meanwhile: nothing moves, a person is told.
        assert all(entry.data.get("attention") == "late_effect" for entry in told.exclude(pk__in=known))
        assert _states() == before

    scene.judge(ids)


def test_frozen_at_any_moment__is_fenced_when_it_thaws(scene: Scene) -> None:
    ids = scene.start(orders(30))

    with scene.worker() as worker:
        wait_until(lambda: len(children(worker.pid)) == 2)
        frozen = children(worker.pid)[0]
        wait_until(lambda: Saga.objects.exclude(revision=1).count() > 3, within=30)
        os.kill(frozen, signal.SIGSTOP)
        try:
            scene.settle(ids)
        finally:
            os.kill(frozen, signal.SIGCONT)
        _awake(frozen)

    scene.judge(ids)


def test_answers_to_commit_swallowed__everything_is_recorded_once(own: Scene) -> None:
    # The commit is done and its answer never arrives: nothing is judged by re-reading, the same is submitted again.
    own.shop("start", SHOP_ORDERS=COUNT)
    stop = threading.Event()

    with Proxy(own.environment["DATABASE_URL"]) as proxy:

        def strike() -> None:
            while not stop.wait(0.4):
                proxy.swallow_commit()

        striker = threading.Thread(target=strike, daemon=True)
        with own.worker(DATABASE_URL=proxy.url):
            _moved(own, 0.1)
            striker.start()
            _moved(own, 0.7)
            stop.set()
            striker.join()
            proxy.forward()
            own.shop("settle")

    own.shop("judge")


def test_connections_cut__everything_is_recorded_once(own: Scene) -> None:
    own.shop("start", SHOP_ORDERS=COUNT)

    with Proxy(own.environment["DATABASE_URL"]) as proxy, own.worker(DATABASE_URL=proxy.url):
        for share in (0.1, 0.3, 0.5, 0.7):
            _moved(own, share)
            proxy.reset()
        own.shop("settle")

    own.shop("judge")
