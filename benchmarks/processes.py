"""Children of the benchmark: workers that run until stopped, and starters that answer requests.

Each child is the leader of its own session, so that stopping it ends whatever it started, and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
GRACE = 10.0


def _die_with_parent() -> None:
    """On Linux: a run that is killed takes its children along (PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class ChildError(Exception):
    """A child of the benchmark ended or did not answer; its log says why."""


class Child:
    """One process with its log; use it as a context manager."""

    def __init__(self, command: Sequence[str], *, environment: dict[str, str], log: Path) -> None:
        self.command = list(command)
        self.log = log
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdin=subprocess.PIPE,
                stdout=self._stdout(stderr),
                stderr=stderr,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def _stdout(self, log: Any) -> Any:
        return log

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def check(self) -> None:
        """Raise when the child has ended by itself."""
        if self.process.poll() is not None:
            raise ChildError(f"{self.command} ended with {self.process.returncode}:\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)


class StarterChild(Child):
    """A starter process: `ask` sends a request, `answer` waits for what it says."""

    def _stdout(self, log: Any) -> Any:
        return subprocess.PIPE

    def stop(self) -> None:
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        super().stop()
        if self.process.stdout:
            self.process.stdout.close()

    def ask(self, **request: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write((json.dumps(request) + "\n").encode())
        self.process.stdin.flush()

    def answer(self, *, timeout: float) -> dict[str, Any]:
        """Read one line; a starter that is silent for too long is killed, which ends the reading."""
        assert self.process.stdout
        watch = threading.Timer(timeout, self.process.kill)
        watch.start()
        try:
            line = self.process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            code = self.process.wait()
            raise ChildError(f"{self.command} ended with {code} instead of an answer ({timeout:.0f} s):\n{self.tail()}")
        return json.loads(line)


def run(command: Sequence[str], *, environment: dict[str, str], log: Path, timeout: float = 120) -> None:
    """Run a command to its end; raise with the end of its log when it fails."""
    with Child(command, environment=environment, log=log) as child:
        code = child.process.wait(timeout)
    if code != 0:
        raise ChildError(f"{list(command)} ended with {code}:\n{child.tail()}")
