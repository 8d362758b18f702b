"""The clerk keeps the rollup: the counts that people's pages show. In a thread of its own, so that neither the sweep
nor a commit waits for it; a fault of it costs nobody anything but the counts."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING

from django.db import connections

from ..conf import app_settings
from ..engine.rollup import refresh
from .part import Part

if TYPE_CHECKING:
    from .process import Worker

logger = logging.getLogger(__name__)

#: It rests so many times as long as it has worked: a first count must not take the database from the sagas.
_REST = 4.0


class Clerk(Part):
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker, "clerk")
        self._down = False
        # `_stop` is a method of threads until Python 3.12.
        self._draining = threading.Event()

    def stop(self) -> None:
        """The worker drains."""
        self._draining.set()

    def work(self) -> None:
        """Count until the worker drains."""
        pause = self._every()
        while not self._draining.wait(pause):
            begun = time.monotonic()
            more = self._try()
            rest = (time.monotonic() - begun) * _REST
            pause = rest if more else max(rest, self._every())

    def _every(self) -> float:
        return app_settings().ROLLUP_EVERY.total_seconds() * random.uniform(0.8, 1.2)  # noqa: S311 - jitter

    def _try(self) -> bool:
        try:
            with self._worker.vigil.watched():
                more = refresh()
            self._down = False
            return more
        except Exception as exc:
            if not self._down:
                logger.warning("counting waits: %s", exc, extra={"action": "rollup_failed"})
            self._down = True
            connections.close_all()
            return False
