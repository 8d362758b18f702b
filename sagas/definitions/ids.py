"""Saga ids: a ULID in the 16 bytes of a UUID. Both spellings are accepted; ULID text is shown."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from ulid import ULID

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def new_id() -> UUID:
    """A fresh id; ids made later sort later."""
    return ULID().to_uuid()


def first_id(at: datetime) -> UUID:
    """Below the id of everything that was started then or later. Raises `ValueError` before 1970 and after 9999."""
    milliseconds = int(at.timestamp() * 1000)
    if milliseconds < 0:
        raise ValueError(f"expected a time after 1970, got {at}")
    return UUID(int=milliseconds << 80)


@lru_cache(maxsize=4096)
def id_text(value: UUID) -> str:
    """The id as 26 characters of ULID text."""
    return str(ULID.from_bytes(value.bytes))


def parse_id(text: str) -> UUID | None:
    """The id behind ULID or UUID text; None when it is neither."""
    text = text.strip()
    if _ULID.fullmatch(text.upper()):
        return ULID.from_str(text.upper()).to_uuid()
    try:
        return UUID(text) if len(text) in (32, 36) else None
    except ValueError:
        return None
