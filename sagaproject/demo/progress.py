"""A progress bar: on a terminal it moves, in a file it says a line now and then."""

from __future__ import annotations

import threading
from typing import TextIO

_WIDTH = 30


class Progress:
    """Counts up to a total. Thread-safe."""

    def __init__(self, out: TextIO, label: str, total: int) -> None:
        self._out, self._label, self._total = out, label, total
        self._moves = bool(getattr(out, "isatty", lambda: False)())
        self._lock = threading.Lock()
        self._count = 0
        self._shown = -1

    def step(self) -> None:
        """One more."""
        self.set(self._count + 1, grow=True)

    def set(self, count: int, *, grow: bool = False) -> None:
        """So many."""
        with self._lock:
            self._count = self._count + 1 if grow else count
            self._show()

    def _show(self) -> None:
        tenths = self._count * 10 // max(self._total, 1)
        if not self._moves and tenths == self._shown:
            return
        self._shown = tenths
        filled = self._count * _WIDTH // max(self._total, 1)
        bar = "█" * filled + "░" * (_WIDTH - filled)
        end = "\r" if self._moves and self._count < self._total else "\n"
        self._out.write(f"{self._label} {bar} {self._count}/{self._total}{end}")
        self._out.flush()
