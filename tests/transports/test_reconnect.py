"""Connections lost in every way, on a broker of our own: hints flow again, the log stays short, pika is not heard."""

import logging
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from sagas.core.retry import RetryPolicy
from sagas.transports import Topology, TransportConnectionError, TransportError, declare
from sagas.transports.amqp import AmqpHintConsumer, AmqpHintPublisher, link
from tests.services.rabbitmq import PrivateRabbitMQ
from tests.services.waiting import wait_until

from .support import Broker, Inbox, own_topology

MakeConsumer = Callable[..., AmqpHintConsumer]
MakePublisher = Callable[..., AmqpHintPublisher]


@pytest.fixture
def private(private_rabbitmq: PrivateRabbitMQ, monkeypatch: pytest.MonkeyPatch) -> Topology:
    """Names on the private broker; they stay behind there. The back-off does not grow: a test is impatient."""
    monkeypatch.setattr(link, "_BACKOFF", RetryPolicy(base=0.5, cap=0.5))
    return own_topology(private_rabbitmq.url)


def _flows(publisher: AmqpHintPublisher, inbox: Inbox) -> bool:
    """Whether a fresh hint comes through."""
    saga_id = uuid4()
    publisher.publish(saga_id)
    try:
        inbox.wait_for(saga_id, within=0.5)
    except AssertionError:
        return False
    return True


def _survives_a_kill(broker: PrivateRabbitMQ, topology: Topology) -> bool:
    """RabbitMQ writes the names of new quorum queues to disk with seconds of delay, and knows no others after a kill.

    Such a queue finds no leader: see `no_answer`.
    """
    (names,) = broker._place.path.glob("mnesia/*/quorum/*/names.dets")
    written = names.read_bytes()
    return all(queue.encode() in written for queue in (*topology.hint_queues, topology.dead_letter_queue))


def test_connections_closed_by_the_broker__both_come_back(
    private: Topology,
    private_rabbitmq: PrivateRabbitMQ,
    inbox: Inbox,
    make_consumer: MakeConsumer,
    make_publisher: MakePublisher,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="sagas")
    consumer, publisher = make_consumer(private, on_state=inbox.put_state), make_publisher(private)
    wait_until(lambda: _flows(publisher, inbox))
    unanswered = inbox.hints[-1]

    private_rabbitmq.ctl("close_all_connections", "for the test")
    wait_until(lambda: (False, True) == (inbox.states[1][0], inbox.states[-1][0]))
    wait_until(lambda: _flows(publisher, inbox), within=20)

    assert inbox.ids.count(unanswered.saga_id) == 2
    assert isinstance(inbox.states[1][1], TransportConnectionError)
    assert "refused: CONNECTION_FORCED - for the test" in str(inbox.states[1][1])
    assert consumer.error is None
    assert len([line for line in caplog.messages if "trying again" in line]) == 2
    assert len([line for line in caplog.messages if "connected (attempt" in line]) in (2, 3, 4)


@pytest.mark.parametrize("mode", ["app", "kill"])
def test_broker_restarted__hints_flow_again(
    mode: str,
    private: Topology,
    private_rabbitmq: PrivateRabbitMQ,
    inbox: Inbox,
    make_consumer: MakeConsumer,
    make_publisher: MakePublisher,
) -> None:
    consumer, publisher = make_consumer(private), make_publisher(private)
    wait_until(lambda: _flows(publisher, inbox))

    wait_until(lambda: mode == "app" or _survives_a_kill(private_rabbitmq, private), within=30)

    private_rabbitmq.restart(mode)
    wait_until(lambda: _flows(publisher, inbox), within=45)

    assert consumer.connected


def test_broker_wiped__everything_is_declared_again(
    private: Topology,
    private_rabbitmq: PrivateRabbitMQ,
    inbox: Inbox,
    make_consumer: MakeConsumer,
    make_publisher: MakePublisher,
) -> None:
    make_consumer(private)
    publisher = make_publisher(private)
    wait_until(lambda: _flows(publisher, inbox))

    private_rabbitmq.wipe()

    wait_until(lambda: _flows(publisher, inbox), within=45)


def test_broker_away__the_log_stays_short_and_pika_is_not_heard(
    private: Topology,
    private_rabbitmq: PrivateRabbitMQ,
    make_publisher: MakePublisher,
    make_consumer: MakeConsumer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.getLogger("pika").setLevel(logging.NOTSET)
    consumer = make_consumer(private)
    private_rabbitmq.kill()
    publisher = make_publisher(private)
    for _ in range(100):
        publisher.publish(uuid4())
    attempts = consumer._link._attempt

    wait_until(lambda: consumer._link._attempt >= attempts + 4, within=30)

    assert not [record.name for record in caplog.records if record.name.startswith("pika")]
    about = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(about) <= 4
    assert isinstance(consumer.error, TransportConnectionError)
    assert not consumer.zombie(time.monotonic())


def test_broker_frozen__publishing_stays_quick_and_stopping_is_bounded(
    private: Topology,
    private_rabbitmq: PrivateRabbitMQ,
    inbox: Inbox,
    make_consumer: MakeConsumer,
    make_publisher: MakePublisher,
) -> None:
    consumer, publisher = make_consumer(private), make_publisher(private, capacity=500)
    wait_until(lambda: _flows(publisher, inbox))

    private_rabbitmq.freeze()
    started = time.monotonic()
    for _ in range(5_000):
        publisher.publish(uuid4())
    published = time.monotonic() - started
    consumer.stop(0.5)
    publisher.close(0.5)

    assert published < 2
    assert time.monotonic() - started < 8
    assert not consumer._link.alive
    assert not publisher.connected


def test_broker_frozen__bytes_do_not_pile_up_in_the_process(
    private: Topology, private_rabbitmq: PrivateRabbitMQ, make_publisher: MakePublisher
) -> None:
    """A broker that reads no more: hints wait in their bounded queue, not in the buffers of the socket."""
    declare(private)
    publisher = make_publisher(private, capacity=20_000)
    publisher.publish(uuid4())
    wait_until(lambda: publisher.connected)
    line = publisher._line()

    private_rabbitmq.freeze()

    def is_full() -> bool:
        answers = [publisher.publish(uuid4()) for _ in range(5_000)]
        return not all(answers)

    wait_until(is_full, within=30)
    assert line.link.congested < 1_000_000


def test_broker_out_of_memory__hints_are_held_back_then_sent(
    private: Topology,
    private_rabbitmq: PrivateRabbitMQ,
    inbox: Inbox,
    make_consumer: MakeConsumer,
    make_publisher: MakePublisher,
) -> None:
    make_consumer(private)
    publisher = make_publisher(private, capacity=50)
    wait_until(lambda: _flows(publisher, inbox))

    private_rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1")
    wait_until(lambda: not publisher.publish(uuid4()), within=10, what="hints are dropped")
    private_rabbitmq.ctl("set_vm_memory_high_watermark", "0.4")

    wait_until(lambda: _flows(publisher, inbox), within=45)


def test_topology_changed_while_running__says_so_and_heals(
    private: Topology,
    private_rabbitmq: PrivateRabbitMQ,
    inbox: Inbox,
    make_consumer: MakeConsumer,
) -> None:
    with Broker(private.url) as broker:
        broker.channel.queue_declare(private.compensate_queue, durable=True)
        consumer = make_consumer(private, on_state=inbox.put_state, wait=False)
        wait_until(lambda: inbox.states)
        assert inbox.states[0][0] is False
        assert isinstance(inbox.states[0][1], TransportError)
        assert f"delete_queue {private.compensate_queue}" in str(consumer.error)

        broker.channel.queue_delete(private.compensate_queue)
    wait_until(lambda: consumer.connected, within=20)
