"""The transport without a broker: nothing is sent; workers in the same process are nudged to look for work.

Workers in other processes find the work with their next look: the row is the outbox, and the sweep the
transport.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import UUID

from .logs import BoundedLog

logger = logging.getLogger(__name__)


class EmbeddedHintPublisher:
    """The `HintPublisher` without a broker."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[], object], ...] = ()
        self._log = BoundedLog(logger)
        self.sent = 0
        self.dropped = 0

    def listen(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Have `listener` (an event's `set`) called at each hint, in the sender's thread. Returns an undo."""
        self._listeners = (*self._listeners, listener)

        def unlisten() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

        return unlisten

    def publish(self, saga_id: UUID, *, queue: str | None = None) -> bool:
        """Nudge the workers of this process; False if there is none."""
        listeners = self._listeners
        for listener in listeners:
            try:
                listener()
            except Exception:
                self._log.write(logging.ERROR, "listener_fault", "a listener for hints failed", exc_info=True)
        if not listeners:
            self.dropped += 1
            return False
        self.sent += 1
        return True

    def close(self, timeout: float = 1.0) -> None:
        """Nobody is nudged any more."""
        self._listeners = ()
