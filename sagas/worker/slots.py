"""Slots: how many claims this process may hold. As many as threads, and some ahead while handlers are quick.

A claim that waits for a thread is idle in the meantime, and no other worker may take it. So only as many are claimed
ahead as the threads get through within `AHEAD` seconds, judged by how long handlers took lately. That is what fills
the groups when handlers are trivial, and it is none when they are slow.
"""

from __future__ import annotations

import threading

#: Seconds that a claim may wait for a thread.
AHEAD = 0.02
#: The most claims ahead.
MOST_AHEAD = 200
#: Weight of the newest handler's duration.
_WEIGHT = 0.1


class Slots:
    """Counts claims of this process. Thread-safe."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._lock = threading.Lock()
        self._duration = AHEAD
        self.taken = 0
        self._actions = 0
        self._crashed = 0

    def observe(self, seconds: float) -> None:
        """A handler took this long."""
        with self._lock:
            self._duration += _WEIGHT * (seconds - self._duration)

    @property
    def capacity(self) -> int:
        """Claims that may be held at once."""
        ahead = int(self.threads * AHEAD / max(self._duration, 1e-5))
        return self.threads + (min(ahead, MOST_AHEAD) if self._duration < AHEAD else 0)

    def take(self, *, undo: bool, crashed: bool) -> None:
        """A claim was made."""
        with self._lock:
            self.taken += 1
            self._actions += not undo
            self._crashed += crashed

    def free(self, *, undo: bool, crashed: bool) -> None:
        """A claim's thread is done with it."""
        with self._lock:
            self.taken -= 1
            self._actions -= not undo
            self._crashed -= crashed

    def offer(self) -> tuple[int, int, int]:
        """Free slots; those free for actions (from two threads on one is kept for compensations); for steps that
        crashed a worker before (one at a time)."""
        with self._lock:
            capacity = self.capacity
            reserve = 1 if self.threads > 1 else 0
            free = max(0, capacity - self.taken)
            return free, max(0, min(free, capacity - reserve - self._actions)), max(0, 1 - self._crashed)
