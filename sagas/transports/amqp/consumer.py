"""Receives hints over AMQP, on a thread of its own, and answers for them.

The thread that handles hints is not the one that may use the channel, so every answer is posted to the
link. Delivery tags die with their channel: an answer of an older generation is dropped, its hint has been
delivered again long since. While it is connected everything is declared anew every few seconds: this is how
queue depths are asked for, how what somebody deleted comes back, and how we know that the broker still
answers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from uuid import UUID

from ..base import Hint, OnHint, OnState, Topology
from ..errors import MessageDecodeError, TopologyError, TransportError
from ..hints import decode_hints
from ..logs import BoundedLog
from ..topology import declarations, no_answer
from .deadletters import DeadLetters, Verdict
from .link import Link
from .vendor import Channel, QueueState

logger = logging.getLogger(__name__)

#: Seconds between two looks at the queues.
_LOOK_EVERY = 5.0
#: A look without an answer for so long, and the connection is given up for another. Longer than an election of a
#: quorum queue's leader takes, shorter than what makes a zombie.
_ANSWER_WITHIN = 30.0
#: Silent for longer than this, neither answered nor trying to connect: a zombie. Longer than the longest back-off.
_ZOMBIE_AFTER = 60.0


class AmqpHintConsumer:
    """The `HintConsumer` for a broker.

    `queues`: the hint queues to receive from. `prefetch`: unanswered hints from *each* of them at most.
    """

    def __init__(
        self,
        topology: Topology,
        *,
        queues: Sequence[str],
        prefetch: int,
        on_hint: OnHint,
        on_state: OnState | None = None,
        look_every: float = _LOOK_EVERY,
    ) -> None:
        unknown = sorted(set(queues) - set(topology.hint_queues))
        if unknown:
            raise TopologyError(f"expected queues out of {', '.join(topology.hint_queues)}, got {', '.join(unknown)}")
        self._topology = topology
        self._queues = tuple(queues)
        self._prefetch = prefetch
        self._on_hint = on_hint
        self._on_state = on_state or _ignore
        self._look_every = look_every
        self._link = Link(topology.url, self, name=f"{topology.connection_name} consumer")
        self._log = BoundedLog(logger)
        self._channel: Channel | None = None
        self._dead_letters: DeadLetters | None = None
        self._generation = 0
        #: By tag: the sagas of a message that are not answered for yet, and the messages of which one was given back.
        self._unanswered: dict[int, set[UUID]] = {}
        self._returned: set[int] = set()
        self._consuming: dict[str, str] = {}
        self._started = 0
        self._paused = False
        self._depths: Mapping[str, int] = {}
        self._deserted: frozenset[str] = frozenset()
        self._looks = 0
        #: Queues whose consumer the broker has not confirmed yet.
        self._asked: set[str] = set()
        #: Hints handed to `on_hint`; messages that were none and went to the dead letters; faults of
        #: `on_hint`.
        self.received = 0
        self.refused = 0
        self.faults = 0

    # From any thread:

    def start(self) -> None:
        """Connect, declare and consume, and do so again whenever the connection is lost."""
        self._link.start()

    def stop(self, grace: float = 5.0) -> None:
        """Stop consuming, pass on the answers given so far, close. The unanswered go back to their queues."""
        self.pause()
        self._link.stop(grace)

    def ack(self, hint: Hint) -> None:
        """Done with it."""
        self._link.call(partial(self._ack, (hint,)))

    def ack_many(self, hints: Iterable[Hint]) -> None:
        """Done with all of them, in one go."""
        self._link.call(partial(self._ack, tuple(hints)))

    def give_back(self, hint: Hint) -> None:
        """Back to its queue. Pause first, or it comes straight back."""
        self._link.call(partial(self._give_back, (hint,)))

    def give_back_many(self, hints: Iterable[Hint]) -> None:
        """All of them back to their queues."""
        self._link.call(partial(self._give_back, tuple(hints)))

    def pause(self) -> None:
        """Receive no more hints until `resume`."""
        self._paused = True
        self._link.call(self._consume_or_not)

    def resume(self) -> None:
        """Receive hints again."""
        self._paused = False
        self._link.call(self._consume_or_not)

    def depths(self) -> Mapping[str, int]:
        """Hints ready in each queue, as last seen."""
        return self._depths

    def zombie(self, now: float) -> bool:
        """Whether thread, connection or consumer only seem to be alive."""
        return self._link.is_stuck(now, silent_for=_ZOMBIE_AFTER)

    @property
    def connected(self) -> bool:
        """Whether the channel is set up."""
        return self._link.connected

    @property
    def error(self) -> TransportError | None:
        """Why it is not connected."""
        return self._link.error

    # On the link's thread:

    def opened(self, channel: Channel) -> None:
        """A new channel: new tags, nothing unanswered, everything declared again."""
        self._channel = channel
        self._generation += 1
        self._dead_letters = DeadLetters(self._topology, channel, settle=self._settle, redeclare=self._look)
        channel.on_consumer_cancelled(partial(self._cancelled, self._generation))
        channel.limit(self._prefetch)
        self._look()

    def lost(self, error: TransportError | None) -> None:
        """All tags are void; the broker delivers what was unanswered again, to anybody."""
        was_set_up = self._channel is not None
        self._channel = self._dead_letters = None
        self._unanswered.clear()
        self._returned.clear()
        self._consuming.clear()
        self._deserted = frozenset()
        self._asked.clear()
        self._looks = 0
        if was_set_up or error is not None:
            self._tell(False, error)

    def _look(self) -> None:
        if self._channel is not None:
            self._looks += 1
            seen = partial(self._declared, self._generation, frozenset(self._consuming.values()))
            self._channel.declare(declarations(self._topology), seen)

    def _look_again(self, generation: int) -> None:
        if generation != self._generation or self._channel is None:
            return
        if self._looks == 0:
            self._look()
        elif time.monotonic() - self._link.last_alive > _ANSWER_WITHIN:
            self._link.fail(no_answer(self._topology, self._asked, seconds=_ANSWER_WITHIN))
            return
        self._link.later(self._look_every, partial(self._look_again, generation))

    def _declared(self, generation: int, tags: frozenset[str], found: Mapping[str, QueueState]) -> None:
        if generation != self._generation or self._channel is None:
            return
        self._looks -= 1
        self._depths = {queue: found[queue].messages for queue in self._topology.hint_queues if queue in found}
        self._link.seen()
        if self._is_deserted(tags, found):
            self._link.fail(TransportError("the broker has forgotten this consumer"))
            return
        self._consume_or_not()
        if not self._link.connected:
            self._link.ready()
            self._tell(True, None)
            self._link.later(self._look_every, partial(self._look_again, generation))

    def _is_deserted(self, tags: frozenset[str], found: Mapping[str, QueueState]) -> bool:
        """Whether a queue that we consume from has no consumer, twice running (a replica's count may lag)."""
        before = self._deserted
        self._deserted = frozenset(
            queue
            for queue, tag in self._consuming.items()
            if tag in tags and queue in found and found[queue].consumers == 0
        )
        return bool(before & self._deserted)

    def _consume_or_not(self) -> None:
        channel = self._channel
        if channel is None:
            return
        if self._paused:
            for tag in self._consuming.values():
                channel.cancel(tag)
            self._consuming.clear()
            return
        for queue in self._queues:
            if queue not in self._consuming:
                self._started += 1
                tag = self._consuming[queue] = f"{queue}#{self._started}"
                self._asked.add(queue)
                channel.consume(queue, tag, self._receiver(queue), partial(self._asked.discard, queue))

    def _cancelled(self, generation: int, tag: str) -> None:
        """The broker ended a consumer: its queue is gone. Declare it again, which also consumes again."""
        if generation == self._generation:
            self._log.write(logging.WARNING, "consumer_cancelled", "a queue is gone (%s): declaring it again", tag)
            self._consuming = {queue: other for queue, other in self._consuming.items() if other != tag}
            self._look()

    def _receiver(self, queue: str) -> Callable[[int, bytes], None]:
        """What the broker's messages of one queue run through: the hot path, so no more than needed."""
        generation, unanswered, on_hint = self._generation, self._unanswered, self._on_hint

        def receive(tag: int, body: bytes) -> None:
            try:
                saga_ids = decode_hints(body)
            except MessageDecodeError as exc:
                unanswered[tag] = set()
                self._refuse(tag, body, queue, exc)
                return
            unanswered[tag] = set(saga_ids)
            self.received += len(saga_ids)
            for saga_id in saga_ids:
                hint = Hint(saga_id, queue, (generation, tag))
                try:
                    on_hint(hint)
                except Exception:
                    self._fault(hint)

        return receive

    def _refuse(self, tag: int, body: bytes, queue: str, exc: MessageDecodeError) -> None:
        self.refused += 1
        self._log.write(
            logging.WARNING,
            f"hint_refused_{exc.reason}",
            "a message in %s is not a hint (%s); it is in the dead letters now",
            queue,
            exc,
        )
        if self._dead_letters is not None:
            self._dead_letters.put(tag, body, queue=queue, reason=exc.reason)

    def _fault(self, hint: Hint) -> None:
        # Acknowledged, since it would fail again and again; the sweep has its saga.
        self.faults += 1
        self._log.write(logging.ERROR, "hint_fault", "a hint could not be taken", exc_info=True)
        self._ack((hint,))

    def _ack(self, hints: Sequence[Hint]) -> None:
        """Answer with as few frames as possible: all up to the oldest tag that stays unanswered go in one."""
        tags = self._take(hints)
        if not tags or self._channel is None:
            return
        oldest = next(iter(self._unanswered), None)
        below = [tag for tag in tags if oldest is None or tag < oldest]
        if below:
            self._channel.ack(max(below), multiple=True)
        for tag in tags:
            if oldest is not None and tag > oldest:
                self._channel.ack(tag)

    def _give_back(self, hints: Sequence[Hint]) -> None:
        for _saga_id, _queue, (generation, tag) in hints:
            if generation == self._generation and tag in self._unanswered:
                self._returned.add(tag)
        for tag in self._take(hints):
            if self._channel is not None:
                self._channel.ack(tag)

    def _take(self, hints: Sequence[Hint]) -> list[int]:
        """The tags of messages that are done with: not those of an older channel, nor those answered before. A message
        of which a part was given back goes back whole, once all of it is answered for: hints are harmless."""
        tags = []
        for saga_id, _queue, (generation, tag) in hints:
            left = self._unanswered.get(tag) if generation == self._generation else None
            if left is None or saga_id not in left:
                continue
            left.discard(saga_id)
            if left:
                continue
            del self._unanswered[tag]
            if tag not in self._returned:
                tags.append(tag)
                continue
            self._returned.discard(tag)
            if self._channel is not None:
                self._channel.nack(tag, requeue=True)
        return tags

    def _settle(self, tag: int, verdict: Verdict) -> None:
        """Answer for a message that never became a hint, or could not be taken."""
        if self._channel is None or tag not in self._unanswered:
            return
        del self._unanswered[tag]
        if verdict == "done":
            self._channel.ack(tag)
        else:
            self._channel.nack(tag, requeue=verdict == "again")

    def _tell(self, connected: bool, error: TransportError | None) -> None:
        try:
            self._on_state(connected, error)
        except Exception:
            self._log.write(logging.ERROR, "on_state_fault", "on_state failed", exc_info=True)


def _ignore(_connected: bool, _error: TransportError | None) -> None:
    pass
