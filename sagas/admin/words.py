"""What states, statuses, holds and kinds of history are called; unknown ones are shown as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..core.states import Hold, SagaState, StepStatus, Wait
from ..models import Saga, Step
from .cells import badge

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: The tone of what neither is busy nor needs anybody.
CALM = "calm"

_G, _S = SagaState, StepStatus
#: Written out, so that `makemessages` finds them.
_STATE_WORDS: dict[str, StrOrPromise] = {
    _G.STARTED: _("started"),
    _G.COMPLETED: _("completed"),
    _G.COMPENSATING: _("compensating"),
    _G.COMPENSATED: _("compensated"),
    _G.FAILED: _("failed"),
}
_STATUS_WORDS: dict[str, StrOrPromise] = {
    _S.PENDING: _("pending"),
    _S.RUNNING: _("running"),
    _S.WAITING: _("waiting"),
    _S.COMPLETED: _("completed"),
    _S.FAILED: _("failed"),
    _S.UNKNOWN: _("unknown"),
    _S.SKIPPED: _("skipped"),
    _S.CANCELLED: _("cancelled"),
    _S.COMPENSATING: _("compensating"),
    _S.COMPENSATED: _("compensated"),
    _S.COMPENSATION_FAILED: _("compensation failed"),
    _S.COMPENSATION_SKIPPED: _("compensation skipped"),
}

_STATE_TONES: dict[str, str] = {
    _G.STARTED: "going",
    _G.COMPLETED: "good",
    _G.COMPENSATING: "undoing",
    _G.COMPENSATED: CALM,
    _G.FAILED: "bad",
}
_STATUS_TONES: dict[str, str] = {
    _S.PENDING: CALM,
    _S.RUNNING: "going",
    _S.WAITING: "going",
    _S.COMPLETED: "good",
    _S.FAILED: "bad",
    _S.UNKNOWN: "bad",
    _S.SKIPPED: CALM,
    _S.CANCELLED: CALM,
    _S.COMPENSATING: "undoing",
    _S.COMPENSATED: CALM,
    _S.COMPENSATION_FAILED: "bad",
    _S.COMPENSATION_SKIPPED: CALM,
}

#: In two or three words, for the list.
HOLD_WORDS: dict[str, StrOrPromise] = {
    Hold.CRASHES: _("workers crash"),
    Hold.NO_HANDLER: _("no handler"),
    Hold.UNRECORDED: _("result not recorded"),
    Hold.DEBT: _("undo failed"),
    Hold.LATE_EFFECT: _("late effect"),
    Hold.AT_MOST_ONCE: _("not run twice"),
    Hold.NO_RETURN: _("no way back"),
    Hold.APPROVAL: _("needs approval"),
    Hold.OVERDUE: _("waits in vain"),
    Hold.CHILD: _("child saga failed"),
    # Of a saga, not of a step.
    "deadline": _("deadline missed"),
}

#: What happened, and what to do about it.
HOLD_SENTENCES: dict[str, StrOrPromise] = {
    Hold.CRASHES: _(
        "Workers died again and again while they ran this step. It is not run any more until somebody "
        "retries. Look at the workers' logs and memory first."
    ),
    Hold.NO_HANDLER: _(
        "No live worker knows the handler that this step needs. Nothing is lost: the saga goes on by itself "
        "as soon as a worker that knows the handler is started."
    ),
    Hold.UNRECORDED: _(
        "The step ran, but its result could not be written to the database: whether it had an effect is not "
        "known. Retry runs it again with the same idempotency key; compensate undoes it."
    ),
    Hold.DEBT: _(
        "The compensation failed for good: what the action did still stands. Mend the cause, then retry. The "
        "saga stays compensating until this is settled."
    ),
    Hold.LATE_EFFECT: _(
        "An attempt reported an effect after its step had been settled as undone or without effect. Nothing "
        "undoes that effect by itself: check it by hand."
    ),
    Hold.AT_MOST_ONCE: _(
        "The step may run once only, and nobody knows whether it did. Find out, then resolve it, or retry if a second "
        "run does no harm."
    ),
    Hold.NO_RETURN: _(
        "The step failed behind the point of no return, where nothing can be undone. Mend the cause and retry, skip "
        "it, or resolve it."
    ),
    Hold.APPROVAL: _("Somebody must approve before it goes on."),
    Hold.OVERDUE: _("What the step waits for did not come in time. Retry waits once more; skip goes on without it."),
    Hold.CHILD: _(
        "The child saga of the step failed and was not undone. Retry or compensate the child, and this saga goes on by "
        "itself; or resolve or skip the step."
    ),
    "deadline": _("The saga was not done by its deadline. It goes on; retry takes the note away."),
}

_WAIT_WORDS: dict[str, StrOrPromise] = {
    Wait.ANSWER: _("waits for an answer to its token"),
    Wait.SIGNAL: _("waits for the signal"),
    Wait.TIMER: _("waits for its time"),
    Wait.APPROVAL: _("waits for approval"),
    Wait.CHILD: _("waits for its child saga"),
}

KIND_WORDS: dict[str, StrOrPromise] = {
    "started": _("saga started"),
    "claimed": _("taken by a worker"),
    "prepared": _("input stored"),
    "completed": _("done"),
    "rejected": _("refused by the handler"),
    "in_doubt": _("ended without an answer"),
    "no_effect": _("failed without effect"),
    "handed_back": _("handed back, not started"),
    "unrecorded": _("result could not be recorded"),
    "thread_ended": _("timed-out attempt has ended"),
    "worker_lost": _("taken over from a lost worker"),
    "no_handler": _("no worker knows the handler"),
    "no_code": _("a function of the definition is missing"),
    "flagged_stale": _("flagged as stale"),
    "compensate": _("compensate requested"),
    "retry": _("retry requested"),
    "checked": _("condition holds"),
    "passed_over": _("condition does not hold"),
    "waits": _("waits for an answer"),
    "answered": _("answered"),
    "answer": _("answer"),
    "opened_out": _("opened out into its elements"),
    "signal": _("signal received"),
    "child_started": _("child saga started"),
    "child_ended": _("child saga has ended"),
    "parent_undoes": _("undone by its parent"),
    "absent": _("surely never happened"),
    "timer": _("a time has come"),
    "cancel": _("cancel requested"),
    "pause": _("pause requested"),
    "resume": _("resume requested"),
    "run_now": _("run now requested"),
    "edit": _("retry with another input requested"),
    "skip": _("skip requested"),
    "approve": _("approved"),
    "deny": _("denied"),
    "resolve": _("resolved"),
    "rewind": _("roll back to this step requested"),
    "assign": _("assigned"),
    "comment": _("comment"),
    "started_by_hand": _("started from a form"),
    "restart": _("a new saga was started in its place"),
    "debt_reminded": _("told again: its compensation has failed"),
    "revealed": _("hidden values were shown"),
    "migrate": _("moved to another graph"),
}


def state_badge(saga: Saga) -> SafeString:
    """The saga's state."""
    return badge(_STATE_TONES.get(saga.state, CALM), state_words(saga.state))


def status_badge(step: Step) -> SafeString:
    """The step's status."""
    return badge(_STATUS_TONES.get(step.status, CALM), status_words(step.status))


def status_words(status: str) -> str:
    """A step's status, for reading."""
    return str(_STATUS_WORDS.get(status, status))


def state_words(state: str) -> str:
    """A saga's state, for reading."""
    return str(_STATE_WORDS.get(state, state))


def wait_words(wait: str) -> str:
    """What a step waits for."""
    return str(_WAIT_WORDS.get(wait, wait))


def hold_words(hold: str) -> str:
    """A hold (or an attention) in two or three words."""
    return str(HOLD_WORDS.get(hold, hold))


def hold_badge(hold: str) -> SafeString:
    """A hold, as a coloured word: who waits for a decision is no trouble."""
    return badge("going" if hold == Hold.APPROVAL else "bad", hold_words(hold))


def hold_sentence(hold: str) -> str:
    """A hold in sentences."""
    return str(HOLD_SENTENCES.get(hold, hold))


def kind_words(kind: str) -> str:
    """The kind of a history entry."""
    if kind.startswith("late_"):
        return gettext("too late, not counted: %(kind)s") % {"kind": kind_words(kind.removeprefix("late_"))}
    return str(KIND_WORDS.get(kind, kind))
