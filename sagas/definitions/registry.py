"""The in-process registry: handlers and definitions by name. Nothing is ever looked up by a dotted path from data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.errors import DefinitionError
from ..core.graph import SAGA

if TYPE_CHECKING:
    from .definition import SagaDefinition
    from .handlers import Handler


class HandlerClashError(DefinitionError):
    """Two functions under one name."""


class Registry:
    """What this process knows. Filled by importing the `sagas.py` of every installed app."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.definitions: dict[str, type[SagaDefinition]] = {}
        #: Names that two functions were registered under, with the sentence about it. Neither is run.
        self.clashes: dict[str, str] = {}
        #: Grows with every registration: what was worked out before may be out of date.
        self.edition = 0

    def add_handler(self, handler: Handler) -> None:
        """Register a handler; importing the same function again is harmless. Raises `HandlerClashError`."""
        known = self.handlers.get(handler.name)
        if known is not None and _origin(known.function) != _origin(handler.function):
            raise HandlerClashError(
                f"the name {handler.name!r} is registered twice: by {_origin(known.function)} and by "
                f"{_origin(handler.function)}; every action and compensation needs a name of its own"
            )
        self.handlers[handler.name] = handler
        self.edition += 1

    def clash(self, name: str, problem: str) -> None:
        """Let nobody use a name that is ambiguous; `manage.py check` says so."""
        self.clashes[name] = problem
        self.edition += 1

    def add_definition(self, definition: type[SagaDefinition]) -> None:
        """Register a definition under its name."""
        known = self.definitions.get(definition.name)
        if known is not None and _origin(known) != _origin(definition):
            raise DefinitionError(
                f"two saga definitions are called {definition.name!r}: {_origin(known)} and {_origin(definition)}"
            )
        self.definitions[definition.name] = definition
        self.edition += 1

    def names(self) -> frozenset[str]:
        """What a worker that imports this can run: handlers, and definitions as child sagas."""
        usable = frozenset(self.handlers) - self.clashes.keys()
        return usable.union(SAGA + name for name in self.definitions)

    def definition(self, name: str) -> type[SagaDefinition]:
        """The definition of that name. Raises `DefinitionError` when there is none."""
        try:
            return self.definitions[name]
        except KeyError:
            known = ", ".join(sorted(self.definitions)) or "none"
            raise DefinitionError(f"expected the name of a saga definition (known: {known}), got {name!r}") from None

    def handler(self, name: str, *, undo: bool) -> Handler:
        """The handler of that name. Raises `DefinitionError` when there is none, one of the other sort, or two."""
        if name in self.clashes:
            raise DefinitionError(self.clashes[name])
        handler = self.handlers.get(name)
        sort = "compensation" if undo else "action"
        if handler is None:
            raise DefinitionError(
                f"unknown {sort} {name!r}: no @{sort}({name!r}) was imported; handlers belong into the sagas.py "
                f"of an installed app"
            )
        if handler.undo != undo:
            raise DefinitionError(f"expected {name!r} to be a {sort}, it is registered as the other sort")
        return handler


def _origin(thing: object) -> str:
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', '?')}"


#: The registry of this process.
registry = Registry()
