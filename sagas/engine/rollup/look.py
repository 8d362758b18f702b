"""One look: count what came since the last one. One process does it at a time; the others leave it alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import OperationalError, connections, transaction
from django.db.models import Max

from ...conf import app_settings
from ...models import HistoryEntry, Rollup
from ...store import get_store
from . import events, groups, horizon, walk, writing
from .facts import facts
from .horizon import Mark

logger = logging.getLogger(__name__)

#: History entries counted in one transaction.
SLICE = 20_000
#: Sagas of the full count in one transaction: the first time, and later, when it only puts right what went wrong.
FIRST_WALK, LATER_WALK = 5_000, 1_000
#: Between two full counts.
WALK_AGAIN = 3600.0


def refresh(*, force: bool = False, within: float = 0.0) -> bool:
    """Bring the rollup up to date, if that is due (`force`: even if not). Whether there is more to do at once.

    One bounded transaction; with `within`, one after the other for about so many seconds. Does nothing while another
    process is at it. Raises `django.db.Error`.
    """
    alias = app_settings().DATABASE
    end = time.monotonic() + within
    more = _look(alias, force)
    while more and time.monotonic() < end:
        more = _look(alias, force)
    return more


def _look(alias: str, force: bool) -> bool:
    rows = Rollup.objects.using(alias)
    row = rows.filter(pk=Rollup.ONLY).first()
    if row is None:
        rows.bulk_create([Rollup()], ignore_conflicts=True)
        row = Rollup()
    if not force and not _is_due(row, get_store().now()):
        return False
    found: Mark | None = None
    waiting: Mark | None = None
    if connections[alias].vendor == "postgresql":
        found, waiting = horizon.settled(alias, horizon.kept(row.mark))
    try:
        with _alone(alias):
            locked = rows.select_for_update(skip_locked=connections[alias].features.has_select_for_update_skip_locked)
            held = locked.filter(pk=Rollup.ONLY).first()
            now = get_store().now()
            if held is None or not (force or _is_due(held, now)):
                return False
            if connections[alias].vendor != "postgresql":
                found = Mark(horizon.seen(alias), now)
            held.mark = waiting.data() if waiting else {}
            held.behind = _count(alias, held, found, now)
            held.refreshed_at = now
            held.save(using=alias, update_fields=_KEPT)
            return held.behind
    except OperationalError as exc:
        if getattr(exc.__cause__, "sqlstate", "") != "40001":
            raise
        return False  # another process counted at the same moment


_KEPT = ["cursor", "counted_at", "mark", "walk", "walked_at", "backfill", "facts", "behind", "refreshed_at"]


def _is_due(row: Rollup, now: datetime) -> bool:
    return row.behind or row.refreshed_at is None or now - row.refreshed_at >= app_settings().ROLLUP_EVERY


@contextmanager
def _alone(alias: str) -> Iterator[None]:
    """A transaction that sees one moment. (Inside a test's own there is nobody else.)"""
    connection = connections[alias]
    nested = connection.in_atomic_block
    with get_store().atomic():
        if nested or connection.vendor != "postgresql":
            with transaction.atomic(using=alias):
                yield
            return
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            # A slice is small beside the tables: never read one of these whole.
            for plan in ("seqscan", "hashjoin", "mergejoin"):
                cursor.execute(f"SET LOCAL enable_{plan} = off")
        yield


def _count(alias: str, row: Rollup, found: Mark | None, now: datetime) -> bool:
    """One slice of everything; whether there is more at once."""
    row.facts = facts(alias)
    if found is not None:
        _begin(alias, row, found)
    if row.cursor is None:
        return False  # a long transaction is open: next time
    migrated = _entries(alias, row, found, now)
    caught_up = found is not None and row.cursor >= found.id
    if caught_up and found is not None:
        row.counted_at = found.at
    _walk(alias, row, now, again=migrated, may=caught_up)
    if row.backfill is not None:
        row.backfill = _fill_back(alias, row.backfill, now)
    writing.drop_old(alias, now - writing.KEEP)
    groups.forget(alias, now, now - writing.KEEP)
    late = found is not None and not caught_up
    return late or row.backfill is not None or (caught_up and row.walked_at is None)


def _begin(alias: str, row: Rollup, found: Mark) -> None:
    """The first time; and where the history has become shorter, because somebody has emptied the tables."""
    if row.cursor is not None and row.cursor <= found.id:
        return
    if row.cursor is not None and row.cursor <= horizon.seen(alias):
        return  # an older mark of this process: another one is further
    writing.drop_all(alias)
    groups.drop_all(alias)
    row.cursor = row.backfill = found.id
    row.walk, row.walked_at = walk.START, None


def _entries(alias: str, row: Rollup, found: Mark | None, now: datetime) -> bool:
    """Count the next entries; whether there are migrations among them."""
    if found is None or row.cursor is None or row.cursor >= found.id:
        return False
    behind = HistoryEntry.objects.using(alias).filter(id__gt=row.cursor).order_by("id").values_list("id", flat=True)
    begin = min((behind.first() or found.id + 1) - 1, found.id)  # over the gaps that deleted histories leave
    end = min(begin + SLICE, found.id)
    slice_ = events.entries(alias, begin, end)
    since = now - writing.KEEP
    moves = list(events.moves(slice_, row.walk))
    writing.add_moves(alias, moves)
    writing.add_hours(alias, moves, since)
    writing.add_durations(alias, events.durations(slice_, end - begin), since)
    groups.add(alias, slice_, since, newest=True)
    row.cursor = end
    if end < found.id:
        row.counted_at = slice_.order_by("-id").values_list("at", flat=True).first() or row.counted_at
    return events.migrated(slice_)


def _walk(alias: str, row: Rollup, now: datetime, *, again: bool, may: bool) -> None:
    """A slice of the full count. `again`: from the beginning; `may`: few entries are behind the cursor."""
    old = row.walked_at is not None and (now - row.walked_at).total_seconds() >= WALK_AGAIN
    if again or (row.walk is None and old):
        writing.begin_recount(alias)
        row.walk = walk.START
    if may and row.walk is not None:
        size = FIRST_WALK if row.walked_at is None else LATER_WALK
        if walk.step(alias, row, size):
            row.walked_at = now


def _fill_back(alias: str, upto: int, now: datetime) -> int | None:
    """Hours and durations of the entries below; what is left to do."""
    since = now - writing.KEEP
    begin = max(0, upto - SLICE)
    slice_ = events.entries(alias, begin, upto)
    moves = list(events.moves(slice_, None))
    writing.add_hours(alias, moves, since)
    writing.add_durations(alias, events.durations(slice_, upto - begin), since)
    groups.add(alias, slice_, since, newest=False)
    newest = slice_.aggregate(at=Max("at"))["at"]
    least = HistoryEntry.objects.using(alias).filter(id__lte=begin).order_by("-id").values_list("id", flat=True).first()
    return least if least is not None and (newest is None or newest >= since) else None
