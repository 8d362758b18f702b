"""Sends what is not a hint to the dead letters, with our reason in its headers.

The broker's own dead-lettering can not say why, so a copy is published; only when the broker has confirmed
the copy is the original acknowledged. If it can not be published the broker dead-letters the original,
without our reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ..base import Topology
from ..hints import MAX_BYTES
from .vendor import Channel

_NUMBER = "x-saga-number"

#: About the original: acknowledge it; have the broker dead-letter it; have it delivered again.
Verdict = Literal["done", "dead", "again"]


class DeadLetters:
    """The dead letters under way on one channel. All calls on the link's thread."""

    def __init__(
        self,
        topology: Topology,
        channel: Channel,
        *,
        settle: Callable[[int, Verdict], None],
        redeclare: Callable[[], None],
    ) -> None:
        """`settle(tag, verdict)` answers for the original; `redeclare` mends what was deleted."""
        self._exchange = topology.dead_letter_exchange
        self._channel = channel
        self._settle = settle
        self._redeclare = redeclare
        self._published = 0
        #: Delivery tag of the original, by the number of its copy: the broker confirms by number, in order.
        self._tags: dict[int, int] = {}
        self._unroutable: set[int] = set()
        channel.watch(on_settled=self._settled, on_returned=self._returned)

    def put(self, tag: int, body: bytes, *, queue: str, reason: str) -> None:
        """Publish a copy of the message with this delivery tag, cut to the size of a hint."""
        self._published += 1
        headers = {
            "x-saga-reason": reason,
            "x-saga-queue": queue,
            "x-saga-size": len(body),
            _NUMBER: self._published,
        }
        self._tags[self._published] = tag
        self._channel.publish(self._exchange, queue, body[:MAX_BYTES], headers=headers, mandatory=True)

    def _settled(self, number: int, multiple: bool, accepted: bool) -> None:
        for n in [n for n in self._tags if n <= number] if multiple else [number]:
            tag = self._tags.pop(n, None)
            if tag is not None:
                self._settle(tag, self._verdict(n, accepted))

    def _verdict(self, number: int, accepted: bool) -> Verdict:
        if number in self._unroutable:
            self._unroutable.discard(number)
            return "again"
        return "done" if accepted else "dead"

    def _returned(self, headers: dict[str, object]) -> None:
        """The dead-letter queue or its binding is gone: the confirmation to come counts for nothing."""
        number = headers.get(_NUMBER)
        if isinstance(number, int):
            self._unroutable.add(number)
            self._redeclare()
