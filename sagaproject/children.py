"""Programs that run together: their lines on one screen, one end for all.

Each child leads a process group of its own, so that a terminal's Ctrl-C reaches only us and we end them in
order.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    """A child's end, or (`name` empty) the wish to stop."""

    name: str = ""
    code: int = 0


class Children:
    """Start them, wait for the first end or a signal, stop the rest."""

    def __init__(self, *, grace: float) -> None:
        self._grace = grace
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._ends: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._width = 0
        self._screen = threading.Lock()

    def listen_to_signals(self) -> None:
        """From now on SIGINT, SIGTERM and SIGHUP end `wait`; a second one ends the grace of `stop`."""
        for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sent, lambda *_: self._ends.put(Ended()))

    def start(self, commands: Mapping[str, Sequence[str]], *, env: Mapping[str, str]) -> None:
        """All of them at once."""
        self._width = max(map(len, commands))
        for name, command in commands.items():
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=dict(env),
                start_new_session=True,
            )
            self._running[name] = child
            threading.Thread(target=self._follow, args=[name, child], daemon=True).start()

    def wait(self, timeout: float | None = None) -> Ended | None:
        """The first end or wish to stop; None when there is none within `timeout` seconds."""
        try:
            return self._ends.get(timeout=timeout)
        except queue.Empty:
            return None

    def stop(self) -> None:
        """SIGTERM to each; after the grace, or at a second signal, SIGKILL to the rest of their groups."""
        for child in self._running.values():
            if child.poll() is None:
                child.terminate()
        ends = time.monotonic() + self._grace
        while any(child.poll() is None for child in self._running.values()):
            said = self.wait(max(0.0, ends - time.monotonic()))
            if said is None or not said.name:
                break
        for child in self._running.values():
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        for child in self._running.values():
            child.wait()

    def _follow(self, name: str, child: "subprocess.Popen[str]") -> None:
        assert child.stdout is not None  # noqa: S101  (we asked for a pipe)
        with child.stdout:
            for line in child.stdout:
                with self._screen:
                    sys.stdout.write(f"{name:<{self._width}} | {line.rstrip()}\n")
                    sys.stdout.flush()
        self._ends.put(Ended(name, child.wait()))
