"""The AMQP consumer: receive, answer, give back, pause; and what somebody deletes comes back."""

import threading
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from sagas.transports import Hint, Topology, TopologyError
from sagas.transports.amqp import AmqpHintConsumer
from sagas.transports.amqp.vendor import Channel
from sagas.transports.hints import encode_hint, encode_hints
from tests.services.waiting import wait_until

from .support import Broker, Inbox

MakeConsumer = Callable[..., AmqpHintConsumer]


def test_consumer__declares_receives_and_acknowledges(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(topology)
    saga_id = uuid4()

    broker.publish(topology.exchange, topology.compensate_queue, encode_hint(saga_id))
    (hint,) = inbox.wait_for(saga_id)
    consumer.ack(hint)
    consumer.stop(5)

    assert hint.queue == topology.compensate_queue
    assert broker.depth(topology.compensate_queue) == 0
    assert len(inbox.hints) == 1


def test_consumer__what_is_unanswered_at_the_stop_goes_back(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(topology)
    saga_ids = [uuid4() for _ in range(10)]
    for saga_id in saga_ids:
        broker.publish(topology.exchange, topology.step_queue, encode_hint(saga_id))

    hints = inbox.wait_for(*saga_ids)
    consumer.ack_many(hints[:4])
    consumer.stop(5)

    wait_until(lambda: broker.depth(topology.step_queue) == 6)


def test_ack_many__in_any_order_and_twice(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    """The acknowledgement of a group covers all up to the oldest unanswered tag: no more and no less."""
    consumer = make_consumer(topology)
    saga_ids = [uuid4() for _ in range(20)]
    for saga_id in saga_ids:
        broker.publish(topology.exchange, topology.step_queue, encode_hint(saga_id))
    hints = inbox.wait_for(*saga_ids)

    consumer.ack_many([hints[7], hints[3], hints[19], hints[0], hints[1], hints[0]])
    consumer.ack_many([hints[3], hints[12]])
    consumer.ack(hints[0])
    consumer.stop(5)

    wait_until(lambda: broker.depth(topology.step_queue) == 14)
    assert len(inbox.hints) == 20


def test_consumer__receives_no_more_than_the_prefetch(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(topology, prefetch=3)
    for _ in range(10):
        broker.publish(topology.exchange, topology.step_queue, encode_hint(uuid4()))

    wait_until(lambda: len(inbox.hints) == 3)
    wait_until(lambda: consumer.depths().get(topology.step_queue) == 7)
    consumer.ack_many(inbox.hints[:2])

    wait_until(lambda: len(inbox.hints) == 5)
    wait_until(lambda: consumer.depths().get(topology.step_queue) == 5)
    assert len(inbox.hints) == 5


def test_pause__stops_deliveries_and_resume_brings_them_back(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(topology)
    saga_id = uuid4()

    consumer.pause()
    broker.publish(topology.exchange, topology.step_queue, encode_hint(saga_id))
    wait_until(lambda: consumer.depths().get(topology.step_queue) == 1)
    assert inbox.hints == []
    assert consumer.connected

    consumer.resume()
    inbox.wait_for(saga_id)


def test_give_back__with_the_consumer_paused_does_not_loop(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(topology)
    saga_ids = [uuid4() for _ in range(5)]
    for saga_id in saga_ids:
        broker.publish(topology.exchange, topology.step_queue, encode_hint(saga_id))
    hints = inbox.wait_for(*saga_ids)

    consumer.pause()
    consumer.give_back_many(hints[:4])
    consumer.give_back(hints[4])

    wait_until(lambda: consumer.depths().get(topology.step_queue) == 5)
    cpu = time.process_time()
    looks = [consumer.depths()]
    wait_until(lambda: consumer.depths() is not looks[0])
    assert len(inbox.hints) == 5
    assert time.process_time() - cpu < 0.2

    consumer.resume()
    wait_until(lambda: len(inbox.hints) == 10)
    assert {hint.saga_id for hint in inbox.hints[5:]} == set(saga_ids)


def test_pack__is_answered_for_when_all_its_sagas_are(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(topology)
    done, open_one = [uuid4() for _ in range(3)], [uuid4() for _ in range(3)]
    broker.publish(topology.exchange, topology.step_queue, encode_hints(done))
    broker.publish(topology.exchange, topology.step_queue, encode_hints(open_one))
    hints = inbox.wait_for(*done, *open_one)

    consumer.ack_many([*hints[:4], hints[3], hints[4]])  # all of the first, two of the second (one of them twice)
    consumer.stop(5)

    wait_until(lambda: broker.depth(topology.step_queue) == 1)
    assert broker.take_ids(topology.step_queue) == open_one
    assert consumer.received == 6


def test_pack__of_which_a_part_is_given_back__comes_back_whole(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(topology)
    saga_ids, later = [uuid4() for _ in range(3)], uuid4()
    broker.publish(topology.exchange, topology.step_queue, encode_hints(saga_ids))
    broker.publish(topology.exchange, topology.step_queue, encode_hint(later))
    hints = inbox.wait_for(*saga_ids, later)

    consumer.pause()
    consumer.ack(hints[0])
    consumer.give_back_many(hints[1:2])
    consumer.ack_many(hints[2:])  # the last of the pack, and what came after it, in one go
    wait_until(lambda: consumer.depths().get(topology.step_queue) == 1)
    consumer.resume()

    wait_until(lambda: len(inbox.hints) == 7)
    assert inbox.ids[4:] == saga_ids
    consumer.ack_many(inbox.hints[4:])
    consumer.stop(5)
    assert broker.depth(topology.step_queue) == 0


def test_pause_and_resume__from_many_threads_end_as_told_last(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(topology)

    def toggle() -> None:
        for _ in range(20):
            consumer.pause()
            consumer.resume()

    threads = [threading.Thread(target=toggle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    consumer.resume()
    saga_id = uuid4()
    broker.publish(topology.exchange, topology.step_queue, encode_hint(saga_id))

    (hint,) = inbox.wait_for(saga_id)
    consumer.ack(hint)
    wait_until(lambda: broker.channel.queue_declare(topology.step_queue, passive=True).method.consumer_count == 1)
    assert consumer.error is None


def test_consumer__a_deleted_queue_comes_back_and_is_consumed_again(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(topology, look_every=1000)
    before, after = uuid4(), uuid4()
    broker.publish(topology.exchange, topology.compensate_queue, encode_hint(before))
    (kept,) = inbox.wait_for(before)

    broker.channel.queue_delete(topology.step_queue)
    wait_until(lambda: broker.exists(topology.step_queue))
    wait_until(lambda: broker.channel.queue_declare(topology.step_queue, passive=True).method.consumer_count == 1)
    broker.publish(topology.exchange, topology.step_queue, encode_hint(after))

    inbox.wait_for(after)
    consumer.ack(kept)  # of the other queue, whose channel has lived on
    consumer.stop(5)
    assert broker.depth(topology.compensate_queue) == 0


def test_consumer__all_queues_and_exchanges_deleted_while_paused(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    consumer = make_consumer(topology)
    consumer.pause()
    broker.remove(topology)

    consumer.resume()
    saga_id = uuid4()
    wait_until(lambda: broker.try_publish(topology.exchange, topology.step_queue, encode_hint(saga_id)))

    inbox.wait_for(saga_id)
    assert broker.exists(topology.dead_letter_queue)


def test_ack__of_an_older_channel_is_harmless(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    """Tags start at 1 again on a new channel: an old answer must not settle another hint."""
    consumer = make_consumer(topology, on_state=inbox.put_state)
    old, new = uuid4(), uuid4()
    broker.publish(topology.exchange, topology.step_queue, encode_hint(old))
    (stale,) = inbox.wait_for(old)

    consumer._link.call(lambda: consumer._link.fail(None))
    wait_until(lambda: [up for up, _ in inbox.states] == [True, False, True])
    wait_until(lambda: len(inbox.hints) == 2)
    broker.publish(topology.exchange, topology.step_queue, encode_hint(new))
    inbox.wait_for(new)
    for answer in (consumer.ack, consumer.give_back):
        answer(stale)
        answer(Hint(new, topology.step_queue, (stale.ref[0], 2)))
    consumer.stop(5)

    wait_until(lambda: broker.depth(topology.step_queue) == 2)
    assert [up for up, _ in inbox.states] == [True, False, True, False]


def test_consumer__a_failing_on_hint_does_not_end_it(
    topology: Topology,
    broker: Broker,
    inbox: Inbox,
    make_consumer: MakeConsumer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail_once(hint: Hint) -> None:
        inbox.put(hint)
        if len(inbox.hints) == 1:
            raise KeyError("boom")

    consumer = make_consumer(topology, on_hint=fail_once)
    first, second = uuid4(), uuid4()
    broker.publish(topology.exchange, topology.step_queue, encode_hint(first))
    broker.publish(topology.exchange, topology.step_queue, encode_hint(second))
    (hint,) = inbox.wait_for(second)
    consumer.ack(hint)
    consumer.stop(5)

    assert (consumer.received, consumer.faults) == (2, 1)
    assert broker.depth(topology.step_queue) == 0
    assert "a hint could not be taken" in caplog.messages


def test_consumer__refuses_queues_it_would_not_declare(topology: Topology) -> None:
    with pytest.raises(TopologyError, match=r"expected queues out of .*, got other"):
        AmqpHintConsumer(topology, queues=["other"], prefetch=1, on_hint=lambda _hint: None)


def test_zombie__only_when_nothing_moves_any_more(topology: Topology, make_consumer: MakeConsumer) -> None:
    consumer = make_consumer(topology)
    now = time.monotonic()

    assert not consumer.zombie(now)
    assert consumer.zombie(now + 120)
    consumer.stop(5)
    assert not consumer.zombie(now + 120)


def test_zombie__a_consumer_that_was_never_started_is_none(topology: Topology) -> None:
    consumer = AmqpHintConsumer(topology, queues=topology.hint_queues, prefetch=1, on_hint=lambda _hint: None)

    assert not consumer.zombie(time.monotonic() + 120)


def test_zombie__its_thread_is_gone(
    topology: Topology, make_consumer: MakeConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = make_consumer(topology)
    with monkeypatch.context() as changed:
        changed.setattr(consumer._link, "_thread", threading.Thread(target=print))

        assert consumer.zombie(time.monotonic())


def test_zombie__every_look_is_a_sign_of_life(topology: Topology, make_consumer: MakeConsumer) -> None:
    consumer = make_consumer(topology, look_every=0.1)
    first = consumer._link.last_alive

    wait_until(lambda: consumer._link.last_alive > first + 0.25)


def test_consumer__a_broker_that_answers_no_more_is_given_up(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ keeps a channel waiting, heartbeats going on, while a quorum queue has no leader."""
    monkeypatch.setattr("sagas.transports.amqp.consumer._ANSWER_WITHIN", 0.5)
    consumer = make_consumer(topology, on_state=inbox.put_state, look_every=0.1)
    silent, declare = consumer._channel, Channel.declare
    monkeypatch.setattr(Channel, "declare", lambda self, *args: self is silent or declare(self, *args))

    wait_until(lambda: [up for up, _ in inbox.states] == [True, False, True])
    assert str(inbox.states[1][1]) == "the broker did not answer for 0.5 s"
    saga_id = uuid4()
    broker.publish(topology.exchange, topology.step_queue, encode_hint(saga_id))
    inbox.wait_for(saga_id)


def test_consumer__a_consumer_that_the_broker_has_forgotten_connects_again(
    topology: Topology, broker: Broker, inbox: Inbox, make_consumer: MakeConsumer
) -> None:
    """The connection is open, declaring works, but nothing would ever be delivered."""
    consumer = make_consumer(topology, on_state=inbox.put_state, look_every=0.1, queues=[topology.step_queue])
    tag = consumer._consuming[topology.step_queue]

    consumer._link.call(lambda: consumer._channel and consumer._channel.cancel(tag))

    wait_until(lambda: [up for up, _ in inbox.states] == [True, False, True])
    assert "the broker has forgotten this consumer" in str(inbox.states[1][1])
    saga_id = uuid4()
    broker.publish(topology.exchange, topology.step_queue, encode_hint(saga_id))
    inbox.wait_for(saga_id)
