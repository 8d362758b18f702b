"""`run_saga`: one saga in memory, driven by a test; and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from ..core.graph import Graph
from ..core.history import Entry
from ..core.plan import CompensationPlan, compensation_plan
from ..core.triggers import Compensate, Retry, Trigger
from ..core.workflow import WorkflowStatus, workflow_status
from ..definitions.definition import SagaDefinition
from ..engine.attempt import Attempt
from ..engine.start import prepare
from ..store.base import Submission
from .faults import Failures, Fault, check_failures, failure_of, quiet, raising
from .rig import Rig
from .steering import Steering
from .story import story


class SagaRun(Steering):
    """One saga in memory. Made by `run_saga`."""

    def __init__(
        self,
        definition: str | type[SagaDefinition],
        options: Mapping[str, Any],
        fail: Failures,
        stand_ins: frozenset[str] = frozenset(),
    ) -> None:
        new = prepare(definition, **options)
        self.id: UUID = new.id
        self.name = new.name
        if fail:
            check_failures(fail, [spec.name for spec in new.graph.steps])
        self._fail = fail
        #: The engine that runs it: claims, submissions, the clock.
        self.rig = Rig(new, stand_ins)
        self.clock = self.rig.clock
        self.store = self.rig.store
        #: Steps whose action, and whose compensation, was called, in order, once per attempt.
        self.called: list[str] = []
        self.undo_called: list[str] = []

    # -- what came of it ----------------------------------------------------------------------------------------

    @property
    def graph(self) -> Graph:
        """The saga's steps; a fan-out adds some."""
        return self.rig.graph

    @property
    def state(self) -> str:
        """The saga's state."""
        return str(self.rig.loaded.saga.state)

    @property
    def attention(self) -> str:
        """Why a person must look; empty when nobody must."""
        return self.rig.loaded.saga.attention

    @property
    def workflow_status(self) -> WorkflowStatus:
        """The state in the workflow tutorial's words."""
        found = self.rig.loaded.saga
        return workflow_status(found.state, paused=found.paused_at is not None, attention=found.attention)

    @property
    def error_code(self) -> str:
        """Why it was rolled back, or failed; empty when all went well."""
        return self.rig.loaded.saga.error_code

    @property
    def revision(self) -> int:
        """+1 per transition."""
        return self.rig.loaded.saga.revision

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
        return {self.graph.steps[step.position].name: str(step.status) for step in self.rig.loaded.steps}

    @property
    def progress(self) -> dict[str, float]:
        """What handlers said last with `ctx.heartbeat(progress=…)`, by step name."""
        return {self.graph.steps[position].name: value for position, value in self.rig.progress.items()}

    @property
    def undone(self) -> list[str]:
        """Steps that were compensated, in the order in which that ended."""
        found = [step for step in self.rig.loaded.steps if step.compensated_at is not None]
        seqs = {entry.position: entry.seq or 0 for entry in self.history if entry.kind == "completed"}
        return [
            self.graph.steps[step.position].name for step in sorted(found, key=lambda step: seqs.get(step.position, 0))
        ]

    @property
    def history(self) -> list[Entry]:
        """What happened."""
        return self.store.history[self.id]

    @property
    def story(self) -> str:
        """The history as text, one line per entry: `self.fail(run.story)`."""
        return story(self.graph, self.history)

    def plan(self) -> CompensationPlan:
        """What a rollback would undo now."""
        found = self.rig.loaded
        return compensation_plan(found.saga, found.steps)

    # -- going on -----------------------------------------------------------------------------------------------

    def next_step(self) -> str | None:
        """Run one attempt of one step; its name ("name.undo" for a compensation), None when nothing is left to run.

        Waits take no time: the clock is set forward when there is nothing else to do.
        """
        return self._run(self.rig.queue.pop(0)) if self.rig.fill(waits=True) else None

    def finish(self) -> SagaRun:
        """Run until nothing is left to run: the saga has ended, or waits for a person. Waits take no time."""
        while self.next_step() is not None:
            pass
        return self

    def drain(self) -> SagaRun:
        """Run what can run now, while the clock stands still: until the saga has ended, waits or is held.

        Go on with `run.clock.advance(minutes=5)` and `run.drain()`, or with `run.finish()`.
        """
        while self.rig.fill(waits=False):
            self._run(self.rig.queue.pop(0))
        return self

    def _run(self, attempt: Attempt) -> str:
        step, undo = attempt.spec.name, attempt.claim.undo
        calls, name = (self.undo_called, f"{step}.undo") if undo else (self.called, step)
        failure = failure_of(self._fail.get(name), calls.count(step)) if self._fail else None
        calls.append(step)
        if failure is None:
            self.rig.settle(self.rig.execute(attempt))
        elif isinstance(failure, Fault):
            failure.befall(self.rig, attempt, self.rig.real(attempt))
        else:
            with quiet(failure):
                self.rig.settle(self.rig.execute(attempt, raising(failure)))
        return name

    def compensate(self, reason: str = "") -> SagaRun:
        """As an operator would; go on with `finish`, `drain` or `next_step`."""
        return self._operate(Compensate("test", reason))

    def retry(self, reason: str = "") -> SagaRun:
        """As an operator would; go on with `finish`, `drain` or `next_step`."""
        return self._operate(Retry("test", reason))

    def heal(self) -> SagaRun:
        """From here on nothing is made to fail."""
        self._fail = {}
        return self

    def thaw(self) -> SagaRun:
        """Let processes that were `Frozen` go on: their handlers are called now, their results come too late."""
        self.rig.thaw()
        return self

    def _operate(self, trigger: Trigger) -> SagaRun:
        result = self.rig.submit(Submission(self.id, trigger))
        if result.error is not None:
            raise result.error
        return self


def run_saga(
    definition: str | type[SagaDefinition],
    context: Mapping[str, Any] | None = None,
    *,
    fail: Failures | None = None,
    finish: bool = True,
    **options: Any,
) -> SagaRun:
    """Start a saga in memory and run it to its end.

    `fail`: what befalls a step's action ("name") or compensation ("name.undo") instead of a plain call of its handler:
    an exception that the handler is made to raise, `Timeout`, `CrashBefore`, `CrashAfter` or `Frozen`; always, or a
    list with one entry per attempt (None = it is called). `finish=False`: only start it; go on with `next_step()`,
    `drain()` or `finish()`. `options`: those of `Saga.objects.start`. Waits between attempts take no time; to see them,
    start with `finish=False`, then `drain()` and move `run.clock`.

    Raises ValueError for a `fail` that names no step of the saga, and what `Saga.objects.start` raises.
    """
    found = SagaRun(definition, {"context": context, **options}, fail or {})
    return found.finish() if finish else found
