"""What the end of an attempt does to its step: budgets, waits, doubt, crashes, holds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sagas.core import triggers as t
from sagas.core.attempts import MAX_CRASHES, MAX_WAIT
from sagas.core.retry import RetryPolicy
from sagas.core.states import Hold, SagaState, StepStatus

from .build import ANNA, BERT, EPOCH, SECOND, Driver, diamond, line, side_by_side

S = StepStatus


def rolling_back() -> Driver:
    """One step is done; its undo is due."""
    driver = Driver(line(2))
    driver.run(t.Completed)
    driver.ask(t.Compensate("op"))
    return driver


# -- completed -------------------------------------------------------------------------------------------------------


def test_completed__the_next_step_is_claimed_in_the_same_commit():
    driver = Driver(line(2))
    claim = driver.claim()

    decision = driver.ask(t.Completed(0, ANNA, claim.token), driver.offer())

    assert driver.statuses == [S.COMPLETED, S.RUNNING]
    assert [claim.position for claim in decision.claims] == [1]
    assert decision.unclaimed == []
    assert driver.kinds == ["started", "claimed", "completed"]


def test_completed__an_undo_whose_output_is_not_kept__says_so_and_is_done():
    driver = Driver(line(1))
    driver.end(t.InDoubt, driver.claim(), code="exception", message="oops", final=True)

    driver.end(t.Completed, driver.claim(), code="undo_output", message="too large")

    step = driver.steps[0]
    assert (step.status, step.hold, step.doubt) == (S.COMPENSATED, "", False)
    assert (step.error_code, step.error_message) == ("undo_output", "too large")
    assert driver.saga.state == "compensated"


def test_completed__by_a_worker_without_a_slot_leaves_the_next_step_to_others():
    driver = Driver(line(2))

    decision = driver.ask(t.Completed(0, ANNA, driver.claim().token), driver.offer(slots=0))

    assert (decision.claims, decision.unclaimed) == ([], [1])


def test_completed__clears_doubt_error_and_crashes():
    driver = Driver(line(1))
    driver.end(t.InDoubt, driver.claim(), code="exception", message="oops")
    driver.wait(60)
    driver.claim()
    driver.ask(t.WorkerLost(ANNA))
    driver.end(t.Completed, driver.claim(BERT), BERT)

    step = driver.steps[0]
    assert (step.doubt, step.crashes, step.error_code, step.error_message) == (False, 0, "", "")
    assert (step.executed_at, step.attempt, driver.saga.completed_at) == (driver.now, 3, driver.now)


def test_completed__the_last_undo_ends_the_saga_in_the_same_commit():
    driver = rolling_back()

    driver.wait(5)
    driver.run(t.Completed)

    assert driver.state is SagaState.COMPENSATED
    assert driver.steps[0].compensated_at == driver.now
    assert driver.saga.wake_at is None


# -- rejected --------------------------------------------------------------------------------------------------------


def test_rejected__is_final_and_its_reason_is_the_sagas():
    driver = Driver(line(2))

    driver.end(t.Rejected, driver.claim(), code="card_declined", message="no money")

    assert driver.state is SagaState.COMPENSATED
    assert (driver.saga.error_code, driver.saga.error_message) == ("card_declined", "no money")
    assert driver.steps[0].error_code == "card_declined"


def test_rejected__an_undo_is_a_debt():
    driver = rolling_back()

    driver.run(t.Rejected)

    assert driver.statuses == [S.COMPENSATION_FAILED, S.CANCELLED]
    assert (driver.state, driver.saga.attention) == (SagaState.COMPENSATING, "debt")
    assert driver.look() == []
    driver.wait(10**6)
    assert driver.look() == []


# -- in doubt, and surely nothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "last"), [(t.InDoubt, S.UNKNOWN), (t.NoEffect, S.FAILED)], ids=["in doubt", "no effect"]
)
def test_failures__as_often_as_the_budget_allows(kind: type[t.AttemptTrigger], last: StepStatus):
    driver = Driver(line(1))
    waits = []
    for _ in range(2):
        driver.run(kind)
        waits.append(driver.steps[0].due_at - driver.now)  # type: ignore[operator]
        assert driver.statuses == [S.PENDING]
        assert driver.look() == []
        driver.now = driver.steps[0].due_at or driver.now

    driver.run(kind)

    assert waits == [10 * SECOND, 20 * SECOND]
    assert driver.statuses == [last]
    assert driver.steps[0].tries == 3


def test_no_effect__after_an_attempt_in_doubt_is_unknown():
    driver = Driver(line(1, retry=RetryPolicy(2, base=0)))

    driver.run(t.InDoubt, t.NoEffect)

    assert driver.statuses == [S.UNKNOWN]
    assert driver.steps[0].doubt


def test_in_doubt__final_spends_the_rest_of_the_budget():
    driver = Driver(line(1))

    driver.end(t.InDoubt, driver.claim(), code="payload", final=True)

    assert driver.statuses == [S.UNKNOWN]
    assert driver.steps[0].tries == 1


def test_in_doubt__final_undo_is_a_debt_at_once():
    driver = rolling_back()

    driver.end(t.InDoubt, driver.claim(), code="payload", final=True)

    assert driver.statuses[0] is S.COMPENSATION_FAILED


def test_undo__has_a_budget_of_its_own():
    driver = Driver(line(1, retry=RetryPolicy(3, base=0), undo_retry=RetryPolicy(2, base=0)))
    driver.run(t.InDoubt, t.InDoubt, t.InDoubt)
    assert driver.state is SagaState.COMPENSATING

    driver.run(t.InDoubt)
    assert driver.statuses == [S.COMPENSATING]
    driver.run(t.NoEffect)

    assert driver.statuses == [S.COMPENSATION_FAILED]
    assert (driver.steps[0].tries, driver.steps[0].undo_tries) == (3, 2)


def test_undo__waits_by_its_own_policy():
    driver = Driver(line(1, undo_retry=RetryPolicy(3, base=7, factor=3, jitter=False)))
    driver.end(t.InDoubt, driver.claim(), final=True)

    driver.run(t.InDoubt)

    assert driver.steps[0].due_at == driver.now + 7 * SECOND
    assert driver.saga.wake_at is not None
    assert driver.saga.wake_at <= driver.steps[0].due_at


@pytest.mark.parametrize(
    ("after", "wait"),
    [
        (timedelta(seconds=3), timedelta(seconds=3)),
        (timedelta(0), timedelta(0)),
        (timedelta(days=-9), timedelta(0)),
        (timedelta.min, timedelta(0)),
        (timedelta(days=1000), MAX_WAIT),
        (timedelta.max, MAX_WAIT),
    ],
)
def test_after__is_honoured_within_the_calendar(after: timedelta, wait: timedelta):
    """`Retryable(after=1e12)` once took the whole group's decision with it: no date is that far away."""
    driver = Driver(line(1))

    driver.end(t.InDoubt, driver.claim(), after=after)

    assert driver.steps[0].due_at == driver.now + wait


def test_after__also_for_an_undo():
    driver = rolling_back()

    driver.end(t.InDoubt, driver.claim(), after=99 * SECOND)

    assert driver.steps[0].due_at == driver.now + 99 * SECOND


def test_in_doubt__while_a_sibling_failed_is_not_tried_again():
    driver = Driver(side_by_side(2), rollback=False)
    first, second = driver.look()
    driver.end(t.Rejected, first, code="no")
    assert driver.state is SagaState.STARTED

    driver.end(t.InDoubt, second, code="exception")

    assert driver.statuses == [S.FAILED, S.UNKNOWN]
    assert driver.state is SagaState.FAILED


# -- not rolled back -------------------------------------------------------------------------------------------------


def test_no_rollback__what_runs_is_drained_then_the_saga_ends_failed():
    driver = Driver(diamond(), rollback=False)
    driver.run(t.Completed)
    first, second = driver.look()
    driver.end(t.Rejected, first, code="no", message="why")

    assert (driver.state, driver.look()) == (SagaState.STARTED, [])
    driver.end(t.Completed, second)

    assert driver.statuses == [S.COMPLETED, S.FAILED, S.COMPLETED, S.CANCELLED]
    assert (driver.state, driver.saga.error_code) == (SagaState.FAILED, "no")
    assert driver.saga.wake_at is None


def test_no_rollback__a_pending_sibling_in_doubt_is_unknown():
    driver = Driver(side_by_side(2), rollback=False)
    first, second = driver.look()
    driver.end(t.InDoubt, second, code="timeout", message="slow")

    driver.end(t.Rejected, first, code="no")

    assert driver.statuses == [S.FAILED, S.UNKNOWN]
    assert (driver.steps[1].due_at, driver.steps[1].doubt) == (None, True)


# -- handed back, lost -----------------------------------------------------------------------------------------------


def test_handed_back__costs_nothing():
    driver = Driver(line(1))

    driver.run(t.HandedBack)

    step = driver.steps[0]
    assert (step.status, step.tries, step.doubt, step.due_at) == (S.PENDING, 0, False, None)
    assert driver.claim().attempt == 2


def test_handed_back__an_undo_is_due_again():
    driver = rolling_back()

    driver.run(t.HandedBack)

    assert driver.steps[0].status is S.COMPENSATING
    assert driver.claim().attempt == 2


def test_handed_back__in_a_rollback_an_action_is_cancelled():
    driver = Driver(line(1))
    claim = driver.claim()
    driver.ask(t.Compensate("op"))

    driver.end(t.HandedBack, claim)

    assert driver.statuses == [S.CANCELLED]
    assert driver.state is SagaState.COMPENSATED


def test_lost__an_action_runs_again_in_doubt():
    driver = Driver(line(1))
    driver.claim()

    driver.ask(t.WorkerLost(ANNA))

    step = driver.steps[0]
    assert (step.status, step.doubt, step.crashes, step.tries) == (S.PENDING, True, 1, 0)
    assert step.error_code == "worker_lost"


def test_lost__an_atomic_action_leaves_no_doubt():
    driver = Driver(line(1, atomic=True))
    driver.claim()
    driver.ask(t.WorkerLost(ANNA))
    assert (driver.steps[0].doubt, driver.steps[0].crashes) == (False, 1)

    driver.end(t.Rejected, driver.claim(), code="no")

    assert driver.statuses == [S.FAILED]


def test_lost__in_a_rollback_an_atomic_action_is_cancelled():
    driver = Driver(line(1, atomic=True))
    driver.claim()
    driver.ask(t.Compensate("op"))

    driver.ask(t.WorkerLost(ANNA))

    assert driver.statuses == [S.CANCELLED]


def test_lost__an_interrupted_undo_is_due_again():
    driver = rolling_back()
    driver.claim()

    driver.ask(t.WorkerLost(ANNA))

    step = driver.steps[0]
    assert (step.status, step.doubt, step.crashes) == (S.COMPENSATING, False, 1)


def test_lost__all_that_the_worker_held_and_nothing_of_others():
    driver = Driver(side_by_side(3))
    driver.look(ANNA, slots=2)
    driver.look(BERT)

    driver.ask(t.WorkerLost(ANNA))

    assert driver.statuses == [S.PENDING, S.PENDING, S.RUNNING]


def test_lost__a_worker_that_holds_nothing_here():
    driver = Driver(line(1))
    driver.claim(ANNA)

    decision = driver.ask(t.WorkerLost(BERT))

    assert (decision.ignored, decision.entry, decision.note) == ("it holds no claim here", None, None)


def test_crashes__five_of_one_step_wait_for_a_person():
    driver = Driver(line(1))
    for number in range(1, MAX_CRASHES):
        driver.claim()
        driver.ask(t.WorkerLost(ANNA))
        assert (driver.steps[0].crashes, driver.saga.attention) == (number, "")

    driver.claim()
    driver.ask(t.WorkerLost(ANNA))

    assert MAX_CRASHES == 5
    assert (driver.steps[0].status, driver.steps[0].hold) == (S.PENDING, Hold.CRASHES)
    assert (driver.saga.attention, driver.look()) == ("crashes", [])


def test_crashes__of_an_undo_too():
    driver = rolling_back()
    for _ in range(MAX_CRASHES):
        driver.claim()
        driver.ask(t.WorkerLost(ANNA))

    assert (driver.steps[0].status, driver.steps[0].hold) == (S.COMPENSATING, Hold.CRASHES)


def test_crashes__in_a_rollback_the_fifth_is_undone_like_any_other():
    driver = Driver(line(1))
    for _ in range(MAX_CRASHES - 1):
        driver.claim()
        driver.ask(t.WorkerLost(ANNA))
    driver.claim()
    driver.ask(t.Compensate("op"))

    driver.ask(t.WorkerLost(ANNA))

    assert (driver.steps[0].status, driver.steps[0].hold) == (S.UNKNOWN, Hold.NONE)
    assert driver.claim().undo


def test_crashes__a_step_held_for_them_is_undone_when_the_rollback_begins():
    driver = Driver(line(1))
    for _ in range(MAX_CRASHES):
        driver.claim()
        driver.ask(t.WorkerLost(ANNA))

    driver.ask(t.Compensate("op"))

    assert driver.saga.attention == ""
    assert driver.claim().undo


# -- results that could not be written -------------------------------------------------------------------------------


def test_unrecorded__waits_for_a_person_and_the_saga_with_it():
    driver = Driver(line(2))

    driver.end(t.Unrecorded, driver.claim(), code="unrecorded", message="refused")

    assert driver.statuses == [S.UNKNOWN, S.PENDING]
    assert (driver.state, driver.saga.attention, driver.look()) == (SagaState.STARTED, "unrecorded", [])
    assert driver.steps[0].doubt


def test_unrecorded__siblings_go_on():
    driver = Driver(side_by_side(2))
    first, second = driver.look()
    driver.end(t.Unrecorded, first)

    driver.end(t.InDoubt, second)

    assert driver.statuses == [S.UNKNOWN, S.PENDING]


@pytest.mark.parametrize("compensated_by", ["operator", "sibling"])
def test_unrecorded__is_undone_when_the_rollback_begins(compensated_by: str):
    driver = Driver(side_by_side(2))
    first, second = driver.look()
    driver.end(t.Unrecorded, first)

    if compensated_by == "operator":
        driver.end(t.Completed, second)
        driver.ask(t.Compensate("op"))
    else:
        driver.end(t.Rejected, second, code="no")

    assert (driver.state, driver.saga.attention) == (SagaState.COMPENSATING, "")
    assert 0 in [claim.position for claim in driver.look()]


def test_unrecorded__in_a_rollback_is_undone_without_asking():
    driver = Driver(line(1))
    claim = driver.claim()
    driver.ask(t.Compensate("op"))

    driver.end(t.Unrecorded, claim)

    assert (driver.statuses, driver.saga.attention) == ([S.UNKNOWN], "")
    assert driver.claim().undo


def test_unrecorded__of_an_undo_is_a_debt():
    driver = rolling_back()

    driver.run(t.Unrecorded)

    assert (driver.statuses[0], driver.saga.attention) == (S.COMPENSATION_FAILED, "debt")


# -- missing handlers ------------------------------------------------------------------------------------------------


def test_no_handler__is_held_and_heals():
    driver = Driver(line(1))

    driver.ask(t.NoHandler(0))
    assert (driver.steps[0].hold, driver.saga.attention) == (Hold.NO_HANDLER, "no_handler")
    assert driver.look(handlers=frozenset()) == []

    assert [claim.position for claim in driver.look()] == [0]
    assert (driver.steps[0].hold, driver.saga.attention) == (Hold.NONE, "")


def test_no_handler__is_found_out_by_a_look_that_changes_nothing():
    """Otherwise nobody would ever be told that the step has no worker."""
    driver = Driver(line(1))

    decision = driver.ask(t.Look(sweep=True), driver.offer(handlers=frozenset()))

    assert (decision.entry, decision.unclaimed) == (None, [0])


def test_no_handler__once_held_nobody_is_asked_for_again():
    driver = Driver(line(1))
    driver.ask(t.NoHandler(0))

    assert driver.ask(t.Look(sweep=True), driver.offer(handlers=frozenset())).unclaimed == []
    assert driver.ask(t.NoHandler(0)).ignored == "the step is claimed or held"


@pytest.mark.parametrize("position", [-1, 1, 7])
def test_no_handler__of_a_step_whose_turn_it_is_not(position: int):
    assert Driver(line(2)).ask(t.NoHandler(position)).ignored == "the step is not open"


def test_no_handler__of_a_claimed_step():
    driver = rolling_back()
    driver.claim()

    assert driver.ask(t.NoHandler(0)).ignored == "the step is claimed or held"


# -- looking, paused -------------------------------------------------------------------------------------------------


def test_paused__nothing_is_claimed_and_nobody_is_asked_for():
    driver = Driver(line(1))
    driver.saga.paused_at = EPOCH

    decision = driver.ask(t.Look(sweep=True), driver.offer())

    assert (decision.claims, decision.unclaimed) == ([], [])
    assert driver.saga.wake_at == EPOCH + timedelta(minutes=15)


def test_look__at_a_saga_that_has_ended():
    driver = Driver(line(1))
    driver.run(t.Completed)

    decision = driver.ask(t.Look(sweep=True), driver.offer())

    assert (decision.ignored, decision.claims, decision.moved) == ("the saga has ended", [], False)


def test_look__by_hint_leaves_the_indexed_wake_alone():
    driver = Driver(line(1))
    before = driver.saga.wake_at

    driver.look()

    assert driver.saga.wake_at == before
    driver.ask(t.Look(sweep=True))
    assert driver.saga.wake_at == EPOCH + timedelta(seconds=30)
