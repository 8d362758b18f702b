"""Bounded logging: a condition that repeats is one line now and then, with a count, not a line each time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable


class BoundedLog:
    """Writes a line when its `key` is new or was silent for `every` seconds; counts the others.

    The keys must be few words of the program's own, never text from outside.
    """

    def __init__(
        self, logger: logging.Logger, *, every: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._every = every
        self._clock = clock
        self._last: dict[str, float] = {}
        self._skipped: dict[str, int] = {}

    def write(self, level: int, key: str, message: str, *args: object, exc_info: bool = False) -> None:
        """Log `message` under `key`, or count it. `exc_info` adds the traceback of the current exception."""
        now = self._clock()
        if now - self._last.get(key, -self._every) < self._every:
            self._skipped[key] = self._skipped.get(key, 0) + 1
            return
        self._last[key] = now
        skipped = self._skipped.pop(key, 0)
        if skipped:
            message, args = message + " (and %d more since the last such line)", (*args, skipped)
        self._logger.log(level, message, *args, exc_info=exc_info, extra={"action": key, "repeated": skipped})
