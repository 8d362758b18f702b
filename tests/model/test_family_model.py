"""Parent and child sagas explored exhaustively around the real `decide` and `news`; and the same with one rule taken
away, which must be found. docs/claim-model.md says what is in that world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sagas.core import children
from sagas.core import decide as decide_module
from sagas.core import triggers as t
from sagas.core.answers import ANSWERS, Ignored
from sagas.core.draft import Draft
from sagas.core.states import Cause, SagaState, StepStatus, Wait

from .explore import STUCK
from .family_world import FamilyWorld, Faults
from .search import search

#: As many as take a second or two.
FAULTS = Faults(crash=1, post=1, operator=1, refusal=1)


@pytest.mark.parametrize("rollback", [True, False], ids=["rolls back", "does not roll back"])
@pytest.mark.parametrize("pivot", [False, True], ids=["one step", "with a point of no return"])
def test_family__no_schedule_breaks_an_invariant(pivot: bool, rollback: bool):
    found = search(FamilyWorld(FAULTS, pivot=pivot, rollback=rollback))

    assert found.exhaustive
    assert found.violations == {}
    assert found.states > 1000


def test_family__two_wishes_of_people():
    found = search(FamilyWorld(Faults(post=1, operator=2)))

    assert found.exhaustive
    assert found.violations == {}
    assert found.states > 1000


# -- the same with one rule less -------------------------------------------------------------------------------------

Weaken = Callable[[pytest.MonkeyPatch], None]


def any_round_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the child of a round before is taken for that of today's."""

    def ended(draft: Draft, trigger: t.ChildEnded) -> str:
        step = draft.steps[0]
        return children.child_ended(draft, t.ChildEnded(trigger.step, step.round, trigger.state))

    monkeypatch.setitem(decide_module._HANDLERS, t.ChildEnded, ended)


def any_end_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the step is undone, any end of the child counts: also one that was told before it heard of that."""

    def undone(draft: Draft, position: int, trigger: t.ChildEnded) -> str:
        step = draft.move(position, Cause.CHILD, StepStatus.COMPENSATED)
        step.waits = Wait.NONE
        return ""

    monkeypatch.setattr(children, "_undone", undone)


def failed_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that failed, and was not undone, is taken for "surely no effect"."""

    def ended(draft: Draft, trigger: t.ChildEnded) -> str:
        failed = trigger.state is SagaState.FAILED
        state = SagaState.COMPENSATED if failed else trigger.state
        return children.child_ended(draft, t.ChildEnded(trigger.step, trigger.round, state, refused=trigger.refused))

    monkeypatch.setitem(decide_module._HANDLERS, t.ChildEnded, ended)


def looks_find_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep does not look after children: what was not told stays so."""
    errands = children.errands

    def told_once(draft: Draft, trigger: t.Trigger) -> list[int]:
        return [] if isinstance(trigger, t.Look) else errands(draft, trigger)

    monkeypatch.setattr(children, "errands", told_once)


def completed_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that is complete is not undone for its parent."""
    monkeypatch.setitem(ANSWERS, (SagaState.COMPLETED, t.ParentUndoes), Ignored("it is complete"))


def no_second_look_at_the_pivot(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the child may be undone is not asked again under its own lock."""
    monkeypatch.setattr(children, "past_return", lambda graph, steps: None)


@pytest.mark.parametrize(
    ("weaken", "faults", "options", "violation"),
    [
        (any_round_counts, Faults(operator=1, post=1), {}, "I9"),
        (any_end_is_undone, Faults(operator=1, post=1), {}, "I10"),
        (failed_is_no, Faults(refusal=1), {"pivot": True, "rollback": False}, "I10"),
        (looks_find_nothing, Faults(post=1), {}, "LIVE"),
        (completed_is_final, Faults(operator=1), {}, "LIVE"),
        (no_second_look_at_the_pivot, Faults(operator=1), {"pivot": True}, "PIVOT"),
    ],
)
def test_one_rule_less__is_found(
    monkeypatch: pytest.MonkeyPatch, weaken: Weaken, faults: Faults, options: dict[str, Any], violation: str
):
    weaken(monkeypatch)

    found = search(FamilyWorld(faults, **options))

    assert violation in {text.split(" ", 1)[0] for text in found.violations}


def test_child_and_step_in_two_transactions__an_orphan():
    """A worker that dies in between leaves a child that nobody waits for."""
    found = search(FamilyWorld(Faults(crash=1, operator=1), atomic=False))

    trace = found.violations["I8 a child goes on that nobody waits for"].trace
    assert trace.index("child inserted") < trace.index("op compensate parent")


def test_claim_of_a_child_that_is_not_wanted_any_more__must_go_back():
    found = search(FamilyWorld(Faults(operator=1), hands_back=False))

    assert found.violations[STUCK].trace == ["look at parent, claims do 0", "op compensate parent"]
