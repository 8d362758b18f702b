"""The audit: does a saga's history tell a lawful story that ends in its rows? Pure; `saga_check` runs it on live data.

The numbers are those of the invariants in the docs: I2 history = state, I5 forward order, I6 nothing forward in a
rollback, I7 reverse order, I8 complete rollback, I10 doubt is never "no", I11 one claim per token, I12 terminal is
final, I15 bounded, I19 nothing without the lock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from . import triggers as t
from .attempts import MAX_CRASHES
from .graph import Graph
from .history import Entry, apply_entry, blank, numbered
from .readiness import compensable, undone
from .rows import SagaRow, StepRow
from .states import EXECUTED, PASSED, TERMINAL, Hold, Lock, SagaState, StepStatus, Wait

_MAY_REOPEN = frozenset({t.Retry.kind, t.Compensate.kind, t.Edit.kind, t.Rewind.kind, t.ParentUndoes.kind})


@dataclass(frozen=True, slots=True)
class Violation:
    """One invariant that does not hold."""

    invariant: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.text}"


def audit(saga: SagaRow, steps: Sequence[StepRow], entries: Sequence[Entry]) -> list[Violation]:
    """Every violation found; an empty list: all is well."""
    try:
        lawful = numbered(entries)
    except ValueError as exc:
        return [Violation("I2", str(exc))]
    found: list[Violation] = []
    row, told = blank(saga, lawful)
    tokens: set[tuple[UUID, int]] = set()
    for entry, graph in zip(lawful, _graphs(saga, lawful), strict=True):
        row.graph = graph
        before, before_steps = row.copy(), [step.copy() for step in told]
        try:
            apply_entry(row, told, entry)
        except (AttributeError, LookupError, TypeError, ValueError) as exc:  # written by nobody we know
            return [*found, Violation("I2", f"entry {entry.seq} can not be read ({type(exc).__name__})")]
        found += _transition(before, before_steps, row, told, entry)
        found += _tokens(before_steps, told, tokens)
    return found + _compare(saga, steps, row, told) + _end(saga, steps)


def _graphs(saga: SagaRow, entries: Sequence[Entry]) -> list[Graph]:
    """The graph after each entry: a migration tells of the one before it."""
    found, graph = [], saga.graph
    for entry in reversed(entries):
        found.append(graph)
        graph = entry.graph or graph
    return found[::-1]


def _compare(saga: SagaRow, steps: Sequence[StepRow], row: SagaRow, told: Sequence[StepRow]) -> list[Violation]:
    found = []
    for name in ("state", "revision", "stale_since", "paused_at", "attention", "error_code", "completed_at"):
        if getattr(saga, name) != getattr(row, name):
            found.append(Violation("I2", f"{name} is {getattr(saga, name)}, its history says {getattr(row, name)}"))
    for step, tale in zip(steps, told, strict=True):
        if step != tale:
            found.append(Violation("I2", f"step {saga.graph.steps[step.position].name} is not what its history says"))
    return found


def _transition(
    before: SagaRow, old: Sequence[StepRow], after: SagaRow, new: Sequence[StepRow], entry: Entry
) -> list[Violation]:
    found = []
    if before.state in TERMINAL and after.state is not before.state and entry.kind not in _MAY_REOPEN:
        found.append(Violation("I12", f"{before.state} became {after.state} by {entry.kind} (seq {entry.seq})"))
    for was, step in zip(old, new, strict=True):
        begun = step.waits is Wait.CHILD and not was.waits and step.status is StepStatus.COMPENSATING
        if begun or (step.claimed and (was.claim_worker, was.claim_token) != (step.claim_worker, step.claim_token)):
            found += _claim(after, new, step, entry)
        found += _doubt(after, was, step, entry)
    return found


def _tokens(old: Sequence[StepRow], new: Sequence[StepRow], used: set[tuple[UUID, int]]) -> list[Violation]:
    found = []
    for was, step in zip(old, new, strict=True):
        worker, number = step.claim_worker, step.claim_token
        if worker is None or number is None or was.held_by(worker, number):
            continue
        token = (worker, number)
        if token in used:
            found.append(Violation("I11", f"token {number} of worker {worker} claimed twice"))
        used.add(token)
    return found


def _claim(saga: SagaRow, steps: Sequence[StepRow], step: StepRow, entry: Entry) -> list[Violation]:
    name = f"{saga.graph.steps[step.position].name} (seq {entry.seq})"
    if saga.lock_key and saga.lock_state is not Lock.HELD:
        return [Violation("I19", f"{name} was claimed without the lock {saga.lock_key!r}")]
    if step.status is StepStatus.RUNNING:
        if saga.state is not SagaState.STARTED:
            return [Violation("I6", f"{name} was claimed forward while {saga.state}")]
        needed = saga.graph.steps[step.position].depends_on
        if not all(steps[position].status in PASSED for position in needed):
            return [Violation("I5", f"{name} was claimed before what it depends on was done")]
    elif step.status is StepStatus.COMPENSATING:
        done = undone(saga.graph, steps)
        if not all(done[later] for later in saga.graph.dependents[step.position]):
            return [Violation("I7", f"{name} was undone before what depended on it")]
    return []


def _doubt(saga: SagaRow, was: StepRow, step: StepRow, entry: Entry) -> list[Violation]:
    sure_no = (StepStatus.FAILED, StepStatus.CANCELLED, StepStatus.SKIPPED)
    if entry.kind in (t.Resolve.kind, t.ChildEnded.kind):  # a person has found out, or the child has told
        return []
    doubt = step.doubt or (was.doubt and was.round == step.round)  # a new round has new keys
    if step.status in sure_no and was.status not in sure_no and doubt:
        name = saga.graph.steps[step.position].name
        return [Violation("I10", f"{name} was in doubt and is recorded as {step.status} (seq {entry.seq})")]
    return []


def _crash_limit(step: StepRow) -> float:
    """Crashes at which the step must be held. An action whose last allowed crash came in a rollback is undone at once:
    its undo begins with all of them on the count."""
    limits = {StepStatus.PENDING: MAX_CRASHES, StepStatus.COMPENSATING: MAX_CRASHES + 1}
    return limits.get(step.status, math.inf)


def _end(saga: SagaRow, steps: Sequence[StepRow]) -> list[Violation]:
    found = []
    for step in steps:
        spec = saga.graph.steps[step.position]
        if saga.state is SagaState.COMPENSATED and step.status in EXECUTED and compensable(saga.graph, step.position):
            found.append(Violation("I8", f"compensated, but {spec.name} is {step.status}"))
        if saga.state is SagaState.COMPENSATED and step.hold is Hold.DEBT:
            found.append(Violation("I8", f"compensated with a debt in {spec.name}"))
        if step.tries > spec.retry.max_attempts or step.undo_tries > spec.undo_retry.max_attempts:
            found.append(Violation("I15", f"{spec.name} was tried more often than its policy allows"))
        if not step.hold and step.crashes >= _crash_limit(step):
            found.append(Violation("I15", f"{spec.name} crashed {step.crashes} times and is not held"))
    if (saga.lock_state is Lock.NONE) != (not saga.lock_key or saga.state in TERMINAL):
        found.append(Violation("I19", f"{saga.state} with the lock {saga.lock_key!r} {saga.lock_state or 'given up'}"))
    if (saga.state in TERMINAL) != (saga.wake_at is None) and saga.paused_at is None:
        found.append(Violation("I1", f"{saga.state} with wake_at {saga.wake_at}"))
    return found
