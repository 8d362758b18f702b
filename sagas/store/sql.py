"""What a database must offer the ORM store, and which dialect speaks to which."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import cache
from typing import Any, Protocol
from uuid import UUID

from ..exceptions import StoreError
from .base import DueSaga, Inserted, NewSaga
from .grouping import SagaWrite


class Dialect(Protocol):
    """The statements that differ between databases."""

    #: Whether it knows FOR NO KEY UPDATE and SKIP LOCKED.
    no_key: bool
    skip_locked: bool
    #: A column that gives the database's time with every row, where it has one of its own.
    clock: tuple[Any, ...]
    #: Whether `insert` and `write` are single statements, so that they need no transaction around them.
    one_statement: bool

    def now(self, connection: Any) -> datetime:
        """The database's time."""

    def begin(self, connection: Any) -> None:
        """The first statement of a group's transaction."""

    def reading(self, connection: Any) -> AbstractContextManager[Any]:
        """A transaction that reads one moment, writes nothing and hinders no writer."""

    def begin_atomic(self, connection: Any) -> None:
        """The first statement of an atomic step's transaction."""

    def one_writer(self, alias: str) -> AbstractContextManager[Any]:
        """Held around a group where only one writer at a time is wanted."""

    def impatient(self, connection: Any) -> AbstractContextManager[Any]:
        """Statements that do not wait for another transaction; inside a savepoint, which is given up when they fail."""

    def insert(self, connection: Any, sagas: Sequence[NewSaga]) -> list[Inserted | None]:
        """Insert; None for those whose idempotency key was used before."""

    def read(self, connection: Any, ids: Sequence[UUID]) -> tuple[list[Any], list[Any]]:
        """Rows of sagas and of their steps with their payloads, of one moment, without a lock."""

    def due(self, connection: Any, *, limit: int, after: DueSaga | None) -> list[tuple[UUID, datetime, int]]:
        """Sagas whose time has come, with their priorities."""

    def write(self, connection: Any, writes: Sequence[SagaWrite]) -> set[UUID]:
        """Write a decided group; the sagas that were still at the revision they were decided from."""

    def pin(self, connection: Any) -> None:
        """Make this connection's plans fit for groups."""


@cache
def dialect_for(vendor: str) -> Dialect:
    """The dialect of Django's vendor name."""
    if vendor == "postgresql":
        from .sql_postgres import POSTGRES

        return POSTGRES
    if vendor == "sqlite":
        from .sql_sqlite import SQLITE

        return SQLITE
    raise StoreError(f"expected a PostgreSQL or SQLite database for sagas, got {vendor}")


def no_lock(alias: str) -> AbstractContextManager[Any]:
    """For databases with row locks."""
    return nullcontext()
