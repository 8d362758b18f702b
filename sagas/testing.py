"""For your tests: run a saga in process, on the memory store: no database, no broker, a clock that moves itself.

    run = run_saga(OrderProcessing, {"order": 7}, fail={"charge_payment": Rejected("declined", code="card_declined")})
    assert run.state == "compensated"
    assert run.undone == ["reserve_inventory", "create_order"]

The engine is the real one: the same `decide`, the same contexts, the same JSON round trip of every value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

from .core.claims import Claim, Offer
from .core.history import Entry
from .core.plan import CompensationPlan, compensation_plan
from .core.states import ALIVE
from .core.triggers import Compensate, Look, Retry, Trigger
from .core.workflow import WorkflowStatus, workflow_status
from .definitions.context import StepContext
from .definitions.definition import SagaDefinition
from .definitions.handlers import Handler
from .definitions.ids import new_id
from .definitions.registry import registry
from .engine.attempt import Attempt, run
from .engine.start import prepare
from .store.base import Result, Submission
from .store.memory import MemoryStore

#: What a step (or, as "name.undo", its compensation) shall raise: always, or one entry per attempt (None = it works).
Failures = Mapping[str, BaseException | Sequence[BaseException | None]]
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that is set forward when there is nothing to do but wait."""

    def __init__(self) -> None:
        self.now = _EPOCH

    def __call__(self) -> datetime:
        """The time."""
        return self.now


class SagaRun:
    """One saga in memory."""

    def __init__(self, definition: str | type[SagaDefinition], options: Mapping[str, Any], fail: Failures) -> None:
        self.clock = Clock()
        self.store = MemoryStore(self.clock)
        self._tokens = count(1)
        self._worker = new_id()
        self._fail = fail
        self._queue: list[Attempt] = []
        #: Steps whose action, and whose compensation, was called, in order, once per attempt.
        self.called: list[str] = []
        self.undo_called: list[str] = []
        new = prepare(definition, **options)
        self.id: UUID = new.id
        self.graph = new.graph
        known = set(self.graph.names)
        unknown = {name.removesuffix(".undo") for name in fail} - known
        if unknown:
            raise ValueError(
                f"fail: expected names of steps ({', '.join(sorted(known))}), got {', '.join(sorted(unknown))}"
            )
        self.store.insert([replace(new)])

    # -- what came of it ----------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """The saga's state."""
        return str(self.store.sagas[self.id].saga.state)

    @property
    def attention(self) -> str:
        """Why a person must look; empty when nobody must."""
        return self.store.sagas[self.id].saga.attention

    @property
    def workflow_status(self) -> WorkflowStatus:
        """The state in the workflow tutorial's words."""
        found = self.store.sagas[self.id].saga
        return workflow_status(found.state, paused=found.paused_at is not None, attention=found.attention)

    @property
    def revision(self) -> int:
        """+1 per transition."""
        return self.store.sagas[self.id].saga.revision

    @property
    def context(self) -> dict[str, Any]:
        """The saga's context."""
        found: dict[str, Any] = json.loads(self.store.payloads[self.id].context)
        return found

    @property
    def outputs(self) -> dict[str, Any]:
        """Outputs by step name."""
        texts = self.store.payloads[self.id].outputs
        return {
            spec.name: json.loads(text) for p, spec in enumerate(self.graph.steps) if (text := texts.get(p)) is not None
        }

    @property
    def statuses(self) -> dict[str, str]:
        """Statuses by step name."""
        return {self.graph.steps[step.position].name: str(step.status) for step in self.store.sagas[self.id].steps}

    @property
    def undone(self) -> list[str]:
        """Steps that were compensated, in the order in which that ended."""
        found = [step for step in self.store.sagas[self.id].steps if step.compensated_at is not None]
        seqs = {entry.position: entry.seq or 0 for entry in self.history if entry.kind == "completed"}
        return [self.graph.steps[step.position].name for step in sorted(found, key=lambda step: seqs[step.position])]

    @property
    def history(self) -> list[Entry]:
        """What happened."""
        return self.store.history[self.id]

    def plan(self) -> CompensationPlan:
        """What a rollback would undo now."""
        found = self.store.sagas[self.id]
        return compensation_plan(found.saga, found.steps)

    # -- going on -----------------------------------------------------------------------------------------------

    def next_step(self) -> str | None:
        """Run one attempt of one step; its name ("name.undo" for a compensation), None when nothing is left to run."""
        attempt = self._next()
        if attempt is None:
            return None
        name = attempt.spec.name + (".undo" if attempt.claim.undo else "")
        calls = self.undo_called if attempt.claim.undo else self.called
        failure = _failure(self._fail.get(name), calls.count(attempt.spec.name))
        calls.append(attempt.spec.name)
        with nullcontext() if failure is None else _raising(failure, attempt):
            ended = run(attempt, self.store, self._commit, self._offer)
        result = ended.result
        if ended.submission is not None:
            result = self._commit(ended.submission)
        if result is not None:
            self._accept(result)
        return name

    def finish(self) -> SagaRun:
        """Run until nothing is left to run: the saga has ended, or waits for a person."""
        while self.next_step() is not None:
            pass
        return self

    def compensate(self, reason: str = "") -> SagaRun:
        """As an operator would; go on with `finish` or `next_step`."""
        return self._operate(Compensate("test", reason))

    def retry(self, reason: str = "") -> SagaRun:
        """As an operator would; go on with `finish` or `next_step`."""
        return self._operate(Retry("test", reason))

    def _operate(self, trigger: Trigger) -> SagaRun:
        result = self._commit(Submission(self.id, trigger))
        if result.error is not None:
            raise result.error
        self._accept(result)
        return self

    def _next(self) -> Attempt | None:
        while not self._queue:
            found = self.store.sagas[self.id].saga
            if found.state not in ALIVE or found.wake_at is None:
                return None
            before = found.revision
            self._accept(self._commit(Submission(self.id, Look(sweep=True))))
            after = self.store.sagas[self.id].saga
            if self._queue or after.revision != before:
                continue
            due = [
                step.due_at for step in self.store.sagas[self.id].steps if step.due_at is not None and not step.claimed
            ]
            if not due or min(due) <= self.clock.now:
                return None
            self.clock.now = min(due)
        return self._queue.pop(0)

    def _accept(self, result: Result) -> None:
        if result.claims and result.saga is not None:
            texts = self.store.texts([self.id])[self.id]
            self._queue += [self._attempt(claim, texts) for claim in result.claims]

    def _attempt(self, claim: Claim, texts: Any) -> Attempt:
        name = self.store.new[self.id].name
        return Attempt(self.id, name, self.store.new[self.id].request_id, self.graph, claim, self._worker, texts)

    def _commit(self, submission: Submission) -> Result:
        return self.store.apply([submission], self._offer())[0]

    def _offer(self) -> Offer:
        many = len(self.graph.steps) + 1
        return Offer(self._worker, frozenset(registry.handlers), self._tokens.__next__, None, many, many, many)


def run_saga(
    definition: str | type[SagaDefinition],
    context: Mapping[str, Any] | None = None,
    *,
    fail: Failures | None = None,
    finish: bool = True,
    **options: Any,
) -> SagaRun:
    """Start a saga in memory and run it to its end.

    `fail`: what a step's action ("name") or compensation ("name.undo") shall raise instead of being called: an
    exception, or a list with one entry per attempt (None = call it). `finish=False`: only start it; go on with
    `next_step()`. `options`: those of `Saga.objects.start`. Waits between attempts take no time.
    """
    found = SagaRun(definition, {"context": context, **options}, fail or {})
    return found.finish() if finish else found


def _failure(wanted: BaseException | Sequence[BaseException | None] | None, number: int) -> BaseException | None:
    """What the step's next attempt raises, after `number` others."""
    if isinstance(wanted, Sequence):
        return wanted[number] if number < len(wanted) else None
    return wanted


@contextmanager
def _raising(failure: BaseException, attempt: Attempt) -> Iterator[None]:
    """Put a failing handler in the registered one's place for one attempt."""
    known = registry.handlers.get(attempt.handler_name)
    if known is None:
        yield
        return
    registry.handlers[attempt.handler_name] = replace(known, function=_raiser(failure), is_async=False)
    try:
        yield
    finally:
        registry.handlers[attempt.handler_name] = known


def _raiser(failure: BaseException) -> Callable[[StepContext], None]:
    def fail(context: StepContext) -> None:
        raise failure

    return fail


__all__ = ["Clock", "Handler", "SagaRun", "run_saga"]
