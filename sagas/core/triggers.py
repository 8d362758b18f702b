"""Triggers: everything that `decide` can be asked about. Plain values; payloads travel beside them.

Triggers of a step's attempt carry the claim (worker, token) under which it ran; one whose claim is not the step's
current one changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from .graph import Graph
from .states import SagaState


@dataclass(frozen=True, slots=True)
class Look:
    """A hint or the sweep: is there anything to claim?"""

    kind: ClassVar[str] = "claimed"
    #: The sweep came because `wake_at` had passed: set it anew.
    sweep: bool = False
    #: The store has given the saga the lock that it waited for.
    unlocked: bool = False


@dataclass(frozen=True, slots=True)
class AttemptTrigger:
    """Base of what one attempt of a step reports."""

    kind: ClassVar[str] = ""
    position: int
    worker: UUID
    token: int
    #: The attempt was of the compensation.
    undo: bool = False


@dataclass(frozen=True, slots=True)
class Prepared(AttemptTrigger):
    """The step's input was worked out after the claim; it is stored before the handler sees it."""

    kind: ClassVar[str] = "prepared"


@dataclass(frozen=True, slots=True)
class Completed(AttemptTrigger):
    """The handler returned."""

    kind: ClassVar[str] = "completed"
    #: Of a compensation: why what it returned is not kept. It is undone all the same.
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Rejected(AttemptTrigger):
    """The handler said no: surely no effect, no retry."""

    kind: ClassVar[str] = "rejected"
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class InDoubt(AttemptTrigger):
    """The attempt ended without an answer: an exception, `Retryable`, a timeout."""

    kind: ClassVar[str] = "in_doubt"
    code: str = ""
    message: str = ""
    #: Wished wait before the next attempt (`Retryable(after=…)`), instead of the policy's.
    after: timedelta | None = None
    #: The attempt's thread still runs: nothing else of the step may start before it ended.
    thread_alive: bool = False
    #: Another attempt would end the same way: unknown at once.
    final: bool = False


@dataclass(frozen=True, slots=True)
class NoEffect(AttemptTrigger):
    """The attempt failed and surely left nothing behind (an atomic step was rolled back, no input could be made)."""

    kind: ClassVar[str] = "no_effect"
    code: str = ""
    message: str = ""
    after: timedelta | None = None
    thread_alive: bool = False
    #: Another attempt would end the same way: failed at once.
    final: bool = False


@dataclass(frozen=True, slots=True)
class HandedBack(AttemptTrigger):
    """The worker gives an attempt back that it never started."""

    kind: ClassVar[str] = "handed_back"


@dataclass(frozen=True, slots=True)
class NoCode(AttemptTrigger):
    """Before its action was called: today's code lacks a function that the step needs (its input, its condition)."""

    kind: ClassVar[str] = "no_code"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Unrecorded(AttemptTrigger):
    """The result could not be written; it is recorded without its payload."""

    kind: ClassVar[str] = "unrecorded"
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ThreadEnded(AttemptTrigger):
    """The thread of a timed-out attempt is gone."""

    kind: ClassVar[str] = "thread_ended"


@dataclass(frozen=True, slots=True)
class Checked(AttemptTrigger):
    """The step's condition holds; it may open at `opens_at` (None: at once)."""

    kind: ClassVar[str] = "checked"
    opens_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PassedOver(AttemptTrigger):
    """The step's condition does not hold."""

    kind: ClassVar[str] = "passed_over"


@dataclass(frozen=True, slots=True)
class OpenedOut(AttemptTrigger):
    """The list that the step is done for has so many elements; their inputs travel beside."""

    kind: ClassVar[str] = "opened_out"
    count: int = 0


@dataclass(frozen=True, slots=True)
class Waits(AttemptTrigger):
    """The handler returned `Pending`: somebody else will answer."""

    kind: ClassVar[str] = "waits"
    #: Instead of the step's own limit.
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ChildStarted(AttemptTrigger):
    """The step's child saga is there; in the same transaction."""

    kind: ClassVar[str] = "child_started"
    #: It was there before, or has ended already: look at once.
    look: bool = False


@dataclass(frozen=True, slots=True)
class Absent(AttemptTrigger):
    """The probe says that the action surely never happened: there is nothing to undo."""

    kind: ClassVar[str] = "absent"


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody with a step's token says of it. Bound to step, round and phase; a failure to the attempt too."""

    kind: ClassVar[str] = "answered"
    position: int
    round: int
    attempt: int
    undo: bool
    #: Whether it was done.
    ok: bool
    #: Of what was said: the same again is harmless.
    digest: str
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """A named fact that a step waits for, or will; of no revision, whoever tells it."""

    kind: ClassVar[str] = "signal"
    name: str
    digest: str
    actor: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """Where the step's child saga stands, now that it has ended; what it ended with travels beside."""

    kind: ClassVar[str] = "child_ended"
    step: str
    round: int
    state: SagaState
    code: str = ""
    message: str = ""
    #: It can not be undone.
    refused: bool = False


@dataclass(frozen=True, slots=True)
class ParentUndoes:
    """The step that this saga is the child of is undone, or is not wanted any more; for this reason."""

    kind: ClassVar[str] = "parent_undoes"
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker process is dead, or has lost its claims: they are taken over."""

    kind: ClassVar[str] = "worker_lost"
    worker: UUID
    #: Only this claim (the audit found it unrun); None = all of the worker's.
    token: int | None = None


@dataclass(frozen=True, slots=True)
class NoHandler:
    """No live worker knows the handler of a ready step."""

    kind: ClassVar[str] = "no_handler"
    position: int


@dataclass(frozen=True, slots=True)
class FlagStale:
    """No progress for longer than allowed."""

    kind: ClassVar[str] = "flagged_stale"


@dataclass(frozen=True, slots=True)
class OperatorTrigger:
    """Base of what a person (or a program in a person's name) asks for."""

    kind: ClassVar[str] = ""
    actor: str = ""
    reason: str = ""
    #: The revision that the person looked at; None = whatever it is now.
    expected_revision: int | None = None


@dataclass(frozen=True, slots=True)
class Compensate(OperatorTrigger):
    """Roll the saga back."""

    kind: ClassVar[str] = "compensate"


@dataclass(frozen=True, slots=True)
class Retry(OperatorTrigger):
    """Run now, with a fresh budget, what is stuck."""

    kind: ClassVar[str] = "retry"


@dataclass(frozen=True, slots=True)
class Cancel(Compensate):
    """Roll the saga back: it is not wanted any more."""

    kind: ClassVar[str] = "cancel"


@dataclass(frozen=True, slots=True)
class Pause(OperatorTrigger):
    """Begin nothing more until somebody resumes it."""

    kind: ClassVar[str] = "pause"


@dataclass(frozen=True, slots=True)
class Resume(OperatorTrigger):
    """Go on."""

    kind: ClassVar[str] = "resume"


@dataclass(frozen=True, slots=True)
class RunNow(OperatorTrigger):
    """Wait no longer for the time of a next attempt or of a timer. Budgets stay as they are."""

    kind: ClassVar[str] = "run_now"


@dataclass(frozen=True, slots=True)
class StepTrigger(OperatorTrigger):
    """Base of what is asked for one step."""

    position: int = -1


@dataclass(frozen=True, slots=True)
class Edit(StepTrigger):
    """Run the step again with another input."""

    kind: ClassVar[str] = "edit"


@dataclass(frozen=True, slots=True)
class Skip(StepTrigger):
    """Go on without the step (or without undoing it)."""

    kind: ClassVar[str] = "skip"


@dataclass(frozen=True, slots=True)
class Approve(StepTrigger):
    """Let the step run, or be undone."""

    kind: ClassVar[str] = "approve"


@dataclass(frozen=True, slots=True)
class Deny(StepTrigger):
    """Do not let the step run."""

    kind: ClassVar[str] = "deny"


@dataclass(frozen=True, slots=True)
class Resolve(StepTrigger):
    """A person has found out, or has done by hand, what the engine can not: the reason is the evidence."""

    kind: ClassVar[str] = "resolve"
    #: Whether it is done (or undone) now; False: it surely never happened (or will stay as it is).
    done: bool = True


@dataclass(frozen=True, slots=True)
class Rewind(StepTrigger):
    """Undo the step and all that depends on it, and go forward again from there."""

    kind: ClassVar[str] = "rewind"


@dataclass(frozen=True, slots=True)
class Assign(StepTrigger):
    """Somebody looks after what the step asks a person for; a debt's next try may be given a time (None: parked)."""

    kind: ClassVar[str] = "assign"
    owner: str = ""
    next_try: datetime | None = None
    #: Who has looked after it until now, as far as who asks knows; somebody else: it is refused. None: whoever has.
    instead_of: str | None = None
    #: The time of the next try stays as it is.
    keeps_time: bool = False


@dataclass(frozen=True, slots=True)
class Restart(OperatorTrigger):
    """A new saga is started in the place of this one, which stays as it is."""

    kind: ClassVar[str] = "restart"


@dataclass(frozen=True, slots=True)
class Migrate(OperatorTrigger):
    """Put the saga on another graph: old steps become new ones, or are dropped (None)."""

    kind: ClassVar[str] = "migrate"
    target: Graph = field(default_factory=lambda: Graph(()))
    mapping: Mapping[str, str | None] = field(default_factory=dict)
    #: The version that the saga has from then on; empty: it stays.
    version: str = ""


#: All of them, for tests that must miss none.
TRIGGERS: tuple[type, ...] = (
    Look, Prepared, Completed, Rejected, InDoubt, NoEffect, HandedBack, NoCode, Unrecorded, ThreadEnded, Checked,
    PassedOver, OpenedOut, Waits, ChildStarted, Absent, Answer, Signal, ChildEnded, ParentUndoes, WorkerLost, NoHandler,
    FlagStale, Compensate, Retry, Cancel, Pause, Resume, RunNow, Edit, Skip, Approve, Deny, Resolve, Rewind, Assign,
    Restart, Migrate,
)  # fmt: skip

Trigger = (
    AttemptTrigger | Answer | Signal | ChildEnded | ParentUndoes | Look | WorkerLost | NoHandler | FlagStale
    | OperatorTrigger
)  # fmt: skip
