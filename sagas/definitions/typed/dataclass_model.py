"""A dataclass as context model: no library is needed. Its fields hold what JSON holds, and other dataclasses."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Literal, Union

from ...core.errors import DefinitionError
from .base import Problem, StateModel, refuse

Path = tuple[str | int, ...]
_PLAIN: dict[Any, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
_LISTS = (list, Sequence)
_OBJECTS = (dict, Mapping)


class DataclassModel(StateModel):
    """Built field by field, checked against the annotations."""

    def __init__(self, model: type) -> None:
        self._model = model
        _check(model, model.__qualname__, set())

    def schema(self) -> Mapping[str, Any]:
        """Its annotations, as far as they say something to a form."""
        return _schema(self._model)

    def problems(self, context: Mapping[str, Any], *, tolerant: bool = False) -> list[Problem]:
        """Unknown fields are none: a dataclass has no word for forbidding them."""
        found: list[Problem] = []
        _read(self._model, dict(context), (), found)
        return found

    def defaults(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that were not given."""
        return {name: value for name, value in self.dump(self.build(context)).items() if name not in context}

    def build(self, context: Mapping[str, Any]) -> Any:
        """An instance that shares nothing with the context."""
        found: list[Problem] = []
        state = _read(self._model, deepcopy(dict(context)), (), found)
        refuse(found, f"state {self._model.__qualname__}")
        return state

    def dump(self, state: Any) -> dict[str, Any]:
        """Nested dataclasses become dicts."""
        values = dataclasses.asdict(state)
        return {field.name: values[field.name] for field in _fields(self._model)}

    def merged(self, state: Any, updates: Mapping[str, Any]) -> dict[str, Any]:
        """Keys that are no fields stay as they are."""
        return {**self.dump(state), **{key: _plain(value) for key, value in updates.items()}}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def _fields(model: Any) -> list[dataclasses.Field[Any]]:
    """Those that are given to the constructor."""
    return [field for field in dataclasses.fields(model) if field.init]


def _hints(model: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(model)
    except NameError as exc:
        raise DefinitionError(f"context_model {model.__qualname__}: {exc}") from exc


# -- at declaration: annotations that can be checked --------------------------------------------------------------


def _check(hint: Any, where: str, seen: set[Any]) -> None:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if hint not in seen:
            seen.add(hint)
            hints = _hints(hint)
            for field in _fields(hint):
                _check(hints[field.name], f"{hint.__qualname__}.{field.name}", seen)
        return
    if not (hint in (Any, object, types.NoneType) or hint in _PLAIN or _known_form(hint)):
        raise DefinitionError(
            f"context_model: {where}: expected str, int, float, bool, list, dict, Literal, a union of them or a "
            f"dataclass, got {hint!r}; a pydantic model knows more types"
        )
    for inner in _inner(hint):
        _check(inner, where, seen)


def _known_form(hint: Any) -> bool:
    origin = typing.get_origin(hint) or hint
    return _is_union(hint) or origin is Literal or origin in _LISTS or (origin in _OBJECTS and _has_text_keys(hint))


def _has_text_keys(hint: Any) -> bool:
    return (*_inner(hint), str)[0] in (str, Any)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (Union, types.UnionType)


def _inner(hint: Any) -> tuple[Any, ...]:
    return () if typing.get_origin(hint) is Literal else typing.get_args(hint)


# -- as a JSON Schema: for forms, which ask `problems` in the end -----------------------------------------------------

_SCHEMAS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    types.NoneType: {"type": "null"},
}


def _schema(model: type) -> dict[str, Any]:
    hints = _hints(model)
    properties = {field.name: _schema_of(hints[field.name]) | _default(field) for field in _fields(model)}
    required = [field.name for field in _fields(model) if field.default is field.default_factory is dataclasses.MISSING]
    return {"type": "object", "properties": properties, "required": required}


def _schema_of(hint: Any) -> dict[str, Any]:
    if _is_union(hint):
        return {"anyOf": [_schema_of(inner) for inner in _inner(hint)]}
    origin = typing.get_origin(hint) or hint
    if origin is Literal:
        return {"enum": list(typing.get_args(hint))}
    if origin in _LISTS:
        return {"type": "array"}
    if origin in _OBJECTS or dataclasses.is_dataclass(hint):
        return {"type": "object"}
    return dict(_SCHEMAS.get(hint, {}))


def _default(field: dataclasses.Field[Any]) -> dict[str, Any]:
    plain = type(field.default) in _SCHEMAS or field.default is None
    return {"default": field.default} if plain else {}


# -- reading: a value as the annotation wants it, complaints on the way --------------------------------------------


def _read(hint: Any, value: Any, path: Path, found: list[Problem]) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _read_dataclass(hint, value, path, found)
    if _is_union(hint):
        return _read_union(hint, value, path, found)
    origin = typing.get_origin(hint) or hint
    if origin in _LISTS:
        return _read_list(hint, value, path, found)
    if origin in _OBJECTS:
        return _read_dict(hint, value, path, found)
    if not _fits(hint, value):
        found.append(Problem(path, f"expected {_words(hint)}, got {type(value).__name__}"))
    return value


def _fits(hint: Any, value: Any) -> bool:
    if hint in (Any, object):
        return True
    if typing.get_origin(hint) is Literal:
        return any(value == option and type(value) is type(option) for option in typing.get_args(hint))
    # JSON has one sort of number: a whole one will do where a fraction may stand, true and false will not.
    return type(value) is hint or (hint is float and type(value) is int)


def _words(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, typing.get_args(hint)))}"
    if _is_union(hint):
        return " or ".join(_words(inner) for inner in _inner(hint))
    return _PLAIN.get(hint) or ("nothing" if hint is types.NoneType else str(getattr(hint, "__name__", hint)))


def _read_union(hint: Any, value: Any, path: Path, found: list[Problem]) -> Any:
    tried: list[list[Problem]] = []
    for inner in _inner(hint):
        complaints: list[Problem] = []
        built = _read(inner, value, path, complaints)
        if not complaints:
            return built
        tried.append(complaints)
    # Where one of them was the right sort of thing, what is wrong inside it says more than "none of these".
    deeper = next((complaints for complaints in tried if any(problem.path != path for problem in complaints)), None)
    found += deeper or [Problem(path, f"expected {_words(hint)}, got {type(value).__name__}")]
    return value


def _read_list(hint: Any, value: Any, path: Path, found: list[Problem]) -> Any:
    if not isinstance(value, list):
        found.append(Problem(path, f"expected a list, got {type(value).__name__}"))
        return value
    inner = (*_inner(hint), Any)[0]
    return [_read(inner, item, (*path, position), found) for position, item in enumerate(value)]


def _read_dict(hint: Any, value: Any, path: Path, found: list[Problem]) -> Any:
    if not isinstance(value, dict):
        found.append(Problem(path, f"expected an object, got {type(value).__name__}"))
        return value
    inner = (*_inner(hint), Any, Any)[1]
    return {key: _read(inner, item, (*path, key), found) for key, item in value.items()}


def _read_dataclass(model: type, value: Any, path: Path, found: list[Problem]) -> Any:
    if not isinstance(value, dict):
        found.append(Problem(path, f"expected an object, got {type(value).__name__}"))
        return value
    before, hints, given = len(found), _hints(model), {}
    for field in _fields(model):
        if field.name in value:
            given[field.name] = _read(hints[field.name], value[field.name], (*path, field.name), found)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            found.append(Problem((*path, field.name), "missing"))
    if len(found) > before:
        return value
    try:
        return model(**given)
    except (TypeError, ValueError) as exc:
        # Raised by __post_init__: a rule over several fields.
        found.append(Problem(path, str(exc)))
        return value
