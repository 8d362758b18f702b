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
    #: Waits for somebody outside, or for a time: see `Wait`.
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
    #: It may run once only, and nobody knows whether it did.
    AT_MOST_ONCE = "at_most_once"
    #: It failed behind the point of no return: there is only forward.
    NO_RETURN = "no_return"
    #: Somebody must approve, of doing it or of undoing it.
    APPROVAL = "approval"
    #: What it waits for did not come in time.
    OVERDUE = "overdue"
    #: Its child saga failed, and was not undone.
    CHILD = "child"


#: Holds of a step that failed (or may have) while going forward, and that a person decides on: the saga waits.
UNDECIDED = frozenset({Hold.UNRECORDED, Hold.AT_MOST_ONCE, Hold.NO_RETURN, Hold.CHILD})


#: Holds that ask for a person: each is a work item. A missing handler heals by itself.
ASKING = frozenset(Hold) - {Hold.NONE, Hold.NO_HANDLER}


class Wait(StrEnum):
    """What a waiting step waits for."""

    NONE = ""
    #: The answer to its token, from Python or REST: its handler returned `Pending`.
    ANSWER = "answer"
    SIGNAL = "signal"
    TIMER = "timer"
    APPROVAL = "approval"
    #: The end of its child saga; or, while it is being undone, the end of the child's rollback.
    CHILD = "child"


#: Gates: passed before the step's action may run; a rollback cancels them.
GATES = frozenset({Wait.SIGNAL, Wait.TIMER, Wait.APPROVAL})


class Lock(StrEnum):
    """Where a saga stands with its semantic lock. One that has none, or has ended, stands nowhere."""

    NONE = ""
    #: Another living saga has it: this one begins nothing.
    WAITS = "waits"
    HELD = "held"


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
    #: Its turn has come, and there is a gate before it.
    GATE = "gate"
    PASSED_OVER = "passed_over"
    WAITS = "waits"
    ANSWERED = "answered"
    SIGNALLED = "signalled"
    #: A time has come.
    TIMER = "timer"
    APPROVE = "approve"
    DENY = "deny"
    SKIP = "skip"
    RESOLVE = "resolve"
    REWIND = "rewind"
    #: Its child saga has ended, or is to be undone.
    CHILD = "child"
    #: The step of another saga that started it is undone.
    PARENT = "parent"


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
    (_S.RUNNING, Cause.PASSED_OVER): frozenset({_S.SKIPPED}),
    (_S.RUNNING, Cause.GATE): frozenset({_S.PENDING, _S.WAITING, _S.CANCELLED}),
    (_S.RUNNING, Cause.WAITS): frozenset({_S.WAITING}),
    (_S.RUNNING, Cause.ANSWERED): frozenset({_S.COMPLETED, _S.UNKNOWN}),
    (_S.PENDING, Cause.GATE): frozenset({_S.WAITING, _S.COMPLETED}),
    (_S.PENDING, Cause.ANSWERED): frozenset({_S.COMPLETED}),
    (_S.PENDING, Cause.SKIP): frozenset({_S.SKIPPED, _S.COMPLETED}),
    (_S.WAITING, Cause.ANSWERED): frozenset({_S.COMPLETED, _S.FAILED, _S.UNKNOWN}),
    (_S.WAITING, Cause.SIGNALLED): frozenset({_S.COMPLETED}),
    (_S.WAITING, Cause.TIMER): frozenset({_S.PENDING, _S.COMPLETED, _S.FAILED, _S.UNKNOWN}),
    (_S.WAITING, Cause.APPROVE): frozenset({_S.PENDING, _S.COMPLETED}),
    (_S.WAITING, Cause.DENY): frozenset({_S.FAILED}),
    (_S.WAITING, Cause.SKIP): frozenset({_S.SKIPPED, _S.COMPLETED}),
    (_S.WAITING, Cause.RETRY): frozenset({_S.PENDING}),
    (_S.WAITING, Cause.CHILD): frozenset({_S.COMPLETED, _S.FAILED, _S.UNKNOWN}),
    (_S.WAITING, Cause.ROLLBACK): frozenset({_S.CANCELLED}),
    (_S.WAITING, Cause.GIVE_UP): frozenset({_S.CANCELLED}),
    (_S.UNKNOWN, Cause.SKIP): frozenset({_S.COMPLETED, _S.COMPENSATION_SKIPPED}),
    (_S.COMPLETED, Cause.SKIP): frozenset({_S.COMPENSATION_SKIPPED}),
    (_S.UNKNOWN, Cause.CHILD): frozenset({_S.COMPLETED, _S.FAILED, _S.COMPENSATING}),
    (_S.COMPLETED, Cause.CHILD): frozenset({_S.COMPENSATING}),
    (_S.COMPENSATING, Cause.CHILD): frozenset({_S.COMPENSATED, _S.COMPENSATION_FAILED}),
    (_S.UNKNOWN, Cause.RESOLVE): frozenset({_S.COMPLETED, _S.FAILED}),
    (_S.FAILED, Cause.SKIP): frozenset({_S.SKIPPED}),
    **{
        (status, Cause.REWIND): frozenset({_S.PENDING})
        for status in (
            _S.COMPLETED,
            _S.UNKNOWN,
            _S.FAILED,
            _S.CANCELLED,
            _S.SKIPPED,
            _S.COMPENSATED,
            _S.COMPENSATION_SKIPPED,
        )
    },
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
    (_S.COMPENSATING, Cause.SKIP): frozenset({_S.COMPENSATION_SKIPPED}),
    (_S.COMPENSATION_FAILED, Cause.SKIP): frozenset({_S.COMPENSATION_SKIPPED}),
    (_S.COMPENSATION_FAILED, Cause.RETRY): frozenset({_S.COMPENSATING}),
    (_S.COMPENSATION_FAILED, Cause.TIMER): frozenset({_S.COMPENSATING}),
    (_S.COMPENSATION_FAILED, Cause.RESOLVE): frozenset({_S.COMPENSATED, _S.COMPENSATION_SKIPPED}),
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
    (_G.STARTED, Cause.REWIND): frozenset({_G.COMPENSATING}),
    (_G.FAILED, Cause.REWIND): frozenset({_G.COMPENSATING}),
    (_G.COMPENSATING, Cause.REWIND): frozenset({_G.STARTED}),
    **{(state, Cause.PARENT): frozenset({_G.COMPENSATING}) for state in (_G.STARTED, _G.FAILED, _G.COMPLETED)},
}


def is_terminal(state: SagaState) -> bool:
    """Whether nothing more happens by itself."""
    return state in TERMINAL
