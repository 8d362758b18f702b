"""The parts of a worker where they meet what is not theirs: the broker's consumer, a database that goes away."""

import gc
import logging
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import pytest
from django.db import connections

from sagas import StepContext
from sagas.definitions.ids import new_id
from sagas.models import Saga
from sagas.models import Worker as WorkerRow
from sagas.store.orm import OrmStore
from sagas.transports import Hint
from sagas.worker import committer as committing
from sagas.worker import watchdog as watching
from sagas.worker.child import tame_the_collector
from sagas.worker.process import Worker
from tests.engine.kit import Kit
from tests.services.proxy import Proxy
from tests.services.waiting import wait_until

from .conftest import Crew, ended, fresh

pytestmark = pytest.mark.usefixtures("on_postgres")


class FakeConsumer:
    """What a worker sees of a broker's consumer; hints are given by hand."""

    def __init__(self) -> None:
        self.acked: list[Hint] = []
        self.given_back: list[Hint] = []
        self.paused = False
        self.pauses = 0
        self.is_zombie = False
        self.connected = True
        self.error = None

    def start(self) -> None: ...

    def stop(self, grace: float = 5.0) -> None: ...

    def ack_many(self, hints: Iterable[Hint]) -> None:
        self.acked += hints

    def give_back_many(self, hints: Iterable[Hint]) -> None:
        self.given_back += hints

    def pause(self) -> None:
        self.paused = True
        self.pauses += 1

    def resume(self) -> None:
        self.paused = False

    def depths(self) -> Mapping[str, int]:
        return {"saga.steps": 3}

    def zombie(self, now: float) -> bool:
        return self.is_zombie


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    found = FakeConsumer()
    monkeypatch.setattr(Worker, "_make_consumer", lambda *args: found)
    monkeypatch.setattr(committing, "hint", lambda ids, **where: None)
    return found


def hint(saga_id: UUID, number: int = 0) -> Hint:
    return Hint(saga_id, "saga.steps", (1, number))


class Gate:
    """Handlers stand at it until it is opened."""

    def __init__(self) -> None:
        self.inside = 0
        self.opened = threading.Event()

    def __call__(self, ctx: StepContext) -> None:
        self.inside += 1
        assert self.opened.wait(30)


@pytest.fixture
def gate() -> Any:
    found = Gate()
    yield found
    found.opened.set()


# -- hints --------------------------------------------------------------------------------------------------------


def test_hint__is_acknowledged_when_its_claim_is_committed(
    kit: Kit, crew: Crew, consumer: FakeConsumer, gate: Gate
) -> None:
    saga = Saga.objects.start(kit.define(kit.step("only", gate)))
    worker = crew.start(consume=True)

    worker._on_hint(hint(saga.pk))

    # While the handler runs: no delivery is held.
    wait_until(lambda: consumer.acked and gate.inside)
    assert consumer.acked == [hint(saga.pk)]
    assert fresh(saga).steps.get().claim_worker == worker.identity.id


def test_hint__for_any_row_state_is_acknowledged(kit: Kit, crew: Crew, consumer: FakeConsumer) -> None:
    pair = kit.pair()
    completed = Saga.objects.start(pair)
    worker = crew.start(consume=True)
    ended(completed)
    unknown = new_id()

    for number, saga_id in enumerate([completed.pk, unknown, unknown]):
        worker._on_hint(hint(saga_id, number))

    wait_until(lambda: len(consumer.acked) == 3)
    assert fresh(completed).is_completed
    assert ended(Saga.objects.start(pair))[0].is_completed


def test_fifty_hints_of_one_saga__one_attempt(kit: Kit, crew: Crew, consumer: FakeConsumer) -> None:
    called: list[int] = []
    saga = Saga.objects.start(kit.define(kit.step("only", lambda ctx: called.append(ctx.attempt))))
    workers = [crew.start(consume=True) for _ in range(2)]

    for number in range(50):
        workers[number % 2]._on_hint(hint(saga.pk, number))

    wait_until(lambda: len(consumer.acked) == 50)
    assert ended(saga)[0].is_completed
    assert called == [1]


def test_no_slots__hints_go_back_and_come_again_with_the_slots(
    kit: Kit, crew: Crew, consumer: FakeConsumer, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "_PATIENCE", 0.1)
    sagas = Saga.objects.start_many(kit.define(kit.step("only", gate)), [{}] * 6)
    worker = crew.start(consume=True, threads=2)
    wait_until(lambda: gate.inside)

    for number, saga in enumerate(sagas):
        worker._on_hint(hint(saga.pk, number))
    wait_until(lambda: consumer.paused)
    assert consumer.given_back
    gate.opened.set()

    wait_until(lambda: not consumer.paused)
    assert all(saga.is_completed for saga in ended(*sagas))


def test_no_slots__what_the_sweep_found_is_not_forgotten(
    kit: Kit, crew: Crew, consumer: FakeConsumer, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its look was dropped together with the hints, and the sweep took it for "on its way" from then on.
    monkeypatch.setattr(committing, "_PATIENCE", 0.1)
    definition = kit.define(kit.step("only", gate))
    running = Saga.objects.start(definition)
    worker = crew.start(consume=True, threads=1)
    wait_until(lambda: gate.inside)
    found_by_sweep = Saga.objects.start(definition)

    worker.sweeper._pending.add(found_by_sweep.pk)
    worker.committer.look(found_by_sweep.pk, sweep=True, then=worker.sweeper._seen)
    wait_until(lambda: consumer.pauses)
    gate.opened.set()

    assert all(saga.is_completed for saga in ended(running, found_by_sweep))


def test_draining__gives_the_waiting_hints_back(kit: Kit, crew: Crew, consumer: FakeConsumer, gate: Gate) -> None:
    sagas = Saga.objects.start_many(kit.define(kit.step("only", gate)), [{}] * 3)
    worker = crew.start(consume=True, threads=1)
    wait_until(lambda: gate.inside)
    waiting = hint(sagas[2].pk, 7)
    worker._on_hint(waiting)

    worker.draining = True
    gate.opened.set()

    assert crew.join(worker) == 0
    assert consumer.paused
    assert waiting in consumer.given_back + consumer.acked


def test_beat__tells_slots_and_depths(kit: Kit, crew: Crew, consumer: FakeConsumer, gate: Gate) -> None:
    Saga.objects.start(kit.define(kit.step("only", gate)))
    worker = crew.start(consume=True, threads=3)
    wait_until(lambda: gate.inside)

    def row() -> WorkerRow:
        found: WorkerRow = WorkerRow.objects.get(pk=worker.identity.id)
        return found

    wait_until(lambda: row().beat > 2 and row().free_slots == 2)
    assert (row().slots, row().queue_depths, row().dead) == (3, {"saga.steps": 3}, False)
    assert kit.name("only") in row().handlers


def test_zombie_consumer__ends_the_process(crew: Crew, consumer: FakeConsumer) -> None:
    worker = crew.start(consume=True)
    consumer.is_zombie = True

    assert crew.join(worker) == 3
    assert "zombie" in worker.fatal


# -- claims ahead -------------------------------------------------------------------------------------------------


def test_claim_that_waits_too_long_for_a_thread__is_handed_back(
    kit: Kit, crew: Crew, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_QUEUED", 0.1)
    definition = kit.define(kit.step("only", gate))
    worker = crew.start(threads=1)
    for _ in range(200):
        worker.slots.observe(1e-6)  # handlers were quick until now: claims are made ahead
    sagas = Saga.objects.start_many(definition, [{}] * 5)

    wait_until(
        lambda: "handed_back" in {kind for saga in sagas for kind in saga.history.values_list("kind", flat=True)}
    )
    gate.opened.set()

    found = ended(*sagas)
    assert all(saga.is_completed for saga in found)
    assert not any(entry for saga in found for entry in saga.history.filter(data__steps__0__doubt=True))


# -- the database goes away ---------------------------------------------------------------------------------------


def test_database_away_for_a_while__results_are_kept(
    kit: Kit, crew: Crew, quick: Any, proxied: Any, database_url: str, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    called: list[str] = []
    definition = kit.define(kit.step("one", gate), kit.step("two", lambda ctx: called.append(ctx.step)))
    sagas = Saga.objects.start_many(definition, [{}] * 3)
    with Proxy(database_url) as proxy:
        quick(DATABASE=proxied(proxy), LEASE=30)
        worker = crew.start(store=OrmStore())
        wait_until(lambda: gate.inside == 3)

        proxy.refuse()
        gate.opened.set()
        wait_until(lambda: "a group of" in caplog.text)
        assert called == []
        proxy.forward()

        assert all(saga.is_completed for saga in ended(*sagas))
        assert called == ["two"] * 3
        # Every thread has found its way back, the sweep too. (Ours does as Django's requests do.)
        connections[worker.store.alias].close()
        assert ended(Saga.objects.start(definition))[0].is_completed
        crew.stop(worker)
        quick()
    for saga in sagas:
        assert list(saga.history.filter(seq=None)) == []
        assert [entry.kind for entry in saga.history.exclude(seq=None).order_by("seq")] == [
            "started", "claimed", "completed", "completed",
        ]  # fmt: skip


def test_sweep__finds_its_way_back_with_something_to_examine(
    kit: Kit, crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    # The dead connection is noticed first by a query that is not the store's.
    saga = Saga.objects.start(kit.pair())
    worker = Worker(consume=False)
    worker.sweeper._looked_at.append(worker.store.apply([_look(saga)])[0])
    driver = connections["default"].connection
    driver.close()

    worker.sweeper._try()
    assert "the sweep waits" in caplog.text
    worker.sweeper._try()

    assert not worker.sweeper._looked_at


def _look(saga: Saga) -> Any:
    from sagas.core.triggers import Look
    from sagas.store.base import Submission

    return Submission(saga.pk, Look())


def test_burst__does_not_end_with_something_woken(kit: Kit, crew: Crew) -> None:
    worker = Worker(consume=False, burst=True)
    due = worker.store.due

    def woken_meanwhile(**options: Any) -> Any:
        found = due(**options)
        worker.sweeper.wake()  # a result came in, and left a step that nobody took
        return found

    worker.store.due = woken_meanwhile  # type: ignore[method-assign]
    try:
        worker.sweeper.sweep()
    finally:
        del worker.store.due

    assert not worker.sweeper.found_nothing


# -- the garbage collector ----------------------------------------------------------------------------------------


def test_collector__leaves_alone_what_was_loaded_before() -> None:
    before = gc.get_threshold()
    try:
        tame_the_collector()

        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_threshold()[1:] == before[1:]
        assert gc.isenabled()
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
