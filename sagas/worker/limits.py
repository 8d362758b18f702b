"""Limits of actions over all processes: this process's share of them, and the sagas that wait here for room.

A share is asked for when something waits, is confirmed once a second, and is given back when it is not used. Only the
committer claims what is limited, from the share that the process has at that moment: nothing is asked on its way. What
finds no room stands in a line here; the thread looks at it as soon as there is some. Whatever is lost with the process,
the sweep of another one finds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connections
from django.db.models import F

from ..conf import app_settings
from ..core.claims import Room, handler_name
from ..core.limits import Ask, Limit, Share, settle
from ..definitions.registry import registry
from ..exceptions import StoreError
from ..models import ActionLimit
from ..models import Worker as WorkerRow
from ..store.base import Result
from .part import Part

if TYPE_CHECKING:
    from .process import Worker

logger = logging.getLogger(__name__)

#: Seconds between two confirmations of a share.
CONFIRM = 1.0
#: Soonest that the same share is asked for again.
_PAUSE = 0.02
#: The most sagas that wait here for one action; others are found by the sweep.
LONGEST_LINE = 1000
#: A saga that waits for room is looked at by the sweep after this many seconds.
_LATER = (2.0, 60.0)
_TICK = 0.25


@dataclass(slots=True)
class _Action:
    """One action with limits, in this process."""

    limit: Limit
    permits: int = 0
    #: Others want permits too: do not use more than these.
    fair: int | None = None
    #: Begins that were granted: until when, and how many.
    grants: list[tuple[float, int]] = field(default_factory=list)
    #: Claimed here, and their threads not yet done.
    running: int = 0
    #: Looks that are on their way to the committer.
    sent: int = 0
    line: dict[UUID, None] = field(default_factory=dict)
    #: It was given less than it wants: until it says otherwise, others leave it some.
    wanting: bool = False
    confirmed_at: float = 0.0
    ask_at: float = 0.0
    #: Begun per second, lately.
    pace: float = 0.0
    taken: int = 0

    def room(self, now: float, lease: float) -> int:
        """How many may be claimed now. A share that was not confirmed for long may be somebody else's."""
        if now - self.confirmed_at > lease / 2:
            return 0
        rooms = []
        if self.limit.max_concurrent is not None:
            permits = self.permits if self.fair is None else min(self.permits, self.fair)
            rooms.append(permits - self.running)
        if self.limit.rate is not None:
            self.grants = [(until, count) for until, count in self.grants if until > now]
            rooms.append(sum(count for _, count in self.grants))
        return max(0, min(rooms))

    def spend(self, now: float) -> float | None:
        """Use up one begin; until when it is good."""
        self.running += 1
        self.taken += 1
        for number, (until, count) in enumerate(self.grants):
            if until > now:
                self.grants[number : number + 1] = [(until, count - 1)] if count > 1 else []
                return until
        return None if self.limit.rate is None else now


class Limits(Part):
    """See the module. Does nothing where no action has limits."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker, "limits")
        self._actions = {
            name: _Action(handler.limit) for name, handler in registry.handlers.items() if handler.limit is not None
        }
        self._lock = threading.RLock()
        self._claiming = threading.Lock()
        self._nudge = threading.Event()
        self._owner = worker.identity.id
        self._paced_at = time.monotonic()
        self._down = False

    # -- called from other threads ------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Nothing waits here."""
        with self._lock:
            return not any(action.line or action.sent for action in self._actions.values())

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Around a group's commit: no permit is given away meanwhile."""
        if not self._actions:
            yield
            return
        with self._claiming:
            yield

    def rooms(self, *, closed: bool = False) -> Mapping[str, Room]:
        """What may be claimed. `closed`: nothing (a group whose commit was not answered may have claimed already)."""
        if not self._actions:
            return {}
        now, lease = time.monotonic(), app_settings().LEASE.total_seconds()
        with self._lock:
            return {
                name: Room(0 if closed else action.room(now, lease), self._later(action))
                for name, action in self._actions.items()
            }

    def _later(self, action: _Action) -> timedelta:
        """About when the half of those that wait here have begun: others need not be looked at before."""
        least, most = _LATER
        return timedelta(seconds=min(most, max(least, len(action.line) / max(action.pace, 1.0) / 2)))

    def took(self, name: str) -> float | None:
        """A claim was made; by when its handler must be called, if that matters."""
        action = self._actions.get(name)
        if action is None:
            return None
        with self._lock:
            return action.spend(time.monotonic())

    def left(self, name: str) -> None:
        """A claim's thread is done with it."""
        action = self._actions.get(name)
        if action is not None:
            with self._lock:
                action.running -= 1
            self._nudge.set()

    def note(self, results: Sequence[Result]) -> None:
        """Sagas that found no room stand in line."""
        for result in results:
            if result.saga is None:
                continue
            for position in result.limited:
                name = handler_name(result.saga.graph, result.steps[position])
                with self._lock:
                    line = self._actions[name].line
                    if len(line) < LONGEST_LINE:
                        line[result.submission.saga_id] = None
                self._nudge.set()

    def stop(self) -> None:
        """Wake the thread: the worker drains."""
        self._nudge.set()

    # -- the thread ---------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Ask and dispatch until the worker has ended. (Permits go with the worker's row.)"""
        while self._actions and not self._worker.ended.is_set():
            self._nudge.wait(self._pause())
            self._nudge.clear()
            try:
                self.tick(time.monotonic())
                self._down = False
            except (StoreError, DatabaseError, InterfaceError) as exc:
                if not self._down:
                    logger.warning("limits wait: %s", exc, extra={"action": "store_down"})
                self._down = True
                connections.close_all()
                self._worker.ended.wait(_TICK)

    def _pause(self) -> float:
        now = time.monotonic()
        with self._lock:
            due = [action.ask_at - now for action in self._actions.values() if action.line]
        return max(_PAUSE, min([_TICK, *due]))

    def tick(self, now: float) -> None:
        """One look at all limited actions."""
        if self._owner != self._worker.identity.id:  # taken for dead: what it had been lent is gone
            self._owner = self._worker.identity.id
            with self._lock:
                for action in self._actions.values():
                    action.permits, action.grants = 0, []
        self._measure(now)
        for name, action in self._actions.items():
            if self._worker.draining:
                with self._lock:
                    action.line.clear()
            if self._must_ask(action, now):
                self._ask(name, action, now)
            self._dispatch(name, action)

    def _measure(self, now: float) -> None:
        passed = now - self._paced_at
        if passed < 1.0:
            return
        self._paced_at = now
        with self._lock:
            for action in self._actions.values():
                action.pace += 0.5 * (action.taken / passed - action.pace)
                action.taken = 0

    def _must_ask(self, action: _Action, now: float) -> bool:
        with self._lock:
            lacking = len(action.line) > self._room(action, now) and now >= action.ask_at
            stale = (action.permits > 0 or action.wanting) and now - action.confirmed_at > CONFIRM
        return lacking or stale

    def _room(self, action: _Action, now: float) -> int:
        return max(0, action.room(now, app_settings().LEASE.total_seconds()) - action.sent)

    def _ask(self, name: str, action: _Action, now: float) -> None:
        free = self._worker.slots.offer()[1]
        with self._claiming, self._lock:
            waiting = min(len(action.line) + action.sent, max(free, 1))
            wants = action.running + waiting
            if action.limit.max_concurrent is None:
                wants = 0
            if wants and action.fair is None:
                wants = max(wants, action.permits)
            # What it gives up it stops using first.
            allowed = wants if action.fair is None else min(wants, action.fair)
            action.permits = min(action.permits, max(allowed, action.running))
            begins = max(0, waiting - sum(count for until, count in action.grants if until > now))
            ask = Ask(self._owner.hex, action.permits, wants, begins)
        share = self._settle(name, action.limit, ask)
        with self._lock:
            action.permits, action.fair, action.confirmed_at = share.permits, share.fair, now
            if share.begins and action.limit.rate is not None:
                action.grants.append((now + action.limit.rate.slack, share.begins))
            action.wanting = share.permits < ask.wants
            action.ask_at = now + max(_PAUSE, min(share.again_in, 1.0), _TICK if action.wanting else 0.0)

    def _settle(self, name: str, limit: Limit, ask: Ask) -> Share:
        alias = app_settings().DATABASE
        row = ActionLimit.objects.using(alias).filter(pk=name)
        with self._worker.vigil.watched(), self._worker.store.atomic():
            # First the row's lock, by a write: SQLite knows no other.
            if not row.update(revision=F("revision") + 1):
                ActionLimit.objects.using(alias).bulk_create([ActionLimit(name=name)], ignore_conflicts=True)
                row.update(revision=F("revision") + 1)
            live = WorkerRow.objects.using(alias).filter(dead=False).values_list("id", flat=True)
            now = self._worker.store.now().timestamp()
            state, share = settle(limit, row.values_list("state", flat=True).get(), {one.hex for one in live}, ask, now)
            row.update(state=state)
        return share

    def _dispatch(self, name: str, action: _Action) -> None:
        """Look at those who have waited longest."""
        with self._lock:
            number = min(self._room(action, time.monotonic()), len(action.line))
            found = [saga_id for saga_id, _ in zip(action.line, range(number), strict=False)]
            for saga_id in found:
                del action.line[saga_id]
            action.sent += len(found)

        def seen(result: Result) -> None:
            with self._lock:
                action.sent -= 1
            self._nudge.set()

        for saga_id in found:
            self._worker.committer.look(saga_id, then=seen)
