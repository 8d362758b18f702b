"""A saga's history in lines that a person can read: what a failing test prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..core.graph import Graph
from ..core.history import AT_ONCE, Entry


def story(graph: Graph, history: Sequence[Entry], begin: datetime) -> str:
    """One line per entry: its number, the time since the start, what happened, and what changed."""
    return "\n".join(_line(graph, entry, begin) for entry in history)


def _line(graph: Graph, entry: Entry, begin: datetime) -> str:
    number = "-" if entry.seq is None else str(entry.seq)
    what = "; ".join(_parts(graph, entry, begin))
    error = _error(entry)
    told = entry.kind + (f" ({error})" if error else "") + (f": {what}" if what else "")
    return f"{number:>4}  {_since(begin, entry.at):>11}  {told}"


def _parts(graph: Graph, entry: Entry, begin: datetime) -> Iterator[str]:
    data = entry.data or {}
    if entry.seq is None:
        name = "" if entry.position is None else graph.steps[entry.position].name
        yield f"{name}, {entry.reason}" if name else entry.reason
        return
    steps = [
        _step(graph.steps[int(position)].name, diff, entry, begin) for position, diff in data.get("steps", {}).items()
    ]
    if any(steps):
        yield ", ".join(filter(None, steps))
    if entry.actor or entry.reason:
        yield f"by {entry.actor or 'nobody'}: {entry.reason}"
    if "state" in data:
        yield f"the saga is {data['state']}"
    if data.get("attention"):
        yield f"a person must look: {data['attention']}"


def _step(name: str, diff: Mapping[str, Any], entry: Entry, begin: datetime) -> str:
    words = [str(diff["status"])] if "status" in diff else []
    number = diff.get("undo_attempt", diff.get("attempt"))
    if number and number > 1:
        words.append(f"(attempt {number})")
    if diff.get("hold"):
        words.append(f"held ({diff['hold']})")
    if diff.get("due_at"):
        due = entry.at if diff["due_at"] is AT_ONCE else datetime.fromisoformat(diff["due_at"])
        words.append(f"again at {_since(begin, due)}")
    return f"{name} {' '.join(words)}" if words else ""


def _since(begin: datetime, at: datetime) -> str:
    """To the millisecond: jitter leaves more digits than anybody reads."""
    whole, point, rest = str(at - begin).partition(".")
    return whole + point + rest[:3]


def _error(entry: Entry) -> str:
    diffs = (entry.data or {}).get("steps", {})
    diff = diffs.get(str(entry.position), {}) if entry.position is not None else next(iter(diffs.values()), {})
    words = (diff.get("error_code"), diff.get("error_message"))
    return ": ".join(word for word in words if word and word != entry.kind)
