"""History entries: what one transition changed, as data that can be folded back into the rows (I2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from .graph import Graph
from .rows import SagaRow, StepRow, fresh_steps
from .states import ASKING, Hold, Lock, SagaState, StepStatus, Wait
from .triggers import OpenedOut

#: In an entry's data, a time that equals the entry's own.
AT_ONCE = True

SAGA_FIELDS = (
    "state", "stale_since", "paused_at", "attention", "error_code", "error_message", "completed_at",
    "deadline_at", "overdue_at", "rewind_to", "lock_state",
)  # fmt: skip
#: What follows from the rest, and is not told.
DERIVED = frozenset({"held_since"})
STEP_FIELDS = tuple(f.name for f in fields(StepRow) if f.name != "position" and f.name not in DERIVED)


# Not frozen, though nobody changes one: a frozen one takes three times as long to make, and each transition makes some.
@dataclass(slots=True)
class Entry:
    """One line of what happened to a saga. `seq` is the saga's revision after it; a note has none."""

    seq: int | None
    kind: str
    at: datetime
    position: int | None = None
    attempt: int = 0
    round: int = 0
    actor: str = ""
    reason: str = ""
    data: dict[str, Any] | None = None
    #: At most one note per key and saga.
    note_key: str | None = None
    #: Of a migration: the graph before it, looked up by its hash in the data.
    graph: Graph | None = None


def _plain(value: Any, at: datetime) -> Any:
    if value is None:
        return None
    if isinstance(value, datetime):
        return AT_ONCE if value == at else value.isoformat()
    return str(value)


#: Kinds of fields whose values JSON has too.
_AS_IT_IS = frozenset({"int", "int | None", "bool", "str"})


def _comparer(
    row: type[SagaRow] | type[StepRow], names: Sequence[str]
) -> Callable[[Any, Any, datetime], dict[str, Any]]:
    """A function that tells what of these differs between two rows; JSON-ready.

    Written out field by field, as dataclasses writes its methods: a loop over the names takes three times as long, and
    every transition compares several rows. Identity first: most fields are the very same object.
    """
    kinds = {field.name: field.type for field in fields(row)}
    lines = ["def differ(old, new, at):", " found = {}"]
    for name in names:
        value = f"new.{name}" if kinds[name] in _AS_IT_IS else f"plain(new.{name}, at)"
        lines.append(f" if new.{name} is not old.{name} and new.{name} != old.{name}: found[{name!r}] = {value}")
    scope: dict[str, Any] = {"plain": _plain}
    exec("\n".join([*lines, " return found"]), scope)  # noqa: S102
    found: Callable[[Any, Any, datetime], dict[str, Any]] = scope["differ"]
    return found


_saga_differences = _comparer(SagaRow, SAGA_FIELDS)
_step_differences = _comparer(StepRow, STEP_FIELDS)


def step_changes(steps: Iterable[tuple[StepRow, StepRow]], at: datetime) -> dict[int, dict[str, Any]]:
    """What changed in steps between two moments, by position; JSON-ready."""
    found = {}
    for old, new in steps:
        diff = _step_differences(old, new, at)
        if diff:
            found[new.position] = diff
    return found


def changes(before: SagaRow, after: SagaRow, steps: dict[int, dict[str, Any]], at: datetime) -> dict[str, Any]:
    """What changed in a saga between two moments, with what changed in its steps; JSON-ready."""
    data = _saga_differences(before, after, at)
    if steps:
        data["steps"] = {str(position): diff for position, diff in steps.items()}
    return data


_TYPES: dict[str, Any] = {"state": SagaState, "status": StepStatus, "hold": Hold, "waits": Wait, "lock_state": Lock}


def _typed(name: str, value: Any, at: datetime) -> Any:
    if value is None:
        return None
    if name in _TYPES:
        return _TYPES[name](value)
    if name.endswith(("_at", "_since")):
        return at if value is AT_ONCE else datetime.fromisoformat(value)
    return UUID(value) if name.endswith("_worker") else value


def since(was: StepRow, step: StepRow, at: datetime) -> datetime | None:
    """Since when the step asks for a person, after a transition at `at`; None: it does not. The same hold of the same
    round is the same work item."""
    if step.hold not in ASKING:
        return None
    return was.held_since if (was.hold, was.round) == (step.hold, step.round) else at


def numbered(entries: Sequence[Entry]) -> list[Entry]:
    """The transitions among the entries. Raises ValueError when their seqs are not 1..n."""
    found = [entry for entry in entries if entry.seq is not None]
    if not found or [entry.seq for entry in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"expected history 1..{len(found)}, got {[entry.seq for entry in found]}")
    return found


def blank(saga: SagaRow, entries: Sequence[Entry]) -> tuple[SagaRow, list[StepRow]]:
    """The rows before the first entry; `saga` gives id, graph, rollback and the lock's key. Steps that a fan-out added
    later do not matter before it: as if they had been passed over."""
    at = entries[0].at if entries else saga.updated_at
    steps = fresh_steps(saga.graph)
    for step, spec in zip(steps, saga.graph.steps, strict=True):
        if spec.element_of >= 0:
            step.status = StepStatus.SKIPPED
    return SagaRow(saga.id, saga.graph, saga.rollback, SagaState.STARTED, 0, None, at, lock_key=saga.lock_key), steps


def apply_entry(row: SagaRow, steps: list[StepRow], entry: Entry) -> None:
    """Do to the rows what the entry tells."""
    data = dict(entry.data or {})
    changed = data.pop("steps", {})
    if entry.kind == OpenedOut.kind and changed.get(str(entry.position), {}).get("opened"):
        for place in row.graph.steps[entry.position or 0].joins:
            steps[place] = StepRow(place)
    for position, diff in changed.items():
        step = steps[int(position)]
        was = step.copy()
        for name, value in diff.items():
            setattr(step, name, _typed(name, value, entry.at))
        step.held_since = since(was, step, entry.at)
    for name, value in data.items():
        if name in SAGA_FIELDS:
            setattr(row, name, _typed(name, value, entry.at))
    row.revision = entry.seq or 0
    row.updated_at = entry.at


def fold(saga: SagaRow, entries: Sequence[Entry]) -> tuple[SagaRow, list[StepRow]]:
    """The rows that the history tells of: `saga` gives id, graph and rollback; everything else comes from the entries.

    Raises ValueError when the seqs are not 1..n.
    """
    told = numbered(entries)
    row, steps = blank(saga, told)
    for entry in told:
        apply_entry(row, steps, entry)
    return row, steps
