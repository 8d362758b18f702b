"""Declaring at a real broker: what exists otherwise is named, with the command that mends it."""

import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sagas.transports import (
    BrokerUrlError,
    Topology,
    TopologyError,
    TransportConnectionError,
    TransportError,
    declare,
)
from tests.services.rabbitmq import PrivateRabbitMQ, with_vhost

from .support import Broker, own_topology


def test_declare__makes_what_is_missing_and_is_idempotent(topology: Topology, broker: Broker) -> None:
    declare(topology)
    declare(topology)

    assert all(broker.exists(queue) for queue in (*topology.hint_queues, topology.dead_letter_queue))
    for queue in topology.hint_queues:
        broker.publish(topology.exchange, queue, b"routed")
        assert broker.get(queue)[1] == b"routed"


def _classic_queue(channel: Any, topology: Topology) -> None:
    channel.queue_declare(topology.step_queue, durable=True)


def _other_limit(channel: Any, topology: Topology) -> None:
    arguments = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": topology.dead_letter_exchange,
        "x-delivery-limit": 5,
    }
    channel.queue_declare(topology.step_queue, durable=True, arguments=arguments)


def _direct_exchange(channel: Any, topology: Topology) -> None:
    channel.exchange_declare(topology.exchange, "direct", durable=True)


def _transient_exchange(channel: Any, topology: Topology) -> None:
    channel.exchange_declare(topology.dead_letter_exchange, "topic")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            _classic_queue,
            "queue '{step_queue}' exists with other arguments: expected x-dead-letter-exchange "
            "{dead_letter_exchange}, found none.",
        ),
        (
            _other_limit,
            "queue '{step_queue}' exists with other arguments: expected x-delivery-limit 100, found 5",
        ),
        (
            _direct_exchange,
            "exchange '{exchange}' exists with other arguments: expected type topic, found direct",
        ),
        (
            _transient_exchange,
            "exchange '{dead_letter_exchange}' exists with other arguments: expected durable true, found false",
        ),
    ],
)
def test_declare__names_what_differs_and_the_command_that_mends_it(
    make: Callable[[Any, Topology], None], text: str, private_rabbitmq: PrivateRabbitMQ
) -> None:
    """The command is run as it is printed."""
    topology = own_topology(private_rabbitmq.create_vhost("a vhost"), step_queue="steps of 'us'")
    with Broker(topology.url) as broker:
        make(broker.channel, topology)

    with pytest.raises(TopologyError) as caught:
        declare(topology)
    names = {name: getattr(topology, name) for name in ("step_queue", "exchange", "dead_letter_exchange")}
    expected = text.replace("'{step_queue}'", repr(topology.step_queue)).format(**names)
    assert expected in str(caught.value)

    program, *words = shlex.split(str(caught.value).partition("): ")[2])
    assert program == "rabbitmqctl"
    private_rabbitmq.ctl(*words)
    declare(topology)
    private_rabbitmq.ctl("delete_vhost", "a vhost")


@pytest.fixture
def other_server() -> Iterator[int]:
    """A server that is no broker: it says something else and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                client.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_declare__nobody_listens(free_port: int) -> None:
    with pytest.raises(TransportConnectionError) as caught:
        declare(own_topology(f"amqp://u:secret@127.0.0.1:{free_port}/v"))

    assert (
        str(caught.value)
        == f"the broker at amqp://u:***@127.0.0.1:{free_port}/v can not be reached: Connection refused"
    )


def test_declare__another_server(other_server: int) -> None:
    with pytest.raises(TransportConnectionError, match=r"amqp://u:\*\*\*@127.0.0.1:\d+/ "):
        declare(own_topology(f"amqp://u:secret@127.0.0.1:{other_server}/"))


def test_declare__unknown_host() -> None:
    with pytest.raises(TransportConnectionError, match="its host name is unknown"):
        declare(own_topology("amqp://u:secret@no-such-host.invalid/"))


def test_declare__wrong_password(broker_url: str) -> None:
    host = broker_url.rpartition("@")[2]

    with pytest.raises(TransportConnectionError, match="refused: ACCESS_REFUSED - Login was refused") as caught:
        declare(own_topology(f"amqp://nobody:secret@{host}"))

    assert "secret" not in str(caught.value)


def test_declare__unknown_vhost(broker_url: str) -> None:
    with pytest.raises(TransportConnectionError, match="refused: NOT_ALLOWED - vhost no-such-vhost not found"):
        declare(own_topology(with_vhost(broker_url, "no-such-vhost")))


def test_declare__a_user_who_may_not(private_rabbitmq: PrivateRabbitMQ) -> None:
    private_rabbitmq.create_vhost("guarded")
    private_rabbitmq.ctl("add_user", "visitor", "pw")
    private_rabbitmq.ctl("set_permissions", "-p", "guarded", "visitor", "^$", ".*", ".*")
    url = f"amqp://visitor:pw@127.0.0.1:{private_rabbitmq.port}/guarded"

    with pytest.raises(TransportError, match=r"access to exchange .* refused for user 'visitor'"):
        declare(own_topology(url))

    private_rabbitmq.ctl("delete_user", "visitor")
    private_rabbitmq.ctl("delete_vhost", "guarded")


def test_declare__an_unusable_url() -> None:
    with pytest.raises(BrokerUrlError, match="there is no host"):
        declare(own_topology("amqp://"))


def test_declare__no_answer_in_time(private_rabbitmq: PrivateRabbitMQ) -> None:
    topology = own_topology(private_rabbitmq.url)
    private_rabbitmq.freeze()
    started = time.monotonic()

    with pytest.raises(TransportConnectionError, match=r"did not answer within 0\.5 s"):
        declare(topology, timeout=0.5)

    assert time.monotonic() - started < 5
