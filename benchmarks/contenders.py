"""What the runner must know of each contender: how to prepare, its workers, its starter, how finished sagas
are counted.

The contenders' own code is in `benchmarks.engine_peer` and `benchmarks.peers`; nothing here imports it,
since the peers have an interpreter of their own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.place import Place
from benchmarks.processes import ROOT

PEERS_VENV = ROOT / "benchmarks" / ".venv"
PEERS_REQUIREMENTS = ROOT / "benchmarks" / "requirements-peers.txt"
ENGINE_SETTINGS = {"DJANGO_SETTINGS_MODULE": "benchmarks.settings"}

#: In the names of queues: replaced by the prefix of the cell.
PREFIX = "{prefix}"


@dataclass(frozen=True)
class Contender:
    """One row of the table."""

    name: str
    #: Runs one starter process.
    starter: Sequence[str]
    #: Each runs until SIGTERM; together they are two worker processes.
    workers: Sequence[Sequence[str]]
    #: Runs the starter of sagas alone, where that is not the same.
    lone_starter: Sequence[str] = ()
    #: Makes tables in an empty database; empty where there are none.
    prepare: Sequence[str] = ()
    #: Sagas of the forward path in one cell, for each saga of the engine's.
    share: float = 1.0
    #: Whether a rejected last step is undone, hence measured.
    undoes: bool = True
    #: The number of finished sagas; none where the tally counts.
    count: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    queues: Sequence[str] = ()
    exchanges: Sequence[str] = ()

    def finished(self, place: Place, path: str) -> int:
        """Count what is durably finished, in sagas."""
        if not self.count:
            tally = Path(place.tally)
            return tally.stat().st_size if tally.exists() else 0
        with psycopg.connect(place.database_url, autocommit=True) as connection:
            row = connection.execute(self.count[path]).fetchone()
        return int(row[0]) if row else 0

    def names(self, templates: Sequence[str], place: Place) -> list[str]:
        return [template.replace(PREFIX, place.prefix) for template in templates]


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _peer(module: str, *arguments: str) -> list[str]:
    return [str(PEERS_VENV / "bin" / "python"), "-m", module, *arguments]


_SAGAS_FINISHED = "SELECT count(*) FROM sagas_saga WHERE wake_at IS NULL AND state = '{state}'"

ENGINE = Contender(
    name="engine",
    starter=_python("benchmarks.engine_peer"),
    workers=[[sys.executable, "manage.py", "saga_worker", "--processes", "2"]],
    prepare=[sys.executable, "manage.py", "migrate", "--verbosity", "0"],
    count={
        "forward": _SAGAS_FINISHED.format(state="completed"),
        "rollback": _SAGAS_FINISHED.format(state="compensated"),
    },
    environment=ENGINE_SETTINGS,
    queues=["{prefix}.steps", "{prefix}.compensate", "{prefix}.dead-letter"],
    exchanges=["{prefix}.sagas", "{prefix}.dead-letter"],
)

_CELERY = "benchmarks.peers.celery_peer"
_CELERY_ROWS = "SELECT count(*) / {each} FROM celery_taskmeta WHERE status = 'SUCCESS'"


def _celery_worker(name: str) -> list[str]:
    quiet = ["--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    one_process = ["--pool=prefork", "--concurrency=1", "--hostname", f"{PREFIX}-{name}@%h"]
    return _peer("celery", "-A", _CELERY, "worker", *one_process, *quiet)


CELERY = Contender(
    name="celery",
    starter=_peer(_CELERY),
    workers=[_celery_worker("one"), _celery_worker("two")],
    prepare=_peer(_CELERY, "prepare"),
    share=1 / 12,
    # Three results in a chain; two tasks and two undos in a rollback, its last row is the second undo.
    count={"forward": _CELERY_ROWS.format(each=3), "rollback": _CELERY_ROWS.format(each=4)},
    queues=["{prefix}.celery"],
    exchanges=["{prefix}.celery"],
)

_DBOS = "benchmarks.peers.dbos_peer"
_DBOS_FINISHED = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"

DBOS = Contender(
    name="dbos",
    starter=_peer(_DBOS),
    lone_starter=_peer(_DBOS, "run"),
    workers=[_peer(_DBOS, "work", "one"), _peer(_DBOS, "work", "two")],
    prepare=_peer(_DBOS, "prepare"),
    share=1 / 12,
    count={"forward": _DBOS_FINISHED, "rollback": _DBOS_FINISHED},
)

_DRAMATIQ = "benchmarks.peers.dramatiq_peer"

DRAMATIQ = Contender(
    name="dramatiq",
    starter=_peer(_DRAMATIQ),
    workers=[_peer("dramatiq", _DRAMATIQ, "--processes", "2", "--threads", "8")],
    share=5 / 12,
    undoes=False,
    # More than its default of two per thread: faster than that in both of two rounds on a busy machine.
    environment={"dramatiq_queue_prefetch": "100"},
    queues=["{prefix}.dramatiq", "{prefix}.dramatiq.DQ", "{prefix}.dramatiq.XQ"],
)

CONTENDERS = {contender.name: contender for contender in (ENGINE, CELERY, DBOS, DRAMATIQ)}


def install_peers() -> None:
    """Make the peers' virtualenv when it is missing or its requirements have changed."""
    stamp = PEERS_VENV / "installed.txt"
    wanted = PEERS_REQUIREMENTS.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    sys.stderr.write(f"installing the peers into {PEERS_VENV.relative_to(ROOT)} …\n")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(PEERS_VENV)], check=True)
    pip = [
        str(PEERS_VENV / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "-r",
        str(PEERS_REQUIREMENTS),
    ]
    subprocess.run(pip, check=True)
    stamp.write_text(wanted)
