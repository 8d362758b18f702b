"""Sends hints over AMQP, from a thread of its own. The caller only puts them into a bounded queue.

Nothing is confirmed: a hint that is lost costs the time until the next sweep, nothing else. Each process
has its own line to the broker, made by its first hint: a forked child never touches its parent's.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from uuid import UUID

from ..base import Topology
from ..errors import TransportError
from ..hints import MOST, encode_hint, encode_hints
from ..logs import BoundedLog
from ..topology import exchange_check
from .link import Link
from .vendor import Channel

logger = logging.getLogger(__name__)

#: Hints sent before the loop looks at its socket again.
_BATCH = 200
#: With this many bytes waiting for the socket, hints wait (and are dropped when their queue is full).
_CONGESTED = 256 * 1024
_LOOK_AGAIN = 0.05
#: On a busy machine a hint sooner than this after the last one sent is in a rush: such hints are gathered for a moment
#: and sent together. Waking the broker, the worker and this thread costs more than the hints themselves.
_RUSH = 0.02
_GATHER = 0.03
#: Busy: this thread comes to its turn so late, on average over about so many times.
_BUSY = 0.0004
_TIMES = 16
#: What was sent longer ago than this has reached its queue.
_SETTLED_AFTER = 5.0


class AmqpHintPublisher:
    """The `HintPublisher` for a broker. `capacity`: hints that may wait in one process."""

    def __init__(self, topology: Topology, *, capacity: int = 10_000) -> None:
        self._topology = topology
        self._capacity = capacity
        self._lines: dict[int, _Line] = {}

    def publish(self, saga_id: UUID, *, queue: str | None = None) -> bool:
        """Hand over a hint; False = dropped. Takes some microseconds, whatever the broker does."""
        return self._line().put(saga_id, queue or self._topology.step_queue)

    def close(self, timeout: float = 1.0) -> None:
        """Send what waits, if the broker takes it within `timeout` seconds, and end the thread."""
        self._line().close(timeout)

    @property
    def sent(self) -> int:
        """Hints given to the broker by this process."""
        return self._line().sent

    @property
    def dropped(self) -> int:
        """Hints given up by this process."""
        return self._line().dropped

    @property
    def connected(self) -> bool:
        """Whether hints leave at once."""
        return self._line().link.connected

    def _line(self) -> _Line:
        # No lock here: one held by another thread at the time of a fork would stay locked in the child for
        # ever.
        pid = os.getpid()
        return self._lines.get(pid) or self._lines.setdefault(pid, _Line(self._topology, self._capacity))


class _Line:
    """The waiting hints and the link of one process."""

    def __init__(self, topology: Topology, capacity: int) -> None:
        self.link = Link(topology.url, self, name=f"{topology.connection_name} publisher")
        self.sent = 0
        self.dropped = 0
        self._topology = topology
        self._capacity = capacity
        self._waiting: deque[tuple[str, UUID]] = deque()
        self._channel: Channel | None = None
        self._awake = False
        self._gathered = False
        #: When the loop should come to us, and how late it has been lately.
        self._due = 0.0
        self._late = 0.0
        self._closed = False
        self._confirming = False
        self._flushed = threading.Event()
        self._last: dict[str, UUID] = {}
        self._last_sent = float("-inf")
        self._log = BoundedLog(logger)

    # From any thread:

    def put(self, saga_id: UUID, queue: str) -> bool:
        if self._closed or len(self._waiting) >= self._capacity or not self._usable():
            self.dropped += 1
            return False
        self._waiting.append((queue, saga_id))
        self._wake()
        return True

    def close(self, timeout: float) -> None:
        """Flush if there is somebody to flush to: a broker that is known to be away is not waited for."""
        self._closed = True
        deadline = time.monotonic() + timeout
        fresh = self._waiting or time.monotonic() - self._last_sent < _SETTLED_AFTER
        if fresh and self.link.alive and self.link.error is None:
            self.link.call(self._drain)
            self._flushed.wait(timeout)
        self.link.stop(max(0.0, deadline - time.monotonic()))
        self.dropped += len(self._waiting)
        self._waiting.clear()

    def _usable(self) -> bool:
        if self.link.alive:
            return True
        try:
            self.link.start()
        except (TransportError, RuntimeError) as exc:
            # RuntimeError: the interpreter ends and gives out no more threads.
            self._log.write(logging.ERROR, "publisher_unusable", "hints can not be sent: %s", exc)
            return False
        return True

    def _wake(self) -> None:
        # Only the first hint of a batch wakes the loop. `_drain` lowers the flag before it looks, so none
        # is missed.
        if not self._awake:
            self._awake = True
            self._due = time.monotonic()
            self.link.call(self._drain)

    # On the link's thread:

    def opened(self, channel: Channel) -> None:
        """Publishing to an exchange that does not exist would close the channel: ask first."""
        channel.declare((exchange_check(self._topology),), lambda _depths: self._ready(channel))

    def lost(self, _error: TransportError | None) -> None:
        """The hints stay and go out over the next connection, if it comes before their queue is full."""
        self._channel = None
        if self._closed:
            self._flushed.set()

    def _ready(self, channel: Channel) -> None:
        self._channel = channel
        self.link.ready()
        self._drain()

    def _drain(self) -> None:
        self._awake = False
        now = time.monotonic()
        self._late += (now - self._due - self._late) / _TIMES
        if self._channel is None:
            return
        if self.link.congested > _CONGESTED:
            self._again(_LOOK_AGAIN)
            return
        if self._in_a_rush(now) and not self._gathered and not self._closed:
            self._gathered = True
            self._again(_GATHER)
            return
        self._gathered = False
        sent = self._send(self._channel)
        if self._waiting:
            self._again(0 if sent else _LOOK_AGAIN)
        elif self._closed and not self._confirming:
            self._confirm_last(self._channel)

    def _in_a_rush(self, now: float) -> bool:
        """A lone caller's hint never waits for company: where nobody else is at work, this thread is awake at once."""
        return self._late > _BUSY and now - self._last_sent < _RUSH

    def _send(self, channel: Channel) -> bool:
        count = min(_BATCH, len(self._waiting))
        if count:
            self._last_sent = time.monotonic()
        while count > 0:
            queue, saga_ids = self._pack(count)
            if not channel.publish(self._topology.exchange, queue, encode_hints(saga_ids)):
                self._waiting.extendleft((queue, saga_id) for saga_id in reversed(saga_ids))
                return False
            self._last[queue] = saga_ids[-1]
            self.sent += len(saga_ids)
            count -= len(saga_ids)
        return True

    def _pack(self, count: int) -> tuple[str, list[UUID]]:
        """The next hints that go to the same queue, as one message."""
        queue, saga_id = self._waiting.popleft()
        saga_ids = [saga_id]
        while len(saga_ids) < min(MOST, count) and self._waiting[0][0] == queue:
            saga_ids.append(self._waiting.popleft()[1])
        return queue, saga_ids

    def _confirm_last(self, channel: Channel) -> None:
        """RabbitMQ drops what a closing channel has not passed on to a quorum queue yet, and does not tell.

        So the last hint of each queue is sent once more, to be confirmed: what came before it is then safe.
        """
        self._confirming = True
        open_numbers = set(range(1, len(self._last) + 1))

        def settled(number: int, multiple: bool, _accepted: bool) -> None:
            open_numbers.difference_update(range(1, number + 1) if multiple else [number])
            if not open_numbers:
                self._flushed.set()

        channel.watch(on_settled=settled, on_returned=lambda _headers: None)
        for queue, saga_id in self._last.items():
            channel.publish(self._topology.exchange, queue, encode_hint(saga_id))
        if not open_numbers:
            self._flushed.set()

    def _again(self, seconds: float) -> None:
        if not self._awake:
            self._awake = True
            self._due = time.monotonic() + seconds
            self.link.later(seconds, self._drain)
