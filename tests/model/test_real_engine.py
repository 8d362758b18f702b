"""The real `decide` in the world of the claim model: all schedules of a few faults, and none breaks an invariant. Each
of its rules is taken away in turn, so that the exploration is seen to find what the rule prevents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from sagas.core import attempts, readiness
from sagas.core import decide as decide_module
from sagas.core import triggers as t
from sagas.core.draft import Draft
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import EXECUTED, Cause, Hold, SagaState, StepStatus

from .claim_model import CONFIGURATIONS, Budget
from .explore import Exploration


@pytest.mark.parametrize(
    ("name", "budget"),
    [
        ("decide_one", Budget(crash=1, hint=1, operator=0, timeout=1, ambiguous=0)),
        ("decide_one", Budget(crash=1, hint=0, operator=1, timeout=0, ambiguous=1)),
        ("decide_linear", Budget(crash=1, hint=0, operator=1, timeout=0, ambiguous=1)),
        ("decide_linear", Budget(crash=1, hint=0, operator=0, timeout=1, ambiguous=0)),
        ("decide_linear", Budget(crash=0, hint=0, operator=1, timeout=1, ambiguous=1)),
        ("decide_parallel", Budget(crash=1, hint=0, operator=1, timeout=0, ambiguous=0)),
        ("decide_parallel", Budget(crash=0, hint=0, operator=1, timeout=1, ambiguous=0)),
        ("decide_no_rollback", Budget(crash=1, hint=0, operator=1, timeout=0, ambiguous=0)),
        ("decide_no_rollback", Budget(crash=0, hint=0, operator=2, timeout=1, ambiguous=0)),
    ],
    ids=str,
)
def test_real_decide__no_schedule_breaks_an_invariant(name: str, budget: Budget):
    found = CONFIGURATIONS[name].explore(budget)

    assert found.exhaustive
    assert found.violations == {}
    assert found.states > 500


# -- the same with one rule less -------------------------------------------------------------------------------------


def less_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any result counts while somebody holds a claim."""

    def current(draft: Draft, trigger: t.AttemptTrigger) -> bool:
        return draft.steps[trigger.position].claimed

    monkeypatch.setattr(attempts, "current", current)


def less_sticky(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout leaves no doubt."""

    def in_doubt(draft: Draft, trigger: t.InDoubt) -> str:
        ignored = attempts.in_doubt(draft, trigger)
        if not ignored and draft.steps[trigger.position].status is StepStatus.PENDING:
            draft.step(trigger.position).doubt = False
        return ignored

    monkeypatch.setitem(decide_module._HANDLERS, t.InDoubt, in_doubt)


def less_zdrain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for old threads."""

    def blocked(step: StepRow, now: object) -> bool:
        return step.claimed or step.hold not in (Hold.NONE, Hold.NO_HANDLER)

    monkeypatch.setattr(decide_module, "blocked", blocked)


def less_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that was executed is undone at once."""

    def open_steps(saga: SagaRow, steps: Sequence[StepRow]) -> list[int]:
        if saga.state is not SagaState.COMPENSATING:
            return readiness.open_steps(saga, steps)
        return [step.position for step in steps if step.status in (*EXECUTED, StepStatus.COMPENSATING)]

    monkeypatch.setattr(decide_module, "open_steps", open_steps)


def less_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """A running action is taken for resolved."""
    resolved = readiness.RESOLVED | {StepStatus.RUNNING}
    monkeypatch.setattr(readiness, "RESOLVED", resolved)


def less_doubt_of_the_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash says "no"."""
    monkeypatch.setattr(attempts, "_reopen", _reopen_without_doubt)


def _reopen_without_doubt(draft: Draft, position: int, cause: Cause) -> None:
    step = draft.step(position)
    undo = step.status is StepStatus.COMPENSATING
    to = StepStatus.COMPENSATING if undo else StepStatus.PENDING if attempts.forward(draft) else StepStatus.CANCELLED
    step.doubt = False
    draft.move(position, cause, to)


def less_debt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed undo counts as undone."""
    monkeypatch.setattr(readiness, "RESOLVED", readiness.RESOLVED | {StepStatus.COMPENSATION_FAILED})


def explore(name: str = "decide_linear") -> Exploration:
    return CONFIGURATIONS[name].explore(Budget(crash=1, hint=0, operator=1, timeout=1, ambiguous=0), stop_at_first=True)


@pytest.mark.parametrize(
    ("weaken", "violation"),
    [
        (less_fence, "TWICE"),
        (less_sticky, "I10"),
        (less_zdrain, "TWICE"),
        (less_order, "I7"),
        (less_drain, "I8"),
        (less_doubt_of_the_lost, "I10"),
        (less_debt, "I8"),
    ],
)
def test_real_decide__with_one_rule_less_is_caught(
    monkeypatch: pytest.MonkeyPatch, weaken: Callable[[pytest.MonkeyPatch], None], violation: str
):
    weaken(monkeypatch)

    found = explore()

    assert violation in {text.split(" ", 1)[0] for text in found.violations}
