"""`manage.py saga_worker`: runs worker processes under a supervisor. It only parses and calls."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connections

from ...conf import app_settings
from ...exceptions import SagaError
from ...models import Worker
from ...transports import TransportError, parse_url
from ...worker.child import as_names, run_child
from ...worker.supervisor import Supervisor


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text!r}")
    return number


class Command(BaseCommand):
    """See the module."""

    help = "Run saga workers: claim steps, run their handlers, record what came of them."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        settings = app_settings()
        parser.add_argument(
            "--processes", type=positive, default=settings.PROCESSES, help="worker processes (SAGAS['PROCESSES'])"
        )
        parser.add_argument(
            "--threads", type=positive, default=settings.THREADS, help="handler threads in each (SAGAS['THREADS'])"
        )
        parser.add_argument(
            "--queues", help="serve only these queues, separated by commas; 'default' is the common one"
        )
        parser.add_argument("--burst", action="store_true", help="stop when nothing is due")
        parser.add_argument(
            "--prefetch", type=positive, default=settings.PREFETCH, help="hints taken from the broker at once"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Check what can be checked before forking, then supervise."""
        processes = self._check(options["processes"])
        child = {
            "threads": options["threads"],
            "queues": as_names(options["queues"]),
            "prefetch": options["prefetch"],
            "burst": options["burst"],
        }
        code = Supervisor(processes, lambda: run_child(**child), burst=options["burst"]).run()
        if code:
            sys.exit(code)

    def _check(self, processes: int) -> int:
        settings = app_settings()
        connection = connections[settings.DATABASE]
        try:
            if settings.BROKER_URL:
                parse_url(settings.BROKER_URL)
            connection.ensure_connection()
            tables = connection.introspection.table_names()
        except (SagaError, TransportError) as exc:
            raise CommandError(str(exc), returncode=2) from exc
        except DatabaseError as exc:
            raise CommandError(f"the database does not answer: {str(exc).strip()}", returncode=2) from exc
        if connection.vendor == "sqlite" and processes > 1:
            raise CommandError(
                f"expected --processes 1 on SQLite (one writer at a time), got {processes}; use PostgreSQL for more",
                returncode=2,
            )
        if Worker._meta.db_table not in tables:
            raise CommandError(
                "there are no tables of sagas in the database: run manage.py migrate first", returncode=2
            )
        return processes
