"""A worker and a real broker: hints, queues, and a broker that is not as it must be."""

import secrets
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sagas.definitions.ids import new_id
from sagas.engine.notify import topology
from sagas.models import Saga
from sagas.models import Worker as WorkerRow
from sagas.transports import TopologyError, declare
from sagas.transports.hints import encode_hint
from tests.engine.kit import Kit
from tests.services.waiting import wait_until
from tests.transports.support import Broker

from .conftest import Crew, ended, statuses
from .test_program import Program


@pytest.fixture
def own_names(broker_url: str, quick: Callable[..., None]) -> Iterator[dict[str, Any]]:
    """SAGAS with the broker, and names there that nobody else has. The sweep is slow: only hints are quick."""
    own = f"w{secrets.token_hex(4)}"
    names = {
        "BROKER_URL": broker_url,
        "EXCHANGE": f"{own}.sagas",
        "STEP_QUEUE": f"{own}.steps",
        "COMPENSATE_QUEUE": f"{own}.compensate",
        "DEAD_LETTER_EXCHANGE": f"{own}.dead",
        "DEAD_LETTER_QUEUE": f"{own}.dead",
        "SWEEP_EVERY": 60,
        "HINT_GRACE": 60,
    }
    quick(**names)
    yield names
    quick(**names)
    found = topology()
    assert found is not None
    with Broker(broker_url) as broker:
        broker.remove(found)


@pytest.fixture
def broker(broker_url: str) -> Iterator[Broker]:
    with Broker(broker_url) as found:
        yield found


def connected(worker: Any) -> Any:
    wait_until(lambda: worker.consumer.connected, what="the consumer is connected")
    return worker


@pytest.mark.usefixtures("on_postgres")
def test_hints__carry_a_saga_from_its_start_to_its_end(kit: Kit, crew: Crew, own_names: dict[str, Any]) -> None:
    good = kit.pair()
    connected(crew.start(consume=True))

    sagas = Saga.objects.start_many(good, [{}] * 5)
    completed = ended(*sagas, within=20)
    done = Saga.objects.start(good)

    # Far quicker than the sweep would have been.
    assert all(saga.is_completed for saga in completed)
    assert ended(done, within=20)[0].is_completed


@pytest.mark.usefixtures("on_postgres")
def test_hints__of_an_operators_wish(kit: Kit, crew: Crew, own_names: dict[str, Any]) -> None:
    definition = kit.define(kit.step("first"), kit.step("second", handler={"queue": "nowhere"}))
    saga = Saga.objects.start(definition)
    connected(crew.start(consume=True, queues=[""]))
    wait_until(lambda: statuses(saga)["first"] == "completed")

    saga.compensate(reason="after all")

    assert ended(saga, within=20)[0].is_compensated


@pytest.mark.usefixtures("on_postgres")
def test_hint_for_an_unknown_saga__is_acknowledged(
    kit: Kit, crew: Crew, broker: Broker, own_names: dict[str, Any]
) -> None:
    definition = kit.pair()
    worker = connected(crew.start(consume=True))

    for _ in range(20):
        broker.publish(own_names["EXCHANGE"], own_names["STEP_QUEUE"], encode_hint(new_id()))
    broker.publish(own_names["EXCHANGE"], own_names["STEP_QUEUE"], b"no hint at all")

    assert broker.get(own_names["DEAD_LETTER_QUEUE"])[1] == b"no hint at all"
    assert ended(Saga.objects.start(definition), within=20)[0].is_completed
    crew.stop(worker)  # what is not acknowledged goes back to its queue
    assert broker.depth(own_names["STEP_QUEUE"]) == 0
    assert broker.depth(own_names["DEAD_LETTER_QUEUE"]) == 0


@pytest.mark.usefixtures("on_postgres")
def test_queues__hints_reach_the_workers_that_serve_them(
    kit: Kit, crew: Crew, broker: Broker, own_names: dict[str, Any], quick: Callable[..., None]
) -> None:
    definition = kit.define(kit.step("order"), kit.step("pay", handler={"queue": "payments"}), kit.step("ship"))
    quick(**own_names)  # the topology is made anew, with the queue
    saga = Saga.objects.start(definition)
    connected(crew.start(consume=True, queues=[""]))
    wait_until(lambda: statuses(saga)["order"] == "completed", within=20)
    assert statuses(saga)["pay"] == "pending"

    connected(crew.start(consume=True, queues=["payments"]))

    assert ended(saga, within=20)[0].is_completed


@pytest.mark.usefixtures("on_postgres")
def test_broker_away__sagas_go_on_without_it(
    kit: Kit, crew: Crew, own_names: dict[str, Any], quick: Callable[..., None]
) -> None:
    quick(**{**own_names, "BROKER_URL": "amqp://guest:guest@127.0.0.1:1/", "SWEEP_EVERY": 60, "HINT_GRACE": 0.05})
    definition = kit.pair()
    worker = crew.start(consume=True)

    assert ended(Saga.objects.start(definition))[0].is_completed
    assert crew.stop(worker) == 0


@pytest.fixture
def program(on_postgres: str, database_url: str, tmp_path: Path, own_names: dict[str, Any]) -> Iterator[Program]:
    found = Program(database_url, tmp_path, on_postgres)
    found.environment |= {f"SAGAS_{name}": str(value) for name, value in own_names.items()}
    found.environment["BROKER_URL"] = own_names["BROKER_URL"]
    yield found
    found.end()


def test_program__queue_with_other_arguments__exit_2_with_what_mends_it(
    program: Program, broker: Broker, own_names: dict[str, Any]
) -> None:
    broker.channel.queue_declare(own_names["STEP_QUEUE"], durable=True)  # a classic one

    assert program.run("--processes", "2") == 2

    assert f"queue '{own_names['STEP_QUEUE']}' exists with other arguments" in program.said
    assert "rabbitmqctl" in program.said
    assert "delete_queue" in program.said
    assert "Traceback" not in program.said
    assert not WorkerRow.objects.exists()


def test_program__hints_and_sigterm(program: Program, broker: Broker, own_names: dict[str, Any]) -> None:
    from tests.engine.kit import forgetting

    from .program.handlers import register

    with forgetting():
        register()
        worker = program.start("--processes", "2", "--prefetch", "10")
        wait_until(lambda: WorkerRow.objects.filter(beat__gt=0).count() == 2, within=30)
        saga = program.saga("plain", reject="s3")

    assert ended(saga, within=30)[0].is_compensated
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0, program.said
    assert not WorkerRow.objects.exists()
    assert broker.depth(own_names["STEP_QUEUE"]) == 0


@pytest.mark.usefixtures("on_postgres")
def test_in_process__queue_with_other_arguments__does_not_start(
    crew: Crew, broker: Broker, own_names: dict[str, Any]
) -> None:
    found = topology()
    assert found is not None
    declare(found)
    broker.channel.queue_delete(own_names["COMPENSATE_QUEUE"])
    broker.channel.queue_declare(own_names["COMPENSATE_QUEUE"], durable=True)

    with pytest.raises(TopologyError, match="exists with other arguments"):
        crew.start(consume=True)

    crew._running.clear()
    assert not WorkerRow.objects.exists()
