"""The stale monitor as it runs in production: a real celery beat and a real celery worker, on the real servers."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from sagaproject.launch import commands
from tests.services.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
STUCK = """
from sagas.models import Saga
Saga.objects.start("order_processing", context={})
"""
EVERY_SECOND = """
from django_celery_beat.models import IntervalSchedule, PeriodicTask
second, _ = IntervalSchedule.objects.get_or_create(every=1, period=IntervalSchedule.SECONDS)
assert PeriodicTask.objects.filter(task="sagas.flag_stale").update(interval=second) == 1
"""
FLAGGED = "SELECT stale_since FROM sagas_saga"
HISTORY = "SELECT count(*) FROM sagas_historyentry WHERE kind LIKE '%stale%'"
INTERVAL = """
SELECT i.every, i.period FROM django_celery_beat_periodictask t JOIN django_celery_beat_intervalschedule i
ON i.id = t.interval_id WHERE t.task = 'sagas.flag_stale'
"""


class Installation:
    """The project on a database of its own, with sagas that are stale after a second."""

    def __init__(self, database: str, broker: str, log: Path) -> None:
        self._database = database
        self._env = {**os.environ, "DATABASE_URL": database, "BROKER_URL": broker, "SAGAS_STALE_AFTER": "1"}
        self._log = log
        self._children: list[subprocess.Popen[bytes]] = []

    def manage(self, *words: str) -> None:
        python = commands(0)["worker"][0]
        subprocess.run([python, "manage.py", *words], cwd=ROOT, env=self._env, check=True, capture_output=True)

    def start(self, name: str) -> None:
        """One of the programs of `make run`."""
        with self._log.open("ab") as log:
            self._children.append(
                subprocess.Popen(commands(0)[name], cwd=ROOT, env=self._env, stdout=log, stderr=subprocess.STDOUT)
            )

    def ask(self, query: str) -> tuple[object, ...]:
        with psycopg.connect(self._database) as connection:
            return connection.execute(query).fetchone() or ()

    def log(self) -> str:
        return self._log.read_text()

    def close(self) -> None:
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.wait(30)


@pytest.fixture
def installation(new_database: Callable[[], str], broker_url: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(new_database(), broker_url, tmp_path / "log")
    yield made
    made.close()


def test_beat__flags_a_stale_saga_once_and_keeps_an_operators_schedule(installation):
    installation.manage("migrate")
    installation.manage("shell", "-c", EVERY_SECOND)
    installation.manage("migrate")
    kept = installation.ask(INTERVAL)
    installation.manage("shell", "-c", STUCK)

    installation.start("celery")
    installation.start("beat")
    wait_until(lambda: installation.ask(FLAGGED)[0], within=90, what="the flag")
    runs = installation.log().count("succeeded")
    wait_until(lambda: installation.log().count("succeeded") >= runs + 2, within=60, what="two more runs")

    assert kept == (1, "seconds")
    assert installation.log().count("has made no progress") == 1
    assert installation.ask(HISTORY) == (1,)
