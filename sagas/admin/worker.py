"""`WorkerAdmin`: which worker processes there are, and whether they live."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..models import Worker
from . import cells
from .readonly import ReadOnlyAdmin


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Worker processes."""

    list_columns = ("id", "host", "pid", "queues", "slots", "free_slots", "dead", "started_at", "beat_at")
    list_display = (
        "process_column",
        "life_column",
        "beat_column",
        "queues_column",
        "slots_column",
        "started_column",
    )
    ordering = ("dead", "-id")
    fields = (
        "host",
        "pid",
        "life_column",
        "beat_column",
        "started_column",
        "slots_column",
        "queues_column",
        "handlers_column",
        "depths_column",
    )
    readonly_fields = fields

    @admin.display(description=_("process"))
    def process_column(self, worker: Worker) -> str:
        """Host and process id."""
        return str(worker)

    @admin.display(description=_("life"))
    def life_column(self, worker: Worker) -> SafeString:
        """Dead when another process found it so; silent when its last beat is longer ago than the lease."""
        if worker.dead:
            return cells.badge("bad", _("dead"))
        lease = app_settings().LEASE
        silent = worker.beat_at is None or timezone.now() - worker.beat_at > lease
        return cells.badge("undoing", _("silent")) if silent else cells.badge("good", _("beating"))

    @admin.display(description=_("last beat"))
    def beat_column(self, worker: Worker) -> SafeString | str:
        """The age of its last beat."""
        return cells.ago(worker.beat_at) if worker.beat_at else cells.nothing()

    @admin.display(description=_("queues"))
    def queues_column(self, worker: Worker) -> str:
        """The queues it serves; the common one has no name."""
        if worker.queues is None:
            return str(_("all"))
        return ", ".join(str(name) or str(_("common")) for name in worker.queues) or "-"

    @admin.display(description=_("free slots"))
    def slots_column(self, worker: Worker) -> str:
        """Free ones of all."""
        return f"{worker.free_slots}/{worker.slots}"

    @admin.display(description=_("started"))
    def started_column(self, worker: Worker) -> SafeString | str:
        """Its age."""
        return cells.ago(worker.started_at)

    @admin.display(description=_("handlers"))
    def handlers_column(self, worker: Worker) -> str:
        """What it can run."""
        return ", ".join(sorted(map(str, worker.handlers))) or "-"

    @admin.display(description=_("queue depths"))
    def depths_column(self, worker: Worker) -> str:
        """Messages in the broker's queues, as it saw them last."""
        found = worker.queue_depths.items() if isinstance(worker.queue_depths, dict) else ()
        return ", ".join(f"{queue}: {depth}" for queue, depth in sorted(found)) or "-"
