"""Outcomes nobody knows, points of no return, debts, and what operators do about them, on a real worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sagas import Rejected, RetryPolicy, StepContext, parallel, step
from sagas.definitions.registry import registry
from sagas.exceptions import PayloadError, TransitionNotAllowedError
from sagas.models import Saga
from sagas.signals import attention_raised, debt_opened, saga_ended
from tests.engine.kit import Kit
from tests.services.waiting import wait_until

from .conftest import Crew, ended, fresh, statuses
from .test_waiting import kinds, row, waiting

pytestmark = pytest.mark.usefixtures("place")

Handler = Callable[[StepContext], Any]
ONCE = {"retry": RetryPolicy(1)}


def says_no(ctx: StepContext) -> None:
    raise Rejected("no", code="no")


def breaks(ctx: StepContext) -> None:
    raise OSError("gone")


class Calls:
    """Handlers that note who was called, and fail as often as they are told."""

    def __init__(self, **failures: int) -> None:
        self.made: list[str] = []
        self._failures = failures

    def __call__(self, ctx: StepContext) -> dict[str, Any]:
        name = f"un{ctx.step}" if ctx.undo else ctx.step
        self.made.append(name)
        if self._failures.get(name, 0) > 0:
            self._failures[name] -= 1
            raise OSError("gone")
        return {"input": ctx.input, "key": ctx.idempotency_key}


def attention(saga: Saga, word: str) -> None:
    wait_until(lambda: fresh(saga).attention == word, within=10, what=f"attention {word}")


# -- retries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "tries"),
    [
        (RetryPolicy(3, base=0, never_on=(OSError,)), 1),
        (RetryPolicy(3, base=0, retry_on=("KeyError",)), 1),
        (RetryPolicy(3, base=0, retry_on=(OSError,)), 3),
        (RetryPolicy(3, base=0, retry_on=("builtins.no", "OSError")), 3),
        (RetryPolicy(9, base=0.2, jitter=False, factor=1, max_elapsed=0.3), 3),
    ],
    ids=["never", "not that one", "that one", "by name", "elapsed"],
)
def test_retry_policy__which_exceptions_and_how_long(kit: Kit, crew: Crew, policy: RetryPolicy, tries: int) -> None:
    calls = Calls(one=99)
    saga = Saga.objects.start(kit.define(kit.step("one", calls, handler={"retry": policy})))
    crew.start()

    assert ended(saga)[0].is_compensated
    assert len(calls.made) == tries


def test_retry_policy__of_an_atomic_step_that_must_not_be_tried_again(kit: Kit, crew: Crew) -> None:
    calls = Calls(one=99)
    policy = RetryPolicy(3, base=0, never_on=(OSError,))
    saga = Saga.objects.start(kit.define(kit.step("one", calls, handler={"retry": policy, "atomic": True})))
    crew.start()

    assert ended(saga)[0].is_compensated
    assert (statuses(saga), len(calls.made)) == ({"one": "failed"}, 1)


# -- once at most, and probes ---------------------------------------------------------------------------------------


def test_at_most_once__a_person_decides(kit: Kit, crew: Crew) -> None:
    calls = Calls(pay=1)
    definition = kit.define(kit.step("pay", calls, at_most_once=True), kit.step("after"))
    happened = Saga.objects.start(definition)
    crew.start(threads=1)
    attention(happened, "at_most_once")
    never = Saga.objects.start(definition)
    assert ended(never)[0].is_completed
    assert calls.made == ["pay", "pay"]  # once each
    assert statuses(happened) == {"pay": "unknown", "after": "pending"}

    with pytest.raises(PayloadError, match="reason: expected why this is so"):
        fresh(happened).resolve("pay", done=True)
    fresh(happened).resolve("pay", done=True, output={"id": 3}, reason="the bank's statement", actor="anna")

    assert ended(happened)[0].is_completed
    assert (row(happened, "pay").output, row(happened, "pay").doubt) == ({"id": 3}, False)
    entry = fresh(happened).history.get(kind="resolve")
    assert (entry.actor, entry.reason) == ("anna", "the bank's statement")


def test_at_most_once__that_surely_never_happened__fails_and_rolls_back(kit: Kit, crew: Crew) -> None:
    calls = Calls(pay=1)
    saga = Saga.objects.start(kit.define(kit.step("first"), kit.step("pay", calls, calls, at_most_once=True)))
    crew.start()
    attention(saga, "at_most_once")

    fresh(saga).resolve("pay", done=False, reason="asked the bank")

    assert ended(saga)[0].is_compensated
    assert statuses(saga) == {"first": "compensated", "pay": "failed"}
    assert calls.made == ["pay"]


@pytest.mark.parametrize(
    ("answer", "calls", "state"),
    [
        (True, ["pay", "probe"], "completed"),
        ({"id": 9}, ["pay", "probe"], "completed"),
        (False, ["pay", "probe", "pay"], "completed"),
        (None, ["pay", "probe", "pay"], "completed"),
    ],
    ids=["yes", "with output", "no", "nobody knows"],
)
def test_probe__is_asked_before_a_second_attempt(
    kit: Kit, crew: Crew, answer: Any, calls: list[str], state: str
) -> None:
    made = Calls(pay=1)

    def probe(ctx: StepContext) -> Any:
        made.made.append("probe")
        return answer

    name = kit.action("probe", probe)
    saga = Saga.objects.start(kit.define(kit.step("pay", made, probe=name)))
    crew.start()

    assert ended(saga)[0].state == state
    assert made.made == calls
    if isinstance(answer, dict):
        assert row(saga, "pay").output == answer


def test_probe__that_does_not_know__and_once_at_most__is_attention(kit: Kit, crew: Crew) -> None:
    made = Calls(pay=1)
    name = kit.action("probe", breaks)
    saga = Saga.objects.start(kit.define(kit.step("pay", made, probe=name, at_most_once=True)))
    crew.start()

    attention(saga, "at_most_once")
    assert made.made == ["pay"]
    assert row(saga, "pay").error_code == "probe_unknown"


@pytest.mark.parametrize(("answer", "undone"), [(False, []), ({"id": 9}, [("completed", {"id": 9})])])
def test_probe__is_asked_before_undoing_what_nobody_knows_of(
    kit: Kit, crew: Crew, answer: Any, undone: list[Any]
) -> None:
    seen: list[Any] = []
    name = kit.action("probe", lambda ctx: answer)
    pay = kit.step("pay", breaks, lambda ctx: seen.append((ctx.outcome, ctx.output)), handler=ONCE, probe=name)
    saga = Saga.objects.start(kit.define(pay))
    crew.start()

    assert ended(saga)[0].is_compensated
    assert seen == undone
    assert statuses(saga) == {"pay": "compensated"}


# -- the point of no return -----------------------------------------------------------------------------------------


def test_pivot__behind_it_a_failure_waits_and_nothing_is_undone(kit: Kit, crew: Crew) -> None:
    calls = Calls(ship=1)
    saga = Saga.objects.start(
        kit.define(
            kit.step("reserve", calls, calls),
            kit.step("charge", calls, undo=None, pivot=True),
            kit.step("ship", calls, undo=None, handler=ONCE),
        )
    )
    crew.start()
    attention(saga, "no_return")
    assert statuses(saga) == {"reserve": "completed", "charge": "completed", "ship": "unknown"}

    for wish in (fresh(saga).compensate, fresh(saga).cancel):
        with pytest.raises(TransitionNotAllowedError, match="point of no return 'charge' is completed"):
            wish()
    with pytest.raises(TransitionNotAllowedError, match="point of no return"):
        fresh(saga).roll_back_to("reserve")
    fresh(saga).retry(reason="the carrier is back")

    assert ended(saga)[0].is_completed
    assert calls.made == ["reserve", "charge", "ship", "ship"]


def test_pivot__that_says_no__is_rolled_back_as_any(kit: Kit, crew: Crew) -> None:
    saga = Saga.objects.start(kit.define(kit.step("one"), kit.step("charge", says_no, undo=None, pivot=True)))
    crew.start()

    assert ended(saga)[0].is_compensated
    assert statuses(saga) == {"one": "compensated", "charge": "failed"}


def test_pivot__a_rejected_step_behind_it_is_retried_in_its_next_round(kit: Kit, crew: Crew) -> None:
    keys: list[str] = []

    def ship(ctx: StepContext) -> None:
        keys.append(ctx.idempotency_key)
        if len(keys) == 1:
            raise Rejected("no such street")

    saga = Saga.objects.start(kit.define(kit.step("charge", undo=None, pivot=True), kit.step("ship", ship, undo=None)))
    crew.start()
    attention(saga, "no_return")

    fresh(saga).retry_with("ship", {"street": "another"}, reason="asked the customer")

    assert ended(saga)[0].is_completed
    assert len(set(keys)) == 2
    assert row(saga, "ship").input == {"street": "another"}


# -- steering one step ----------------------------------------------------------------------------------------------


def test_skip__with_a_substitute_output(kit: Kit, crew: Crew) -> None:
    seen: list[Any] = []
    saga = Saga.objects.start(
        kit.define(step("hold", wait_for="go"), kit.step("use", lambda ctx: seen.append(ctx.outputs["hold"])))
    )
    crew.start()
    waiting(saga, "hold")

    fresh(saga).skip("hold", output={"n": 1}, reason="known by phone")

    assert ended(saga)[0].is_completed
    assert (statuses(saga)["hold"], seen) == ("skipped", [{"n": 1}])
    with pytest.raises(TransitionNotAllowedError):
        fresh(saga).skip("hold")
    with pytest.raises(TransitionNotAllowedError, match=r"expected the name of a step of this saga \(hold, use\)"):
        fresh(saga).skip("nobody")


def test_skip__of_what_may_have_happened__is_undone_in_a_rollback(kit: Kit, crew: Crew) -> None:
    calls = Calls(pay=1)
    saga = Saga.objects.start(kit.define(kit.step("pay", calls, calls, at_most_once=True), step("hold", wait_for="go")))
    crew.start()
    attention(saga, "at_most_once")

    fresh(saga).skip("pay", reason="go on")
    waiting(saga, "hold")
    assert (statuses(saga)["pay"], row(saga, "pay").doubt) == ("completed", True)
    fresh(saga).cancel()

    assert ended(saga)[0].is_compensated
    assert calls.made == ["pay", "unpay"]


def test_retry_with__another_input_gets_another_key(kit: Kit, crew: Crew) -> None:
    seen: list[tuple[Any, str]] = []

    def pay(ctx: StepContext) -> None:
        seen.append((ctx.input, ctx.idempotency_key))
        if ctx.input["amount"] > 5:
            raise Rejected("too much")

    saga = Saga.objects.start(kit.define(kit.step("pay", pay, input={"amount": 9}), kit.step("after")), rollback=False)
    crew.start()
    assert ended(saga)[0].is_failed

    fresh(saga).retry_with("pay", {"amount": 4}, actor="anna", reason="a discount")

    assert ended(saga)[0].is_completed
    assert [given for given, _ in seen] == [{"amount": 9}, {"amount": 4}]
    assert seen[0][1] != seen[1][1]


def test_retry_with__of_what_may_have_happened__is_refused(kit: Kit, crew: Crew) -> None:
    saga = Saga.objects.start(kit.define(kit.step("pay", breaks, handler=ONCE)), rollback=False)
    crew.start()
    assert ended(saga)[0].is_failed

    with pytest.raises(TransitionNotAllowedError, match="may have happened with its old input: resolve that first"):
        fresh(saga).retry_with("pay", {"amount": 4})


# -- back to a step, and forward again ------------------------------------------------------------------------------


def test_roll_back_to__undoes_a_part_and_goes_forward_with_new_keys(kit: Kit, crew: Crew) -> None:
    calls, keys = Calls(), []

    def stock(ctx: StepContext) -> dict[str, Any]:
        calls.made.append("stock")
        keys.append(ctx.idempotency_key)
        return {"n": len(keys)}

    saga = Saga.objects.start(
        kit.define(
            kit.step("create", calls, calls),
            kit.step("stock", stock, calls),
            kit.step("pay", calls, calls, input=lambda context, outputs: {"n": outputs["stock"]["n"]}),
            step("hold", wait_for="go"),
        )
    )
    crew.start()
    waiting(saga, "hold")

    fresh(saga).roll_back_to("stock", actor="anna", reason="another warehouse")
    wait_until(lambda: len(keys) == 2)
    waiting(saga, "hold")

    assert calls.made == ["create", "stock", "pay", "unpay", "unstock", "stock", "pay"]
    assert len(set(keys)) == 2
    assert row(saga, "pay").input == {"n": 2}  # worked out anew
    assert (row(saga, "stock").round, row(saga, "create").round) == (2, 1)
    assert fresh(saga).is_started
    saga.signal("go")
    assert ended(saga)[0].is_completed


def test_roll_back_to__that_becomes_a_full_rollback(kit: Kit, crew: Crew) -> None:
    calls = Calls(unpay=99)
    policy = {"retry": RetryPolicy(1)}
    pay = kit.step("pay", calls, calls, undo_retry=RetryPolicy(1), handler=policy)
    saga = Saga.objects.start(kit.define(kit.step("create", calls, calls), pay, step("hold", wait_for="go")))
    crew.start()
    waiting(saga, "hold")
    fresh(saga).roll_back_to("pay")
    attention(saga, "debt")

    fresh(saga).compensate(reason="give up")
    fresh(saga).resolve("pay", done=True, reason="refunded by hand")

    assert ended(saga)[0].is_compensated
    assert statuses(saga) == {"create": "compensated", "pay": "compensated", "hold": "cancelled"}


# -- debts ----------------------------------------------------------------------------------------------------------


def debt(kit: Kit, crew: Crew, failures: int) -> tuple[Saga, Calls]:
    calls = Calls(unpay=failures)
    pay = kit.step("pay", calls, calls, undo_retry=RetryPolicy(1))
    saga = Saga.objects.start(kit.define(kit.step("create", calls, calls), pay, kit.step("ship", says_no)))
    crew.start()
    attention(saga, "debt")
    return saga, calls


def test_debt__is_tried_at_the_time_its_owner_chose(kit: Kit, crew: Crew) -> None:
    saga, calls = debt(kit, crew, failures=2)

    for again in (False, True):  # it fails once more, then it works
        fresh(saga).assign("pay", owner="anna", next_try=datetime.now(UTC) + timedelta(seconds=0.2))
        assert row(saga, "pay").owner == "anna"
        wait_until(lambda tried=2 + again: calls.made.count("unpay") == tried)
        wait_until(lambda: row(saga, "pay").status != "compensating")

    assert ended(saga)[0].is_compensated


def test_debt__parked_stays_until_it_is_resolved_with_evidence(kit: Kit, crew: Crew) -> None:
    saga, calls = debt(kit, crew, failures=99)
    fresh(saga).assign("pay", owner="anna", reason="parked until Monday")
    assert (row(saga, "pay").due_at, fresh(saga).state) == (None, "compensating")

    fresh(saga).resolve("pay", done=False, reason="the customer keeps the voucher", actor="bert")

    assert ended(saga)[0].is_compensated
    assert statuses(saga)["pay"] == "compensation_skipped"
    assert calls.made == ["create", "pay", "unpay", "uncreate"]
    assert kinds(saga).count("assign") == 1


def test_debt__that_is_resolved_keeps_what_its_action_returned(kit: Kit, crew: Crew) -> None:
    saga, _ = debt(kit, crew, failures=99)
    before = row(saga, "pay").output

    fresh(saga).resolve("pay", done=True, output={"not": "the action's"}, reason="refunded at the counter")

    assert ended(saga)[0].is_compensated
    assert row(saga, "pay").output == before
    # It is what undoing it gave.
    assert row(saga, "pay").undo_output == {"not": "the action's"}


def test_debt__does_not_stop_what_does_not_depend_on_it(kit: Kit, crew: Crew) -> None:
    calls = Calls(una=99)
    saga = Saga.objects.start(
        kit.define(
            parallel(kit.step("a", calls, calls, undo_retry=RetryPolicy(1)), kit.step("b", calls, calls)),
            kit.step("ship", says_no),
        )
    )
    crew.start()
    attention(saga, "debt")

    wait_until(lambda: statuses(saga)["b"] == "compensated")
    assert statuses(saga)["a"] == "compensation_failed"


def test_serial__one_undo_after_the_other(kit: Kit, crew: Crew) -> None:
    running: set[str] = set()
    together: list[int] = []

    def undo(ctx: StepContext) -> None:
        running.add(ctx.step)
        time.sleep(0.05)
        together.append(len(running))
        running.discard(ctx.step)

    steps = parallel(*(kit.step(name, undo=undo) for name in "abcd"))
    saga = Saga.objects.start(kit.define(steps, kit.step("ship", says_no), compensation_order="serial"))
    crew.start(threads=4)

    assert ended(saga)[0].is_compensated
    claims = [
        sum(step.get("status") == "compensating" for step in entry.data.get("steps", {}).values())
        for entry in fresh(saga).history.all()
    ]
    assert max(claims) == 1
    assert together == [1, 1, 1, 1]


# -- a bad deploy ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["input", "when", "for_each"])
def test_missing_function__is_attention_and_heals__and_rolls_nothing_back(kit: Kit, crew: Crew, word: str) -> None:
    functions: dict[str, Any] = {
        "input": lambda context, outputs: {"n": 1},
        "when": lambda context, outputs: True,
        "for_each": lambda context, outputs: [1],
    }
    definition = kit.define(step("hold", wait_for="go"), kit.step("next", **{word: functions[word]}))
    saga = Saga.objects.start(definition)
    crew.start()
    waiting(saga, "hold")
    gone = registry.definitions.pop(definition.name)

    saga.signal("go")
    attention(saga, "no_handler")
    assert (fresh(saga).state, statuses(saga)["next"]) == ("started", "pending")
    assert row(saga, "next").error_message.startswith(f"expected {word} of step 'next' as a function")
    registry.definitions[definition.name] = gone
    fresh(saga).retry(reason="deployed again")

    assert ended(saga)[0].is_completed
    assert (row(saga, "next").attempt, fresh(saga).attention) == (2, "")


# -- signals, and starting again ------------------------------------------------------------------------------------


def test_signals__are_sent_after_the_commit_and_a_receiver_that_raises_harms_nobody(kit: Kit, crew: Crew) -> None:
    heard: list[tuple[str, str]] = []

    def attention_is_raised(sender: type, **told: Any) -> None:
        assert Saga.objects.get(pk=told["saga_id"]).attention == told["reason"]
        heard.append(("attention", told["reason"]))

    def debt_is_opened(sender: type, **told: Any) -> None:
        heard.append(("debt", told["step"]))
        raise OSError("no pager")

    def has_ended(sender: type, **told: Any) -> None:
        heard.append(("ended", told["state"]))

    connected = [
        (attention_raised, attention_is_raised), (debt_opened, debt_is_opened), (saga_ended, has_ended)
    ]  # fmt: skip
    for signal, receiver in connected:
        signal.connect(receiver)
    try:
        saga, _ = debt(kit, crew, failures=1)
        fresh(saga).resolve("pay", done=True, reason="by hand")
        ended(saga)
        wait_until(lambda: ("ended", "compensated") in heard)
    finally:
        for signal, receiver in connected:
            signal.disconnect(receiver)

    assert heard == [("attention", "debt"), ("debt", "pay"), ("ended", "compensated")]


def test_restart__is_a_new_saga_that_names_the_old_one(kit: Kit, crew: Crew) -> None:
    definition = kit.define(kit.step("one", lambda ctx: ctx.context))
    saga = Saga.objects.start(definition, context={"n": 1}, owner="anna", tags=["vip"])
    with pytest.raises(TransitionNotAllowedError, match="expected state completed or compensated, got started"):
        saga.restart()
    crew.start()
    ended(saga)

    again = fresh(saga).restart()
    other = fresh(again).restart(context={"n": 2}) if ended(again) else again

    assert ended(other)[0].is_completed
    assert (again.owner, again.tags) == ("anna", ["vip", f"restart-of:{saga.ulid}"])
    assert (other.context, other.tags) == ({"n": 2}, ["vip", f"restart-of:{again.ulid}"])
