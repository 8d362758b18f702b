"""The committer's inbox: results first, then sagas to look at. Groups are bounded in number and bytes."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from ..core.triggers import Look
from ..store.base import Submission

#: The most submissions of one group, and the most payload bytes.
MOST = 200
MOST_BYTES = 1_000_000
#: Waits before a saga that another transaction held is tried again, in seconds.
BUSY_WAITS = (0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(slots=True)
class Item:
    """A submission on its way, and what to do with its result."""

    submission: Submission
    #: Called with the result in the committer's thread.
    then: Callable[[Any], None] | None = None
    #: It is about a rollback: it may take the slot that is kept for compensations.
    undo: bool = False
    #: How often the saga was busy.
    tries: int = 0

    @property
    def is_look(self) -> bool:
        """Whether it only looks for something to claim."""
        return isinstance(self.submission.trigger, Look)


class Inbox:
    """Thread-safe; one reader."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._results: deque[Item] = deque()
        self._looks: deque[Item] = deque()
        self._undo_looks: deque[Item] = deque()
        self._later: list[tuple[float, int, Item]] = []
        self._count = count()
        self._closed = False
        self._nudged = False

    def put(self, item: Item) -> None:
        """Add one."""
        with self._condition:
            self._lane(item).append(item)
            self._condition.notify()

    def _lane(self, item: Item) -> deque[Item]:
        if not item.is_look:
            return self._results
        return self._undo_looks if item.undo else self._looks

    def put_back(self, items: list[Item]) -> None:
        """The same again, first in line."""
        with self._condition:
            for item in reversed(items):
                self._lane(item).appendleft(item)

    def put_later(self, item: Item, now: float) -> None:
        """Try a busy saga again soon."""
        wait = BUSY_WAITS[min(item.tries, len(BUSY_WAITS) - 1)]
        item.tries += 1
        with self._condition:
            heapq.heappush(self._later, (now + wait, next(self._count), item))
            self._condition.notify()

    def nudge(self) -> None:
        """Wake the reader: slots have become free."""
        with self._condition:
            self._nudged = True
            self._condition.notify()

    def close(self) -> None:
        """The reader may leave once everything is taken."""
        with self._condition:
            self._closed = True
            self._condition.notify()

    @property
    def waiting_looks(self) -> int:
        """Sagas waiting for a slot."""
        return len(self._looks) + len(self._undo_looks)

    @property
    def idle(self) -> bool:
        """Nothing is waiting."""
        return not (self._results or self._looks or self._undo_looks or self._later)

    def drop_looks(self) -> list[Item]:
        """Take out all that only look."""
        with self._condition:
            found = [*self._undo_looks, *self._looks]
            self._undo_looks.clear()
            self._looks.clear()
            return found

    def take(self, slots: Callable[[], tuple[int, int]], clock: Callable[[], float], timeout: float) -> list[Item]:
        """The next group: all results, and as many looks as there are slots (free, and free for actions). Waits up to
        `timeout` seconds."""
        with self._condition:
            end = clock() + timeout
            while True:
                self._ripen(clock())
                group = self._gather(slots)
                left = end - clock()
                if group or self._closed or self._nudged or left <= 0:
                    self._nudged = False
                    return group
                if self._later:
                    left = min(left, max(0.0, self._later[0][0] - clock()))
                self._condition.wait(left)

    def _ripen(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            item = heapq.heappop(self._later)[2]
            self._lane(item).append(item)

    def _gather(self, slots: Callable[[], tuple[int, int]]) -> list[Item]:
        group: list[Item] = []
        size = 0
        while self._results and len(group) < MOST and size < MOST_BYTES:
            item = self._results.popleft()
            payload = item.submission.payload
            size += payload.size() if payload is not None else 0
            group.append(item)
        if self._looks or self._undo_looks:
            free, for_actions = slots()
            # Every result in the group may go on with its saga's next step: its slot is spoken for.
            self._fill(group, self._undo_looks, free - len(group))
            self._fill(group, self._looks, for_actions - len(group))
        return group

    def _fill(self, group: list[Item], looks: deque[Item], room: int) -> None:
        while looks and room > 0 and len(group) < MOST:
            group.append(looks.popleft())
            room -= 1
