"""What comes from outside: answers to a step's token, and named signals."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

from ..conf import app_settings
from ..core.payload import to_text
from ..core.triggers import Answer, Signal
from ..core.waiting import ALREADY
from ..definitions.ids import id_text
from ..definitions.tokens import AnswerToken, read_token
from ..exceptions import MAX_CODE, AnswerRefusedError, BadTokenError
from ..models import Saga
from ..store.base import Payload, Submission, Verdict
from .operate import apply_trigger, clean, clean_actor, clean_reason, load, submit


def complete_step(token: str, output: Any = None) -> Saga:
    """The work behind a `Pending` is done. `output` becomes the step's output (or its compensation's).

    The same answer twice is harmless. Raises `BadTokenError`, `PayloadError`, `SagaNotFoundError`, and
    `AnswerRefusedError` for an answer that comes too late, or that contradicts an earlier one.
    """
    known = _read(token)
    text = to_text({} if output is None else output, what="output", limit=app_settings().MAX_OUTPUT)
    nothing = known.undo and output is None
    return _answer(known, None if nothing else Payload(output=text), ok=True, said=text)


def fail_step(token: str, message: str = "", *, code: str = "rejected") -> Saga:
    """The work behind a `Pending` failed, surely without an effect. Counts from the current attempt only.

    Raises what `complete_step` does.
    """
    known = _read(token)
    said = json.dumps([clean(code, what="code", limit=MAX_CODE), clean_reason(message)])
    return _answer(known, None, ok=False, said=said, code=code, message=message)


def _read(token: str) -> AnswerToken:
    known = read_token(token)
    if known is None:
        raise BadTokenError
    return known


def _answer(
    token: AnswerToken, payload: Payload | None, *, ok: bool, said: str, code: str = "", message: str = ""
) -> Saga:
    row, _ = load(token.saga_id)
    position = row.graph.names.get(token.step)
    if position is None:
        raise AnswerRefusedError(f"saga {id_text(token.saga_id)} has no step {token.step!r} (any more)")
    # To the phase and the round: the same words about another one are another answer.
    digest = _digest("answer", token.undo, token.round, ok, said)
    trigger = Answer(position, token.round, token.attempt, token.undo, ok, digest, code, message)
    result = submit(Submission(token.saga_id, trigger, payload))
    if result.verdict is Verdict.IGNORED and result.reason != ALREADY:
        raise AnswerRefusedError(result.reason, saga_id=token.saga_id, step=token.step)
    found: Saga = Saga.objects.using(app_settings().DATABASE).get(pk=token.saga_id)
    return found


def signal(saga: Saga | UUID, name: str, payload: Any = None, *, reason: str = "", actor: str = "") -> Saga:
    """See `Saga.signal`."""
    text = to_text(
        {} if payload is None else payload, what=f"payload of signal {name!r:.80}", limit=app_settings().MAX_OUTPUT
    )
    trigger = Signal(name, _digest("signal", text), clean_actor(actor), clean_reason(reason))
    return apply_trigger(saga, trigger, Payload(output=text))


def _digest(*parts: Any) -> str:
    # With the word for its phase before it, it fits the column.
    return hashlib.sha256(repr([_canonical(part) for part in parts]).encode()).hexdigest()[:56]


def _canonical(part: Any) -> Any:
    """JSON text in one spelling."""
    return json.dumps(json.loads(part), sort_keys=True) if isinstance(part, str) and part[:1] in ("{", "[") else part
