"""Running one attempt of a step: make its context, call its handler, say what came of it.

Runs in a handler's thread, outside any transaction (but for an atomic step). Whatever the handler does, it ends as one
submission; the handler's exceptions stop here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync

from ..conf import app_settings
from ..core import triggers as t
from ..core.claims import Claim, Offer
from ..core.errors import PayloadError
from ..core.graph import Graph, StepSpec
from ..core.payload import object_text, to_text
from ..crash import crash_point
from ..definitions.context import Outputs, ReadOnlyDict, StepContext
from ..definitions.handlers import Handler
from ..definitions.registry import registry
from ..definitions.typed import check_changes
from ..exceptions import MAX_CODE, MAX_MESSAGE, Rejected, Retryable, StoreError
from ..store.base import Payload, Result, Store, Submission, Texts, Verdict
from .blueprint import input_function, typed_context, work_out
from .connections import left_open, nesting, open_now

logger = logging.getLogger(__name__)

#: The longest wait that a handler may wish for.
_LONGEST_WAIT = timedelta(days=366)


@dataclass(slots=True)
class Attempt:
    """One claimed attempt: all that its thread needs."""

    saga_id: UUID
    saga_name: str
    request_id: str
    graph: Graph
    claim: Claim
    worker: UUID
    texts: Texts

    @property
    def spec(self) -> StepSpec:
        """The step as frozen with the saga."""
        return self.graph.steps[self.claim.position]

    @property
    def handler_name(self) -> str:
        """The handler it needs."""
        return self.spec.compensation if self.claim.undo else self.spec.action

    @property
    def timeout(self) -> float:
        """Seconds."""
        return self.spec.undo_timeout if self.claim.undo else self.spec.timeout

    @property
    def atomic(self) -> bool:
        """Whether it runs inside the transaction that records its outcome."""
        return self.spec.undo_atomic if self.claim.undo else self.spec.atomic

    def report(self, kind: type[t.AttemptTrigger], **details: Any) -> t.AttemptTrigger:
        """A trigger in the name of this attempt's claim."""
        return kind(self.claim.position, self.worker, self.claim.token, self.claim.undo, **details)

    def submission(self, kind: type[t.AttemptTrigger], payload: Payload | None = None, **details: Any) -> Submission:
        """A submission in the name of this attempt's claim."""
        trigger: Any = self.report(kind, **details)
        return Submission(self.saga_id, trigger, payload)


@dataclass(slots=True)
class Ended:
    """How an attempt ended: a submission to commit, or (an atomic step) the result of what is committed already."""

    submission: Submission | None = None
    result: Result | None = None


#: Commit one submission now and wait for what becomes of it.
CommitNow = Callable[[Submission], Result]


def run(attempt: Attempt, store: Store, commit_now: CommitNow, offer: Callable[[], Offer | None]) -> Ended:
    """Run the attempt to its end. Never raises."""
    handler = registry.handlers.get(attempt.handler_name)
    if handler is None or handler.undo != attempt.claim.undo:
        return Ended(attempt.submission(t.HandedBack))
    try:
        prepared = _prepare(attempt, commit_now)
    except Exception as exc:
        logger.exception("the input of a step could not be worked out", extra=_extra(attempt))
        return Ended(attempt.submission(t.NoEffect, code="input_error", message=_message(exc)))
    if not prepared:
        return Ended()
    context = _context(attempt, store)
    crash_point("before_handler", attempt.claim.undo)
    if attempt.atomic:
        return _run_atomic(attempt, handler, context, store, offer)
    submission = _outcome(attempt, handler, context)
    crash_point("after_handler", attempt.claim.undo)
    return Ended(submission)


def _prepare(attempt: Attempt, commit_now: CommitNow) -> bool:
    """Work the input out if that was not possible before the claim, and store it before the handler sees it."""
    position = attempt.claim.position
    if attempt.claim.undo or attempt.texts.inputs.get(position) is not None:
        return True
    function = input_function(attempt.saga_name, attempt.spec.name)
    text = "{}"
    if function is not None:
        text = work_out(function, attempt.spec.name, _read_only(attempt.texts.context), _outputs(attempt, position))
    result = commit_now(attempt.submission(t.Prepared, Payload(inputs={position: text})))
    attempt.texts.inputs[position] = text
    return result.verdict is Verdict.APPLIED


def _read_only(text: str) -> ReadOnlyDict:
    return ReadOnlyDict(json.loads(text))


def _outputs(attempt: Attempt, position: int, extra: Mapping[int, str] | None = None) -> Outputs:
    return Outputs(_output_texts(attempt, position, extra or {}))


def _output_texts(attempt: Attempt, position: int, extra: Mapping[int, str]) -> dict[str, str | None]:
    texts = {**attempt.texts.outputs, **extra}
    names = attempt.graph.steps
    return {names[p].name: texts.get(p) for p in sorted(attempt.graph.ancestors[position])}


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
        outputs=_output_texts(attempt, claim.position, {}),
        output_text=own if claim.undo and claim.executed else None,
        outcome=("completed" if claim.executed else "unknown") if claim.undo else None,
        deadline=store.clock() + timedelta(seconds=attempt.timeout),
        request_id=attempt.request_id,
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
        return attempt.submission(t.Completed, payload_of(attempt, context, value))
    except BaseException as exc:  # SystemExit and KeyboardInterrupt in a handler's thread are the handler's failure
        left_open(before)
        return _failure(attempt, exc, t.InDoubt, rejects=rejects)


def _failure(
    attempt: Attempt,
    exc: BaseException,
    kind: type[t.InDoubt] | type[t.NoEffect],
    *,
    rejects: bool = False,
) -> Submission:
    if isinstance(exc, Rejected):
        return attempt.submission(t.Rejected, code=_code(exc.code), message=_message(exc))
    if isinstance(exc, Retryable):
        return attempt.submission(kind, code=_code(exc.code), message=_message(exc), after=_after(exc.after))
    logger.warning("a handler raised %s", type(exc).__name__, exc_info=exc, extra=_extra(attempt))
    if isinstance(exc, PayloadError) and kind is t.InDoubt:
        return attempt.submission(kind, code=exc.code, message=_message(exc), final=True)
    words = f"{type(exc).__name__}: {_message(exc)}"[:MAX_MESSAGE]
    if rejects and isinstance(exc, Exception):
        return attempt.submission(t.Rejected, code="exception", message=words)
    return attempt.submission(kind, code="exception", message=words)


def _after(wish: object) -> timedelta | None:
    """A wait that can be added to any time; what is none is the policy's business."""
    return min(max(wish, timedelta(0)), _LONGEST_WAIT) if isinstance(wish, timedelta) else None


def _code(code: object) -> str:
    return _clean(str(code))[:MAX_CODE] or "error"


def _message(exc: BaseException) -> str:
    try:
        return _clean(str(exc))[:MAX_MESSAGE]
    except Exception:
        return "(its message could not be read)"


def _clean(text: str) -> str:
    """Text that every database can store."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def payload_of(attempt: Attempt, context: StepContext, value: Any) -> Payload:
    """Output, context additions, and the inputs of the steps that this result makes ready. Raises `PayloadError`."""
    settings = app_settings()
    what = f"of step {attempt.spec.name!r}"
    payload = Payload(basis=attempt.texts.revision)
    if not attempt.claim.undo:
        payload.output = to_text(value, what=f"output {what}", limit=settings.MAX_OUTPUT)
    if context.changes:
        room = settings.MAX_CONTEXT - len(attempt.texts.context.encode())
        payload.context = object_text(context.changes, what=f"context additions {what}", limit=max(room, 2))
        _check_changes(attempt, payload.context, what)
    if not attempt.claim.undo and payload.output is not None:
        payload.inputs = _inputs_ahead(attempt, payload)
    return payload


def _check_changes(attempt: Attempt, changes: str, what: str) -> None:
    typed = typed_context(attempt.saga_name)
    if typed is not None:
        check_changes(typed, json.loads(attempt.texts.context), json.loads(changes), what=f"context additions {what}")


def _inputs_ahead(attempt: Attempt, payload: Payload) -> dict[int, str]:
    """Inputs of the next steps, so that they can be claimed in the same commit without another one for the input.

    Only a guess that saves a commit: what raises here is worked out (and reported) when the step's turn comes.
    """
    found: dict[int, str] = {}
    here = attempt.claim.position
    outputs = {**attempt.texts.outputs, here: payload.output}
    for position in attempt.graph.dependents[here]:
        spec = attempt.graph.steps[position]
        function = input_function(attempt.saga_name, spec.name)
        ready = all(outputs.get(needed) is not None for needed in spec.depends_on)
        if function is None or not ready or attempt.texts.inputs.get(position) is not None:
            continue
        context = _read_only(attempt.texts.context)
        if payload.context is not None:
            context = ReadOnlyDict({**context, **json.loads(payload.context)})
        try:
            found[position] = work_out(
                function, spec.name, context, _outputs(attempt, position, {here: outputs[here] or ""})
            )
        except Exception:
            logger.debug("the input of the next step could not be worked out ahead", extra=_extra(attempt))
    return found


class _NotRecorded(Exception):
    """The claim was lost: the transaction must be rolled back, and the handler's effects with it."""


def _run_atomic(
    attempt: Attempt, handler: Handler, context: StepContext, store: Store, offer: Callable[[], Offer | None]
) -> Ended:
    """The handler's effects and its outcome in one transaction, the saga's lock taken last."""
    submission: Submission | None = None
    before = open_now()
    try:
        with store.atomic():
            depth = nesting()
            value = call(handler, context)
            if nesting() != depth:
                raise RuntimeError("the handler left a transaction open, or ended the one that it was called in")
            submission = attempt.submission(t.Completed, payload_of(attempt, context, value))
            result = store.apply([submission], offer(), wait=True)[0]
            if result.verdict is not Verdict.APPLIED:
                raise _NotRecorded
            crash_point("result_before_commit", attempt.claim.undo)
        return Ended(result=result)
    except _NotRecorded:
        return Ended()
    except BaseException as exc:
        if submission is None:
            return Ended(_failure(attempt, exc, t.NoEffect))
        return Ended(_unanswered(attempt, submission, exc))
    finally:
        left_open(before)


def _unanswered(attempt: Attempt, submission: Submission, exc: BaseException) -> Submission:
    """The handler was done, the database's answer is missing. If the commit has happened, then the same claim says so,
    and the same book finds what was claimed with it; if not, nothing has."""
    logger.warning("the outcome of an atomic step was not answered", exc_info=exc, extra=_extra(attempt))
    code = exc.code if isinstance(exc, StoreError) else "exception"
    again = attempt.submission(t.NoEffect, code=code, message=_message(exc))
    again.again, again.book = True, submission.book
    return again


def _extra(attempt: Attempt) -> dict[str, Any]:
    return {
        "action": attempt.handler_name,
        "saga_id": str(attempt.saga_id),
        "step": attempt.spec.name,
        "attempt": attempt.claim.attempt,
    }
