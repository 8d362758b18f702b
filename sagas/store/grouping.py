"""From submissions to writes: decide each in order on what is loaded, fold several of one saga into one write."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from ..core.claims import Budget, Offer
from ..core.decide import Decision, Desk, decide
from ..core.errors import InvariantError, SagaError
from ..core.graph import Graph
from ..core.history import Entry
from ..core.states import PASSED, Lock, SagaState, StepStatus
from ..core.triggers import (
    Answer,
    AttemptTrigger,
    Checked,
    ChildEnded,
    Completed,
    Edit,
    Look,
    Migrate,
    OpenedOut,
    Prepared,
    Signal,
    StepTrigger,
    Trigger,
    Unrecorded,
    Waits,
)
from .base import Loaded, Payload, Result, Submission, Verdict

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class SagaWrite:
    """Everything that one group changes in one saga."""

    loaded: Loaded
    moved: bool = False
    woken: bool = False
    changed: set[int] = field(default_factory=set)
    outputs: dict[int, str] = field(default_factory=dict)
    #: What compensations returned.
    undo_outputs: dict[int, str] = field(default_factory=dict)
    inputs: dict[int, str] = field(default_factory=dict)
    #: Context additions, in order.
    patches: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    #: Inputs that an operator has changed.
    edits: dict[int, str] = field(default_factory=dict)
    #: Steps that begin anew: what they have stored is out of date.
    cleared: set[int] = field(default_factory=set)
    #: Where it stood with its lock before.
    lock_before: Lock = Lock.NONE
    #: The version that it has from now on; empty: it stays.
    version: str = ""
    #: How many of the steps have rows already, and the graph that they are rows of.
    rows: int = 0
    graph: Graph = field(init=False)

    def __post_init__(self) -> None:
        self.rows, self.graph = len(self.loaded.steps), self.loaded.saga.graph

    @property
    def relocks(self) -> bool:
        """Whether it gives its lock up, or takes it (again)."""
        return self.loaded.saga.lock_state is not self.lock_before

    @property
    def grown(self) -> bool:
        """Whether steps were added: a new graph, and rows to insert."""
        return self.loaded.saga.graph is not self.graph

    @property
    def written(self) -> list[int]:
        """Positions of the steps whose rows are written."""
        payloads = self.outputs.keys() | self.undo_outputs.keys() | self.inputs.keys() | self.edits.keys()
        found = self.changed | payloads
        return sorted(position for position in found if position < self.rows)

    @property
    def added(self) -> range:
        """Positions of the steps whose rows are inserted."""
        return range(self.rows, len(self.loaded.steps))

    def input_of(self, position: int) -> tuple[str | None, bool]:
        """The input to store, and whether it replaces what is there."""
        if position in self.edits:
            return self.edits[position], True
        computed = self.loaded.saga.graph.steps[position].computed
        return self.inputs.get(position), position in self.cleared and computed

    def patch(self) -> str | None:
        """The additions to the context as one JSON object."""
        if len(self.patches) < 2:
            return self.patches[0] if self.patches else None
        merged: dict[str, object] = {}
        for text in self.patches:
            merged.update(json.loads(text))
        return json.dumps(merged, ensure_ascii=False, separators=(",", ":"))


def decide_group(
    submissions: Sequence[Submission],
    loaded: Mapping[UUID, Loaded],
    others: Mapping[UUID, SagaError | None],
    now: datetime,
    offer: Offer | None,
    budget: Budget | None = None,
) -> tuple[list[Result], list[SagaWrite]]:
    """Decide all; returns the results in order and what is to be written, one per saga, in id order.

    `others`: sagas that exist and were not loaded, because somebody holds them (None) or for that error. `budget`: what
    is left of the offer, where an earlier part of the group has taken from it.
    """
    if budget is None and offer is not None:
        budget = offer.budget()
    writes = {saga_id: SagaWrite(found, lock_before=found.saga.lock_state) for saga_id, found in loaded.items()}
    results = []
    for submission in submissions:
        write = writes.get(submission.saga_id)
        if write is None:
            results.append(_not_loaded(submission, others))
        else:
            results.append(_decide_one(submission, write, now, offer, budget))
    found = [write for write in writes.values() if _has_work(write)]
    return results, sorted(found, key=_id_of) if len(found) > 1 else found


def _id_of(write: SagaWrite) -> UUID:
    return write.loaded.saga.id


def _not_loaded(submission: Submission, others: Mapping[UUID, SagaError | None]) -> Result:
    if submission.saga_id not in others:
        return Result(submission, Verdict.MISSING)
    error = others[submission.saga_id]
    return Result(submission, Verdict.REFUSED, str(error), error) if error else Result(submission, Verdict.BUSY)


def _has_work(write: SagaWrite) -> bool:
    return bool(write.moved or write.woken or write.inputs or write.entries)


def _decide_one(
    submission: Submission, write: SagaWrite, now: datetime, offer: Offer | None, budget: Budget | None
) -> Result:
    loaded = write.loaded
    before = loaded.saga.revision
    desk, trigger = None, submission.trigger
    if loaded.unlocked and isinstance(trigger, Look):
        trigger = replace(trigger, unlocked=True)
    if offer is not None and budget is not None:
        desk = Desk(offer, budget, submission.book)
        if isinstance(submission.trigger, AttemptTrigger):
            budget.bring(undo=submission.trigger.undo)
    try:
        decision = decide(loaded.saga, loaded.steps, trigger, now, desk)
    except SagaError as exc:
        error = exc
    except Exception as exc:  # one saga whose rows make no sense must not stop the others of the group
        text = f"{submission.trigger.kind} could not be decided: {exc!r}"
        complain(submission.saga_id, text)
        error = InvariantError(text, saga_id=submission.saga_id)
    else:
        return _decided(submission, write, decision, before)
    return Result(submission, Verdict.REFUSED, str(error), error, loaded.saga, loaded.steps, loaded.name)


@lru_cache(maxsize=1000)
def complain(saga_id: UUID, text: str) -> None:
    """Say what is wrong with a saga; once, however often the sweep comes by."""
    logger.error("saga %s: %s", saga_id, text, extra={"action": "broken", "saga_id": str(saga_id)})


def _decided(submission: Submission, write: SagaWrite, decision: Decision, before: int) -> Result:
    loaded = write.loaded
    _note(write, submission, decision, before)
    return Result(
        submission,
        Verdict.IGNORED if decision.ignored else Verdict.APPLIED,
        decision.ignored,
        None,
        loaded.saga,
        loaded.steps,
        loaded.name,
        loaded.request_id,
        before,
        decision.claims,
        decision.unclaimed,
        decision.errands,
        decision.limited,
        loaded.keys,
        changes=None if decision.entry is None else decision.entry.data,
    )


def _note(write: SagaWrite, submission: Submission, decision: Decision, before: int) -> None:
    loaded = write.loaded
    write.moved = write.moved or decision.moved
    write.woken = write.woken or decision.saga.wake_at != loaded.read_wake
    write.changed |= decision.changed
    if decision.rounds:
        write.cleared |= decision.rounds
        for position in decision.rounds:
            write.outputs.pop(position, None)
            write.undo_outputs.pop(position, None)
            write.inputs.pop(position, None)
    loaded.saga, loaded.steps = decision.saga, decision.steps
    if isinstance(submission.trigger, Migrate) and not decision.ignored:
        write.version = submission.trigger.version
        write.changed |= decision.rounds
    if decision.entry is not None:
        write.entries.append(decision.entry)
    elif decision.note is not None and not submission.again:
        write.entries.append(decision.note)
    if submission.payload is not None and not decision.ignored:
        _note_payload(write, submission, submission.payload, decision, before)


def _note_payload(write: SagaWrite, submission: Submission, payload: Payload, decision: Decision, before: int) -> None:
    trigger = submission.trigger
    if isinstance(trigger, (Prepared, Checked, OpenedOut)):
        write.inputs.update(payload.inputs)
        return
    if decision.entry is None:
        return
    if isinstance(trigger, Migrate):
        # What has begun keeps its input.
        open_now = {*decision.rounds, *write.added}
        write.edits.update({place: text for place, text in payload.inputs.items() if place in open_now})
    elif isinstance(trigger, Edit):
        write.edits.update(payload.inputs)
    else:
        _note_output(write, trigger, payload, decision.entry)
    if not isinstance(trigger, (Completed, Unrecorded, Waits)):
        return
    if payload.context is not None:
        write.patches.append(payload.context)
    if payload.inputs and payload.basis == before:
        # Only for steps claimed in this very commit: the others are worked out when their turn comes.
        taken = {claim.position for claim in decision.claims}
        write.inputs.update({position: text for position, text in payload.inputs.items() if position in taken})


def _note_output(write: SagaWrite, trigger: Trigger, payload: Payload, entry: Entry) -> None:
    """What an action returned, or its compensation; or what a person or a child saga says in the place of one."""
    position = None if payload.output is None else _told_of(write.loaded.saga.graph, trigger)
    if payload.output is None or position is None:
        return
    changed = (entry.data or {}).get("steps", {}).get(str(position), {})
    if changed.get("status") == StepStatus.COMPENSATED:
        write.undo_outputs[position] = payload.output
    elif not _undoes(trigger) and (
        not isinstance(trigger, StepTrigger) or write.loaded.steps[position].status in PASSED
    ):
        write.outputs[position] = payload.output


def _told_of(graph: Graph, trigger: Trigger) -> int | None:
    """The step whose output it may bring."""
    if isinstance(trigger, ChildEnded):
        return graph.names[trigger.step]
    if isinstance(trigger, Signal):
        return graph.signals[trigger.name]
    return trigger.position if isinstance(trigger, (StepTrigger, Completed, Unrecorded, Answer)) else None


def _undoes(trigger: Trigger) -> bool:
    """Whether it tells of a compensation. Where that was the last one of a rollback in part, the step's next round has
    begun, and what the old one returned is not kept."""
    if isinstance(trigger, ChildEnded):
        return trigger.state is not SagaState.COMPLETED
    return isinstance(trigger, (Completed, Unrecorded, Answer)) and trigger.undo
