"""The shortest schedules by which the claim model breaks when one of its rules is missing, played against the real
`decide` in both stores. docs/claim-model.md names the rule that each of them needs."""

from __future__ import annotations

from typing import Any

import pytest

from sagas.core import triggers as t
from sagas.core.graph import Graph
from sagas.core.retry import RetryPolicy
from sagas.core.states import Hold, SagaState, StepStatus
from sagas.store.base import Store, Submission, Verdict
from tests.core.build import ANNA, BERT, line

from .stage import Stage

#: Waits are over at once: schedules are about order, not time.
AT_ONCE = RetryPolicy(max_attempts=2, base=0, jitter=False)
S = StepStatus


def two_steps() -> Graph:
    return line(2, retry=AT_ONCE, undo_retry=AT_ONCE)


def stage(store: Store) -> Stage:
    return Stage(store, two_steps())


def roll_back_to_the_end(play: Stage, worker: Any = BERT) -> list[int]:
    """Undo what there is; the positions in their order."""
    undone = []
    while claims := play.look(worker):
        assert claims[0].undo
        undone.append(claims[0].position)
        play.end(t.Completed, claims[0], worker)
    return undone


# -- doubt is sticky -------------------------------------------------------------------------------------------------


def test_sticky__cancelling_a_step_in_doubt_is_no_no(store: Store):
    """claims d0 > starts > effect > timeout (thread goes on) > op compensate."""
    play = stage(store)
    claim = play.claim(ANNA)
    play.end(t.InDoubt, claim, ANNA, code="timeout", thread_alive=True)
    assert play.statuses == [S.PENDING, S.PENDING]

    play.tell(t.Compensate("op", "changed my mind"))

    assert play.statuses == [S.UNKNOWN, S.CANCELLED]
    assert play.state is SagaState.COMPENSATING
    play.end(t.ThreadEnded, claim, ANNA)
    assert roll_back_to_the_end(play) == [0]
    assert play.state is SagaState.COMPENSATED
    play.check()


def test_sticky__a_rejection_after_an_attempt_in_doubt_is_no_no(store: Store):
    """claims d0 > starts > timeout > freeze > found dead > the other claims d0 > rejected."""
    play = stage(store)
    claim = play.claim(ANNA)
    play.end(t.InDoubt, claim, ANNA, code="timeout", thread_alive=True)
    play.tell(t.WorkerLost(ANNA))
    second = play.claim(BERT)

    play.end(t.Rejected, second, BERT, code="no")

    assert play.statuses == [S.UNKNOWN, S.CANCELLED]
    assert roll_back_to_the_end(play) == [0]
    assert play.state is SagaState.COMPENSATED
    play.check()


def test_sticky__without_doubt_a_rejection_is_a_no(store: Store):
    play = stage(store)

    play.end(t.Rejected, play.claim(ANNA), ANNA, code="no")

    assert play.statuses == [S.FAILED, S.CANCELLED]
    assert play.state is SagaState.COMPENSATED
    play.check()


# -- a timed-out thread is waited for --------------------------------------------------------------------------------


def test_zdrain__no_retry_beside_the_old_thread(store: Store):
    """claims d0 > starts > timeout (thread goes on) > the other claims d0."""
    play = stage(store)
    claim = play.claim(ANNA)

    play.end(t.InDoubt, claim, ANNA, code="timeout", thread_alive=True)

    assert play.look(BERT) == []
    assert play.look(ANNA) == []
    play.end(t.ThreadEnded, claim, ANNA)
    assert play.claim(BERT).attempt == 2
    play.check()


def test_zdrain__no_undo_beside_the_old_thread(store: Store):
    """claims d0 > starts > timeout (thread goes on) > op compensate > the other claims u0."""
    play = stage(store)
    claim = play.claim(ANNA)
    play.end(t.InDoubt, claim, ANNA, code="timeout", thread_alive=True)

    play.tell(t.Compensate("op"))

    assert play.look(BERT) == []
    play.end(t.ThreadEnded, claim, ANNA)
    assert play.claim(BERT).undo
    play.check()


def test_zdrain__a_dead_process_has_no_threads(store: Store):
    play = stage(store)
    play.end(t.InDoubt, play.claim(ANNA), ANNA, code="timeout", thread_alive=True)

    play.tell(t.WorkerLost(ANNA))

    assert play.claim(BERT).attempt == 2
    play.check()


def test_zdrain__the_end_of_another_thread_frees_nothing(store: Store):
    play = stage(store)
    claim = play.claim(ANNA)
    play.end(t.InDoubt, claim, ANNA, code="timeout", thread_alive=True)

    foreign = play.tell(t.ThreadEnded(0, BERT, claim.token))
    older = play.tell(t.ThreadEnded(0, ANNA, claim.token + 1))

    assert (foreign.verdict, older.verdict) == (Verdict.IGNORED, Verdict.IGNORED)
    assert play.look(BERT) == []


# -- a lapsed process hands back what it did not start ---------------------------------------------------------------


def test_guard__a_claim_handed_back_is_as_if_never_made(store: Store):
    """claims d0 > freeze > thaw > hands back: nothing ran, so nothing is in doubt."""
    play = stage(store)

    play.end(t.HandedBack, play.claim(ANNA), ANNA)

    _, steps = play.rows
    assert (steps[0].status, steps[0].doubt, steps[0].tries, steps[0].crashes) == (S.PENDING, False, 0, 0)
    assert play.claim(BERT).position == 0
    play.check()


def test_guard__handed_back_after_the_take_over_changes_nothing(store: Store):
    """claims d0 > freeze > found dead > taken over > thaw > hands back."""
    play = stage(store)
    claim = play.claim(ANNA)
    play.tell(t.WorkerLost(ANNA))
    play.claim(BERT)
    before = play.rows

    assert play.end(t.HandedBack, claim, ANNA).verdict is Verdict.IGNORED

    assert play.rows == before


def test_guard__handed_back_in_a_rollback_is_not_run_again(store: Store):
    """less_resubmit's way to the violation: in a rollback "unstarted" cancels, unless an attempt was in doubt."""
    play = stage(store)
    first = play.claim(ANNA)
    play.tell(t.WorkerLost(ANNA))
    claim = play.claim(BERT)
    play.tell(t.Compensate("op"))

    play.end(t.HandedBack, claim, BERT)

    assert first.token != claim.token
    assert play.statuses == [S.UNKNOWN, S.CANCELLED]
    assert roll_back_to_the_end(play) == [0]


# -- an ambiguous commit is submitted again --------------------------------------------------------------------------


def test_resubmit__applied_then_another_actor_moved_the_saga(store: Store):
    """effect d0 > commit APPLIED, answer lost > op compensate > submitted again: already recorded."""
    play = stage(store)
    submission = play.submission(t.Completed, play.claim(ANNA), ANNA)
    play.apply(submission)
    play.tell(t.Compensate("op"))
    before, entries = play.rows, len(play.history)

    result = play.again(submission, ANNA)

    assert result.verdict is Verdict.IGNORED
    assert result.claims == []
    assert play.rows == before
    assert len(play.history) == entries
    assert roll_back_to_the_end(play) == [0]


def test_resubmit__lost_then_another_actor_moved_the_saga(store: Store):
    """effect d0 > commit LOST > op compensate > submitted again: now it is recorded, and undone."""
    play = stage(store)
    submission = play.submission(t.Completed, play.claim(ANNA), ANNA)
    play.tell(t.Compensate("op"))
    assert play.statuses == [S.RUNNING, S.CANCELLED]

    result = play.again(submission, ANNA)

    assert result.verdict is Verdict.APPLIED
    assert [claim.undo for claim in result.claims] == [True]
    play.end(t.Completed, result.claims[0], ANNA)
    assert play.state is SagaState.COMPENSATED
    play.check()


def test_resubmit__your_claim_stands(store: Store):
    """commit of d0 and the claim of d1 APPLIED, answer lost > submitted again: the same claim, the same token."""
    play = stage(store)
    submission = play.submission(t.Completed, play.claim(ANNA), ANNA)
    first = play.apply(submission, ANNA)
    before = play.rows

    second = play.again(submission, ANNA)

    assert [claim.position for claim in first.claims] == [1]
    assert second.claims == first.claims
    assert play.rows == before
    play.end(t.Completed, second.claims[0], ANNA)
    assert play.state is SagaState.COMPLETED
    play.check()


def test_resubmit__a_claim_that_was_taken_over_does_not_stand(store: Store):
    play = stage(store)
    submission = play.submission(t.Completed, play.claim(ANNA), ANNA)
    play.apply(submission, ANNA)
    play.tell(t.WorkerLost(ANNA))
    play.claim(BERT)
    before = play.rows

    assert play.again(submission, ANNA).claims == []

    assert play.rows == before


def test_resubmit__an_ignored_result_claims_nothing(store: Store):
    """Its claims would stand in the history as the work of a result that did not count."""
    play = stage(store)
    submission = play.submission(t.Completed, play.claim(ANNA), ANNA)
    play.apply(submission)
    entries = len(play.history)

    result = play.again(submission, ANNA)

    assert result.claims == []
    assert play.statuses == [S.COMPLETED, S.PENDING]
    assert len(play.history) == entries


def test_resubmit__a_claim_lost_and_submitted_again(store: Store):
    play = stage(store)
    look = Submission(play.id, t.Look())
    first = play.apply(look, ANNA).claims

    again = play.again(look, ANNA).claims

    assert again == first
    assert play.rows[1][0].attempt == 1
    play.check()


def test_resubmit__somebody_else_has_the_claim(store: Store):
    """claim LOST > the other claims d0 > submitted again: nothing."""
    play = stage(store)
    look = Submission(play.id, t.Look())
    play.claim(BERT)

    assert play.again(look, ANNA).claims == []


# -- the audit -------------------------------------------------------------------------------------------------------


def test_audit__a_claim_that_its_process_forgot_goes_back(store: Store):
    """effect d0 > commit of d0 and the claim of d1 APPLIED, and forgotten > audit."""
    play = stage(store)
    forgotten = play.go_on(t.Completed, play.claim(ANNA), ANNA).claims[0]
    assert play.look(BERT) == []

    play.end(t.HandedBack, forgotten, ANNA)

    assert play.claim(BERT).position == 1
    play.check()


def test_audit__lost_with_its_token_takes_this_claim_only(store: Store):
    play = stage(store)
    claim = play.claim(ANNA)

    other = play.tell(t.WorkerLost(ANNA, claim.token + 1))

    assert other.verdict is Verdict.IGNORED
    assert play.tell(t.WorkerLost(ANNA, claim.token)).verdict is Verdict.APPLIED
    assert play.rows[1][0].doubt


# -- the fence -------------------------------------------------------------------------------------------------------

ENDINGS = [t.Completed, t.Rejected, t.InDoubt, t.NoEffect, t.HandedBack, t.Unrecorded, t.Prepared]


@pytest.mark.parametrize("kind", ENDINGS)
def test_fence__a_lost_claim_reports_in_vain(store: Store, kind: type[t.AttemptTrigger]):
    """claims d0 > freeze > found dead > taken over > the other claims d0 > thaw > reports."""
    play = stage(store)
    old = play.claim(ANNA)
    play.tell(t.WorkerLost(ANNA))
    play.claim(BERT)
    before = play.rows

    result = play.go_on(kind, old, ANNA)

    assert result.verdict is Verdict.IGNORED
    assert result.claims == []
    assert play.rows == before
    play.check()


@pytest.mark.parametrize("kind", ENDINGS)
def test_fence__also_for_an_undo(store: Store, kind: type[t.AttemptTrigger]):
    play = stage(store)
    play.end(t.Completed, play.claim(ANNA), ANNA)
    play.tell(t.Compensate("op"))
    old = play.claim(ANNA)
    play.tell(t.WorkerLost(ANNA))
    play.claim(BERT)
    before = play.rows

    assert play.go_on(kind, old, ANNA).verdict is Verdict.IGNORED

    assert play.rows == before


def test_fence__one_note_per_token(store: Store):
    play = stage(store)
    old = play.claim(ANNA)
    play.tell(t.WorkerLost(ANNA))

    for _ in range(3):
        play.end(t.Completed, old, ANNA)

    notes = [entry for entry in play.history if entry.seq is None]
    assert [note.kind for note in notes] == ["late_completed"]
    assert notes[0].data == {"worker": str(ANNA), "token": old.token, "undo": False}


def test_fence__the_same_token_of_another_worker_is_another_token(store: Store):
    play = stage(store)
    claim = play.claim(ANNA)

    assert play.end(t.Completed, claim, BERT).verdict is Verdict.IGNORED
    assert play.statuses == [S.RUNNING, S.PENDING]


# -- a late effect ---------------------------------------------------------------------------------------------------


def late_effect(play: Stage) -> tuple[Any, Any]:
    """Taken over, undone; then the frozen process reports that it did it."""
    old = play.claim(ANNA)
    play.tell(t.WorkerLost(ANNA))
    play.tell(t.Compensate("op"))
    roll_back_to_the_end(play)
    return old, play.go_on(t.Completed, old, ANNA)


def test_late_effect__asks_for_a_person(store: Store):
    play = stage(store)

    _, result = late_effect(play)

    assert play.state is SagaState.COMPENSATED
    assert play.rows[0].attention == Hold.LATE_EFFECT
    assert result.verdict is Verdict.IGNORED
    assert play.history[-1].kind == "late_completed"
    play.check()


def test_late_effect__its_payload_is_not_kept(store: Store):
    """Its claim was lost: what it returned is nobody's output (I11)."""
    play = stage(store)

    late_effect(play)

    assert play.store.texts([play.id])[play.id].outputs[0] is None


def test_late_effect__reported_again_changes_nothing(store: Store):
    play = stage(store)
    old, _ = late_effect(play)
    before = play.rows

    play.go_on(t.Completed, old, ANNA)

    assert play.rows == before
    play.check()


def test_late_effect__a_result_recorded_before_the_undo_and_submitted_again_is_none(store: Store):
    """commit of d0 APPLIED, answer lost > op compensate > the other undoes it > submitted again. It once asked for a
    person, on a saga that had ended and that nobody could do anything about."""
    play = stage(store)
    submission = play.submission(t.Completed, play.claim(ANNA), ANNA)
    play.apply(submission)
    play.tell(t.Compensate("op"))
    roll_back_to_the_end(play)
    before, entries = play.rows, len(play.history)

    assert play.again(submission, ANNA).verdict is Verdict.IGNORED

    assert play.state is SagaState.COMPENSATED
    assert play.rows == before
    assert len(play.history) == entries


def test_late_effect__an_atomic_step_learns_that_it_must_roll_back(store: Store):
    """It timed out, its saga gave it up; then the handler returns, inside the transaction that records it. "Applied"
    would commit its effect."""
    play = Stage(store, line(1, atomic=True, retry=RetryPolicy(1)))
    claim = play.claim(ANNA)
    play.end(t.NoEffect, claim, ANNA, code="timeout", thread_alive=True)
    assert play.state is SagaState.COMPENSATED

    assert play.end(t.Completed, claim, ANNA).verdict is Verdict.IGNORED


# -- reverse order, drain, take-over in a rollback, timeouts ---------------------------------------------------------


def test_order__a_running_step_is_drained_before_anything_is_undone(store: Store):
    """commits d0, claims d1 > op compensate > (next claim)."""
    play = stage(store)
    running = play.go_on(t.Completed, play.claim(ANNA), ANNA).claims[0]

    play.tell(t.Compensate("op"))

    assert play.look(BERT) == []
    play.end(t.Completed, running, ANNA)
    assert roll_back_to_the_end(play) == [1, 0]
    assert play.state is SagaState.COMPENSATED
    play.check()


def test_order__a_debt_keeps_what_is_before_it_from_being_undone(store: Store):
    play = stage(store)
    play.end(t.Completed, play.go_on(t.Completed, play.claim(ANNA), ANNA).claims[0], ANNA)
    assert play.state is SagaState.COMPLETED

    play = stage(store)
    running = play.go_on(t.Completed, play.claim(ANNA), ANNA).claims[0]
    play.tell(t.Compensate("op"))
    play.end(t.Completed, running, ANNA)
    play.end(t.Rejected, play.claim(ANNA), ANNA, code="no")

    assert play.look(BERT) == []
    assert play.statuses == [S.COMPLETED, S.COMPENSATION_FAILED]
    assert (play.state, play.rows[0].attention) == (SagaState.COMPENSATING, Hold.DEBT)
    play.tell(t.Retry("op"))
    assert roll_back_to_the_end(play) == [1, 0]
    play.check()


def test_take_over__in_a_rollback_an_interrupted_action_is_unknown_and_undone(store: Store):
    """claims d0 > crash > op compensate > found dead > taken over > (next claim)."""
    play = stage(store)
    play.claim(ANNA)
    play.tell(t.Compensate("op"))

    play.tell(t.WorkerLost(ANNA))

    assert play.statuses == [S.UNKNOWN, S.CANCELLED]
    assert play.claim(BERT).undo
    play.check()


def test_take_over__forward_it_runs_again_in_doubt(store: Store):
    play = stage(store)
    play.claim(ANNA)

    play.tell(t.WorkerLost(ANNA))

    assert (play.rows[1][0].status, play.rows[1][0].doubt) == (S.PENDING, True)
    assert play.claim(BERT).attempt == 2
    play.check()


def test_take_over__an_undo_is_due_again(store: Store):
    play = stage(store)
    play.end(t.Completed, play.claim(ANNA), ANNA)
    play.tell(t.Compensate("op"))
    assert play.claim(ANNA).undo

    play.tell(t.WorkerLost(ANNA))

    claim = play.claim(BERT)
    assert (claim.undo, claim.attempt) == (True, 2)
    play.check()


def test_timeout__is_no_no(store: Store):
    """effect d0 > timeout, no attempt left: unknown, and undone."""
    play = stage(store)
    play.end(t.InDoubt, play.claim(ANNA), ANNA, code="timeout")
    play.end(t.InDoubt, play.claim(ANNA), ANNA, code="timeout")

    assert play.statuses == [S.UNKNOWN, S.CANCELLED]
    assert roll_back_to_the_end(play) == [0]
    assert play.state is SagaState.COMPENSATED
    play.check()
