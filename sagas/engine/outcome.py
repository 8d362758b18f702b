"""What an attempt's end means: a value, a `Pending`, an exception; said as one submission."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

from ..conf import app_settings
from ..core import triggers as t
from ..core.attempts import UNDO_OUTPUT
from ..core.errors import PayloadError
from ..core.payload import object_text, to_text
from ..definitions.context import Pending, ReadOnlyDict, StepContext
from ..definitions.typed import check_changes
from ..exceptions import MAX_CODE, MAX_MESSAGE, Rejected, Retryable
from ..store.base import Payload, Submission
from .blueprint import code_of, typed_context, work_out
from .claimed import Attempt

logger = logging.getLogger("sagas.engine.attempt")

#: The longest wait that a handler may wish for.
_LONGEST_WAIT = timedelta(days=366)


def returned(attempt: Attempt, context: StepContext, value: Any) -> Submission:
    """The handler returned. Raises `PayloadError` for what can not be stored."""
    if isinstance(value, Pending):
        return attempt.submission(t.Waits, _additions(attempt, context), timeout=_after(value.timeout))
    if attempt.claim.undo:
        return _undone(attempt, context, value)
    return attempt.submission(t.Completed, payload_of(attempt, context, value))


def _undone(attempt: Attempt, context: StepContext, value: Any) -> Submission:
    """It is undone, whatever was returned: what can not be kept is noted, and is no reason to undo it once more."""
    payload, lost = _additions(attempt, context), {}
    try:
        payload.output = None if value is None else _text(attempt, "undo output", value)
    except Exception as exc:
        words = f"it was undone; what was returned is not kept: {message_of(exc)}"[:MAX_MESSAGE]
        lost = {"code": UNDO_OUTPUT, "message": words}
        logger.error("what a compensation returned is not kept: %s", message_of(exc), extra=attempt.extra)
    return attempt.submission(t.Completed, payload, **lost)


def failure(
    attempt: Attempt,
    exc: BaseException,
    kind: type[t.InDoubt] | type[t.NoEffect],
    *,
    rejects: bool = False,
) -> Submission:
    if isinstance(exc, Rejected):
        return attempt.submission(t.Rejected, code=_code(exc.code), message=message_of(exc))
    if isinstance(exc, Retryable):
        return attempt.submission(kind, code=_code(exc.code), message=message_of(exc), after=_after(exc.after))
    logger.warning("a handler raised %s", type(exc).__name__, exc_info=exc, extra=attempt.extra)
    if isinstance(exc, PayloadError) and kind is t.InDoubt:
        return attempt.submission(kind, code=exc.code, message=message_of(exc), final=True)
    words = f"{type(exc).__name__}: {message_of(exc)}"[:MAX_MESSAGE]
    if rejects and isinstance(exc, Exception):
        return attempt.submission(t.Rejected, code="exception", message=words)
    policy = attempt.spec.undo_retry if attempt.claim.undo else attempt.spec.retry
    return attempt.submission(kind, code="exception", message=words, final=not policy.retries(exc))


def _after(wish: object) -> timedelta | None:
    """A wait that can be added to any time; what is none is the policy's business."""
    return min(max(wish, timedelta(0)), _LONGEST_WAIT) if isinstance(wish, timedelta) else None


def _code(code: object) -> str:
    return _clean(str(code))[:MAX_CODE] or "error"


def message_of(exc: BaseException) -> str:
    try:
        return _clean(str(exc))[:MAX_MESSAGE]
    except Exception:
        return "(its message could not be read)"


def _clean(text: str) -> str:
    """Text that every database can store."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def payload_of(attempt: Attempt, context: StepContext, value: Any) -> Payload:
    """Output, context additions, and the inputs of the steps that this result makes ready. Raises `PayloadError`."""
    output = _text(attempt, "output", value)
    payload = _additions(attempt, context)
    payload.output = output
    payload.inputs = _inputs_ahead(attempt, payload)
    return payload


def _text(attempt: Attempt, what: str, value: Any) -> str:
    return to_text(value, what=f"{what} of step {attempt.spec.name!r}", limit=app_settings().MAX_OUTPUT)


def _additions(attempt: Attempt, context: StepContext) -> Payload:
    """What the handler adds to the context."""
    payload = Payload(basis=attempt.texts.revision)
    if context.changes:
        what = f"of step {attempt.spec.name!r}"
        room = app_settings().MAX_CONTEXT - len(attempt.texts.context.encode())
        payload.context = object_text(context.changes, what=f"context additions {what}", limit=max(room, 2))
        _check_changes(attempt, payload.context, what)
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
    wanted = [position for position in attempt.graph.dependents[here] if _is_wanted(attempt, position)]
    if not wanted:
        return found
    outputs = {**attempt.texts.outputs, here: payload.output}
    context = attempt.context
    if payload.context is not None:
        context = ReadOnlyDict({**context, **json.loads(payload.context)})
    for position in wanted:
        spec = attempt.graph.steps[position]
        if any(outputs.get(needed) is None for needed in spec.depends_on):
            continue
        try:
            function = code_of(attempt.saga_name, spec.name, context, "input")
            found[position] = work_out(
                function, spec.name, context, attempt.outputs(position, {here: outputs[here] or ""})
            )
        except Exception:
            logger.debug("the input of the next step could not be worked out ahead", extra=attempt.extra)
    return found


def _is_wanted(attempt: Attempt, position: int) -> bool:
    """Whether its input is worked out by a function, and has not been yet."""
    spec = attempt.graph.steps[position]
    return spec.computed and not spec.checks and attempt.texts.inputs.get(position) is None
