"""Real threads with real connections of their own, for tests in which two meet."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from django.db import connections

T = TypeVar("T")


class Running(Generic[T]):
    """A function on its way in another thread."""

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._found: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found.append(self._function())
        except BaseException as exc:
            self._error = exc
        finally:
            connections.close_all()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def result(self, within: float = 20) -> T:
        """What it returned; raises what it raised."""
        self._thread.join(within)
        assert self.ended, f"not done within {within:g} s"
        if self._error is not None:
            raise self._error
        return self._found[0]


def in_thread(function: Callable[[], T]) -> Running[T]:
    """Start it, and go on."""
    return Running(function)


def at_once(*functions: Callable[[], T]) -> list[T]:
    """All of them from one starting line, each in a thread of its own; what they returned, in order."""
    line = threading.Barrier(len(functions), timeout=20)

    def after_line(function: Callable[[], T]) -> Callable[[], T]:
        def run() -> T:
            line.wait()
            return function()

        return run

    return [running.result() for running in [in_thread(after_line(function)) for function in functions]]


class Holding:
    """Another transaction that holds something until it is told to end: `with Holding(alias, take): …`."""

    def __init__(self, alias: str, take: Callable[[], Any], *, roll_back: bool = False) -> None:
        self._alias, self._take, self._roll_back = alias, take, roll_back
        self._taken = threading.Event()
        self._more: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()

    def _hold(self) -> None:
        from django.db import transaction

        with transaction.atomic(using=self._alias):
            self._take()
            self._taken.set()
            while (more := self._more.get(timeout=30)) is not None:
                more()
            transaction.set_rollback(self._roll_back, using=self._alias)

    def __enter__(self) -> "Holding":
        self._running = in_thread(self._hold)
        while not self._taken.wait(0.05):
            assert not self._running.ended, self._running.result()
        return self

    def run(self, more: Callable[[], Any]) -> None:
        """Do this in it as well."""
        self._more.put(more)

    def release(self) -> None:
        """End its transaction."""
        self._more.put(None)
        self._running.result()

    def __exit__(self, *exc: object) -> None:
        self.release()
