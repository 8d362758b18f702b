"""Small sagas for the tests of the core: graphs, rows, claims, and a driver that keeps what `decide` returns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from sagas.core import triggers as t
from sagas.core.claims import Claim, Offer, TokenBook
from sagas.core.decide import Decision, Desk, decide
from sagas.core.graph import Graph, StepSpec
from sagas.core.history import Entry, fold
from sagas.core.retry import RetryPolicy
from sagas.core.rows import SagaRow, StepRow, fresh_steps
from sagas.core.start import opening
from sagas.core.states import SagaState, StepStatus

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SAGA = UUID(int=1)
#: Two worker processes.
ANNA, BERT = UUID(int=0xA), UUID(int=0xB)
THREE = RetryPolicy(max_attempts=3, base=10, factor=2, jitter=False)


def spec(name: str, *needs: int, **options: Any) -> StepSpec:
    """A step with an undo, unless it says why it has none; three attempts each way."""
    undo = "" if options.get("no_compensation") else f"undo.{name}"
    known: dict[str, Any] = {"compensation": undo, "retry": THREE, "undo_retry": THREE}
    return StepSpec(name, f"do.{name}", depends_on=needs, **{**known, **options})


def gate(name: str, *needs: int, **options: Any) -> StepSpec:
    """A step that only waits."""
    return StepSpec(name, "", no_compensation="it only waits", depends_on=needs, **options)


def child(name: str, *needs: int, **options: Any) -> StepSpec:
    """A step that is a child saga."""
    return StepSpec(name, "", saga=f"{name}_saga", atomic=True, depends_on=needs, **options)


def line(length: int, **options: Any) -> Graph:
    """Steps that wait for each other in a line: a, b, c …"""
    return Graph([spec("abcdef"[n], *([n - 1] if n else []), **options) for n in range(length)])


def side_by_side(length: int, **options: Any) -> Graph:
    """Steps that wait for nothing."""
    return Graph([spec("abcdef"[n], **options) for n in range(length)])


def diamond(**options: Any) -> Graph:
    """a, then b and c side by side, then d."""
    return Graph([spec("a", **options), spec("b", 0, **options), spec("c", 0, **options), spec("d", 1, 2, **options)])


def handlers(graph: Graph) -> frozenset[str]:
    """The names of all handlers of a graph."""
    return frozenset(name for step in graph.steps for name in (step.does, step.compensation) if name)


class Driver:
    """One saga, moved by `decide`; its rows, its history, its clock."""

    def __init__(self, graph: Graph, *, rollback: bool = True) -> None:
        self.graph = graph
        self.now = EPOCH
        self.saga, first = opening(SAGA, graph, rollback, self.now, self.now)
        self.steps = fresh_steps(graph)
        self.history: list[Entry] = [first]
        #: Each worker counts for itself: the same number of two workers is two tokens.
        self._tokens: dict[UUID, Iterator[int]] = defaultdict(lambda: count(1))

    # -- asking -------------------------------------------------------------------------------------------------

    def offer(self, worker: UUID = ANNA, **options: Any) -> Offer:
        """What the worker can take on: anything, ten at a time, unless `options` say otherwise."""
        known: dict[str, Any] = {"handlers": handlers(self.graph), "slots": 10, "action_slots": 10, "crashed_slots": 10}
        return Offer(worker, next_token=self._tokens[worker].__next__, **{**known, **options})

    def ask(self, trigger: t.Trigger, offer: Offer | None = None, *, book: TokenBook | None = None) -> Decision:
        """Decide, and keep what comes of it."""
        desk = Desk(offer, offer.budget(), book or TokenBook()) if offer is not None else None
        decision = decide(self.saga, self.steps, trigger, self.now, desk)
        self.saga, self.steps = decision.saga, decision.steps
        self.graph = decision.saga.graph  # a fan-out adds steps
        self.history += [entry for entry in (decision.entry, decision.note) if entry is not None]
        return decision

    def look(self, worker: UUID = ANNA, **options: Any) -> list[Claim]:
        """What the worker is given."""
        return self.ask(t.Look(), self.offer(worker, **options)).claims

    def claim(self, worker: UUID = ANNA) -> Claim:
        """The one thing there is to do."""
        (found,) = self.look(worker, slots=1, action_slots=1)
        return found

    def end(self, kind: type[t.AttemptTrigger], claim: Claim, worker: UUID = ANNA, **details: Any) -> Decision:
        """An attempt ends."""
        return self.ask(kind(claim.position, worker, claim.token, claim.undo, **details))

    def run(self, *kinds: type[t.AttemptTrigger]) -> None:
        """One attempt after the other, each claimed and ended so."""
        for kind in kinds:
            self.end(kind, self.claim())

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    # -- looking ------------------------------------------------------------------------------------------------

    @property
    def state(self) -> SagaState:
        """The saga's state."""
        return self.saga.state

    @property
    def statuses(self) -> list[StepStatus]:
        """The steps' statuses."""
        return [step.status for step in self.steps]

    @property
    def kinds(self) -> list[str]:
        """What happened."""
        return [entry.kind for entry in self.history]

    def snapshot(self) -> tuple[SagaRow, list[StepRow]]:
        """Copies of the rows."""
        return self.saga.copy(), [step.copy() for step in self.steps]

    def folded(self) -> tuple[SagaRow, Sequence[StepRow]]:
        """The rows as the history tells them."""
        return fold(self.saga, self.history)


def attempt_of(kind: type[t.AttemptTrigger], claim: Claim, worker: UUID = ANNA, **details: Any) -> t.AttemptTrigger:
    """A trigger in the name of a claim."""
    return kind(claim.position, worker, claim.token, claim.undo, **details)
