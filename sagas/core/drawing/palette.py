"""The colours of steps, by what their status means; never the only sign: the status is always written too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..states import StepStatus

PLAIN, DONE, BUSY, WAITS, BAD, UNDONE, PASSED_BY = "plain", "done", "busy", "waits", "bad", "undone", "passed_by"

_KINDS = {
    StepStatus.PENDING: PLAIN,
    StepStatus.RUNNING: BUSY,
    StepStatus.COMPENSATING: BUSY,
    StepStatus.WAITING: WAITS,
    StepStatus.COMPLETED: DONE,
    StepStatus.FAILED: BAD,
    StepStatus.UNKNOWN: BAD,
    StepStatus.COMPENSATION_FAILED: BAD,
    StepStatus.COMPENSATED: UNDONE,
    StepStatus.COMPENSATION_SKIPPED: UNDONE,
    StepStatus.SKIPPED: PASSED_BY,
    StepStatus.CANCELLED: PASSED_BY,
}


@dataclass(frozen=True, slots=True)
class Colours:
    """Of one kind of step."""

    fill: str
    line: str
    ink: str
    #: Of the status.
    accent: str


def kind_of(status: StepStatus) -> str:
    """What a status means, in one of few words."""
    return _KINDS.get(status, PLAIN)


#: Of points of no return, in light and in dark.
RETURN_LIGHT, RETURN_DARK = "#b42318", "#ff8a7d"

LIGHT: Mapping[str, Colours] = {
    PLAIN: Colours("#ffffff", "#9aa4b2", "#1b2430", "#5b6672"),
    DONE: Colours("#e9f7ee", "#2f9e5b", "#12351f", "#1a7a40"),
    BUSY: Colours("#e8f1fd", "#3b7ddd", "#12294a", "#1f5fbf"),
    WAITS: Colours("#fdf5e0", "#c98a10", "#3d2b06", "#8a5d00"),
    BAD: Colours("#fdecea", "#d1453b", "#4a1410", "#b42318"),
    UNDONE: Colours("#f2ecfb", "#8a63c9", "#2c1a4a", "#6b40b0"),
    PASSED_BY: Colours("#f3f4f6", "#b8bfc9", "#5b6470", "#5b6470"),
}

DARK: Mapping[str, Colours] = {
    PLAIN: Colours("#20262f", "#5d6979", "#e8edf3", "#9aa7b6"),
    DONE: Colours("#16301f", "#43b273", "#dff5e7", "#6fd698"),
    BUSY: Colours("#14263f", "#5b9bf0", "#dfebfb", "#8bbcff"),
    WAITS: Colours("#33270b", "#d9a032", "#fbeecb", "#f0c060"),
    BAD: Colours("#3a1a17", "#e5695f", "#fde3e0", "#ff9a90"),
    UNDONE: Colours("#281d3b", "#a587dd", "#ebe1fa", "#c4a9f2"),
    PASSED_BY: Colours("#1b2027", "#465060", "#a3adba", "#a3adba"),
}
