"""The history as a failing test prints it."""

from __future__ import annotations

from sagas import Rejected, Retryable
from sagas.testing import CrashBefore, Frozen, run_saga

from . import kit


def test_story__of_a_rollback():
    run = run_saga(
        kit.Order,
        {"total": 30},
        fail={"charge": [Retryable("busy", after=3600), CrashBefore(), Rejected("declined", code="card_declined")]},
    )

    assert run.story.splitlines() == [
        "   1      0:00:00  started",
        "   2      0:00:00  claimed: reserve running, check running",
        "   3      0:00:00  completed: reserve completed",
        "   4      0:00:00  completed: check completed, charge running",
        "   5      0:00:00  in_doubt (retryable: busy): charge pending again at 1:00:00",
        "   6      1:00:00  claimed: charge running (attempt 2)",
        "   7      1:00:00  worker_lost (the worker died while it ran this step): charge (attempt 3)",
        "   8      1:00:00  rejected (card_declined: declined): charge compensating, book cancelled; "
        "the saga is compensating",
        "   9      1:00:00  completed: reserve compensating, charge compensated",
        "  10      1:00:00  completed: reserve compensated; the saga is compensated",
    ]


def test_story__of_a_debt_and_an_operator():
    run = run_saga(kit.Order, {"total": 1}, fail={"check": Rejected("no"), "reserve.undo": [Rejected("never")]})
    run.retry("by hand").finish()

    lines = run.story.splitlines()
    assert lines[-3].endswith("rejected (never): reserve compensation_failed held (debt); a person must look: debt")
    assert lines[-2].endswith("retry: reserve compensating (attempt 2); by test: by hand")


def test_story__of_a_late_result():
    run = run_saga(kit.Kept, fail={"reserve": [Frozen()]}).thaw()

    assert run.story.splitlines()[-1] == (
        "   -      0:00:00  late_completed: reserve, its claim is not the current one"
    )
