"""Waiting for something with a deadline. Tests do not sleep: they say what they wait for."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], *, within: float = 10, what: str = "") -> T:
    """Ask `condition` until it is true and return its answer; AssertionError after `within` seconds."""
    ends = time.monotonic() + within
    pause = threading.Event()
    while True:
        if found := condition():
            return found
        if time.monotonic() > ends:
            raise AssertionError(f"not within {within:g} s: {what or condition}")
        pause.wait(0.02)
