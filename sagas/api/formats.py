"""JSON in, JSON out, whatever the host's settings and the Accept header say. What comes in is held to limits.

The body is read as RFC 8259 has it, in UTF-8, and refused with a reason where it is deep, huge or odd: what
passes here can be stored by PostgreSQL and printed again.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, TypeVar

from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from ..conf import app_settings
from ..core.payload import MAX_DEPTH

#: A number with more digits is no quantity of anything.
MAX_DIGITS = 400
#: Room for the fields around the context.
_AROUND = 16 * 1024
#: The context's limit counts compact UTF-8; a body may escape each letter (two bytes of UTF-8 become six).
_ESCAPED = 3

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_UTF_8 = frozenset({"utf-8", "utf8"})

R = TypeVar("R", bound=BaseRenderer)
P = TypeVar("P", bound=BaseParser)


class Negotiation(BaseContentNegotiation):
    """One format: nothing is negotiated."""

    def select_parser(self, request: Request, parsers: Iterable[P]) -> P | None:
        """The parser when the body is said to be JSON in UTF-8; none makes 415."""
        media_type, parameters = parse_header_parameters(request.content_type)
        if parameters.get("charset", "utf-8").lower() not in _UTF_8:
            return None
        return next((parser for parser in parsers if parser.media_type == media_type.lower()), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[R], format_suffix: str | None = None
    ) -> tuple[R, str]:
        """The one there is."""
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


class Renderer(JSONRenderer):
    """JSON as RFC 8259 has it; the class attributes would else be the host's."""

    ensure_ascii = False
    compact = True
    strict = True


class Parser(BaseParser):
    """A JSON body within limits. Raises `ParseError` (400) for everything else."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Read `request.body`, which Django holds to DATA_UPLOAD_MAX_MEMORY_SIZE."""
        request: Request = (parser_context or {})["request"]
        limit = self.limit()
        _check_size(int(request.META.get("CONTENT_LENGTH") or 0), limit)
        body: bytes = request.body
        _check_size(len(body), limit)
        return read_json(body)

    def limit(self) -> int:
        """The largest body in bytes."""
        return body_limit()


class AnswerParser(Parser):
    """For strangers with a token: room for an output, and no more."""

    def limit(self) -> int:
        """The largest body in bytes."""
        return _ESCAPED * app_settings().MAX_OUTPUT + _AROUND


def body_limit() -> int:
    """The largest body in bytes."""
    return _ESCAPED * app_settings().MAX_CONTEXT + _AROUND


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise ParseError(f"the body: expected at most {limit} bytes, got {size}", code="too_large")


def read_json(body: bytes) -> Any:
    """The value of a JSON text. Raises `ParseError`."""
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise _malformed("expected UTF-8") from exc
    if _depth_over(text, MAX_DEPTH + 1):
        raise _malformed(f"expected at most {MAX_DEPTH} levels of nesting in a value, got more")
    if _NUL.search(text):
        raise _malformed("expected text without the character U+0000, which PostgreSQL can not store")
    value = _loads(text)
    if _SURROGATE.search(text):
        _check_surrogates(value)
    return value


def _loads(text: str) -> Any:
    try:
        return json.loads(
            text,
            parse_int=_whole,
            parse_float=_fraction,
            parse_constant=_no_constant,
            object_pairs_hook=_object,
        )
    except (ValueError, RecursionError) as exc:
        raise _malformed(str(exc)) from exc


def _malformed(reason: str) -> ParseError:
    return ParseError(f"the body is not usable JSON: {reason}", code="malformed")


def _depth_over(text: str, limit: int) -> bool:
    """Before parsing: the parser itself would recurse as deep as a stranger likes."""
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
            if depth > limit:
                return True
        elif first != '"':
            depth -= 1
    return False


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"expected numbers of at most {MAX_DIGITS} digits, got {len(digits)}")
    return int(digits)


def _fraction(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"expected numbers that a double can hold, got {digits:.40}")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Two parsers may disagree on which of two values counts: there must be one."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("expected every name once in an object, got one twice")
    return found


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as exc:
        raise _malformed("expected text in Unicode, got half of a surrogate pair") from exc
