"""What one run wrote is gone before the next: savepoints around runs, where a test is inside a transaction anyway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import connections, transaction


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo what is written inside, in each database connection that is in a transaction: those of a `TestCase`.

    Others are left alone: without a transaction around it, a handler's commit is final, and cleaning up is `reset`'s.
    """
    with ExitStack() as stack:
        for connection in connections.all(initialized_only=True):
            if connection.in_atomic_block:
                stack.enter_context(_undone(connection.alias))
        yield


@contextmanager
def _undone(alias: str) -> Iterator[None]:
    block = transaction.atomic(using=alias)
    # As TestCase marks its own blocks: a handler may open a durable one inside.
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True, using=alias)
