"""Locks, limits and heartbeats over a real broker, in two worker programs with processes of their own."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from sagas.models import HistoryEntry, SagaLock, Step
from sagas.models import Worker as WorkerRow
from tests.services.waiting import wait_until

from .conftest import ended, statuses
from .test_broker import own_names
from .test_limits import overlap
from .test_program import Program, _known

__all__ = ["_known", "own_names"]

#: Seconds in which what is waited for must have come, on any machine.
PATIENCE = 90


@pytest.fixture
def program(
    on_postgres: str, database_url: str, tmp_path: Path, own_names: dict[str, Any], quick: Callable[..., None]
) -> Iterator[Program]:
    """With the broker, and the sweep as it is in production."""
    names = {**own_names, "SWEEP_EVERY": 1, "HINT_GRACE": 2}
    quick(**names)
    found = Program(database_url, tmp_path, on_postgres)
    found.environment |= {f"SAGAS_{name}": str(value) for name, value in names.items()}
    found.environment["BROKER_URL"] = own_names["BROKER_URL"]
    yield found
    found.end()
    assert "Traceback" not in found.said, found.said


def two_workers(program: Program) -> list[Any]:
    """Two programs, up and beating."""
    workers = [program.start("--threads", "6") for _ in range(2)]
    wait_until(lambda: WorkerRow.objects.filter(beat__gt=0).count() == 2, within=PATIENCE, what="both workers")
    return workers


def stop(workers: list[Any]) -> None:
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    for worker in workers:
        assert worker.wait(PATIENCE) == 0


def turns(program: Program) -> list[int]:
    """Which saga began when."""
    lines = [line.split() for line in (program.files / "times").read_text().splitlines()]
    return [int(n) for _at, change, _pid, n in sorted(lines, key=lambda line: float(line[0])) if change == "1"]


def updates(table: str) -> int:
    """Rows that were updated so far, as the server has counted them; sessions tell it when they end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        cursor.execute("SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = %s", [table])
        return int(cursor.fetchone()[0])


def test_lock__twenty_sagas_of_one_key_run_one_at_a_time_in_turn(program: Program) -> None:
    workers = two_workers(program)

    sagas = [program.saga("locked_in_turn", order_id=7, n=n) for n in range(20)]

    assert all(saga.is_completed for saga in ended(*sagas, within=PATIENCE))
    assert overlap(program) == 1
    assert turns(program) == list(range(20))
    assert not SagaLock.objects.exists()
    stop(workers)


def test_max_concurrent__never_more_than_two_at_once__and_no_busy_loop(program: Program) -> None:
    workers = two_workers(program)
    before, began = updates("sagas_saga"), time.monotonic()

    sagas = [program.saga("in_pairs", n=n, pause=0.3) for n in range(30)]

    assert all(saga.is_completed for saga in ended(*sagas, within=PATIENCE))
    assert overlap(program) == 2
    assert sorted(turns(program)) == list(range(30))
    stop(workers)
    # Looks at what finds no room: some for each saga, and some with each sweep of each worker; not all the time.
    looks = updates("sagas_saga") - before
    assert looks < 15 * len(sagas) + 4 * len(sagas) * (time.monotonic() - began)
    # Claims that came to nothing are in the history, with what became of them.
    assert HistoryEntry.objects.filter(saga__in=sagas).count() < 15 * len(sagas)


@pytest.mark.parametrize(
    ("name", "state", "silent", "told"),
    [("silent", "completed", "completed", 2), ("silent_once", "compensated", "compensated", 1)],
    ids=["tried again", "rolled back"],
)
def test_heartbeat__a_handler_that_falls_silent_is_ended_early(
    program: Program, name: str, state: str, silent: str, told: int
) -> None:
    workers = two_workers(program)
    saga = program.saga(name)

    step = Step.objects.filter(saga=saga, name="s2")
    wait_until(lambda: step.get().error_code == "heartbeat_lost", within=PATIENCE, what="the end of the attempt")
    assert statuses(saga)["s3"] in ("pending", "cancelled")
    program.go_on()

    assert [found.state for found in ended(saga, within=PATIENCE)] == [state]
    assert statuses(saga)["s2"] == silent
    assert program.calls().count("beat s2") == told
    stop(workers)
