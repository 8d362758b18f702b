"""The shop's invariant for sagas that ran in memory: stock, money and parcels balance, as `make demo` asks."""

from __future__ import annotations

from participants.reconcile import reconcile
from sagas.core.states import TERMINAL
from sagas.models import Saga
from sagas.testing import SagaRun


def books_balance(run: SagaRun) -> bool:
    """The books say what the saga says; a row is made of it for the auditor to read. Raises AssertionError."""
    assert run.state in TERMINAL
    saga = Saga.objects.start("order_processing", context=run.context)
    saga.pk, saga.state, saga.wake_at = run.id, run.state, None
    saga.save(force_insert=True)
    found = reconcile([run.id])
    assert not found, "\n".join(map(str, found))
    return True
