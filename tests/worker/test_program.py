"""`manage.py saga_worker` as a program: signals, exit codes, and what it says when it can not work."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagas.core.triggers import Look
from sagas.models import Saga
from sagas.models import Worker as WorkerRow
from sagas.store import get_store
from sagas.store.base import Submission
from tests.engine.kit import Hand, forgetting
from tests.services.waiting import wait_until

from .conftest import ended, fresh, statuses
from .program.handlers import register

ROOT = Path(__file__).resolve().parents[2]


class Program:
    """Starts workers on one database; they end with the test."""

    def __init__(self, url: str, files: Path, alias: str) -> None:
        self.files = files
        self.alias = alias
        self._started: list[subprocess.Popen[str]] = []
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("SAGAS_")},
            "DJANGO_SETTINGS_MODULE": "tests.worker.program.settings",
            "DATABASE_URL": url,
            "BROKER_URL": "",
            "LOG_LEVEL": "WARNING",
        }

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        log = (self.files / "log").open("a")
        with log:
            worker = subprocess.Popen(
                [sys.executable, "manage.py", "saga_worker", *words],
                cwd=ROOT, env={**self.environment, **environment}, stdout=log, stderr=log, text=True,
                start_new_session=True,
            )  # fmt: skip
        self._started.append(worker)
        return worker

    def run(self, *words: str, **environment: str) -> int:
        """To its end; the exit code."""
        return self.start(*words, **environment).wait(60)

    @property
    def said(self) -> str:
        return (self.files / "log").read_text()

    @property
    def told(self) -> list[str]:
        """What handlers did: word, step, attempt, process."""
        path = self.files / "told"
        return path.read_text().splitlines() if path.exists() else []

    def calls(self) -> list[str]:
        """The same without attempts and processes."""
        return [" ".join(line.split()[:2]) for line in self.told]

    def go_on(self) -> None:
        """Let the waiting handlers go."""
        (self.files / "go_on").touch()

    def saga(self, name: str, **context: Any) -> Saga:
        found: Saga = Saga.objects.start(f"program_{name}", context={"files": str(self.files), **context})
        return found

    def children(self, worker: subprocess.Popen[str]) -> list[int]:
        path = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
        return [int(word) for word in path.read_text().split()] if path.exists() else []

    def end(self) -> None:
        for worker in self._started:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait(10)


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    with forgetting():
        register()
        yield


@pytest.fixture
def on_pg(on_postgres: str, database_url: str, tmp_path: Path) -> Iterator[Program]:
    program = Program(database_url, tmp_path, on_postgres)
    yield program
    program.end()


@pytest.fixture
def on_lite(on_sqlite: str, lite_file: Path, tmp_path: Path) -> Iterator[Program]:
    program = Program(f"sqlite:///{lite_file}", tmp_path, on_sqlite)
    yield program
    program.end()


@pytest.fixture(params=["on_pg", "on_lite"])
def program(request: pytest.FixtureRequest, transactional_db: None) -> Program:
    found: Program = request.getfixturevalue(request.param)
    return found


# -- running ------------------------------------------------------------------------------------------------------


def test_burst__runs_what_is_due_and_ends(program: Program) -> None:
    good, bad = program.saga("plain"), program.saga("plain", reject="s3")

    assert program.run("--burst", "--threads", "2") == 0, program.said

    assert (fresh(good).state, fresh(bad).state) == ("completed", "compensated")
    assert program.calls().count("do s1") == 2
    assert [call for call in program.calls() if call.startswith("undo")] == ["undo s2", "undo s1"]
    assert not WorkerRow.objects.using(program.alias).exists()


def test_burst__nothing_to_do__ends(on_pg: Program) -> None:
    assert on_pg.run("--burst", "--processes", "2") == 0, on_pg.said


def test_sigterm__drains(program: Program) -> None:
    saga = program.saga("waiting")
    worker = program.start("--threads", "2")
    wait_until(lambda: program.calls() == ["wait s1"], within=30)

    worker.send_signal(signal.SIGTERM)
    # It is draining: what is due now is left to others.
    later = program.saga("plain")
    program.go_on()

    assert worker.wait(30) == 0, program.said
    assert "left to itself" not in program.said  # every thread was told, and ended
    assert statuses(saga) == {"s1": "completed", "s2": "pending"}
    assert not fresh(saga).steps.get(name="s1").doubt
    assert statuses(later)["s1"] == "pending"
    assert not WorkerRow.objects.using(program.alias).exists()


def test_second_sigterm__ends_at_once(on_pg: Program) -> None:
    saga = on_pg.saga("waiting")
    worker = on_pg.start()
    wait_until(lambda: on_pg.calls() == ["wait s1"], within=30)

    def ended_by_another() -> bool:
        # Two that come at the same moment are one to a process.
        if on_pg.children(worker):
            worker.send_signal(signal.SIGTERM)
        return not on_pg.children(worker)

    wait_until(ended_by_another)

    assert worker.wait(10) == 1
    # Its claim is marked as a dead process's: the next worker need not wait for a lease.
    assert WorkerRow.objects.get().dead
    on_pg.go_on()
    on_pg.start(SAGAS_LEASE="600")
    assert ended(saga)[0].is_completed
    assert saga.steps.get(name="s1").output["attempt"] == 2


def test_ctrl_c__drains_all_processes(on_pg: Program) -> None:
    saga = on_pg.saga("waiting")
    worker = on_pg.start("--processes", "2")
    wait_until(lambda: on_pg.calls() == ["wait s1"] and len(on_pg.children(worker)) == 2, within=30)

    os.killpg(worker.pid, signal.SIGINT)  # as a terminal does: the whole group
    on_pg.go_on()

    assert worker.wait(30) == 0, on_pg.said
    assert statuses(saga)["s1"] == "completed"


def test_sigterm_right_after_the_start__ends(on_pg: Program) -> None:
    worker = on_pg.start("--processes", "2")
    wait_until(lambda: on_pg.children(worker), within=30)

    worker.send_signal(signal.SIGTERM)

    worker.wait(20)


#: Supervises two children; the signal comes while the first of them is being made.
BETWEEN_TWO_FORKS = """
import os, signal, sys
import django
django.setup()
from sagas.worker import supervisor

def mark(pid): return []
def fork(before=os.fork):
    pid = before()
    if pid:
        print("forked", flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
    return pid
supervisor.mark_dead, os.fork = mark, fork
sys.exit(supervisor.Supervisor(2, lambda: signal.pause() or 0).run())
"""


def test_sigterm_between_two_forks__leaves_no_child_behind(on_pg: Program) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN_TWO_FORKS],
        cwd=ROOT, env=on_pg.environment, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip

    assert (done.stdout, done.returncode) == ("forked\n", 0), done.stderr


def test_killed_child__is_replaced_and_its_step_runs_again(on_pg: Program) -> None:
    saga = on_pg.saga("waiting")
    worker = on_pg.start(SAGAS_LEASE="600")  # nobody is to be found dead by waiting
    wait_until(lambda: on_pg.calls() == ["wait s1"], within=30)
    (child,) = on_pg.children(worker)

    os.kill(child, signal.SIGKILL)
    on_pg.go_on()

    assert ended(saga, within=40)[0].is_completed
    assert on_pg.calls() == ["wait s1", "wait s1", "do s2"]
    assert on_pg.told[1].split()[2:] != on_pg.told[0].split()[2:]
    assert "ended with -9; starting another" in on_pg.said
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def test_step_that_kills_its_process__runs_again(on_pg: Program) -> None:
    saga = on_pg.saga("aborting")
    worker = on_pg.start(SAGAS_LEASE="600")

    assert ended(saga, within=60)[0].is_completed
    assert on_pg.calls() == ["do s1", "abort s2", "abort s2", "do s3"]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def test_children_that_always_die__sigterm_ends_it_in_the_pause_between(on_lite: Program) -> None:
    worker = on_lite.start(SAGAS_CRASH_AT="worker_started:1")
    wait_until(lambda: on_lite.said.count("starting another") >= 3, within=40)

    worker.send_signal(signal.SIGTERM)

    worker.wait(5)


# -- what it says when it can not work ----------------------------------------------------------------------------


def test_refused__second_worker_on_sqlite(on_lite: Program) -> None:
    saga = on_lite.saga("waiting")
    first = on_lite.start()
    wait_until(lambda: on_lite.calls() == ["wait s1"], within=30)

    assert on_lite.run() == 2

    assert "another worker process has this SQLite database: expected one process" in on_lite.said
    on_lite.go_on()
    assert ended(saga)[0].is_completed
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0


def test_sqlite__all_other_starts_are_dead(on_lite: Program) -> None:
    # One process has the file: whoever else had claimed something in it is gone.
    saga = on_lite.saga("plain")
    hand = Hand(on_lite.alias)
    WorkerRow.objects.using(on_lite.alias).create(id=hand.worker, host="gone", pid=1)
    get_store().apply([Submission(saga.pk, Look())], hand.offer())

    worker = on_lite.start(SAGAS_LEASE="600")

    assert ended(saga, within=30)[0].is_completed
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


@pytest.mark.parametrize(
    ("words", "environment", "text"),
    [
        (["--processes", "2"], {"DATABASE_URL": "sqlite:///{files}/x.sqlite3"}, "expected --processes 1 on SQLite"),
        ([], {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}, "the database does not answer"),
        ([], {"BROKER_URL": "http://localhost"}, "BROKER_URL cannot be read: expected amqp://"),
        ([], {"SAGAS_LEASE": '"soon"'}, "SAGAS['LEASE']: expected a timedelta or a number of seconds, got 'soon'"),
        (
            ["--burst"],
            {"DATABASE_URL": "sqlite:///{files}/x.sqlite3"},
            "no tables of sagas in the database: run manage.py migrate",
        ),
        (["--threads", "0"], {}, "expected a whole number of 1 or more, got '0'"),
        (["--prefetch", "many"], {}, "expected a whole number of 1 or more, got 'many'"),
    ],
)
def test_refused__with_one_sentence(on_pg: Program, words: list[str], environment: dict[str, str], text: str) -> None:
    given = {name: value.format(files=on_pg.files) for name, value in environment.items()}

    code = on_pg.run(*words, **given)

    assert code in (1, 2)
    assert text in on_pg.said
    assert "Traceback" not in on_pg.said
