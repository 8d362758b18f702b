"""Before a deploy: would sagas in flight lose something that they still need?

Sagas are counted by their name, version and graph, in one pass over those that have not ended (an index has them
alone). Only what today's code does not have is then looked for in their steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from ..conf import app_settings
from ..core.children import child_id
from ..core.graph import CODE, SAGA, Graph, StepSpec
from ..core.states import ALIVE, EXECUTED, RESOLVED, SagaState, StepStatus
from ..definitions.registry import registry
from ..models import Saga, SagaGraph, Step
from .blueprint import step_definition

#: How many ids are told, and how many sagas' contexts are tried with steps that are a function of the context.
SOME = 3
_TRIED = 20

_BEGUN = frozenset({StepStatus.PENDING, StepStatus.RUNNING, StepStatus.WAITING})
_OPEN_UNDO = frozenset({StepStatus.COMPENSATING, StepStatus.COMPENSATION_FAILED})
#: Still to be done, or again; where a saga is rolled back in part, that may be any step.
_FORWARD = Q(saga__state=SagaState.STARTED, status__in=_BEGUN | {StepStatus.FAILED, StepStatus.UNKNOWN}) | Q(
    saga__rewind_to__isnull=False
)
#: Done, or perhaps done.
_DOUBTFUL = Q(status=StepStatus.UNKNOWN) | Q(status__in=_BEGUN, doubt=True)
_DONE = Q(status__in=EXECUTED | _OPEN_UNDO) | _DOUBTFUL


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that sagas in flight need and that is gone."""

    text: str
    sagas: int
    some: tuple[UUID, ...]


@dataclass(slots=True)
class Group:
    """Sagas in flight that share a name, a version and a graph."""

    name: str
    version: str
    graph: str
    sagas: int
    losses: list[Loss] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Need:
    """What a step needs of today's code; `who`: the rows of that step that do. `steps`: of this group."""

    what: str
    who: Q
    gone: Callable[[Mapping[str, Any]], str]
    #: Whether that depends on the saga's context.
    by_context: bool = False


def deploy_check() -> list[Group]:
    """Every group of sagas in flight, and of child sagas that are done and may be undone, with what it would lose."""
    known: dict[str, Graph] = {}
    found, sagas = [], in_flight()
    while True:
        counted = sagas.values_list("name", "version", "graph_id").annotate(count=Count("pk"))
        groups = [Group(*row) for row in counted.order_by("name", "version", "graph_id")]
        for group in groups:
            group.losses.extend(_losses(group, sagas, known))
        found += groups
        children = [child for group in groups for child in _children(group, sagas, known[group.graph])]
        if not children:
            return found
        # They are done, and are undone with their parents.
        sagas = Saga.objects.using(app_settings().DATABASE).filter(pk__in=children, state=SagaState.COMPLETED)


def in_flight() -> QuerySet[Saga]:
    """Sagas that have not ended, and those that ended as failed and have something to undo."""
    undo = ~Q(compensation="") | Q(action__startswith=SAGA)
    undoable = Step.objects.filter(_DONE, undo, saga=OuterRef("pk"))
    sagas: QuerySet[Saga] = Saga.objects.using(app_settings().DATABASE)
    # The first condition is that of the index; the second is asked for failed sagas only.
    unfinished = sagas.filter(state__in=[*ALIVE, SagaState.FAILED])
    return unfinished.filter(~Q(state=SagaState.FAILED) | Exists(undoable))


def _children(group: Group, sagas: QuerySet[Saga], graph: Graph) -> Iterator[UUID]:
    """Ids of the child sagas that these may have to undo; nothing is asked for where there are none."""
    names = [graph.steps[position].name for position in graph.nested]
    if names:
        rows = Step.objects.using(app_settings().DATABASE).filter(saga__in=_of(group, sagas), name__in=names)
        for saga_id, name, number in rows.filter(status__in=EXECUTED).values_list("saga_id", "name", "round"):
            yield child_id(saga_id, name, number)


def _of(group: Group, sagas: QuerySet[Saga]) -> QuerySet[Saga]:
    return sagas.filter(name=group.name, version=group.version, graph=group.graph)


def _losses(group: Group, among: QuerySet[Saga], known: dict[str, Graph]) -> Iterator[Loss]:
    sagas = _of(group, among)
    # Sagas that brought their own steps have no version, and no definition.
    if group.version and group.name not in registry.definitions:
        some = tuple(sagas.order_by("pk").values_list("pk", flat=True)[:SOME])
        yield Loss(f"the definition {group.name!r} is gone", group.sagas, some)
    graph = known.get(group.graph) or _read(group.graph)
    known[group.graph] = graph
    for spec in graph.steps:
        for need in _needs(group.name, spec):
            if need.by_context or need.gone({}):
                yield from _loss(need, spec, _rows(graph, spec, need, sagas))


def _read(digest: str) -> Graph:
    return Graph.from_json(SagaGraph.objects.using(app_settings().DATABASE).get(pk=digest).data)


def _rows(graph: Graph, spec: StepSpec, need: _Need, sagas: QuerySet[Saga]) -> QuerySet[Step]:
    """The rows of the step that have the need."""
    rows = Step.objects.using(app_settings().DATABASE).filter(need.who, name=spec.name, saga__in=sagas)
    if need.who is _UNDO:
        for pivot in graph.pivots:  # behind the point of no return nothing is undone
            passed = Step.objects.filter(saga=OuterRef("saga"), name=graph.steps[pivot].name)
            rows = rows.exclude(Exists(passed.exclude(status__in=[StepStatus.PENDING, *RESOLVED])))
    return rows


def _loss(need: _Need, spec: StepSpec, rows: QuerySet[Step]) -> Iterator[Loss]:
    why = _gone_for(need, rows) if need.by_context else need.gone({})
    count = rows.count() if why else 0
    if count:
        some = tuple(rows.order_by("saga_id").values_list("saga_id", flat=True)[:SOME])
        yield Loss(f"step {spec.name!r}: {need.what} {why}", count, some)


def _gone_for(need: _Need, rows: QuerySet[Step]) -> str:
    contexts = rows.order_by("saga_id").values_list("saga__context", flat=True)[:_TRIED]
    return next((why for context in contexts if (why := need.gone(context))), "")


_UNDO = (Q(saga__state=SagaState.STARTED) & ~Q(status=StepStatus.SKIPPED)) | _DONE


def _needs(name: str, spec: StepSpec) -> Iterator[_Need]:
    if spec.action:
        yield _Need(f"the action {spec.action!r}", _FORWARD, lambda context: _handler(spec.action, undo=False))
    if spec.saga:
        yield _Need(f"the child saga {spec.saga!r}", _FORWARD, lambda context: _definition(spec.saga))
    if spec.compensation:
        yield _Need(
            f"the compensation {spec.compensation!r}", _UNDO, lambda context: _handler(spec.compensation, undo=True)
        )
    if spec.probe:
        yield _Need(f"the probe {spec.probe!r}", _FORWARD | _DOUBTFUL, lambda context: _handler(spec.probe, undo=False))
    if name in registry.definitions:
        yield from _functions(name, spec)


def _functions(name: str, spec: StepSpec) -> Iterator[_Need]:
    """Functions of (context, outputs): they are never stored, so they must be in today's code."""
    composed = registry.definitions[name].is_composed()
    not_opened = _FORWARD & Q(opened=False)
    wanted = {
        "input": (spec.computed, _FORWARD & Q(input__isnull=True)),
        "when": (spec.when == CODE and not spec.join, not_opened),
        "until": (spec.until == CODE, not_opened),
        "for_each": (spec.for_each == CODE, _FORWARD),
    }
    for word, (needed, who) in wanted.items():
        if needed:
            yield _Need(f"the function {word}=", who, _lookup(name, spec.name, word), by_context=composed)


def _lookup(name: str, step: str, word: str) -> Callable[[Mapping[str, Any]], str]:
    def gone(context: Mapping[str, Any]) -> str:
        try:
            found = step_definition(name, step, context)
        except Exception as exc:  # the project's own function
            return f"is not found: steps= raised {type(exc).__name__}: {exc}"
        if found is None:
            return "is gone, and so is the step"
        return "" if callable(getattr(found, word)) else "is gone"

    return gone


def _definition(name: str) -> str:
    return "" if name in registry.definitions else "is gone"


def _handler(name: str, *, undo: bool) -> str:
    handler = registry.handlers.get(name)
    if handler is None:
        return "is gone"
    return "" if handler.undo == undo else "is registered as the other sort"
