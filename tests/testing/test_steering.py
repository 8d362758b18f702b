"""What comes from outside to a saga in memory: answered and refused as by the real engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sagas import Pending, SagaDefinition, StepContext, action, step
from sagas.exceptions import AnswerRefusedError
from sagas.testing import SagaRun, run_saga
from tests.engine.kit import forgetting


@pytest.fixture(autouse=True)
def _declared() -> Iterator[None]:
    with forgetting():

        @action("steered.ask")
        def ask(ctx: StepContext) -> Pending:
            return Pending(timeout=60)

        class Steered(SagaDefinition):
            name = "steered"
            steps = [step("ask", action="steered.ask", no_compensation="it only asks")]

        yield


@pytest.fixture
def asked() -> SagaRun:
    return run_saga("steered", finish=False).drain()


def test_answer__the_same_twice_is_harmless(asked: SagaRun) -> None:
    asked.complete_step("ask", {"n": 1}).drain()
    revision = asked.revision

    asked.complete_step("ask", {"n": 1}).drain()

    assert (asked.state, asked.outputs, asked.revision) == ("completed", {"ask": {"n": 1}}, revision)


def test_answer__that_contradicts_an_earlier_one__is_refused(asked: SagaRun) -> None:
    asked.complete_step("ask", {"n": 1}).drain()

    with pytest.raises(AnswerRefusedError, match="answered differently before"):
        asked.complete_step("ask", {"n": 2})
    with pytest.raises(AnswerRefusedError):
        asked.fail_step("ask", "no")

    assert asked.outputs == {"ask": {"n": 1}}


def test_answer__too_late__is_refused(asked: SagaRun) -> None:
    asked.clock.advance(seconds=61)
    asked.drain()

    with pytest.raises(AnswerRefusedError):
        asked.fail_step("ask", "no")


def test_deadline__is_one_of_the_clock_that_the_test_moves() -> None:
    class Hurried(SagaDefinition):
        name = "hurried"
        deadline = 600
        steps = [step("paid", wait_for="paid", wait_timeout=3600)]

    run = run_saga("hurried", finish=False).drain()
    run.clock.advance(seconds=599)
    assert run.drain().state == "started"

    run.clock.advance(seconds=1)
    assert (run.drain().state, run.error_code) == ("compensated", "deadline")


def test_deadline__of_a_child__too() -> None:
    class Child(SagaDefinition):
        name = "hurried_child"
        deadline = 600
        steps = [step("paid", wait_for="paid", wait_timeout=3600)]

    class Parent(SagaDefinition):
        name = "patient_parent"
        steps = [step("hurry", saga="hurried_child")]

    run = run_saga("patient_parent", finish=False).drain()
    assert run.state == "started"

    run.clock.advance(seconds=601)
    assert (run.drain().state, run.error_code) == ("compensated", "deadline")
