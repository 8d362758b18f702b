"""The batcher takes the operators' batches further. In a thread of its own: a batch's sagas are acted upon at a rate,
and neither the sweep nor a commit waits for that. One process at a time is at a batch; the others leave it alone."""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING

from django.db import connections

from ..conf import app_settings
from ..engine.batch import step
from ..engine.batch.stepping import IDLE
from ..store.sql import dialect_for
from .part import Part

if TYPE_CHECKING:
    from .process import Worker

logger = logging.getLogger(__name__)

#: It rests at least so long, in seconds, whatever the rate.
_LEAST = 0.01


class Batcher(Part):
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker, "batcher")
        self._down = False
        # `_stop` is a method of threads until Python 3.12.
        self._draining = threading.Event()
        #: The last look found nothing that is due within a moment: a burst may end.
        self.idle = False

    def stop(self) -> None:
        """The worker drains."""
        self._draining.set()

    def work(self) -> None:
        """Look until the worker drains."""
        pause = 0.0
        while not self._draining.wait(pause):
            found = self._try()
            self.idle = found >= IDLE
            # Not all processes at the same moment, where there is nothing to do.
            pause = found * random.uniform(0.8, 1.2) if self.idle else max(found, _LEAST)  # noqa: S311 - jitter

    def _try(self) -> float:
        try:
            with self._worker.vigil.watched():
                # Its locks are lost soon, should the process freeze in the midst of an act.
                connection = connections[app_settings().DATABASE]
                dialect_for(connection.vendor).pin(connection)
                found = step()
            self._down = False
            return found
        except Exception as exc:
            if not self._down:
                logger.warning("batches wait: %s", exc, extra={"action": "batch_failed"})
            self._down = True
            connections.close_all()
            return IDLE
