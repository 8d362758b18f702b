"""The transport without a broker, and what both publishers promise."""

import os
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from sagas import transports
from sagas.transports import EmbeddedHintPublisher, HintPublisher, close_publishers, publisher_for
from sagas.transports.amqp import AmqpHintPublisher

from .support import own_topology


def test_publish__nudges_every_listener() -> None:
    publisher = EmbeddedHintPublisher()
    first, second = threading.Event(), threading.Event()
    publisher.listen(first.set)
    unlisten = publisher.listen(second.set)

    assert publisher.publish(uuid4(), queue="any")
    assert first.is_set()
    assert second.is_set()

    second.clear()
    unlisten()
    publisher.publish(uuid4())
    assert not second.is_set()
    assert (publisher.sent, publisher.dropped) == (2, 0)


def test_publish__a_failing_listener_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    publisher = EmbeddedHintPublisher()
    nudged = threading.Event()

    def fail() -> None:
        raise KeyError("boom")

    publisher.listen(fail)
    publisher.listen(nudged.set)
    for _ in range(5):
        publisher.publish(uuid4())

    assert nudged.is_set()
    assert caplog.messages == ["a listener for hints failed"]


@pytest.fixture(params=["amqp", "embedded"])
def publisher(request: pytest.FixtureRequest, free_port: int) -> Iterator[HintPublisher]:
    """A publisher that can not reach anybody."""
    if request.param == "embedded":
        yield EmbeddedHintPublisher()
    else:
        found = AmqpHintPublisher(own_topology(f"amqp://u:p@127.0.0.1:{free_port}/"), capacity=1)
        yield found
        found.close(0)


def test_contract__without_anybody_to_reach_it_returns_false_at_once(publisher: HintPublisher) -> None:
    publisher.publish(uuid4())
    started = time.monotonic()

    assert publisher.publish(uuid4(), queue="saga.compensate") is False
    assert time.monotonic() - started < 1
    assert publisher.sent == 0
    assert publisher.dropped >= 1


def test_contract__after_close_nothing_is_taken(publisher: HintPublisher) -> None:
    publisher.close(0.1)
    publisher.close(0.1)

    assert publisher.publish(uuid4()) is False


@pytest.fixture
def _forget() -> Iterator[None]:
    yield
    close_publishers(0)


@pytest.mark.usefixtures("_forget")
def test_publisher_for__is_one_per_process_and_topology(monkeypatch: pytest.MonkeyPatch) -> None:
    topology = own_topology("amqp://localhost")

    assert publisher_for(topology) is publisher_for(topology)
    assert publisher_for(None) is publisher_for(None)
    assert isinstance(publisher_for(topology), AmqpHintPublisher)
    assert isinstance(publisher_for(None), EmbeddedHintPublisher)

    mine = publisher_for(topology)
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        assert publisher_for(topology) is not mine
        close_publishers(0)
    assert publisher_for(topology) is mine


@pytest.mark.usefixtures("_forget")
def test_close_publishers__the_next_use_makes_new_ones() -> None:
    before = publisher_for(None)

    close_publishers(0)

    assert publisher_for(None) is not before


def test_publisher_for__many_threads_get_the_same_one() -> None:
    found: list[HintPublisher] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait(5)
        found.append(transports.publisher_for(None))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(set(map(id, found))) == 1
    close_publishers(0)
