"""The time of a saga in memory. It stands still: a test moves it, or waits are passed over by setting it forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that a test moves; it is set forward, too, when there is nothing to do but wait."""

    def __init__(self) -> None:
        self.now = EPOCH

    def __call__(self) -> datetime:
        """The time."""
        return self.now

    def advance(self, by: timedelta | None = None, **parts: float) -> datetime:
        """Set the clock forward, by a timedelta or by its words: `advance(hours=1)`. The new time.

        Nothing runs by itself: go on with `run.drain()`. Raises ValueError for a step back: no store's time takes one.
        """
        step = (by or timedelta(0)) + timedelta(**parts)
        if step < timedelta(0):
            raise ValueError(f"advance: expected a step forward in time, got {step}")
        self.now += step
        return self.now
