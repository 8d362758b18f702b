"""States of sagas and steps, and the one table of edges between them.

Every change of a status anywhere in the engine is looked up here; the state chart in the README is generated from
these tables and tested against them. Literals of states exist in this module only.
"""

from __future__ import annotations

from enum import StrEnum


class SagaState(StrEnum):
    """Where a saga stands. Paused, stale and attention are flags beside it, never states."""

    #: Going forward, or about to.
    STARTED = "started"
    #: Every step completed or was skipped.
    COMPLETED = "completed"
    #: Undoing what was executed; stays here while a debt is open.
    COMPENSATING = "compensating"
    #: Every executed step that can be undone is undone.
    COMPENSATED = "compensated"
    #: It ended and was not undone (no rollback wanted). It can still be compensated or retried.
    FAILED = "failed"


class StepStatus(StrEnum):
    """Where a step stands."""

    #: Not claimed: never yet, or between two attempts.
    PENDING = "pending"
    #: A worker holds the claim of an attempt of its action.
    RUNNING = "running"
    #: Waits for somebody outside (webhook, reply, approval, signal, timer, child). Used by a later version.
    WAITING = "waiting"
    #: The action was done and its output is stored.
    COMPLETED = "completed"
    #: The action surely had no effect.
    FAILED = "failed"
    #: The action may have had an effect: it counts as executed.
    UNKNOWN = "unknown"
    #: Passed over on purpose.
    SKIPPED = "skipped"
    #: Never executed (and without doubt) when the rollback began.
    CANCELLED = "cancelled"
    #: Its compensation is open: running, or between two attempts.
    COMPENSATING = "compensating"
    #: Undone.
    COMPENSATED = "compensated"
    #: The undo ran out of budget or was refused: a debt that a person must settle.
    COMPENSATION_FAILED = "compensation_failed"
    #: A person decided, with a reason, that it is not undone.
    COMPENSATION_SKIPPED = "compensation_skipped"


class Hold(StrEnum):
    """Why a step is blocked until a person (or a capable worker) acts. The empty hold blocks nothing."""

    NONE = ""
    #: Its workers died too often while running it.
    CRASHES = "crashes"
    #: No live worker knows its handler. Heals when one that does appears.
    NO_HANDLER = "no_handler"
    #: Its result could not be written to the database; it was recorded without its payload.
    UNRECORDED = "unrecorded"
    #: Its compensation failed for good.
    DEBT = "debt"
    #: An attempt reported an effect after the step had been undone: nothing will undo that effect.
    LATE_EFFECT = "late_effect"


class Cause(StrEnum):
    """Why a status changes: one word per column of the edge table."""

    CLAIM = "claim"
    COMPLETED = "completed"
    REJECTED = "rejected"
    IN_DOUBT = "in_doubt"
    NO_EFFECT = "no_effect"
    HANDED_BACK = "handed_back"
    WORKER_LOST = "worker_lost"
    UNRECORDED = "unrecorded"
    ROLLBACK = "rollback"
    GIVE_UP = "give_up"
    RETRY = "retry"
    COMPENSATE = "compensate"
    SETTLED = "settled"


TERMINAL = frozenset({SagaState.COMPLETED, SagaState.COMPENSATED, SagaState.FAILED})
ALIVE = frozenset(SagaState) - TERMINAL

#: What a step must be for those that depend on it to go forward.
PASSED = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})
#: Nothing is left to undo, whatever the step's compensation.
RESOLVED = frozenset(
    {
        StepStatus.FAILED,
        StepStatus.CANCELLED,
        StepStatus.SKIPPED,
        StepStatus.COMPENSATED,
        StepStatus.COMPENSATION_SKIPPED,
    }
)
#: The action was done, or may have been, and is not undone.
EXECUTED = frozenset({StepStatus.COMPLETED, StepStatus.UNKNOWN})
#: Statuses in which a worker may hold a claim.
CLAIMED = frozenset({StepStatus.RUNNING, StepStatus.COMPENSATING})

_S = StepStatus
STEP_EDGES: dict[tuple[StepStatus, Cause], frozenset[StepStatus]] = {
    (_S.PENDING, Cause.CLAIM): frozenset({_S.RUNNING}),
    (_S.PENDING, Cause.ROLLBACK): frozenset({_S.CANCELLED, _S.UNKNOWN}),
    (_S.PENDING, Cause.GIVE_UP): frozenset({_S.CANCELLED, _S.UNKNOWN}),
    (_S.RUNNING, Cause.COMPLETED): frozenset({_S.COMPLETED}),
    (_S.RUNNING, Cause.REJECTED): frozenset({_S.FAILED, _S.UNKNOWN}),
    (_S.RUNNING, Cause.IN_DOUBT): frozenset({_S.PENDING, _S.UNKNOWN}),
    (_S.RUNNING, Cause.NO_EFFECT): frozenset({_S.PENDING, _S.FAILED, _S.UNKNOWN}),
    (_S.RUNNING, Cause.HANDED_BACK): frozenset({_S.PENDING, _S.CANCELLED, _S.UNKNOWN}),
    (_S.RUNNING, Cause.WORKER_LOST): frozenset({_S.PENDING, _S.CANCELLED, _S.UNKNOWN}),
    (_S.RUNNING, Cause.UNRECORDED): frozenset({_S.UNKNOWN}),
    (_S.COMPLETED, Cause.CLAIM): frozenset({_S.COMPENSATING}),
    (_S.UNKNOWN, Cause.CLAIM): frozenset({_S.COMPENSATING}),
    (_S.UNKNOWN, Cause.RETRY): frozenset({_S.PENDING}),
    (_S.FAILED, Cause.RETRY): frozenset({_S.PENDING}),
    (_S.CANCELLED, Cause.RETRY): frozenset({_S.PENDING}),
    (_S.COMPENSATING, Cause.CLAIM): frozenset({_S.COMPENSATING}),
    (_S.COMPENSATING, Cause.COMPLETED): frozenset({_S.COMPENSATED}),
    (_S.COMPENSATING, Cause.REJECTED): frozenset({_S.COMPENSATION_FAILED}),
    (_S.COMPENSATING, Cause.IN_DOUBT): frozenset({_S.COMPENSATING, _S.COMPENSATION_FAILED}),
    (_S.COMPENSATING, Cause.NO_EFFECT): frozenset({_S.COMPENSATING, _S.COMPENSATION_FAILED}),
    (_S.COMPENSATING, Cause.HANDED_BACK): frozenset({_S.COMPENSATING}),
    (_S.COMPENSATING, Cause.WORKER_LOST): frozenset({_S.COMPENSATING}),
    (_S.COMPENSATING, Cause.UNRECORDED): frozenset({_S.COMPENSATION_FAILED}),
    (_S.COMPENSATION_FAILED, Cause.RETRY): frozenset({_S.COMPENSATING}),
}

_G = SagaState
SAGA_EDGES: dict[tuple[SagaState, Cause], frozenset[SagaState]] = {
    (_G.STARTED, Cause.SETTLED): frozenset({_G.COMPLETED}),
    (_G.STARTED, Cause.ROLLBACK): frozenset({_G.COMPENSATING}),
    (_G.STARTED, Cause.COMPENSATE): frozenset({_G.COMPENSATING}),
    (_G.STARTED, Cause.GIVE_UP): frozenset({_G.FAILED}),
    (_G.COMPENSATING, Cause.SETTLED): frozenset({_G.COMPENSATED}),
    (_G.FAILED, Cause.COMPENSATE): frozenset({_G.COMPENSATING}),
    (_G.FAILED, Cause.RETRY): frozenset({_G.STARTED}),
}


def is_terminal(state: SagaState) -> bool:
    """Whether nothing more happens by itself."""
    return state in TERMINAL
