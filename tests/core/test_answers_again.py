"""Answers to a later attempt of the same round: the attempt before it was refused. Found with the random families."""

import pytest

from sagas.core import triggers as t
from sagas.core.claims import Claim
from sagas.core.states import StepStatus, Wait

from .build import Driver, line


def _undo_again() -> tuple[Driver, Claim]:
    """The service has refused to undo it; a person lets it be tried once more."""
    driver = Driver(line(1))
    driver.end(t.Waits, driver.claim())
    driver.ask(t.Compensate("op", "why"))
    driver.ask(t.Answer(0, 1, 1, False, True, "yes"))
    driver.end(t.Waits, driver.claim())
    driver.ask(_refusal(1))
    assert driver.statuses == [StepStatus.COMPENSATION_FAILED]
    driver.ask(t.Retry("op", "why"))
    return driver, driver.claim()


def _refusal(attempt: int) -> t.Answer:
    return t.Answer(0, 1, attempt, True, False, "no")


def test_refused_again_in_the_same_words__counts():
    driver, claim = _undo_again()
    driver.end(t.Waits, claim)

    decision = driver.ask(_refusal(2))

    assert decision.ignored == ""
    assert driver.statuses == [StepStatus.COMPENSATION_FAILED]


@pytest.mark.parametrize("ok", [True, False])
def test_answered_before_the_second_handler_has_returned__counts(ok: bool):
    driver, _ = _undo_again()

    decision = driver.ask(t.Answer(0, 1, 2, True, ok, "yes" if ok else "no"))

    assert decision.ignored == ""
    assert driver.statuses == [StepStatus.COMPENSATED if ok else StepStatus.COMPENSATION_FAILED]


def test_the_first_refusal_repeated__changes_nothing():
    driver, claim = _undo_again()
    driver.end(t.Waits, claim)
    before = driver.snapshot()

    decision = driver.ask(_refusal(1))

    assert decision.ignored == "it was answered so already"
    assert driver.snapshot() == before
    assert driver.steps[0].waits is Wait.ANSWER
