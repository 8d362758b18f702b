"""The batch's row: locked, and with a line for everything that happened to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connections, transaction

from ...conf import app_settings
from ...models import Batch
from ...store import get_store

#: Lines that are kept of what happened to a batch.
MAX_EVENTS = 100


@contextmanager
def locked(key: int, *, wait: bool = False) -> Iterator[Batch | None]:
    """A transaction with the batch's lock; None where another process has it (unless `wait`), or where it is gone."""
    alias = app_settings().DATABASE
    skip = not wait and connections[alias].features.has_select_for_update_skip_locked
    with get_store().atomic(), transaction.atomic(using=alias, savepoint=False):
        rows = Batch.objects.using(alias).select_for_update(skip_locked=skip)
        yield rows.filter(pk=key).first()


def note(batch: Batch, at: datetime, what: str, **data: Any) -> None:
    """One more line; the caller saves the row."""
    batch.events = [*batch.events, {"at": at.isoformat(), "what": what, **data}][-MAX_EVENTS:]
