"""How busy the machine is with other things, just before a cell: numbers from a busy machine are worth little.

A peer that works through its tasks one after the other loses far more to a neighbour than one with many threads,
so that even ratios within one run are wrong then.
"""

from __future__ import annotations

import time
from pathlib import Path

SAMPLE = 0.5
#: Above this share of all cores the comparison is not to be trusted.
TOO_BUSY = 0.1

_STAT = Path("/proc/stat")


def busy_share() -> float | None:
    """Share of all cores in use during half a second; None where the system does not tell."""
    if not _STAT.exists():
        return None
    idle, total = _times()
    time.sleep(SAMPLE)
    idle_later, total_later = _times()
    return 1 - (idle_later - idle) / max(1, total_later - total)


def _times() -> tuple[int, int]:
    """Idle and all ticks since the machine started; waiting for a disk counts as idle."""
    ticks = [int(field) for field in _STAT.read_text().splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def warning(shares: list[float]) -> str:
    """One sentence when the machine was not the benchmark's own; else nothing."""
    busy = sum(share > TOO_BUSY for share in shares)
    if not busy:
        return ""
    return (
        f"warning: before {busy} of {len(shares)} cells other programs used more than {TOO_BUSY:.0%} of the "
        f"processors (at worst {max(shares):.0%}): measure again on a quiet machine\n"
    )
