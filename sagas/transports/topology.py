"""What must exist at the broker, as data, and what to tell a person when it exists otherwise. Pure.

Declaring is idempotent at the broker, so the same list serves to create, to verify and to mend.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from .address import parse_url
from .base import Topology
from .errors import TopologyError, TransportConnectionError, TransportError

_QUORUM = {"x-queue-type": "quorum"}
# The broker cuts what it says at 255 bytes, so the end may be missing.
_MISMATCH = re.compile(
    r"inequivalent arg '(?P<arg>[^']*)' for (?P<kind>queue|exchange) '(?P<name>.*)' "
    r"in vhost '(?P<vhost>.*)': received (?P<wanted>.*?)(?: but current is (?P<found>.*))?$",
    re.DOTALL,
)
_VALUE = re.compile(r"^(?:the value )?'(.*?)'(?: of type '\w+')?$", re.DOTALL)
_PRECONDITION_FAILED = 406
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Declaration:
    """One exchange, queue or binding: the arguments of the declaring call."""

    kind: Literal["exchange", "queue", "binding"]
    arguments: dict[str, Any] = field(default_factory=dict)


def declarations(topology: Topology) -> tuple[Declaration, ...]:
    """Everything that must exist, in the order in which it must be made."""
    plan = [
        _exchange(topology.dead_letter_exchange),
        _queue(topology.dead_letter_queue, {"x-max-length": topology.max_dead_letters}),
        _binding(topology.dead_letter_queue, topology.dead_letter_exchange, "#"),
        _exchange(topology.exchange),
    ]
    limits = {
        "x-dead-letter-exchange": topology.dead_letter_exchange,
        "x-delivery-limit": topology.delivery_limit,
    }
    for queue in topology.hint_queues:
        plan += [_queue(queue, limits), _binding(queue, topology.exchange, queue)]
    return tuple(plan)


def exchange_check(topology: Topology) -> Declaration:
    """Asks whether the hints' exchange exists, and makes nothing: a publisher needs no right to configure."""
    return Declaration("exchange", {"exchange": topology.exchange, "passive": True})


def _exchange(name: str) -> Declaration:
    return Declaration("exchange", {"exchange": name, "exchange_type": "topic", "durable": True})


def _queue(name: str, limits: dict[str, Any]) -> Declaration:
    return Declaration("queue", {"queue": name, "durable": True, "arguments": _QUORUM | limits})


def _binding(queue: str, exchange: str, key: str) -> Declaration:
    return Declaration("binding", {"queue": queue, "exchange": exchange, "routing_key": key})


def refusal(code: int, text: str) -> TransportError:
    """What it means that the broker closed a channel with this code and text."""
    if code == _PRECONDITION_FAILED and "inequivalent arg" in text:
        return _mismatch(text)
    if code == _NOT_FOUND and "no exchange" in text:
        missing = text.removeprefix("NOT_FOUND - ")
        return TransportError(f"{missing}: a worker makes it when it starts", reply_code=code)
    return TransportError(f"the broker refused: {text}", reply_code=code)


def _mismatch(text: str) -> TopologyError:
    said = _MISMATCH.search(text)
    if said is None:
        return TopologyError(f"something exists with other arguments: {text}. Remove it and start again")
    kind, name = said["kind"], said["name"]
    return TopologyError(
        f"{kind} {name!r} exists with other arguments: expected {said['arg']} {_value(said['wanted'])}, "
        f"found {_value(said['found'] or 'another')}. Remove it and start again (it is made anew, and no saga "
        f"is lost): {_removal(kind, name, said['vhost'])}",
        kind=kind,
        name=name,
        argument=said["arg"],
    )


def no_answer(topology: Topology, asked: Iterable[str], *, seconds: float) -> TransportConnectionError:
    """What it means that the broker is silent; `asked`: the queues we want to consume from, not granted yet.

    A broker that is killed just after it has made a quorum queue may come back with a queue that finds no leader. A
    consumer of it is kept waiting, and all else on its channel.
    """
    silence = f"the broker did not answer for {seconds:g} s"
    queue = next((queue for queue in topology.hint_queues if queue in asked), None)
    if queue is None:
        return TransportConnectionError(silence)
    command = _removal("queue", queue, parse_url(topology.url).vhost)
    return TransportConnectionError(
        f"{silence} when asked for the hints in {queue!r}. If it stays so, that queue has no leader: remove it (it is "
        f"made anew, and no saga is lost): {command}",
        queue=queue,
    )


def _value(text: str) -> str:
    quoted = _VALUE.match(text)
    return quoted[1] if quoted else text


def _removal(kind: str, name: str, vhost: str) -> str:
    if kind == "queue":
        return f"rabbitmqctl -p {shlex.quote(vhost)} delete_queue {shlex.quote(name)}"
    # rabbitmqctl has no command of its own for it.
    resource = f"rabbit_misc:r({_erlang(vhost)}, exchange, {_erlang(name)})"
    call = f'rabbit_exchange:delete({resource}, false, <<"operator">>).'
    return f"rabbitmqctl eval {shlex.quote(call)}"


def _erlang(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'<<"{escaped}"/utf8>>'
