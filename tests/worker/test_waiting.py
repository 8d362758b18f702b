"""Steps that wait, on a real worker: conditions, gates, answers from outside, times. PostgreSQL, then SQLite."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sagas import Pending, Rejected, RetryPolicy, StepContext, step
from sagas.engine.answer import complete_step, fail_step
from sagas.exceptions import AnswerRefusedError, BadTokenError, PayloadError, TransitionNotAllowedError
from sagas.models import Saga
from tests.engine.kit import Kit
from tests.services.waiting import wait_until

from .conftest import Crew, ended, fresh, statuses

pytestmark = pytest.mark.usefixtures("place")


def kinds(saga: Saga) -> list[str]:
    return list(fresh(saga).history.order_by("id").values_list("kind", flat=True))


def waiting(saga: Saga, name: str) -> None:
    wait_until(lambda: statuses(saga)[name] == "waiting", within=10, what=f"{name} to wait")


def row(saga: Saga, name: str) -> Any:
    return fresh(saga).steps.get(name=name)


class Tokens:
    """A handler that leaves its work to others and keeps what they need to answer."""

    def __init__(self, **options: Any) -> None:
        self.given: list[str] = []
        self._options = options

    def __call__(self, ctx: StepContext) -> Pending:
        self.given.append(ctx.token)
        ctx.update(asked=len(self.given))
        return Pending(**self._options)


# -- conditions -----------------------------------------------------------------------------------------------------


def test_when__an_expression_that_does_not_hold__skips_the_step(kit: Kit, crew: Crew) -> None:
    seen: list[str] = []
    note: Callable[[StepContext], None] = lambda ctx: seen.append(ctx.step)  # noqa: E731
    definition = kit.define(
        kit.step("first", note),
        kit.step("ship", note, when="requires_shipping and total > 100"),
        kit.step("last", note),
    )
    without = Saga.objects.start(definition, context={"total": 500, "requires_shipping": False})
    crew.start()

    assert ended(without)[0].is_completed
    assert statuses(without) == {"first": "completed", "ship": "skipped", "last": "completed"}
    shipped = ended(Saga.objects.start(definition, context={"total": 500, "requires_shipping": True}))[0]
    assert statuses(shipped)["ship"] == "completed"
    assert seen == ["first", "last", "first", "ship", "last"]


def test_when__a_function_sees_context_and_outputs(kit: Kit, crew: Crew) -> None:
    definition = kit.define(
        kit.step("count", lambda ctx: {"n": ctx.context["n"]}),
        kit.step("big", when=lambda context, outputs: outputs["count"]["n"] > context["limit"]),
    )
    small, big = (Saga.objects.start(definition, context={"n": n, "limit": 5}) for n in (5, 6))
    crew.start()

    ended(small, big)
    assert (statuses(small)["big"], statuses(big)["big"]) == ("skipped", "completed")


def test_when__a_skipped_step_is_not_undone(kit: Kit, crew: Crew) -> None:
    undone: list[str] = []

    def no(ctx: StepContext) -> None:
        raise Rejected("no", code="no")

    note: Callable[[StepContext], None] = lambda ctx: undone.append(ctx.step)  # noqa: E731
    saga = Saga.objects.start(
        kit.define(kit.step("one", undo=note), kit.step("two", undo=note, when="never"), kit.step("three", no, note))
    )
    crew.start()

    assert ended(saga)[0].is_compensated
    assert undone == ["one"]


def test_when__values_that_do_not_fit__fail_the_step_and_roll_back(kit: Kit, crew: Crew) -> None:
    definition = kit.define(kit.step("one"), kit.step("two", when="total > 100", handler={"retry": RetryPolicy(1)}))
    saga = Saga.objects.start(definition, context={"total": "many"})
    crew.start()

    assert ended(saga)[0].is_compensated
    assert row(saga, "two").error_code == "input_error"
    assert "'total > 100': its values do not fit together" in row(saga, "two").error_message
    assert (row(saga, "two").status, row(saga, "two").doubt) == ("failed", False)


# -- gates ----------------------------------------------------------------------------------------------------------


def test_delay__holds_the_step_back_and_run_now_lets_it_go(kit: Kit, crew: Crew) -> None:
    saga = Saga.objects.start(kit.define(kit.step("soon", delay=0.3), kit.step("later", delay=3600)))
    crew.start()

    waiting(saga, "later")
    began, done = row(saga, "soon"), row(saga, "later")
    assert began.executed_at - fresh(saga).created_at >= timedelta(seconds=0.3)
    assert timedelta(minutes=59) < done.due_at - datetime.now(UTC) <= timedelta(hours=1)
    assert not fresh(saga).attention

    fresh(saga).run_now(actor="anna", reason="the customer waits")
    assert ended(saga)[0].is_completed
    entry = fresh(saga).history.get(kind="run_now")
    assert (entry.actor, entry.reason) == ("anna", "the customer waits")


def test_until__a_key_of_the_context_or_a_function(kit: Kit, crew: Crew) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    definition = kit.define(
        step("key", until="opens_at"),
        kit.step("function", until=lambda context, outputs: datetime.fromisoformat(context["opens_at"])),
    )
    saga = Saga.objects.start(definition, context={"opens_at": soon.isoformat()})
    crew.start()

    assert ended(saga)[0].is_completed
    assert row(saga, "key").executed_at >= soon


def test_signal__that_comes_when_it_is_waited_for(kit: Kit, crew: Crew) -> None:
    seen: list[Any] = []
    definition = kit.define(
        step("paid", wait_for="payment_confirmed"), kit.step("ship", lambda ctx: seen.append(ctx.outputs["paid"]))
    )
    saga = Saga.objects.start(definition)
    crew.start()
    waiting(saga, "paid")

    saga.signal("payment_confirmed", {"amount": 5})

    assert ended(saga)[0].is_completed
    saga.signal("payment_confirmed", {"amount": 5})  # the same twice is harmless, even after the end
    with pytest.raises(TransitionNotAllowedError, match="cannot signal saga: expected state started, got completed"):
        saga.signal("payment_confirmed", {"amount": 6})
    assert seen == [{"amount": 5}]
    assert kinds(saga).count("signal") == 1


def test_signal__that_comes_before_its_step_is_reached(kit: Kit, crew: Crew) -> None:
    definition = kit.define(kit.step("first"), step("paid", wait_for="payment_confirmed"))
    saga = Saga.objects.start(definition)
    saga.signal("payment_confirmed", [1, 2])
    with pytest.raises(TransitionNotAllowedError, match=r"takes no signal any more.*with another payload"):
        saga.signal("payment_confirmed", [3])
    with pytest.raises(TransitionNotAllowedError, match=r"no step of this saga waits for a signal 'x' \(signals: pay"):
        saga.signal("x")
    crew.start()

    assert ended(saga)[0].is_completed
    assert row(saga, "paid").output == [1, 2]


def test_signal__for_which_nobody_waits_any_more(kit: Kit, crew: Crew) -> None:
    saga = Saga.objects.start(kit.define(kit.step("first"), step("paid", wait_for="paid", wait_timeout=0.3)))
    crew.start()

    assert ended(saga)[0].is_compensated
    assert fresh(saga).error_code == "timeout"
    with pytest.raises(TransitionNotAllowedError, match="cannot signal saga: expected state started, got compensated"):
        saga.signal("paid")


def test_approval__lets_the_step_run_and_says_who(kit: Kit, crew: Crew) -> None:
    saga = Saga.objects.start(kit.define(kit.step("first"), kit.step("pay", approval=True)))
    crew.start()
    waiting(saga, "pay")
    assert fresh(saga).attention == "approval"

    fresh(saga).approve("pay", actor="anna", reason="within budget")

    assert ended(saga)[0].is_completed
    entry = fresh(saga).history.get(kind="approve")
    assert (entry.actor, entry.reason, entry.step) == ("anna", "within budget", "pay")
    assert fresh(saga).attention == ""


def test_approval__denied__rolls_back_and_nothing_was_done(kit: Kit, crew: Crew) -> None:
    called: list[str] = []
    saga = Saga.objects.start(
        kit.define(kit.step("first"), kit.step("pay", lambda ctx: called.append("pay"), approval=True))
    )
    crew.start()
    waiting(saga, "pay")

    fresh(saga).deny("pay", actor="bert", reason="too dear")

    assert ended(saga)[0].is_compensated
    assert statuses(saga) == {"first": "compensated", "pay": "failed"}
    assert (fresh(saga).error_code, fresh(saga).error_message) == ("denied", "too dear")
    assert called == []


def test_approval__of_undoing__by_two_people_who_saw_the_plan(kit: Kit, crew: Crew) -> None:
    saga = Saga.objects.start(
        kit.define(kit.step("refundable", approve_compensation=2), kit.step("wait", approval=True))
    )
    crew.start()
    waiting(saga, "wait")
    fresh(saga).cancel(actor="anna", reason="customer's wish")
    wait_until(lambda: fresh(saga).attention == "approval")
    plan = fresh(saga).compensation_plan()
    assert [undo.step for undo in plan.undo] == ["refundable"]

    with pytest.raises(PayloadError, match="actor"):
        fresh(saga).approve("refundable", actor="a" * 200)
    fresh(saga).approve("refundable", actor="anna", expected_revision=plan.revision)
    with pytest.raises(TransitionNotAllowedError, match="somebody else's"):
        fresh(saga).approve("refundable", actor="anna")
    assert statuses(saga)["refundable"] == "completed"
    fresh(saga).approve("refundable", actor="bert")

    assert ended(saga)[0].is_compensated
    assert (fresh(saga).error_code, statuses(saga)["wait"]) == ("cancel", "cancelled")


# -- answers --------------------------------------------------------------------------------------------------------


def test_pending__is_completed_with_its_token(kit: Kit, crew: Crew) -> None:
    ask = Tokens(timeout=60)
    saga = Saga.objects.start(kit.define(kit.step("ask", ask), kit.step("after")))
    crew.start()
    waiting(saga, "ask")
    assert row(saga, "ask").waits == "answer"
    assert fresh(saga).context == {"asked": 1}

    for _ in range(2):  # the same answer twice is harmless
        complete_step(ask.given[0], {"id": 7})

    assert ended(saga)[0].is_completed
    assert row(saga, "ask").output == {"id": 7}
    assert kinds(saga).count("answered") == 1


def test_answer__another_or_late_or_forged__is_refused_and_recorded_and_loses_nothing(kit: Kit, crew: Crew) -> None:
    ask = Tokens()
    saga = Saga.objects.start(kit.define(kit.step("ask", ask), step("hold", wait_for="go")))
    crew.start()
    waiting(saga, "ask")
    complete_step(ask.given[0], {"id": 7})

    for contradiction in (lambda: complete_step(ask.given[0], {"id": 8}), lambda: fail_step(ask.given[0], "no")):
        for _ in range(2):
            with pytest.raises(AnswerRefusedError):
                contradiction()
    for forged in ("", "x", ask.given[0][:-2] + "xx", None):
        with pytest.raises(BadTokenError):
            complete_step(forged)  # type: ignore[arg-type]

    assert row(saga, "ask").output == {"id": 7}
    assert kinds(saga).count("late_answer") == 2  # once each
    saga.signal("go")
    assert ended(saga)[0].is_completed


def test_answer__faster_than_the_handler__counts_and_nothing_of_the_step_starts_beside_its_thread(
    kit: Kit, crew: Crew
) -> None:
    told: list[str] = []

    def ask(ctx: StepContext) -> Pending:
        complete_step(ctx.token, {"from": "a fast webhook"})
        told.append(f"{statuses(saga)['ask']} {row(saga, 'ask').stale_worker is not None}")
        return Pending()

    saga = Saga.objects.start(kit.define(kit.step("ask", ask), kit.step("after")))
    crew.start()

    assert ended(saga)[0].is_completed
    assert told == ["completed True"]
    assert row(saga, "ask").output == {"from": "a fast webhook"}
    wait_until(lambda: row(saga, "ask").stale_worker is None)


def test_answer__that_fails_the_step__rolls_back(kit: Kit, crew: Crew) -> None:
    ask = Tokens()
    saga = Saga.objects.start(kit.define(kit.step("first"), kit.step("ask", ask)))
    crew.start()
    waiting(saga, "ask")

    fail_step(ask.given[0], "card declined", code="card_declined")
    fail_step(ask.given[0], "card declined", code="card_declined")

    assert ended(saga)[0].is_compensated
    assert statuses(saga) == {"first": "compensated", "ask": "failed"}
    assert (fresh(saga).error_code, fresh(saga).error_message) == ("card_declined", "card declined")


@pytest.mark.parametrize(
    ("on_timeout", "state", "calls"), [("fail", "compensated", 1), ("retry", "compensated", 3)], ids=["fail", "retry"]
)
def test_pending__no_answer_in_time__is_in_doubt(kit: Kit, crew: Crew, on_timeout: str, state: str, calls: int) -> None:
    ask = Tokens()
    saga = Saga.objects.start(kit.define(kit.step("ask", ask, wait_timeout=0.2, on_timeout=on_timeout)))
    crew.start()

    assert ended(saga)[0].state == state
    assert statuses(saga) == {"ask": "compensated"}
    assert (fresh(saga).error_code, len(ask.given)) == ("timeout", calls)


def test_pending__no_answer_in_time__attention_and_the_answer_still_counts(kit: Kit, crew: Crew) -> None:
    ask = Tokens()
    saga = Saga.objects.start(kit.define(kit.step("ask", ask, wait_timeout=0.2, on_timeout="attention")))
    crew.start()
    wait_until(lambda: fresh(saga).attention == "overdue")

    complete_step(ask.given[0])

    assert ended(saga)[0].is_completed
    assert fresh(saga).attention == ""


def test_pending__success_of_an_older_attempt_counts__its_failure_does_not(kit: Kit, crew: Crew) -> None:
    ask = Tokens()
    saga = Saga.objects.start(kit.define(kit.step("ask", ask, wait_timeout=0.3, on_timeout="retry")))
    crew.start()
    wait_until(lambda: len(ask.given) == 2)
    waiting(saga, "ask")

    with pytest.raises(AnswerRefusedError):
        fail_step(ask.given[0], "no")
    complete_step(ask.given[0], {"n": 1})

    assert ended(saga)[0].is_completed
    assert (row(saga, "ask").output, row(saga, "ask").doubt) == ({"n": 1}, False)


def test_pending__in_a_rollback__is_waited_for_then_undone(kit: Kit, crew: Crew) -> None:
    ask = Tokens()
    undone: list[Any] = []
    saga = Saga.objects.start(
        kit.define(
            kit.step("ask", ask, lambda ctx: undone.append((ctx.outcome, ctx.output))),
            word="answered",
            drain_timeout=60,
        )
    )
    other = Tokens()
    silent = Saga.objects.start(
        kit.define(
            kit.step("other", other, lambda ctx: undone.append((ctx.outcome, ctx.output))),
            word="silent",
            drain_timeout=0.2,
        )
    )
    crew.start()
    waiting(saga, "ask")
    waiting(silent, "other")

    fresh(silent).cancel()
    assert ended(silent)[0].is_compensated
    fresh(saga).cancel()
    complete_step(ask.given[0], {"n": 1})
    assert ended(saga)[0].is_compensated
    assert undone == [("unknown", None), ("completed", {"n": 1})]


def test_pending__of_a_compensation__is_answered_too(kit: Kit, crew: Crew) -> None:
    undo = Tokens()
    saga = Saga.objects.start(kit.define(kit.step("first", undo=undo), step("hold", wait_for="go")))
    crew.start()
    waiting(saga, "hold")
    fresh(saga).cancel()
    wait_until(lambda: row(saga, "first").waits == "answer")
    assert statuses(saga)["first"] == "compensating"

    complete_step(undo.given[0])

    assert ended(saga)[0].is_compensated


def test_answer__to_an_action_and_then_to_its_compensation__each_faster_than_the_handler(kit: Kit, crew: Crew) -> None:
    tokens: list[str] = []

    def ask(ctx: StepContext) -> Pending:
        tokens.append(ctx.token)
        complete_step(ctx.token, {"n": len(tokens)})
        return Pending()

    saga = Saga.objects.start(kit.define(kit.step("ask", ask, ask), step("hold", wait_for="go")))
    crew.start()
    waiting(saga, "hold")
    fresh(saga).cancel()

    assert ended(saga)[0].is_compensated
    assert (len(tokens), row(saga, "ask").output) == (2, {"n": 1})
    complete_step(tokens[1], {"n": 2})  # the same again
    with pytest.raises(AnswerRefusedError):
        complete_step(tokens[0], {"n": 3})


def test_pending__from_an_atomic_step(kit: Kit, crew: Crew) -> None:
    ask = Tokens()
    saga = Saga.objects.start(kit.define(kit.step("ask", ask, handler={"atomic": True})))
    crew.start()
    waiting(saga, "ask")

    complete_step(ask.given[0])

    assert ended(saga)[0].is_completed


# -- times of the whole saga ----------------------------------------------------------------------------------------


def test_deadline__rolls_back(kit: Kit, crew: Crew) -> None:
    saga = Saga.objects.start(kit.define(kit.step("first"), step("hold", wait_for="go"), deadline=0.5))
    crew.start()

    assert ended(saga)[0].is_compensated
    assert fresh(saga).error_code == "deadline"


def test_deadline__asks_for_attention_and_retry_takes_note(kit: Kit, crew: Crew) -> None:
    definition = kit.define(kit.step("first"), step("hold", wait_for="go"), on_deadline="attention")
    saga = Saga.objects.start(definition, deadline=timedelta(seconds=0.3))
    crew.start()
    wait_until(lambda: fresh(saga).attention == "deadline")
    assert fresh(saga).is_started

    fresh(saga).retry(reason="they called")
    assert fresh(saga).attention == ""
    saga.signal("go")
    assert ended(saga)[0].is_completed


def test_automate_next__false__pauses_until_somebody_resumes(kit: Kit, crew: Crew) -> None:
    saga = Saga.objects.start(kit.define(kit.step("first", automate_next=False), kit.step("last", automate_next=False)))
    crew.start()
    wait_until(lambda: fresh(saga).paused_at is not None)
    assert statuses(saga) == {"first": "completed", "last": "pending"}

    fresh(saga).resume(actor="anna")

    assert ended(saga)[0].is_completed
    assert fresh(saga).paused_at is None


def test_pause__what_runs_is_finished_and_nothing_begins(kit: Kit, crew: Crew) -> None:
    saga = Saga.objects.start(kit.define(step("hold", wait_for="go"), kit.step("after")))
    crew.start()
    waiting(saga, "hold")

    fresh(saga).pause(actor="anna", reason="maintenance")
    fresh(saga).pause(actor="anna")  # harmless
    saga.signal("go")

    assert statuses(saga) == {"hold": "completed", "after": "pending"}
    assert kinds(saga).count("pause") == 1
    fresh(saga).resume()
    assert ended(saga)[0].is_completed
