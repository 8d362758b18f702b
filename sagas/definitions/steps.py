"""`step(…)` and `parallel(…)`: how a saga's steps are written down, as `path()` stands in `urlpatterns`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..core.errors import DefinitionError
from ..core.retry import RetryPolicy
from .handlers import check_name, seconds

#: A dict, or a function of (context, outputs) that returns one.
StepInput = Mapping[str, Any] | Callable[[Any, Any], Any] | None

_DICT_KEYS = ("name", "action", "compensation", "no_compensation", "input", "after")


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """One step as written."""

    name: str
    action: str
    compensation: str = ""
    no_compensation: str = ""
    input: StepInput = None
    #: Names of the steps it waits for; None = all written before it.
    after: tuple[str, ...] | None = None
    retry: RetryPolicy | None = None
    undo_retry: RetryPolicy | None = None
    timeout: float | None = None
    undo_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Parallel:
    """Steps that run side by side."""

    steps: tuple[StepDefinition, ...]


StepItem = StepDefinition | Parallel


def step(  # noqa: PLR0913
    name: str,
    *,
    action: str,
    compensation: str = "",
    no_compensation: str = "",
    input: StepInput = None,  # noqa: A002
    after: Sequence[str] | None = None,
    retry: RetryPolicy | None = None,
    undo_retry: RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    undo_timeout: float | timedelta | None = None,
) -> StepDefinition:
    """One step of a saga.

    It waits for all steps written before it, or for those named in `after`. `action` and `compensation` are names of
    registered handlers; a step without compensation says why in `no_compensation`. `input`: a dict, or a function of
    (context, outputs), worked out once when the step becomes ready. `retry`, `timeout` (and `undo_…` for the
    compensation) replace those of the handler; durations are seconds or timedeltas.

    Raises `DefinitionError` with the exact reason.
    """
    what = f"step {name!r}"
    check_name(name, what="step")
    check_name(action, what=f"{what}: action")
    if compensation:
        check_name(compensation, what=f"{what}: compensation")
    if bool(compensation) == bool(no_compensation):
        raise DefinitionError(
            f"{what}: expected either compensation='…' or no_compensation='why there is nothing to undo', got "
            f"{'both' if compensation else 'neither'}"
        )
    if input is not None and not callable(input) and not isinstance(input, Mapping):
        raise DefinitionError(f"{what}: expected input as a dict or a function of (context, outputs), got {input!r}")
    if isinstance(after, str):
        raise DefinitionError(f"{what}: expected after as a list of step names, got the text {after!r}")
    return StepDefinition(
        name=name,
        action=action,
        compensation=compensation,
        no_compensation=no_compensation,
        input=input,
        after=None if after is None else tuple(after),
        retry=retry,
        undo_retry=undo_retry,
        timeout=seconds(timeout, what=f"{what}: timeout"),
        undo_timeout=seconds(undo_timeout, what=f"{what}: undo_timeout"),
    )


def parallel(*steps: StepDefinition) -> Parallel:
    """Steps that run side by side: they wait for all written before the group, and not for each other."""
    for item in steps:
        if not isinstance(item, StepDefinition):
            raise DefinitionError(f"parallel: expected step(…) objects, got {item!r}")
    if not steps:
        raise DefinitionError("parallel: expected at least one step, got none")
    return Parallel(tuple(steps))


def read_items(items: object) -> tuple[StepItem, ...]:
    """A list of steps as a caller writes it: `step(…)`, `parallel(…)`, or dicts with the same words."""
    if isinstance(items, (str, bytes)) or not isinstance(items, Sequence):
        raise DefinitionError(f"steps: expected a list of step(…) or parallel(…), got {items!r}")
    return tuple(_read_item(item) for item in items)


def _read_item(item: object) -> StepItem:
    if isinstance(item, (StepDefinition, Parallel)):
        return item
    if not isinstance(item, Mapping):
        raise DefinitionError(f"steps: expected step(…), parallel(…) or a dict, got {item!r}")
    unknown = set(item) - set(_DICT_KEYS)
    if unknown or not {"name", "action"} <= set(item):
        raise DefinitionError(
            f"steps: expected a dict with name and action (and of {', '.join(_DICT_KEYS[2:])}), "
            f"got the keys {', '.join(sorted(map(str, item)))}"
        )
    return step(**{key: value for key, value in item.items() if value is not None})
