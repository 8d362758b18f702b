"""Named crash points: where a test kills or freezes the process (`SAGAS["CRASH_AT"] = "name:n"`). Off in production."""

from __future__ import annotations

import os
import signal
from collections import Counter

from .conf import app_settings

#: Every point in the engine; a test sweeps them all.
POINTS = (
    "start_before_commit",
    "start_after_commit",
    "claim_before_commit",
    "claim_after_commit",
    "claim_after_ack",
    "before_handler",
    "after_handler",
    "result_before_commit",
    "result_after_commit",
    "group_before_write",
    "group_after_write",
    "inline_claim",
    "worker_started",
    "take_over",
    "sweep",
    "operate_before_commit",
    "operate_after_commit",
    "child_before_commit",
    "child_after_commit",
    "errand",
    "batch_before_act",
    "batch_before_commit",
    "batch_after_commit",
)

_passed: Counter[str] = Counter()


def crash_point(name: str, undo: bool | None = None) -> None:
    """Die here, by SIGKILL, if the settings say so: `name:n` (at the n-th passage), `name:n:file` (one process,
    once: the file then holds its number), `name:n:file:stop` (freeze, by SIGSTOP). `name` may be followed by `.do` or
    `.undo`; several are separated by commas."""
    wanted = app_settings().CRASH_AT
    if not wanted:
        return
    names = (name, f"{name}.{'undo' if undo else 'do'}") if undo is not None else (name,)
    for one in wanted.split(","):
        point, _, rest = one.partition(":")
        if point in names:
            count, marker, how, *_ = [*rest.split(":"), "", ""]
            _passed[point] += 1
            if _passed[point] == int(count or 1):
                _strike(marker, signal.SIGSTOP if how == "stop" else signal.SIGKILL)


def _strike(marker: str, how: signal.Signals) -> None:
    if marker:
        try:
            with open(marker, "x", encoding="ascii") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return
    os.kill(os.getpid(), how)
