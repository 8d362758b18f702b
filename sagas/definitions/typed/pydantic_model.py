"""A pydantic model as context model. The one module that imports pydantic; imported when there is such a model."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Literal

from pydantic import BaseModel, PydanticUserError, ValidationError

from ...core.errors import PayloadError
from .base import Problem, StateModel, refuse


class PydanticModel(StateModel):
    """`model_validate` in, `model_dump` out, both by alias: the names that the context has."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model
        self._allows_unknown = model.model_config.get("extra") == "allow"

    def schema(self) -> Mapping[str, Any]:
        """What pydantic makes of it; nothing for a model with fields that JSON Schema has no words for."""
        try:
            return self._model.model_json_schema(by_alias=True, mode="validation")
        except PydanticUserError:
            return {}

    def problems(self, context: Mapping[str, Any], *, tolerant: bool = False) -> list[Problem]:
        """What pydantic says, without the values."""
        try:
            self._validated(context, tolerant=tolerant)
        except ValidationError as exc:
            return _problems(exc)
        return []

    def defaults(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that were not given."""
        state = self._validated(context, tolerant=True)
        missing = set(type(state).model_fields) - state.model_fields_set
        return self._plain(state, include=missing)

    def build(self, context: Mapping[str, Any]) -> BaseModel:
        """An instance that shares nothing with the context."""
        try:
            return self._validated(deepcopy(dict(context)), tolerant=True)
        except ValidationError as exc:
            refuse(_problems(exc), f"state {self._model.__qualname__}")
            raise

    def dump(self, state: Any) -> dict[str, Any]:
        """What pydantic would write as JSON."""
        return self._plain(state)

    def merged(self, state: Any, updates: Mapping[str, Any]) -> dict[str, Any]:
        """Updates may hold whatever the fields may; keys that are no fields stay as they are."""
        known = {key: value for key, value in updates.items() if self._knows(key)}
        rest = {key: value for key, value in updates.items() if key not in known}
        return {**self._plain(state.model_copy(update=known)), **rest}

    def _knows(self, key: str) -> bool:
        return self._allows_unknown or key in self._model.model_fields

    def _validated(self, context: Mapping[str, Any], *, tolerant: bool) -> BaseModel:
        extra: Literal["allow", "ignore"] | None = None
        if tolerant:
            extra = "allow" if self._allows_unknown else "ignore"
        return self._model.model_validate(dict(context), extra=extra)

    def _plain(self, state: BaseModel, include: set[str] | None = None) -> dict[str, Any]:
        try:
            # A value of the wrong type is no warning here: it is refused when the change is held against the model.
            return state.model_dump(mode="json", by_alias=True, round_trip=True, warnings=False, include=include)
        except ValueError as exc:
            raise PayloadError(f"state {self._model.__qualname__}: {exc}") from exc


def _problems(exc: ValidationError) -> list[Problem]:
    found = exc.errors(include_url=False, include_context=False, include_input=False)
    return [Problem(tuple(error["loc"]), error["msg"]) for error in found]
