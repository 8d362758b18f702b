"""Which failures are the same: a digest of definition, step, error code, and of the message without what differs from
saga to saga (numbers, ids, times, quoted texts). This is the only place that says so; failures that were grouped by
another rule before keep their old groups.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from uuid import UUID

#: Characters of a message that are looked at, and of a pattern.
MAX_MESSAGE, MAX_PATTERN = 2000, 300
#: Characters of a name or a code that count.
MAX_NAME = 100


def _word(rule: str) -> str:
    """Not a part of a longer word; an underscore is a border too."""
    return rf"(?<![A-Za-z0-9])(?:{rule})(?![A-Za-z0-9])"


#: In this order; each in time proportional to the message, which is anybody's text.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rule), place)
    for rule, place in (
        # Quotes that stand apart from words: not the apostrophe of "don't".
        (r"(?<!\w)'[^'\n]*'(?!\w)|(?<!\w)\"[^\"\n]*\"(?!\w)|`[^`\n]*`|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»", "<text>"),
        (r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*", "<mail>"),
        # What a question mark in an address leads to.
        (r"(?<=[\w/])\?[\w.~%+-]+=[^\s<>\"']*", "?<query>"),
        (r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b", "<id>"),
        (
            r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?(?:Z\b|UTC\b|[+-]\d\d:?\d\d\b))?)?"
            r"|\b\d\d?:\d\d:\d\d(?:[.,]\d+)?",
            "<time>",
        ),
        # ULIDs, and other words of that kind: letters and digits in turns, as no name has them.
        (_word(r"(?=[A-Za-z]*\d)[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}"), "<id>"),
        (_word("0[xX][0-9a-fA-F]+"), "<id>"),
        (_word(r"(?=\d*[a-fA-F])(?=[a-fA-F]*\d)[0-9a-fA-F]{8,}"), "<id>"),
        (_word(r"(?:\d+[A-Za-z]+\d|[A-Za-z]+\d+[A-Za-z]+\d)[A-Za-z0-9]*"), "<id>"),
        (r"(?:(?<![\w.])[+-])?\d+(?:[.,]\d+)*", "<n>"),
        (r"[\s\x00-\x1f\x7f]+", " "),
    )
)


@lru_cache(maxsize=1024)
def pattern(message: str) -> str:
    """A message without what differs from saga to saga: `no stock for <text> in <n> shops`. At most `MAX_PATTERN`
    characters."""
    text = message[:MAX_MESSAGE]
    for rule, place in _RULES:
        text = rule.sub(place, text)
    text = text.strip()
    return text if len(text) <= MAX_PATTERN else f"{text[: MAX_PATTERN - 1]}…"


def base_name(step: str) -> str:
    """The name of a step: elements of a list are the same step."""
    return step.partition("[")[0][:MAX_NAME] or step[:MAX_NAME]


def signature(definition: str, step: str, code: str, message: str) -> UUID:
    """The key of the failures that are the same: a digest in the form of a UUID."""
    parts = (definition, base_name(step), code[:MAX_NAME], pattern(message))
    text = "\x1f".join(part.replace("\x1f", " ") for part in parts)
    return UUID(bytes=sha256(text.encode("utf-8", "replace")).digest()[:16])
