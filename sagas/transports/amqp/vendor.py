"""The only module that imports pika: connections, channels and their errors in our words. No policy here.

Everything is called on the thread of the `Loop` that the connection belongs to. A call on a channel that is
gone returns False and changes nothing: what was meant for it (an answer, a hint) means nothing to the next
channel.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pika
from pika.adapters.select_connection import IOLoop
from pika.exceptions import AMQPError, ChannelClosedByBroker, ConnectionClosedByBroker

from ..address import parse_url
from ..errors import BrokerUrlError, TransportConnectionError, TransportError
from ..topology import Declaration, refusal

__all__ = ["Channel", "Connection", "Loop", "QueueState", "check_parameters", "hushed"]

Loop = IOLoop

#: Taken unless the URL says otherwise. `blocked_connection_timeout`: a broker out of memory or disk stops
#: reading.
_DEFAULTS = {
    "heartbeat": 30,
    "blocked_connection_timeout": 15,
    "socket_timeout": 5,
    "stack_timeout": 8,
    "connection_attempts": 1,
    "retry_delay": 0,
}
_DECLARE = {"exchange": "exchange_declare", "queue": "queue_declare", "binding": "queue_bind"}
_QUOTED = re.compile(r"\((\d+)\) ['\"](.*)['\"]", re.DOTALL)


def check_parameters(url: str) -> None:
    """`BrokerUrlError` if a connection to this URL could not even be tried."""
    _parameters(url, "")


def _parameters(url: str, name: str) -> pika.URLParameters:
    address = parse_url(url)
    try:
        parameters = pika.URLParameters(url)
        given = parse_qs(urlsplit(url).query)
        for option, value in _DEFAULTS.items():
            if option not in given:
                setattr(parameters, option, value)
    except (ValueError, TypeError, SyntaxError, OSError) as exc:
        raise BrokerUrlError(f"the broker's URL can not be used: the options of {address} after '?' are wrong") from exc
    parameters.client_properties = {"connection_name": name, "product": "sagas"}
    return parameters


class _Connection(pika.SelectConnection):
    """pika's connection, with one write to the socket for each message, not for each of its three frames."""

    def _output_marshaled_frames(self, marshaled_frames: Sequence[bytes]) -> None:
        super()._output_marshaled_frames([b"".join(marshaled_frames)])

    def unsent(self) -> int:
        return self._get_write_buffer_size() if self.is_open else 0

    def abort(self) -> None:
        self._terminate_stream(pika.exceptions.ConnectionOpenAborted("given up"))


class Connection:
    """One attempt at a connection with one channel on it.

    Calls `on_channel` once when the channel is open, and `on_closed` once at the end, whatever the end was;
    `error` is None if it was `close` that ended it.
    """

    def __init__(
        self,
        url: str,
        loop: Loop,
        *,
        name: str,
        on_channel: Callable[[Channel], None],
        on_closed: Callable[[TransportError | None], None],
    ) -> None:
        self._address = parse_url(url)
        self._on_channel = on_channel
        self._on_closed = on_closed
        self._open = False
        self._closing = False
        self._reason: TransportError | None = None
        self.blocked = False
        self._impl = _Connection(
            _parameters(url, name),
            on_open_callback=self._opened,
            on_open_error_callback=self._ended,
            on_close_callback=self._ended,
            custom_ioloop=loop,
        )
        self._impl.add_on_connection_blocked_callback(partial(self._block, True))
        self._impl.add_on_connection_unblocked_callback(partial(self._block, False))

    @property
    def unsent(self) -> int:
        """Bytes that wait for the socket."""
        return self._impl.unsent()

    def close(self, reason: TransportError | None = None) -> None:
        """Begin to close; the broker has seen everything sent before when `on_closed` is called."""
        self._closing = True
        self._reason = self._reason or reason
        if not (self._impl.is_closing or self._impl.is_closed):
            self._impl.close()

    def abort(self, reason: TransportError | None = None) -> None:
        """Drop the socket, without a word to the broker."""
        self.close(reason)
        if self._open and not self._impl.is_closed:
            self._impl.abort()

    def _opened(self, _connection: object) -> None:
        self._open = True
        if not self._closing:
            self._impl.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: Any) -> None:
        channel.add_on_close_callback(self._channel_closed)
        self._on_channel(Channel(channel))

    def _channel_closed(self, _channel: object, exc: Exception) -> None:
        # There is one way to recover, a new connection: a channel that the broker closes takes it along.
        if isinstance(exc, ChannelClosedByBroker) and not self._closing:
            self.close(refusal(exc.reply_code, exc.reply_text))

    def _ended(self, _connection: object, exc: BaseException) -> None:
        error = self._reason
        if error is None and not self._closing:
            error = self._explain(exc)
            error.__cause__ = exc
        self._on_closed(error)

    def _block(self, blocked: bool, *_args: object) -> None:
        self.blocked = blocked

    def _explain(self, exc: BaseException) -> TransportConnectionError:
        said = _broker_said(exc)
        problem = f"refused: {said}" if said else _network_problem(exc)
        return TransportConnectionError(f"the broker at {self._address} {problem}")


class QueueState(NamedTuple):
    """What the broker says of a queue when it is declared."""

    messages: int
    consumers: int


class Channel:
    """What can be done on an open channel."""

    __slots__ = ("_impl",)

    def __init__(self, impl: Any) -> None:
        self._impl = impl

    def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        *,
        headers: dict[str, Any] | None = None,
        mandatory: bool = False,
    ) -> bool:
        """Send one message, kept over a restart of the broker."""
        properties = _properties(headers)
        return self._try(self._impl.basic_publish, exchange, key, body, properties, mandatory)

    def ack(self, tag: int, *, multiple: bool = False) -> bool:
        """Settle one delivery, or all up to it."""
        return self._try(self._impl.basic_ack, tag, multiple)

    def nack(self, tag: int, *, requeue: bool) -> bool:
        """Refuse one delivery: back to its queue, or to the dead letters."""
        return self._try(self._impl.basic_nack, tag, False, requeue)

    def declare(self, plan: Iterable[Declaration], done: Callable[[dict[str, QueueState]], None]) -> bool:
        """Make sure that all of `plan` exists; `done` gets what the queues in it hold.

        If something exists with other arguments the broker closes the channel: see `on_closed` of the
        connection.
        """
        found: dict[str, QueueState] = {}
        plan = tuple(plan)
        for number, item in enumerate(plan, 1):
            noted = partial(_note, found, done if number == len(plan) else None)
            if not self._try(getattr(self._impl, _DECLARE[item.kind]), callback=noted, **item.arguments):
                return False
        return True

    def limit(self, prefetch: int) -> bool:
        """At most this many unanswered deliveries for each consumer; quorum queues know no other limit."""
        return self._try(self._impl.basic_qos, prefetch_count=prefetch, global_qos=False)

    def consume(
        self, queue: str, tag: str, on_message: Callable[[int, bytes], None], on_ready: Callable[[], None]
    ) -> bool:
        """Receive (delivery tag, body) of each message in `queue`; `on_ready` when the broker has agreed."""

        def deliver(_channel: object, method: Any, _properties: object, body: bytes) -> None:
            on_message(method.delivery_tag, body)

        agreed = partial(_call, on_ready)
        return self._try(self._impl.basic_consume, queue, deliver, consumer_tag=tag, callback=agreed)

    def cancel(self, tag: str) -> bool:
        """Receive no more; deliveries under way go back to the queue."""
        return self._try(self._impl.basic_cancel, tag, callback=_ignore)

    def watch(
        self, *, on_settled: Callable[[int, bool, bool], None], on_returned: Callable[[dict[str, Any]], None]
    ) -> bool:
        """Have publishing confirmed: `on_settled(number, multiple, accepted)`, numbers counting from 1.

        `on_returned` gets the headers of a mandatory message that had nowhere to go; its confirmation
        follows.
        """

        def settled(frame: Any) -> None:
            method = frame.method
            on_settled(method.delivery_tag, method.multiple, isinstance(method, pika.spec.Basic.Ack))

        self._impl.add_on_return_callback(lambda _channel, _method, props, _body: on_returned(props.headers or {}))
        return self._try(self._impl.confirm_delivery, settled, _ignore)

    def on_consumer_cancelled(self, callback: Callable[[str], None]) -> None:
        """Called with the consumer's tag when the broker ends a consumer, because its queue is gone."""
        self._impl.add_on_cancel_callback(lambda frame: callback(frame.method.consumer_tag))

    @staticmethod
    def _try(call: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        try:
            call(*args, **kwargs)
        except AMQPError:
            return False
        return True


def _properties(headers: dict[str, Any] | None) -> Any:
    make: Any = pika.BasicProperties  # pika's hints end here
    return make("application/json", delivery_mode=2, headers=headers)


def _ignore(*_args: object) -> None:
    pass


def _call(callback: Callable[[], None], _frame: object) -> None:
    callback()


def _note(found: dict[str, QueueState], done: Callable[[dict[str, QueueState]], None] | None, frame: Any) -> None:
    method = frame.method
    if isinstance(method, pika.spec.Queue.DeclareOk):
        found[method.queue] = QueueState(method.message_count, method.consumer_count)
    if done is not None:
        done(found)


def _chain(exc: BaseException | None) -> Iterable[BaseException]:
    """The error and what is inside it; pika nests them in attributes and arguments."""
    while exc is not None:
        yield exc
        inner = getattr(exc, "exceptions", None) or getattr(exc, "exception", None) or exc.args[:1]
        inner = inner[-1] if isinstance(inner, (list, tuple)) and inner else inner
        exc = inner if isinstance(inner, BaseException) else exc.__cause__


def _broker_said(exc: BaseException) -> str:
    """The broker's own words, if it said any."""
    for each in _chain(exc):
        if isinstance(each, ConnectionClosedByBroker):
            return str(each.reply_text)
        quoted = _QUOTED.search(" ".join(map(str, each.args)))
        if quoted:
            return quoted[2]
    return ""


def _network_problem(exc: BaseException) -> str:
    for each in _chain(exc):
        if isinstance(each, ssl.SSLError):
            return f"could not be spoken to over TLS: {each.reason or each}"
        if isinstance(each, socket.gaierror):
            return "was not found: its host name is unknown"
        if isinstance(each, TimeoutError):
            return "did not answer in time"
        if isinstance(each, OSError):
            return f"can not be reached: {each.strerror or each}"
    return _PIKA_PROBLEMS.get(type(exc).__name__, "closed the connection")


_PIKA_PROBLEMS = {
    "IncompatibleProtocolError": "does not speak AMQP 0-9-1: is it another server's port?",
    "AMQPHeartbeatTimeout": "was silent for longer than two heartbeats",
    "ConnectionBlockedTimeout": "is short of memory or disk and takes no messages",
    "AMQPConnectionWorkflowFailed": "did not answer in time",
}

_hushed: set[int] = set()


@contextmanager
def hushed() -> Iterator[None]:
    """On this thread pika logs nothing about expected faults: it would be several lines for each attempt.

    What we make of them is logged by us. Unexpected exceptions still pass.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("pika."):
            logging.getLogger(name).addFilter(_passes)
    _hushed.add(threading.get_ident())
    try:
        yield
    finally:
        _hushed.discard(threading.get_ident())


def _passes(record: logging.LogRecord) -> bool:
    # pika looks addresses up in a thread of its own making: known by the function's name.
    if record.thread not in _hushed and record.funcName != "_resolve":
        return True
    exc = record.exc_info[1] if record.exc_info else None
    return exc is not None and not isinstance(exc, (OSError, AMQPError))
