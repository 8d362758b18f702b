"""The AMQP publisher: immediate, bounded, and indifferent to a broker that is away."""

import json
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from sagas.core.retry import RetryPolicy
from sagas.transports import Topology, declare
from sagas.transports.amqp import AmqpHintPublisher, link
from sagas.transports.amqp import publisher as publisher_module
from sagas.transports.hints import MOST
from tests.services.waiting import wait_until

from .support import Broker, own_topology

MakePublisher = Callable[..., AmqpHintPublisher]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_publish__arrives_in_the_step_queue(topology: Topology, broker: Broker, make_publisher: MakePublisher) -> None:
    declare(topology)
    saga_id = uuid4()

    assert make_publisher(topology).publish(saga_id) is True

    properties, body = broker.get(topology.step_queue)
    assert json.loads(body) == {"saga": str(saga_id), "v": 1}
    assert properties.content_type == "application/json"
    assert properties.delivery_mode == 2


def test_publish__to_another_queue(topology: Topology, broker: Broker, make_publisher: MakePublisher) -> None:
    declare(topology)

    make_publisher(topology).publish(uuid4(), queue=topology.compensate_queue)

    broker.get(topology.compensate_queue)
    assert broker.depth(topology.step_queue) == 0


def test_publish__many_keep_their_order_and_none_is_lost(
    topology: Topology, broker: Broker, make_publisher: MakePublisher
) -> None:
    declare(topology)
    publisher = make_publisher(topology)
    saga_ids = [uuid4() for _ in range(1000)]

    answers = [publisher.publish(saga_id) for saga_id in saga_ids]
    publisher.close(10)

    assert all(answers)
    assert (publisher.sent, publisher.dropped) == (1000, 0)
    assert broker.take_ids(topology.step_queue) == [*saga_ids, saga_ids[-1]]


def test_publish__in_a_rush__are_gathered_and_sent_together(
    topology: Topology, broker: Broker, make_publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(topology)
    monkeypatch.setattr(publisher_module, "_BUSY", -1.0)  # a busy machine …
    monkeypatch.setattr(publisher_module, "_RUSH", 60.0)  # … where all but the first are in a rush
    monkeypatch.setattr(publisher_module, "_GATHER", 0.5)
    publisher = make_publisher(topology)
    first, *rest = [uuid4() for _ in range(1 + MOST + 5)]
    publisher.publish(first)
    wait_until(lambda: publisher.sent == 1, within=10)

    for saga_id in rest:
        publisher.publish(saga_id)

    assert publisher.sent == 1
    wait_until(lambda: publisher.sent > 1, within=10)
    assert publisher.sent == 1 + len(rest)
    wait_until(lambda: broker.depth(topology.step_queue) == 3, within=10)  # one, MOST, and what was left
    assert broker.take_ids(topology.step_queue) == [first, *rest]


def test_publish__for_two_queues__are_not_packed_together(
    topology: Topology, broker: Broker, make_publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(topology)
    monkeypatch.setattr(publisher_module, "_BUSY", -1.0)
    monkeypatch.setattr(publisher_module, "_RUSH", 60.0)
    monkeypatch.setattr(publisher_module, "_GATHER", 0.5)
    publisher = make_publisher(topology)
    publisher.publish(uuid4())
    wait_until(lambda: publisher.sent == 1, within=10)
    steps, undos = [uuid4() for _ in range(4)], [uuid4() for _ in range(4)]

    for step, undo in zip(steps, undos, strict=True):
        publisher.publish(step)
        publisher.publish(undo, queue=topology.compensate_queue)

    wait_until(lambda: broker.depth(topology.compensate_queue) == 4, within=10)
    assert broker.take_ids(topology.compensate_queue) == undos
    assert broker.take_ids(topology.step_queue)[1:] == steps


def test_publish__of_a_lone_caller__never_waits_for_company(
    topology: Topology, make_publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(topology)
    monkeypatch.setattr(publisher_module, "_BUSY", 60.0)  # nobody else is at work
    monkeypatch.setattr(publisher_module, "_RUSH", 60.0)
    monkeypatch.setattr(publisher_module, "_GATHER", 3600.0)
    publisher = make_publisher(topology)

    for number in range(1, 6):
        publisher.publish(uuid4())
        wait_until(lambda expected=number: publisher.sent == expected, within=10)


def test_publish__from_many_threads_loses_none(
    topology: Topology, broker: Broker, make_publisher: MakePublisher
) -> None:
    declare(topology)
    publisher = make_publisher(topology)
    barrier = threading.Barrier(8)

    def send() -> None:
        barrier.wait(10)
        for _ in range(100):
            publisher.publish(uuid4())

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    publisher.close(10)

    assert len(set(broker.take_ids(topology.step_queue))) == 800


def test_publish__without_a_broker_is_quick_and_drops_when_full(free_port: int, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(own_topology(f"amqp://guest:guest@127.0.0.1:{free_port}/"), capacity=10)

    started = time.monotonic()
    answers = [publisher.publish(uuid4()) for _ in range(100)]
    took = time.monotonic() - started

    assert answers == [True] * 10 + [False] * 90
    assert (publisher.sent, publisher.dropped) == (0, 90)
    assert took < 1


def test_publish__to_a_server_that_never_answers_is_quick(silent_port: int, make_publisher: MakePublisher) -> None:
    publisher = make_publisher(own_topology(f"amqp://guest:guest@127.0.0.1:{silent_port}/"), capacity=5)

    started = time.monotonic()
    answers = [publisher.publish(uuid4()) for _ in range(10)]
    publisher.close(0.2)

    assert answers == [True] * 5 + [False] * 5
    assert time.monotonic() - started < 2
    assert publisher.dropped == 10


def test_publish__with_an_unusable_url_drops_and_says_so_once(
    make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = make_publisher(own_topology("amqp://u:secret@host:port/"))

    assert [publisher.publish(uuid4()) for _ in range(3)] == [False] * 3
    assert len(caplog.messages) == 1
    assert "the host and port can not be read" in caplog.text
    assert "secret" not in caplog.text


def test_publish__before_any_worker_has_made_the_exchange(
    topology: Topology, broker: Broker, make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    publisher = make_publisher(topology)
    saga_id = uuid4()
    publisher.publish(saga_id)

    wait_until(lambda: caplog.messages)
    assert f"no exchange '{topology.exchange}'" in caplog.text
    assert "a worker makes it when it starts" in caplog.text

    declare(topology)
    assert json.loads(broker.get(topology.step_queue)[1])["saga"] == str(saga_id)


def test_publish__goes_on_after_its_exchange_was_deleted(
    topology: Topology, broker: Broker, make_publisher: MakePublisher
) -> None:
    declare(topology)
    publisher = make_publisher(topology)
    publisher.publish(uuid4())
    broker.get(topology.step_queue)

    broker.channel.exchange_delete(topology.exchange)
    publisher.publish(uuid4())  # lost, and the channel with it
    declare(topology)

    def sent_again() -> bool:
        publisher.publish(uuid4())
        return broker.depth(topology.step_queue) > 0

    wait_until(sent_again, within=15)


def test_close__sends_what_waits_and_is_idempotent(
    topology: Topology, broker: Broker, make_publisher: MakePublisher
) -> None:
    declare(topology)
    publisher = make_publisher(topology)
    saga_ids = {uuid4() for _ in range(50)}
    for saga_id in saga_ids:
        publisher.publish(saga_id)

    publisher.close(10)
    publisher.close(10)

    assert set(broker.take_ids(topology.step_queue)) == saga_ids
    assert publisher.publish(uuid4()) is False


def test_close__does_not_wait_for_a_broker_that_is_away(
    free_port: int, make_publisher: MakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "_BACKOFF", RetryPolicy(base=60, cap=60, jitter=False))
    publisher = make_publisher(own_topology(f"amqp://guest:guest@127.0.0.1:{free_port}/"))
    publisher.publish(uuid4())
    wait_until(lambda: publisher._line().link.error)

    started = time.monotonic()
    publisher.close(30)

    assert time.monotonic() - started < 3
    assert publisher.dropped == 1


def test_publish__a_forked_child_has_a_line_of_its_own(
    topology: Topology, broker: Broker, make_publisher: MakePublisher
) -> None:
    """gunicorn with preload forks after the application may have published."""
    declare(topology)
    publisher = make_publisher(topology)
    publisher.publish(uuid4())
    broker.get(topology.step_queue)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of exactly what is tested here
        child = os.fork()
    if child == 0:
        publisher.publish(uuid4())
        publisher.close(10)
        os._exit(0 if (publisher.sent, publisher.dropped) == (1, 0) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(set(broker.take_ids(topology.step_queue))) == 1
    assert publisher.sent == 1
    publisher.publish(uuid4())
    broker.get(topology.step_queue)
    assert (publisher.sent, publisher.dropped) == (2, 0)
