"""Fills the tables by COPY. Indexes and foreign keys are taken off before and put back behind it, which is much faster
than keeping them up to date; the tables are not logged, as nobody would want them back after a crash."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import F
from django.utils import timezone

from benchmarks.volume.cast import played
from benchmarks.volume.copies import TABLES, columns, copy_of
from benchmarks.volume.crowd import One, crowd
from benchmarks.volume.player import WORKERS
from benchmarks.volume.sample import keep
from participants.orders.models import Order
from sagas.engine import batch as batches
from sagas.engine.check import Finding, check
from sagas.engine.rollup import note_monitor, refresh
from sagas.models import HistoryEntry, Saga, Step, Worker

#: Sagas whose text is sent at once.
CHUNK = 2_000
#: Lines of the longest history; from so many sagas on, else a tenth.
ENTRIES, LARGE = 1_000, 10_000
#: Ids of each role that are kept for the pages.
KEPT = 300
_TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'sagas\\_%'"
_FOREIGN = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND (conrelid::regclass::text = ANY(%(all)s) OR confrelid::regclass::text = ANY(%(all)s))
ORDER BY conname
"""
_KEYS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype IN ('p', 'u') AND conrelid::regclass::text = ANY(%(filled)s) ORDER BY conname
"""
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(%(filled)s) ORDER BY indexname"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Filled:
    """What is there now."""

    sagas: int
    steps: int
    history: int
    #: Bytes of the whole database.
    size: int


def fill(sagas: int, dsn: str, say: Say) -> Filled:
    """Play, copy, index, count. The database is migrated and empty; `dsn` leads to it."""
    with _timed("play one of each", say):
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")
        entries = ENTRIES if sagas >= LARGE else ENTRIES // 10
        copies = [copy_of(role, kind, keys) for role, kind, keys in played(entries)]
        orders = ContentType.objects.get_for_model(Order).pk
    connection.close()
    with psycopg.connect(dsn) as link:
        again = _bare(link)
    with _timed("copy", say):
        sample = _copy(dsn, crowd(copies, sagas, int(time.time()), orders))
    with _timed("put indexes and keys back", say):
        _run(dsn, again)
    with _timed("vacuum and analyse", say):
        _surroundings(sample)
        _run(dsn, ["VACUUM ANALYZE"])
    with _timed("let the clerk count", say):
        _count()
    return _filled()


@contextmanager
def _timed(what: str, say: Say) -> Iterator[None]:
    begun = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - begun:.1f} s")


def _bare(link: psycopg.Connection[Any]) -> list[str]:
    """Leave nothing but columns and checks. What puts the rest back."""
    names = {"all": [name for (name,) in link.execute(_TABLES)], "filled": list(TABLES)}
    foreign = link.execute(_FOREIGN, names).fetchall()
    keys = link.execute(_KEYS, names).fetchall()
    for table, name, _text in (*foreign, *keys):
        link.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    indexes = link.execute(_INDEXES, names).fetchall()
    for name, _text in indexes:
        link.execute(f'DROP INDEX "{name}"')
    for table in names["all"]:
        link.execute(f"ALTER TABLE {table} SET UNLOGGED")
    add = 'ALTER TABLE {} ADD CONSTRAINT "{}" {}'.format
    return [*(add(*key) for key in keys), *(text for _name, text in indexes), *(add(*key) for key in foreign)]


def _run(dsn: str, statements: Sequence[str]) -> None:
    with psycopg.connect(dsn, autocommit=True) as link:
        link.execute("SET maintenance_work_mem = '512MB'")
        for statement in statements:
            link.execute(statement)


def _copy(dsn: str, ones: Iterable[One]) -> dict[str, list[str]]:
    """A COPY for each table, side by side. Ids of some sagas of each role."""
    sample: dict[str, list[str]] = {}
    with ExitStack() as opened:
        sinks = [opened.enter_context(_sink(dsn, table)) for table in TABLES]
        texts: list[list[str]] = [[] for _table in TABLES]
        for number, one in enumerate(ones, 1):
            made = one.copy.texts(one.values, one.first, one.fresh, one.begin)
            for held, text in zip(texts, made, strict=True):
                held.append(text)
            sample.setdefault(one.copy.role.name, []).append(one.first)
            if number % CHUNK == 0:
                _send(sinks, texts)
        _send(sinks, texts)
    return {role: found[:: -(-len(found) // KEPT)] for role, found in sample.items()}


@contextmanager
def _sink(dsn: str, table: str) -> Iterator[psycopg.Copy]:
    """Emptied in the same transaction, so that the rows need no second look by VACUUM."""
    names = ", ".join(f'"{name}"' for name in columns(table))
    with psycopg.connect(dsn) as link, link.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")
        with cursor.copy(f"COPY {table} ({names}) FROM STDIN (FREEZE)") as copying:
            yield copying


def _send(sinks: Sequence[psycopg.Copy], texts: Sequence[list[str]]) -> None:
    for sink, held in zip(sinks, texts, strict=True):
        sink.write("".join(held))
        held.clear()


def _surroundings(sample: dict[str, list[str]]) -> None:
    """Who runs the sagas, the orders that they are about, and who looks at all that."""
    keep(sample)
    queues = {"sagas.steps": 12, "sagas.compensate": 3}
    Worker.objects.bulk_create(
        Worker(id=key, host="worker-1", pid=100 + place, slots=32, free_slots=8, queue_depths=queues, beat=9)
        for place, key in enumerate(WORKERS)
    )
    keep_beating()
    keys = [key for role in ("completed", "compensated") for key in sample[role]]
    Order.objects.bulk_create(
        Order(saga=UUID(key), number=f"O-{place}", customer="Ines Albrecht", currency="EUR", total=12990)
        for place, key in enumerate(keys)
    )
    user = User.objects.create_superuser("operator", password="operator")
    for verb, filters in (("retry", {"state": "failed"}), ("compensate", {"state": "completed", "owner": "shop-0"})):
        batches.create(verb, filters, reason="measured", actor=user.username, user=user)


def keep_beating() -> None:
    """The workers are alive as long as somebody says so."""
    Worker.objects.update(beat_at=timezone.now(), beat=F("beat") + 1)


def _count() -> None:
    """The worker's own clerk fills the rollup."""
    note_monitor()
    while refresh(force=True, within=60):
        pass
    # A full count that the last look has ended.
    refresh(force=True)


def _filled() -> Filled:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        (size,) = cursor.fetchone()
    return Filled(Saga.objects.count(), Step.objects.count(), HistoryEntry.objects.count(), size)


def violations(keys: Iterable[str]) -> list[str]:
    """What `saga_check` says of these sagas."""
    found = check(ids=[UUID(key) for key in keys])
    return [f"{one.saga_id}: {one.violation}" for one in found if isinstance(one, Finding)]
