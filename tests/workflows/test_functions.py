"""Functions of the tutorial's form: state in, updates and mutations out, what raising means."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from sagas import Rejected, Retryable, StepContext
from sagas.testing import SagaRun, run_saga

from .conftest import Writer

FLOW = """\
workflow_type: "Flow"
initial_state_model: "workflow_code.State"
steps:
  - {name: "one", function: "workflow_code.one", compensate_function: "workflow_code.undo_one"}
  - {name: "two", function: "workflow_code.two", no_compensation: "reads only"}
"""


class State(BaseModel):
    n: int = 0
    items: list[str] = []
    by: dict[str, Any] = {}
    when: date | None = None


def nothing(state: Any, context: StepContext, **kwargs: Any) -> None:
    """Does nothing."""


@pytest.fixture
def flow(writer: Writer, module: Callable[..., None]) -> Callable[..., SagaRun]:
    """Runs the flow with these functions; what is not given does nothing."""

    def run(context: dict[str, Any] | None = None, *, model: type = State, **functions: Any) -> SagaRun:
        module(**{"State": model, "one": nothing, "two": nothing, "undo_one": nothing, **functions})
        writer.load(FLOW)
        return run_saga("Flow", context)

    return run


def test_returned__is_merged_and_is_the_output(flow: Callable[..., SagaRun]) -> None:
    run = flow({"n": 1}, one=lambda state, context, **kwargs: {"n": state.n + 1, "receipt": "R-1"})

    assert run.state == "completed"
    assert (run.context["n"], run.context["receipt"]) == (2, "R-1")
    assert run.outputs["one"] == {"n": 2, "receipt": "R-1"}


def test_mutations__are_kept_nested_ones_too(flow: Callable[..., SagaRun]) -> None:
    def one(state: State, context: StepContext, **kwargs: Any) -> None:
        state.items.append("a")
        state.by.setdefault("deep", []).append(1)
        state.n += 5

    run = flow(one=one, two=lambda state, context, **kwargs: {"n": state.n + len(state.items)})

    assert run.context == {"n": 6, "items": ["a"], "by": {"deep": [1]}, "when": None}
    assert run.outputs["one"] is None


def test_only_differences__are_written(flow: Callable[..., SagaRun]) -> None:
    seen: list[dict[str, Any]] = []

    def one(state: State, context: StepContext, **kwargs: Any) -> dict[str, Any]:
        context.update(note="by hand")
        return {"n": state.n, "items": ["x"]}

    def two(state: State, context: StepContext, **kwargs: Any) -> None:
        seen.append(dict(context.changes))

    flow({"n": 4}, one=one, two=two)

    assert seen == [{}]


def test_values_of_the_model__are_stored_as_json(flow: Callable[..., SagaRun]) -> None:
    seen: list[Any] = []

    run = flow(
        one=lambda state, context, **kwargs: {"when": date(2026, 1, 2)},
        two=lambda state, context, **kwargs: seen.append(state.when),
    )

    assert run.outputs["one"] == {"when": "2026-01-02"}
    assert seen == [date(2026, 1, 2)]


def test_a_compensation__sees_and_changes_the_state(flow: Callable[..., SagaRun]) -> None:
    def undo(state: State, context: StepContext, **kwargs: Any) -> dict[str, Any]:
        state.items.append(f"undo of {context.output['n']}")
        return {"n": 0}

    def two(state: State, context: StepContext, **kwargs: Any) -> None:
        raise ValueError("no")

    run = flow(one=lambda state, context, **kwargs: {"n": 3}, two=two, undo_one=undo)

    assert run.state == "compensated"
    assert (run.context["n"], run.context["items"]) == (0, ["undo of 3"])


def test_async_functions__both_ways(flow: Callable[..., SagaRun]) -> None:
    async def one(state: State, context: StepContext, **kwargs: Any) -> dict[str, Any]:
        return {"n": 1}

    async def two(state: State, context: StepContext, **kwargs: Any) -> None:
        raise ValueError("no")

    async def undo(state: State, context: StepContext, **kwargs: Any) -> None:
        state.items.append("undone")

    run = flow(one=one, two=two, undo_one=undo)

    assert (run.state, run.context["items"], run.statuses["two"]) == ("compensated", ["undone"], "failed")


def test_input__comes_as_keywords(writer: Writer, module: Callable[..., None]) -> None:
    def one(state: State, context: StepContext, *, limit: int, **kwargs: Any) -> dict[str, Any]:
        return {"n": limit}

    module(State=State, one=one, two=nothing, undo_one=nothing)
    writer.load(FLOW.replace('"workflow_code.undo_one"}', '"workflow_code.undo_one", input: {limit: 3}}'))

    assert run_saga("Flow").context["n"] == 3


# -- what raising means ----------------------------------------------------------------------------------------------


def raiser(error: BaseException) -> Callable[..., Any]:
    def function(state: Any, context: StepContext, **kwargs: Any) -> Any:
        state.items.append("lost")
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "code"),
    [(ValueError("no"), "exception"), (TimeoutError("no"), "exception"), (Rejected("no", code="sold_out"), "sold_out")],
)
def test_raising__is_failure_without_effect(flow: Callable[..., SagaRun], error: Exception, code: str) -> None:
    run = flow(one=raiser(error))

    assert (run.state, run.called, run.undo_called) == ("compensated", ["one"], [])
    assert run.statuses["one"] == "failed"
    assert run.store.sagas[run.id].saga.error_code == code
    assert run.context["items"] == [], "what a failed attempt changed is not kept"


@pytest.mark.parametrize("error", [Retryable("later"), SystemExit(1)])
def test_raising__what_leaves_doubt__is_tried_again_and_undone(
    flow: Callable[..., SagaRun], error: BaseException
) -> None:
    run = flow(one=raiser(error))

    assert (run.called, run.undo_called) == (["one"] * 3, ["one"])


def test_raising__in_a_compensation__is_tried_again_and_is_a_debt(flow: Callable[..., SagaRun]) -> None:
    run = flow(two=raiser(ValueError("no")), undo_one=raiser(ValueError("not now")))

    assert (run.undo_called, run.attention) == (["one"] * 3, "debt")
    assert (run.state, run.workflow_status) == ("compensating", "PAUSED")


# -- results that can not be kept: the function has had its effect ----------------------------------------------------


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int = Field(default=0, lt=10)
    items: list[str] = []


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("done", "step 'one': expected its function to return a dict or None, got str"),
        ({"n": "many"}, "context additions of step 'one': n: Input should be a valid integer"),
        ({"n": 10}, "context additions of step 'one': n: Input should be less than 10"),
        ({"n": object()}, "state Strict: Unable to serialize unknown type"),
        ({"x": object()}, "output of step 'one': expected a value that JSON can hold"),
        ({7: 1}, "step 'one': TypeError: keywords must be strings"),
    ],
)
def test_bad_result__leaves_doubt_and_is_not_tried_again(
    flow: Callable[..., SagaRun], returned: Any, message: str
) -> None:
    run = flow(model=Strict, one=lambda state, context, **kwargs: returned)

    saga = run.store.sagas[run.id].saga
    assert (run.called, run.undo_called) == (["one"], ["one"])
    assert (saga.error_code, saga.error_message[: len(message)]) == ("invalid_payload", message)


class Moody(BaseModel):
    n: int = 0

    @field_validator("n")
    @classmethod
    def _mood(cls, value: int) -> int:
        if value == 13:
            raise RuntimeError("a validator of the host is broken")
        return value


def test_error_after_the_function_has_returned__is_not_its_word(flow: Callable[..., SagaRun]) -> None:
    run = flow(model=Moody, one=lambda state, context, **kwargs: {"n": 13})

    assert run.undo_called == ["one"], "it had its effect: that is undone"


def test_true_in_place_of_one__is_a_change(flow: Callable[..., SagaRun]) -> None:
    run = flow({"by": {"a": 1}}, one=lambda state, context, **kwargs: {"by": {"a": True}})

    assert run.context["by"]["a"] is True


def test_frozen_state_and_forbidden_fields__updates_are_merged_all_the_same(flow: Callable[..., SagaRun]) -> None:
    run = flow(model=Strict, one=lambda state, context, **kwargs: {"n": 5, "more": True})

    assert (run.state, run.context["n"], run.context["more"]) == ("completed", 5, True)


# -- versions --------------------------------------------------------------------------------------------------------


class Later(State):
    """A version that wants a field which older sagas do not have."""

    needed: str


def test_state_of_an_older_version__that_can_not_be_built__is_a_sure_no(
    flow: Callable[..., SagaRun], writer: Writer, module: Callable[..., None]
) -> None:
    called: list[str] = []

    def one(state: Any, context: StepContext, **kwargs: Any) -> None:
        called.append(type(state).__name__)

    flow(one=one)
    run = run_saga("Flow", {}, finish=False)
    module(State=Later, one=one, two=nothing, undo_one=nothing)
    writer.load(FLOW)

    run.finish()

    assert (run.state, run.statuses["one"], called) == ("compensated", "failed", ["State"])
    assert run.store.sagas[run.id].saga.error_message == "state Later: needed: Field required"


def test_saga_whose_definition_is_gone__goes_on_with_the_model_it_was_loaded_with(
    flow: Callable[..., SagaRun],
) -> None:
    flow(one=lambda state, context, **kwargs: {"n": state.n + 1})
    steps = [{"name": "only", "action": "workflow_code.one", "no_compensation": "none"}]

    assert run_saga("nobody's", {"n": 1}, steps=steps).context["n"] == 2


# -- a dataclass as state --------------------------------------------------------------------------------------------


@dataclass
class Line:
    sku: str
    pieces: int = 1


@dataclass
class Basket:
    lines: list[Line] = field(default_factory=list)
    status: str = "open"


def test_dataclass__works_as_state(flow: Callable[..., SagaRun]) -> None:
    def one(state: Basket, context: StepContext, **kwargs: Any) -> dict[str, Any]:
        state.lines[0].pieces += 1
        return {"status": "packed", "lines": [*state.lines, Line("TEA")]}

    run = flow({"lines": [{"sku": "MUG"}]}, model=Basket, one=one)

    assert run.state == "completed"
    assert run.context == {
        "lines": [{"sku": "MUG", "pieces": 2}, {"sku": "TEA", "pieces": 1}],
        "status": "packed",
    }
