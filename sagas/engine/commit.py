"""Committing a group: what the database refuses is halved until the culprit stands alone; nothing is lost, nothing
loops.

A result that fails three times alone is recorded without its payload (`Unrecorded`): the step is unknown and held. That
of a compensation is first tried without what it returned: it is undone all the same. An operator's trigger that can not
be applied is an error to its sender.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from ..core.attempts import UNDO_OUTPUT
from ..core.claims import Offer
from ..core.triggers import AttemptTrigger, Completed, Unrecorded
from ..exceptions import MAX_MESSAGE, StoreConflictError, StoreDataError
from ..store.base import Result, Store, Submission, Verdict

logger = logging.getLogger(__name__)

#: How often a submission is refused alone before it is recorded without its payload.
ALONE = 3
#: How often a group that the database broke off (deadlock, lock) is submitted again at once.
CONFLICTS = 5


def commit(store: Store, submissions: Sequence[Submission], offer: Offer | None = None) -> list[Result]:
    """Apply a group. Results come in the order of the submissions.

    Raises `StoreConnectionError`: the database is gone; submit the very same submissions again when it is back.
    """
    try:
        return _apply(store, submissions, offer)
    except StoreDataError as exc:
        if len(submissions) == 1:
            return [_alone(store, submissions[0], offer, exc)]
    middle = len(submissions) // 2
    # Halves take their slots one after the other, so the second must not be offered what the first may have taken.
    first = commit(store, submissions[:middle], offer)
    return first + commit(store, submissions[middle:], None)


def _apply(store: Store, submissions: Sequence[Submission], offer: Offer | None) -> list[Result]:
    for left in range(CONFLICTS - 1, -1, -1):
        try:
            return store.apply(submissions, offer)
        except StoreConflictError:
            if not left:
                break
            for submission in submissions:
                submission.again = True
    return [Result(submission, Verdict.BUSY) for submission in submissions]


def _alone(store: Store, submission: Submission, offer: Offer | None, error: StoreDataError) -> Result:
    for _ in range(ALONE - 1):
        try:
            return _apply(store, [submission], offer)[0]
        except StoreDataError as exc:
            error = exc
    trigger, payload = submission.trigger, submission.payload
    if isinstance(trigger, Completed) and trigger.undo and payload is not None and payload.output is not None:
        logger.error(
            "the database refused what a compensation returned; it is undone all the same",
            extra={"action": "unrecorded", "saga_id": str(submission.saga_id), "error": str(error)[:MAX_MESSAGE]},
        )
        noted = replace(trigger, code=UNDO_OUTPUT, message="it was undone; the database refused what was returned")
        return _alone(store, replace(submission, trigger=noted, payload=replace(payload, output=None)), offer, error)
    if not isinstance(trigger, AttemptTrigger) or isinstance(trigger, Unrecorded):
        return Result(submission, Verdict.REFUSED, str(error), error)
    logger.error(
        "the database refused a result; it is recorded without its payload",
        extra={"action": "unrecorded", "saga_id": str(submission.saga_id), "error": str(error)[:MAX_MESSAGE]},
    )
    plain = Unrecorded(
        trigger.position, trigger.worker, trigger.token, trigger.undo, "unrecorded", "the database refused the result"
    )
    instead = Submission(submission.saga_id, plain, book=submission.book, sender=submission.sender)
    try:
        return _apply(store, [instead], None)[0]
    except StoreDataError as exc:
        return Result(submission, Verdict.REFUSED, str(exc), exc)
