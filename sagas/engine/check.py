"""The check of invariants on live data: reads sagas page by page, each with its history, and audits them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from ..conf import app_settings
from ..core.audit import Violation, audit
from ..core.graph import Graph
from ..core.history import Entry
from ..core.rows import SagaRow, StepRow
from ..models import HistoryEntry, Saga
from ..store import get_store
from ..store.reading import stored_graph
from .check_family import check_families

PAGE = 200
#: A saga may be looked at this late before it counts as forgotten.
_LATE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation, and whose."""

    saga_id: UUID
    violation: Violation


def check(*, ids: Iterable[UUID] | None = None, alive_only: bool = False) -> Iterator[Finding | int]:
    """Audit sagas; yields each finding, and after each page how many sagas it had. A named saga that is not there is a
    finding too."""
    wanted = None if ids is None else set(ids)
    missing = set(wanted or ())
    for page in _pages(wanted, alive_only=alive_only):
        missing.difference_update(page)
        yield from _check_page(page)
        yield len(page)
    if not alive_only:
        for saga_id in sorted(missing):
            yield Finding(saga_id, Violation("I3", "there is no such saga"))


def _pages(ids: Collection[UUID] | None, *, alive_only: bool) -> Iterator[list[UUID]]:
    sagas = Saga.objects.using(app_settings().DATABASE).order_by("pk")
    if ids is not None:
        sagas = sagas.filter(pk__in=ids)
    if alive_only:
        sagas = sagas.active()
    last: UUID | None = None
    while True:
        rest = sagas if last is None else sagas.filter(pk__gt=last)
        page = list(rest.values_list("pk", flat=True)[:PAGE])
        if not page:
            return
        yield page
        last = page[-1]


def _check_page(page: Sequence[UUID]) -> Iterator[Finding]:
    store = get_store()
    now = store.now()
    loaded, entries = _read(page)
    for saga_id, (saga, steps) in loaded.items():
        for violation in [*audit(saga, steps, entries[saga_id]), *_forgotten(saga, now - _LATE)]:
            yield Finding(saga_id, violation)
    for saga_id, violation in check_families(loaded, entries):
        yield Finding(saga_id, violation)


def _read(page: Sequence[UUID]) -> tuple[dict[UUID, tuple[SagaRow, list[StepRow]]], dict[UUID, list[Entry]]]:
    """Rows, and their history up to the revision that was read: sagas may move on between the two reads."""
    loaded = get_store().load(page)
    rows = HistoryEntry.objects.using(app_settings().DATABASE).filter(saga_id__in=page).order_by("saga_id", "id")
    found: dict[UUID, list[Entry]] = {saga_id: [] for saga_id in loaded}
    for row in rows:
        if row.saga_id in found and (row.seq is None or row.seq <= loaded[row.saga_id][0].revision):
            found[row.saga_id].append(_entry(row, loaded[row.saga_id][0].graph))
    return loaded, found


def _entry(row: HistoryEntry, graph: Graph) -> Entry:
    position = graph.names.get(row.step)
    digest = row.data.get("graph")
    before = stored_graph(digest, app_settings().DATABASE) if digest else None
    return Entry(
        row.seq, row.kind, row.at, position, row.attempt, row.round, row.actor, row.reason, row.data, row.note_key,
        before,
    )  # fmt: skip


def _forgotten(saga: SagaRow, limit: datetime) -> list[Violation]:
    if saga.wake_at is None or saga.paused_at is not None or saga.attention or not saga.wake_at < limit:
        return []
    return [Violation("I1", f"nobody has looked at it since {saga.wake_at:%Y-%m-%d %H:%M:%S} (are workers running?)")]
