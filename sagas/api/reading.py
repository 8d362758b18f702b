"""Reading bodies: few columns, a fixed number of queries, and a saga with its steps of one moment.

A saga and its steps are two statements, between which a worker may commit. Every step is read with the
revision its saga had in the same statement; a saga that was read at another one is read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from django.db.models import F, Prefetch, QuerySet, prefetch_related_objects
from rest_framework.exceptions import NotFound

from ..conf import app_settings
from ..definitions.ids import parse_id
from ..models import Saga, Step
from .permissions import visible_to

SAGA_COLUMNS = (
    "name",
    "version",
    "state",
    "revision",
    "attention",
    "stale_since",
    "paused_at",
    "deadline_at",
    "parent_id",
    "context",
    "created_at",
    "updated_at",
    "completed_at",
)
STEP_COLUMNS = (
    "saga_id",
    "name",
    "action",
    "compensation",
    "input",
    "output",
    "undo_output",
    "status",
    "round",
    "attempt",
    "claim_token",
    "progress",
    "progress_token",
    "doubt",
    "hold",
    "waits",
    "due_at",
    "approved_by",
    "owner",
    "error_code",
    "error_message",
    "executed_at",
    "compensated_at",
)
#: A saga that moves faster than it can be read is shown as it was read last.
_TRIES = 3


def narrow(sagas: QuerySet[Saga]) -> QuerySet[Saga]:
    """Only what a body shows."""
    return sagas.only(*SAGA_COLUMNS)


def bodies(sagas: Iterable[Saga]) -> list[Saga]:
    """The sagas in their order, each with `shown_steps`."""
    shown = {saga.pk: saga for saga in sagas}
    moved = list(shown.values())
    for _ in range(_TRIES):
        _attach_steps(moved)
        torn = [saga.pk for saga in moved if _is_torn(saga)]
        if not torn:
            break
        moved = list(narrow(_sagas()).filter(pk__in=torn))
        shown |= {saga.pk: saga for saga in moved}
    _attach_steps([saga for saga in shown.values() if not hasattr(saga, "shown_steps")])
    return list(shown.values())


def find(user: Any, text: str) -> Saga:
    """The saga of that id, if it exists for the user. Raises `NotFound`."""
    key = parse_id(text)
    saga = None if key is None else narrow(visible_to(user)).filter(pk=key).first()
    if saga is None:
        raise NotFound("there is no such saga, or it is not yours to see")
    return saga


def body(saga: Saga) -> Saga:
    """One saga with `shown_steps`."""
    return bodies([saga])[0]


def _sagas() -> QuerySet[Saga]:
    return cast("QuerySet[Saga]", Saga.objects.using(app_settings().DATABASE))


def _attach_steps(sagas: Sequence[Saga]) -> None:
    steps = (
        Step.objects.using(app_settings().DATABASE)
        .only(*STEP_COLUMNS)
        .annotate(saga_revision=F("saga__revision"))
        .order_by("saga_id", "position")
    )
    prefetch_related_objects(list(sagas), Prefetch("steps", queryset=steps, to_attr="shown_steps"))


def _is_torn(saga: Saga) -> bool:
    return any(step.saga_revision != saga.revision for step in saga.shown_steps)  # type: ignore[attr-defined]
