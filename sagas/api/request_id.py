"""The request id: one word that a request, its answer, its log lines and the saga it started have in common.

`RequestIdFilter` on a logging handler puts it on every record that is written while the API answers:

    LOGGING = {"filters": {"request_id": {"()": "sagas.api.request_id.RequestIdFilter"}}, …}
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import uuid4

HEADER = "X-Request-ID"
#: As long as the column that keeps it.
MAX_LENGTH = 128

_SANE = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{MAX_LENGTH - 2}}}[\x21-\x7e])?")
_current: ContextVar[str] = ContextVar("sagas_request_id", default="")


def chosen(given: str | None) -> str:
    """The caller's id when it is sane (printable ASCII, at most 128 characters), else a new one."""
    text = (given or "").strip(" ")
    return text if _SANE.fullmatch(text) else uuid4().hex


@contextmanager
def answering(request_id: str) -> Iterator[None]:
    """While this request is answered."""
    token = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(token)


class RequestIdFilter(logging.Filter):
    """Adds `request_id` to records that have none, while the API answers a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass."""
        current = _current.get()
        if current and not hasattr(record, "request_id"):
            record.request_id = current
        return True
