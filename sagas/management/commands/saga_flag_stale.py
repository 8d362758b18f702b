"""`manage.py saga_flag_stale`: the stale monitor by hand or by cron."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from ...engine.remind import remind_of_debts
from ...engine.rollup import note_monitor, refresh
from ...engine.stale import flag_stale

#: Seconds for counting, where there is much to count.
COUNTING = 20.0


class Command(BaseCommand):
    """See the module."""

    help = (
        "Flag sagas that have made no progress for SAGAS['STALE_AFTER'], and remind of debts that have been open for "
        "SAGAS['DEBT_REMINDER']. Brings the admin's counts up to date, where no worker does."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Flag and say how many."""
        self.stdout.write(f"flagged {flag_stale()} stale sagas")
        if reminded := remind_of_debts():
            self.stdout.write(f"reminded of debts: {reminded}")
        note_monitor()
        refresh(within=COUNTING)
