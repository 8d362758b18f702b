"""Handlers that are not registered here, because another service has them: stood in for while a saga is prepared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..definitions.compiling import flat
from ..definitions.context import StepContext
from ..definitions.definition import SagaDefinition
from ..definitions.handlers import Handler
from ..definitions.registry import registry
from ..definitions.steps import StepDefinition, read_items


class StandIns:
    """For all that a saga and its child sagas call and that is not known; each is only called by another function in
    its place."""

    def __init__(self, definition: str | type[SagaDefinition], own: Sequence[Any] | None) -> None:
        names: dict[str, bool] = {}
        _collect(_steps(definition, own), names, set())
        #: Names, and whether they are compensations.
        self._missing = {name: undo for name, undo in names.items() if name and name not in registry.handlers}

    @property
    def names(self) -> frozenset[str]:
        """Whom they stand in for."""
        return frozenset(self._missing)

    @contextmanager
    def standing(self) -> Iterator[None]:
        """While a saga of the family is prepared."""
        for name, undo in self._missing.items():
            registry.add_handler(Handler(name, _nobody, undo))
        try:
            yield
        finally:
            for name in self._missing:
                del registry.handlers[name]
            # What was worked out with them must not be taken for today's code.
            registry.edition += bool(self._missing)


def _collect(steps: Sequence[StepDefinition], names: dict[str, bool], seen: set[str]) -> None:
    for step in steps:
        names[step.action] = False
        if step.compensation:
            names[step.compensation] = True
        nested = registry.definitions.get(step.more.get("saga", ""))
        # The steps of a composed child are known when it starts: what they call must be registered.
        if nested is not None and nested.name not in seen and not nested.is_composed():
            seen.add(nested.name)
            _collect(nested.step_definitions(), names, seen)


def _steps(definition: str | type[SagaDefinition], own: Sequence[Any] | None) -> Sequence[StepDefinition]:
    if own is not None:
        return flat(read_items(own))
    found = registry.definition(definition) if isinstance(definition, str) else definition
    return found.step_definitions()


def _nobody(context: StepContext) -> None:
    """Stands in for a handler; it is never called."""
