"""One step per element of a list, on a real worker. PostgreSQL, then SQLite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sagas import Rejected, RetryPolicy, StepContext, step
from sagas.exceptions import DefinitionError, TransitionNotAllowedError
from sagas.models import Saga, SagaGraph
from tests.engine.kit import Kit
from tests.services.waiting import wait_until

from .conftest import Crew, ended, fresh, statuses
from .test_waiting import kinds, row, waiting

pytestmark = pytest.mark.usefixtures("place")

LINES = [{"sku": "a", "count": 1}, {"sku": "b", "count": 2}, {"sku": "c", "count": 3}]


def reserve(ctx: StepContext) -> dict[str, Any]:
    if ctx.input.get("count") == 0:
        raise Rejected(f"no {ctx.input['sku']}", code="sold_out")
    return {"reserved": ctx.input}


def test_for_each__element_is_a_step_and_the_outputs_are_joined_in_order(kit: Kit, crew: Crew) -> None:
    seen: list[Any] = []
    keys: set[str] = set()

    def do(ctx: StepContext) -> dict[str, Any]:
        keys.add(ctx.idempotency_key)
        return {"sku": ctx.input["sku"]}

    saga = Saga.objects.start(
        kit.define(
            kit.step("first"),
            kit.step("reserve", do, for_each="items"),
            kit.step("after", lambda ctx: seen.append(ctx.outputs["reserve"])),
        ),
        context={"items": LINES},
    )
    crew.start()

    assert ended(saga)[0].is_completed
    assert seen == [[{"sku": "a"}, {"sku": "b"}, {"sku": "c"}]]
    assert statuses(saga) == dict.fromkeys(
        ["first", "reserve", "after", "reserve[0]", "reserve[1]", "reserve[2]"], "completed"
    )
    assert len(keys) == 3
    assert row(saga, "reserve[1]").input == LINES[1]
    assert kinds(saga).count("opened_out") == 1


@pytest.mark.parametrize("items", [[], [7]], ids=["none", "one that is no object"])
def test_for_each__of_a_short_list(kit: Kit, crew: Crew, items: list[Any]) -> None:
    definition = kit.define(
        kit.step("list", lambda ctx: {"found": ctx.context["items"]}),
        kit.step("each", lambda ctx: ctx.input, for_each="outputs.list.found"),
    )
    saga = Saga.objects.start(definition, context={"items": items})
    crew.start()

    assert ended(saga)[0].is_completed
    assert row(saga, "each").output == [{"item": item} for item in items]


def test_for_each__input_as_a_function_of_the_element(kit: Kit, crew: Crew) -> None:
    saga = Saga.objects.start(
        kit.define(
            kit.step(
                "each",
                lambda ctx: ctx.input,
                for_each=lambda context, outputs: sorted(context["prices"]),
                input=lambda context, outputs, item: {"price": item, "of": len(context["prices"])},
            )
        ),
        context={"prices": [3, 1, 2]},
    )
    crew.start()

    assert ended(saga)[0].is_completed
    assert row(saga, "each").output == [{"price": price, "of": 3} for price in (1, 2, 3)]


def test_for_each__a_rejected_element_rolls_back_and_only_what_was_done_is_undone(kit: Kit, crew: Crew) -> None:
    undone: list[str] = []
    note: Callable[[StepContext], None] = lambda ctx: undone.append(ctx.step)  # noqa: E731
    lines = [*LINES, {"sku": "d", "count": 0}]
    saga = Saga.objects.start(
        kit.define(kit.step("first", undo=note), kit.step("reserve", reserve, note, for_each="items")),
        context={"items": lines},
    )
    crew.start(threads=1)

    assert ended(saga)[0].is_compensated
    assert (fresh(saga).error_code, fresh(saga).error_message) == ("sold_out", "no d")
    assert sorted(undone[:-1]) == sorted(
        name for name, status in statuses(saga).items() if status == "compensated" and name != "first"
    )
    assert undone[-1] == "first"
    assert (statuses(saga)["reserve"], statuses(saga)["reserve[3]"]) == ("cancelled", "failed")


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ("text", "expected for_each to give a list, got str"),
        (None, "expected for_each to give a list, got NoneType"),
        ([1] * 4, "expected a list of at most 3 elements (max_items), got 4"),
    ],
    ids=["text", "nothing", "too many"],
)
def test_for_each__of_no_list__fails_surely_without_effect(kit: Kit, crew: Crew, items: Any, words: str) -> None:
    step = kit.step("each", reserve, for_each="items", max_items=3, handler={"retry": RetryPolicy(1)})
    saga = Saga.objects.start(kit.define(kit.step("first"), step), context={"items": items})
    crew.start()

    assert ended(saga)[0].is_compensated
    assert statuses(saga) == {"first": "compensated", "each": "failed"}
    assert words in row(saga, "each").error_message


def test_for_each__rolled_back_to__begins_each_element_anew(kit: Kit, crew: Crew) -> None:
    calls: list[tuple[str, int]] = []
    note: Callable[[StepContext], None] = lambda ctx: calls.append((ctx.step, ctx.round))  # noqa: E731
    saga = Saga.objects.start(
        kit.define(kit.step("each", note, for_each="items"), step("hold", wait_for="go")), context={"items": [1, 2]}
    )
    crew.start()
    waiting(saga, "hold")

    fresh(saga).roll_back_to("each")
    wait_until(lambda: len(calls) == 4)
    waiting(saga, "hold")

    assert sorted(calls) == [("each[0]", 1), ("each[0]", 2), ("each[1]", 1), ("each[1]", 2)]
    assert row(saga, "each").output == [None, None]
    with pytest.raises(TransitionNotAllowedError):
        fresh(saga).skip("each[0]")
    saga.signal("go")
    assert ended(saga)[0].is_completed


def test_for_each__graphs_of_the_same_length_are_shared(kit: Kit, crew: Crew) -> None:
    definition = kit.define(kit.step("each", for_each="items"))
    sagas = [Saga.objects.start(definition, context={"items": [1, 2]}) for _ in range(3)]
    crew.start()

    found = ended(*sagas)

    assert len({saga.graph_id for saga in found}) == 1
    assert SagaGraph.objects.using(found[0]._state.db).filter(pk=found[0].graph_id).count() == 1


def test_steps_as_a_function_of_the_context(kit: Kit, crew: Crew) -> None:
    pay, ship, last = kit.step("pay"), kit.step("ship"), kit.step("last", input=lambda context, outputs: dict(context))
    shared = [last]

    def steps(context: Any) -> list[Any]:
        return [*([pay] if context["total"] else []), *([ship] if context["physical"] else []), shared]

    definition = kit.define(word="composed", steps=steps)
    full = Saga.objects.start(definition, context={"total": 5, "physical": True})
    slim = Saga.objects.start(definition, context={"total": 0, "physical": False})
    crew.start()

    ended(full, slim)
    assert list(statuses(full)) == ["pay", "ship", "last"]
    assert list(statuses(slim)) == ["last"]
    assert row(full, "last").input == {"total": 5, "physical": True}


def test_for_each__what_does_not_go_together(kit: Kit) -> None:
    with pytest.raises(DefinitionError, match="for_each goes with an action alone"):
        kit.step("each", for_each="items", approval=True)
    with pytest.raises(DefinitionError, match="expected max_items as a whole number from 1 to 1000, got 0"):
        kit.step("each", for_each="items", max_items=0)
    with pytest.raises(DefinitionError, match="expected names, numbers"):
        kit.step("each", for_each="__import__('os')")
