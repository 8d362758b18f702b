"""Names and declarations, and what a refusal of the broker means. No broker here: see `test_declare`."""

import pytest

from sagas.transports import Topology, TopologyError, TransportError
from sagas.transports.topology import declarations, no_answer, refusal

URL = "amqp://localhost"


def test_topology__each_participant_has_a_queue_of_its_own() -> None:
    topology = Topology(url=URL, extra_queues=("billing",))

    assert topology.hint_queues == ("saga.steps", "saga.compensate", "saga.steps.billing")
    assert topology.participant_queue("billing") == "saga.steps.billing"
    assert topology.participant_queue("") == "saga.steps"


@pytest.mark.parametrize(
    "changes",
    [
        {"exchange": ""},
        {"step_queue": "x" * 256},
        {"step_queue": "ü" * 128},
        {"exchange": "amq.topic"},
        {"step_queue": "saga.*"},
        {"step_queue": "saga.#"},
        {"compensate_queue": "saga.steps"},
        {"dead_letter_queue": "saga.compensate"},
        {"dead_letter_exchange": "sagas"},
        {"extra_queues": ("a", "a")},
    ],
)
def test_topology__refuses_names_that_can_not_work(changes: dict[str, object]) -> None:
    with pytest.raises(TopologyError, match="expected"):
        Topology(url=URL, **changes)  # type: ignore[arg-type]


def test_declarations__queues_are_durable_quorum_with_limit_and_dead_letters() -> None:
    plan = declarations(Topology(url=URL, extra_queues=("billing",), delivery_limit=7))

    queues = {item.arguments["queue"]: item.arguments for item in plan if item.kind == "queue"}
    assert set(queues) == {"saga.steps", "saga.compensate", "saga.steps.billing", "saga.dead-letter"}
    assert all(each["durable"] and each["arguments"]["x-queue-type"] == "quorum" for each in queues.values())
    assert queues["saga.steps"]["arguments"]["x-delivery-limit"] == 7
    assert queues["saga.steps"]["arguments"]["x-dead-letter-exchange"] == "saga.dead-letter"


def test_refusal__of_another_kind_keeps_the_brokers_words() -> None:
    error = refusal(403, "ACCESS_REFUSED - access to queue 'q' refused for user 'u'")

    assert type(error) is TransportError
    assert "access to queue 'q' refused for user 'u'" in str(error)


def test_refusal__is_about_the_topology_even_when_the_broker_cut_its_words() -> None:
    name = "q" * 150
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'durable' for queue '{name}' in vhost '/': received 'true' but cu..."
    )

    whole, half = refusal(406, text), refusal(406, text[:120])

    assert isinstance(whole, TopologyError)
    assert f"rabbitmqctl -p / delete_queue {name}" in str(whole)
    assert isinstance(half, TopologyError)
    assert "inequivalent arg 'durable'" in str(half)


def test_no_answer__names_the_queue_that_was_asked_for_and_the_command_that_mends_it() -> None:
    topology = Topology(url="amqp://u:secret@h/v")

    about = no_answer(topology, {"saga.compensate"}, seconds=30)
    general = no_answer(topology, set(), seconds=30)

    assert str(about).endswith("rabbitmqctl -p v delete_queue saga.compensate")
    assert str(general) == "the broker did not answer for 30 s"


def test_refusal__odd_names_stay_safe_to_paste() -> None:
    text = (
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'a'; rm -rf b' in vhost '/': "
        "received 'true' but current is 'false'"
    )

    assert str(refusal(406, text)).endswith("""rabbitmqctl -p / delete_queue 'a'"'"'; rm -rf b'""")
