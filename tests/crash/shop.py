"""The shop as a program, for databases that are not this test process's: `python -m tests.crash.shop VERB FILE`.

`start` starts sagas and writes their ids into the file, `settle` waits until all have ended, `judge` says what is
wrong.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from uuid import UUID

import django

_PATIENCE = 90.0


def main(verb: str, file: Path) -> int:
    """Run one verb; the exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sagaproject.settings")
    django.setup()
    return {"start": start, "settle": settle, "judge": judge}[verb](file)


def start(file: Path) -> int:
    """Start one saga per order."""
    from participants.demo import demo_orders, seed_stock
    from sagas.models import Saga

    seed_stock()
    count = int(os.environ["SHOP_ORDERS"])
    ids = [str(Saga.objects.start("order_processing", context=order).pk) for order in demo_orders()[:count]]
    file.write_text(json.dumps(ids))
    return 0


def _ids(file: Path) -> list[UUID]:
    return [UUID(text) for text in json.loads(file.read_text())]


def settle(file: Path) -> int:
    """Wait; a database that is gone for a while is waited for too."""
    from django.db import DatabaseError, connections

    from sagas.models import Saga

    end, pause = time.monotonic() + _PATIENCE, threading.Event()
    while time.monotonic() < end:
        try:
            if not Saga.objects.active().filter(pk__in=_ids(file)).exists():
                return 0
        except DatabaseError:
            connections.close_all()
        pause.wait(0.1)
    for saga in Saga.objects.active()[:5]:
        steps = list(saga.steps.values_list("name", "status", "claim_worker", "crashes"))
        sys.stdout.write(f"{saga} {saga.wake_at} {saga.attention} {steps}\n")
    return 1


def judge(file: Path) -> int:
    """The invariants, and the participants' books."""
    from django.core.management import call_command

    from participants.reconcile import reconcile
    from sagas.models import Saga

    ids = _ids(file)
    call_command("saga_check")  # exits 1, and says what is wrong
    wrong = [str(imbalance) for imbalance in reconcile(ids)]
    if Saga.objects.filter(pk__in=ids).count() != len(ids):
        wrong.append("a saga is lost")
    sys.stdout.write("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
