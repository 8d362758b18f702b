"""From a checked document to a registered definition: dotted paths are followed here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.utils.module_loading import import_string

from ...core.errors import DefinitionError
from ..definition import SagaDefinition
from ..handlers import Handler
from ..registry import registry
from ..steps import StepDefinition, step
from ..typed import StateModel, read_state_model
from . import DIRECTORY
from .functions import accepts, as_handler
from .tree import Document, Place


def build(document: Document, app: str) -> type[SagaDefinition]:
    """Register the definition and its handlers. Raises `DefinitionError` with file and line."""
    value = document.value
    model = _model(document)
    last = len(value["steps"]) - 1
    steps = [_step(document, position, model, is_last=position == last) for position in range(last + 1)]
    body = {
        "__module__": app,
        # Where it is written: what an error about two definitions of one name says.
        "__qualname__": f"{_inside_app(document.file)}:{document.line()}",
        "__doc__": value.get("description"),
        "name": value["workflow_type"],
        "version": value.get("workflow_version", "1"),
        "rollback": value.get("rollback", True),
        "rest_permission": value.get("rest_permission"),
        "sensitive": tuple(value.get("sensitive", ())),
        "context_model": model,
        "steps": steps,
    }
    try:
        return type(value["workflow_type"], (SagaDefinition,), body)
    except DefinitionError as exc:
        raise document.error(("steps",), str(exc)) from exc


def _inside_app(file: Path) -> str:
    return f"{DIRECTORY}/{file.name}" if file.parent.name == DIRECTORY else file.name


def _model(document: Document) -> Any:
    place = ("initial_state_model",)
    found = _imported(document, place)
    _state_model(document, found)
    return found


def _state_model(document: Document, model: Any) -> StateModel:
    try:
        return read_state_model(model)
    except DefinitionError as exc:
        raise document.error(("initial_state_model",), f"initial_state_model: {exc}") from exc


def _step(document: Document, position: int, model: Any, *, is_last: bool) -> StepDefinition:
    place: Place = ("steps", position)
    written = document.value["steps"][position]
    state_model = _state_model(document, model)
    for key, undo in (("function", False), ("compensate_function", True)):
        if key in written:
            _register(document, (*place, key), state_model, given=written.get("input", {}), undo=undo)
    options: dict[str, Any] = {"input": written["input"]} if "input" in written else {}
    if "saga" in written:
        options |= {"saga": written["saga"], "input": _with_state(written.get("input", {}))}
    # Only where it says something: the last step has nothing after it.
    if not written.get("automate_next", True) and not is_last:
        options["automate_next"] = False
    try:
        made = step(
            written["name"],
            action=written.get("function", ""),
            compensation=written.get("compensate_function", ""),
            no_compensation=written.get("no_compensation", ""),
            **options,
        )
    except DefinitionError as exc:
        raise document.error(place, str(exc)) from exc
    return replace(made, written=f"{document.file}:{document.line(place)}")


def _with_state(given: Mapping[str, Any]) -> Callable[[Mapping[str, Any], Any], dict[str, Any]]:
    """A child saga's context: the state as it is then, as a function would get it, and what is given beside it."""

    def context_of_child(context: Mapping[str, Any], outputs: Any) -> dict[str, Any]:
        return {**context, **given}

    return context_of_child


def _register(document: Document, place: Place, model: StateModel, *, given: Mapping[str, Any], undo: bool) -> None:
    name = _text(document, place)
    function = _function(document, place, given)
    known = registry.handlers.get(name)
    if known is not None and known.undo is not undo:
        raise document.error(place, f"{name!r} is both an action and a compensation: expected two functions")
    handler = Handler(
        name,
        as_handler(function, model),
        undo,
        is_async=inspect.iscoroutinefunction(function),
        raising_rejects=not undo,
    )
    try:
        registry.add_handler(handler)
    except DefinitionError as exc:
        raise document.error(place, str(exc)) from exc


def _function(document: Document, place: Place, given: Mapping[str, Any]) -> Callable[..., Any]:
    found = _imported(document, place)
    why = accepts(found, given) if callable(found) and not isinstance(found, type) else f"got {found!r:.80}"
    if why:
        raise document.error(
            place, f"{_text(document, place)}: expected a function of (state, context, **kwargs): {why}"
        )
    function: Callable[..., Any] = found
    return function


def _imported(document: Document, place: Place) -> Any:
    path = _text(document, place)
    try:
        return import_string(path)
    except Exception as exc:
        hint = ""
        if isinstance(exc, ModuleNotFoundError) and exc.name == "pydantic":
            hint = ": pip install 'sagas[pydantic]'"
        raise document.error(place, f"cannot import {path!r}: {type(exc).__name__}: {exc}{hint}") from exc


def _text(document: Document, place: Place) -> str:
    value = document.value
    for key in place:
        value = value[key]
    return str(value)
