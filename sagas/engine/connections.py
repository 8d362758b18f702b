"""Database connections around user code: a handler must leave none in a transaction; broken ones are given up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_thread = threading.local()


def connected() -> list[BaseDatabaseWrapper]:
    """This thread's connections. Where there are none (most runs in memory), that is known until one is opened: asking
    Django for them is dear beside the rest of an attempt."""
    if getattr(_thread, "has_none", False):
        return []
    found = [connection for connection in connections.all(initialized_only=True) if connection.connection is not None]
    _thread.has_none = not found
    return found


def _opened(**kwargs: Any) -> None:
    """Called in the thread that has opened one."""
    _thread.has_none = False


connection_created.connect(_opened, dispatch_uid="sagas.engine.connections")


def for_handlers_alone() -> None:
    """This thread runs handlers and nothing else: each leaves it without a transaction, so none need be looked for."""
    _thread.before = frozenset()


@contextmanager
def handlers_follow() -> Iterator[None]:
    """Here the thread runs handlers one after the other: what is open before each is what is open now."""
    known = getattr(_thread, "before", None)
    _thread.before = open_now()
    try:
        yield
    finally:
        _thread.before = known


def open_now() -> frozenset[str]:
    """Connections of this thread that are in a transaction before the handler is called: only a test's are."""
    known: frozenset[str] | None = getattr(_thread, "before", None)
    if known is not None:
        return known
    return frozenset(connection.alias for connection in connected() if _open(connection))


def nesting() -> dict[str, int]:
    """How deep this thread is in transactions: after an atomic step's handler as deep as before, or what we take for
    the commit would be the end of a block that the handler left open."""
    return {c.alias: len(c.savepoint_ids) for c in connected() if c.in_atomic_block}


def left_open(before: frozenset[str] = frozenset()) -> str:
    """What the handler left open in its thread's connections (empty: nothing). What is open is closed, and with it
    rolled back, so that the next handler in this thread starts clean. Broken connections are given up."""
    complaints = []
    for connection in connected():
        complaint = "" if connection.alias in before else _open(connection)
        if complaint:
            complaints.append(complaint)
            connection.connection.close()
            del connections[connection.alias]
        else:
            _renew(connection)
    if not complaints:
        return ""
    return f"the handler left {' and '.join(complaints)} open: it was rolled back, and what else it did is in doubt"


def _open(connection: BaseDatabaseWrapper) -> str:
    if connection.in_atomic_block:
        return f"a transaction on {connection.alias!r}"
    if not connection.get_autocommit() and connection.settings_dict["AUTOCOMMIT"]:
        return f"autocommit switched off on {connection.alias!r}"
    return f"a transaction begun in SQL on {connection.alias!r}" if _begun_in_sql(connection.connection) else ""


def _begun_in_sql(driver: Any) -> bool:
    """`cursor.execute("BEGIN")`: Django does not know of it, and all that follows in this thread would be lost."""
    status = getattr(getattr(driver, "info", None), "transaction_status", 0)
    return 1 <= status <= 3 or bool(getattr(driver, "in_transaction", False))


def _renew(connection: BaseDatabaseWrapper) -> None:
    """Between two units of work: give it up if it is broken.

    CONN_MAX_AGE is for requests: its default (close after each) would open a new connection for every attempt.
    """
    if not connection.in_atomic_block:
        connection.close_at = None
        connection.close_if_unusable_or_obsolete()
