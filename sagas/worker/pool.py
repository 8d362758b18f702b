"""The handler threads: they take runs from one queue. A thread that is stuck is not replaced; its process is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from ..engine.connections import for_handlers_alone
from .run import Run


class Pool:
    """A fixed number of daemon threads: a stuck one must not keep the process from ending."""

    def __init__(self, threads: int, work: Callable[[Run], None], done: Callable[[], None]) -> None:
        self._queue: SimpleQueue[Run | None] = SimpleQueue()
        self._work = work
        self._done = done
        self._threads = [
            threading.Thread(target=self._loop, name=f"handler-{number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def put(self, run: Run) -> None:
        """Queue a run."""
        self._queue.put(run)

    def _loop(self) -> None:
        for_handlers_alone()
        try:
            while (run := self._queue.get()) is not None:
                self._work(run)
        finally:
            self._done()

    def stop(self, timeout: float) -> bool:
        """End the idle threads; False when one was still busy after `timeout` seconds."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._threads)
