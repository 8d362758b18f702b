"""`SagaDefinition`: a saga's name, version, steps and policies, written as a class. Declaring it registers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from ..core.errors import DefinitionError
from ..core.graph import ON_DEADLINE, ROLLBACK, Graph, Policy
from ..core.redaction import Rules, read_rules
from .compiling import compile_graph, flat, shape
from .handlers import check_name, seconds
from .locks import REFUSE, WAIT, LockKey, check_lock
from .registry import registry
from .steps import StepDefinition, StepItem, read_items
from .typed import ContextModel, read_model

#: `rest_permission` for "whoever is logged in".
AUTHENTICATED = "authenticated"
#: How a saga is undone.
PARALLEL, SERIAL = "parallel", "serial"


class SagaDefinition:
    """A saga definition. Subclass it in the `sagas.py` of an app and set `name` and `steps`.

    Refused when declared, with the exact reason: circles, unknown names, duplicates, a step with neither
    compensation nor `no_compensation`.
    """

    #: How the saga is called everywhere: code, API, admin.
    name: ClassVar[str] = ""
    #: Kept with every saga started from it.
    version: ClassVar[str] = "1"
    #: `step(…)`, `parallel(…)` and lists of them in their order; or a function of the context that returns them.
    steps: ClassVar[Any] = ()
    #: False: a failure ends the saga as failed, with nothing undone, until somebody compensates it.
    rollback: ClassVar[bool] = True
    #: "parallel": independent branches are undone side by side; "serial": one step after the other.
    compensation_order: ClassVar[str] = PARALLEL
    #: Each saga is to be done so long after its start; None = no deadline, unless the caller gives one …
    deadline: ClassVar[float | timedelta | None] = None
    #: … and what a missed one means: "rollback" or "attention".
    on_deadline: ClassVar[str] = ROLLBACK
    #: How long a rollback waits for answers that are still to come.
    drain_timeout: ClassVar[float | timedelta] = 60.0
    #: One living saga at a time per key: a text with keys of the context (`"order:{order_id}"`), or a function of the
    #: context that returns it (None: no lock for this saga) …
    lock: ClassVar[LockKey | None] = None
    #: … and the others: "wait" (they begin when the one before them has ended, first come first served), or "refuse"
    #: (`LockHeldError` at the start).
    lock_policy: ClassVar[str] = WAIT
    #: Who may start it over REST: None = nobody, "authenticated" = whoever is logged in, else a permission's name.
    rest_permission: ClassVar[str | None] = None
    #: What the context must look like: a pydantic model, a dataclass or a dict with a JSON Schema; None = anything.
    #: Checked at the start, where the model's defaults are filled in, and when a step changes the context.
    context_model: ClassVar[Any] = None
    #: Keys of its payloads that are hidden beside `SAGAS["SENSITIVE"]`: names, or paths as "card.number".
    sensitive: ClassVar[Sequence[str]] = ()

    _items: ClassVar[tuple[StepItem, ...]] = ()
    _policy: ClassVar[Policy] = Policy()
    _typed: ClassVar[ContextModel | None] = None
    _hidden: ClassVar[Rules] = Rules()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.name:
            return
        check_name(cls.name, what=f"saga definition {cls.__qualname__}: name")
        try:
            cls._policy = cls._read_policy()
            cls._items = () if callable(cls.steps) else read_items(cls.steps)
            shape(cls._items, cls._policy)
            cls._typed = read_model(cls.context_model)
            cls._hidden = read_rules("sensitive", cls.sensitive)
        except DefinitionError as exc:
            raise DefinitionError(f"saga definition {cls.name!r}: {exc}") from None
        registry.add_definition(cls)

    @classmethod
    def _read_policy(cls) -> Policy:
        if cls.compensation_order not in (PARALLEL, SERIAL):
            raise DefinitionError(
                f"expected compensation_order as {PARALLEL!r} or {SERIAL!r}, got {cls.compensation_order!r}"
            )
        if cls.on_deadline not in ON_DEADLINE:
            raise DefinitionError(f"expected on_deadline as one of {', '.join(ON_DEADLINE)}, got {cls.on_deadline!r}")
        seconds(cls.deadline, what="deadline")
        if cls.lock_policy not in (WAIT, REFUSE):
            raise DefinitionError(f"expected lock_policy as {WAIT!r} or {REFUSE!r}, got {cls.lock_policy!r}")
        check_lock(cls.lock)
        drain = seconds(cls.drain_timeout, what="drain_timeout") or 0.0
        return Policy(cls.compensation_order == SERIAL, cls.on_deadline, drain)

    @classmethod
    def is_composed(cls) -> bool:
        """Whether its steps are a function of the context: each saga may have others."""
        return callable(cls.steps)

    @classmethod
    def lock_refuses(cls) -> bool:
        """Whether a saga is not even started while another one has its lock."""
        return cls.lock_policy == REFUSE

    @classmethod
    def items(cls, context: Mapping[str, Any] | None = None) -> tuple[StepItem, ...]:
        """The steps and groups as written, for a saga with this context. Raises `DefinitionError`."""
        compose: Any = cls.steps
        return read_items(compose({} if context is None else context)) if cls.is_composed() else cls._items

    @classmethod
    def graph(cls, context: Mapping[str, Any] | None = None) -> Graph:
        """The frozen graph of today's code. Raises `DefinitionError` when a handler is unknown."""
        try:
            return compile_graph(cls.items(context), cls._policy)
        except DefinitionError as exc:
            raise DefinitionError(f"saga definition {cls.name!r}: {exc}") from None

    @classmethod
    def typed_context(cls) -> ContextModel | None:
        """`context_model`, ready to be asked."""
        return cls._typed

    @classmethod
    def hidden(cls) -> Rules:
        """`sensitive`, ready to be asked."""
        return cls._hidden

    @classmethod
    def step_definitions(cls, context: Mapping[str, Any] | None = None) -> list[StepDefinition]:
        """The steps in written order, groups opened."""
        return flat(cls.items(context))
