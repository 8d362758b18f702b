"""Transports carry hints between processes: AMQP with a broker, `embedded` without. No engine is known here.

`publisher_for(topology)` is the process's publisher, `consumer_for(topology, …)` makes a consumer,
`declare(topology)` makes sure that the broker has what is needed. None as topology means: no broker. pika
is imported by its first use.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Sequence
from typing import overload

from .address import parse_url, redact
from .base import Hint, HintConsumer, HintPublisher, OnHint, OnState, Topology
from .embedded import EmbeddedHintPublisher
from .errors import (
    BrokerUrlError,
    MessageDecodeError,
    TopologyError,
    TransportConnectionError,
    TransportError,
)

__all__ = [
    "BrokerUrlError",
    "EmbeddedHintPublisher",
    "Hint",
    "HintConsumer",
    "HintPublisher",
    "MessageDecodeError",
    "Topology",
    "TopologyError",
    "TransportConnectionError",
    "TransportError",
    "close_publishers",
    "consumer_for",
    "declare",
    "parse_url",
    "publisher_for",
    "redact",
]

#: Seconds that an ending process gives its waiting hints.
_LAST_FLUSH = 1.0

#: By process id: a forked child makes its own. No lock, for the reason given in `amqp.publisher`.
_publishers: dict[tuple[int, Topology | None], HintPublisher] = {}


@overload
def publisher_for(topology: None) -> EmbeddedHintPublisher: ...


@overload
def publisher_for(topology: Topology | None) -> HintPublisher: ...


def publisher_for(topology: Topology | None) -> HintPublisher:
    """This process's publisher for that broker; the embedded one for None."""
    key = (os.getpid(), topology)
    return _publishers.get(key) or _publishers.setdefault(key, _make_publisher(topology))


def _make_publisher(topology: Topology | None) -> HintPublisher:
    if topology is None:
        return EmbeddedHintPublisher()
    from .amqp import AmqpHintPublisher

    return AmqpHintPublisher(topology)


def consumer_for(
    topology: Topology,
    *,
    queues: Sequence[str],
    prefetch: int,
    on_hint: OnHint,
    on_state: OnState | None = None,
) -> HintConsumer:
    """A consumer of these queues, not yet started."""
    from .amqp import AmqpHintConsumer

    return AmqpHintConsumer(topology, queues=queues, prefetch=prefetch, on_hint=on_hint, on_state=on_state)


def declare(topology: Topology, *, timeout: float = 10.0) -> None:
    """Create at the broker what is missing, compare what exists: see `amqp.declare` for what it raises."""
    from .amqp import declare as declare_at_broker

    declare_at_broker(topology, timeout=timeout)


def close_publishers(timeout: float = _LAST_FLUSH) -> None:
    """Flush and forget this process's publishers within `timeout` seconds; the next use makes new ones."""
    deadline = time.monotonic() + timeout
    for key in [key for key in _publishers if key[0] == os.getpid()]:
        publisher = _publishers.pop(key, None)
        if publisher is not None:
            publisher.close(max(0.0, deadline - time.monotonic()))


# A command that starts a saga and ends at once would take its hint along.
atexit.register(close_publishers)
