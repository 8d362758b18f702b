"""Retry policies: how many attempts, and how long to wait between them. Pure: jitter comes from a given seed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from .errors import DefinitionError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How an action (or a compensation) is tried again.

    `max_attempts`: attempts in all, the first included, at least 1. The wait before attempt n+1 is
    `min(cap, base * factor ** (n-1))` seconds; with `jitter` a random part of it ("full jitter": between nothing
    and all of it, see Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015).
    """

    max_attempts: int = 3
    #: Seconds before the second attempt.
    base: float = 1.0
    factor: float = 2.0
    #: The longest wait, in seconds.
    cap: float = 300.0
    jitter: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise DefinitionError(f"RetryPolicy: expected max_attempts of 1 or more, got {self.max_attempts!r}")
        for name in ("base", "factor", "cap"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 <= value < 1e9:
                raise DefinitionError(f"RetryPolicy: expected {name} as a number from 0 to 1e9, got {value!r}")

    def delay(self, attempt: int, seed: str) -> timedelta:
        """The wait after the `attempt`-th failed attempt (from 1); the same for the same `seed`."""
        try:
            seconds = min(self.cap, self.base * float(self.factor) ** max(0, attempt - 1))
        except OverflowError:
            seconds = self.cap
        if self.jitter:
            seconds *= zlib.crc32(f"{seed}:{attempt}".encode()) / 0xFFFFFFFF
        return timedelta(seconds=seconds)

    def to_json(self) -> dict[str, Any]:
        """The policy as plain data, as it is frozen with a saga."""
        return {
            "max_attempts": self.max_attempts,
            "base": self.base,
            "factor": self.factor,
            "cap": self.cap,
            "jitter": self.jitter,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RetryPolicy:
        """Read a frozen policy; fields that a later version added are left out."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**known)
