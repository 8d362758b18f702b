"""What operators and the stale monitor ask for."""

from __future__ import annotations

import pytest

from sagas.core import triggers as t
from sagas.core.errors import TransitionNotAllowedError
from sagas.core.retry import RetryPolicy
from sagas.core.states import Hold, SagaState, StepStatus

from .build import ANNA, EPOCH, Driver, line, side_by_side

S = StepStatus


def failed(*kinds: type[t.AttemptTrigger]) -> Driver:
    """A saga that ended failed, with nothing undone."""
    driver = Driver(line(3, retry=RetryPolicy(1)), rollback=False)
    driver.run(*kinds)
    assert driver.state is SagaState.FAILED
    return driver


# -- compensate ------------------------------------------------------------------------------------------------------


def test_compensate__before_anything_ran_ends_at_once():
    driver = Driver(line(2))

    driver.ask(t.Compensate("ann", "changed her mind"))

    assert (driver.state, driver.statuses) == (SagaState.COMPENSATED, [S.CANCELLED, S.CANCELLED])
    assert (driver.saga.error_code, driver.saga.error_message) == ("compensate", "changed her mind")
    assert driver.saga.completed_at == driver.now


def test_compensate__is_one_entry_with_actor_and_reason():
    driver = Driver(line(2))
    driver.run(t.Completed)

    driver.ask(t.Compensate("ann", "changed her mind"))

    entry = driver.history[-1]
    assert (entry.kind, entry.actor, entry.reason, entry.seq) == ("compensate", "ann", "changed her mind", 4)
    assert entry.data is not None
    assert entry.data["state"] == "compensating"


def test_compensate__twice_changes_nothing():
    driver = Driver(line(2))
    driver.run(t.Completed)
    driver.ask(t.Compensate("ann"))
    before = driver.snapshot()

    decision = driver.ask(t.Compensate("bert", "me too"))

    assert decision.ignored == "it is compensating already"
    assert driver.snapshot() == before


def test_compensate__a_failed_saga_undoes_what_was_executed_or_in_doubt():
    driver = failed(t.Completed, t.InDoubt)
    assert driver.statuses == [S.COMPLETED, S.UNKNOWN, S.CANCELLED]

    driver.ask(t.Compensate("ann", "please"))

    assert (driver.saga.completed_at, driver.saga.wake_at) == (None, driver.now)
    assert driver.saga.error_code == "unknown"
    driver.run(t.Completed, t.Completed)
    assert driver.statuses == [S.COMPENSATED, S.COMPENSATED, S.CANCELLED]
    assert driver.state is SagaState.COMPENSATED


def test_compensate__a_failed_saga_with_nothing_to_undo_ends_at_once():
    driver = failed(t.Rejected)

    driver.ask(t.Compensate("ann"))

    assert driver.state is SagaState.COMPENSATED
    assert driver.saga.completed_at == driver.now


def test_compensate__keeps_the_first_reason():
    driver = Driver(line(2))
    driver.saga.error_code = "kept"

    driver.ask(t.Compensate("ann", "later"))

    assert driver.saga.error_code == "kept"


def test_compensate__a_step_waiting_for_its_next_attempt_is_not_tried_again():
    driver = Driver(line(1))
    driver.run(t.NoEffect)

    driver.ask(t.Compensate("ann"))

    assert (driver.statuses, driver.steps[0].due_at) == ([S.CANCELLED], None)


# -- retry -----------------------------------------------------------------------------------------------------------


def test_retry__a_step_that_waits_runs_now_with_a_fresh_budget():
    driver = Driver(line(1))
    driver.run(t.InDoubt)
    assert driver.look() == []

    driver.ask(t.Retry("ann", "it is back"))

    step = driver.steps[0]
    assert (step.due_at, step.tries, step.doubt) == (None, 0, True)
    assert driver.claim().attempt == 2
    assert (driver.history[-2].kind, driver.history[-2].actor) == ("retry", "ann")


def test_retry__an_undo_that_waits():
    driver = Driver(line(1))
    driver.end(t.InDoubt, driver.claim(), final=True)
    driver.run(t.InDoubt)

    driver.ask(t.Retry("ann"))

    assert (driver.steps[0].due_at, driver.steps[0].undo_tries) == (None, 0)
    assert driver.claim().undo


def test_retry__a_debt_with_a_fresh_budget():
    driver = Driver(line(1, undo_retry=RetryPolicy(2, base=0)))
    driver.end(t.InDoubt, driver.claim(), final=True)
    driver.run(t.InDoubt, t.InDoubt)
    assert driver.saga.attention == "debt"

    driver.ask(t.Retry("ann"))

    assert (driver.statuses, driver.saga.attention) == ([S.COMPENSATING], "")
    driver.run(t.InDoubt)
    assert driver.statuses == [S.COMPENSATING]
    driver.run(t.Completed)
    assert driver.state is SagaState.COMPENSATED


def test_retry__an_unrecorded_step_keeps_its_round_and_its_doubt():
    driver = Driver(line(1))
    driver.run(t.Unrecorded)

    driver.ask(t.Retry("ann"))

    step = driver.steps[0]
    assert (step.status, step.round, step.doubt, step.hold) == (S.PENDING, 1, True, Hold.NONE)
    driver.run(t.Completed)
    assert driver.state is SagaState.COMPLETED


@pytest.mark.parametrize("hold", [Hold.CRASHES, Hold.NO_HANDLER])
def test_retry__lifts_a_hold(hold: Hold):
    driver = Driver(line(1))
    driver.steps[0].hold, driver.steps[0].crashes = hold, 5

    driver.ask(t.Retry("ann"))

    assert (driver.steps[0].hold, driver.steps[0].crashes, driver.saga.attention) == (Hold.NONE, 0, "")


def test_retry__leaves_running_steps_alone():
    driver = Driver(side_by_side(2))
    first, second = driver.look()
    driver.end(t.InDoubt, first)

    driver.ask(t.Retry("ann"))

    assert driver.steps[1].claim_token == second.token
    assert driver.statuses == [S.PENDING, S.RUNNING]


def test_retry__a_failed_step_opens_the_next_round():
    """Its keys are new: a participant that answered "no" under the old ones would say it again."""
    driver = failed(t.Completed, t.Rejected)

    driver.ask(t.Retry("ann"))

    done, again, cancelled = driver.steps
    assert (driver.state, driver.saga.completed_at, driver.saga.error_code) == (SagaState.STARTED, None, "")
    assert (done.status, done.round) == (S.COMPLETED, 1)
    assert (again.status, again.round, again.attempt, again.started_at) == (S.PENDING, 2, 0, None)
    assert (cancelled.status, cancelled.round) == (S.PENDING, 1)
    claim = driver.claim()
    assert (claim.position, claim.round, claim.attempt) == (1, 2, 1)
    driver.end(t.Completed, claim)
    driver.run(t.Completed)
    assert driver.state is SagaState.COMPLETED


def test_retry__a_step_in_doubt_keeps_its_key():
    driver = failed(t.Completed, t.InDoubt)

    driver.ask(t.Retry("ann"))

    step = driver.steps[1]
    assert (step.status, step.round, step.doubt, step.tries) == (S.PENDING, 1, True, 0)
    assert driver.claim().attempt == 2


def test_retry__a_late_effect_is_no_reason_to_run_anything():
    driver = Driver(line(2))
    claim = driver.claim()
    driver.ask(t.WorkerLost(ANNA))
    driver.ask(t.Compensate("op"))
    driver.run(t.Rejected)
    driver.ask(t.Retry("op"))
    driver.run(t.Completed)
    driver.end(t.Completed, claim)
    assert (driver.state, driver.saga.attention) == (SagaState.COMPENSATED, "late_effect")

    with pytest.raises(TransitionNotAllowedError):
        driver.ask(t.Retry("op"))


# -- stale -----------------------------------------------------------------------------------------------------------


def test_stale__flagged_once_and_cleared_by_progress():
    driver = Driver(line(1))
    driver.wait(3600)

    driver.ask(t.FlagStale())
    assert driver.saga.stale_since == driver.now
    assert driver.kinds[-1] == "flagged_stale"
    assert driver.ask(t.FlagStale()).ignored

    driver.claim()
    assert driver.saga.stale_since is None


def test_stale__is_no_progress_itself():
    driver = Driver(line(1))
    driver.ask(t.FlagStale())

    driver.ask(t.Look(sweep=True))

    assert driver.saga.stale_since == EPOCH


def test_stale__cleared_by_the_end():
    driver = Driver(line(1))
    claim = driver.claim()
    driver.ask(t.FlagStale())

    driver.end(t.Completed, claim)

    assert (driver.state, driver.saga.stale_since) == (SagaState.COMPLETED, None)


@pytest.mark.parametrize("why", ["paused", "attention"])
def test_stale__not_what_somebody_knows_of_already(why: str):
    driver = Driver(line(1))
    if why == "paused":
        driver.saga.paused_at = EPOCH
    else:
        driver.ask(t.NoHandler(0))

    assert driver.ask(t.FlagStale()).ignored == "it is flagged, paused or waits for a person"
    assert driver.saga.stale_since is None
