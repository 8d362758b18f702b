"""`run_saga`: one saga (and its child sagas) in memory, driven by a test."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any
from uuid import UUID

from ..core.children import child_id
from ..definitions.definition import SagaDefinition
from ..engine.attempt import Attempt
from ..engine.connections import handlers_follow
from ..engine.start import prepare
from .clock import Clock
from .faults import Failures, Fault, check_child_failures, check_failures, failure_of, quiet, raising
from .rig import Rig
from .stand_ins import StandIns
from .view import Runner


class SagaRun(Runner):
    """One saga in memory, with its child sagas. Made by `run_saga`."""

    def __init__(
        self,
        definition: str | type[SagaDefinition],
        options: Mapping[str, Any],
        fail: Failures,
        stand_ins: StandIns | None = None,
    ) -> None:
        clock = Clock()
        with stand_ins.standing() if stand_ins else nullcontext():
            new = prepare(definition, now=clock, **options)
        self.id: UUID = new.id
        if fail:
            check_failures(fail, new.graph)
        self._fail = fail
        #: The engine that runs it: claims, submissions, the clock.
        self.rig = Rig(new, clock, stand_ins)
        self.clock = clock
        self.store = self.rig.store
        self.called = []
        self.undo_called = []

    # -- going on -----------------------------------------------------------------------------------------------

    def next_step(self) -> str | None:
        """Run one attempt of one step; its name ("name.undo" for a compensation, "ship/name" for a child saga's step),
        None when nothing is left to run.

        Waits take no time: the clock is set forward when there is nothing else to do.
        """
        return self.run_attempt(self.rig.queue.pop(0)) if self.rig.fill(waits=True) else None

    def finish(self) -> SagaRun:
        """Run until nothing is left to run: the saga has ended, or waits for a person. Waits take no time."""
        with handlers_follow():
            while self.next_step() is not None:
                pass
        return self

    def drain(self) -> SagaRun:
        """Run what can run now, while the clock stands still: until the saga has ended, waits or is held.

        Go on with `run.clock.advance(minutes=5)` and `run.drain()`, or with `run.finish()`.
        """
        while self.rig.fill(waits=False):
            self.run_attempt(self.rig.queue.pop(0))
        return self

    def run_attempt(self, attempt: Attempt) -> str:
        """Run one that was claimed; its name."""
        step, undo = self.rig.name_of(attempt), attempt.claim.undo
        calls, name = (self.undo_called, f"{step}.undo") if undo else (self.called, step)
        spared = not self._fail or self.rig.keeps_books(attempt)
        failure = None if spared else failure_of(self._fail, name, calls.count(step))
        calls.append(step)
        if failure is None:
            self.rig.settle(self.rig.execute(attempt))
        elif isinstance(failure, Fault):
            failure.befall(self.rig, attempt, self.rig.real(attempt))
        else:
            with quiet(failure):
                self.rig.settle(self.rig.execute(attempt, raising(failure)))
        if self._fail and attempt.spec.saga:
            self._check_child(attempt)
        return name

    def _check_child(self, attempt: Attempt) -> None:
        child = self.store.sagas.get(child_id(attempt.saga_id, attempt.spec.name, attempt.claim.round))
        if child is not None:
            check_child_failures(self._fail, child.saga.graph, f"{self.rig.name_of(attempt)}/")

    def heal(self) -> SagaRun:
        """From here on nothing is made to fail."""
        self._fail = {}
        return self

    def thaw(self) -> SagaRun:
        """Let processes that were `Frozen` go on: their handlers are called now, their results come too late."""
        self.rig.thaw()
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
    list with one entry per attempt (None = it is called). A child saga's step is named by its path ("ship/label"), an
    element of a list by its number ("pack[0]"; "pack" is each of them). `finish=False`: only start it; go on with
    `next_step()`, `drain()` or `finish()`. `options`: those of `Saga.objects.start`. Waits between attempts take no
    time; to see them, start with `finish=False`, then `drain()` and move `run.clock`.

    Raises ValueError for a `fail` that names no step of the saga (of a child saga whose steps are a function of its
    context: when that starts), and what `Saga.objects.start` raises.
    """
    found = SagaRun(definition, {"context": context, **options}, fail or {})
    return found.finish() if finish else found
