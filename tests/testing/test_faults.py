"""What `fail` takes besides exceptions: timeouts, crashes, freezes, through the triggers that real workers submit."""

from __future__ import annotations

from typing import Any

import pytest

from sagas import Rejected
from sagas.testing import CrashAfter, CrashBefore, Frozen, SagaRun, Timeout, run_saga

from . import kit

CONTEXT = {"total": 30}


def order(**fail: Any) -> SagaRun:
    return run_saga(kit.Order, CONTEXT, fail={name.replace("__", "."): failure for name, failure in fail.items()})


def kinds(run: SagaRun) -> list[str]:
    return [entry.kind for entry in run.history]


def seen(step: str) -> list[int]:
    """Attempts in which the step's action really did something."""
    return [ctx.attempt for ctx in kit.SEEN if ctx.step == step and ctx.outcome is None]


# -- timeouts --------------------------------------------------------------------------------------------------------


def test_timeout__once_has_its_effect_and_is_tried_again():
    run = order(reserve=[Timeout()])

    assert run.state == "completed"
    assert seen("reserve") == [1, 2], "the effect of the first attempt came too late to count"
    told = kinds(run)
    assert told.index("in_doubt") < told.index("thread_ended")
    assert run.rig.loaded.steps[0].stale_worker is None


def test_timeout__nothing_of_the_step_starts_before_its_thread_has_ended():
    during: list[int] = []

    def look_around(ctx: Any) -> dict[str, int]:
        run.rig.look()
        during.extend(attempt.claim.position for attempt in run.rig.queue)
        return {}

    run = run_saga(kit.Order, CONTEXT, finish=False)
    run.rig.fill(waits=True)
    attempt = run.rig.queue.pop(0)
    Timeout().befall(run.rig, attempt, look_around)
    run.clock.advance(days=1)

    assert attempt.claim.position not in during
    assert run.finish().state == "completed"


def test_timeout__to_the_end_of_the_budget_is_undone_as_unknown():
    run = order(reserve=Timeout)

    assert (run.state, run.called.count("reserve"), run.error_code) == ("compensated", 2, "timeout")
    undo = next(ctx for ctx in kit.SEEN if ctx.outcome)
    assert (undo.outcome, undo.output) == ("unknown", None)
    assert kit.LEDGER == {}


def test_timeout__without_effect():
    run = order(reserve=Timeout(effect=False))

    assert (run.state, run.undone, seen("reserve")) == ("compensated", ["reserve"], [])


def test_timeout__of_an_async_handler():
    run = order(charge=[Timeout()])

    assert (run.state, seen("charge")) == ("completed", [1, 2])


def test_timeout__of_an_atomic_step_is_a_sure_no():
    run = order(book=Timeout())

    assert (run.state, run.statuses["book"], seen("book")) == ("compensated", "failed", [1, 2])
    assert not run.rig.loaded.steps[3].doubt


def test_timeout__of_an_undo_to_the_end_is_a_debt_that_a_retry_settles():
    run = order(book=Rejected("full"), reserve__undo=Timeout())
    assert (run.state, run.attention, run.undo_called) == ("compensating", "debt", ["charge", "reserve", "reserve"])

    assert run.heal().retry().finish().state == "compensated"


# -- crashes ---------------------------------------------------------------------------------------------------------


def test_crash_before__nothing_happened_and_the_next_worker_does_it():
    run = order(charge=[CrashBefore()])

    assert (run.state, seen("charge"), run.called.count("charge")) == ("completed", [2], 2)
    assert "worker_lost" in kinds(run)


def test_crash_after__it_happens_twice_under_one_key():
    run = order(charge=[CrashAfter()])

    assert (run.state, seen("charge")) == ("completed", [1, 2])
    assert len({ctx.idempotency_key for ctx in kit.SEEN if ctx.step == "charge"}) == 1


def test_crash__takes_everything_along_that_the_worker_had_claimed():
    """`check` was claimed beside `reserve` and not begun: for all that the engine knows it may have been."""
    run = order(reserve=[CrashAfter()])

    lost = next(entry for entry in run.history if entry.kind == "worker_lost")
    assert set((lost.data or {})["steps"]) == {"0", "1"}
    assert run.called[:3] == ["reserve", "reserve", "check"]
    assert run.state == "completed"


def test_crash__leaves_doubt():
    run = order(charge=[CrashBefore(), Rejected("no")])

    assert (run.state, run.statuses["charge"]) == ("compensated", "compensated")


def test_crash__of_an_atomic_step_leaves_none():
    run = order(book=[CrashAfter(), Rejected("no")])

    assert (run.state, run.statuses["book"], seen("book")) == ("compensated", "failed", [1])


def test_crash__every_time_holds_the_step():
    run = order(charge=CrashBefore)

    assert (run.state, run.attention, run.called.count("charge")) == ("started", "crashes", 5)
    assert run.heal().retry("looked at").finish().state == "completed"


def test_crash__every_time_of_one_step_lets_the_step_beside_it_go_on():
    run = order(reserve=CrashBefore())

    assert (run.attention, run.called.count("reserve")) == ("crashes", 5)
    assert run.statuses["check"] == "completed"


def test_crash__of_an_undo():
    run = order(book=Rejected("full"), reserve__undo=[CrashBefore(), CrashAfter()])

    assert (run.state, run.undo_called) == ("compensated", ["charge", "reserve", "reserve", "reserve"])


def test_crash__where_the_handler_itself_says_no():
    kit.REFUSED["check"] = True

    run = order(check=[CrashAfter()])

    assert (run.state, run.called.count("check")) == ("compensated", 2)


@pytest.mark.parametrize("fault", [CrashBefore(), CrashAfter(), Timeout()], ids=repr)
def test_fault__where_the_input_can_not_be_worked_out_is_none(fault: Any):
    run = run_saga(kit.Order, {}, fail={"charge": fault})

    assert (run.state, run.error_code, run.attention) == ("compensated", "input_error", "")
    assert not {"worker_lost", "in_doubt"} & set(kinds(run))


# -- freezes ---------------------------------------------------------------------------------------------------------


def test_frozen__is_taken_over_and_does_its_work_when_it_thaws():
    run = order(charge=[Frozen()])
    assert (run.state, seen("charge")) == ("completed", [2])

    run.thaw()

    assert seen("charge") == [2, 1]
    assert (run.state, run.attention) == ("completed", "")
    assert kinds(run)[-1] == "late_completed"


def test_frozen__an_effect_after_the_undo_asks_for_a_person():
    """The participant of these tests has no fence."""
    run = order(reserve=[Frozen(), Rejected("none left")])
    assert (run.state, kit.LEDGER) == ("compensated", {})

    run.thaw()

    assert (run.state, run.attention, len(kit.LEDGER)) == ("compensated", "late_effect", 1)


# -- what may stand there --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["timeout", 7, object, [Rejected("x"), "again"]])
def test_fail__what_is_no_failure_is_refused(wrong: Any):
    with pytest.raises(ValueError, match=r"^fail\['charge'\]: expected an exception, Timeout, CrashBefore"):
        order(charge=wrong)


def test_fail__classes_do_as_well():
    assert order(charge=Rejected).statuses["charge"] == "failed"


def test_fail__one_exception_raised_often_does_not_grow():
    failure = RuntimeError("down")

    for _ in range(3):
        order(charge=failure)

    frames = 0
    trace = failure.__traceback__
    while trace is not None:
        frames, trace = frames + 1, trace.tb_next
    assert frames < 10
