"""Handlers: the functions that do actions and compensations, and the decorators that register them by name."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from ..core.errors import DefinitionError
from ..core.graph import MAX_NAME
from ..core.limits import Limit, read_limit
from ..core.retry import RetryPolicy
from .context import StepContext
from .registry import HandlerClashError, registry

HandlerFunction = Callable[[StepContext], Any] | Callable[[StepContext], Awaitable[Any]]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function with its policies; None = the setting's default."""

    name: str
    function: Callable[..., Any]
    undo: bool
    retry: RetryPolicy | None = None
    #: Seconds.
    timeout: float | None = None
    atomic: bool = False
    queue: str = ""
    is_async: bool = False
    #: Its author says that an exception means "no effect". Elsewhere it leaves doubt; `Retryable` always does.
    raising_rejects: bool = False
    #: Over all worker processes.
    limit: Limit | None = None
    #: Seconds between two heartbeats, at most.
    heartbeat_timeout: float | None = None


def seconds(value: float | timedelta | None, *, what: str) -> float | None:
    """A duration in seconds. Raises `DefinitionError` when it is none."""
    if value is None:
        return None
    number = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < 1e8:
        raise DefinitionError(f"{what}: expected a positive duration in seconds or a timedelta, got {value!r}")
    return float(number)


def check_name(name: object, *, what: str) -> str:
    """A usable name. Raises `DefinitionError` when it is none."""
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise DefinitionError(f"{what}: expected a name of 1 to {MAX_NAME} printable characters, got {name!r}")
    return name


def action(  # noqa: PLR0913
    name: str,
    *,
    retry: RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    atomic: bool = False,
    queue: str = "",
    max_concurrent: int | None = None,
    rate: str | None = None,
    heartbeat_timeout: float | timedelta | None = None,
) -> Callable[[F], F]:
    """Register a function as the handler of the action `name`, for example `payment.charge`.

    The function takes a `StepContext` and returns the step's output (a dict, or None). It may run more than once
    with the same `ctx.idempotency_key`; `async def` is allowed. It runs in autocommit, as a view does.

    `retry`: how often it is tried (default: setting DEFAULT_RETRY). `timeout`: seconds or a timedelta for one attempt
    (default: DEFAULT_TIMEOUT). `atomic=True`: it runs inside the transaction that records its outcome, so that its
    effects in the same database happen exactly once. `queue`: only workers that serve this queue run it.
    `max_concurrent`: at most so many attempts run at once, `rate` ("50/s", "100/min", "1000/h"): at most so many begin
    in any such time, over all worker processes. Never more; it may be a little less. Today's code decides, also for
    sagas that were started before. `heartbeat_timeout`: when it has not called `ctx.heartbeat()` for so long, the
    attempt ends as if its timeout had passed.

    Raises `DefinitionError` when the name is taken by another function.
    """
    limit = read_limit(f"action {name!r}", max_concurrent, rate)
    beat = seconds(heartbeat_timeout, what=f"action {name!r}: heartbeat_timeout")
    return _register(
        name, undo=False, retry=retry, timeout=timeout, atomic=atomic, queue=queue, limit=limit, heartbeat_timeout=beat
    )


def compensation(
    name: str,
    *,
    retry: RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    atomic: bool = False,
    heartbeat_timeout: float | timedelta | None = None,
) -> Callable[[F], F]:
    """Register a function as the handler of the compensation `name`, for example `payment.refund`.

    It must be idempotent and must accept that the action never happened: `ctx.output` is None when the outcome is
    unknown, and `ctx.action_key` is the key under which the action may have been done. An exception is retried by
    its own policy; when that is spent, or when it raises `Rejected`, the step becomes a debt that a person settles.
    """
    beat = seconds(heartbeat_timeout, what=f"compensation {name!r}: heartbeat_timeout")
    return _register(name, undo=True, retry=retry, timeout=timeout, atomic=atomic, queue="", heartbeat_timeout=beat)


def _register(  # noqa: PLR0913
    name: str,
    *,
    undo: bool,
    retry: RetryPolicy | None,
    timeout: float | timedelta | None,
    atomic: bool,
    queue: str,
    limit: Limit | None = None,
    heartbeat_timeout: float | None = None,
) -> Callable[[F], F]:
    what = f"{'compensation' if undo else 'action'} {name!r}"
    check_name(name, what=what)
    longest = seconds(timeout, what=f"{what}: timeout")

    def decorate(function: F) -> F:
        is_async = inspect.iscoroutinefunction(function)
        if atomic and is_async:
            raise DefinitionError(f"{what}: an atomic handler can not be async def: it shares the engine's transaction")
        more: dict[str, Any] = {"limit": limit, "heartbeat_timeout": heartbeat_timeout}
        try:
            registry.add_handler(Handler(name, function, undo, retry, longest, atomic, queue, is_async, **more))
        except HandlerClashError as exc:  # the rest of the module is none the worse
            registry.clash(name, str(exc))
        return function

    return decorate
