"""A claimed attempt inside this process: where it stands between claim and commit."""

from __future__ import annotations

import threading
import time
from enum import Enum

from ..engine.attempt import Attempt


class Stage(Enum):
    """Where a run stands."""

    #: Claimed, waiting for a thread.
    QUEUED = "queued"
    #: Its handler was called.
    RUNNING = "running"
    #: Its timeout passed while the handler ran: the thread's result will not count.
    TIMED_OUT = "timed out"
    #: Its result (or its hand-back) is with the committer.
    ENDED = "ended"
    #: The database would not have its result: the claim is kept until the process ends, and is then taken over.
    REFUSED = "refused"


class Run:
    """One attempt and its stage. The stage moves under a lock: thread, watchdog and shutdown race for it."""

    __slots__ = (
        "_lock", "attempt", "beat_at", "begin_by", "claimed_at", "crashed", "progress", "stage", "started_at",
        "timed_out_at", "told",
    )  # fmt: skip

    def __init__(self, attempt: Attempt, claimed_at: float) -> None:
        self.attempt = attempt
        #: Monotonic: when the claim's commit began, when the handler was called, when it timed out.
        self.claimed_at = claimed_at
        self.started_at = 0.0
        self.timed_out_at = 0.0
        #: Its handler must be called by then, or not at all: else more might begin in a time than its rate allows.
        self.begin_by: float | None = None
        self.stage = Stage.QUEUED
        #: The step has crashed a worker before.
        self.crashed = False
        #: Its last heartbeat, the progress that it said last, and the one that is written.
        self.beat_at = 0.0
        self.progress: float | None = None
        self.told: float | None = None
        self._lock = threading.Lock()
        attempt.beat = self.heartbeat

    def move(self, expected: Stage, to: Stage) -> bool:
        """Go from one stage to the next; False when somebody else was faster."""
        with self._lock:
            if self.stage is not expected:
                return False
            self.stage = to
            return True

    def begin(self, now: float) -> bool:
        """The handler is about to be called."""
        self.started_at = now
        return self.move(Stage.QUEUED, Stage.RUNNING)

    def heartbeat(self, progress: float | None) -> None:
        """In the handler's thread (or one of its own)."""
        self.beat_at = time.monotonic()
        if progress is not None:
            self.progress = progress

    def silent(self, now: float) -> bool:
        """Whether its handler has not beaten for too long."""
        limit = self.attempt.heartbeat_timeout
        return limit is not None and self.stage is Stage.RUNNING and now - max(self.started_at, self.beat_at) > limit

    def overdue(self, now: float) -> bool:
        """Whether its handler has run for longer than its timeout."""
        return self.stage is Stage.RUNNING and now - self.started_at > self.attempt.timeout
