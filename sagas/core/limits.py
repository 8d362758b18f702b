"""Limits of an action across worker processes: at most so many attempts at once, at most so many begun per time.

Processes ask for shares of a limit; `settle` answers from what all of them have been given. Pure: the state is plain
data, the time is handed in. A limit is a ceiling: what is lent and not used in time is lost, never used twice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import DefinitionError

_RATE = re.compile(r"([1-9][0-9]{0,5})/(s|min|h)")
_PERIODS = {"s": 1.0, "min": 60.0, "h": 3600.0}
#: The finest time that begins are told apart by, as a part of the period.
_GRAIN = 1 / 100


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` begins in any `period` seconds."""

    count: int
    period: float

    @property
    def slack(self) -> float:
        """Seconds within which a begin that was granted must happen; it counts for as much longer."""
        return max(0.2, self.period / 50)


@dataclass(frozen=True, slots=True)
class Limit:
    """What one action may do over all processes; None = as it likes."""

    max_concurrent: int | None = None
    rate: Rate | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """What a process asks for."""

    worker: str
    #: Permits that it has and will not give up now; and how many it would like to have, these included.
    keeps: int = 0
    wants: int = 0
    #: Attempts that it would begin now.
    begins: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """What it gets."""

    #: Attempts that it may have running at once.
    permits: int = 0
    #: Attempts that it may begin, within the rate's slack.
    begins: int = 0
    #: Others want some too: it should not have more permits than this. None: nobody does.
    fair: int | None = None
    #: Seconds after which asking for more begins makes sense.
    again_in: float = 0.0


def read_limit(what: str, max_concurrent: object, rate: object) -> Limit | None:
    """The limit as an action declares it. Raises `DefinitionError`."""
    if max_concurrent is not None and (
        isinstance(max_concurrent, bool) or not isinstance(max_concurrent, int) or not 1 <= max_concurrent <= 100_000
    ):
        raise DefinitionError(f"{what}: expected max_concurrent as a whole number from 1 on, got {max_concurrent!r}")
    if max_concurrent is None and rate is None:
        return None
    return Limit(max_concurrent, None if rate is None else _read_rate(what, rate))


def _read_rate(what: str, rate: object) -> Rate:
    found = _RATE.fullmatch(rate) if isinstance(rate, str) else None
    if found is None:
        raise DefinitionError(f"{what}: expected rate as '50/s', '100/min' or '1000/h', got {rate!r}")
    return Rate(int(found[1]), _PERIODS[found[2]])


def settle(
    limit: Limit, state: Mapping[str, Any], live: Collection[str], ask: Ask, now: float
) -> tuple[dict[str, Any], Share]:
    """Answer one process; the state after it. `live`: the processes that are; what others had is free."""
    held = {worker: count for worker, count in state.get("held", {}).items() if worker in live}
    wants = {worker: count for worker, count in state.get("wants", {}).items() if worker in live}
    held.pop(ask.worker, None)
    wants.pop(ask.worker, None)
    if ask.worker not in live:
        return {**state, "held": held, "wants": wants}, Share()
    permits, fair = _permits(limit, held, wants, ask)
    begun, begins, again_in = _begins(limit.rate, state.get("begun", []), ask.begins, now)
    after = {"held": held, "wants": wants, "begun": begun}
    return after, Share(permits, begins, fair, again_in)


def _permits(limit: Limit, held: dict[str, int], wants: dict[str, int], ask: Ask) -> tuple[int, int | None]:
    if limit.max_concurrent is None:
        return ask.wants, None
    fair = max(1, limit.max_concurrent // (len(held.keys() | wants.keys()) + 1)) if wants else None
    wished = ask.wants if fair is None else min(ask.wants, max(fair, ask.keeps))
    permits = max(ask.keeps, min(wished, limit.max_concurrent - sum(held.values())))
    if permits:
        held[ask.worker] = permits
    if ask.wants > permits:
        wants[ask.worker] = ask.wants - permits
    return permits, fair


def _begins(
    rate: Rate | None, begun: list[list[float]], wished: int, now: float
) -> tuple[list[list[float]], int, float]:
    """Begins that were granted count until the last of them is a period ago."""
    if rate is None:
        return [], wished, 0.0
    counts = rate.period + rate.slack
    kept = [[min(at, now), number] for at, number in begun if min(at, now) > now - counts]
    found = int(max(0, min(wished, rate.count - sum(number for _, number in kept))))
    if found and kept and kept[-1][0] > now - rate.period * _GRAIN:
        kept[-1] = [now, kept[-1][1] + found]
    elif found:
        kept.append([now, found])
    return kept, found, max(0.0, kept[0][0] + counts - now) if kept and found < wished else 0.0
