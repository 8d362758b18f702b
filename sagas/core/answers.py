"""The table of answers: for every saga state and every trigger, whether it is an edge, ignored, or not allowed.

Triggers of an attempt (they carry a claim) are edges in every state: whether they change anything is decided by the
claim's token alone, see `decide`.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import triggers as t
from .states import SagaState


@dataclass(frozen=True, slots=True)
class Edge:
    """`decide` works it out."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing changes, and that is right."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The sender asked for something that the state does not allow."""

    expected: str
    advice: str


Answer = Edge | Ignored | Refused
EDGE = Edge()

_ENDED = Ignored("the saga has ended")
_G = SagaState

ANSWERS: dict[tuple[SagaState, type], Answer] = {
    **{
        (state, trigger): EDGE for state in SagaState for trigger in t.TRIGGERS if issubclass(trigger, t.AttemptTrigger)
    },
    **{(state, t.WorkerLost): EDGE for state in SagaState},
    (_G.STARTED, t.Look): EDGE,
    (_G.COMPENSATING, t.Look): EDGE,
    (_G.COMPLETED, t.Look): _ENDED,
    (_G.COMPENSATED, t.Look): _ENDED,
    (_G.FAILED, t.Look): _ENDED,
    (_G.STARTED, t.NoHandler): EDGE,
    (_G.COMPENSATING, t.NoHandler): EDGE,
    (_G.COMPLETED, t.NoHandler): _ENDED,
    (_G.COMPENSATED, t.NoHandler): _ENDED,
    (_G.FAILED, t.NoHandler): _ENDED,
    (_G.STARTED, t.FlagStale): EDGE,
    (_G.COMPENSATING, t.FlagStale): EDGE,
    (_G.COMPLETED, t.FlagStale): _ENDED,
    (_G.COMPENSATED, t.FlagStale): _ENDED,
    (_G.FAILED, t.FlagStale): _ENDED,
    (_G.STARTED, t.Compensate): EDGE,
    (_G.FAILED, t.Compensate): EDGE,
    (_G.COMPENSATING, t.Compensate): Ignored("it is compensating already"),
    (_G.COMPLETED, t.Compensate): Refused(
        "started or failed", "a completed saga is final: start a saga that does the opposite"
    ),
    (_G.COMPENSATED, t.Compensate): Refused("started or failed", "everything is undone already"),
    (_G.STARTED, t.Retry): EDGE,
    (_G.COMPENSATING, t.Retry): EDGE,
    (_G.FAILED, t.Retry): EDGE,
    (_G.COMPLETED, t.Retry): Refused(
        "started, compensating or failed", "it is complete: there is nothing to run again"
    ),
    (_G.COMPENSATED, t.Retry): Refused("started, compensating or failed", "start a new saga instead"),
}
