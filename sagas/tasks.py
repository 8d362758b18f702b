"""Celery tasks: the stale monitor for beat. Imported by Celery's autodiscovery only."""

from __future__ import annotations

from celery import shared_task

from .engine.stale import flag_stale as run
from .schedule import TASK


@shared_task(name=TASK, ignore_result=True)  # type: ignore[untyped-decorator]
def flag_stale() -> int:
    """Flag stale sagas; the same as `manage.py saga_flag_stale`. Running it twice at once is harmless."""
    return run()
