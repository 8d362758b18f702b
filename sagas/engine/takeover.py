"""Dead workers: which sagas name them in a claim."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q

from ..conf import app_settings
from ..models import Step, Worker


def sagas_of(worker: UUID, *, limit: int = 500) -> list[UUID]:
    """Living sagas in which the worker holds a claim, or in which its old thread is waited for.

    A walk over the living sagas: no index may name a column that changes with every step. It is taken once per death.
    """
    steps = Step.objects.using(app_settings().DATABASE).filter(saga__wake_at__isnull=False).order_by()
    named = steps.filter(Q(claim_worker=worker) | Q(stale_worker=worker))
    return list(named.values_list("saga_id", flat=True).distinct()[:limit])


def claims_of(worker: UUID) -> list[tuple[UUID, int, int, bool]]:
    """The worker's own claims as the rows have them: saga, position, token, and whether the step is being undone."""
    steps = Step.objects.using(app_settings().DATABASE).filter(saga__wake_at__isnull=False, claim_worker=worker)
    rows = steps.order_by().values_list("saga_id", "position", "claim_token", "undo_attempt")
    return [(saga_id, position, token or 0, undo > 0) for saga_id, position, token, undo in rows]


def forget(worker: UUID) -> None:
    """Delete the row of a dead worker that holds nothing any more."""
    Worker.objects.using(app_settings().DATABASE).filter(pk=worker).delete()


def unknown_workers(named: Iterable[UUID], live: Iterable[UUID]) -> set[UUID]:
    """Of the workers named in claims, those without a living row."""
    return set(named) - set(live)
