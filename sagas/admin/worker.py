"""`WorkerAdmin`: which worker processes there are, and whether they live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..definitions.ids import parse_id
from ..engine.criteria import CriterionError
from ..models import Worker
from . import cells, links
from .filters import KnownValuesFilter
from .machinery import BEATING, DEAD, SILENT, life, running
from .readonly import ReadOnlyAdmin

#: In place of a life: whoever does not beat.
LOST = "lost"
_WORDS = {BEATING: ("good", _("beating")), SILENT: ("undoing", _("silent")), DEAD: ("bad", _("dead"))}


class LifeFilter(KnownValuesFilter):
    """By whether they live."""

    title = _("life")
    parameter_name = "life"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """Two: who beats, and who does not."""
        return [(BEATING, _("beating")), (LOST, _("silent or dead"))]

    def matching(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        """As the column says."""
        if value not in (BEATING, LOST):
            raise CriterionError(
                gettext("expected one of %(expected)s, got “%(value)s”")
                % {"expected": f"{BEATING}, {LOST}", "value": value[:80]}
            )
        beats = Q(dead=False, beat_at__gte=timezone.now() - app_settings().LEASE)
        return queryset.filter(beats) if value == BEATING else queryset.exclude(beats)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Worker processes."""

    list_columns = ("id", "host", "pid", "queues", "slots", "free_slots", "running", "dead", "started_at", "beat_at")
    list_display = (
        "process_column",
        "life_column",
        "beat_column",
        "queues_column",
        "slots_column",
        "running_column",
        "started_column",
    )
    list_filter = (LifeFilter,)
    allowed_lookups = frozenset({"life"})
    ordering = ("dead", "-id")
    fields = (
        "host",
        "pid",
        "life_column",
        "beat_column",
        "started_column",
        "slots_column",
        "running_column",
        "steps_column",
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
        return cells.badge(*_WORDS[life(worker, timezone.now())])

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

    @admin.display(description=_("running"))
    def running_column(self, worker: Worker) -> str:
        """How many steps ran at its last beat."""
        return cells.number(running(worker))

    @admin.display(description=_("running steps"))
    def steps_column(self, worker: Worker) -> SafeString | str:
        """What it ran at its last beat, with links to the sagas."""
        shown = worker.running.get("steps", ()) if isinstance(worker.running, dict) else ()
        lines = [_step(str(one["saga"]), str(one["step"]), undo=bool(one["undo"])) for one in shown]
        more = running(worker) - len(lines)
        if more > 0 and lines:
            lines.append(format_html("{}", gettext("and %(count)d more") % {"count": more}))
        items = format_html_join("", "<li>{}</li>", ((line,) for line in lines))
        return format_html('<ul class="saga-plain">{}</ul>', items) if lines else "-"


def _step(saga: str, step: str, *, undo: bool) -> SafeString:
    text = gettext("%(step)s, being undone") % {"step": step} if undo else step
    if parse_id(saga) is None:
        return format_html("{}", text)
    return format_html('{} <a href="{}"><code>{}</code></a>', text, links.saga(saga), saga)
