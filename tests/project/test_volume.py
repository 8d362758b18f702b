"""`make volume` in small: it fills, what it fills in is right, it asks for every page, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from benchmarks.volume import disk, measure, pages, report, run
from benchmarks.volume.disk import Disk

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def server() -> str:
    """The session's PostgreSQL."""
    found: str = json.loads(os.environ["TEST_SERVICES"])["database_url"]
    return found


class Tool:
    """One run of the program."""

    def __init__(self, server: str, *words: str) -> None:
        command = [sys.executable, "-m", "benchmarks.volume", "--database-url", server, *words]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                self.out, self.err = process.communicate(timeout=500)
            finally:
                process.kill()
        self.pid, self.code = process.pid, process.returncode


def databases(server: str) -> set[str]:
    with psycopg.connect(server, autocommit=True) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


@pytest.fixture
def nothing_left(server: str) -> Iterator[list[Tool]]:
    """The runs, whose databases must be gone."""
    runs: list[Tool] = []
    yield runs
    found = databases(server)
    for tool in runs:
        assert not [name for name in found if str(tool.pid) in re.findall(r"\d+", name)]


@pytest.mark.timeout(600)
def test_volume__fills_measures_every_page_and_leaves_nothing(
    server: str, nothing_left: list[Tool], tmp_path: Path
) -> None:
    table = tmp_path / "table.md"
    words = ("--sagas", "2000", "--rounds", "1", "--no-verdict", "--markdown", str(table))
    tool = Tool(server, *words)
    nothing_left.append(tool)

    assert tool.code == 0, tool.out + tool.err
    assert "2,000 sagas: needs about 1." in tool.err.splitlines()[0]
    filled = re.search(r"filled in \d+ s: ([\d,]+) sagas, ([\d,]+) steps, ([\d,]+) history rows", tool.out)
    assert filled
    sagas, steps, rows = (int(text.replace(",", "")) for text in filled.groups())
    assert 2_000 <= sagas < 2_050
    assert steps >= 5 * 2_000
    assert rows >= 15 * 2_000
    assert "saga_check: ok" in tool.out
    assert "not measured" not in tool.out
    assert tool.out.splitlines()[-1].startswith(f"{len(pages.PAGES)} pages: worst p95 ")
    names = [line.split(" | ")[0].removeprefix("| ") for line in table.read_text().splitlines()[2:]]
    assert names == [page.name for page in pages.PAGES]


def test_volume__refuses_where_it_does_not_fit(server: str, nothing_left: list[Tool]) -> None:
    tool = Tool(server, "--sagas", "100000000000")
    nothing_left.append(tool)

    assert tool.code == 1
    assert "needs about" in tool.err
    assert "nothing was done: " in tool.err
    assert not tool.out


@pytest.mark.parametrize(
    ("free", "says"),
    [(1_000, "only 0.0 GB are free in /data"), (3_000_000_000, ""), (None, "cannot know how much disk is free")],
)
def test_disk__is_enough_or_not(free: int | None, says: str) -> None:
    refusal = Disk(2_000_000_000, free, "/data").refusal

    assert refusal.startswith(says) if says else not refusal


def test_disk__is_not_known_on_another_machine() -> None:
    assert disk.free_at("/nowhere/at/all") is None
    assert disk.free_at("/tmp")


def test_forgotten__names_every_address_that_nobody_asked_for() -> None:
    every = set(run.forgotten(set()))

    assert {"sagas_saga_change", "sagas_saga_compensate", "sagas_definition_changelist", "sagas_worker_change"} <= every
    assert not every & set(pages.EXCEPTIONS)
    assert set(run.forgotten({"admin:sagas_saga_change"})) == every - {"sagas_saga_change"}


def test_exceptions__are_addresses_that_there_are() -> None:
    assert set(pages.EXCEPTIONS) <= run.addresses()


def test_verdict__names_what_is_too_slow() -> None:
    quick = measure.Measured(pages.Page("list", pages.page("admin:index")), [10.0] * 40, [5.0] * 40, [4.0] * 40, [3])
    slow = measure.Measured(pages.Page("act", pages.page("admin:index"), 500), [20.0] * 37 + [501.0] * 3, [1], [1], [9])

    assert quick.within
    assert not slow.within
    assert report.verdict([quick]) == "1 pages: worst p95 10 ms of 300 ms (list); ok"
    assert report.verdict([quick, slow]) == "2 pages: worst p95 501 ms of 500 ms (act); 1 too slow: act"
    assert measure.percentile(list(range(1, 101)), 0.95) == 95
