"""`sagas.testing.run_saga`: a host's tests of its own definitions, in memory. No test here may touch a database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sagas import Pending, Rejected, Retryable, SagaDefinition, StepContext
from sagas.core.errors import DefinitionError, PayloadError, TransitionNotAllowedError
from sagas.testing import CrashAfter, CrashBefore, SagaRun, Timeout, run_saga
from sagas.testing.faults import Fault
from tests.engine.kit import Kit, forgetting

from . import kit

CONTEXT = {"total": 30}
ALL = ["reserve", "check", "charge", "book"]


def order(**options: object) -> SagaRun:
    return run_saga(kit.Order, CONTEXT, **options)  # type: ignore[arg-type]


# -- to the end ------------------------------------------------------------------------------------------------------


def test_run__to_its_end():
    run = order()

    assert (run.state, run.attention, run.called, run.undo_called) == ("completed", "", ALL, [])
    assert run.statuses == dict.fromkeys(ALL, "completed")
    assert run.outputs["charge"] == {"charged": 30}
    assert run.context == {"total": 30, "reserved": "MUG"}
    assert run.undone == []


def test_run__by_the_definitions_name():
    assert run_saga("kit_order", CONTEXT).state == "completed"


def test_run__own_list_of_steps():
    steps = [{"name": "only", "action": "kit.reserve", "compensation": "kit.release", "input": {"sku": "TEA"}}]

    run = run_saga("anything", {}, steps=steps)

    assert (run.state, run.outputs["only"]["reservation"]) == ("completed", "TEA")


def test_run__without_steps_is_complete_at_once():
    run = run_saga("anything", {}, steps=[])

    assert (run.state, run.called, run.next_step()) == ("completed", [], None)


def test_run__every_value_has_passed_through_json():
    """Same types on the first attempt, after a crash, after inline continuation."""
    run = order()

    assert run.outputs["reserve"] == {"reservation": "MUG", "pair": [1, 2], "7": "int key"}
    charging = next(ctx for ctx in kit.SEEN if ctx.step == "charge")
    assert charging.outputs["reserve"] == run.outputs["reserve"]
    assert charging.input == {"total": 30, "for": "MUG", "tuple": [1]}


def test_run__what_update_adds_is_seen_by_later_steps():
    order()

    assert [ctx.context.get("reserved") for ctx in kit.SEEN if ctx.step in ("charge", "book")] == ["MUG", "MUG"]


def test_run__contexts_of_a_do_and_its_undo():
    run = order(fail={"book": Rejected("full")})

    do, undo = (ctx for ctx in kit.SEEN if ctx.step == "reserve")
    assert do.idempotency_key.endswith(":reserve:1:do")
    assert (do.outcome, do.output) == (None, None)
    assert undo.idempotency_key.endswith(":reserve:1:undo")
    assert undo.action_key == do.idempotency_key
    assert (undo.outcome, undo.output) == ("completed", run.outputs["reserve"])
    assert (do.saga_id, do.saga_name) == (run.id, "kit_order")
    assert kit.LEDGER == {}


# -- failures --------------------------------------------------------------------------------------------------------


def test_fail__a_rejection_rolls_back_in_reverse_order():
    run = order(fail={"book": Rejected("full", code="full")})

    assert run.state == "compensated"
    assert run.undone == ["charge", "reserve"]
    assert run.statuses == {"reserve": "compensated", "check": "completed", "charge": "compensated", "book": "failed"}
    assert run.undo_called == ["charge", "reserve"]


def test_fail__always_means_every_attempt():
    run = order(fail={"charge": RuntimeError("down")})

    assert (run.state, run.called.count("charge")) == ("compensated", 2)
    assert run.statuses["charge"] == "compensated", "what may have been charged is refunded"


def test_fail__once_per_attempt():
    run = order(fail={"charge": [RuntimeError("down"), None]})

    assert (run.state, run.called.count("charge")) == ("completed", 2)


def test_fail__a_list_that_ends_means_that_it_works_from_then_on():
    assert order(fail={"charge": [RuntimeError("down")]}).state == "completed"
    assert order(fail={"charge": []}).state == "completed"


def test_fail__waits_between_attempts_take_no_time_but_on_the_clock():
    before = order().clock.now

    run = order(fail={"charge": [Retryable("busy", after=3600)]})

    assert run.clock.now - before == timedelta(hours=1)


def test_fail__the_policys_wait():
    before = order().clock.now

    assert order(fail={"charge": [ValueError("x")]}).clock.now - before == timedelta(seconds=60)


def test_fail__an_undo_that_fails_is_a_debt():
    run = order(fail={"book": Rejected("full"), "reserve.undo": RuntimeError("down")})

    assert (run.state, run.attention) == ("compensating", "debt")
    assert run.statuses["reserve"] == "compensation_failed"
    assert run.undo_called == ["charge", "reserve", "reserve"]
    assert run.undone == ["charge"]


def test_fail__an_undo_that_works_at_the_second_attempt():
    run = order(fail={"book": Rejected("full"), "reserve.undo": [RuntimeError("down")]})

    assert (run.state, run.undone) == ("compensated", ["charge", "reserve"])


def test_fail__in_doubt_is_undone_without_output():
    """A charge that timed out after charging."""
    run = order(fail={"charge": TimeoutError()})

    undo = next(ctx for ctx in kit.SEEN if ctx.step == "charge")
    assert (undo.outcome, undo.output) == ("unknown", None)
    assert run.undone == ["charge", "reserve"]


def test_fail__a_system_exit_is_the_handlers_failure():
    assert order(fail={"charge": SystemExit(1)}).state == "compensated"


@pytest.mark.parametrize("name", ["nobody", "nobody.undo"])
def test_fail__an_unknown_step_is_named(name: str):
    with pytest.raises(
        ValueError, match=r"^fail: expected names of steps \(book, charge, check, reserve\), got nobody$"
    ):
        order(fail={name: Rejected("x")})


def test_fail__puts_the_real_handler_back():
    order(fail={"charge": Rejected("x")})

    assert order().state == "completed"


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("rejects", "not_today"),
        ("raises", "exception"),
        ("exits", "exception"),
        ("interrupts", "exception"),
        ("not a number", "invalid_payload"),
        ("decimal", "invalid_payload"),
        ("generator", "invalid_payload"),
        ("context", "invalid_payload"),
        ("writes context", "exception"),
        ("writes outputs", "exception"),
        ("unknown output", "exception"),
    ],
)
def test_handlers__that_misbehave_end_in_a_rollback(what: str, code: str):
    run = run_saga(kit.Odd, {"what": what})

    saga = run.store.sagas[run.id].saga
    assert (run.state, saga.error_code) == ("compensated", code)
    assert run.statuses["odd"] == ("failed" if what == "rejects" else "compensated")


def test_handlers__an_output_that_can_not_be_stored_is_not_tried_again():
    assert run_saga(kit.Odd, {"what": "not a number"}).called == ["odd"]


def test_handlers__what_update_collected_is_lost_with_the_attempt():
    run = run_saga(kit.Order, CONTEXT, fail={"reserve": Rejected("x")})

    assert run.context == CONTEXT


def test_handlers__the_context_says_how_to_change_it():
    run_saga(kit.Odd, {"what": "nothing"})

    with pytest.raises(TypeError, match=r"call ctx\.update\(key=value\)"):
        kit.SEEN[0].context.update(a=1)


def test_handlers__outputs_name_what_is_there():
    order()
    charging = next(ctx for ctx in kit.SEEN if ctx.step == "charge")

    with pytest.raises(KeyError, match=r"no output of a step 'book' here \(done before this step: check, reserve\)"):
        charging.outputs["book"]


# -- atomic ----------------------------------------------------------------------------------------------------------


def test_atomic__an_exception_is_a_sure_no():
    run = run_saga(kit.Order, {**CONTEXT, "trouble": "always"})

    assert (run.state, run.statuses["book"], run.called.count("book")) == ("compensated", "failed", 2)
    assert not run.store.sagas[run.id].steps[3].doubt


def test_atomic__tried_again():
    run = run_saga(kit.Order, {**CONTEXT, "trouble": "attempt 1"})

    assert (run.state, run.outputs["book"]) == ("completed", {"entry": 2})


def test_compensate__a_completed_saga_is_final():
    run = order()

    with pytest.raises(TransitionNotAllowedError, match="a completed saga is final"):
        run.compensate()


# -- step by step ----------------------------------------------------------------------------------------------------


def test_steps__one_attempt_at_a_time():
    run = order(finish=False)
    assert (run.state, run.called, run.revision) == ("started", [], 1)

    assert [run.next_step() for _ in range(5)] == [*ALL, None]

    assert run.state == "completed"


def test_steps__undoes_are_named():
    run = order(finish=False, fail={"charge": Rejected("x")})

    assert [run.next_step() for _ in range(5)] == ["reserve", "check", "charge", "reserve.undo", None]


def test_steps__compensate_in_the_middle():
    run = order(finish=False)
    run.next_step()
    run.next_step()
    plan = run.plan()
    assert [step.step for step in plan.undo] == ["charge", "reserve"]
    assert plan.revision == run.revision

    run.compensate("enough").finish()

    assert run.state == "compensated"
    assert run.undone == ["charge", "reserve"], "what was claimed already is drained, and undone"
    assert [entry.reason for entry in run.history if entry.kind == "compensate"] == ["enough"]


def test_steps__the_history_is_there():
    kinds = [entry.kind for entry in run_saga(kit.Odd, {"what": "nothing"}).history]

    assert kinds == ["started", "claimed", "completed"]


# -- retry, no rollback ----------------------------------------------------------------------------------------------


def test_retry__settles_a_debt():
    run = order(fail={"book": Rejected("full"), "reserve.undo": [RuntimeError("1"), RuntimeError("2")]})
    assert run.attention == "debt"

    run.retry("the service is back").finish()

    assert (run.state, run.attention, run.undone) == ("compensated", "", ["charge", "reserve"])


def test_retry__with_nothing_stuck_is_refused():
    run = order(finish=False)

    with pytest.raises(TransitionNotAllowedError, match="found none in state started"):
        run.retry()


def test_no_rollback__ends_failed_with_nothing_undone():
    run = run_saga(kit.Kept, fail={"check": Rejected("no")})

    assert (run.state, run.undone, run.statuses) == ("failed", [], {"reserve": "completed", "check": "failed"})


def test_no_rollback__compensated_later():
    run = run_saga(kit.Kept, fail={"check": Rejected("no")})

    run.compensate().finish()

    assert (run.state, run.undone) == ("compensated", ["reserve"])


def test_no_rollback__retried_under_new_keys():
    kit.REFUSED["check"] = True
    run = run_saga(kit.Kept)
    assert run.state == "failed"

    kit.REFUSED.clear()
    run.retry().finish()

    assert (run.state, run.called) == ("completed", ["reserve", "check", "check"])
    keys = [ctx.idempotency_key.split(":", 1)[1] for ctx in kit.SEEN if ctx.step == "check"]
    assert keys == ["check:1:do", "check:2:do"]


def test_no_rollback__chosen_at_the_start():
    assert order(rollback=False, fail={"book": Rejected("x")}).state == "failed"
    assert run_saga(kit.Kept, rollback=True, fail={"check": Rejected("x")}).state == "compensated"


# -- what is refused -------------------------------------------------------------------------------------------------


def test_refused__an_input_function_that_raises_has_done_nothing():
    """`total` is missing from the context: nothing was charged, so nothing is refunded."""
    run = run_saga(kit.Order, {})

    assert (run.state, run.statuses["charge"], run.undone) == ("compensated", "failed", ["reserve"])
    assert run.store.sagas[run.id].saga.error_code == "input_error"


def test_refused__a_context_that_json_can_not_hold():
    with pytest.raises(PayloadError, match=r"^context: expected a value that JSON can hold"):
        run_saga(kit.Order, {"total": {1, 2}})


def test_refused__an_unknown_definition():
    with pytest.raises(DefinitionError, match="expected the name of a saga definition"):
        run_saga("nobody")


def test_refused__an_unknown_option():
    with pytest.raises(TypeError, match="colour"):
        run_saga(kit.Order, CONTEXT, colour="red")


def test_heartbeat__progress_is_seen():
    def long(ctx: StepContext) -> None:
        ctx.heartbeat()
        ctx.heartbeat(0.25)
        ctx.heartbeat(progress=0.5)

    with forgetting():
        made = Kit()
        run = run_saga(made.define(made.step("long", long), made.step("short")))

    assert run.progress == {"long": 0.5}


# -- what compensations return --------------------------------------------------------------------------------------


def _three(made: Kit, seen: list[dict[str, object]], odd: object = None) -> type[SagaDefinition]:
    """Three steps, of which the first two can be undone."""

    def undo(ctx: StepContext) -> object:
        seen.append(dict(ctx.undo_outputs))
        return odd if ctx.step == "second" and odd is not None else {"un": ctx.step}

    def no(ctx: StepContext) -> None:
        raise Rejected("no")

    return made.define(made.step("first", undo=undo), made.step("second", undo=undo), made.step("third", no, undo=None))


@pytest.mark.parametrize(
    "how", [None, [CrashBefore()], [CrashAfter()], [Timeout()]], ids=["well", "before", "after", "late"]
)
def test_undo_outputs__by_name_and_for_the_next_compensation(how: list[Fault] | None):
    seen: list[dict[str, object]] = []
    with forgetting():
        run = run_saga(_three(Kit(), seen), fail={"second.undo": how, "first.undo": how} if how else None)

    assert run.state == "compensated"
    assert run.undo_outputs == {"second": {"un": "second"}, "first": {"un": "first"}}
    assert seen[-1] == {"third": None, "second": {"un": "second"}}


def test_undo_outputs__that_json_can_not_hold__is_undone_all_the_same():
    seen: list[dict[str, object]] = []
    with forgetting():
        run = run_saga(_three(Kit(), seen, odd=object()))

    assert (run.state, run.undone, run.undo_outputs) == (
        "compensated", ["second", "first"], {"first": {"un": "first"}},
    )  # fmt: skip
    assert "undo_output" in run.story


@pytest.mark.parametrize(("output", "kept"), [(None, {}), ({"n": 1}, {"only": {"n": 1}})], ids=["nothing", "something"])
def test_undo_outputs__of_an_answer(output: dict[str, int] | None, kept: dict[str, object]):
    def no(ctx: StepContext) -> None:
        raise Rejected("no")

    with forgetting():
        made = Kit()
        only = made.step("only", undo=lambda ctx: Pending())
        run = run_saga(made.define(only, made.step("no", no, undo=None)), finish=False).drain()
        run.complete_step("only", output).finish()

    assert (run.state, run.undo_outputs) == ("compensated", kept)
