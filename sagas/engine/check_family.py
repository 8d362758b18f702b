"""The audit of families on live data: reads the children and parents of a page of sagas, and reads again what looks
wrong, since families move on while one reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from ..core.audit import Violation
from ..core.audit_family import Rows, audit_children, audit_parent, children_of
from ..core.history import Entry
from ..core.rows import SagaRow
from ..definitions.ids import id_text
from ..store import get_store


def check_families(
    loaded: Mapping[UUID, Rows], entries: Mapping[UUID, Sequence[Entry]]
) -> Iterator[tuple[UUID, Violation]]:
    """Sagas that do not agree with their children or their parent."""
    wanted = {key for saga, steps in loaded.values() for _, key in children_of(saga, steps)}
    wanted |= {saga.parent for saga, _ in loaded.values() if saga.parent is not None}
    if not wanted:
        return
    kin = get_store().load(wanted)
    for saga_id, (saga, steps) in loaded.items():
        for violation in audit_children(saga, steps, entries[saga_id], kin, id_text):
            if _stands_still(saga):
                yield saga_id, violation
        above = None if saga.parent is None else kin.get(saga.parent)
        for violation in audit_parent(saga, above, id_text):
            if get_store().load([saga_id]):
                yield saga_id, violation


def _stands_still(saga: SagaRow) -> bool:
    """Whether it is what it was before its children were read."""
    found = get_store().load([saga.id]).get(saga.id)
    return found is not None and found[0].revision == saga.revision
