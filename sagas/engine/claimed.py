"""A claimed attempt: all that its thread needs, and what it may see of its saga."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ..core import triggers as t
from ..core.claims import Claim
from ..core.graph import Graph, StepSpec
from ..definitions.context import Outputs, ReadOnlyDict
from ..store.base import Payload, Submission, Texts


def _unheard(progress: float | None) -> None:
    """Nobody listens to its heartbeats."""


@dataclass(slots=True)
class Attempt:
    """One claimed attempt: all that its thread needs."""

    saga_id: UUID
    saga_name: str
    request_id: str
    graph: Graph
    claim: Claim
    worker: UUID
    texts: Texts
    #: How many sagas are above its own.
    depth: int = 0
    #: Is told of each heartbeat, with the progress if the handler says it.
    beat: Callable[[float | None], None] = _unheard
    #: The step as frozen with the saga.
    spec: StepSpec = field(init=False)

    def __post_init__(self) -> None:
        self.spec = self.graph.steps[self.claim.position]

    @property
    def handler_name(self) -> str:
        """The handler it needs."""
        return self.spec.compensation if self.claim.undo else self.spec.does

    @property
    def timeout(self) -> float:
        """Seconds."""
        return self.spec.undo_timeout if self.claim.undo else self.spec.timeout

    @property
    def heartbeat_timeout(self) -> float | None:
        """Seconds; None = it need not beat."""
        return self.spec.undo_heartbeat_timeout if self.claim.undo else self.spec.heartbeat_timeout

    @property
    def atomic(self) -> bool:
        """Whether it runs inside the transaction that records its outcome."""
        return self.spec.undo_atomic if self.claim.undo else self.spec.atomic

    def report(self, kind: type[t.AttemptTrigger], **details: Any) -> t.AttemptTrigger:
        """A trigger in the name of this attempt's claim."""
        return kind(self.claim.position, self.worker, self.claim.token, self.claim.undo, **details)

    def submission(self, kind: type[t.AttemptTrigger], payload: Payload | None = None, **details: Any) -> Submission:
        """A submission in the name of this attempt's claim."""
        trigger: Any = self.report(kind, **details)
        return Submission(self.saga_id, trigger, payload)

    @property
    def context(self) -> ReadOnlyDict:
        """The saga's context, read anew."""
        return read_only(self.texts.context)

    def outputs(self, position: int | None = None, extra: Mapping[int, str] | None = None) -> Outputs:
        """What was returned before the step (or before the one at `position`)."""
        return Outputs(self.output_texts(self.claim.position if position is None else position, extra))

    def output_texts(self, position: int, extra: Mapping[int, str] | None = None) -> dict[str, str | None]:
        """The same as JSON text."""
        texts = {**self.texts.outputs, **extra} if extra else self.texts.outputs
        names = self.graph.steps
        return {names[p].name: texts.get(p) for p in sorted(self.graph.ancestors[position])}

    def undo_texts(self) -> dict[str, str | None]:
        """What compensations of this round returned, as JSON text, in the order of undoing: those of the steps behind
        this one are done before it, those beside it may be."""
        here, names, known = self.claim.position, self.graph.steps, self.texts.undo_outputs
        found = {}
        for position in self.graph.reverse:
            text = _joined(known, names[position].joins) if names[position].join else known.get(position)
            if text is not None or here in self.graph.ancestors[position]:
                found[names[position].name] = text
        return found

    @property
    def extra(self) -> dict[str, Any]:
        """What a log line about it carries."""
        return {
            "action": self.handler_name,
            "saga_id": str(self.saga_id),
            "step": self.spec.name,
            "attempt": self.claim.attempt,
        }


def _joined(texts: Mapping[int, str | None], places: Sequence[int]) -> str | None:
    """Those of a list's elements as one list, in their order."""
    if all(texts.get(place) is None for place in places):
        return None
    return f"[{','.join(texts.get(place) or 'null' for place in places)}]"


def read_only(text: str) -> ReadOnlyDict:
    """A JSON object that can not be changed."""
    return ReadOnlyDict(json.loads(text))
