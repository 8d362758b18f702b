"""The supervisor: forks the worker processes, starts another for each that died, and says at once which is dead.

It opens no thread and keeps no connection of its own, so that forking is safe. SIGTERM or SIGINT: the children drain;
a second one ends them at once.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from uuid import UUID

from django.db import DatabaseError, connections

from ..conf import app_settings
from ..models import Worker as WorkerRow

logger = logging.getLogger(__name__)

#: A child that died this soon after its start is not started again at once.
_YOUNG = 2.0
_LONGEST_WAIT = 10.0
#: Exit code of a child that can not work with what it found (queues with other arguments): nobody is started again.
HOPELESS = 2


class Supervisor:
    """Keeps `processes` children alive that run `work`, a function returning an exit code."""

    def __init__(self, processes: int, work: Callable[[], int], *, burst: bool = False) -> None:
        self._processes = processes
        self._work = work
        self._burst = burst
        self._children: dict[int, float] = {}
        self._signals = 0
        self._wait = 0.1

    def run(self) -> int:
        """Until told to stop (or, in a burst, until all children are done); the exit code."""
        connections.close_all()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for _ in range(self._processes):
            self._fork()
        code = 0
        while self._children:
            pid, status = self._reap()
            if pid:
                code = self._buried(pid, os.waitstatus_to_exitcode(status)) or code
        return code or int(self._signals > 1)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        for pid in self._children:
            with suppress(ProcessLookupError):  # it ended just now, and is not buried yet
                os.kill(pid, signal.SIGTERM if self._signals == 1 else signal.SIGKILL)

    def _fork(self) -> None:
        # A signal in the middle of this would be missed by the child, or be taken for its own.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        if self._signals:  # between two forks: nobody would ever pass it on to this one
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return
        pid = os.fork()
        if pid == 0:
            code = 1
            # Ctrl-C reaches the whole group: the supervisor alone passes it on, or it would count twice here.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            try:
                code = self._work()
            except KeyboardInterrupt:
                pass
            except BaseException:
                logger.exception("a worker process failed")
            finally:
                logging.shutdown()
                os._exit(code)
        self._children[pid] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _reap(self) -> tuple[int, int]:
        try:
            return os.wait()
        except InterruptedError:
            return 0, 0

    def _buried(self, pid: int, code: int) -> int:
        age = time.monotonic() - self._children.pop(pid)
        if code < 0 or code not in (0, HOPELESS):
            mark_dead(pid)
        if self._signals or (self._burst and code == 0):
            return 0 if self._signals else code
        if code == HOPELESS:
            self._on_signal(signal.SIGTERM, None)
            return code
        logger.error("worker process %d ended with %d; starting another", pid, code, extra={"action": "restarted"})
        self._wait = min(self._wait * 2, _LONGEST_WAIT) if age < _YOUNG else 0.1
        if age < _YOUNG:
            self._rest(self._wait)
        self._fork()
        return 0

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._signals and time.monotonic() < end:
            time.sleep(0.05)


def mark_dead(pid: int) -> list[UUID]:
    """A child of this host is gone: the others take over at once, without waiting for its beat to stand still."""
    import socket

    try:
        rows = WorkerRow.objects.using(app_settings().DATABASE).filter(host=socket.gethostname()[:255], pid=pid)
        found = list(rows.values_list("pk", flat=True))
        rows.update(dead=True)
        return found
    except DatabaseError as exc:
        logger.warning("could not mark the dead worker: %s", exc, extra={"action": "store_down"})
        return []
    finally:
        connections.close_all()
