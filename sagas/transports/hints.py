"""What hints look like on the wire: `{"saga": "<uuid or ULID>", "v": 1}`, or several sagas as `{"sagas": […], "v": 1}`.
Pure.

A hint says "look at this saga" and carries no decision, so nothing is believed but the id. Unknown keys are
let through, for the sake of newer senders; everything else that is not a hint is refused with a reason.
"""

from __future__ import annotations

import json
from binascii import unhexlify
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from ulid import ULID

from .errors import MessageDecodeError

#: The most sagas in one message: what a message costs (sender, broker, receiver) is then shared by so many.
MOST = 20
#: A longer body is refused unread.
MAX_BYTES = 1024
VERSION = 1

_HEAD = b'{"saga":"'
_TAIL = b'","v":1}'
_START, _END = len(_HEAD), len(_HEAD) + 36
_LENGTH = _END + len(_TAIL)


def encode_hint(saga_id: UUID) -> bytes:
    """The body of a hint for this saga."""
    return b'{"saga":"%b","v":1}' % str(saga_id).encode("ascii")


def encode_hints(saga_ids: Sequence[UUID]) -> bytes:
    """The body of one message about these sagas, `MOST` at most."""
    if len(saga_ids) == 1:
        return encode_hint(saga_ids[0])
    return b'{"sagas":["%b"],"v":1}' % b'","'.join([str(saga_id).encode("ascii") for saga_id in saga_ids])


def decode_hints(body: bytes) -> list[UUID]:
    """The sagas' ids, each once; `MessageDecodeError` with a reason for everything that is not a hint."""
    # The spelling of `encode_hint` is read without a JSON parser: this runs for every message a worker gets.
    if len(body) == _LENGTH and body.startswith(_HEAD) and body.endswith(_TAIL):
        try:
            return [UUID(bytes=unhexlify(body[_START:_END].replace(b"-", b"")))]
        except ValueError:
            pass
    data = _read_object(body)
    version = data.get("v", VERSION)
    if type(version) is not int or version != VERSION:
        raise MessageDecodeError("unknown_version", f'expected "v": {VERSION}')
    if "sagas" not in data:
        return [_read_id(data.get("saga"), "saga")]
    texts = data["sagas"]
    if not isinstance(texts, list) or not 0 < len(texts) <= MOST:
        raise MessageDecodeError("bad_saga_id", f'expected "sagas" as a list of 1 to {MOST} ids')
    return list(dict.fromkeys(_read_id(text, "sagas") for text in texts))


def _read_object(body: bytes) -> dict[str, Any]:
    if len(body) > MAX_BYTES:
        raise MessageDecodeError("oversized", f"expected at most {MAX_BYTES} bytes, got {len(body)}")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise MessageDecodeError("bad_encoding", "expected UTF-8") from None
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise MessageDecodeError("bad_json", "expected JSON") from None
    if not isinstance(data, dict):
        raise MessageDecodeError("not_an_object", f"expected a JSON object, got {type(data).__name__}")
    return data


def _read_id(text: object, name: str) -> UUID:
    if not isinstance(text, str):
        raise MessageDecodeError("bad_saga_id", f'expected "{name}" as text, got {type(text).__name__}')
    try:
        return ULID.from_str(text).to_uuid() if len(text) == 26 else UUID(text)
    except ValueError:
        raise MessageDecodeError("bad_saga_id", 'expected "saga" or "sagas" as UUIDs or ULIDs') from None
