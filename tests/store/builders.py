"""Small graphs, sagas and offers for the stores' tests: no handler is called here, names are all there is."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID

from sagas.core import triggers as t
from sagas.core.claims import Claim, Offer
from sagas.core.graph import Graph, StepSpec
from sagas.core.retry import RetryPolicy
from sagas.core.triggers import Trigger
from sagas.definitions.ids import new_id
from sagas.store.base import NewSaga, Payload, Result, Store, Submission

NO_JITTER = RetryPolicy(max_attempts=3, base=10, factor=2, jitter=False)


def spec(name: str, *after: int, **changes: Any) -> StepSpec:
    """A step that is done by `do.<name>` and undone by `undo.<name>`."""
    given = {"retry": NO_JITTER, "undo_retry": NO_JITTER, "depends_on": after}
    return StepSpec(name, f"do.{name}", f"undo.{name}", **{**given, **changes})


def line(*names: str) -> Graph:
    """One step after the other."""
    return Graph([spec(name, *([position - 1] if position else [])) for position, name in enumerate(names)])


#: a; then b and c side by side; then d.
DIAMOND = Graph([spec("a"), spec("b", 0), spec("c", 0), spec("d", 1, 2)])
PAIR = line("first", "second")
LONE = line("only")
EMPTY = Graph([])


def new_saga(graph: Graph = PAIR, **changes: Any) -> NewSaga:
    """A saga to insert that is due at once, its inputs known."""
    made = NewSaga(
        id=new_id(),
        name="contract",
        version="7",
        graph=graph,
        rollback=True,
        context='{"order":1}',
        inputs=dict.fromkeys(range(len(graph.steps)), "{}"),
        payload_hash="hash",
    )
    return replace(made, **changes)


@dataclass
class Crew:
    """A worker as a store sees it: an id, tokens, and an offer that takes everything."""

    id: UUID = field(default_factory=new_id)
    next_token: Callable[[], int] = field(default_factory=lambda: count(1).__next__)

    def offer(self, graph: Graph = DIAMOND, *, slots: int = 1000, **changes: Any) -> Offer:
        names = {name for one in (DIAMOND, PAIR, LONE, graph) for s in one.steps for name in (s.action, s.compensation)}
        given = {"slots": slots, "action_slots": slots, "crashed_slots": slots}
        return Offer(self.id, frozenset(names), self.next_token, **{**given, **changes})

    def report(self, kind: type[t.AttemptTrigger], saga_id: UUID, claim: Claim, **details: Any) -> Submission:
        """A submission in the name of a claim of this worker."""
        payload = details.pop("payload", None)
        trigger: Any = kind(claim.position, self.id, claim.token, claim.undo, **details)
        return Submission(saga_id, trigger, payload)

    def done(self, saga_id: UUID, claim: Claim, output: Any = None, **payload: Any) -> Submission:
        """Its handler returned `output`."""
        return self.report(t.Completed, saga_id, claim, payload=Payload(output=json.dumps(output), **payload))


def look(saga_id: UUID, *, sweep: bool = False) -> Submission:
    """A hint, or the sweep."""
    return Submission(saga_id, t.Look(sweep))


def submit(store: Store, saga_id: UUID, trigger: Trigger, offer: Offer | None = None) -> Result:
    """One trigger alone."""
    return store.apply([Submission(saga_id, trigger)], offer)[0]


def started(store: Store, crew: Crew, graph: Graph = PAIR, **changes: Any) -> tuple[UUID, Claim]:
    """A saga whose first step is claimed by this crew."""
    new = new_saga(graph, **changes)
    store.insert([new])
    result = store.apply([look(new.id)], crew.offer(graph))[0]
    return new.id, result.claims[0]


def one(items: Iterable[Any]) -> Any:
    """The only item."""
    found = list(items)
    assert len(found) == 1, found
    return found[0]


SOON = timedelta(seconds=10)
