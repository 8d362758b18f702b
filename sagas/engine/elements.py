"""Fan-out: the list that a step is done for, the input of each of its elements, and what they returned, joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..conf import app_settings
from ..core import triggers as t
from ..core.conditions import value_of
from ..core.errors import PayloadError
from ..core.graph import CODE
from ..core.payload import object_text
from ..definitions.steps import StepDefinition
from ..store.base import Payload, Submission
from .blueprint import code_of, step_definition
from .claimed import Attempt


def open_out(attempt: Attempt, context: Mapping[str, Any], outputs: Mapping[str, Any]) -> Submission:
    """One step per element takes this step's place. Raises `PayloadError` for what is no list, or too long."""
    step = step_definition(attempt.saga_name, attempt.spec.name, context)
    items = _items(attempt, context, outputs)
    first = len(attempt.graph.steps)
    if attempt.spec.computed:
        code_of(attempt.saga_name, attempt.spec.name, context, "input")
    make = _input_maker(step)
    inputs = {}
    for number, item in enumerate(items):
        what = f"input of step '{attempt.spec.name}[{number}]'"
        inputs[first + number] = object_text(make(context, outputs, item), what=what, limit=app_settings().MAX_CONTEXT)
    return attempt.submission(t.OpenedOut, Payload(inputs=inputs), count=len(items))


def _items(attempt: Attempt, context: Mapping[str, Any], outputs: Mapping[str, Any]) -> Sequence[Any]:
    spec = attempt.spec
    if spec.for_each != CODE:
        found: Any = value_of(spec.for_each, context, outputs)
    else:
        found = code_of(attempt.saga_name, spec.name, context, "for_each")(context, outputs)
    if isinstance(found, (str, bytes, Mapping)) or not isinstance(found, Sequence):
        raise PayloadError(f"step {spec.name!r}: expected for_each to give a list, got {type(found).__name__}")
    if len(found) > spec.max_items:
        raise PayloadError(
            f"step {spec.name!r}: expected a list of at most {spec.max_items} elements (max_items), got {len(found)}"
        )
    return found


def _input_maker(step: StepDefinition | None) -> Callable[[Any, Any, Any], Mapping[str, Any]]:
    given: Any = None if step is None else step.input
    if callable(given):
        return given  # type: ignore[no-any-return]
    return lambda context, outputs, item: {**given, "item": item} if given else _alone(item)


def _alone(item: Any) -> Mapping[str, Any]:
    return item if isinstance(item, Mapping) else {"item": item}


def join(attempt: Attempt) -> Submission:
    """The outputs of the elements as one list, in their order. Each was small enough, so the list is."""
    texts = (attempt.texts.outputs.get(position) for position in attempt.spec.joins)
    return attempt.submission(t.Completed, Payload(output=f"[{','.join(text or 'null' for text in texts)}]"))
