"""Fills tables with finished sagas by copying, in SQL, the rows of one that the engine really finished.

Knows no column but the keys: every other value is taken over as it is, so that new columns need no change
here.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

#: Tables whose rows belong to one saga through `saga_id`.
_PARTS = ("sagas_step", "sagas_historyentry")
_SAGA = "sagas_saga"
_SHARED = "sagas_sagagraph"

Connection = psycopg.Connection[tuple[object, ...]]


def fill(*, source: str, target: str, count: int) -> dict[str, int]:
    """Copy one finished saga of `source` into `target`, `count` times; return the rows in each table."""
    with psycopg.connect(source) as theirs, psycopg.connect(target, autocommit=True) as ours:
        saga = _one(theirs, "SELECT id FROM sagas_saga WHERE wake_at IS NULL LIMIT 1")
        _load(theirs, ours, table=_SHARED, where=sql.SQL("true"))
        _load(theirs, ours, table=_SAGA, where=sql.SQL("id = {}").format(saga))
        for table in _PARTS:
            _load(theirs, ours, table=table, where=sql.SQL("saga_id = {}").format(saga))
        for table in _PARTS:
            _go_on_counting(ours, table)
        _multiply(ours, saga, count=count - 1)
        ours.execute("VACUUM ANALYZE")
        return {table: int(str(_one(ours, f"SELECT count(*) FROM {table}"))) for table in (_SAGA, *_PARTS)}


def _load(theirs: Connection, ours: Connection, *, table: str, where: sql.Composable) -> None:
    """Move rows from one database to the other, as they are."""
    copy_out = sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT")
    columns = _columns(ours, table)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    with theirs.cursor().copy(copy_out.format(names, sql.Identifier(table), where)) as rows:
        data = b"".join(bytes(row) for row in rows)
    with ours.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)) as copy:
        copy.write(data)


def _go_on_counting(ours: Connection, table: str) -> None:
    """Rows came with their ids: the next id is to follow them."""
    highest = sql.SQL("(SELECT max(id) FROM {})").format(sql.Identifier(table))
    ours.execute(sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), {})").format(sql.Literal(table), highest))


def _multiply(ours: Connection, saga: object, *, count: int) -> None:
    ours.execute(
        "CREATE TEMP TABLE copies AS SELECT overlay(md5(n::text) placing "
        "lpad(to_hex(extract(epoch FROM now())::bigint * 1000 - n), 12, '0') from 1 for 12)::uuid AS id "
        "FROM generate_series(1, %s) n",
        [count],
    )
    _copy_rows(ours, _SAGA, key="id", saga=saga, fresh=())
    for table in _PARTS:
        _copy_rows(ours, table, key="saga_id", saga=saga, fresh=("id",))


def _copy_rows(ours: Connection, table: str, *, key: str, saga: object, fresh: tuple[str, ...]) -> None:
    """Insert the template's rows once per new id; columns in `fresh` get their default."""
    columns = [column for column in _columns(ours, table) if column not in fresh]
    values = [sql.SQL("copies.id") if name == key else sql.SQL("t.{}").format(sql.Identifier(name)) for name in columns]
    ours.execute(
        sql.SQL("INSERT INTO {table} ({names}) SELECT {values} FROM {table} t, copies WHERE t.{key} = {saga}").format(
            table=sql.Identifier(table),
            names=sql.SQL(", ").join(map(sql.Identifier, columns)),
            values=sql.SQL(", ").join(values),
            key=sql.Identifier(key),
            saga=saga,
        )
    )


def _columns(connection: Connection, table: str) -> list[str]:
    query = (
        "SELECT column_name::text FROM information_schema.columns "
        "WHERE table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position"
    )
    return [str(name) for (name,) in connection.execute(query, [table])]


def _one(connection: Connection, query: str) -> object:
    row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    if row is None:
        raise LookupError(f"expected a row, found none: {query}")
    return row[0]
