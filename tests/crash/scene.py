"""A shop with real worker processes: orders go in, processes die, and in the end the books balance."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management import call_command

from participants.demo import demo_orders, seed_stock
from participants.reconcile import reconcile
from sagas.models import Saga
from tests.services.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
#: Seconds in which all sagas must have ended; a frozen or dead worker is found in a few.
PATIENCE = 60.0


def orders(count: int) -> list[dict[str, Any]]:
    """Orders of the demo's file; among any twelve in a row are completed and rolled back ones."""
    return demo_orders()[:count]


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


class Scene:
    """Starts programs of the project against one database and broker, and judges what came of it."""

    def __init__(self, database_url: str, broker_url: str, files: Path) -> None:
        self.files = files
        self.environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "BROKER_URL": broker_url,
            "DJANGO_SETTINGS_MODULE": "tests.crash.settings",
            "VAR_DIR": str(files),
            "SAGAS_HINT_GRACE": "0.5",
            "SAGAS_SWEEP_EVERY": "0.3",
            "SAGAS_LEASE": "4",
            "SAGAS_STUCK_AFTER": "3",
            "SAGAS_GRACE": "10",
            "LOG_LEVEL": "WARNING",
        }
        # A process that is frozen in the middle of a handler's transaction loses its locks.
        self.environment["DATABASE_URL"] += "?options=-c%20idle_in_transaction_session_timeout%3D3000"
        self.marker = files / "crashed"

    def crash_at(self, point: str, passage: int) -> str:
        """The setting that kills one process, once, at the n-th passage of a crash point."""
        return f"{point}:{passage}:{self.marker}"

    def freeze_at(self, point: str, passage: int) -> str:
        """The same, but it is stopped; its number is in the marker."""
        return f"{self.crash_at(point, passage)}:stop"

    def spawn(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """A program of the project, in the background; its output goes to a file."""
        with (self.files / "output.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "manage.py", *command],
                cwd=ROOT,
                env=self.environment | environment,
                stdout=log,
                stderr=log,
            )

    def run(self, *words: str, **environment: str) -> None:
        """A program of the project, to its end; AssertionError with what it printed when it failed."""
        done = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        log = self.files / "output.log"
        said = log.read_text()[-3000:] if log.exists() else ""
        assert done.returncode == 0, f"{words}: {done.stdout[-3000:]}\n{done.stderr[-2000:]}\n{said}"

    def call(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`tests.crash.caller` to its end, whatever that is."""
        return subprocess.run(
            [sys.executable, "-m", "tests.crash.caller", *words],
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def shop(self, verb: str, **environment: str) -> None:
        """`tests.crash.shop` on the scene's database."""
        self.run("-m", "tests.crash.shop", verb, str(self.files / "ids.json"), **environment)

    @contextmanager
    def worker(self, *, processes: int = 2, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """A supervised worker; it is drained in the end."""
        worker = self.spawn("saga_worker", "--processes", str(processes), "--threads", "4", **environment)
        try:
            yield worker
        finally:
            worker.send_signal(signal.SIGTERM)
            try:
                worker.wait(40)
            except subprocess.TimeoutExpired:
                for pid in children(worker.pid):
                    os.kill(pid, signal.SIGKILL)
                worker.kill()
                worker.wait()

    def start(self, given: Sequence[dict[str, Any]]) -> list[UUID]:
        """Start a saga for each order."""
        seed_stock()
        return [Saga.objects.start("order_processing", context=order).pk for order in given]

    def settle(self, ids: Sequence[UUID]) -> None:
        """Wait until all have ended."""
        try:
            wait_until(lambda: not Saga.objects.active().filter(pk__in=ids).exists(), within=PATIENCE)
        except AssertionError:
            raise AssertionError(f"not all have ended within {PATIENCE:g} s: {self.report(ids)}") from None

    def report(self, ids: Sequence[UUID]) -> str:
        """What is still open, for the message of a failed test."""
        alive = Saga.objects.active().filter(pk__in=ids)[:3]
        rows = [list(saga.steps.values_list("name", "status", "claim_worker", "hold", "crashes")) for saga in alive]
        return f"{rows}\n{(self.files / 'output.log').read_text()[-3000:]}"

    def judge(self, ids: Sequence[UUID]) -> None:
        """Every saga is there and has ended; the invariants hold; the participants' books balance."""
        assert Saga.objects.filter(pk__in=ids).count() == len(ids)
        said = StringIO()
        try:
            call_command("saga_check", stdout=said)
        except SystemExit:
            raise AssertionError(said.getvalue()) from None
        assert reconcile(ids) == []
