"""Makes sure, once and while the caller waits, that everything a worker needs exists at the broker."""

from __future__ import annotations

import threading

from ..base import Topology
from ..errors import TransportConnectionError, TransportError
from ..topology import declarations
from .link import Link
from .vendor import Channel


def declare(topology: Topology, *, timeout: float = 10.0) -> None:
    """Create what is missing and compare what exists.

    Raises `TopologyError` (something exists with other arguments: the message has the command that mends it),
    `BrokerUrlError`, `TransportConnectionError` (unreachable, or no answer within `timeout` seconds), or
    `TransportError` (for instance: the broker's user may not do this).
    """
    attempt = _Attempt(topology)
    attempt.link.start()
    try:
        answered = attempt.over.wait(timeout)
    finally:
        attempt.link.stop(1.0)
    if attempt.error is not None:
        raise attempt.error
    if not answered:
        raise TransportConnectionError(f"the broker did not answer within {timeout:g} s")


class _Attempt:
    """A tenant that declares once."""

    def __init__(self, topology: Topology) -> None:
        self.link = Link(topology.url, self, name=f"{topology.connection_name} check", retries=False)
        self.over = threading.Event()
        self.error: TransportError | None = None
        self._topology = topology

    def opened(self, channel: Channel) -> None:
        channel.declare(declarations(self._topology), lambda _depths: self._settle(None))

    def lost(self, error: TransportError | None) -> None:
        self._settle(error)

    def _settle(self, error: TransportError | None) -> None:
        if not self.over.is_set():
            self.error = error
            self.over.set()
