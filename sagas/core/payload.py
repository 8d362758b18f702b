"""Payloads: values as the JSON text that is stored. Whatever a handler sees has passed through here.

PostgreSQL's jsonb can not store U+0000 or a lone surrogate, knows no NaN, and prints 1e16 as an integer and -0.0 as
0.0 (PostgreSQL manual, "JSON Types"). What it would refuse is refused here; what it would change is changed here
first, so that a value has the same type on the first attempt, after a crash and after inline continuation.
"""

from __future__ import annotations

import json
import re
from typing import Any

from .errors import PayloadError

#: The deepest nesting of lists and objects.
MAX_DEPTH = 32

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_EXPONENT_OR_MINUS_ZERO = re.compile(r"\d[eE]\+?\d|-0\.0")
_NESTED = re.compile(r"[\[{]")
# Made once: `json.dumps` makes a new one for every call with options.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def to_text(value: Any, *, what: str, limit: int) -> str:
    """The value as JSON text of at most `limit` bytes.

    Raises `PayloadError` saying what was expected of `what` and what came.
    """
    try:
        text = _encode(value)
    except RecursionError as exc:
        raise PayloadError(f"{what}: expected at most {MAX_DEPTH} levels of nesting, got far more or a circle") from exc
    except (TypeError, ValueError) as exc:
        raise PayloadError(f"{what}: expected a value that JSON can hold, got one that it can not: {exc}") from exc
    _check_size(text, what, limit)
    if "\\u0000" in text and _NUL.search(text):
        raise PayloadError(f"{what}: expected text without the character U+0000, which PostgreSQL can not store")
    if len(text) > MAX_DEPTH and len(_NESTED.findall(text)) > MAX_DEPTH and depth(value) > MAX_DEPTH:
        raise PayloadError(f"{what}: expected at most {MAX_DEPTH} levels of nesting, got {depth(value)}")
    if _EXPONENT_OR_MINUS_ZERO.search(text):
        text = _encode(_as_stored(json.loads(text)))
        _check_size(text, what, limit)  # 1e308 has become 309 digits
    return text


def object_text(value: Any, *, what: str, limit: int) -> str:
    """Like `to_text`, for what must be a JSON object."""
    if not isinstance(value, dict):
        raise PayloadError(f"{what}: expected a dict, got {type(value).__name__}")
    return to_text(value, what=what, limit=limit)


def _check_size(text: str, what: str, limit: int) -> None:
    size = len(text) if text.isascii() else _size(text, what)
    if size > limit:
        raise PayloadError(f"{what}: expected at most {limit} bytes of JSON, got {size}")


def _size(text: str, what: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as exc:
        raise PayloadError(f"{what}: expected text in Unicode, got half of a surrogate pair") from exc


def depth(value: Any) -> int:
    """Levels of nesting: 0 for a plain value."""
    deepest, level = 0, [value]
    while level:
        inner: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, (list, tuple)):
                inner.extend(item)
        if any(isinstance(item, (dict, list, tuple)) for item in level):
            deepest += 1
        level = inner
    return deepest


def _as_stored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_stored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_stored(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value) if abs(value) >= 1e16 else value + 0.0
    return value
