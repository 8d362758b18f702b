"""Typed contexts: what `SagaDefinition.context_model` may be, and when a saga's context is held against it.

A pydantic model, a dataclass, or a JSON Schema; the library that one of them needs is imported when a definition has
one. Checked at the start and when a step changes the context, never in between: sagas in flight outlive the code that
started them, so what today's model does not know is let pass, and so is what no step has touched.
"""

from .base import ContextModel, Problem, StateModel, check_changes, opening_context
from .reading import read_model, read_state_model

__all__ = [
    "ContextModel",
    "Problem",
    "StateModel",
    "check_changes",
    "opening_context",
    "read_model",
    "read_state_model",
]
