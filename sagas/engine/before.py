"""What comes before the handler: its condition, its input, and the probe's word on an attempt with an unknown end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from asgiref.sync import async_to_sync

from ..conf import app_settings
from ..core import triggers as t
from ..core.conditions import holds
from ..core.errors import PayloadError
from ..core.graph import CODE
from ..core.payload import to_text
from ..definitions.context import StepContext
from ..definitions.registry import registry
from ..store.base import Payload, Result, Submission, Verdict
from .blueprint import code_of, work_out
from .claimed import Attempt
from .connections import left_open, open_now
from .elements import open_out
from .outcome import logger, message_of

#: Commit one submission now and wait for what becomes of it.
CommitNow = Callable[[Submission], Result]


def check(attempt: Attempt, commit_now: CommitNow) -> Submission | None:
    """Look at the step's condition, once: from then on its doubt counts.

    None: it holds, that is recorded, and the handler may be called. Else how this attempt ends: the step is passed
    over, it stands before its gate, or the claim is lost.
    """
    context, outputs = attempt.context, attempt.outputs()
    if not _holds(attempt, context, outputs):
        return attempt.submission(t.PassedOver)
    if attempt.spec.for_each:
        return open_out(attempt, context, outputs)
    opens_at = _opens_at(attempt, context, outputs)
    if attempt.spec.gate:
        return attempt.submission(t.Checked, opens_at=opens_at)
    text = _input(attempt)
    result = commit_now(attempt.submission(t.Checked, None if text is None else Payload(inputs=text)))
    return None if result.verdict is Verdict.APPLIED else attempt.submission(t.HandedBack)


def _holds(attempt: Attempt, context: Mapping[str, Any], outputs: Mapping[str, Any]) -> bool:
    text = attempt.spec.when
    if text != CODE:
        return not text or holds(text, context, outputs)
    return bool(code_of(attempt.saga_name, attempt.spec.name, context, "when")(context, outputs))


def _opens_at(attempt: Attempt, context: Mapping[str, Any], outputs: Mapping[str, Any]) -> datetime | None:
    text = attempt.spec.until
    if not text:
        return None
    value: Any = context.get(text)
    if text == CODE:
        value = code_of(attempt.saga_name, attempt.spec.name, context, "until")(context, outputs)
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, datetime) or found.tzinfo is None:
        raise PayloadError(
            f"step {attempt.spec.name!r}: expected until to give a time with its time zone, got {value!r:.80}"
        )
    return found


def prepare(attempt: Attempt, commit_now: CommitNow) -> bool:
    """Work the input out if that was not possible before the claim, and store it before the handler sees it."""
    found = _input(attempt)
    if found is None:
        return True
    result = commit_now(attempt.submission(t.Prepared, Payload(inputs=found)))
    return result.verdict is Verdict.APPLIED


def _input(attempt: Attempt) -> dict[int, str] | None:
    position = attempt.claim.position
    if attempt.claim.undo or attempt.texts.inputs.get(position) is not None:
        return None
    text = "{}"
    if attempt.spec.computed:
        function = code_of(attempt.saga_name, attempt.spec.name, attempt.context, "input")
        text = work_out(function, attempt.spec.name, attempt.context, attempt.outputs())
    attempt.texts.inputs[position] = text
    return {position: text}


def ask_probe(attempt: Attempt, context: StepContext) -> Submission | None:
    """Did it happen? Asked where an attempt before this one ended without an answer: before the action runs again, and
    before it is undone. None: go on (it did not happen, or nobody knows)."""
    claim, spec = attempt.claim, attempt.spec
    if (claim.undo and claim.executed) or not (claim.undo or claim.doubt):
        return None
    answer = _ask(attempt, context)
    if claim.undo:
        if isinstance(answer, Mapping):
            context.learn(to_text(answer, what=f"probe of step {spec.name!r}", limit=app_settings().MAX_OUTPUT))
        return attempt.submission(t.Absent) if answer is False else None
    if answer is True or isinstance(answer, Mapping):
        value = {} if answer is True else answer
        text = to_text(value, what=f"probe of step {spec.name!r}", limit=app_settings().MAX_OUTPUT)
        return attempt.submission(t.Completed, Payload(output=text))
    if answer is None and spec.at_most_once:
        message = "the probe does not know whether it happened"
        return attempt.submission(t.InDoubt, code="probe_unknown", message=message, final=True)
    return None


def _ask(attempt: Attempt, context: StepContext) -> object:
    """True or a mapping: it happened. False: it did not, for sure. None: nobody knows."""
    handler = registry.handlers.get(attempt.spec.probe)
    if handler is None or handler.undo:
        return None
    before = open_now()
    try:
        answer: object = async_to_sync(handler.function)(context) if handler.is_async else handler.function(context)
        left_open(before)
    except Exception as exc:
        left_open(before)
        logger.warning("a probe raised %s: %s", type(exc).__name__, message_of(exc), extra=attempt.extra)
        return None
    return answer if isinstance(answer, (bool, Mapping)) else None
