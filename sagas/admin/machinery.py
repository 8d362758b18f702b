"""Workers, queues and the stale monitor, as their rows say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from ..conf import app_settings
from ..models import Rollup, Worker
from ..schedule import ENTRY
from . import cells, links

BEATING, SILENT, DEAD = "beating", "silent", "dead"
_COLUMNS = ("id", "dead", "beat_at", "slots", "free_slots", "queue_depths", "running", "queues", "handlers")


def life(worker: Worker, now: datetime) -> str:
    """Dead when another process found it so; silent when its last beat is longer ago than the lease."""
    if worker.dead:
        return DEAD
    return SILENT if worker.beat_at is None or now - worker.beat_at > app_settings().LEASE else BEATING


def running(worker: Worker) -> int:
    """How many steps it ran at its last beat."""
    found = worker.running
    return int(found.get("count", 0)) if isinstance(found, dict) else 0


@dataclass(frozen=True, slots=True)
class Depth:
    """One queue of the broker."""

    queue: str
    depth: str
    at: SafeString | str


@dataclass(frozen=True, slots=True)
class Machinery:
    """What runs the sagas."""

    beating: int
    lost: int
    slots: int
    running: int
    url: str
    lost_url: str
    #: Empty where the user may not see workers: the numbers lead nowhere then.
    may_look: bool
    depths: list[Depth]
    monitor: SafeString | str
    monitor_url: str
    monitor_late: bool


def machinery(user: Any, row: Rollup) -> Machinery:
    """One query."""
    now = timezone.now()
    workers = list(Worker.objects.using(app_settings().DATABASE).only(*_COLUMNS))
    alive = [worker for worker in workers if life(worker, now) == BEATING]
    may_look = user.has_perm("sagas.view_worker")
    return Machinery(
        beating=len(alive),
        lost=len(workers) - len(alive),
        slots=sum(worker.slots for worker in alive),
        running=sum(running(worker) for worker in alive),
        url=links.workers(life=BEATING) if may_look else "",
        lost_url=links.workers(life="lost") if may_look else "",
        may_look=may_look,
        depths=_depths(workers),
        monitor=cells.ago(row.monitored_at) if row.monitored_at else gettext("never"),
        monitor_url=_monitor_url(user),
        monitor_late=row.monitored_at is None or now - row.monitored_at > 2 * app_settings().STALE_AFTER,
    )


def _depths(workers: list[Worker]) -> list[Depth]:
    """Each queue as the worker saw it that looked last."""
    found: dict[str, tuple[datetime, int]] = {}
    for worker in workers:
        depths = worker.queue_depths if isinstance(worker.queue_depths, dict) else {}
        for queue, depth in depths.items():
            if worker.beat_at and (queue not in found or found[queue][0] < worker.beat_at):
                found[queue] = (worker.beat_at, depth)
    return [Depth(queue, cells.number(depth), cells.ago(at)) for queue, (at, depth) in sorted(found.items())]


def _monitor_url(user: Any) -> str:
    """The beat entry's list, where it is installed and may be seen."""
    if not apps.is_installed("django_celery_beat") or not user.has_perm("django_celery_beat.view_periodictask"):
        return ""
    try:
        return f"{reverse('admin:django_celery_beat_periodictask_changelist')}?q={ENTRY.split(':')[0]}"
    except NoReverseMatch:
        return ""
