"""The table of answers: for every saga state and every trigger, whether it is an edge, ignored, or not allowed.

Triggers of an attempt (they carry a claim) are edges in every state: whether they change anything is decided by the
claim's token alone, see `decide`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from . import triggers as t
from .states import ALIVE, SagaState


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


def _operator(
    trigger: type, states: Iterable[SagaState], expected: str, advice: str
) -> dict[tuple[SagaState, type], Answer]:
    """An edge from some states, refused in the others."""
    allowed = frozenset(states)
    return {(state, trigger): EDGE if state in allowed else Refused(expected, advice) for state in SagaState}


_ENDED = Ignored("the saga has ended")
_G = SagaState
_FORWARD = str(_G.STARTED)

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
    (_G.COMPENSATING, t.Compensate): EDGE,
    (_G.COMPLETED, t.Compensate): Refused(
        "started or failed", "a completed saga is final: start a saga that does the opposite"
    ),
    (_G.COMPENSATED, t.Compensate): Refused("started or failed", "everything is undone already"),
    **{(state, t.Answer): EDGE for state in SagaState},
    **{(state, t.ChildEnded): EDGE for state in SagaState},
    **{(state, t.ParentUndoes): EDGE for state in SagaState if state is not SagaState.COMPENSATED},
    (_G.COMPENSATED, t.ParentUndoes): Ignored("everything is undone already"),
    **{(state, t.Signal): EDGE for state in SagaState},
    **_operator(t.Cancel, (_G.STARTED,), _FORWARD, "it has ended or is being rolled back already"),
    (_G.COMPENSATING, t.Cancel): EDGE,
    **_operator(t.Pause, ALIVE, "started or compensating", "it has ended: there is nothing to pause"),
    **_operator(t.Resume, ALIVE, "started or compensating", "it has ended: there is nothing to resume"),
    **_operator(t.RunNow, ALIVE, "started or compensating", "it has ended: retry or restart it"),
    **_operator(t.Edit, (_G.STARTED, _G.FAILED), "started or failed", "nothing of it runs forward any more"),
    **_operator(t.Skip, ALIVE, "started or compensating", "it has ended: nothing is left to skip"),
    **_operator(t.Approve, ALIVE, "started or compensating", "it has ended: nothing waits for approval"),
    **_operator(t.Deny, (_G.STARTED,), _FORWARD, "only what is still to be done can be denied"),
    **{(state, t.Resolve): EDGE for state in SagaState},
    **_operator(t.Rewind, (_G.STARTED, _G.FAILED), "started or failed", "restart it as a new saga"),
    **{(state, t.Assign): EDGE for state in SagaState},
    **_operator(
        t.Restart,
        (_G.COMPLETED, _G.COMPENSATED),
        "completed or compensated",
        "it may still have something to undo: retry or compensate it",
    ),
    **_operator(t.Migrate, (_G.STARTED,), _FORWARD, "what is undone is undone by the graph that it was done by"),
    (_G.STARTED, t.Retry): EDGE,
    (_G.COMPENSATING, t.Retry): EDGE,
    (_G.FAILED, t.Retry): EDGE,
    (_G.COMPLETED, t.Retry): Refused(
        "started, compensating or failed", "it is complete: there is nothing to run again"
    ),
    (_G.COMPENSATED, t.Retry): Refused("started, compensating or failed", "start a new saga instead"),
}
