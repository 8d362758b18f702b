"""A thread with an event loop that keeps one broker connection open, opening it again after a jittered wait.

    idle ──start──> trying ──channel──> (the tenant declares) ──ready──> connected
                      ^  └── failure ──┐                                   │ lost
                      └── wait 0.5→30 s ┴───────────────────────────────────┘
    stop: from anywhere; what was sent before is flushed if the broker answers within the grace period.

`Link` decides when to connect; its tenant (publisher, consumer) decides what to do on the channel. The
tenant's callbacks run on the link's thread; from other threads only `call`, `start` and `stop` may be used.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Protocol

from sagas.core.retry import RetryPolicy

from ..errors import TransportConnectionError, TransportError
from ..logs import BoundedLog
from .vendor import Channel, Connection, Loop, check_parameters, hushed

logger = logging.getLogger(__name__)

_BACKOFF = RetryPolicy(base=0.5, factor=2.0, cap=30.0)
_SHORTEST_WAIT = 0.05
#: A connection that lived this long was a good one: the next wait is a short one again.
_GOOD_LIFE = 10.0
#: From the first packet to `ready`: longer, and the attempt is given up.
_SETUP_TIMEOUT = 15.0


class Tenant(Protocol):
    """Who uses the link. All calls are made on the link's thread."""

    def opened(self, channel: Channel) -> None:
        """Here is a fresh channel: set it up, then call `link.ready()`."""

    def lost(self, error: TransportError | None) -> None:
        """The channel is gone, or the attempt failed. Its delivery tags are void. None: our own `stop`."""


class Link:
    """One connection, kept open by one daemon thread."""

    def __init__(self, url: str, tenant: Tenant, *, name: str, retries: bool = True) -> None:
        self._url = url
        self._retries = retries
        self._tenant = tenant
        self._name = name
        self._log = BoundedLog(logger)
        self._gate = threading.Lock()
        self._loop: Loop | None = None
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._stopping = False
        self._attempt = 0
        self._since = time.monotonic()
        #: Whether the tenant said that the channel is set up.
        self.connected = False
        #: Why it is not connected; None while it is, and before the first failure.
        self.error: TransportError | None = None
        #: `time.monotonic()` of the last sign of life, of the broker's or of a new attempt.
        self.last_alive = self._since

    # From any thread:

    def start(self) -> None:
        """Start the thread, if it does not run. `BrokerUrlError` if the URL can not be used."""
        check_parameters(self._url)
        with self._gate:
            if not (self.alive or self._stopping):
                self._loop = Loop()
                self._loop.add_callback_threadsafe(self._connect)
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def call(self, callback: Callable[[], None]) -> bool:
        """Have `callback` run on the link's thread, soon; False if there is no such thread (any more)."""
        with self._gate:
            if self._loop is None:
                return False
            self._loop.add_callback_threadsafe(callback)
            return True

    def stop(self, grace: float) -> None:
        """Close the connection and end the thread. Idempotent; waits about `grace` seconds at most."""
        self.call(lambda: self._begin_stop(grace))
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(grace + 1.0)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def is_stuck(self, now: float, *, silent_for: float) -> bool:
        """Whether it should be at work, and neither hears from the broker nor even tries to connect."""
        if self._thread is None or self._stopping:
            return False
        return not self.alive or now - self.last_alive > silent_for

    # On the link's thread:

    def ready(self) -> None:
        """The tenant has set the channel up."""
        if self.connected or self._stopping:
            return
        self.connected, self.error = True, None
        self.seen()
        waited = self.last_alive - self._since
        self._log.write(
            logging.INFO,
            "broker_connected",
            "%s: connected (attempt %d, %.1f s)",
            self._name,
            self._attempt,
            waited,
        )
        self._since = self.last_alive

    def seen(self) -> None:
        """There was a sign of life."""
        self.last_alive = time.monotonic()

    def fail(self, error: TransportError | None) -> None:
        """Give this connection up, without waiting for the broker's consent, and open another."""
        if self._connection is not None:
            self._connection.abort(error)

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Have `callback` run on this thread after so many seconds."""
        if self._loop is not None:
            self._loop.call_later(seconds, callback)

    @property
    def congested(self) -> int:
        """Bytes that wait for the socket; a great number if the broker has asked for silence."""
        if self._connection is None:
            return 0
        return 1 << 62 if self._connection.blocked else self._connection.unsent

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None  # noqa: S101 - set before the thread started
        with hushed():
            while not self._stopping:
                try:
                    loop.start()
                except Exception:
                    self._log.write(logging.ERROR, "broker_fault", "%s: unexpected fault", self._name, exc_info=True)
                    self._drop()
            with self._gate:
                self._loop = None
            loop.close()

    def _connect(self) -> None:
        if self._stopping or self._loop is None:
            return
        self._attempt += 1
        self.seen()
        try:
            connection = Connection(
                self._url, self._loop, name=self._name, on_channel=self._opened, on_closed=self._closed
            )
        except (TransportError, OSError, RuntimeError) as exc:
            self._closed(exc if isinstance(exc, TransportError) else TransportConnectionError(str(exc)))
            return
        self._connection = connection
        self.later(_SETUP_TIMEOUT, lambda: self._check_setup(connection))

    def _check_setup(self, connection: Connection) -> None:
        if connection is self._connection and not self.connected:
            connection.abort(TransportConnectionError("the broker did not finish the set-up in time"))

    def _opened(self, channel: Channel) -> None:
        self.seen()
        self._tenant.opened(channel)

    def _closed(self, error: TransportError | None) -> None:
        was_connected, self.connected = self.connected, False
        self._connection = None
        now = time.monotonic()
        if was_connected:
            if now - self._since > _GOOD_LIFE:
                self._attempt = 0
            self._since = now
        self.error = error
        self._tenant.lost(error)
        if self._stopping:
            self._end()
        elif self._retries:
            self._try_again(was_connected, error)

    def _try_again(self, was_connected: bool, error: TransportError | None) -> None:
        wait = max(_SHORTEST_WAIT, _BACKOFF.delay(max(self._attempt, 1), self._seed()).total_seconds())
        key = f"broker_{'lost' if was_connected else 'unreachable'}_{error.code if error else 'closed'}"
        self._log.write(logging.WARNING, key, "%s: %s; trying again", self._name, error or "connection closed")
        self.later(wait, self._connect)

    def _seed(self) -> str:
        return f"{os.getpid()}:{id(self)}:{self._attempt}:{self._since}"

    def _drop(self) -> None:
        """After a fault of our own nothing is known about the connection: start over with another."""
        if self._connection is None:
            self.later(_SHORTEST_WAIT, self._connect)
        else:
            self._connection.abort()

    def _begin_stop(self, grace: float) -> None:
        self._stopping = True
        if self._connection is None:
            self._end()
            return
        connection = self._connection
        connection.close()
        self.later(grace, connection.abort)
        self.later(grace + 0.5, self._end)

    def _end(self) -> None:
        if self._loop is not None:
            self._loop.stop()
