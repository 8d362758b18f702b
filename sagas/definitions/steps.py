"""`step(…)` and `parallel(…)`: how a saga's steps are written down, as `path()` stands in `urlpatterns`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ..core.errors import DefinitionError
from ..core.graph import FAIL
from ..core.retry import RetryPolicy
from .handlers import check_name, seconds
from .options import Check, check_child, read_more

#: A dict, or a function of (context, outputs) that returns one.
StepInput = Mapping[str, Any] | Callable[[Any, Any], Any] | None

_DICT_KEYS = ("name", "action", "saga", "compensation", "no_compensation", "input", "after")


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
    #: What only some steps have, by the words of `StepSpec`.
    more: Mapping[str, Any] = field(default_factory=dict)
    #: Functions of (context, outputs) behind `when` and `until`; today's code, never stored.
    when: Check | None = None
    until: Check | None = None
    for_each: Check | None = None
    #: File and line, where it is not Python.
    written: str = ""


@dataclass(frozen=True, slots=True)
class Parallel:
    """Steps that run side by side."""

    steps: tuple[StepDefinition, ...]


StepItem = StepDefinition | Parallel


def step(  # noqa: PLR0913
    name: str,
    *,
    action: str = "",
    compensation: str = "",
    no_compensation: str = "",
    saga: str = "",
    input: StepInput = None,  # noqa: A002
    after: Sequence[str] | None = None,
    retry: RetryPolicy | None = None,
    undo_retry: RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    undo_timeout: float | timedelta | None = None,
    when: str | Check | None = None,
    wait_for: str = "",
    delay: float | timedelta | None = None,
    until: str | Check | None = None,
    approval: bool = False,
    approvers: str = "",
    approve_compensation: bool | int = False,
    wait_timeout: float | timedelta | None = None,
    heartbeat_timeout: float | timedelta | None = None,
    on_timeout: str = FAIL,
    automate_next: bool = True,
    probe: str = "",
    at_most_once: bool = False,
    pivot: bool = False,
    for_each: str | Check | None = None,
    max_items: int = 100,
) -> StepDefinition:
    """One step of a saga.

    It waits for all steps written before it, or for those named in `after`. `action` and `compensation` are names of
    registered handlers; a step without compensation says why in `no_compensation`. `input`: a dict, or a function of
    (context, outputs), worked out once when the step becomes ready. `retry`, `timeout` (and `undo_…` for the
    compensation) and `heartbeat_timeout` replace those of the handler; durations are seconds or timedeltas.

    `when`: a function of (context, outputs) or an expression such as `"requires_shipping and total > 100"`; where it
    does not hold the step is skipped, and what depends on it goes on. `wait_for`: the name of the signal that completes
    the step (it has no action then); its payload is the step's output. `delay`, `until` (a key of the context with a
    time, or a function that returns one), `approval` (by `approvers`: a permission such as "shop.approve_order", or a
    group): what must be passed before the action runs; without an action that is all. `approve_compensation`: True or 2
    people must approve before it is undone. `wait_timeout` and `on_timeout` ("fail", "retry", "attention"): how long it
    waits for an answer (see `Pending`), a signal or an approval, and what a wait in vain means. `automate_next=False`:
    the saga pauses after it. `probe`: the action that says whether it happened when nobody knows. `at_most_once`: a
    person decides instead of a second run. `pivot`: the point of no return; behind it there is only forward.
    `for_each`: a list (`"items"`, `"outputs.cart.lines"`, or a function): the step is done once per element, each with
    its own input (the element, or `input` as a function of (context, outputs, item)), output, retry and compensation;
    the step's output is the list of theirs. More than `max_items` is refused.

    `saga`: in place of an action, the name of a definition: a child saga is started with the step's input as its
    context, and its context at its end is the step's output. It is rolled back when the step is undone; one that rolls
    back by itself fails the step with its reason.

    Raises `DefinitionError` with the exact reason.
    """
    what = f"step {name!r}"
    check_name(name, what="step")
    if action:
        check_name(action, what=f"{what}: action")
    if compensation:
        check_name(compensation, what=f"{what}: compensation")
    check_child(
        what,
        saga,
        **{"action": action, "compensation": compensation, "no_compensation": no_compensation, "wait_for": wait_for},
        **{"probe": probe, "at_most_once": at_most_once, "pivot": pivot, "wait_timeout": wait_timeout},
        **{"undo_retry": undo_retry, "undo_timeout": undo_timeout},
    )
    more = read_more(
        what,
        action=action,
        saga=saga,
        wait_for=wait_for,
        delay=seconds(delay, what=f"{what}: delay"),
        until=until,
        when=when,
        approval=approval,
        approvers=approvers,
        approve_undo=int(approve_compensation),
        wait_timeout=seconds(wait_timeout, what=f"{what}: wait_timeout"),
        heartbeat_timeout=seconds(heartbeat_timeout, what=f"{what}: heartbeat_timeout"),
        on_timeout=on_timeout,
        pause_after=not automate_next,
        probe=probe,
        at_most_once=at_most_once,
        pivot=pivot,
        for_each=for_each,
        max_items=max_items,
    )
    if not (action or saga or compensation or no_compensation):
        no_compensation = "it only waits"
    if not saga and bool(compensation) == bool(no_compensation):
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
        more=more,
        when=when if callable(when) else None,
        until=until if callable(until) else None,
        for_each=for_each if callable(for_each) else None,
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
    found: list[StepItem] = []
    for item in items:  # a list in the list: steps that several definitions share
        found += read_items(item) if isinstance(item, (list, tuple)) else (_read_item(item),)
    return tuple(found)


def _read_item(item: object) -> StepItem:
    if isinstance(item, (StepDefinition, Parallel)):
        return item
    if not isinstance(item, Mapping):
        raise DefinitionError(f"steps: expected step(…), parallel(…) or a dict, got {item!r}")
    unknown = set(item) - set(_DICT_KEYS)
    if unknown or "name" not in item or not {"action", "saga"} & set(item):
        raise DefinitionError(
            f"steps: expected a dict with name and action or saga (and of {', '.join(_DICT_KEYS[3:])}), "
            f"got the keys {', '.join(sorted(map(str, item)))}"
        )
    return step(**{key: value for key, value in item.items() if value is not None})
