"""The demo's web server and worker, as processes of their own on a free port; their output goes to files."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError

#: Seconds that a server may take to answer, and a process to end.
PATIENCE = 30.0
_LAST_LINES = 15


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Process:
    """One child, in a process group of its own, with a log file."""

    def __init__(self, name: str, *command: str) -> None:
        self.name = name
        self.log = Path(settings.VAR_DIR) / f"demo-{name}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                cwd=settings.BASE_DIR,
                env={**os.environ, "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING")},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise when it has ended."""
        if self._process.poll() is not None:
            lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
            raise CommandError(
                f"the {self.name} ended with {self._process.returncode}; its last lines ({self.log}):\n"
                + "\n".join(lines)
            )

    def stop(self) -> None:
        """Let it drain; end it when it does not."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()


@contextmanager
def running(*, processes: int) -> Iterator[tuple[str, list[Process]]]:
    """Web server and worker; gives the server's address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = (
        "-m",
        "gunicorn",
        "sagaproject.wsgi",
        "--bind",
        f"127.0.0.1:{port}",
        "--threads",
        "8",
        "--log-level",
        "warning",
    )
    started: list[Process] = []
    try:
        started.append(Process("server", *server))
        started.append(Process("worker", "manage.py", "saga_worker", "--processes", str(processes)))
        _wait_for(address, started)
        yield address, started
    finally:
        for process in reversed(started):
            process.stop()


def _wait_for(address: str, processes: list[Process]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for process in processes:
            process.check()
        try:
            with urllib.request.urlopen(f"{address}/", timeout=5):  # noqa: S310 - our own address
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise CommandError(f"the server did not answer on {address} within {PATIENCE:.0f} s")
