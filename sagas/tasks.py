"""Celery tasks: the stale monitor for beat. Imported by Celery's autodiscovery only."""

from __future__ import annotations

from celery import shared_task

from .engine.remind import remind_of_debts
from .engine.rollup import note_monitor, refresh
from .engine.stale import flag_stale as run
from .schedule import TASK

#: Seconds for counting, where there is much to count.
COUNTING = 20.0


@shared_task(name=TASK, ignore_result=True)  # type: ignore[untyped-decorator]
def flag_stale() -> int:
    """Flag stale sagas and remind of debts, as `manage.py saga_flag_stale` does. Twice at once is harmless.

    It also brings the admin's counts up to date, where no worker does.
    """
    flagged = run()
    remind_of_debts()
    note_monitor()
    refresh(within=COUNTING)
    return flagged
