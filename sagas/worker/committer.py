"""The committer: one thread, one transaction per group. Idle, a submission commits at once; busy, a hundred share one
commit. When the database is gone it keeps everything and submits the very same group again."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..core.claims import is_undo
from ..core.states import SagaState
from ..core.triggers import Completed, Look
from ..crash import crash_point
from ..engine.attempt import Attempt
from ..engine.commit import commit
from ..engine.notify import hint
from ..engine.tell import tell
from ..exceptions import StoreError
from ..store.base import Loaded, Result, Submission, Texts, Verdict
from ..transports import Hint
from .inbox import Item
from .part import Part
from .run import Run

if TYPE_CHECKING:
    from .process import Worker

logger = logging.getLogger(__name__)

#: Longest wait between two tries to reach the database, in seconds.
_LONGEST_WAIT = 5.0
#: A saga to look at waits this long for a free slot before its hint goes back to the broker.
_PATIENCE = 1.0


class Committer(Part):
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker, "committer")
        self._paused_since: float | None = None
        self._full_since: float | None = None
        self._known: dict[UUID, Loaded] = {}

    # -- called from other threads ------------------------------------------------------------------------------

    def look(
        self, saga_id: UUID, *, hint: Hint | None = None, undo: bool = False, sweep: bool = False, then: Any = None
    ) -> None:
        """Look at a saga as soon as there is a slot."""
        self._worker.inbox.put(Item(Submission(saga_id, Look(sweep), sender=hint), then, undo))

    def commit_now(self, submission: Submission) -> Result:
        """Commit with the next group, and wait for the result."""
        done = threading.Event()
        found: list[Result] = []

        def then(result: Result) -> None:
            found.append(result)
            done.set()

        self._worker.inbox.put(Item(submission, then))
        while not done.wait(1.0):
            if not self.is_alive():
                return Result(submission, Verdict.IGNORED, "the worker is stopping")
        return found[0]

    # -- the thread ---------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Commit groups until the inbox is closed and empty."""
        worker = self._worker
        while not self._is_done():
            group = worker.inbox.take(self._room, time.monotonic, 0.5)
            if group:
                self._commit(group)
            self._mind_the_consumer()

    def _is_done(self) -> bool:
        """Nothing is claimed any more: what only looks would wait here for ever."""
        if not self._worker.ended.is_set():
            return False
        self._worker.inbox.drop_looks()
        return self._worker.inbox.idle

    def _room(self) -> tuple[int, int]:
        if self._worker.draining:
            return 0, 0
        free, for_actions, _ = self._worker.slots.offer()
        return free, for_actions

    def _commit(self, group: list[Item]) -> None:
        submissions = [item.submission for item in group]
        for submission in submissions:
            submission.known = self._known.get(submission.saga_id)
        _crash("before_commit", group)
        with self._worker.limits.claiming():
            claimed_at = time.monotonic()
            results = self._persist(submissions)
            if results is None:
                return
            _crash("after_commit", group)
            self.remember(results)
            self._acknowledge(group, results)
            self.handle_claims(results, claimed_at)
        self._worker.limits.note(results)
        for item, result in zip(group, results, strict=True):
            self._finish(item, result)

    def remember(self, results: Sequence[Result]) -> None:
        """Sagas in which this process holds a claim: the next result is decided from memory (if nothing moved them)."""
        tell(results)
        own = self._worker.identity.id
        for result in results:
            known = result.known()
            if known is not None and any(step.claim_worker == own for step in known.steps):
                self._known[result.submission.saga_id] = known
            else:
                self._known.pop(result.submission.saga_id, None)

    def _persist(self, submissions: Sequence[Submission]) -> list[Result] | None:
        """Until it is committed; None when the process ends before the database is back."""
        wait, first = 0.05, True
        while True:
            try:
                with self._worker.vigil.watched():
                    return commit(self._worker.store, submissions, self._worker.offer(limited=first))
            except StoreError as exc:
                if self._worker.ended.is_set():
                    return None
                logger.warning("a group of %d waits: %s", len(submissions), exc, extra={"action": "store_down"})
                for submission in submissions:
                    submission.again = True
                first = False
                self._worker.ended.wait(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                wait = min(wait * 2, _LONGEST_WAIT)

    def _acknowledge(self, group: Sequence[Item], results: Sequence[Result]) -> None:
        """A hint is done when its claim is committed, or when the row says that there is nothing to claim."""
        hints = [
            item.submission.sender
            for item, result in zip(group, results, strict=True)
            if isinstance(item.submission.sender, Hint) and result.verdict is not Verdict.BUSY
        ]
        if hints and self._worker.consumer is not None:
            self._worker.consumer.ack_many(hints)
            crash_point("claim_after_ack")

    def handle_claims(self, results: Sequence[Result], claimed_at: float) -> None:
        """Run what was claimed."""
        fresh = [result for result in results if result.claims]
        if not fresh:
            return
        if any(not isinstance(result.submission.trigger, Look) for result in fresh):
            crash_point("inline_claim", fresh[0].claims[0].undo)
        texts = {id(result): _continued(result) or result.texts for result in fresh}
        missing = [result.submission.saga_id for result in fresh if texts[id(result)] is None]
        loaded = self._load(missing) if missing else {}
        for result in fresh:
            found = texts[id(result)] or loaded.get(result.submission.saga_id)
            for claim in result.claims:
                owner = result.steps[claim.position].claim_worker
                if found is None or result.saga is None or owner is None:
                    continue
                attempt = Attempt(
                    saga_id=result.submission.saga_id,
                    saga_name=result.name,
                    request_id=result.request_id,
                    graph=result.saga.graph,
                    claim=claim,
                    worker=owner,
                    texts=found,
                    depth=result.saga.depth,
                )
                self._worker.accept(Run(attempt, claimed_at), crashed=result.steps[claim.position].crashes > 0)

    def _load(self, ids: Sequence[UUID]) -> dict[UUID, Texts]:
        wait = 0.05
        while not self._worker.ended.is_set():
            try:
                with self._worker.vigil.watched():
                    return self._worker.store.texts(ids)
            except StoreError as exc:
                logger.warning("payloads can not be read: %s", exc, extra={"action": "store_down"})
                self._worker.ended.wait(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
        return {}

    def _finish(self, item: Item, result: Result) -> None:
        worker = self._worker
        if result.verdict is Verdict.BUSY:
            worker.inbox.put_later(item, time.monotonic())
            return
        if result.verdict is Verdict.REFUSED and not item.is_look:
            logger.error(
                "refused: %s", result.reason, extra={"action": "refused", "saga_id": str(item.submission.saga_id)}
            )
        worker.sweeper.run_errands(result)
        self.wake(result)
        if result.unclaimed and not item.is_look:
            self._pass_on(result)
        if item.then is not None:
            item.then(result)

    def wake(self, result: Result) -> None:
        """Sagas that have waited for the lock of one that has ended: they are due."""
        if result.woken:
            hint(result.woken)
            self._worker.sweeper.wake()

    def _pass_on(self, result: Result) -> None:
        """Steps that this process could not take: say so to the others; without a broker, to the sweep."""
        if self._worker.consumer is None or result.saga is None:
            self._worker.sweeper.wake()
            return
        for position in result.unclaimed:
            step = result.steps[position]
            hint([result.submission.saga_id], undo=is_undo(step), participant=result.saga.graph.steps[position].queue)

    def _mind_the_consumer(self) -> None:
        """Without slots, hints go back to the broker and the consumer pauses; with slots it goes on."""
        worker, now = self._worker, time.monotonic()
        if worker.consumer is None or worker.draining:
            return
        if self._paused_since is not None:
            if self._room()[1] > 0 and not worker.inbox.waiting_looks:
                self._paused_since = None
                worker.consumer.resume()
            return
        if not worker.inbox.waiting_looks or self._room()[1] > 0:
            self._full_since = None
            return
        self._full_since = self._full_since or now
        if now - self._full_since > _PATIENCE:
            self._paused_since, self._full_since = now, None
            worker.consumer.pause()
            looks = worker.inbox.drop_looks()
            hints = [item.submission.sender for item in looks]
            worker.consumer.give_back_many([found for found in hints if isinstance(found, Hint)])
            # What the sweep has found waits on: nobody else would bring it back.
            worker.inbox.put_back([item for item in looks if not isinstance(item.submission.sender, Hint)])


def _crash(where: str, group: Sequence[Item]) -> None:
    for item in group:
        undo = getattr(item.submission.trigger, "undo", None)
        crash_point(f"{'claim' if item.is_look else 'result'}_{where}", undo)


def _continued(result: Result) -> Texts | None:
    """The payloads after a result of this process, if nothing else has moved the saga meanwhile: no need to read."""
    submission, run = result.submission, result.submission.sender
    trigger, payload = submission.trigger, submission.payload
    if not isinstance(run, Run) or not isinstance(trigger, Completed) or payload is None or result.saga is None:
        return None
    known = run.attempt.texts
    if known.revision != result.revision_before:
        return None
    if trigger.undo and result.saga.state is SagaState.STARTED:
        return None  # the last undo of a rollback in part: what the steps had stored has been cleared
    context = known.context
    if payload.context is not None:
        context = json.dumps(
            {**json.loads(context), **json.loads(payload.context)}, ensure_ascii=False, separators=(",", ":")
        )
    outputs, undo_outputs = known.outputs, known.undo_outputs
    if not trigger.undo:
        outputs = {**outputs, trigger.position: payload.output}
    elif payload.output is not None:
        undo_outputs = {**undo_outputs, trigger.position: payload.output}
    inputs = {**known.inputs, **payload.inputs} if payload.inputs else known.inputs
    return Texts(result.saga.revision, context, dict(inputs), outputs, undo_outputs)
