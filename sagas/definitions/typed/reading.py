"""Which sort of context model something is. Raises `DefinitionError` for what is none."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

from ...core.errors import DefinitionError
from .base import ContextModel, StateModel


def read_model(model: object) -> ContextModel | None:
    """The `context_model` of a definition, ready to be asked; None for None."""
    if model is None:
        return None
    if isinstance(model, Mapping):
        from .json_schema import JSONSchemaModel

        return JSONSchemaModel(model)
    found = _state_model(model)
    if found is None:
        raise DefinitionError(
            f"context_model: expected a pydantic model, a dataclass or a dict with a JSON Schema, got {model!r:.80}"
        )
    return found


def read_state_model(model: object) -> StateModel:
    """Like `read_model`, for what must be a class."""
    found = _state_model(model)
    if found is None:
        raise DefinitionError(f"expected a pydantic model or a dataclass, got {model!r:.80}")
    return found


def _state_model(model: object) -> StateModel | None:
    if not isinstance(model, type):
        return None
    # Somebody has imported pydantic before there can be a model of it.
    pydantic: Any = sys.modules.get("pydantic")
    if pydantic is not None and issubclass(model, pydantic.BaseModel):
        from .pydantic_model import PydanticModel

        return PydanticModel(model)
    if dataclasses.is_dataclass(model):
        from .dataclass_model import DataclassModel

        return DataclassModel(model)
    return None
