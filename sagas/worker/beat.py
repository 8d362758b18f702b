"""The beat: says once a second that this process lives, judges the others, takes over what the dead had claimed, and
audits the claims in its own name."""

from __future__ import annotations

import logging
import time
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections

from ..conf import app_settings
from ..core.triggers import HandedBack, WorkerLost
from ..crash import crash_point
from ..definitions.ids import id_text
from ..engine.takeover import claims_of, forget, sagas_of
from ..models import Step
from ..models import Worker as WorkerRow
from ..store.base import Submission
from .inbox import Item
from .judge import Judge
from .part import Part
from .run import Stage

if TYPE_CHECKING:
    from .process import Worker

logger = logging.getLogger(__name__)

BEAT = 1.0
#: Seconds between two audits: a walk over the living sagas.
AUDIT = 10.0
#: Running steps that a worker's row names.
SHOWN = 20


class Beat(Part):
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker, "beat")
        self._judge = Judge(app_settings().LEASE.total_seconds())
        self._audited_at = time.monotonic()
        self._unrun: set[tuple[UUID, int]] = set()
        self._down = False
        #: It has looked once at the other workers, and put what dead ones had claimed into the inbox.
        self.looked = False

    def work(self) -> None:
        """Beat until the worker has ended: a draining process is alive."""
        while True:
            try:
                with self._worker.vigil.watched():
                    self.beat(time.monotonic())
                self._down = False
                self.looked = True
            except (DatabaseError, InterfaceError) as exc:
                self._report(exc)
                connections.close_all()
            if self._worker.ended.wait(BEAT):
                return

    def _report(self, exc: Exception) -> None:
        if not self._down:
            logger.warning("the beat waits: %s", exc, extra={"action": "store_down"})
        self._down = True

    def beat(self, now: float) -> None:
        """One beat."""
        worker = self._worker
        depths = worker.consumer.depths() if worker.consumer is not None else {}
        if not worker.identity.beat(free_slots=worker.slots.offer()[0], depths=depths, running=self._running()):
            logger.error("this process was taken for dead: it starts anew", extra={"action": "reborn"})
            worker.identity.renew()
        self.tell_progress()
        rows = WorkerRow.objects.using(app_settings().DATABASE).exclude(pk=worker.identity.id)
        for dead in self._judge.look(rows.values_list("id", "beat", "dead"), now):
            self.take_over(dead)
        # Never sooner than a claim that waits in memory is given up by itself (see `Worker.lost`).
        if now - self._audited_at > max(AUDIT, app_settings().LEASE.total_seconds() / 2):
            self._audited_at = now
            self.audit()

    def _running(self) -> dict[str, Any]:
        """For people: how many handlers run here, and the first of them, in the order in which they were claimed."""
        runs = [run for run in list(self._worker.runs.values()) if run.stage is Stage.RUNNING]
        first = sorted(runs, key=attrgetter("claimed_at"))[:SHOWN]
        steps = [
            {"saga": id_text(run.attempt.saga_id), "step": run.attempt.spec.name, "undo": run.attempt.claim.undo}
            for run in first
        ]
        return {"count": len(runs), "steps": steps}

    def tell_progress(self) -> None:
        """How far handlers say that they are: for people, so beside the saga's transitions."""
        for run in list(self._worker.runs.values()):
            progress, attempt = run.progress, run.attempt
            if progress is None or progress == run.told or run.stage is not Stage.RUNNING:
                continue
            rows = Step.objects.using(app_settings().DATABASE).filter(
                saga_id=attempt.saga_id, position=attempt.claim.position, claim_worker=attempt.worker
            )
            token = attempt.claim.token
            rows.filter(claim_token=token).update(progress=progress, progress_token=token)
            run.told = progress

    def take_over(self, dead: UUID) -> None:
        """Everything that the dead worker had claimed; its row goes when nothing names it any more."""
        WorkerRow.objects.using(app_settings().DATABASE).filter(pk=dead).update(dead=True)
        crash_point("take_over")
        sagas = sagas_of(dead)
        if not sagas:
            forget(dead)
            return
        logger.warning(
            "taking over %d sagas of a dead worker", len(sagas), extra={"action": "take_over", "worker": str(dead)}
        )
        for saga_id in sagas:
            self._worker.inbox.put(Item(Submission(saga_id, WorkerLost(dead))))

    def audit(self) -> None:
        """Claims in our name that nothing here runs, seen twice: they were never called, so they go back."""
        own = self._worker.identity.id
        unrun = {
            (saga_id, position, token, undo)
            for saga_id, position, token, undo in claims_of(own)
            if (own, token) not in self._worker.runs
        }
        for saga_id, position, token, undo in unrun:
            if (saga_id, token) in self._unrun:
                logger.error(
                    "a claim of this process was never run", extra={"action": "audit", "saga_id": str(saga_id)}
                )
                self._worker.inbox.put(Item(Submission(saga_id, HandedBack(position, own, token, undo))))
        self._unrun = {(saga_id, token) for saga_id, _, token, _ in unrun}
