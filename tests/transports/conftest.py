"""Fixtures of the transports' tests: a topology of one's own, a hand on the broker, and what is stopped at the end."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sagas.transports import Topology
from sagas.transports.amqp import AmqpHintConsumer, AmqpHintPublisher

from .support import Broker, Inbox, own_topology


@pytest.fixture(autouse=True)
def _quiet_pika() -> Iterator[None]:
    """The tests' own connections say a lot."""
    pika = logging.getLogger("pika")
    before = pika.level
    pika.setLevel(logging.CRITICAL)
    yield
    pika.setLevel(before)


@pytest.fixture
def topology(broker_url: str) -> Iterator[Topology]:
    """Names of this test only; what is declared under them is deleted afterwards."""
    found = own_topology(broker_url)
    yield found
    with Broker(broker_url) as broker:
        broker.remove(found)


@pytest.fixture
def broker(broker_url: str) -> Iterator[Broker]:
    """A connection of the test's own, to look and to meddle."""
    with Broker(broker_url) as found:
        yield found


@pytest.fixture
def inbox() -> Inbox:
    """Where a test's hints arrive."""
    return Inbox()


@pytest.fixture
def make_consumer(inbox: Inbox) -> Iterator[Callable[..., AmqpHintConsumer]]:
    """Makes started, connected consumers."""
    made: list[AmqpHintConsumer] = []

    def make(topology: Topology, *, wait: bool = True, **options: Any) -> AmqpHintConsumer:
        chosen = {
            "queues": topology.hint_queues,
            "prefetch": 100,
            "on_hint": inbox.put,
            "look_every": 0.2,
        } | options
        consumer = AmqpHintConsumer(topology, **chosen)
        made.append(consumer)
        consumer.start()
        if wait:
            inbox.wait_until(lambda: consumer.connected, what="the consumer is connected")
        return consumer

    yield make
    for consumer in made:
        consumer.stop(2)


@pytest.fixture
def make_publisher() -> Iterator[Callable[..., AmqpHintPublisher]]:
    """Makes publishers."""
    made: list[AmqpHintPublisher] = []

    def make(topology: Topology, **options: Any) -> AmqpHintPublisher:
        made.append(AmqpHintPublisher(topology, **options))
        return made[-1]

    yield make
    for publisher in made:
        publisher.close(0.5)
