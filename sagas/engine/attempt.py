"""Running one attempt of a step: make its context, call its handler, say what came of it.

Runs in a handler's thread, outside any transaction (but for an atomic step). Whatever the handler does, it ends as one
submission; the handler's exceptions stop here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from asgiref.sync import async_to_sync

from ..core import triggers as t
from ..core.claims import Offer
from ..crash import crash_point
from ..definitions.context import StepContext
from ..definitions.handlers import Handler
from ..definitions.registry import registry
from ..exceptions import StoreError
from ..store.base import Result, Store, Submission, Verdict
from .before import CommitNow, ask_probe, check, prepare
from .blueprint import MissingCodeError
from .children import start_child
from .claimed import Attempt
from .connections import left_open, nesting, open_now
from .elements import join
from .outcome import failure, logger, message_of, returned


@dataclass(slots=True)
class Ended:
    """How an attempt ended: a submission to commit, or (an atomic step) the result of what is committed already."""

    submission: Submission | None = None
    result: Result | None = None


def run(attempt: Attempt, store: Store, commit_now: CommitNow, offer: Callable[[], Offer | None]) -> Ended:
    """Run the attempt to its end. Never raises."""
    if attempt.spec.join:
        return Ended(join(attempt))
    handler = registry.handlers.get(attempt.handler_name)
    if attempt.spec.saga and handler is None:
        return _run_child(attempt, store, commit_now, offer)
    return _run_handler(attempt, handler, store, commit_now, offer)


def _run_handler(
    attempt: Attempt, handler: Handler | None, store: Store, commit_now: CommitNow, offer: Callable[[], Offer | None]
) -> Ended:
    unknown = handler is None or handler.undo != attempt.claim.undo
    if unknown and (attempt.handler_name or not attempt.spec.checks):
        return Ended(attempt.submission(t.HandedBack))
    ended = _prepare(attempt, commit_now)
    if ended is not None or handler is None:
        return ended or Ended(attempt.submission(t.HandedBack))
    context = _context(attempt, store)
    known = ask_probe(attempt, context) if attempt.spec.probe else None
    if known is not None:
        return Ended(known)
    crash_point("before_handler", attempt.claim.undo)
    if attempt.atomic:
        return _run_atomic(attempt, lambda: returned(attempt, context, call(handler, context)), store, offer)
    submission = _outcome(attempt, handler, context)
    crash_point("after_handler", attempt.claim.undo)
    return Ended(submission)


def _prepare(attempt: Attempt, commit_now: CommitNow) -> Ended | None:
    """What ends the attempt before its handler is called: its condition, a gate, a lost claim, an input that fails."""
    unchecked = attempt.spec.checks and not (attempt.claim.undo or attempt.claim.opened)
    try:
        ending = check(attempt, commit_now) if unchecked else None
        if ending is not None:
            return Ended(ending)
        return None if prepare(attempt, commit_now) else Ended()
    except MissingCodeError as exc:
        return Ended(attempt.submission(t.NoCode, message=message_of(exc)))
    except Exception as exc:
        logger.exception("the input of a step could not be worked out", extra=attempt.extra)
        return Ended(attempt.submission(t.NoEffect, code="input_error", message=message_of(exc)))


def _context(attempt: Attempt, store: Store) -> StepContext:
    claim, texts = attempt.claim, attempt.texts
    own = texts.outputs.get(claim.position)
    return StepContext(
        saga_id=attempt.saga_id,
        saga_name=attempt.saga_name,
        step=attempt.spec.name,
        attempt=claim.attempt,
        round=claim.round,
        undo=claim.undo,
        input_text=texts.inputs.get(claim.position),
        context_text=texts.context,
        outputs=attempt.output_texts(claim.position),
        undo_outputs=attempt.undo_texts() if claim.undo else None,
        output_text=own if claim.undo and claim.executed else None,
        outcome=("completed" if claim.executed else "unknown") if claim.undo else None,
        deadline=store.clock() + timedelta(seconds=attempt.timeout),
        request_id=attempt.request_id,
        beat=attempt.beat,
    )


def call(handler: Handler, context: StepContext) -> Any:
    """Call the handler's function, async or not."""
    return async_to_sync(handler.function)(context) if handler.is_async else handler.function(context)


def _outcome(attempt: Attempt, handler: Handler, context: StepContext) -> Submission:
    before = open_now()
    rejects = handler.raising_rejects
    try:
        value = call(handler, context)
        rejects = False  # it has returned: what is raised from here on is not its word
        complaint = left_open(before)
        if complaint:
            return attempt.submission(t.InDoubt, code="open_transaction", message=complaint)
        return returned(attempt, context, value)
    except BaseException as exc:  # SystemExit and KeyboardInterrupt in a handler's thread are the handler's failure
        left_open(before)
        return failure(attempt, exc, t.InDoubt, rejects=rejects)


class _NotRecorded(Exception):
    """The claim was lost: the transaction must be rolled back, and the handler's effects with it."""


def _run_child(attempt: Attempt, store: Store, commit_now: CommitNow, offer: Callable[[], Offer | None]) -> Ended:
    """Start the step's child saga, in the transaction that records it: there is no doubt, and no orphan."""
    ended = _prepare(attempt, commit_now)
    if ended is None:
        ended = _run_atomic(attempt, lambda: start_child(attempt, store), store, offer)
        crash_point("child_after_commit")
        if ended == Ended():  # in a rollback none is started any more
            return Ended(attempt.submission(t.HandedBack))
    return ended


def _run_atomic(
    attempt: Attempt, work: Callable[[], Submission], store: Store, offer: Callable[[], Offer | None]
) -> Ended:
    """The handler's effects and its outcome in one transaction, the saga's lock taken last."""
    submission: Submission | None = None
    before = open_now()
    try:
        with store.atomic():
            depth = nesting()
            found = work()
            if nesting() != depth:
                raise RuntimeError("the handler left a transaction open, or ended the one that it was called in")
            submission = found
            result = store.apply([submission], offer(), wait=True)[0]
            if result.verdict is not Verdict.APPLIED:
                raise _NotRecorded
            crash_point("result_before_commit", attempt.claim.undo)
        return Ended(result=result)
    except _NotRecorded:
        return Ended()
    except BaseException as exc:
        if submission is None:
            return Ended(failure(attempt, exc, t.NoEffect))
        return Ended(_unanswered(attempt, submission, exc))
    finally:
        left_open(before)


def _unanswered(attempt: Attempt, submission: Submission, exc: BaseException) -> Submission:
    """The handler was done, the database's answer is missing. If the commit has happened, then the same claim says so,
    and the same book finds what was claimed with it; if not, nothing has."""
    logger.warning("the outcome of an atomic step was not answered", exc_info=exc, extra=attempt.extra)
    code = exc.code if isinstance(exc, StoreError) else "exception"
    again = attempt.submission(t.NoEffect, code=code, message=message_of(exc))
    again.again, again.book = True, submission.book
    return again


__all__ = ["Attempt", "CommitNow", "Ended", "call", "run"]
