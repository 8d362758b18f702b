"""The sweep: due sagas, found in the database and claimed directly. Without a broker this is the transport.

It pulls for free slots only and publishes nothing, so a backlog can not amplify itself. It also finds claims whose
worker has no row, and steps that no living worker can run.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections

from ..conf import app_settings
from ..core.claims import handler_name
from ..core.triggers import NoHandler, WorkerLost
from ..crash import crash_point
from ..engine.children import Errand, errands, news
from ..exceptions import StoreError
from ..models import Worker as WorkerRow
from ..store.base import DueSaga, Result, Submission, Verdict
from .inbox import Item
from .part import Part

if TYPE_CHECKING:
    from .process import Worker

logger = logging.getLogger(__name__)

#: Sagas read at once.
PAGE = 200


class Sweeper(Part):
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker, "sweeper")
        self._wake = threading.Event()
        self._looked_at: deque[Result] = deque()
        self._pending: set[UUID] = set()
        self._errands: deque[Errand] = deque()
        #: What it has said and has no answer to yet: more may come of it.
        self._said: set[int] = set()
        self._down = False
        #: The last sweep found no due saga that this process could run: a burst may end.
        self.found_nothing = False

    def wake(self) -> None:
        """Sweep now: there may be something."""
        self.found_nothing = False
        self._wake.set()

    def run_errands(self, result: Result) -> None:
        """See to it that child sagas and their parents hear of each other what this result means for them."""
        found = errands(result)
        if found:
            self._errands.extend(found)
            self.wake()

    def _interval(self) -> float:
        settings = app_settings()
        consumer = self._worker.consumer
        every = settings.SWEEP_EVERY if consumer is not None and consumer.connected else settings.POLL_EVERY
        return every.total_seconds() * random.uniform(0.8, 1.2)  # noqa: S311 - jitter

    def work(self) -> None:
        """Sweep until the worker drains."""
        while not self._worker.draining:
            more = self._try()
            if not more:
                self._wake.wait(self._interval())
            self._wake.clear()

    def _try(self) -> bool:
        try:
            with self._worker.vigil.watched():
                more = self.sweep()
            self._down = False
            return more
        except (StoreError, DatabaseError, InterfaceError) as exc:
            if not self._down:
                logger.warning("the sweep waits: %s", exc, extra={"action": "store_down"})
            self._down = True
            connections.close_all()
            return False

    def sweep(self) -> bool:
        """One look at what is due; whether there was so much of it that another look is due at once."""
        self._tell()
        self._examine()
        slots = self._worker.slots.offer()[0] - self._worker.inbox.waiting_looks
        if slots < 1:
            self.found_nothing = False
            return False
        after: DueSaga | None = None
        put = 0
        while put < slots:
            page = self._worker.store.due(limit=min(PAGE, slots - put + len(self._pending)), after=after)
            crash_point("sweep")
            for due in page:
                put += self._look(due)
            if len(page) < PAGE:
                break
            after = page[-1]
        # Woken meanwhile: what was looked at before that may be out of date.
        left = self._pending or self._looked_at or self._errands or self._said
        self.found_nothing = not (put or left or self._wake.is_set())
        return put >= slots > PAGE // 2

    def _tell(self) -> None:
        todo = [self._errands.popleft() for _ in range(len(self._errands))]
        if not todo:
            return
        try:
            for submission in news(self._worker.store, todo):
                self._put(submission)
        except BaseException:
            self._errands.extend(todo)
            raise

    def _look(self, due: DueSaga) -> bool:
        if due.id in self._pending:
            return False
        self._pending.add(due.id)
        self._worker.committer.look(due.id, sweep=True, then=self._seen)
        return True

    def _seen(self, result: Result) -> None:
        # In the committer's thread: keep only what needs a closer look.
        self._pending.discard(result.submission.saga_id)
        if result.verdict in (Verdict.APPLIED, Verdict.IGNORED) and (
            result.unclaimed or _foreign(result, self._worker.identity.id)
        ):
            self._looked_at.append(result)
            self._wake.set()
        if result.claims or result.limited:
            self._wake.set()

    def _examine(self) -> None:
        if not self._looked_at:
            return
        rows = WorkerRow.objects.using(app_settings().DATABASE).filter(dead=False)
        live: dict[UUID, frozenset[str]] = {
            worker: frozenset(names) for worker, names in rows.values_list("id", "handlers")
        }
        known = frozenset().union(*live.values())
        while self._looked_at:
            result = self._looked_at.popleft()
            self._find_dead(result, live)
            self._find_orphans(result, known)

    def _find_dead(self, result: Result, live: dict[UUID, frozenset[str]]) -> None:
        for worker in _foreign(result, self._worker.identity.id) - live.keys():
            marked = WorkerRow.objects.using(app_settings().DATABASE).filter(pk=worker).exists()
            if not marked:  # one that is marked dead is taken over by the beat's walk over its claims
                self._put(Submission(result.submission.saga_id, WorkerLost(worker)))

    def _find_orphans(self, result: Result, known: frozenset[str]) -> None:
        if result.saga is None:
            return
        for position in result.unclaimed:
            name = handler_name(result.saga.graph, result.steps[position])
            if name and name not in known:
                self._put(Submission(result.submission.saga_id, NoHandler(position)))

    def _put(self, submission: Submission) -> None:
        self._said.add(id(submission))
        self._worker.inbox.put(Item(submission, self._heard))

    def _heard(self, result: Result) -> None:
        # In the committer's thread, when what has to follow is here: only then may a burst end.
        self._said.discard(id(result.submission))
        if self._worker.burst and not self._said:
            self.wake()


def _foreign(result: Result, own: UUID) -> set[UUID]:
    """Other workers named in the saga's claims."""
    named = {step.claim_worker for step in result.steps} | {step.stale_worker for step in result.steps}
    return {worker for worker in named if worker is not None and worker != own}
