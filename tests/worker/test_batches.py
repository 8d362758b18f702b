"""The batcher: a worker takes batches further by itself, on PostgreSQL and on SQLite, without a broker."""

import pytest

from sagas.core import triggers as t
from sagas.engine import batch as batches
from sagas.models import Batch, Saga
from sagas.worker import batcher
from tests.engine.kit import Hand, Kit
from tests.services.waiting import wait_until

from .conftest import Crew


def _failed(kit: Kit, hand: Hand, count: int) -> list[Saga]:
    pair = kit.pair()
    sagas = [Saga.objects.start(pair, rollback=False) for _ in range(count)]
    return [hand.run(saga, t.Rejected, code="declined", message="no") for saga in sagas]


def test_worker__does_a_batch_to_its_end(place: str, kit: Kit, hand: Hand, crew: Crew) -> None:
    sagas = _failed(kit, hand, 4)
    batches.create("retry", {"state": "failed"}, reason="it is back", rate=50)

    crew.start()

    wait_until(lambda: Batch.objects.get().state == "done", within=60)
    batch = Batch.objects.get()
    assert (batch.acted, batch.ok, batch.failed) == (4, 4, 0)
    assert all(Saga.objects.get(pk=saga.pk).is_completed for saga in sagas)


def test_fault_in_a_look__the_next_one_goes_on(
    place: str, kit: Kit, hand: Hand, crew: Crew, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _failed(kit, hand, 1)
    batches.create("retry", {"state": "failed"}, reason="it is back", rate=50)
    real, calls = batches.step, []

    def step() -> float:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("odd")
        return real()

    monkeypatch.setattr(batcher, "step", step)
    crew.start()

    wait_until(lambda: Batch.objects.get().state == "done", within=60)
    assert "batches wait: odd" in caplog.text


def test_burst__ends_after_what_is_due_of_a_batch(place: str, kit: Kit, hand: Hand, crew: Crew) -> None:
    sagas = _failed(kit, hand, 3)
    batches.create("retry", {"state": "failed"}, reason="it is back", rate=50)

    assert crew.burst() == 0

    assert all(Saga.objects.get(pk=saga.pk).is_completed for saga in sagas)
