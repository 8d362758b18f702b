"""`given(…).expect(…).reply(…)`: sagas whose participants are written down by the test. No handler is called."""

from __future__ import annotations

import unittest
from datetime import timedelta
from typing import Any

import pytest

from sagas import Rejected, Retryable, SagaDefinition, StepContext, parallel, step
from sagas.core.errors import DefinitionError
from sagas.definitions.registry import registry
from sagas.testing import CrashAfter, CrashBefore, Script, Timeout, given

from . import kit

CONTEXT = {"total": 30}


class Elsewhere(SagaDefinition):
    """Its participants live in other services: none of these handlers is registered here."""

    name = "kit_elsewhere"
    steps = [
        step("order", action="far.order", compensation="far.cancel", input={"sku": "MUG"}),
        parallel(
            step("pay", action="far.pay", compensation="far.refund", input=lambda context, outputs: outputs["order"]),
            step("tip", action="far.pay", no_compensation="a gift", input={"total": 1}),
        ),
        step("ship", action="far.ship", compensation="far.recall"),
    ]


# Other tests of this process look at all that is registered, and would miss its handlers.
del registry.definitions[Elsewhere.name]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.definitions, Elsewhere.name, Elsewhere)


def ordered() -> Script:
    """Up to the two payments, which wait for their answers."""
    return given(Elsewhere).expect("far.order").reply({"total": 30, "lines": [{"sku": "MUG", "quantity": 2}]})


def said(script: Any) -> str:
    """What the failing test says."""
    with pytest.raises(AssertionError) as failed:
        script()
    return str(failed.value)


# -- a story with a good and a bad end -------------------------------------------------------------------------------


def test_script__to_the_end():
    run = (
        ordered()
        .expect("far.pay", step="pay")
        .reply({"paid": 30})
        .expect("far.pay", step="tip")
        .reply()
        .expect("far.ship", input={})
        .reply({"parcel": 7}, update={"sent": True})
        .drain()
    )

    assert (run.state, run.outputs["ship"], run.context) == ("completed", {"parcel": 7}, {"sent": True})
    assert run.called == ["order", "pay", "tip", "ship"]


def test_script__a_rejection_is_undone_in_reverse_order():
    run = (
        ordered()
        .expect("far.pay", step="pay")
        .reply({"paid": 30})
        .expect("far.pay")
        .reply(Rejected("no gifts", code="no_gifts"))
        .expect("far.refund", input={"total": 30})
        .reply()
        .expect("far.cancel", input={"sku": "MUG"}, exact=True)
        .reply()
        .drain()
    )

    assert (run.state, run.error_code, run.undone) == ("compensated", "no_gifts", ["pay", "order"])
    assert run.undo_called == ["pay", "order"]


def test_script__parallel_calls_in_any_order():
    script = ordered()

    script.expect("far.pay", step="tip").reply()
    script.expect("far.pay", step="pay").reply()

    assert script.run.called == ["order", "tip", "pay"]


def test_script__of_several_calls_the_one_with_the_right_input():
    script = ordered().expect("far.pay", input={"total": 1}).reply()

    assert script.run.called == ["order", "tip"]


def test_script__own_steps_without_handlers():
    steps = [{"name": "only", "action": "far.only", "no_compensation": "reads"}]

    run = given("anything", steps=steps).expect("far.only").reply({"x": 1}).drain()

    assert (run.state, run.outputs) == ("completed", {"only": {"x": 1}})


def test_script__leaves_no_stand_in_behind():
    ordered()

    assert not [name for name in registry.handlers if name.startswith("far.")]
    with pytest.raises(DefinitionError, match=r"unknown action 'far\.order'"):
        Elsewhere.graph()


def test_script__unknown_definition():
    with pytest.raises(DefinitionError, match="expected the name of a saga definition"):
        given("nobody")


# -- answers ---------------------------------------------------------------------------------------------------------


def test_reply__an_exception_is_tried_again_and_takes_no_time():
    script = given(kit.Order, CONTEXT).expect("kit.reserve").reply(ConnectionError("down"))
    begin = script.run.clock.now

    script.expect("kit.reserve").reply({"reservation": "MUG"})

    assert script.run.clock.now - begin == timedelta(minutes=1)


def test_reply__an_exception_to_the_end_of_the_budget():
    script = given(kit.Order, CONTEXT).expect("kit.check").reply()
    for _ in range(2):
        script.expect("kit.reserve").reply(TimeoutError)

    run = script.expect("kit.release").reply().finish()

    assert (run.state, run.undone) == ("compensated", ["reserve"])


@pytest.mark.parametrize("fault", [Timeout, Timeout(), CrashBefore(), CrashAfter])
def test_reply__a_fault(fault: Any):
    run = (
        ordered()
        .expect("far.pay", step="tip")
        .reply()
        .expect("far.pay")
        .reply(fault)
        .expect("far.pay", input={"total": 30})
        .reply()
        .expect("far.ship")
        .reply()
        .finish()
    )

    assert (run.state, run.called.count("pay")) == ("completed", 2)


def test_reply__a_crash_leaves_the_calls_beside_it_open(caplog: pytest.LogCaptureFixture):
    script = ordered().expect("far.pay", step="pay").reply(CrashBefore())

    script.expect("far.pay", step="tip").reply(CrashBefore()).expect("far.pay", step="pay").reply(ValueError("down"))

    assert caplog.records == []
    assert script.run.statuses == {"order": "completed", "pay": "pending", "tip": "running", "ship": "pending"}


def test_reply__a_function_of_the_context():
    def pay(ctx: StepContext) -> dict[str, Any]:
        assert ctx.idempotency_key.endswith(":pay:1:do")
        return {"paid": ctx.input["total"]}

    script = ordered().expect("far.pay", step="pay").reply(pay)

    assert script.run.outputs["pay"] == {"paid": 30}


def test_reply__an_assertion_in_the_function_fails_the_test_and_not_the_saga():
    def picky(ctx: StepContext) -> None:
        assert ctx.attempt == 2, "the second attempt"

    assert "the second attempt" in said(lambda: ordered().expect("far.pay").reply(picky))


def test_reply__call_through():
    run = given(kit.Kept).expect("kit.reserve").call_through().expect("kit.check").reply().drain()

    assert (run.state, len(kit.SEEN), len(kit.LEDGER)) == ("completed", 1, 1)


def test_reply__an_undo_that_is_refused_is_held_and_retried():
    script = given(kit.Order, CONTEXT).expect("kit.reserve").reply({"reservation": "MUG"})
    script.expect("kit.check").reply(Rejected("no")).expect("kit.release").reply(Rejected("never"))
    assert script.drain().attention == "debt"

    run = script.retry("settled by hand").expect("kit.release").reply().finish()

    assert run.state == "compensated"


# -- time ------------------------------------------------------------------------------------------------------------


def test_advance__nothing_comes_before_its_time():
    script = given(kit.Order, CONTEXT).expect("kit.check").reply()
    script.expect("kit.reserve").reply(Retryable("busy", after=3600))

    script.advance(minutes=59).expect_nothing().advance(minutes=1)

    assert "kit.reserve (reserve, attempt 2)" in said(script.expect_nothing)


def test_drain__a_saga_that_waits():
    script = given(kit.Order, CONTEXT).expect("kit.check").reply().expect("kit.reserve").reply(Retryable("busy"))

    assert script.drain().state == "started"
    assert said(script.finish).startswith("expected no more calls\ngot      kit.reserve (reserve, attempt 2)")


def test_compensate__while_calls_are_open():
    script = ordered().expect("far.pay", step="tip").reply().compensate("changed their mind")

    run = script.expect("far.pay").reply().expect("far.refund").reply().expect("far.cancel").reply().drain()

    assert (run.state, run.error_code) == ("compensated", "compensate")


# -- what fails the test ---------------------------------------------------------------------------------------------


def test_fails__a_call_that_does_not_come():
    text = said(lambda: ordered().expect("far.refund", input={"total": 30}).reply())

    first, second, *rest = text.splitlines()
    assert first == 'expected a call of far.refund with input {"total": 30}'
    assert second.startswith('got      far.pay (pay, attempt 1) with input {"total": 30, "lines": [')
    assert second.endswith('far.pay (tip, attempt 1) with input {"total": 1}')
    assert rest[1] == "kit_elsewhere is started. So far:"
    assert rest[-1].endswith("completed: order completed, pay running, tip running")


def test_fails__a_call_after_the_end():
    script = given(kit.Kept).expect("kit.reserve").reply().expect("kit.check").reply()

    text = said(lambda: script.expect("kit.check").reply())

    assert "got      nothing: the saga has ended" in text
    assert "kit_kept is completed. So far:" in text


def test_fails__a_call_that_nobody_expected():
    text = said(lambda: ordered().drain())

    assert text.startswith("expected no more calls\ngot      far.pay (pay, attempt 1) with input")


def test_fails__another_input():
    script = ordered().expect("far.pay", step="tip").reply()

    text = said(lambda: script.expect("far.pay", input={"lines": [{"sku": "MUG"}]}).reply())

    assert 'a call of far.pay with input {"lines": [{"sku": "MUG"}]}' in text
    assert '"quantity": 2' in text.splitlines()[1]


@pytest.mark.parametrize(
    ("wanted", "exact", "right"),
    [
        ({}, False, True),
        ({"total": 30}, False, True),
        ({"total": 31}, False, False),
        ({"other": None}, False, False),
        ({"total": 30}, True, False),
        ({"total": 30, "lines": [{"sku": "MUG", "quantity": 2}]}, True, True),
    ],
)
def test_input__part_or_whole(wanted: Any, exact: bool, right: bool):
    expected = ordered().expect("far.pay", step="pay", input=wanted, exact=exact)

    if right:
        expected.reply()
    else:
        assert "got      far.pay (pay, attempt 1) with input" in said(expected.reply)


def test_fails__an_expectation_without_an_answer():
    script = ordered()
    script.expect("far.pay", step="pay")

    for on in (script.drain, script.finish, script.compensate, lambda: script.expect("far.pay")):
        assert said(on) == "the expected call of far.pay by step pay has no answer: go on with .reply(…)"


def test_fails__an_input_that_can_not_be_worked_out():
    script = given(kit.Order, {}).expect("kit.reserve").reply({"reservation": 1}).expect("kit.check").reply()

    text = said(lambda: script.expect("kit.charge").reply())

    assert "an input that could not be worked out" in text
    assert "no_effect (input_error: 'total'): charge pending" in text


def test_with__the_end_of_the_block_is_the_end_of_the_script():
    with given(kit.Kept) as script:
        script.expect("kit.reserve").reply().expect("kit.check").reply()

    with pytest.raises(AssertionError, match=r"^expected no more calls"):
        with given(kit.Kept) as script:
            script.expect("kit.reserve").reply()

    with pytest.raises(ZeroDivisionError):
        with given(kit.Kept):
            raise ZeroDivisionError


class InUnittest(unittest.TestCase):
    """No plugin and no fixture is needed."""

    def test_script(self):
        run = given(kit.Kept).expect("kit.reserve").reply().expect("kit.check").reply(Rejected("no")).drain()

        assert (run.state, run.undone) == ("failed", [])
