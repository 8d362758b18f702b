"""`context_model`: pydantic models, dataclasses and JSON Schemas, at the start and when a step changes the context."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Optional
from uuid import uuid4

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sagas import SagaDefinition, StepContext
from sagas.definitions.typed import read_model
from sagas.exceptions import DefinitionError, PayloadError
from sagas.testing import SagaRun, run_saga
from tests.engine.kit import Kit


class LineModel(BaseModel):
    sku: str
    pieces: int = 1


class OrderModel(BaseModel):
    number: str
    lines: list[LineModel] = []
    priority: Literal["low", "high"] = "low"


@dataclass
class LineClass:
    sku: str
    pieces: int = 1


@dataclass
class OrderClass:
    number: str
    lines: list[LineClass] = field(default_factory=list)
    priority: Literal["low", "high"] = "low"


ORDER_SCHEMA = {
    "type": "object",
    "required": ["number"],
    "properties": {
        "number": {"type": "string"},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["sku"],
                "properties": {"sku": {"type": "string"}, "pieces": {"type": "integer"}},
            },
        },
        "priority": {"enum": ["low", "high"]},
    },
}
SORTS = {"pydantic": OrderModel, "dataclass": OrderClass, "schema": ORDER_SCHEMA}
GOOD = {"number": "A-1", "lines": [{"sku": "MUG"}], "unknown": True}


@pytest.fixture(params=sorted(SORTS))
def order(request: pytest.FixtureRequest) -> Any:
    """Each sort of model of the same order."""
    return SORTS[request.param]


@pytest.fixture
def flow(kit: Kit) -> Callable[..., type[SagaDefinition]]:
    """A definition of one step that updates the context."""

    def define(model: Any, changes: Mapping[str, Any] | None = None, **attributes: Any) -> type[SagaDefinition]:
        def do(ctx: StepContext) -> None:
            ctx.update(**(changes or {}))

        fresh = Kit()  # several definitions in one test; the fixture forgets them all
        return fresh.define(fresh.step("only", do), context_model=model, **attributes)

    return define


Flow = Callable[..., type[SagaDefinition]]


def outcome(run: SagaRun) -> tuple[str, str]:
    saga = run.store.sagas[run.id].saga
    return saga.error_code, saga.error_message


# -- at the start ----------------------------------------------------------------------------------------------------


def test_start__good__is_kept_as_given_with_what_is_unknown(order: Any, flow: Flow) -> None:
    run = run_saga(flow(order), GOOD)

    assert run.state == "completed"
    assert {key: run.context[key] for key in GOOD} == GOOD


@pytest.mark.parametrize("order", [OrderModel, OrderClass])
def test_start__defaults_are_filled_in(order: Any, flow: Flow) -> None:
    run = run_saga(flow(order), {"number": "A-1"}, finish=False)

    assert run.context == {"number": "A-1", "lines": [], "priority": "low"}


@pytest.mark.parametrize(
    ("context", "path"),
    [
        ({}, "number"),
        ({"number": 7}, "number"),
        ({"number": "A", "lines": 7}, "lines"),
        ({"number": "A", "lines": [{"sku": "MUG"}, {}]}, "lines.1"),
        ({"number": "A", "lines": [{"sku": "MUG", "pieces": "all of them"}]}, "lines.0.pieces"),
        ({"number": "A", "priority": "secret-word"}, "priority"),
    ],
)
def test_start__bad__names_the_place_and_no_value(order: Any, flow: Flow, context: Any, path: str) -> None:
    definition = flow(order)

    with pytest.raises(PayloadError) as caught:
        run_saga(definition, context)

    said = str(caught.value)
    assert said.startswith(f"context of '{definition.name}': ")
    assert path in said
    assert not any(value in said for value in ("secret-word", "all of them", "MUG"))


def test_start__all_complaints_at_once_but_not_hundreds(order: Any, flow: Flow) -> None:
    with pytest.raises(PayloadError, match=r"; and 195 more$"):
        run_saga(flow(order), {"number": "A", "lines": [7] * 200})


def test_start__context_too_large_with_its_defaults(flow: Flow, settings: Any) -> None:
    class Large(BaseModel):
        text: str = "x" * 200

    settings.SAGAS = {**settings.SAGAS, "MAX_CONTEXT": 100}

    with pytest.raises(PayloadError, match="expected at most 100 bytes of JSON"):
        run_saga(flow(Large), {})


def test_start__own_list_of_steps__is_not_the_definitions_business(flow: Flow) -> None:
    assert run_saga(flow(OrderModel), {}, steps=[]).state == "completed"


# -- when a step changes it ------------------------------------------------------------------------------------------


def test_update__good(order: Any, flow: Flow) -> None:
    run = run_saga(flow(order, {"priority": "high", "note": "new"}), GOOD)

    assert (run.state, run.context["priority"], run.context["note"]) == ("completed", "high", "new")


@pytest.mark.parametrize("changes", [{"priority": "urgent"}, {"lines": [{"sku": 7}]}, {"number": None}])
def test_update__bad__is_final_and_in_doubt(order: Any, flow: Flow, changes: Any) -> None:
    run = run_saga(flow(order, changes), GOOD)

    code, message = outcome(run)
    assert (run.called, run.undo_called) == (["only"], ["only"]), "one attempt; it may have had an effect"
    assert (code, message.split(":")[0]) == ("invalid_payload", "context additions of step 'only'")
    assert next(iter(changes)) in message
    assert {key: run.context[key] for key in GOOD} == GOOD


def test_update__of_a_saga_from_an_older_version__is_not_blamed_for_what_is_missing(order: Any, flow: Flow) -> None:
    definition = flow(None, {"priority": "high"})
    run = run_saga(definition, {"lines": "not checked then"}, finish=False)
    definition._typed = read_model(order)

    run.finish()

    assert (run.state, run.context["priority"]) == ("completed", "high")


class Between(BaseModel):
    low: int = 0
    high: int = 10

    @model_validator(mode="after")
    def _order(self) -> "Between":
        if self.low > self.high:
            raise ValueError("low is over high")
        return self


@dataclass
class BetweenClass:
    low: int = 0
    high: int = 10

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is over high")


@pytest.mark.parametrize("model", [Between, BetweenClass])
def test_rule_over_several_fields__counts_where_the_change_broke_it(model: Any, flow: Flow) -> None:
    with pytest.raises(PayloadError, match="low is over high"):
        run_saga(flow(model), {"low": 11})
    assert "low is over high" in outcome(run_saga(flow(model, {"low": 11}), {}))[1]

    definition = flow(None, {"low": 12})
    run = run_saga(definition, {"low": 11, "high": 10}, finish=False)
    definition._typed = read_model(model)

    assert run.finish().state == "completed", "it was broken before"


# -- unknown fields --------------------------------------------------------------------------------------------------


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: int = 0
    inner: LineModel | None = None


CLOSED_SCHEMA = {"properties": {"n": {"type": "integer"}}, "additionalProperties": False}


@pytest.mark.parametrize("model", [Forbidding, CLOSED_SCHEMA])
def test_unknown__is_refused_at_the_start_only__where_the_model_forbids_it(model: Any, flow: Flow) -> None:
    with pytest.raises(PayloadError, match="typo"):
        run_saga(flow(model), {"typo": 1})

    definition = flow(None, {"n": 1, "another": 2})
    run = run_saga(definition, {"older": 1}, finish=False)
    definition._typed = read_model(model)

    assert run.finish().state == "completed"


# -- pydantic's own --------------------------------------------------------------------------------------------------


class Aliased(BaseModel):
    order_number: str = Field(alias="orderNumber")
    made: str = Field(default_factory=lambda: uuid4().hex, alias="madeBy")


def test_aliases__are_the_contexts_names(flow: Flow) -> None:
    run = run_saga(flow(Aliased, {"orderNumber": "B"}), {"orderNumber": "A"})

    assert set(run.context) == {"orderNumber", "madeBy"}
    assert run.context["orderNumber"] == "B"


def test_default__is_made_once_and_stored(flow: Flow) -> None:
    run = run_saga(flow(Aliased), {"orderNumber": "A"}, finish=False)
    before = run.context["madeBy"]

    assert run.finish().context["madeBy"] == before


# -- declaring -------------------------------------------------------------------------------------------------------


@dataclass
class Tree:
    children: "list[Tree]" = field(default_factory=list)
    names: dict[str, Optional[float]] = field(default_factory=dict)  # noqa: UP045
    anything: Any = None
    one_of: LineClass | str | None = None


def test_dataclass__of_itself_unions_and_dicts(flow: Flow) -> None:
    good = {"children": [{"names": {"a": 1, "b": None}}], "one_of": {"sku": "x"}}

    assert run_saga(flow(Tree), good).state == "completed"
    for bad, path in (
        ({"children": [{"children": [7]}]}, "children.0.children.0: expected an object, got int"),
        ({"names": {"a": True}}, "names.a: expected a number or nothing, got bool"),
        ({"one_of": {"sku": 1}}, "one_of.sku: expected text, got int"),
        ({"one_of": 1}, "one_of: expected LineClass or text or nothing, got int"),
    ):
        with pytest.raises(PayloadError, match=path):
            run_saga(flow(Tree), bad)


@dataclass
class Odd:
    when: complex


@dataclass
class OddInside:
    odd: list[Odd]


@dataclass
class OddKeys:
    by: dict[int, str]


@dataclass
class Dangling:
    it: "NowhereToBeFound"  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (7, "context_model: expected a pydantic model, a dataclass or a dict with a JSON Schema, got 7"),
        (int, "context_model: expected a pydantic model"),
        (GOOD, "no error"),
        ({"type": "text"}, r"context_model: expected a JSON Schema: \$.type: 'text' is not valid"),
        (Odd, r"context_model: Odd.when: expected str, int, .* got <class 'complex'>; a pydantic model knows more"),
        (OddInside, r"context_model: Odd.when: expected str"),
        (OddKeys, r"context_model: OddKeys.by: expected str"),
        (Dangling, r"context_model Dangling: name 'NowhereToBeFound' is not defined"),
    ],
)
def test_declaration__refuses_what_is_no_model(flow: Flow, model: Any, message: str) -> None:
    if message == "no error":
        flow({"title": "any object"})
        return
    with pytest.raises(DefinitionError, match=message):
        flow(model)


def test_schema__without_jsonschema__says_which_extra(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)

    with pytest.raises(DefinitionError, match=r"context_model: a JSON Schema needs .* pip install 'sagas\[yaml\]'"):
        flow({})


# Fetching would begin with a warning, which as an error would end it too.
@pytest.mark.filterwarnings("ignore")
def test_schema__reference_to_elsewhere__is_not_fetched(flow: Flow, tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text("{}")
    definition = flow({"$ref": (tmp_path / "order.json").as_uri()})

    with pytest.raises(DefinitionError, match="refers to what is not in it"):
        run_saga(definition, {})
