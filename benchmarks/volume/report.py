"""The table of the pages, for a terminal and for the docs, and the verdict."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.volume.measure import Measured

HEADS = ("page", "p50 ms", "p95 ms", "max ms", "first ms", "SQL ms", "CPU ms", "queries")


def row(found: Measured) -> tuple[str, ...]:
    """A line of the table."""
    few, many = min(found.counts), max(found.counts)
    queries = str(many) if few == many else f"{few}-{many}"
    over = "" if found.within else f" (over {found.page.limit})"
    medians = (statistics.median(found.spent), statistics.median(found.worked))
    times = (found.p50, found.p95, max(found.times), found.first, *medians)
    texts = [f"{value:.0f}" for value in times]
    texts[1] += over
    return (found.page.name, *texts, queries)


def table(found: Sequence[Measured]) -> str:
    """Aligned columns."""
    rows = [HEADS, *map(row, found)]
    widths = [max(len(line[place]) for line in rows) for place in range(len(HEADS))]
    return "\n".join("  ".join(_padded(line, widths)) for line in rows)


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(line, widths, strict=True)
    return [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]


def markdown(found: Sequence[Measured]) -> str:
    """The same for the docs."""
    rows = [HEADS, ("---", *["---:"] * (len(HEADS) - 1)), *map(row, found)]
    return "\n".join(f"| {' | '.join(line)} |" for line in rows) + "\n"


def verdict(found: Sequence[Measured]) -> str:
    """The last line."""
    slow = [one for one in found if not one.within]
    worst = max(found, key=lambda one: one.p95 / one.page.limit)
    said = f"{len(found)} pages: worst p95 {worst.p95:.0f} ms of {worst.page.limit} ms ({worst.page.name})"
    return f"{said}; {len(slow)} too slow: {', '.join(one.page.name for one in slow)}" if slow else f"{said}; ok"


def statements(found: Sequence[Measured], limit: float) -> str:
    """What took longest in the database, where it took longer than that."""
    return "\n".join(
        f"{one.page.name}: {one.slowest:.0f} ms at {one.url}\n    {one.statement[:4000]}"
        for one in found
        if one.slowest > limit
    )
