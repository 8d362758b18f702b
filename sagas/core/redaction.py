"""Hiding what is sensitive in payloads: by the names of keys, wherever they stand.

A rule is a name (`card_number`) or a path (`card.number`: a key `number` under a key `card`). A key matches a name when
it ends in it, in whole words and whatever the spelling: `token` hides `access_token`, `AccessToken` and `TOKENS`, not
`token_count`. Places in lists do not count. With a key all that is under it is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .errors import DefinitionError

#: What stands in the place of a hidden value.
REDACTED = "[redacted]"
#: The longest rule.
MAX_RULE = 200

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
#: There was no such value.
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Rules:
    """What is to be hidden: each rule is a path of glued names, its last first."""

    paths: frozenset[tuple[str, ...]] = frozenset()

    def __or__(self, other: Rules) -> Rules:
        return Rules(self.paths | other.paths) if other.paths else self

    def hides(self, path: tuple[str, ...]) -> bool:
        """Whether the value under these keys, from the innermost out, is hidden."""
        return _hides(self, path)


def read_rules(what: str, names: object) -> Rules:
    """Rules as they are written. Raises `DefinitionError`."""
    if isinstance(names, str) or not isinstance(names, (list, tuple, set, frozenset)):
        raise DefinitionError(f"{what}: expected a list of names of keys, got {names!r:.80}")
    return Rules(frozenset(_rule(what, name) for name in names))


def _rule(what: str, name: object) -> tuple[str, ...]:
    parts = name.split(".") if isinstance(name, str) and len(name) <= MAX_RULE else []
    glued = tuple(_glued(_words(part)) for part in reversed(parts))
    if not glued or not all(glued):
        raise DefinitionError(f"{what}: expected names of keys, as 'card_number' or 'card.number', got {name!r:.80}")
    return glued


def _words(key: str) -> list[str]:
    return _WORDS.findall(key)


def _glued(words: Iterable[str]) -> str:
    """One spelling for all: `cardNumbers`, `card_number` and `Card-Number` are the same."""
    return "".join(words).casefold().removesuffix("s")


@lru_cache(maxsize=4096)
def _endings(key: str) -> frozenset[str]:
    """What the key ends in, whole words at a time."""
    words = _words(key)
    return frozenset(_glued(words[start:]) for start in range(len(words)))


# Kept: a page asks the same of every entry of a history.
@lru_cache(maxsize=4096)
def _hides(rules: Rules, path: tuple[str, ...]) -> bool:
    return any(
        len(rule) <= len(path) and all(name in _endings(key) for name, key in zip(rule, path, strict=False))
        for rule in rules.paths
    )


def redact(value: Any, rules: Rules) -> Any:
    """The value without what is hidden; the very same value when nothing is."""
    return _redact(value, rules, ()) if rules.paths else value


def _redact(value: Any, rules: Rules, path: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return {key: _under(one, rules, (str(key), *path)) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redact(one, rules, path) for one in value]
    return value


def _under(value: Any, rules: Rules, path: tuple[str, ...]) -> Any:
    if value is not None and rules.hides(path):
        return REDACTED
    return _redact(value, rules, path)


def hidden_paths(value: Any, rules: Rules) -> Iterator[str]:
    """Where something is hidden, as `card.number` or `lines[2].token`."""
    yield from _hidden(value, rules, (), "") if rules.paths else ()


def _hidden(value: Any, rules: Rules, path: tuple[str, ...], place: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            inner, where = (str(key), *path), f"{place}.{key}" if place else str(key)
            if one is not None and rules.hides(inner):
                yield where
            else:
                yield from _hidden(one, rules, inner, where)
    elif isinstance(value, (list, tuple)):
        for index, one in enumerate(value):
            yield from _hidden(one, rules, path, f"{place}[{index}]")


def mentions(value: Any) -> bool:
    """Whether `[redacted]` stands anywhere in it."""
    if isinstance(value, Mapping):
        return any(map(mentions, value.values()))
    return any(map(mentions, value)) if isinstance(value, (list, tuple)) else bool(value == REDACTED)


def restore(typed: Any, known: Any, rules: Rules) -> Any:
    """What a person typed over a redacted value, with what was hidden from them put back in its place.

    Raises ValueError where `[redacted]` stands in a place that had nothing to hide.
    """
    return _restore(typed, known, rules, ())


def _restore(typed: Any, known: Any, rules: Rules, path: tuple[str, ...]) -> Any:
    if typed == REDACTED and path and rules.hides(path):
        if known is _NOTHING or known is None:
            raise ValueError(path[0])
        return known
    if isinstance(typed, Mapping):
        before = known if isinstance(known, Mapping) else {}
        return {key: _restore(one, before.get(key, _NOTHING), rules, (str(key), *path)) for key, one in typed.items()}
    if isinstance(typed, list):
        old = known if isinstance(known, list) and len(known) == len(typed) else [_NOTHING] * len(typed)
        return [_restore(one, was, rules, path) for one, was in zip(typed, old, strict=True)]
    return typed
