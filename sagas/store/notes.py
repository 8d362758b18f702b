"""Notes that no decision makes: lines of the history that change nothing."""

from __future__ import annotations

from uuid import UUID

from ..core.history import Entry
from ..core.states import StepStatus
from ..models import HistoryEntry, Saga, Step


def add_note(alias: str, saga_id: UUID, entry: Entry, status: StepStatus | None) -> bool:
    """See `Store.add_note`. Inside a transaction; the saga is locked, so nobody writes the same note meanwhile."""
    if not Saga.objects.using(alias).select_for_update(no_key=True).filter(pk=saga_id).values_list("pk"):
        return False
    name = ""
    if status is not None or entry.position is not None:
        steps = Step.objects.using(alias).filter(saga_id=saga_id, position=entry.position or 0)
        step = (steps if status is None else steps.filter(status=status)).only("name").first()
        if step is None:
            return False
        name = step.name
    known = HistoryEntry.objects.using(alias).filter(saga_id=saga_id, note_key=entry.note_key)
    if entry.note_key is not None and known.exists():
        return False
    HistoryEntry.objects.using(alias).create(
        saga_id=saga_id,
        kind=entry.kind,
        step=name,
        attempt=entry.attempt,
        round=entry.round,
        actor=entry.actor,
        reason=entry.reason,
        data=entry.data or {},
        note_key=entry.note_key,
        at=entry.at,
    )
    return True
