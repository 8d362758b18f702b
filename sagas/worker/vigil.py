"""A watch over the engine's own database connections: one that answers nothing for a lease is cut.

A connection can go dead without a word (a firewall that forgot it, a host that vanished): the thread would wait for
ever, and with it everything that this process has claimed. Cutting it makes the wait fail, and what was being
committed is submitted again with the same tokens.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from ..conf import app_settings

logger = logging.getLogger(__name__)


class Vigil:
    """Threads say when they begin and end to talk to the database; the watchdog looks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._talks: dict[int, tuple[float, Any]] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Around one exchange with the database on this thread's connection."""
        key = threading.get_ident()
        wrapper = connections[app_settings().DATABASE]
        with self._lock:
            self._talks[key] = (time.monotonic(), wrapper)
        try:
            yield
        finally:
            with self._lock:
                self._talks.pop(key, None)

    def look(self, now: float) -> None:
        """Cut what has been silent for a lease."""
        limit = app_settings().LEASE.total_seconds()
        with self._lock:
            silent = {key: wrapper for key, (since, wrapper) in self._talks.items() if now - since > limit}
            for key in silent:
                self._talks[key] = (now, silent[key])
        for wrapper in silent.values():
            logger.error(
                "the database has not answered for %g s; its connection is cut", limit, extra={"action": "cut"}
            )
            _cut(wrapper)


def _cut(wrapper: Any) -> None:
    """End the TCP connection under the driver, from another thread: its wait then fails at once."""
    driver = getattr(wrapper.connection, "pgconn", None)
    try:
        with socket.socket(fileno=os.dup(driver.socket)) as twin:  # type: ignore[union-attr]
            twin.shutdown(socket.SHUT_RDWR)
    except Exception as exc:  # it was closed meanwhile, or it is no PostgreSQL
        logger.debug("nothing to cut: %s", exc)
