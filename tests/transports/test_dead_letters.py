"""What is not a hint goes to the dead letters with a reason, and the consumer lives."""

import json
from collections.abc import Callable
from unittest.mock import create_autospec
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sagas.transports import Topology
from sagas.transports.amqp import AmqpHintConsumer
from sagas.transports.amqp.deadletters import DeadLetters
from sagas.transports.amqp.vendor import Channel
from sagas.transports.hints import MAX_BYTES, encode_hint
from tests.services.waiting import wait_until

from .support import Broker, Inbox, own_topology

MakeConsumer = Callable[..., AmqpHintConsumer]


@pytest.fixture
def consumer(topology: Topology, make_consumer: MakeConsumer) -> AmqpHintConsumer:
    """One consumer for all examples of a test."""
    return make_consumer(topology)


def test_refused__is_copied_with_its_reason_and_then_acknowledged(
    topology: Topology,
    broker: Broker,
    inbox: Inbox,
    make_consumer: MakeConsumer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    consumer = make_consumer(topology)
    saga_id = uuid4()

    broker.publish(topology.exchange, topology.step_queue, b'{"saga": "card 4111 1111"}')
    broker.publish(topology.exchange, topology.step_queue, encode_hint(saga_id))
    properties, body = broker.get(topology.dead_letter_queue)
    consumer.ack_many(inbox.wait_for(saga_id))
    consumer.stop(5)

    assert body == b'{"saga": "card 4111 1111"}'
    assert properties.headers["x-saga-reason"] == "bad_saga_id"
    assert properties.headers["x-saga-queue"] == topology.step_queue
    assert (consumer.received, consumer.refused) == (1, 1)
    assert broker.depth(topology.step_queue) == 0
    assert "is not a hint" in caplog.text
    assert "4111" not in caplog.text


def test_refused__an_oversized_body_is_cut(topology: Topology, broker: Broker, make_consumer: MakeConsumer) -> None:
    make_consumer(topology)
    body = json.dumps({"saga": str(uuid4()), "v": 1, "padding": "x" * 2_000_000}).encode()

    broker.publish(topology.exchange, topology.step_queue, body)

    properties, kept = broker.get(topology.dead_letter_queue)
    assert kept == body[:MAX_BYTES]
    assert properties.headers["x-saga-reason"] == "oversized"
    assert properties.headers["x-saga-size"] == len(body)


def test_refused__many_are_all_kept_and_logged_once_for_each_reason(
    topology: Topology,
    broker: Broker,
    inbox: Inbox,
    make_consumer: MakeConsumer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    consumer = make_consumer(topology)
    for _ in range(100):
        broker.channel.basic_publish(topology.exchange, topology.step_queue, b"\xff")
        broker.channel.basic_publish(topology.exchange, topology.step_queue, b"[]")

    wait_until(lambda: broker.depth(topology.dead_letter_queue) == 200)
    consumer.stop(5)

    assert broker.depth(topology.step_queue) == 0
    assert len([line for line in caplog.messages if "is not a hint" in line]) == 2


def test_refused__does_not_settle_the_hints_around_it(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    """Hints before and after it are unanswered while its copy is being confirmed."""
    consumer = make_consumer(topology)
    saga_ids = [uuid4() for _ in range(6)]
    for number, saga_id in enumerate(saga_ids):
        broker.publish(topology.exchange, topology.step_queue, encode_hint(saga_id))
        if number == 2:
            broker.publish(topology.exchange, topology.step_queue, b"?")
    hints = inbox.wait_for(*saga_ids)
    broker.get(topology.dead_letter_queue)

    consumer.ack_many(hints[3:])
    consumer.stop(5)

    wait_until(lambda: broker.depth(topology.step_queue) == 3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.one_of(st.binary(max_size=2000), st.text().map(lambda text: json.dumps({"saga": text}).encode())))
def test_refused__whatever_the_bytes_the_consumer_lives(
    body: bytes, topology: Topology, broker: Broker, inbox: Inbox, consumer: AmqpHintConsumer
) -> None:
    saga_id = uuid4()
    seen = consumer.received + consumer.refused

    broker.publish(topology.exchange, topology.step_queue, body)
    broker.publish(topology.exchange, topology.step_queue, encode_hint(saga_id))

    consumer.ack_many(inbox.wait_for(saga_id))
    wait_until(lambda: consumer.received + consumer.refused == seen + 2)
    assert consumer.connected


def test_dead_letters__one_confirmation_may_stand_for_many() -> None:
    """The broker answers for all numbers up to one at once, when it is busy."""
    answers: list[tuple[int, str]] = []
    channel = create_autospec(Channel, instance=True)
    letters = DeadLetters(
        Topology(url="amqp://"), channel, settle=lambda *answer: answers.append(answer), redeclare=list
    )
    for tag in (11, 12, 13, 14):
        letters.put(tag, b"?", queue="q", reason="bad_json")
    confirm = channel.watch.call_args.kwargs["on_settled"]

    confirm(2, True, True)
    confirm(4, False, True)
    confirm(3, False, False)

    assert answers == [(11, "done"), (12, "done"), (14, "done"), (13, "dead")]


def test_refused__comes_through_after_the_dead_letter_queue_was_deleted(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    """The copy has nowhere to go: what is missing is declared, and the message delivered and refused once more."""
    consumer = make_consumer(topology, look_every=1000)
    broker.channel.queue_delete(topology.dead_letter_queue)

    broker.publish(topology.exchange, topology.step_queue, b"?")

    wait_until(lambda: broker.exists(topology.dead_letter_queue))
    properties, _ = broker.get(topology.dead_letter_queue)
    assert properties.headers["x-saga-reason"] == "bad_json"
    consumer.stop(5)
    assert broker.depth(topology.step_queue) == 0


def test_given_back_too_often__becomes_a_dead_letter(
    broker_url: str, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    """The broker's own limit: a hint can not go round for ever, and its saga is the sweep's."""
    topology = own_topology(broker_url, delivery_limit=2)
    consumer = make_consumer(topology)
    saga_id = uuid4()
    broker.publish(topology.exchange, topology.step_queue, encode_hint(saga_id))

    for turn in range(3):
        wait_until(lambda turn=turn: len(inbox.hints) == turn + 1)  # type: ignore[misc]
        consumer.give_back(inbox.hints[turn])

    properties, body = broker.get(topology.dead_letter_queue)
    assert properties.headers["x-death"][0]["reason"] == "delivery_limit"
    assert body == encode_hint(saga_id)
    assert len(inbox.hints) == 3
    consumer.stop(5)
    broker.remove(topology)
