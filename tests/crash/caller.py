"""A caller of the engine as a program of its own, so that it can be killed: `python -m tests.crash.caller VERB …`.

`start COUNT` starts that many orders, each in a transaction and under a key of its own, and prints each id that was
accepted. `compensate ID REVISION` and `retry ID REVISION` act as an operator; exit code 1: refused.
"""

from __future__ import annotations

import os
import sys
from uuid import UUID

import django


def start(count: str) -> int:
    """Accept orders; what is printed is promised."""
    from django.db import transaction

    from participants.demo import demo_orders
    from sagas.models import Saga

    for position, order in enumerate(demo_orders()[: int(count)]):
        with transaction.atomic():
            saga = Saga.objects.start("order_processing", context=order, idempotency_key=f"order-{position}")
        _say(f"{saga.pk}")
    return 0


def operate(verb: str, saga_id: str, revision: str) -> int:
    """One operator's action."""
    from sagas.exceptions import SagaError
    from sagas.models import Saga

    saga = Saga.objects.get(pk=UUID(saga_id))
    act = saga.compensate if verb == "compensate" else saga.retry
    try:
        act(reason="the customer called", actor="ann", expected_revision=int(revision))
    except SagaError as exc:
        _say(f"refused: {exc}")
        return 1
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(verb: str, *words: str) -> int:
    """Run one verb; the exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sagaproject.settings")
    django.setup()
    return start(*words) if verb == "start" else operate(verb, *words)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
