"""The rollup: counts for people's pages, so that none of these reads all sagas.

Transitions are counted from the history, which is append-only: each look counts the entries since the last one, and no
transaction of the engine's does anything for it. What the history can not tell (rows that somebody deleted, a first
count of what was there before) is put right by a full count in slices, that goes round slowly behind it.
"""

from .look import refresh
from .monitor import note_monitor

__all__ = ["note_monitor", "refresh"]
