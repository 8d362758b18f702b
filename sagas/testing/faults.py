"""What can befall an attempt other than an answer of its handler: too late, dead before, dead after, frozen.

Each goes through the triggers that a real worker submits: a timeout leaves a thread that is still running
(`InDoubt(thread_alive=True)`, later `ThreadEnded`), a dead process is taken over (`WorkerLost`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from ..core.graph import Graph
from ..core.triggers import InDoubt, NoEffect, ThreadEnded
from ..definitions.context import StepContext
from ..definitions.registry import registry
from ..engine.attempt import Attempt
from ..engine.outcome import logger
from ..exceptions import Retryable

if TYPE_CHECKING:
    from .rig import Participant, Rig


#: One element of a list: "pack[0]".
_ELEMENT = re.compile(r"\[\d+\](?=/|\.undo$|$)")


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
#: By step ("name"; its compensation: "name.undo"; a child saga's step: "ship/name"): always, or one entry per attempt
#: (None = it works).
Failures = Mapping[str, Failure | Sequence[Failure | None] | None]


def failure_of(fail: Failures, name: str, number: int) -> BaseException | Fault | None:
    """What befalls an attempt, after `number` others of the same name. A name without numbers means all elements."""
    found = fail.get(name)
    if found is None and "[" in name:
        found = fail.get(_ELEMENT.sub("", name))
    if isinstance(found, Sequence):
        found = found[number] if number < len(found) else None
    return found() if isinstance(found, type) else found


def check_failures(fail: Failures, graph: Graph) -> None:
    """Raises ValueError for a step that is not there, and for what is no failure."""
    for name in fail:
        _check_name(name, name, graph, "")
    for name, wanted in fail.items():
        for one in wanted if isinstance(wanted, Sequence) else [wanted]:
            if not (one is None or isinstance(one, (BaseException, Fault)) or _is_failure_class(one)):
                raise ValueError(
                    f"fail[{name!r}]: expected an exception, Timeout, CrashBefore, CrashAfter or a list of them, "
                    f"got {one!r}"
                )


def check_child_failures(fail: Failures, graph: Graph, path: str) -> None:
    """The same for one child saga's steps, once it is there: they may be a function of its context."""
    for start in dict.fromkeys((path, _ELEMENT.sub("", path))):
        for name in fail:
            if name.startswith(start):
                _check_name(name, name.removeprefix(start), graph, start)


def _check_name(whole: str, name: str, graph: Graph, path: str) -> None:
    """One name of `fail`, in the saga whose steps' names have `path` before them."""
    known, undo = graph.names, name.endswith(".undo")
    step = name.removesuffix(".undo")
    first, slash, rest = name.partition("/")
    if slash and step not in known:
        nested = _child_graph(graph, first, f"{path}{first}", whole)
        if nested is not None:
            _check_name(whole, rest, nested, f"{path}{first}/")
        return
    position = _position(graph, step)
    if position is None:
        names = ", ".join(f"{path}{word}" for word in sorted(known))
        raise ValueError(f"fail: expected names of steps ({names}), got {whole.removesuffix('.undo')}")
    if undo and graph.steps[position].saga:
        raise ValueError(
            f"fail[{whole!r}]: a child saga is undone by its own steps: name one of them, such as '{path}{step}/….undo'"
        )


def _child_graph(graph: Graph, step: str, path: str, whole: str) -> Graph | None:
    """The child saga's steps; None where only its context says which."""
    position = _position(graph, step)
    if position is None or not graph.steps[position].saga:
        names = ", ".join(graph.steps[place].name for place in graph.nested) or "it has none"
        raise ValueError(f"fail[{whole!r}]: expected {path!r} to be a child saga of this saga ({names})")
    definition = registry.definition(graph.steps[position].saga)
    return None if definition.is_composed() else definition.graph()


def _position(graph: Graph, step: str) -> int | None:
    """Of the step, or of the one that is done for a list, if an element of it is meant."""
    found = graph.names.get(step)
    if found is None:
        found = graph.names.get(_ELEMENT.sub("", step))
        return found if found is not None and graph.steps[found].for_each else None
    return found


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
