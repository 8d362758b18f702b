"""A request never waits for the broker."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from sagas.models import Saga
from sagas.transports import close_publishers
from tests.api.people import URL, Caller
from tests.services.waiting import wait_until


@pytest.fixture
def silent_broker(settings: Any) -> Iterator[socket.socket]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings.SAGAS = settings.SAGAS | {"BROKER_URL": f"amqp://guest:guest@127.0.0.1:{port}/"}
        server.settimeout(10)
        yield server
        close_publishers(timeout=0)


@pytest.mark.django_db(transaction=True)
def test_start__while_the_broker_says_nothing(silent_broker: socket.socket) -> None:
    caller = Caller("owner")

    response = caller.post(URL, {"name": "api_open"})

    # The publisher still waits for the first word when the answer is there.
    connection, _ = silent_broker.accept()
    with connection:
        connection.settimeout(10)
        assert connection.recv(8).startswith(b"AMQP")
        assert response.status_code == 201
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
    assert Saga.objects.get().wake_at is not None


@pytest.mark.django_db(transaction=True)
def test_start__while_nobody_listens(settings: Any, free_port: int) -> None:
    settings.SAGAS = settings.SAGAS | {"BROKER_URL": f"amqp://guest:guest@127.0.0.1:{free_port}/"}

    response = Caller("owner").post(URL, {"name": "api_open"})

    close_publishers(timeout=0)
    assert response.status_code == 201
    assert wait_until(lambda: Saga.objects.get().wake_at)
