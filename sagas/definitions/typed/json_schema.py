"""A JSON Schema as context model. Imported when there is one: jsonschema is an extra."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from ...core.errors import DefinitionError
from ..schemas import describe, errors_of, validator_of
from .base import ContextModel, Problem

#: What forbids unknown fields.
_FORBIDS = frozenset({"additionalProperties", "unevaluatedProperties"})


class JSONSchemaModel(ContextModel):
    """Validated by jsonschema; references outside the schema are not fetched."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            self._validator = validator_of(deepcopy(dict(schema)))
        except DefinitionError as exc:
            raise DefinitionError(f"context_model: {exc}") from exc

    def schema(self) -> Mapping[str, Any]:
        """As it was given."""
        found: Mapping[str, Any] = self._validator.schema
        return found

    def problems(self, context: Mapping[str, Any], *, tolerant: bool = False) -> list[Problem]:
        """Every error of the schema, by its place."""
        errors = [
            error
            for error in errors_of(self._validator, dict(context))
            if not (tolerant and error.validator in _FORBIDS)
        ]
        return [Problem(tuple(error.absolute_path), describe(error)) for error in errors]
