"""A process that publishes and ends at once takes no hint along; and pika is only imported where there is a broker."""

import json
import subprocess
import sys
from uuid import uuid4

from sagas.transports import Topology, declare

from .support import Broker

_PUBLISH = """
import sys
from uuid import UUID
from sagas.transports import Topology, publisher_for
names = dict(pair.split("=", 1) for pair in sys.argv[2:])
publisher_for(Topology(**names)).publish(UUID(sys.argv[1]))
"""

_WITHOUT_BROKER = """
import sys, uuid
from sagas.transports import publisher_for
publisher_for(None).publish(uuid.uuid4())
sys.exit("pika" in sys.modules)
"""


def test_process_end__waiting_hints_are_flushed(topology: Topology, broker: Broker) -> None:
    declare(topology)
    saga_id = uuid4()
    names = [f"{name}={getattr(topology, name)}" for name in ("url", "exchange", "step_queue")]

    subprocess.run([sys.executable, "-W", "error", "-c", _PUBLISH, str(saga_id), *names], check=True, timeout=30)

    assert json.loads(broker.get(topology.step_queue)[1])["saga"] == str(saga_id)


def test_process_end__without_a_broker_it_does_not_hang(free_port: int) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            _PUBLISH,
            str(uuid4()),
            f"url=amqp://u:secret@127.0.0.1:{free_port}/",
        ],
        check=True,
        timeout=15,
        capture_output=True,
        text=True,
    )

    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_embedded__does_not_import_pika() -> None:
    subprocess.run([sys.executable, "-c", _WITHOUT_BROKER], check=True, timeout=30)
