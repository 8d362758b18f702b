"""The broker's URL: checked with one clear sentence, and shown without its password.

Pure text work, no connection is made here. No message of this module repeats the URL as it came, nor the
words of Python's parser: a password with an unescaped `#` or `/` would be in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from .errors import BrokerUrlError

_PORTS = {"amqp": 5672, "amqps": 5671}
_SHAPE = "expected amqp://user:password@host:5672/vhost (or amqps://…)"
_ENCODE = "special characters in the user's name, the password and the vhost are written percent-encoded"
#: Greedy up to the last `@`: the password before it may itself have an `@`, a `#`, a `/` or a blank in it.
_SECRET = re.compile(r"(?<=://)(?:([^:/@\s]*):)?.*@")
_SECRET_WITHOUT_HOST = re.compile(r"(?<=://)([^:/@\s]*):(?!\d+(?:[/?]|\s|$))[^@\s]+$")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is, without the password: fit for logs and errors."""

    host: str
    port: int
    vhost: str
    user: str
    tls: bool

    def __str__(self) -> str:
        scheme = "amqps" if self.tls else "amqp"
        user = f"{self.user}:***@" if self.user else ""
        return f"{scheme}://{user}{self.host}:{self.port}/{self.vhost.removeprefix('/')}"


def redact(text: str) -> str:
    """`text` with the password of every broker URL in it replaced by `***`."""
    return _SECRET_WITHOUT_HOST.sub(r"\1:***", _SECRET.sub(r"\1:***@", text))


def parse_url(url: str) -> Address:
    """Read a broker URL; `BrokerUrlError` says in one sentence what is wrong with it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused(url, f"the host and port can not be read; {_ENCODE}") from None
    problem = _problem(parts)
    if problem:
        raise _refused(url, problem)
    return Address(
        host=parts.hostname or "",
        port=port or _PORTS[parts.scheme],
        vhost=unquote(parts.path[1:]) or "/",
        user=unquote(parts.username or ""),
        tls=parts.scheme == "amqps",
    )


def _problem(parts: SplitResult) -> str:
    if parts.scheme not in _PORTS:
        return "the scheme is neither amqp nor amqps"
    if parts.fragment:
        return f"there is a bare '#'; {_ENCODE}"
    if not parts.hostname:
        return "there is no host"
    if parts.username is not None and parts.password is None:
        return "there is a user but no password"
    if "/" in parts.path[1:]:
        return "the vhost has a '/', which is written %2f"
    return ""


def _refused(url: str, problem: str) -> BrokerUrlError:
    return BrokerUrlError(f"the broker's URL can not be used: {_SHAPE}, got {redact(url)!r}: {problem}")
