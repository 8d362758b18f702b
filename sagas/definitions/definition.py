"""`SagaDefinition`: a saga's name, version, steps and policies, written as a class. Declaring it registers it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ..core.errors import DefinitionError
from ..core.graph import Graph
from .compiling import compile_graph, flat, shape
from .handlers import check_name
from .registry import registry
from .steps import StepDefinition, StepItem, read_items
from .typed import ContextModel, read_model

#: `rest_permission` for "whoever is logged in".
AUTHENTICATED = "authenticated"


class SagaDefinition:
    """A saga definition. Subclass it in the `sagas.py` of an app and set `name` and `steps`.

    Refused when declared, with the exact reason: circles, unknown names, duplicates, a step with neither
    compensation nor `no_compensation`.
    """

    #: How the saga is called everywhere: code, API, admin.
    name: ClassVar[str] = ""
    #: Kept with every saga started from it.
    version: ClassVar[str] = "1"
    #: `step(…)` and `parallel(…)` in their order.
    steps: ClassVar[Sequence[Any]] = ()
    #: False: a failure ends the saga as failed, with nothing undone, until somebody compensates it.
    rollback: ClassVar[bool] = True
    #: Who may start it over REST: None = nobody, "authenticated" = whoever is logged in, else a permission's name.
    rest_permission: ClassVar[str | None] = None
    #: What the context must look like: a pydantic model, a dataclass or a dict with a JSON Schema; None = anything.
    #: Checked at the start, where the model's defaults are filled in, and when a step changes the context.
    context_model: ClassVar[Any] = None

    _items: ClassVar[tuple[StepItem, ...]] = ()
    _typed: ClassVar[ContextModel | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.name:
            return
        check_name(cls.name, what=f"saga definition {cls.__qualname__}: name")
        try:
            cls._items = read_items(cls.steps)
            shape(cls._items)
            cls._typed = read_model(cls.context_model)
        except DefinitionError as exc:
            raise DefinitionError(f"saga definition {cls.name!r}: {exc}") from None
        registry.add_definition(cls)

    @classmethod
    def graph(cls) -> Graph:
        """The frozen graph of today's code. Raises `DefinitionError` when a handler is unknown."""
        try:
            return compile_graph(cls._items)
        except DefinitionError as exc:
            raise DefinitionError(f"saga definition {cls.name!r}: {exc}") from None

    @classmethod
    def typed_context(cls) -> ContextModel | None:
        """`context_model`, ready to be asked."""
        return cls._typed

    @classmethod
    def step_definitions(cls) -> list[StepDefinition]:
        """The steps in written order, groups opened."""
        return flat(cls._items)
