"""`decide` has an answer to everything: each state meets each trigger, on any rows."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sagas.core import triggers as t
from sagas.core.answers import ANSWERS, EDGE, Edge, Ignored, Refused
from sagas.core.claims import Budget, Offer, TokenBook
from sagas.core.decide import _HANDLERS, Decision, Desk, decide
from sagas.core.errors import InvariantError, SagaMovedError, TransitionNotAllowedError
from sagas.core.rows import SagaRow, StepRow
from sagas.core.states import SagaState

from .any_rows import ATTEMPTS, sagas, triggers
from .build import ANNA, EPOCH, Driver, handlers, line

ANY = settings(deadline=None, max_examples=500, suppress_health_check=[HealthCheck.too_slow])
S = SagaState

#: What the issue and the design ask for, written down a second time.
WANTED = {
    t.Look: "edge ignored edge ignored ignored",
    t.NoHandler: "edge ignored edge ignored ignored",
    t.FlagStale: "edge ignored edge ignored ignored",
    t.WorkerLost: "edge edge edge edge edge",
    t.Answer: "edge edge edge edge edge",
    t.Signal: "edge edge edge edge edge",
    t.ChildEnded: "edge edge edge edge edge",
    # A parent undoes also what is complete.
    t.ParentUndoes: "edge edge edge ignored edge",
    # A rollback in part becomes a full one; a full one stays as it is.
    t.Compensate: "edge refused edge refused edge",
    t.Cancel: "edge refused edge refused refused",
    t.Retry: "edge refused edge refused edge",
    t.Pause: "edge refused edge refused refused",
    t.Resume: "edge refused edge refused refused",
    t.RunNow: "edge refused edge refused refused",
    t.Edit: "edge refused refused refused edge",
    t.Skip: "edge refused edge refused refused",
    t.Approve: "edge refused edge refused refused",
    t.Deny: "edge refused refused refused refused",
    t.Resolve: "edge edge edge edge edge",
    t.Rewind: "edge refused refused refused edge",
    # A late effect asks for a person in whatever state.
    t.Assign: "edge edge edge edge edge",
    t.Restart: "refused edge refused edge refused",
    t.Migrate: "edge refused refused refused refused",
    **dict.fromkeys(ATTEMPTS, "edge edge edge edge edge"),
}
WORDS = {Edge: "edge", Ignored: "ignored", Refused: "refused"}


@pytest.mark.parametrize("trigger", t.TRIGGERS, ids=lambda kind: kind.__name__)
def test_answers__every_state_and_every_trigger(trigger: type):
    states = (S.STARTED, S.COMPLETED, S.COMPENSATING, S.COMPENSATED, S.FAILED)

    assert set(states) == set(SagaState)
    assert " ".join(WORDS[type(ANSWERS[state, trigger])] for state in states) == WANTED[trigger]


def test_answers__nothing_but_states_and_triggers():
    assert set(ANSWERS) == {(state, trigger) for state in SagaState for trigger in t.TRIGGERS}
    assert set(_HANDLERS) == set(t.TRIGGERS)
    bases = {t.AttemptTrigger, t.OperatorTrigger, t.StepTrigger}
    declared = {kind for kind in vars(t).values() if isinstance(kind, type) and issubclass(kind, t.Trigger.__args__)}
    assert declared - bases == set(t.TRIGGERS)


def test_answers__ignored_and_refused_say_why():
    for answer in ANSWERS.values():
        assert answer is EDGE or (answer.reason if isinstance(answer, Ignored) else answer.advice)


@pytest.mark.parametrize(
    ("state", "trigger", "message"),
    [
        (
            S.COMPLETED,
            t.Compensate(),
            "cannot compensate saga: expected state started or failed, got completed; a completed saga is final: "
            "start a saga that does the opposite",
        ),
        (
            S.COMPENSATED,
            t.Compensate(),
            "cannot compensate saga: expected state started or failed, got compensated; everything is undone already",
        ),
        (
            S.COMPLETED,
            t.Retry(),
            "cannot retry saga: expected state started, compensating or failed, got completed; it is complete: "
            "there is nothing to run again",
        ),
        (
            S.COMPENSATED,
            t.Retry(),
            "cannot retry saga: expected state started, compensating or failed, got compensated; "
            "start a new saga instead",
        ),
    ],
)
def test_refused__says_what_was_expected_and_what_to_do(state: SagaState, trigger: t.Trigger, message: str):
    driver = Driver(line(1))
    driver.saga.state = state

    with pytest.raises(TransitionNotAllowedError) as refused:
        driver.ask(trigger)

    assert str(refused.value) == message
    assert refused.value.details == {"saga_id": driver.saga.id, "state": state}
    assert refused.value.code == "not_allowed"


def test_retry__with_nothing_stuck_says_so():
    driver = Driver(line(1))

    with pytest.raises(TransitionNotAllowedError, match=r"expected a step that waits .* in state started"):
        driver.ask(t.Retry())


def test_expected_revision__of_an_older_saga_is_refused():
    driver = Driver(line(1))
    driver.look()

    with pytest.raises(SagaMovedError, match="expected revision 1, it is at 2; load it again") as moved:
        driver.ask(t.Compensate(expected_revision=1))

    assert moved.value.details == {"saga_id": driver.saga.id, "revision": 2}
    driver.ask(t.Compensate(expected_revision=2))
    assert driver.state is S.COMPENSATING


def answer(saga: SagaRow, steps: list[StepRow], trigger: t.Trigger, *, asks: bool) -> Decision | None:
    """None when it was refused. The rows that were given never change."""
    before = (saga.copy(), [step.copy() for step in steps])
    desk = None
    if asks:
        desk = Desk(Offer(ANNA, handlers(saga.graph), iter(range(50, 99)).__next__), Budget(2, 2, 1), TokenBook())
    try:
        return decide(saga, steps, trigger, EPOCH, desk)
    except (TransitionNotAllowedError, SagaMovedError):
        return None
    finally:
        assert (saga, steps) == before


@ANY
@given(sagas(), triggers(), st.booleans())
def test_total__on_any_sound_rows(rows: tuple[SagaRow, list[StepRow]], trigger: t.Trigger, asks: bool):
    decision = answer(*rows, trigger, asks=asks)

    if decision is not None and decision.saga.state not in (S.COMPLETED, S.COMPENSATED, S.FAILED):
        assert decision.saga.wake_at is not None


@ANY
@given(sagas(sound=False), triggers(), st.booleans())
def test_total__rows_that_somebody_edited_by_hand_can_only_be_called_broken(
    rows: tuple[SagaRow, list[StepRow]], trigger: t.Trigger, asks: bool
):
    with suppress(InvariantError):
        answer(*rows, trigger, asks=asks)
