"""Functions of the tutorial's form, run as handlers.

`function(state, context, **kwargs)`: the state is built from the saga's context; what it returns is merged into the
state, what it changes in the state is kept too, and the difference goes to `ctx.update`. Raising means "no effect".
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ...core.errors import PayloadError
from ...exceptions import Rejected
from ..context import StepContext
from ..registry import registry
from ..typed import StateModel


def as_handler(function: Callable[..., Any], model: StateModel) -> Callable[[StepContext], Any]:
    """The handler of a function; `model`: of its state, where the saga's definition is not known any more."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run_async(ctx: StepContext) -> Any:
            call = _Call(ctx, model)
            return call.settle(await function(call.state, ctx, **ctx.input))

        return run_async

    @functools.wraps(function)
    def run(ctx: StepContext) -> Any:
        call = _Call(ctx, model)
        return call.settle(function(call.state, ctx, **ctx.input))

    return run


def accepts(function: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """Why the function can not be called with (state, context, **given); empty when it can."""
    try:
        inspect.signature(function).bind(None, None, **given)
    except TypeError as exc:
        return str(exc)
    except ValueError:
        return ""  # builtins do not say
    return ""


class _Call:
    """One call: the state before and after it."""

    def __init__(self, ctx: StepContext, model: StateModel) -> None:
        definition = registry.definitions.get(ctx.saga_name)
        typed = definition.typed_context() if definition else None
        self._ctx = ctx
        self._model = typed if isinstance(typed, StateModel) else model
        try:
            self.state = self._model.build(ctx.context)
        except PayloadError as exc:
            # Nothing was called, so there is no doubt.
            raise Rejected(str(exc), code="invalid_state") from exc
        self._before = self._model.dump(self.state)

    def settle(self, returned: Any) -> dict[str, Any] | None:
        """Add what has changed to the context; the step's output.

        The function has had its effect: whatever goes wrong here leaves doubt, so it must be a `PayloadError`.
        """
        if returned is not None and not isinstance(returned, Mapping):
            raise PayloadError(
                f"step {self._ctx.step!r}: expected its function to return a dict or None, got {_type(returned)}"
            )
        try:
            return self._settled(returned)
        except PayloadError:
            raise
        except Exception as exc:
            raise PayloadError(f"step {self._ctx.step!r}: {_type(exc)}: {exc}") from exc

    def _settled(self, returned: Mapping[str, Any] | None) -> dict[str, Any] | None:
        after = self._model.merged(self.state, returned or {})
        self._ctx.update(**{key: value for key, value in after.items() if self._changed(key, value)})
        # As the state has it: text where the function gave a date.
        return None if returned is None else {key: after.get(key, value) for key, value in returned.items()}

    def _changed(self, key: str, value: Any) -> bool:
        # Not by ==: 1 and True are another value in JSON.
        return key not in self._before or repr(self._before[key]) != repr(value)


def _type(value: object) -> str:
    return type(value).__name__
