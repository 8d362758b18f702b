"""What can befall an attempt other than an answer of its handler: too late, dead before, dead after, frozen.

Each goes through the triggers that a real worker submits: a timeout leaves a thread that is still running
(`InDoubt(thread_alive=True)`, later `ThreadEnded`), a dead process is taken over (`WorkerLost`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from ..core.triggers import InDoubt, NoEffect, ThreadEnded
from ..definitions.context import StepContext
from ..engine.attempt import Attempt
from ..engine.outcome import logger
from ..exceptions import Retryable

if TYPE_CHECKING:
    from .rig import Participant, Rig


class Fault:
    """Base of what can befall an attempt."""

    def befall(self, rig: Rig, attempt: Attempt, participant: Participant) -> None:
        """Run the attempt with this fault; `participant` is what would answer the call."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Timeout(Fault):
    """The handler does not return in time. Its attempt is in doubt; nothing else of the step starts until its thread
    has ended.

    The effect happens all the same, unnoticed, after the timeout was recorded; with `effect=False` it never does.
    """

    effect: bool = True

    def befall(self, rig: Rig, attempt: Attempt, participant: Participant) -> None:
        """Time passes while the handler runs; then its thread ends, and what it says does not count."""
        begun: list[StepContext] = []

        def overdue(context: StepContext) -> Any:
            begun.append(context)
            kind = NoEffect if attempt.atomic else InDoubt
            message = f"no answer within {attempt.timeout:g} s"
            rig.submit(attempt.submission(kind, code="timeout", message=message, thread_alive=True))
            return participant(context) if self.effect else None

        ended = rig.execute(attempt, overdue)
        if begun:
            rig.submit(attempt.submission(ThreadEnded))
        else:
            rig.settle(ended)  # its input could not be worked out: there was no call that could be late


class _Crash(Fault):
    """The worker process dies, with all that it had claimed, and another one takes over."""

    effect: ClassVar[bool] = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def befall(self, rig: Rig, attempt: Attempt, participant: Participant) -> None:
        """Die while the handler runs."""
        died: list[StepContext] = []

        def die(context: StepContext) -> NoReturn:
            died.append(context)
            if self.effect:
                participant(context)
            raise _Died

        ended = rig.execute(attempt, die)
        if died:
            self._aftermath(rig, attempt, participant)
        else:
            rig.settle(ended)

    def _aftermath(self, rig: Rig, attempt: Attempt, participant: Participant) -> None:
        rig.lose_worker()


class CrashBefore(_Crash):
    """The worker process dies before the handler has done anything."""


class CrashAfter(_Crash):
    """The worker process dies when the handler has done its work, before that is recorded."""

    effect = True


class Frozen(_Crash):
    """The worker process freezes (a stopped machine, a long pause) before the handler has done anything, and its work
    is taken over. `run.thaw()` lets it go on: then the handler does its work, late.

    Only participants that refuse a do whose undo came first (the fence) bear that.
    """

    def _aftermath(self, rig: Rig, attempt: Attempt, participant: Participant) -> None:
        rig.frozen.append((attempt, participant))
        rig.lose_worker()


class _Died(Retryable):
    """Unwinds the handler's thread, and the transaction of an atomic step with it; nobody hears of it."""


#: What shall befall one attempt: an exception that its handler raises, or a fault. The bare class will do.
Failure = BaseException | Fault | type[BaseException] | type[Fault]
#: By step ("name"; its compensation: "name.undo"): always, or one entry per attempt (None = it works).
Failures = Mapping[str, Failure | Sequence[Failure | None] | None]


def failure_of(wanted: Failure | Sequence[Failure | None] | None, number: int) -> BaseException | Fault | None:
    """What befalls an attempt, after `number` others of the same sort."""
    found = wanted
    if isinstance(found, Sequence):
        found = found[number] if number < len(found) else None
    return found() if isinstance(found, type) else found


def check_failures(fail: Failures, steps: Sequence[str]) -> None:
    """Raises ValueError for a step that is not there, and for what is no failure."""
    unknown = {name.removesuffix(".undo") for name in fail} - set(steps)
    if unknown:
        known = ", ".join(sorted(steps))
        raise ValueError(f"fail: expected names of steps ({known}), got {', '.join(sorted(unknown))}")
    for name, wanted in fail.items():
        for one in wanted if isinstance(wanted, Sequence) else [wanted]:
            if not (one is None or isinstance(one, (BaseException, Fault)) or _is_failure_class(one)):
                raise ValueError(
                    f"fail[{name!r}]: expected an exception, Timeout, CrashBefore, CrashAfter or a list of them, "
                    f"got {one!r}"
                )


def _is_failure_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, (BaseException, Fault))


@contextmanager
def quiet(failure: BaseException) -> Iterator[None]:
    """What the test itself wished for is no news for the log."""

    def news(record: logging.LogRecord) -> bool:
        return not (record.exc_info and record.exc_info[1] is failure)

    logger.addFilter(news)
    try:
        yield
    finally:
        logger.removeFilter(news)


def raising(failure: BaseException) -> Participant:
    """A participant that raises; the same exception every time, without the frames of the times before."""

    def fail(context: StepContext) -> NoReturn:
        raise failure.with_traceback(None)

    return fail
