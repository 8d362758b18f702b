"""The judge of liveness: a worker whose beat counter stands still for a lease, by the judge's own monotonic clock, is
frozen or dead. Wall clocks play no part, so a clock that jumps kills nobody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True)
class _Seen:
    beat: int
    since: float


class Judge:
    """Watches beats. One that has just begun (or could not look for a while) starts watching anew."""

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._seen: dict[UUID, _Seen] = {}
        self._last_look: float | None = None

    def look(self, beats: Iterable[tuple[UUID, int, bool]], now: float) -> list[UUID]:
        """The dead among `(worker, beat, marked dead)`, at monotonic time `now`."""
        if self._last_look is None or now - self._last_look > self._lease / 2:
            self._seen.clear()
        self._last_look = now
        seen, dead = {}, []
        for worker, beat, marked in beats:
            known = self._seen.get(worker)
            fresh = known is None or known.beat != beat
            seen[worker] = _Seen(beat, now) if fresh or known is None else known
            if marked or now - seen[worker].since >= self._lease:
                dead.append(worker)
        self._seen = seen
        return dead
