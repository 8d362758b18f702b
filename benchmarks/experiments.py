"""The engine alone: with many finished sagas in its tables, its memory over a long run, and in memory.

Each prints its own lines and ends with one line of JSON. No result fails anything: a timing is not a test.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.cells import Bench
from benchmarks.contenders import ENGINE
from benchmarks.finished import fill
from benchmarks.processes import run

FINISHED = 100_000
MEMORY_SAGAS = 50_000
MEMORY_SAMPLES = 10
IN_MEMORY_SAGAS = 6_000


def aged(bench: Bench, options: argparse.Namespace) -> None:
    """A/B, interleaved: the same cell on empty tables and on tables with 100,000 finished sagas."""
    templates = {"empty": bench.empty(ENGINE, "empty"), "aged": bench.empty(ENGINE, "aged")}
    _fill(bench, templates["aged"], count=FINISHED if not options.smoke else 1_000)
    rates: dict[str, list[float]] = {name: [] for name in templates}
    for number in range(options.rounds):
        for name in sorted(templates, reverse=bool(number % 2)):
            with bench.cell(ENGINE, "forward", template=templates[name]) as cell:
                rates[name].append(cell.rate(options.sagas).sagas_per_s)
            _tell(f"round {number + 1}/{options.rounds}  {name:6} {rates[name][-1]:,.0f} sagas/s")
    _tell_json({name: {"sagas_per_s": round(statistics.median(each)), "lowest": round(min(each)),
                       "highest": round(max(each))} for name, each in rates.items()})  # fmt: skip


def memory(bench: Bench, options: argparse.Namespace) -> None:
    """Resident memory of all worker processes, sampled while 50,000 sagas run."""
    sagas = MEMORY_SAGAS if not options.smoke else 500
    samples = []
    with bench.cell(ENGINE, "forward") as cell:
        for number in range(MEMORY_SAMPLES):
            cell.rate(sagas // MEMORY_SAMPLES)
            samples.append([_resident_mb(pid) for pid in _family(cell.workers[0].process.pid)])
            _tell(f"after {(number + 1) * sagas // MEMORY_SAMPLES:6,} sagas: {samples[-1]} MB")
    _tell_json({"memory_mb": {"first": samples[0], "last": samples[-1]}, "sagas": sagas})


def inmemory(bench: Bench, options: argparse.Namespace) -> None:
    """`sagas.testing.run_saga` on the memory store, in a process of its own that needs no server."""
    place = bench.services.place("none", prefix="inmemory")
    count = IN_MEMORY_SAGAS if not options.smoke else 200
    command = [sys.executable, "-m", "benchmarks.inmemory", str(count), str(options.rounds)]
    environment = {**place.environment(), **ENGINE.environment}
    log = bench.services.directory / "inmemory.log"
    run(command, environment=environment, log=log, timeout=300)
    sys.stdout.write(log.read_text())


EXPERIMENTS: dict[str, Callable[[Bench, argparse.Namespace], None]] = {
    "aged": aged,
    "memory": memory,
    "inmemory": inmemory,
}


def _fill(bench: Bench, database: str, *, count: int) -> None:
    """Let the engine finish one saga on a copy, then copy that saga's rows into the database."""
    with bench.cell(ENGINE, "forward", template=database, starters=1) as cell:
        target = bench.services.place(database, prefix="fill").database_url
        rows = fill(source=cell.place.database_url, target=target, count=count)
    _tell(f"filled: {', '.join(f'{table} {number:,}' for table, number in rows.items())}")


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = {int(child): int(parent) for child, parent in (line.split() for line in listed.stdout.splitlines())}
    family = [pid]
    for one in family:
        family += [child for child, parent in parents.items() if parent == one]
    return family


def _resident_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) // 1024


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


def _tell_json(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
