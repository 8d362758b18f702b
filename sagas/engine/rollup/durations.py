"""How long things take, as counts in bins that grow by a fifth each: hours can be added up, and percentiles are right
to about a tenth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

#: Bins per doubling.
_PER_DOUBLING = 4
#: The first bin ends here, in seconds.
_LEAST = 0.001


def bin_of(seconds: float) -> int:
    """The bin of a duration."""
    return 0 if seconds <= _LEAST else math.ceil(_PER_DOUBLING * math.log2(seconds / _LEAST) - 1e-9)


def middle(number: int) -> float:
    """A duration that stands for a bin, in seconds."""
    return float(_LEAST * 2 ** ((number - 0.5) / _PER_DOUBLING)) if number else _LEAST / 2


def added(all_bins: Iterable[Mapping[str, int]]) -> Counter[int]:
    """Several hours as one."""
    found: Counter[int] = Counter()
    for bins in all_bins:
        found.update({int(number): count for number, count in bins.items()})
    return found


def percentile(bins: Mapping[int, int], share: float) -> float | None:
    """The duration that this share of all does not exceed, in seconds; None where there are none."""
    wanted = math.ceil(share * sum(bins.values()))
    for number in sorted(bins):
        wanted -= bins[number]
        if wanted <= 0 and bins[number]:
            return middle(number)
    return None
