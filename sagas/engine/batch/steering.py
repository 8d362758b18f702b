"""What a person does to a batch: pause, resume, go on after it has stopped itself, cancel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext

from ...exceptions import BatchError
from ...models import Batch
from ...models.batch import LIVING, OPEN, BatchState
from ...store import get_store
from ..operate import clean_actor, clean_reason
from .row import locked, note
from .wishes import check_allowed


def pause(key: int, *, reason: str = "", actor: str = "", user: Any = None) -> Batch:
    """Act on no further saga until somebody resumes it. Raises `BatchError`."""
    return _steer(key, "pause", LIVING, BatchState.PAUSED, reason=reason, actor=actor, user=user)


def resume(key: int, *, reason: str = "", actor: str = "", user: Any = None) -> Batch:
    """Go on after a pause. Raises `BatchError`."""
    return _steer(key, "resume", [BatchState.PAUSED], BatchState.GOING, reason=reason, actor=actor, user=user)


def go_on(key: int, *, reason: str = "", actor: str = "", user: Any = None) -> Batch:
    """Go on though it has stopped itself. It stops again after ten more failures in a row, but no more for refusals.
    Raises `BatchError`."""
    return _steer(key, "go_on", [BatchState.STOPPED], BatchState.GOING, reason=reason, actor=actor, user=user)


def cancel(key: int, *, reason: str = "", actor: str = "", user: Any = None) -> Batch:
    """Act on no further saga, ever. What was done stays done. Raises `BatchError`."""
    return _steer(key, "cancel", OPEN, BatchState.CANCELLED, reason=reason, actor=actor, user=user)


def _steer(  # noqa: PLR0913
    key: int, what: str, expected: Sequence[str], state: BatchState, *, reason: str, actor: str, user: Any
) -> Batch:
    told = {"actor": clean_actor(actor), "reason": clean_reason(reason)}
    with locked(key, wait=True) as batch:
        if batch is None:
            raise BatchError(gettext("There is no such batch."))
        if user is not None:
            check_allowed(user, batch.verb, batch.filters)
        if batch.state not in expected:
            raise BatchError(
                gettext("Batch %(number)d is %(state)s: there is nothing to do.")
                % {"number": batch.pk, "state": batch.get_state_display()}
            )
        now = get_store().now()
        if state is BatchState.CANCELLED:
            batch.ended_at = now
        else:
            batch.ended_at, batch.next_at = None, now
        if what == "go_on":
            batch.why = ""
            batch.forgiven = batch.items.order_by("-pk").values_list("pk", flat=True).first() or 0
        batch.state = state
        note(batch, now, what, **told)
        batch.save(update_fields=["state", "why", "forgiven", "next_at", "ended_at", "events"])
    return batch
