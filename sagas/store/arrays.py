"""Rows as PostgreSQL array literals, one per column: what `unnest` takes apart again.

psycopg dumps a list element by element in Python, with a regular expression for each; for a group of a hundred steps
that costs more than everything else together. These are the same literals, joined by C code (PostgreSQL manual,
"Array Input and Output Syntax").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def _plain(values: Sequence[Any]) -> str:
    """Numbers, and words of our own that need no quotes."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def _uuid(values: Sequence[Any]) -> str:
    return "{" + ",".join(["NULL" if value is None else value.hex for value in values]) + "}"


def _time(values: Sequence[Any]) -> str:
    # Most of a group's times are the one at which it was decided.
    known: dict[Any, str] = {None: "NULL"}
    return "{" + ",".join([known.get(value) or known.setdefault(value, value.isoformat()) for value in values]) + "}"


def _flag(values: Sequence[Any]) -> str:
    return "{" + ",".join(["t" if value else "f" for value in values]) + "}"


def _text(values: Sequence[Any]) -> str:
    return (
        "{"
        + ",".join(
            [
                "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
                for value in values
            ]
        )
        + "}"
    )


_WRITERS: dict[str, Callable[[Sequence[Any]], str]] = {
    "uuid": _uuid,
    "int": _plain,
    "bigint": _plain,
    "float8": _plain,
    "timestamptz": _time,
    "bool": _flag,
    "text": _text,
    "jsonb": _text,
}


class Columns:
    """The columns of rows that are handed to a statement: `Columns("id uuid, state text")`."""

    def __init__(self, text: str) -> None:
        pairs = [column.split() for column in text.split(",")]
        self._writers = [_WRITERS[kind] for _, kind in pairs]
        #: Their names, for the statement.
        self.listed = [name for name, _ in pairs]
        self.names = ", ".join(self.listed)
        #: One row that comes as it is, one parameter per column.
        self.row = "(SELECT " + ", ".join(f"%s::{kind}" for _, kind in pairs) + ")"
        #: The table function that takes the literals, one parameter per column.
        self.unnest = "unnest(" + ", ".join(f"%s::{kind}[]" for _, kind in pairs) + ")"

    def literals(self, rows: Sequence[Sequence[Any]]) -> list[str]:
        """One array literal per column."""
        if not rows:
            return ["{}"] * len(self._writers)
        return [write(column) for write, column in zip(self._writers, zip(*rows, strict=True), strict=True)]
