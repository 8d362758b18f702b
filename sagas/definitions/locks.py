"""The key of a semantic lock, worked out from a saga's context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

from ..core.errors import DefinitionError, PayloadError
from .context import ReadOnlyDict

WAIT, REFUSE = "wait", "refuse"
#: A text with keys of the context, or a function of the context.
LockKey = str | Callable[[Any], Any]
MAX_KEY = 200


def check_lock(lock: object) -> None:
    """Raises `DefinitionError` for what no key can be made of."""
    if lock is None or callable(lock):
        return
    if not isinstance(lock, str) or not lock:
        raise DefinitionError(f"expected lock as a text like 'order:{{order_id}}' or a function, got {lock!r}")
    _fields(lock)


def _fields(text: str) -> list[str]:
    """The context's keys in it. Plain names only: a format string can otherwise read any attribute of a value."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as exc:
        raise DefinitionError(f"lock {text!r}: {exc}") from None
    found = []
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if not name.isidentifier() or spec or conversion:
            raise DefinitionError(f"lock {text!r}: expected names of the context's keys in braces, got {{{name}}}")
        found.append(name)
    return found


def lock_key(definition: str, lock: LockKey, context: Mapping[str, Any]) -> str:
    """The key for a saga with this context; empty: it needs no lock. Raises `PayloadError`."""
    what = f"lock of saga definition {definition!r}"
    key = _call(what, lock, context) if callable(lock) else _filled(what, lock, context)
    if key is None:
        return ""
    if not isinstance(key, str) or not key or len(key) > MAX_KEY or not key.isprintable():
        raise PayloadError(f"{what}: expected 1 to {MAX_KEY} printable characters, got {key!r:.80}")
    return key


def _call(what: str, function: Callable[[Any], Any], context: Mapping[str, Any]) -> Any:
    try:
        return function(ReadOnlyDict(context))
    except Exception as exc:
        raise PayloadError(f"{what}: its function raised {type(exc).__name__}: {exc}") from exc


def _filled(what: str, text: str, context: Mapping[str, Any]) -> str:
    values = {}
    for name in _fields(text):
        value = context.get(name)
        if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
            raise PayloadError(f"{what}: expected text or a whole number in the context's {name!r}, got {value!r:.80}")
        values[name] = value
    return text.format_map(values)
