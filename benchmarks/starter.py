"""A starter process: starts sagas when told to, as a web process would, and times each start.

Standard library alone, used by the engine and by every peer. It speaks lines of JSON: a request on standard
input, its answer on standard output; whatever else a library prints goes to standard error. It knows no
contender: the caller hands it a `Starter`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TextIO

#: How often a probe looks whether its saga is finished, in seconds: the resolution of end-to-end times.
PROBE_EVERY = 0.001
PROBE_DEADLINE = 30.0


class Starter(Protocol):
    """What each contender can do in a starter process. `path` is "forward" or "rollback"."""

    def start(self, path: str) -> Any:
        """Start one saga; return what `finished` needs to find it again."""

    def start_bulk(self, path: str, count: int) -> None:
        """Start many sagas in the contender's own fastest way."""

    def finished(self, handle: Any) -> bool:
        """True when the saga is finished, durably where the contender knows that word."""


def serve(connect: Callable[[], Starter]) -> None:
    """Answer requests until standard input ends."""
    answers = _own_stdout()
    starter = connect()
    _say(answers, {"ready": True})
    for line in sys.stdin:
        _say(answers, _answer(starter, json.loads(line)))


def _own_stdout() -> TextIO:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def _say(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _answer(starter: Starter, request: dict[str, Any]) -> dict[str, Any]:
    path, count = request["path"], request["count"]
    if request["do"] == "probe":
        return _probe(starter, path, count)
    if request["do"] == "bulk":
        return _start_in_bulk(starter, path, count, chunk=request["chunk"])
    return {"starts": [_timed(starter, path)[0] for _ in range(count)]}


def _start_in_bulk(starter: Starter, path: str, count: int, *, chunk: int) -> dict[str, Any]:
    for begun in range(0, count, chunk):
        starter.start_bulk(path, min(chunk, count - begun))
    return {"starts": []}


def _timed(starter: Starter, path: str) -> tuple[float, Any]:
    before = time.perf_counter()
    handle = starter.start(path)
    return time.perf_counter() - before, handle


def _probe(starter: Starter, path: str, count: int) -> dict[str, Sequence[float]]:
    """Start sagas one at a time on an idle system; time each start and each whole run."""
    starts, ends = [], []
    for _ in range(count):
        before = time.perf_counter()
        start, handle = _timed(starter, path)
        _await(starter, handle)
        starts.append(start)
        ends.append(time.perf_counter() - before)
    return {"starts": starts, "ends": ends}


def _await(starter: Starter, handle: Any) -> None:
    deadline = time.monotonic() + PROBE_DEADLINE
    while not starter.finished(handle):
        if time.monotonic() > deadline:
            raise SystemExit(f"a saga started alone was not finished after {PROBE_DEADLINE:.0f} s: {handle}")
        time.sleep(PROBE_EVERY)
