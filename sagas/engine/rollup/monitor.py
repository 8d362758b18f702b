"""When the stale monitor has run last: whether celery beat (or cron) is alive is seen by that."""

from __future__ import annotations

from ...conf import app_settings
from ...models import Rollup
from ...store import get_store


def note_monitor() -> None:
    """The stale monitor has run."""
    rows = Rollup.objects.using(app_settings().DATABASE)
    rows.bulk_create([Rollup()], ignore_conflicts=True)
    rows.filter(pk=Rollup.ONLY).update(monitored_at=get_store().now())
