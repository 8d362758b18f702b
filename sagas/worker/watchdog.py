"""The watchdog: handlers past their timeout, claims that wait too long for a thread, threads and consumers that are
stuck for good."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ..conf import app_settings
from ..core.triggers import InDoubt, NoEffect
from .inbox import Item
from .part import Part
from .run import Run, Stage

if TYPE_CHECKING:
    from .process import Worker

logger = logging.getLogger(__name__)

TICK = 0.05
#: A claim waits this long for a thread before it is given to whoever has one.
_QUEUED = 1.0


class Watchdog(Part):
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker, "watchdog")

    def work(self) -> None:
        """Tick until the worker has ended."""
        while not self._worker.ended.wait(TICK):
            self.tick(time.monotonic())

    def tick(self, now: float) -> None:
        """One look at all runs."""
        worker = self._worker
        worker.vigil.look(now)
        for run in list(worker.runs.values()):
            if run.overdue(now):
                self._time_out(run, now, "timeout", f"no answer within {run.attempt.timeout:g} s")
            elif run.silent(now):
                self._time_out(run, now, "heartbeat_lost", f"no heartbeat for {run.attempt.heartbeat_timeout:g} s")
            elif run.stage is Stage.QUEUED and now - run.claimed_at > _QUEUED:
                worker.hand_back(run)
            elif run.stage is Stage.TIMED_OUT and now - run.timed_out_at > app_settings().STUCK_AFTER.total_seconds():
                self._give_up(f"the handler of {run.attempt.handler_name} is stuck")
        if worker.consumer is not None and worker.consumer.zombie(now):
            self._give_up("the broker's consumer is a zombie")

    def _time_out(self, run: Run, now: float, code: str, message: str) -> None:
        """The attempt is over, its thread is not: in doubt, and nothing else of the step starts before it ended."""
        run.timed_out_at = now
        if not run.move(Stage.RUNNING, Stage.TIMED_OUT):
            return
        attempt = run.attempt
        logger.warning(
            "a handler timed out: %s",
            message,
            extra={"action": attempt.handler_name, "saga_id": str(attempt.saga_id), "step": attempt.spec.name},
        )
        kind = NoEffect if attempt.atomic else InDoubt
        self._worker.inbox.put(Item(attempt.submission(kind, code=code, message=message, thread_alive=True)))

    def _give_up(self, why: str) -> None:
        if not self._worker.fatal:
            self._worker.fatal = why
            logger.error("the process gives up: %s; its supervisor starts another", why, extra={"action": "fatal"})
