"""From steps as written to the frozen graph: names become positions, policies are filled in from the handlers."""

from __future__ import annotations

from collections.abc import Sequence

from ..conf import app_settings
from ..core.errors import DefinitionError
from ..core.graph import Graph, Policy, StepSpec
from .handlers import Handler
from .registry import registry
from .steps import Parallel, StepDefinition, StepItem


def flat(items: Sequence[StepItem]) -> list[StepDefinition]:
    """The steps in written order."""
    found: list[StepDefinition] = []
    for item in items:
        found.extend(item.steps if isinstance(item, Parallel) else (item,))
    return found


def dependencies(items: Sequence[StepItem]) -> list[tuple[int, ...]]:
    """For each step the positions it waits for.

    All written before it: the last group (or step) before it stands for everything before that, unless `after`
    took a step out of the line; then it is named too.
    """
    names = _positions(items)
    result: list[tuple[int, ...]] = []
    for item in items:
        group = item.steps if isinstance(item, Parallel) else (item,)
        before = tuple(range(len(result)))
        own = [_after(step, names) if step.after is not None else _thin(before, result) for step in group]
        result.extend(own)
    return result


def _positions(items: Sequence[StepItem]) -> dict[str, int]:
    names: dict[str, int] = {}
    for position, step in enumerate(flat(items)):
        if step.name in names:
            raise DefinitionError(f"two steps are called {step.name!r}: every step needs a name of its own")
        names[step.name] = position
    return names


def _after(step: StepDefinition, names: dict[str, int]) -> tuple[int, ...]:
    unknown = [name for name in step.after or () if name not in names]
    if unknown:
        raise DefinitionError(
            f"step {step.name!r} waits for {unknown[0]!r}, which is no step of this saga (steps: {', '.join(names)})"
        )
    return tuple(sorted({names[name] for name in step.after or ()}))


def _thin(before: tuple[int, ...], known: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Of the positions before, those that no other of them waits for: waiting for these is waiting for all."""
    waited = {needed for position in before for needed in known[position]}
    return tuple(position for position in before if position not in waited)


def shape(items: Sequence[StepItem], policy: Policy) -> None:
    """Refuse duplicates, unknown names in `after`, circles and steps beside a pivot; handlers need not be known yet."""
    Graph([StepSpec(step.name, step.action, depends_on=needed, **step.more) for step, needed in _zip(items)], policy)


def _zip(items: Sequence[StepItem]) -> list[tuple[StepDefinition, tuple[int, ...]]]:
    return list(zip(flat(items), dependencies(items), strict=True))


def compile_graph(items: Sequence[StepItem], policy: Policy | None = None) -> Graph:
    """The frozen graph. Raises `DefinitionError` for unknown handlers too."""
    return Graph([_spec(step, needed) for step, needed in _zip(items)], policy or Policy())


def _spec(step: StepDefinition, needed: tuple[int, ...]) -> StepSpec:
    action = registry.handler(step.action, undo=False) if step.action else _NOTHING
    nested = step.more.get("saga", "")
    if nested:
        _check_child(step, nested)
    if step.more.get("probe"):
        registry.handler(step.more["probe"], undo=False)
    undo = registry.handler(step.compensation, undo=True) if step.compensation else None
    settings = app_settings()
    return StepSpec(
        name=step.name,
        action=step.action,
        compensation=step.compensation,
        no_compensation=step.no_compensation,
        depends_on=needed,
        queue=action.queue,
        retry=step.retry or action.retry or settings.DEFAULT_RETRY,
        undo_retry=step.undo_retry or (undo.retry if undo else None) or settings.DEFAULT_COMPENSATION_RETRY,
        timeout=step.timeout or action.timeout or settings.DEFAULT_TIMEOUT.total_seconds(),
        undo_timeout=step.undo_timeout or _timeout(undo) or settings.DEFAULT_TIMEOUT.total_seconds(),
        # A child saga is started in the transaction that records it.
        atomic=action.atomic or bool(nested),
        undo_atomic=bool(undo and undo.atomic),
        computed=callable(step.input),
        **{**_heartbeats(action, undo), **step.more},
    )


def _check_child(step: StepDefinition, nested: str) -> None:
    try:
        registry.definition(nested)
    except DefinitionError as exc:
        place = f" ({step.written})" if step.written else ""
        raise DefinitionError(f"step {step.name!r}{place}: unknown child saga: {exc}") from None


def _nothing(context: object) -> None:
    """What a step without an action does."""


_NOTHING = Handler("", _nothing, undo=False)


def _heartbeats(action: Handler, undo: Handler | None) -> dict[str, float | None]:
    return {
        "heartbeat_timeout": action.heartbeat_timeout,
        "undo_heartbeat_timeout": undo.heartbeat_timeout if undo else None,
    }


def _timeout(handler: Handler | None) -> float | None:
    return handler.timeout if handler else None
