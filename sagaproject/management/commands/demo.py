"""`manage.py demo`: orders through the REST API; every one must end, and stock, money and parcels must balance."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from rest_framework.authtoken.models import Token

from participants.demo import demo_orders, seed_stock
from participants.reconcile import reconcile
from sagaproject import preflight
from sagaproject.demo.orders import send
from sagaproject.demo.processes import Process, running
from sagaproject.demo.progress import Progress
from sagas.models import Saga

#: A demo that takes longer has lost something.
_PATIENCE = 120.0
_SHOWN = 20


class Command(BaseCommand):
    """See the module."""

    help = "Send the demo's orders through the REST API and check the participants' books against the sagas."

    def add_arguments(self, parser: CommandParser) -> None:
        """See `--help`."""
        parser.add_argument("--orders", type=int, help="only the first so many orders")
        parser.add_argument("--reconcile-only", action="store_true", help="check the books of the last run again")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, report, reconcile."""
        self._last = Path(settings.VAR_DIR) / "demo.json"
        if options["reconcile_only"]:
            ids = [UUID(text) for text in json.loads(self._last.read_text())]
        else:
            if found := preflight.trouble():
                raise CommandError(found)
            call_command("migrate", verbosity=0, interactive=False)
            seed_stock()
            ids = self._run(demo_orders()[: options["orders"]])
            self._last.write_text(json.dumps([str(saga_id) for saga_id in ids]))
        self._conclude(ids)

    def _run(self, orders: Sequence[dict[str, Any]]) -> list[UUID]:
        customer, _ = get_user_model().objects.get_or_create(username="demo")
        token, _ = Token.objects.get_or_create(user=customer)
        where = "RabbitMQ" if settings.SAGAS.get("BROKER_URL") else "no broker"
        self.stdout.write(f"{len(orders)} orders on {connection.vendor}, {where}")
        with running(processes=1 if connection.vendor == "sqlite" else 2) as (address, processes):
            began = time.monotonic()
            sent = Progress(self.stdout, "sent ", len(orders))  # type: ignore[arg-type]
            ids = send(address, token.key, orders, sent.step)
            self._wait(ids, processes)
            self._seconds = time.monotonic() - began
        self._report(ids)
        return ids

    def _wait(self, ids: Sequence[UUID], processes: Sequence[Process]) -> None:
        ended = Progress(self.stdout, "ended", len(ids))  # type: ignore[arg-type]
        first = min(ids)
        end = time.monotonic() + _PATIENCE
        count = 0
        while count < len(ids) and time.monotonic() < end:
            for process in processes:
                process.check()
            count = len(ids) - Saga.objects.active().filter(pk__gte=first, owner="demo").count()
            ended.set(count)
            time.sleep(0.1)

    def _report(self, ids: Sequence[UUID]) -> None:
        outcomes = Counter(Saga.objects.filter(owner="demo", pk__gte=min(ids)).values_list("state", "error_code"))
        width = max(len(code) for _, code in outcomes)
        self.stdout.write("")
        for (state, code), count in sorted(outcomes.items(), key=lambda item: (item[0][0], -item[1])):
            self.stdout.write(f"  {state:<12} {code or '':<{width}} {count:>5}")
        self.stdout.write(f"  {self._seconds:.1f} s, {len(ids) / self._seconds:.0f} orders/s\n")

    def _conclude(self, ids: Sequence[UUID]) -> None:
        imbalances = reconcile(ids)
        for imbalance in imbalances[:_SHOWN]:
            self.stderr.write(f"does not balance: {imbalance}")
        if imbalances:
            raise CommandError(f"demo failed: {len(imbalances)} imbalances in {len(ids)} orders")
        states = Counter(Saga.objects.filter(pk__in=ids).values_list("state", flat=True))
        done, undone = states["completed"], states["compensated"]
        lost = len(ids) - done - undone
        line = (
            f"{len(ids)} orders, {done} completed, {undone} compensated, {lost} lost; stock, money and parcels balance"
        )
        if lost:
            raise CommandError(f"demo failed: {line}")
        self.stdout.write(f"demo ok: {line}")
