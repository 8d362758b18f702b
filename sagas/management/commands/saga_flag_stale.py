"""`manage.py saga_flag_stale`: the stale monitor by hand or by cron."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from ...engine.stale import flag_stale


class Command(BaseCommand):
    """See the module."""

    help = "Flag sagas that have made no progress for SAGAS['STALE_AFTER']."

    def handle(self, *args: Any, **options: Any) -> None:
        """Flag and say how many."""
        self.stdout.write(f"flagged {flag_stale()} stale sagas")
