"""Answer tokens: signed with the project's SECRET_KEY; bound to saga, step, round, phase and attempt; not stored."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from .ids import id_text, parse_id

_SALT = "sagas.answer"
#: A longer text is refused unread.
MAX_TOKEN = 1000


class AnswerToken(NamedTuple):
    """What a token says."""

    saga_id: UUID
    step: str
    round: int
    undo: bool
    attempt: int


def make_token(saga_id: UUID, step: str, round_: int, *, undo: bool, attempt: int) -> str:
    """The token of one attempt."""
    from django.core import signing

    return signing.dumps([id_text(saga_id), step, round_, undo, attempt], salt=_SALT)


def read_token(text: object) -> AnswerToken | None:
    """What the token says; None when it is none of ours."""
    from django.core import signing

    if not isinstance(text, str) or len(text) > MAX_TOKEN:
        return None
    try:
        ulid, step, round_, undo, attempt = signing.loads(text, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    saga_id = parse_id(ulid)
    return None if saga_id is None else AnswerToken(saga_id, step, round_, undo, attempt)
