"""Moving sagas in flight to the graph of today's code, by an explicit mapping of step names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from ..conf import app_settings
from ..core.decide import decide
from ..core.errors import DefinitionError, SagaError
from ..core.graph import Graph
from ..core.migrate import check_mapping, places
from ..core.states import ALIVE
from ..core.triggers import Migrate
from ..definitions.definition import SagaDefinition
from ..models import Saga
from ..store import get_store
from ..store.base import Payload, Submission
from ..store.reading import stored_graph
from .blueprint import Blueprint, blueprint, definition_of
from .operate import clean_actor, clean_reason, submit

PAGE = 200


@dataclass(frozen=True, slots=True)
class Move:
    """What became of one saga (in a dry run: what would); `why` it was skipped, empty when it was moved."""

    saga_id: UUID
    why: str = ""


@dataclass(frozen=True, slots=True)
class Migration:
    """Which sagas are moved, and how."""

    definition: type[SagaDefinition]
    from_version: str
    mapping: Mapping[str, str | None]
    actor: str = ""
    reason: str = ""

    def sagas(self) -> QuerySet[Saga]:
        """Those that are meant; one that has ended, or is being rolled back, stays on its graph."""
        sagas: QuerySet[Saga] = Saga.objects.using(app_settings().DATABASE).filter(state__in=ALIVE)
        return sagas.filter(name=self.definition.name, version=self.from_version)

    def trigger(self, plan: Blueprint, revision: int) -> Migrate:
        """For a saga that was read at this revision."""
        version = "" if plan.version == self.from_version else plan.version
        return Migrate(self.actor, self.reason, revision, plan.graph, self.mapping, version)


def plan(
    name: str,
    *,
    from_version: str,
    to_version: str,
    mapping: Mapping[str, str | None],
    actor: str = "",
    reason: str = "",
) -> Migration:
    """A migration whose mapping fits. Raises `DefinitionError`; nothing has changed then."""
    definition = definition_of(name)
    if definition.version != to_version:
        raise DefinitionError(f"{name}: today's code has version {definition.version!r}, not {to_version!r}")
    found = Migration(definition, from_version, mapping, clean_actor(actor), clean_reason(reason))
    graphs = [stored_graph(digest, app_settings().DATABASE) for digest in _digests(found)]
    for graph in graphs:
        check_mapping(graph, mapping)
        if not definition.is_composed():
            places(graph, definition.graph(), mapping)
    known = {step for graph in graphs for step in graph.names}
    strange = [step for step in mapping if step not in known]
    if strange and graphs:
        raise DefinitionError(f"the mapping has {strange[0]!r}, which no saga of version {from_version!r} has")
    return found


def _digests(migration: Migration) -> list[str]:
    return list(migration.sagas().order_by().values_list("graph_id", flat=True).distinct())


def migrate(migration: Migration, *, dry_run: bool = False) -> Iterator[Move]:
    """Move one saga after the other, each in a transaction of its own; what can not be moved now is skipped."""
    last: UUID | None = None
    while True:
        rest = migration.sagas().order_by("pk")
        rest = rest if last is None else rest.filter(pk__gt=last)
        page = list(rest.values_list("pk", "context" if migration.definition.is_composed() else "pk")[:PAGE])
        if not page:
            return
        for saga_id, context in page:
            yield _move(migration, saga_id, context, dry_run=dry_run)
        last = page[-1][0]


def _move(migration: Migration, saga_id: UUID, context: Any, *, dry_run: bool) -> Move:
    store = get_store()
    found = store.load([saga_id]).get(saga_id)
    if found is None:
        return Move(saga_id, "it is gone")
    row, steps = found
    try:
        plan = _blueprint(migration.definition, context)
        trigger = migration.trigger(plan, row.revision)
        if dry_run:
            return Move(saga_id, decide(row, steps, trigger, store.now()).ignored)
        return Move(saga_id, submit(Submission(saga_id, trigger, _inputs(row.graph, plan, migration))).reason)
    except SagaError as exc:
        return Move(saga_id, exc.message)


def _blueprint(definition: type[SagaDefinition], context: Any) -> Blueprint:
    try:
        return blueprint(definition, context if definition.is_composed() else {})
    except SagaError:
        raise
    except Exception as exc:  # the project's own function
        raise DefinitionError(f"steps= raised {type(exc).__name__}: {exc}") from exc


def _inputs(old: Graph, plan: Blueprint, migration: Migration) -> Payload:
    """The inputs that are known; others are worked out when the steps' turns come."""
    positions = places(old, plan.graph, migration.mapping)
    return Payload(inputs={positions[plan.graph.steps[place].name]: text for place, text in plan.fixed.items()})
