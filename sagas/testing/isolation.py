"""Where a test is inside a transaction, as Django's `TestCase` is: savepoints around runs, and around handlers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from django.db import DatabaseError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from ..engine.connections import connected


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo what is written inside, in each database connection that is in a transaction: those of a `TestCase`.

    Others are left alone: without a transaction around it, a handler's commit is final, and cleaning up is `reset`'s.
    """
    with ExitStack() as stack:
        for block in open_blocks():
            stack.enter_context(_undone(block.alias))
        yield


@contextmanager
def _undone(alias: str) -> Iterator[None]:
    block = transaction.atomic(using=alias)
    # As TestCase marks its own blocks: a handler may open a durable one inside.
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True, using=alias)


def open_blocks() -> list[BaseDatabaseWrapper]:
    """Connections that are in a transaction now."""
    return [connection for connection in connected() if connection.in_atomic_block]


@contextmanager
def spared(blocks: list[BaseDatabaseWrapper]) -> Iterator[None]:
    """A handler runs in autocommit: a statement of it that fails must not spoil the test's transaction for all others.

    What the handler wrote before that statement goes with it; a worker's database would have kept it.
    """
    marks = [(block, transaction.savepoint(using=block.alias)) for block in blocks if not block.needs_rollback]
    yield
    for block, mark in marks:
        if block.in_atomic_block:
            _release(block, mark)


def _release(block: BaseDatabaseWrapper, mark: str) -> None:
    if not block.needs_rollback:
        try:
            return transaction.savepoint_commit(mark, using=block.alias)
        except DatabaseError:  # broken by a statement that Django has not noticed
            pass
    block.needs_rollback = False
    transaction.savepoint_rollback(mark, using=block.alias)
