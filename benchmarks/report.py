"""Turns measurements into the table and the one line of JSON that ends the output. Knows no process and no
clock.

Ratios are taken within each round, engine to peer, and their median is shown: neighbours in time share the
machine's mood. Rates are shown as median (lowest-highest) over the rounds.
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.cells import Probe, Rate

STEPS = 3
HEADS = (
    "sagas/s",
    "one by one",
    "bulk",
    "rollback",
    "steps/s one by one",
    "start ms: idle, loaded",
    "alone ms: p50, p99",
)
PEERS = ("celery", "dbos", "dramatiq")
#: (contender, kind) where kind is "forward", "bulk" or "rollback".
Key = tuple[str, str]


class Results:
    """Every measurement of one run, in the order of the rounds; None where a cell failed."""

    def __init__(self) -> None:
        self.rates: dict[Key, list[Rate | None]] = defaultdict(list)
        self.probes: dict[str, list[Probe | None]] = defaultdict(list)
        #: Share of the processors that others used before each cell.
        self.busy: list[float] = []

    def rate(self, contender: str, kind: str) -> float | None:
        return _median([rate.sagas_per_s for rate in self._rates(contender, kind)])

    def best(self, contender: str) -> list[float | None]:
        """A peer's better way of starting, round by round."""
        pairs = zip(self.rates[contender, "forward"], self.rates[contender, "bulk"], strict=False)
        return [max((rate.sagas_per_s for rate in pair if rate), default=None) for pair in pairs]

    def each(self, contender: str, kind: str) -> list[float | None]:
        return [rate and rate.sagas_per_s for rate in self.rates[contender, kind]]

    def spread(self, contender: str, kind: str) -> str:
        values = [rate.sagas_per_s for rate in self._rates(contender, kind)]
        if not values:
            return "-"
        return f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"

    def loaded_start(self, contender: str) -> float | None:
        """Median of a start while four starters and the workers share the machine, in ms."""
        medians = [statistics.median(rate.starts) * 1000 for rate in self._rates(contender, "forward") if rate.starts]
        return _median(medians)

    def times(self, contender: str, name: str) -> float | None:
        return _median([getattr(probe, name) for probe in self.probes[contender] if probe])

    def _rates(self, contender: str, kind: str) -> list[Rate]:
        return [rate for rate in self.rates[contender, kind] if rate]


def table(results: Results, contenders: Sequence[str]) -> str:
    rows = [HEADS, *(_row(results, contender) for contender in contenders)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    return "\n".join("  ".join(_padded(row, widths)) for row in rows)


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]


def _row(results: Results, contender: str) -> tuple[str, ...]:
    rate = results.rate(contender, "forward")
    starts = (results.times(contender, "start_p50_ms"), results.loaded_start(contender))
    ends = (results.times(contender, "end_p50_ms"), results.times(contender, "end_p99_ms"))
    return (
        contender,
        *(results.spread(contender, kind) for kind in ("forward", "bulk", "rollback")),
        f"{rate * STEPS:,.0f}" if rate else "-",
        *(", ".join(f"{value:.1f}" if value else "-" for value in pair) for pair in (starts, ends)),
    )


def summary(results: Results) -> str:
    """The last line: one JSON object, null where nothing was measured."""
    forward, bulk = (results.rate("engine", kind) for kind in ("forward", "bulk"))
    return json.dumps(
        {
            "engine": {
                "sagas_per_s": _rounded(forward, 0),
                "steps_per_s": _rounded(forward and forward * STEPS, 0),
                "bulk_steps_per_s": _rounded(bulk and bulk * STEPS, 0),
                "start_p50_ms": _rounded(results.times("engine", "start_p50_ms"), 2),
                "e2e_p50_ms": _rounded(results.times("engine", "end_p50_ms"), 2),
                "e2e_p99_ms": _rounded(results.times("engine", "end_p99_ms"), 2),
            },
            "ratio": {peer: _ratio(results, "forward", results.each(peer, "forward")) for peer in PEERS},
            "ratio_bulk": {peer: _ratio(results, "bulk", results.best(peer)) for peer in PEERS},
            "rollback": {peer: _ratio(results, "rollback", results.each(peer, "rollback")) for peer in PEERS[:2]},
        }
    )


def _ratio(results: Results, kind: str, peer: Sequence[float | None]) -> float | None:
    pairs = zip(results.each("engine", kind), peer, strict=False)
    return _rounded(_median([ours / theirs for ours, theirs in pairs if ours and theirs]), 2)


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits) if digits else round(value)
