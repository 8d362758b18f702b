"""A worker in this process, on PostgreSQL and on SQLite, without a broker: quick to start, easy to look into."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sagas.engine.check import Finding, check
from sagas.models import Saga
from sagas.worker import beat
from sagas.worker.process import Worker
from tests.engine.kit import Hand, Kit, forgetting
from tests.services.waiting import wait_until
from tests.store.database import _lite_template, lite, lite_file, pg, proxied, transactional_db

__all__ = ["_lite_template", "lite", "lite_file", "pg", "proxied", "transactional_db"]

#: All that takes time in a worker, made short.
QUICK = {"BROKER_URL": None, "POLL_EVERY": 0.02, "LEASE": 2, "GRACE": 5, "STUCK_AFTER": 30}


@pytest.fixture
def kit() -> Iterator[Kit]:
    with forgetting():
        yield Kit()


@pytest.fixture
def quick(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets SAGAS: QUICK, and what the test wants beside it."""
    monkeypatch.setattr(beat, "BEAT", 0.05)
    monkeypatch.setattr(beat, "AUDIT", 1.0)
    base = settings.SAGAS

    def change(**changes: Any) -> None:
        settings.SAGAS = {**base, **QUICK, **changes}

    change()
    return change


@pytest.fixture
def on_postgres(pg: str, quick: Callable[..., None]) -> Iterator[str]:
    """The sagas are in PostgreSQL. In the end every history is lawful."""
    yield pg
    assert [item for item in check() if isinstance(item, Finding)] == []


@pytest.fixture
def on_sqlite(lite: str, quick: Callable[..., None]) -> Iterator[str]:
    """The sagas are in a SQLite file."""
    quick(DATABASE=lite)
    yield lite
    assert [item for item in check() if isinstance(item, Finding)] == []


@pytest.fixture(params=["postgres", "sqlite"])
def place(request: pytest.FixtureRequest, transactional_db: None) -> str:
    """The alias of the database that the sagas are in: first one, then the other.

    `transactional_db`: pytest-django looks for the name to know that it must make the database.
    """
    found: str = request.getfixturevalue(f"on_{request.param}")
    return found


@pytest.fixture
def hand(request: pytest.FixtureRequest) -> Hand:
    """Another worker, done by hand; it has no row, so it counts as dead."""
    return Hand(request.getfixturevalue("place") if "place" in request.fixturenames else "default")


class Crew:
    """Workers of this process."""

    def __init__(self) -> None:
        self._running: list[Worker] = []

    def start(self, **options: Any) -> Worker:
        worker = Worker(**{"threads": 4, "consume": False, **options})
        self._running.append(worker)
        worker.start()
        return worker

    def stop(self, worker: Worker) -> int:
        """Drain it; its exit code."""
        self._running.remove(worker)
        worker.stop()
        return worker.join()

    def join(self, worker: Worker) -> int:
        """Wait until it ends by itself; its exit code."""
        self._running.remove(worker)
        return worker.join()

    def burst(self, **options: Any) -> int:
        """Run until nothing is due."""
        return self.join(self.start(burst=True, **options))

    def stop_all(self) -> None:
        for worker in list(self._running):
            self.stop(worker)


@pytest.fixture
def crew() -> Iterator[Crew]:
    found = Crew()
    yield found
    found.stop_all()


def fresh(saga: Saga) -> Saga:
    """As it is now."""
    found: Saga = Saga.objects.using(saga._state.db).get(pk=saga.pk)
    return found


def ended(*sagas: Saga, within: float = 20) -> list[Saga]:
    """Wait until all have ended; as they are then."""
    rows = Saga.objects.using(sagas[0]._state.db).filter(pk__in=[saga.pk for saga in sagas])
    wait_until(lambda: not rows.active().exists(), within=within, what="the end of all sagas")
    found = rows.in_bulk()
    return [found[saga.pk] for saga in sagas]


def statuses(saga: Saga) -> dict[str, str]:
    return {row.name: row.status for row in fresh(saga).steps.all()}
