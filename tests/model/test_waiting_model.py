"""Steps that wait for an answer, and their rounds, explored exhaustively around the real `decide`; and the same with
one rule taken away, which must be found. docs/claim-model.md says what is in that world."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sagas.core import attempts, settle, waiting
from sagas.core import decide as decide_module
from sagas.core import triggers as t
from sagas.core.draft import Draft
from sagas.core.rows import StepRow
from sagas.core.states import Cause, StepStatus, Wait

from .explore import STUCK
from .search import search
from .waiting_world import Faults, WaitingWorld


@pytest.mark.parametrize(
    ("faults", "on_timeout"),
    [
        (Faults(timeout=1, post=1, refusal=1), "retry"),
        (Faults(timeout=1, refusal=1, itself=1), "retry"),
        (Faults(crash=1, refusal=1, itself=1), "fail"),
        (Faults(crash=1, post=1), "fail"),
        (Faults(operator=1, post=1), "fail"),
        (Faults(operator=1, refusal=1, itself=1), "fail"),
    ],
    ids=str,
)
def test_answers_and_rounds__no_schedule_breaks_an_invariant(faults: Faults, on_timeout: str):
    found = search(WaitingWorld(faults, on_timeout=on_timeout))

    assert found.exhaustive
    assert found.violations == {}
    assert found.states > 1000


@pytest.mark.parametrize("wish", [t.Compensate("op"), t.Rewind("op", position=0)], ids=["compensate", "rewind"])
def test_answers_and_timeouts_in_a_rollback__no_schedule_breaks_an_invariant(wish: t.OperatorTrigger):
    found = search(WaitingWorld(Faults(operator=1, timeout=1), on_timeout="fail", wishes=(wish,)))

    assert found.exhaustive
    assert found.violations == {}


# -- the same with one rule less -------------------------------------------------------------------------------------

Weaken = Callable[[pytest.MonkeyPatch], None]


def old_failures_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal of an attempt before the current one is taken for a refusal of the step."""

    def awaited(draft: Draft, trigger: t.Answer) -> bool:
        step = draft.steps[trigger.position]
        return step.claimed or step.waits is Wait.ANSWER

    monkeypatch.setattr(waiting, "_awaited", awaited)


def any_round_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is not bound to its round."""

    def answer(draft: Draft, trigger: t.Answer) -> str:
        step = draft.steps[trigger.position]
        return waiting.answer(draft, t.Answer(0, step.round, trigger.attempt, trigger.undo, trigger.ok, trigger.digest))

    monkeypatch.setitem(decide_module._HANDLERS, t.Answer, answer)


def any_phase_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A "yes" to the action is taken for one to its compensation."""

    def answer(draft: Draft, trigger: t.Answer) -> str:
        undo = draft.steps[trigger.position].status is StepStatus.COMPENSATING
        more = (trigger.round, trigger.attempt, undo or trigger.undo, trigger.ok, trigger.digest)
        return waiting.answer(draft, t.Answer(trigger.position, *more))

    monkeypatch.setitem(decide_module._HANDLERS, t.Answer, answer)


def thread_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is faster than its handler leaves no trace of the handler's thread."""
    take = waiting._take

    def hasty(draft: Draft, trigger: t.Answer, *, undo: bool) -> None:
        take(draft, trigger, undo=undo)
        step = draft.step(trigger.position)
        step.stale_worker = step.stale_token = None

    monkeypatch.setattr(waiting, "_take", hasty)


def early_no_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A "no" that comes while the handler may still do something is taken for "surely no effect"."""
    take = waiting._take

    def trusting(draft: Draft, trigger: t.Answer, *, undo: bool) -> None:
        fresh = not draft.steps[trigger.position].doubt
        take(draft, trigger, undo=undo)
        if fresh and not trigger.ok and not undo:
            draft.step(trigger.position).status = StepStatus.FAILED

    monkeypatch.setattr(waiting, "_take", trusting)


def silence_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer in time is taken for "surely no effect"."""

    def no_answer(draft: Draft, position: int, *, again: bool) -> None:
        waiting._wait_no_more(draft, position)
        draft.move(position, Cause.TIMER, StepStatus.FAILED)

    monkeypatch.setattr(waiting, "_no_answer", no_answer)


def waits_without_end_in_a_rollback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The drain has no limit."""

    def drain(draft: Draft, position: int) -> None:
        draft.step(position).due_at = None

    monkeypatch.setattr(settle, "drain", drain)


def waiting_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback takes what waits for an answer for not begun."""

    def drain(draft: Draft, position: int) -> None:
        draft.move(position, Cause.ROLLBACK, StepStatus.CANCELLED).waits = Wait.NONE
        draft.free(position)

    monkeypatch.setattr(settle, "drain", drain)


def keys_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that was undone is opened again in the same round."""

    def begin(draft: Draft, position: int) -> None:
        draft.touched.add(position)
        old = draft.steps[position]
        fresh = StepRow(position, old.status, round=old.round)
        fresh.stale_worker, fresh.stale_token = old.stale_worker, old.stale_token
        draft.steps[position] = fresh

    monkeypatch.setattr(settle, "begin_round", begin)


def rounds_forget_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is opened anew does not wait for the thread of its undo, which an answer was faster than."""

    def begin(draft: Draft, position: int) -> None:
        draft.touched.add(position)
        old = draft.steps[position]
        draft.steps[position] = StepRow(position, old.status, round=old.round + 1)

    monkeypatch.setattr(settle, "begin_round", begin)


def timeout_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout of an attempt that an answer was faster than is taken for the end of its thread."""

    def in_doubt(draft: Draft, trigger: t.InDoubt) -> str:
        step = draft.steps[trigger.position]
        if step.answer and step.stale_token == trigger.token:
            ended = draft.step(trigger.position)
            ended.stale_worker = ended.stale_token = None
        return attempts.in_doubt(draft, trigger)

    monkeypatch.setitem(decide_module._HANDLERS, t.InDoubt, in_doubt)


def results_are_not_bound_to_their_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any thread's word counts while somebody holds a claim."""
    monkeypatch.setattr(waiting, "current", lambda draft, trigger: draft.steps[trigger.position].claimed)
    monkeypatch.setattr(attempts, "current", lambda draft, trigger: draft.steps[trigger.position].claimed)


TIMEOUTS = Faults(timeout=1, post=1, refusal=1)


@pytest.mark.parametrize(
    ("weaken", "faults", "on_timeout", "violation"),
    [
        (old_failures_count, TIMEOUTS, "retry", "I11"),
        (any_round_counts, Faults(operator=1), "fail", "I9"),
        (any_phase_counts, Faults(operator=1), "fail", "I9"),
        (thread_is_not_waited_for, Faults(operator=1), "fail", "OVERLAP"),
        (early_no_is_sure, Faults(refusal=1, itself=1), "fail", "I10"),
        (silence_is_no, Faults(), "fail", "I10"),
        (waiting_is_cancelled, Faults(operator=1), "fail", "I10"),
        (keys_stay_the_same, Faults(operator=1), "fail", "I9"),
        (rounds_forget_threads, Faults(operator=1), "fail", "OVERLAP"),
        (timeout_is_an_end, Faults(operator=1, timeout=1), "fail", "OVERLAP"),
        (results_are_not_bound_to_their_claim, Faults(crash=1), "fail", "OVERLAP"),
    ],
)
def test_one_rule_less__is_found(
    monkeypatch: pytest.MonkeyPatch, weaken: Weaken, faults: Faults, on_timeout: str, violation: str
):
    weaken(monkeypatch)

    found = search(WaitingWorld(faults, on_timeout=on_timeout), stop_at_first=True)

    assert violation in {text.split(" ", 1)[0] for text in found.violations}


def test_drain_without_limit__is_stuck_when_the_letter_is_lost(monkeypatch: pytest.MonkeyPatch):
    waits_without_end_in_a_rollback(monkeypatch)

    found = search(WaitingWorld(Faults(operator=1, post=1), on_timeout="fail", wishes=(t.Compensate("op"),)))

    assert "is lost" in " ".join(found.violations[STUCK].trace)
