"""`given(…).expect(…).reply(…)`: a saga against participants whose every answer the test writes down.

    given(OrderProcessing, {"order": 7})
        .expect("orders.create").reply({"order_id": 7})
        .expect("inventory.reserve", input={"order_id": 7}).reply(Rejected("none left"))
        .expect("orders.delete").reply()
        .finish()

The engine is the real one; no handler is called, nor need it exist.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import timedelta
from types import TracebackType
from typing import Any

from ..core.states import ALIVE
from ..definitions.context import StepContext
from ..definitions.definition import SagaDefinition
from ..engine.attempt import Attempt
from .faults import Failure, Fault, quiet, raising
from .rig import Participant
from .run import SagaRun
from .stand_ins import StandIns

#: What a participant answers: an output, an exception that it raises, a fault, or a function of its `StepContext`.
Answer = Mapping[str, Any] | Failure | Callable[[StepContext], Any] | None


def given(definition: str | type[SagaDefinition], context: Mapping[str, Any] | None = None, **options: Any) -> Script:
    """Start a saga in memory, whose participants are scripted. `options`: those of `Saga.objects.start`."""
    return Script(definition, {"context": context, **options})


class Script:
    """A saga whose calls wait for the test's answers. Made by `given`.

    Every call that the saga makes waits until `expect` names it; those of parallel steps in any order.
    """

    def __init__(self, definition: str | type[SagaDefinition], options: Mapping[str, Any]) -> None:
        #: What came of it so far: `state`, `statuses`, `outputs`, `history`, `clock` …
        self.run = SagaRun(definition, options, {}, StandIns(definition, options.get("steps")))
        # A call that waits for the test's answer must not keep others from being made.
        self.run.rig.many_processes = True
        self._open: Expected | None = None

    # -- calls --------------------------------------------------------------------------------------------------

    def expect(
        self,
        name: str,
        *,
        input: Mapping[str, Any] | None = None,  # noqa: A002
        exact: bool = False,
        step: str = "",
    ) -> Expected:
        """Expect a call of the action or compensation `name`; go on with `reply`.

        Waits take no time: the clock is set forward to the call, if it comes later. `input`: what must be in the call's
        input (other keys may be there too, unless `exact`). `step`: the step that must call, where several do the same
        ("ship/label": a child saga's).

        Raises AssertionError when no such call comes, showing what came instead and the history.
        """
        self._close()
        self._open = Expected(self, name, input, exact, step)
        return self._open

    def expect_nothing(self) -> Script:
        """No call waits now: all are answered, and the next one comes later, if at all."""
        self._close()
        if self._fill(waits=False):
            raise AssertionError(self._unexpected())
        return self

    # -- what happens besides -----------------------------------------------------------------------------------

    def advance(self, by: timedelta | None = None, **parts: float) -> Script:
        """Set the clock forward: `advance(hours=1)`."""
        self._close()
        self.run.clock.advance(by, **parts)
        return self

    def compensate(self, reason: str = "") -> Script:
        """Roll back, as an operator would."""
        self._close()
        self.run.compensate(reason)
        return self

    def retry(self, reason: str = "") -> Script:
        """Run again what is stuck, as an operator would."""
        self._close()
        self.run.retry(reason)
        return self

    # -- the end ------------------------------------------------------------------------------------------------

    def drain(self) -> SagaRun:
        """Nothing is left to run: the saga has ended, waits, or is held. The clock stands still.

        Raises AssertionError for a call that nobody expected.
        """
        return self.expect_nothing().run

    def finish(self) -> SagaRun:
        """Nothing is left to run, however long one waits: the saga has ended or is held.

        Raises AssertionError for a call that nobody expected.
        """
        self._close()
        if self._fill(waits=True):
            raise AssertionError(self._unexpected())
        return self.run

    def __enter__(self) -> Script:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()

    # -- inside -------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        if self._open is not None:
            raise AssertionError(f"the expected call of {self._open} has no answer: go on with .reply(…)")

    def _answered(self) -> None:
        self._open = None

    def _fill(self, *, waits: bool) -> bool:
        """Whether a call waits for an answer."""
        while self.run.rig.fill(waits=waits):
            self._run_own()
            if self.run.rig.queue:
                return True
        return False

    def _run_own(self) -> None:
        """What calls nobody goes on by itself: child sagas start, conditions are looked at, lists are joined."""
        rig = self.run.rig
        while (attempt := next(filter(rig.calls_nobody, rig.queue), None)) is not None:
            rig.queue.remove(attempt)
            self.run.run_attempt(attempt)

    def _take(self, expected: Expected) -> Attempt:
        """The call that is expected; the clock is set forward to it."""
        rig = self.run.rig
        self._fill(waits=True)
        found = expected.choose(rig.queue)
        more = found is None
        while more:
            rig.look()
            self._run_own()
            found = expected.choose(rig.queue)
            more = found is None and rig.pass_time()
        if found is None:
            raise AssertionError(self.complaint(f"a call of {expected}", self._came()))
        rig.queue.remove(found)
        return found

    def _came(self) -> str:
        calls = ", ".join(self.shown(attempt) for attempt in self.run.rig.queue)
        if calls:
            return calls
        return f"nothing: the saga {'waits' if self.run.rig.loaded.saga.state in ALIVE else 'has ended'}"

    def _unexpected(self) -> str:
        return self.complaint("no more calls", self._came())

    def shown(self, attempt: Attempt) -> str:
        """A call, for a message."""
        found = _input(attempt)
        step = f"{self.run.rig.name_of(attempt)}, attempt {attempt.claim.attempt}"
        return f"{attempt.handler_name} ({step})" + ("" if found is None else f" with input {_json(found)}")

    def complaint(self, expected: str, came: str) -> str:
        """What a failing test says."""
        run = self.run
        held = f", held for a person: {run.attention}" if run.attention else ""
        return f"expected {expected}\ngot      {came}\n\n{run.name} is {run.state}{held}. So far:\n{run.story}"


class Expected:
    """A call that the test expects."""

    def __init__(self, script: Script, name: str, wanted: Mapping[str, Any] | None, exact: bool, step: str) -> None:
        self._script = script
        self._name = name
        self._input = wanted
        self._exact = exact
        self._step = step

    def __str__(self) -> str:
        step = f" by step {self._step}" if self._step else ""
        exactly = "exactly " if self._exact else ""
        return self._name + step + (f" with input {exactly}{_json(self._input)}" if self._input is not None else "")

    def reply(self, answer: Answer = None, *, update: Mapping[str, Any] | None = None) -> Script:
        """Answer the call with an output (a dict or None), an exception that the handler raises (`Rejected("no")`), a
        fault (`Timeout`, `CrashBefore`, `CrashAfter`), or a function of the call's `StepContext` that does either.

        `update`: what the handler adds to the saga's context. Raises AssertionError when the call does not come, or
        with another input.
        """
        answer = answer() if isinstance(answer, type) and issubclass(answer, (BaseException, Fault)) else answer
        fault = answer if isinstance(answer, Fault) else None
        with quiet(answer) if isinstance(answer, BaseException) else nullcontext():
            return self._answer(lambda attempt: _participant(answer, update or {}), fault)

    def call_through(self) -> Script:
        """Let the registered handler answer."""
        return self._answer(self._script.run.rig.real, None)

    def choose(self, calls: Sequence[Attempt]) -> Attempt | None:
        """The call that is meant: of several, the first one whose input is right."""
        path = self._script.run.rig.name_of
        mine = [call for call in calls if call.handler_name == self._name]
        mine = [call for call in mine if self._step in ("", call.spec.name, path(call))]
        right = [call for call in mine if not self._wrong(call)]
        return next(iter(right or mine), None)

    def _wrong(self, attempt: Attempt) -> bool:
        found = _input(attempt)
        if self._input is None:
            return False
        return found != dict(self._input) if self._exact else not _contains(found, self._input)

    def _answer(self, make: Callable[[Attempt], Participant], fault: Fault | None) -> Script:
        script, run = self._script, self._script.run
        script._answered()
        attempt = script._take(self)
        (run.undo_called if attempt.claim.undo else run.called).append(run.rig.name_of(attempt))
        answering = _Answering(make(attempt))
        if fault is not None:
            fault.befall(run.rig, attempt, answering)
        else:
            run.rig.settle(run.rig.execute(attempt, answering))
        if answering.failed is not None:
            raise answering.failed
        if not attempt.claim.undo and _input(attempt) is None:
            raise AssertionError(script.complaint(f"a call of {self}", "an input that could not be worked out"))
        if self._wrong(attempt):
            raise AssertionError(script.complaint(f"a call of {self}", script.shown(attempt)))
        return script


class _Answering:
    """A participant whose failed assertions are the test's, not the saga's."""

    def __init__(self, participant: Participant) -> None:
        self._participant = participant
        self.failed: AssertionError | None = None

    def __call__(self, context: StepContext) -> Any:
        try:
            return self._participant(context)
        except AssertionError as exc:
            self.failed = exc
            raise


def _participant(answer: Any, update: Mapping[str, Any]) -> Participant:
    if isinstance(answer, BaseException):
        return raising(answer)

    def participant(context: StepContext) -> Any:
        context.update(**update)
        if answer is None or isinstance(answer, Fault):
            return None
        return dict(answer) if isinstance(answer, Mapping) else answer(context)

    return participant


def _input(attempt: Attempt) -> Any:
    """The call's input; None where it is worked out only when the call is made."""
    text = attempt.texts.inputs.get(attempt.claim.position)
    return None if text is None else json.loads(text)


def _contains(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there; dicts may hold more, at every level."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            key in found and _contains(found[key], value) for key, value in wanted.items()
        )
    return bool(found == wanted)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)
