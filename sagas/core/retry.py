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
    #: Only these exceptions are tried again (classes, or their dotted names); empty = all.
    retry_on: tuple[Any, ...] = ()
    #: These never are.
    never_on: tuple[Any, ...] = ()
    #: No attempt begins later than this many seconds after the first one began; None = no limit.
    max_elapsed: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.max_attempts, int) or self.max_attempts < 1:
            raise DefinitionError(f"RetryPolicy: expected max_attempts of 1 or more, got {self.max_attempts!r}")
        for name in ("base", "factor", "cap"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 <= value < 1e9:
                raise DefinitionError(f"RetryPolicy: expected {name} as a number from 0 to 1e9, got {value!r}")
        if self.max_elapsed is not None and not _is_duration(self.max_elapsed):
            raise DefinitionError(f"RetryPolicy: expected max_elapsed in seconds or None, got {self.max_elapsed!r}")
        for name in ("retry_on", "never_on"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))

    def retries(self, exc: BaseException) -> bool:
        """Whether an attempt that ended with `exc` may be followed by another."""
        names = {_dotted(kind) for kind in type(exc).__mro__}
        return names.isdisjoint(self.never_on) and (not self.retry_on or not names.isdisjoint(self.retry_on))

    def allows(self, elapsed: timedelta) -> bool:
        """Whether another attempt may begin so long after the first one."""
        return self.max_elapsed is None or elapsed.total_seconds() < self.max_elapsed

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
        known: dict[str, Any] = {
            "max_attempts": self.max_attempts,
            "base": self.base,
            "factor": self.factor,
            "cap": self.cap,
            "jitter": self.jitter,
        }
        if self.retry_on or self.never_on:
            known |= {"retry_on": list(self.retry_on), "never_on": list(self.never_on)}
        return known if self.max_elapsed is None else {**known, "max_elapsed": self.max_elapsed}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RetryPolicy:
        """Read a frozen policy; fields that a later version added are left out."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**known)


def _is_duration(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and 0 < value < 1e9


def _names(field: str, value: Any) -> tuple[str, ...]:
    """Exceptions by dotted name: a policy is frozen with its saga, and read where the class may not be imported."""
    if isinstance(value, (str, type)):
        value = (value,)
    names = []
    for item in value:
        if isinstance(item, type) and issubclass(item, BaseException):
            names.append(_dotted(item))
        elif isinstance(item, str) and item.strip():
            names.append(item)
        else:
            raise DefinitionError(f"RetryPolicy: expected {field} as exception classes or dotted names, got {item!r}")
    return tuple(names)


def _dotted(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
