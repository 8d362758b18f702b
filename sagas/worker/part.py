"""One thread of the worker. A fault of ours in it must not leave a process behind that beats, holds claims and does
nothing: it takes the whole process with it, and the supervisor starts another."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from django.db import connections

if TYPE_CHECKING:
    from .process import Worker

logger = logging.getLogger(__name__)


class Part(threading.Thread):
    """Runs `work` to its end."""

    def __init__(self, worker: Worker, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._worker = worker

    def work(self) -> None:
        """What the thread does until the worker ends."""
        raise NotImplementedError

    def run(self) -> None:
        """See the module."""
        try:
            self.work()
        except Exception as exc:
            logger.exception("the %s ended with a fault", self.name, extra={"action": "fatal"})
            self._worker.fatal = self._worker.fatal or f"the {self.name} ended with {type(exc).__name__}"
        finally:
            connections.close_all()
