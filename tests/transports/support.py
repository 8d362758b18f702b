"""What several tests of the transports use: names, a hand on the broker, an inbox to wait at."""

import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Any
from uuid import UUID

import pika

from sagas.transports import Hint, Topology
from sagas.transports.errors import TransportError
from sagas.transports.hints import decode_hints
from sagas.transports.topology import declarations
from tests.services.waiting import wait_until


def own_topology(url: str, **changes: Any) -> Topology:
    """A topology whose names nobody else has."""
    own = f"t{secrets.token_hex(4)}"
    names = {
        "exchange": f"{own}.sagas",
        "step_queue": f"{own}.steps",
        "compensate_queue": f"{own}.compensate",
        "dead_letter_exchange": f"{own}.dead",
        "dead_letter_queue": f"{own}.dead",
    }
    return Topology(url=url, connection_name=own, **(names | changes))


class Inbox:
    """Receives hints and states on the transport's thread, for a test that waits."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []
        self.states: list[tuple[bool, TransportError | None]] = []

    def put(self, hint: Hint) -> None:
        self.hints.append(hint)

    def put_state(self, connected: bool, error: TransportError | None) -> None:
        self.states.append((connected, error))

    @property
    def ids(self) -> list[UUID]:
        return [hint.saga_id for hint in self.hints]

    def wait_for(self, *saga_ids: UUID, within: float = 10) -> list[Hint]:
        """The first hint of each of these sagas, as soon as all have come."""
        wait_until(lambda: set(saga_ids) <= set(self.ids), within=within, what=f"hints of {saga_ids}")
        return [self.hints[self.ids.index(saga_id)] for saga_id in saga_ids]

    @staticmethod
    def wait_until(condition: Callable[[], Any], *, within: float = 10, what: str = "") -> None:
        wait_until(condition, within=within, what=what)


class Broker:
    """Plain calls to the broker over a connection of its own, opened anew when the broker has closed it."""

    def __init__(self, url: str) -> None:
        self._parameters = pika.URLParameters(url)
        self._connection: pika.BlockingConnection | None = None
        self._channel: Any = None

    def __enter__(self) -> "Broker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.close()

    @property
    def channel(self) -> Any:
        """An open channel."""
        if self._channel is None or not self._channel.is_open:
            if self._connection is not None and self._connection.is_open:
                self._connection.close()
            self._connection = pika.BlockingConnection(self._parameters)
            self._channel = self._connection.channel()
        return self._channel

    def publish(self, exchange: str, key: str, body: bytes) -> None:
        """Send a raw message, and know that the broker has it."""
        self.channel.confirm_delivery()
        self.channel.basic_publish(exchange, key, body, mandatory=True)

    def try_publish(self, exchange: str, key: str, body: bytes) -> bool:
        """Send a raw message; False if it has nowhere to go (yet)."""
        try:
            self.publish(exchange, key, body)
        except (pika.exceptions.UnroutableError, pika.exceptions.ChannelClosedByBroker):
            return False
        return True

    def get(self, queue: str, *, within: float = 10) -> tuple[Any, bytes]:
        """Take one message off: its properties and its body."""

        def take() -> Any:
            method, properties, body = self.channel.basic_get(queue, auto_ack=True)
            return method and (properties, body)

        found = wait_until(take, within=within, what=f"a message in {queue}")
        return found[0], found[1]

    def take_ids(self, queue: str) -> list[UUID]:
        """Take all hints off that are ready now."""
        found = []
        while (taken := self.channel.basic_get(queue, auto_ack=True))[0] is not None:
            found += decode_hints(taken[2])
        return found

    def depth(self, queue: str) -> int:
        """Messages that are ready in the queue."""
        return int(self.channel.queue_declare(queue, passive=True).method.message_count)

    def exists(self, queue: str) -> bool:
        """Whether there is such a queue."""
        try:
            self.channel.queue_declare(queue, passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        return True

    def remove(self, topology: Topology) -> None:
        """Delete what was declared for a topology."""
        for item in declarations(topology):
            if item.kind == "queue":
                self.channel.queue_delete(item.arguments["queue"])
            elif item.kind == "exchange":
                self.channel.exchange_delete(item.arguments["exchange"])
