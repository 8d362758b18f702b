"""The proxy itself: a fault that it does not make would prove nothing about the engine."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from tests.services.proxy import TO_CLIENT, TO_SERVER, Proxy
from tests.services.waiting import wait_until


class Echo:
    """A server that sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.received = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=[client], daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while data := client.recv(65536):
                self.received += data
                client.sendall(data)


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.url) as made:
        yield made


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as made:
        yield made


def until_the_end(proxy: Proxy, sent: bytes) -> bytes:
    """What comes back over a connection of its own until the proxy ends it."""
    received = b""
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as client:
        client.sendall(sent)
        while data := client.recv(100):
            received += data
    return received


def exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += client.recv(count - len(data))
    return data


def test_forward__passes_everything_both_ways(client):
    sent = bytes(range(256)) * 2000
    threading.Thread(target=client.sendall, args=[sent], daemon=True).start()

    assert exactly(client, len(sent)) == sent


def test_drop__is_silence_and_what_was_sent_arrives_when_the_network_is_back(proxy, client):
    proxy.drop()
    client.sendall(b"hello")
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(5)

    proxy.forward()

    client.settimeout(5)
    assert exactly(client, 5) == b"hello"


def test_delay__holds_each_direction_up(proxy, client):
    proxy.delay(0.2)

    began = time.monotonic()
    client.sendall(b"hello")

    assert exactly(client, 5) == b"hello"
    assert time.monotonic() - began >= 0.4


def test_reset__ends_what_is_open_and_serves_what_comes(proxy, client):
    client.sendall(b"a")
    assert exactly(client, 1) == b"a"

    proxy.reset()

    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as another:
        another.sendall(b"b")
        assert exactly(another, 1) == b"b"


def test_refuse__ends_new_connections_too_until_forward(proxy):
    proxy.refuse()
    assert until_the_end(proxy, b"a") == b""

    proxy.forward()

    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as served:
        served.sendall(b"b")
        assert exactly(served, 1) == b"b"


def test_cut_after__lets_exactly_so_many_bytes_reach_the_server(proxy, echo):
    proxy.cut_after(3, TO_SERVER)

    until_the_end(proxy, b"hello")

    assert wait_until(lambda: echo.received, what="the first bytes") == b"hel"


def test_cut_after__lets_exactly_so_many_bytes_reach_the_client(proxy, echo):
    proxy.cut_after(3, TO_CLIENT)

    assert until_the_end(proxy, b"hello") == b"hel"
    assert echo.received == b"hello"


@pytest.fixture
def table(new_database) -> str:
    url = new_database()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE done (id int)")
    return url


def rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) FROM done").fetchone()[0]


def test_swallow_commit__is_done_and_the_client_cannot_know(table):
    with Proxy(table) as proxy:
        connection = psycopg.connect(proxy.url)
        connection.execute("INSERT INTO done VALUES (1)")
        proxy.swallow_commit()

        with pytest.raises(psycopg.OperationalError):
            connection.commit()

        assert proxy.struck.is_set()
        assert rows(table) == 1


def test_lose_commit__is_not_done_and_looks_the_same(table):
    with Proxy(table) as proxy:
        connection = psycopg.connect(proxy.url)
        connection.execute("INSERT INTO done VALUES (1)")
        proxy.lose_commit()

        with pytest.raises(psycopg.OperationalError):
            connection.commit()

        assert proxy.struck.is_set()
        wait_until(lambda: rows(table) == 0, what="rollback")


def test_swallow_commit__strikes_once_and_only_when_asked(table):
    with Proxy(table) as proxy:
        proxy.swallow_commit()
        with pytest.raises(psycopg.OperationalError), psycopg.connect(proxy.url) as struck:
            struck.execute("INSERT INTO done VALUES (1)")
        with psycopg.connect(proxy.url) as spared:
            spared.execute("INSERT INTO done VALUES (2)")

    assert rows(table) == 2
