"""What the floors above see of a transport: `Topology`, `Hint`, what those who send and receive hints can do.

A transport carries hints ("look at this saga") and knows nothing of the engine. Every hint may be lost,
repeated, late or out of order: the row is the truth, and the sweep finds what no hint announced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from uuid import UUID

from .errors import TopologyError, TransportError

_LONGEST_NAME = 255  # an AMQP "short string"


@dataclass(frozen=True, slots=True)
class Topology:
    """Where the broker is and how everything there is called. The URL is never shown: it holds a password."""

    url: str = field(repr=False)
    connection_name: str = "sagas"
    exchange: str = "sagas"
    step_queue: str = "saga.steps"
    compensate_queue: str = "saga.compensate"
    dead_letter_exchange: str = "saga.dead-letter"
    dead_letter_queue: str = "saga.dead-letter"
    #: Names of participants with a queue of their own, `<step_queue>.<name>`.
    extra_queues: tuple[str, ...] = ()
    #: A hint that came back to its queue more often than this becomes a dead letter; the sweep has its saga.
    delivery_limit: int = 100
    #: The oldest dead letters make room for new ones: an unread queue must not fill the broker's disk.
    max_dead_letters: int = 100_000

    def __post_init__(self) -> None:
        for name in (self.exchange, self.dead_letter_exchange, *self.hint_queues, self.dead_letter_queue):
            _check_name(name)
        queues = [*self.hint_queues, self.dead_letter_queue]
        twice = sorted({name for name in queues if queues.count(name) > 1})
        if twice:
            raise TopologyError(f"expected a name of its own for each queue, got {', '.join(twice)} more than once")
        if self.exchange == self.dead_letter_exchange:
            raise TopologyError(f"expected two exchanges, got {self.exchange!r} for hints and for dead letters")

    @property
    def hint_queues(self) -> tuple[str, ...]:
        """All queues that carry hints."""
        return (self.step_queue, self.compensate_queue, *map(self.participant_queue, self.extra_queues))

    def participant_queue(self, participant: str) -> str:
        """The queue for the steps of one participant; the common one for the empty name."""
        return f"{self.step_queue}.{participant}" if participant else self.step_queue


def _check_name(name: str) -> None:
    if not name or len(name.encode("utf-8", "surrogatepass")) > _LONGEST_NAME:
        raise TopologyError(f"expected a name of 1 to {_LONGEST_NAME} bytes for a queue or exchange, got {name!r}")
    if name.startswith("amq.") or {"*", "#"} & set(name.split(".")):
        raise TopologyError(f"expected a name without 'amq.', '*' and '#', which mean something to AMQP, got {name!r}")


class Hint(NamedTuple):
    """One delivery: "look at this saga". `ref` is the transport's own; give the hint back as it came."""

    saga_id: UUID
    queue: str
    ref: tuple[int, int]


#: Called with each hint on the transport's thread: it must be quick and must not block.
OnHint = Callable[[Hint], None]
#: Called on the transport's thread: (True, None) when it is connected; (False, the reason) when it no longer
#: is, and at each attempt that fails.
OnState = Callable[[bool, TransportError | None], None]


class HintPublisher(Protocol):
    """Sends hints. Made for `on_commit` of a web request: it never waits and never raises."""

    def publish(self, saga_id: UUID, *, queue: str | None = None) -> bool:
        """Hand over a hint for `queue` (by default the step queue); False = dropped, the sweep has it."""

    def close(self, timeout: float = 1.0) -> None:
        """Send what can still be sent within `timeout` seconds, and stop. Idempotent."""

    @property
    def sent(self) -> int:
        """Hints passed on by this process."""

    @property
    def dropped(self) -> int:
        """Hints given up by this process."""


class HintConsumer(Protocol):
    """Receives hints. All methods may be called from any thread, and return at once (but for `stop`)."""

    def start(self) -> None:
        """Connect, declare and consume, and do so again whenever the connection is lost."""

    def stop(self, grace: float = 5.0) -> None:
        """Stop consuming, pass on the answers given so far, close. The unanswered go back to their queues."""

    def ack(self, hint: Hint) -> None:
        """Done with it."""

    def ack_many(self, hints: Iterable[Hint]) -> None:
        """Done with all of them: one call per group is much cheaper than one per hint."""

    def give_back(self, hint: Hint) -> None:
        """Back to its queue, for whoever has room. Pause first: else it comes straight back."""

    def give_back_many(self, hints: Iterable[Hint]) -> None:
        """All of them back to their queues."""

    def pause(self) -> None:
        """Receive no more hints until `resume`."""

    def resume(self) -> None:
        """Receive hints again."""

    def depths(self) -> Mapping[str, int]:
        """Hints ready in each queue, as last seen; a few seconds old, empty before the first look."""

    def zombie(self, now: float) -> bool:
        """Whether a started consumer only seems to be alive at `time.monotonic()` = `now`.

        Being disconnected or stopped is not enough: this is for what does not even try any more. End the process.
        """

    @property
    def connected(self) -> bool:
        """Whether the broker can hand out hints to us now, but for a pause."""

    @property
    def error(self) -> TransportError | None:
        """Why it is not connected; None while it is, and before the first failure."""
