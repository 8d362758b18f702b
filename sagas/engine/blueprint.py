"""A definition (or a list of steps) made ready to start: its graph and its inputs, worked out once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.core.signals import setting_changed

from ..conf import app_settings
from ..core.errors import DefinitionError
from ..core.graph import Graph
from ..core.payload import object_text
from ..definitions.compiling import compile_graph, flat
from ..definitions.definition import SagaDefinition
from ..definitions.registry import registry
from ..definitions.steps import StepDefinition, read_items
from ..definitions.typed import ContextModel

InputFunction = Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What every saga of one definition shares."""

    name: str
    version: str
    rollback: bool
    graph: Graph
    #: Inputs that are the same for every saga, as JSON text.
    fixed: Mapping[int, str]
    #: Inputs that are functions of (context, outputs).
    functions: Mapping[int, InputFunction]
    #: Seconds or a timedelta; None = no deadline.
    deadline: float | timedelta | None = None


def definition_of(definition: str | type[SagaDefinition]) -> type[SagaDefinition]:
    """The definition that is meant. Raises `DefinitionError`."""
    found = registry.definition(definition) if isinstance(definition, str) else definition
    if not (isinstance(found, type) and issubclass(found, SagaDefinition)) or not found.name:
        raise DefinitionError(f"expected a SagaDefinition with a name, or its name, got {definition!r}")
    return found


def blueprint(definition: type[SagaDefinition], context: Mapping[str, Any]) -> Blueprint:
    """What a saga of the definition with this context starts with. Raises `DefinitionError`."""
    if definition.is_composed():
        return _make(definition, context)
    key: Any = definition
    return _of_definition(key, registry.edition)


@lru_cache(maxsize=256)
def _of_definition(definition: Any, edition: int) -> Blueprint:
    return _make(definition, None)


def _make(definition: type[SagaDefinition], context: Mapping[str, Any] | None) -> Blueprint:
    try:
        steps = definition.step_definitions(context)
    except DefinitionError as exc:
        raise DefinitionError(f"saga definition {definition.name!r}: {exc}") from None
    graph = definition.graph(context)
    return Blueprint(
        definition.name,
        definition.version,
        definition.rollback,
        graph,
        _fixed(steps),
        _functions(steps),
        definition.deadline,
    )


def blueprint_of_steps(name: str, steps: Sequence[Any]) -> Blueprint:
    """The blueprint of a saga that brings its own list of steps. Raises `DefinitionError`."""
    items = read_items(steps)
    written = flat(items)
    for step in written:
        if callable(step.input):
            raise DefinitionError(
                f"step {step.name!r}: expected input as a dict, got a function: a saga with its own list of steps "
                f"stores them, and a function can not be stored; declare a SagaDefinition instead"
            )
    return Blueprint(name, "", True, compile_graph(items), _fixed(written), {})


def _fixed(steps: Sequence[StepDefinition]) -> dict[int, str]:
    limit = app_settings().MAX_CONTEXT
    return {
        position: object_text(dict(step.input or {}), what=f"input of step {step.name!r}", limit=limit)
        for position, step in enumerate(steps)
        if not callable(step.input)
    }


def _functions(steps: Sequence[StepDefinition]) -> dict[int, InputFunction]:
    return {position: step.input for position, step in enumerate(steps) if callable(step.input)}


def step_definition(saga_name: str, step_name: str, context: Mapping[str, Any]) -> StepDefinition | None:
    """The step as today's code has it; None when it has none of that name."""
    definition = registry.definitions.get(saga_name)
    if definition is None:
        return None
    for step in definition.step_definitions(context):
        if step.name == step_name:
            return step
    return None


class MissingCodeError(Exception):
    """Today's code lacks a function that a step was started with."""


def code_of(saga_name: str, step_name: str, context: Mapping[str, Any], word: str) -> Callable[..., Any]:
    """The step's function for `word` (input, when …) as today's code has it. Raises `MissingCodeError`."""
    step = step_definition(saga_name, step_name, context)
    found = None if step is None else getattr(step, word)
    if not callable(found):
        raise MissingCodeError(
            f"expected {word} of step {step_name!r} as a function, as when the saga was started; today's code of "
            f"{saga_name!r} has none"
        )
    function: Callable[..., Any] = found
    return function


def typed_context(saga_name: str) -> ContextModel | None:
    """What today's code wants the saga's context to look like; None when it does not say."""
    definition = registry.definitions.get(saga_name)
    return None if definition is None else definition.typed_context()


def work_out(function: InputFunction, step_name: str, context: Any, outputs: Mapping[str, Any]) -> str:
    """The input as JSON text. Whatever the function raises comes through; a value JSON can not hold is a
    `PayloadError`."""
    value = function(context, outputs)
    return object_text(value, what=f"input of step {step_name!r}", limit=app_settings().MAX_CONTEXT)


def _reset(*, setting: str, **kwargs: Any) -> None:
    if setting == "SAGAS":
        _of_definition.cache_clear()


setting_changed.connect(_reset, dispatch_uid="sagas.engine.blueprint")
