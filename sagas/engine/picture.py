"""Pictures of definitions and of sagas, for whoever draws them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from ..core.drawing.picture import Picture, marks_of
from ..core.errors import DefinitionError
from ..definitions.ids import id_text
from ..exceptions import SagaNotFoundError
from ..models import Saga
from ..store import get_store
from .blueprint import definition_of


def picture_of(name: str, context: Mapping[str, Any] | None = None) -> Picture:
    """A definition as today's code has it. `context`: for one whose steps are a function of the context.

    Raises `DefinitionError`.
    """
    definition = definition_of(name)
    try:
        graph = definition.graph(context)
    except DefinitionError:
        raise
    except Exception as exc:  # the project's own function
        if not definition.is_composed():
            raise
        raise DefinitionError(
            f"saga definition {name!r}: its steps are a function of the context, which raised "
            f"{type(exc).__name__}: {exc}; give it a context that it understands"
        ) from exc
    return Picture(f"{definition.name} {definition.version}", graph)


def picture_of_saga(saga_id: UUID) -> Picture:
    """A saga with the statuses of its steps. Raises `SagaNotFoundError`."""
    saga = Saga.objects.filter(pk=saga_id).only("name", "version").first()
    found = get_store().load([saga_id]).get(saga_id)
    if saga is None or found is None:
        raise SagaNotFoundError(f"there is no saga {id_text(saga_id)}", saga_id=saga_id)
    row, steps = found
    flags = [str(row.state), *(["paused"] if row.paused_at else []), *([row.attention] if row.attention else [])]
    return Picture(f"{saga.name} {saga.version} {saga.ulid}: {', '.join(flags)}", row.graph, marks_of(steps))
