"""`Worker`: one worker process. It owns the parts, starts and stops them; the rules are theirs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from uuid import UUID

from django.db import connections

from ..conf import app_settings
from ..core.claims import Offer
from ..core.triggers import HandedBack, InDoubt, ThreadEnded
from ..engine import attempt as engine_attempt
from ..engine.notify import topology
from ..store import get_store
from ..store.base import Result, Store, Submission, Verdict
from ..transports import (
    Hint,
    HintConsumer,
    Topology,
    TopologyError,
    TransportError,
    consumer_for,
    declare,
    publisher_for,
)
from .batcher import Batcher
from .beat import Beat
from .clerk import Clerk
from .committer import Committer
from .identity import Identity
from .inbox import Inbox, Item
from .limits import Limits
from .pool import Pool
from .run import Run, Stage
from .slots import Slots
from .sweeper import Sweeper
from .vigil import Vigil
from .watchdog import Watchdog

logger = logging.getLogger(__name__)

#: How often a worker looks whether it is to stop, in seconds.
_LOOK = 0.05


class Worker:
    """Runs sagas until it is told to stop.

    `threads`: handler threads. `queues`: names of participants' queues it serves ("" is the common one); None = all.
    `burst`: stop when nothing is due. `consume=False`: take no hints even where there is a broker.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        queues: Sequence[str] | None = None,
        prefetch: int | None = None,
        burst: bool = False,
        consume: bool = True,
        store: Store | None = None,
    ) -> None:
        settings = app_settings()
        self.store = store or get_store()
        self.burst = burst
        self.slots = Slots(threads or settings.THREADS)
        self.identity = Identity(queues=None if queues is None else frozenset(queues), slots=self.slots.threads)
        self.inbox = Inbox()
        self.vigil = Vigil()
        self.pool = Pool(self.slots.threads, self._work, connections.close_all)
        self.committer = Committer(self)
        self.sweeper = Sweeper(self)
        self.beat = Beat(self)
        self.watchdog = Watchdog(self)
        self.limits = Limits(self)
        self.clerk = Clerk(self)
        self.batcher = Batcher(self)
        self.consumer = self._make_consumer(queues, prefetch or settings.PREFETCH) if consume else None
        #: Runs by token: everything claimed in this process whose end is not committed yet.
        self.runs: dict[tuple[UUID, int], Run] = {}
        #: Told to stop. No Event: a signal's handler sets it, and must not wait for a lock that its own thread holds.
        self.draining = False
        self.ended = threading.Event()
        #: Why the process must be replaced: a stuck thread, a zombie consumer. Empty = it need not.
        self.fatal = ""
        #: Without a broker, sagas started in this very process nudge the sweep.
        self._unlisten: Callable[[], None] = lambda: None

    def _make_consumer(self, queues: Sequence[str] | None, prefetch: int) -> HintConsumer | None:
        found = topology()
        if found is None:
            return None
        names = list(found.hint_queues)
        if queues is not None:
            names = [found.participant_queue(name) for name in queues] + [found.compensate_queue]
        return consumer_for(found, queues=names, prefetch=prefetch, on_hint=self._on_hint)

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Register and start all parts. Raises `TopologyError` when the broker has other queues than ours."""
        found = topology()
        if self.consumer is not None and found is not None:
            _declare(found)
        self.identity.register()
        self.pool.start()
        for part in (self.committer, self.beat, self.sweeper, self.watchdog, self.limits, self.clerk, self.batcher):
            part.start()
        if self.consumer is not None:
            self.consumer.start()
        elif found is None:
            self._unlisten = publisher_for(None).listen(self.sweeper.wake)

    def stop(self) -> None:
        """Drain: claim nothing more, finish what runs. `join` does the rest: a signal's handler sets no more than this
        either."""
        self.draining = True

    def join(self, poll: Callable[[], None] | None = None) -> int:
        """Wait until the worker was told to stop and has drained; the process's exit code."""
        while not self.draining:
            time.sleep(_LOOK)
            if poll is not None:
                poll()
            if self.fatal or (self.burst and self._is_done()):
                self.stop()
        self._drain()
        return 3 if self.fatal else 0

    def _is_done(self) -> bool:
        found_nothing = self.sweeper.found_nothing and self.batcher.idle
        return self.beat.looked and found_nothing and self.limits.idle and not self.runs and self.inbox.idle

    def _drain(self) -> None:
        grace = app_settings().GRACE.total_seconds()
        for rouse in (self.sweeper.wake, self.limits.stop, self.clerk.stop, self.batcher.stop, self.inbox.nudge):
            rouse()
        self._unlisten()
        if self.consumer is not None:
            self.consumer.pause()
        self._give_back(self.inbox.drop_looks())
        end = time.monotonic() + grace
        self.hand_back_queued()
        while time.monotonic() < end and not self._is_drained():
            time.sleep(0.01)
        self.ended.set()
        self.sweeper.wake()
        self.inbox.close()
        self.committer.join(max(1.0, end - time.monotonic()))
        for part in (self.beat, self.clerk, self.batcher):
            part.join(5.0)
            if part.is_alive():
                logger.warning("the %s goes on, it is left to itself", part.name, extra={"action": "part_left"})
        if self.consumer is not None:
            self.consumer.stop(2.0)
        self.pool.stop(0.2)
        self._retire()

    def _retire(self) -> None:
        try:
            self.identity.retire(holds_claims=bool(self.runs))
        except Exception as exc:
            logger.warning("could not sign off: %s", exc, extra={"action": "retire_failed"})
        finally:
            connections.close_all()

    def _is_drained(self) -> bool:
        # A sweep or a hint may have been on its way when the draining began: nobody takes it from here on.
        self._give_back(self.inbox.drop_looks())
        running = any(run.stage not in (Stage.TIMED_OUT, Stage.REFUSED) for run in list(self.runs.values()))
        return not self.committer.is_alive() or not (running or not self.inbox.idle)

    # -- hints --------------------------------------------------------------------------------------------------

    def _on_hint(self, hint: Hint) -> None:
        found = topology()
        undo = found is not None and hint.queue == found.compensate_queue
        self.committer.look(hint.saga_id, hint=hint, undo=undo)

    def _give_back(self, items: Sequence[Item]) -> None:
        hints = [item.submission.sender for item in items if isinstance(item.submission.sender, Hint)]
        if hints and self.consumer is not None:
            self.consumer.give_back_many(hints)

    # -- claims and runs ----------------------------------------------------------------------------------------

    def offer(self, *, limited: bool = False) -> Offer | None:
        """What this process can take on now; None while it drains. `limited`: also of actions with limits, which only
        the committer claims."""
        if self.draining:
            return None
        slots, for_actions, crashed = self.slots.offer()
        identity = self.identity
        return Offer(
            identity.id, identity.handlers, identity.next_token, identity.queues, slots, for_actions, crashed,
            self.limits.rooms(closed=not limited),
        )  # fmt: skip

    def accept(self, run: Run, *, crashed: bool) -> None:
        """A claim of ours is committed: run it."""
        attempt = run.attempt
        self.runs[attempt.worker, attempt.claim.token] = run
        self.slots.take(undo=attempt.claim.undo, crashed=crashed)
        run.crashed = crashed
        run.begin_by = self.limits.took(attempt.handler_name)
        self.pool.put(run)

    def settled(self, run: Run) -> None:
        """The run's end is committed (or will never be)."""
        self.runs.pop((run.attempt.worker, run.attempt.claim.token), None)

    def _work(self, run: Run) -> None:
        now = time.monotonic()
        if self.lost(run, now):
            self.hand_back(run)
            return
        if not run.begin(now):
            return
        ended = self._attempt(run)
        self.slots.observe(time.monotonic() - now)
        self._free(run)
        counts = run.move(Stage.RUNNING, Stage.ENDED)
        if ended.result is not None:
            self._ended_atomic(run, ended.result)
        elif not counts:
            self._put(run.attempt.submission(ThreadEnded), run)
        elif ended.submission is not None:
            self._put(ended.submission, run)
        else:
            self.settled(run)
            self.inbox.nudge()

    def _attempt(self, run: Run) -> engine_attempt.Ended:
        try:
            return engine_attempt.run(run.attempt, self.store, self.committer.commit_now, self.offer)
        except BaseException as exc:  # a thread of the pool must not die, and no attempt ends without an answer
            logger.exception("an attempt ended outside its handler")
            message = f"{type(exc).__name__} around the handler"
            return engine_attempt.Ended(run.attempt.submission(InDoubt, code="engine", message=message))

    def _free(self, run: Run) -> None:
        self.slots.free(undo=run.attempt.claim.undo, crashed=run.crashed)
        self.limits.left(run.attempt.handler_name)
        if run.crashed:
            self.sweeper.wake()  # the next step that has crashed a worker may run now

    def _ended_atomic(self, run: Run, result: Result) -> None:
        result.submission.sender = run
        self.committer.remember([result])
        self.sweeper.run_errands(result)
        self.committer.handle_claims([result], time.monotonic())
        self.committer.wake(result)
        self.limits.note([result])
        self.settled(run)  # not before: a burst ends when nothing runs
        self.inbox.nudge()

    def _put(self, submission: Submission, run: Run) -> None:
        submission.sender = run
        self.inbox.put(Item(submission, then=lambda result: self._answered(run, result)))

    def _answered(self, run: Run, result: Result) -> None:
        """A result that was refused is no result: the claim stays ours, lest the audit takes it for never run."""
        if result.verdict is Verdict.REFUSED:
            run.move(Stage.ENDED, Stage.REFUSED)
        else:
            self.settled(run)

    def lost(self, run: Run, now: float) -> bool:
        """Whether the claim may be somebody else's by now: this process starts no such handler."""
        lease = app_settings().LEASE.total_seconds()
        if run.begin_by is not None and now > run.begin_by:
            return True
        return run.attempt.worker != self.identity.id or now - run.claimed_at > lease / 2 or self.ended.is_set()

    def hand_back(self, run: Run) -> None:
        """Give back a claim whose handler was never called."""
        if run.move(Stage.QUEUED, Stage.ENDED):
            self._free(run)
            self._put(run.attempt.submission(HandedBack), run)

    def hand_back_queued(self) -> None:
        """Give back everything that waits for a thread."""
        for run in list(self.runs.values()):
            if run.stage is Stage.QUEUED:
                self.hand_back(run)


def _declare(found: Topology) -> None:
    try:
        declare(found)
    except TopologyError:
        raise
    except TransportError as exc:
        # The broker is expendable: the sweep works until it is back, and the consumer keeps trying.
        logger.warning("the broker is not there: %s", exc, extra={"action": "broker_down"})
