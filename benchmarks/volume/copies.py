"""From the rows of a saga that was played to the text of any number of copies, as COPY reads it.

Of each copy its own are: ids, times (from its start on, at a slower pace), the order's number, error code, owner, key,
tags, subject and lock. All else, every line of history too, is what the engine has written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from django.db import connection

from benchmarks.volume.cast import CODE, Kind, Role
from benchmarks.volume.player import NUMBER
from sagas.models import Saga

#: Tables that are filled, in this order, each with the column that names the saga.
TABLES: Mapping[str, str] = {
    "sagas_saga": "id",
    "sagas_step": "saga_id",
    "sagas_historyentry": "saga_id",
    "sagas_sagalock": "saga_id",
}
#: Sagas are played in milliseconds and were done in seconds.
PACE = 40
_SECONDS = tuple(f"{second:02}" for second in range(60))
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?)\+00(?::00)?")
#: What is put in by `Copy.text`, by column of `sagas_saga`.
_OWN = {
    "owner": "%(owner)s",
    "idempotency_key": "%(key)s",
    "tags": "%(tags)s",
    "subject_type_id": "%(kind)s",
    "subject_id": "%(subject)s",
}


@dataclass(frozen=True, slots=True)
class Copy:
    """What one more copy is made from."""

    role: Role
    kind: Kind
    #: By table: text with places for the values.
    forms: Mapping[str, str]
    #: Rows by table.
    rows: Mapping[str, int]
    #: How each saga's id is found, from the first one's on.
    ids: Sequence[Callable[[str, str], str]]
    #: Whole seconds behind the start that some time of it lies.
    seconds: Sequence[int]

    def texts(self, values: dict[str, str], first: str, fresh: str, begin: int) -> list[str]:
        """Text for each table. `first`: the id; `fresh`: 20 random hex digits; `begin`: seconds since 1970."""
        for place, make in enumerate(self.ids):
            values[f"u{place}"] = make(first, fresh)
        for second in self.seconds:
            values[f"s{second}"] = clock_text(begin + second)
        return [form % values if form else "" for form in self.forms.values()]


def clock_text(second: int) -> str:
    """Without fraction and zone; PostgreSQL and the history's JSON read the same."""
    return _minute(second // 60) + _SECONDS[second % 60]


@lru_cache(maxsize=100_000)
def _minute(minute: int) -> str:
    """Most of what `strftime` costs is spared."""
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M:")


def columns(table: str) -> list[str]:
    """Without the key that a sequence gives."""
    with connection.cursor() as cursor:
        names = [column.name for column in connection.introspection.get_table_description(cursor, table)]
    return names if table == "sagas_saga" else [name for name in names if name != "id"]


def copy_of(role: Role, kind: Kind, keys: Sequence[UUID]) -> Copy:
    """Read the rows of a family that was played."""
    sagas = [Saga.objects.get(pk=key) for key in keys]
    begin = sagas[0].created_at
    seconds: set[int] = set()
    forms, rows = {}, {}
    for table, owner in TABLES.items():
        lines = [line for key in keys for line in _lines(table, owner, key, first=key == keys[0])]
        forms[table] = "".join(_form(line, keys, begin, seconds) for line in lines)
        rows[table] = len(lines)
    ids = [_way(saga, place, sagas[0]) for place, saga in enumerate(sagas)]
    return Copy(role, kind, forms, rows, ids, sorted(seconds))


def _lines(table: str, owner: str, key: UUID, *, first: bool) -> list[str]:
    names = columns(table)
    order = "saga_id" if table == "sagas_sagalock" else "id"
    wanted = ", ".join(f'"{name}"' for name in names)
    # The key is a UUID object, the names come from the catalogue.
    query = f"COPY (SELECT {wanted} FROM {table} WHERE {owner} = '{key}' ORDER BY {order}) TO STDOUT"
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'UTC'" if connection.in_atomic_block else "SET TIME ZONE 'UTC'")
        with cursor.copy(query) as copying:
            text = b"".join(bytes(part) for part in copying).decode()
    found = [line.replace("%", "%%") for line in text.splitlines()]
    return [_own(line, names, first=first) for line in found] if table == "sagas_saga" else found


def _own(line: str, names: Sequence[str], *, first: bool) -> str:
    """The saga's own values: places in its row. Of a family the first one has the idempotency key."""
    cells = dict(zip(names, line.split("\t"), strict=True)) | _OWN
    cells |= {} if first else {"idempotency_key": r"\N"}
    if cells["wake_at"] != r"\N":
        cells["wake_at"] = "%(wake)s"
    return "\t".join(cells.values())


def _form(line: str, keys: Sequence[UUID], begin: datetime, seconds: set[int]) -> str:
    def later(match: re.Match[str]) -> str:
        passed = (datetime.fromisoformat(match[1]).replace(tzinfo=UTC) - begin).total_seconds()
        # Long waits are as long as they are.
        micros = round((passed if passed > 3600 else passed * PACE) * 1_000_000)
        second, fraction = divmod(micros, 1_000_000)
        seconds.add(second)
        return f"%(s{second})s.{fraction:06d}+00:00"

    line = _TIME.sub(later, line)
    for place, key in enumerate(keys):
        line = line.replace(str(key), f"%(u{place})s")
    return line.replace(NUMBER, "%(number)s").replace(CODE, "%(code)s") + "\n"


def _way(saga: Saga, place: int, first: Saga) -> Callable[[str, str], str]:
    """To a saga's id, as the engine finds it."""
    if saga.parent_id == first.pk:
        tail = f":{saga.parent_step}:{saga.parent_round}"
        return lambda root, fresh: root[:12] + hashlib.sha256((root + tail).encode()).hexdigest()[:20]
    return lambda root, fresh: root if not place else root[:12] + f"{(int(fresh, 16) + place) % 16**20:020x}"
