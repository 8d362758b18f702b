"""The rarer words of `step(…)`: checked together, since few of them go with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.conditions import parse
from ..core.errors import DefinitionError
from ..core.graph import CODE, MAX_NAME, ON_TIMEOUT, SAGA, StepSpec
from .handlers import check_name

#: A function of (context, outputs).
Check = Callable[[Any, Any], Any]

#: The most people who must approve of undoing a step.
MOST_APPROVALS = 2
#: The most steps that one may be opened out into.
MOST_ITEMS = 1000


def read_more(what: str, *, action: str, **words: Any) -> dict[str, Any]:
    """The words as `StepSpec` has them, without those that say nothing. Raises `DefinitionError`."""
    gates = [name for name in ("wait_for", "approval") if words[name]]
    gates += [name for name in ("delay", "until") if words[name] is not None]
    if len(gates) > 1:
        raise DefinitionError(f"{what}: expected one of wait_for, delay, until, approval, got {' and '.join(gates)}")
    action = action or words["saga"]
    if not action and not gates:
        raise DefinitionError(
            f"{what}: expected an action, a child saga, or something to wait for (wait_for, delay, until, approval)"
        )
    if action and words["wait_for"]:
        raise DefinitionError(
            f"{what}: a step that waits for a signal has no action: the signal completes it; put {action!r} into the "
            f"next step"
        )
    _check_people(what, words)
    _check_waits(what, words)
    _check_names(what, action, words)
    _check_fan_out(what, action, gates, words)
    words["for_each"] = _condition(what, words["for_each"])
    words["when"] = _condition(what, words["when"])
    words["until"] = _until(what, words["until"])
    return {name: value for name, value in words.items() if value}


def check_child(what: str, saga: str, **words: Any) -> None:
    """A step that is a child saga has nothing else to do. Raises `DefinitionError`."""
    if not saga:
        return
    check_name(SAGA + saga, what=f"{what}: saga")
    others = [name for name, value in words.items() if value]
    if others:
        raise DefinitionError(
            f"{what}: a step that is a child saga has no {' and no '.join(others)}: that belongs into the steps of "
            f"{saga!r}"
        )


def _check_people(what: str, words: dict[str, Any]) -> None:
    if words["approve_undo"] not in range(MOST_APPROVALS + 1):
        raise DefinitionError(
            f"{what}: expected approve_compensation as True or the number of people (1 or {MOST_APPROVALS}), got "
            f"{words['approve_undo']!r}"
        )
    if words["approvers"] and not (words["approval"] or words["approve_undo"]):
        raise DefinitionError(f"{what}: approvers say who may approve: expected approval or approve_compensation too")
    if not isinstance(words["approvers"], str) or len(words["approvers"]) > MAX_NAME:
        raise DefinitionError(f"{what}: expected approvers as a permission or a group, got {words['approvers']!r:.80}")


def _check_waits(what: str, words: dict[str, Any]) -> None:
    if words["on_timeout"] not in ON_TIMEOUT:
        raise DefinitionError(
            f"{what}: expected on_timeout as one of {', '.join(ON_TIMEOUT)}, got {words['on_timeout']!r}"
        )
    if words["on_timeout"] == ON_TIMEOUT[0]:
        words["on_timeout"] = ""


def _check_fan_out(what: str, action: str, gates: list[str], words: dict[str, Any]) -> None:
    most = words["max_items"]
    if isinstance(most, bool) or not isinstance(most, int) or not 0 < most <= MOST_ITEMS:
        raise DefinitionError(f"{what}: expected max_items as a whole number from 1 to {MOST_ITEMS}, got {most!r}")
    if words["for_each"] is None:
        words["max_items"] = 0
    elif gates or not action or words["pivot"]:
        raise DefinitionError(
            f"{what}: for_each goes with an action alone: put {'the pivot' if words['pivot'] else 'what it waits for'} "
            f"into a step of its own before it"
        )
    elif most == StepSpec.__dataclass_fields__["max_items"].default:
        words["max_items"] = 0


def _check_names(what: str, action: str, words: dict[str, Any]) -> None:
    for name in ("wait_for", "probe"):
        if words[name]:
            check_name(words[name], what=f"{what}: {name}")
    if not action and (words["probe"] or words["at_most_once"] or words["pivot"]):
        raise DefinitionError(f"{what}: probe, at_most_once and pivot are about an action, and it has none")


def _condition(what: str, value: object) -> str:
    if value is None:
        return ""
    if callable(value):
        return CODE
    if not isinstance(value, str):
        raise DefinitionError(f"{what}: expected an expression or a function of (context, outputs), got {value!r}")
    try:
        parse(value)
    except DefinitionError as exc:
        raise DefinitionError(f"{what}: {exc}") from None
    return value.strip()


def _until(what: str, value: object) -> str:
    if value is None:
        return ""
    if callable(value):
        return CODE
    if not isinstance(value, str) or not value.strip():
        raise DefinitionError(
            f"{what}: expected until as the name of a key of the context that holds a time, or a function of (context, "
            f"outputs) that returns one, got {value!r}"
        )
    return value.strip()
