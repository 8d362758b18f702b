"""Names of what a session creates (databases, vhosts, directories): random, and telling whose they are.

A name holds when it was made, on which machine and by which process, so that a later session can remove what
an interrupted one left behind, and nothing else.
"""

import hashlib
import os
import re
import secrets
import socket
import time
from pathlib import Path

PREFIX = "sagastest"
#: What another machine made is left alone for this long: its process cannot be looked at from here.
FOREIGN_AFTER = 24 * 3600
_NAME = re.compile(rf"^(?:test_)?{PREFIX}_(?P<made>[0-9a-f]+)_(?P<place>[0-9a-f]{{6}})_(?P<pid>\d+)_[0-9a-f]{{4}}")


def new_stamp(*, pid: int | None = None, now: float | None = None) -> str:
    """A name for what this process creates."""
    made = int(time.time() if now is None else now)
    return f"{PREFIX}_{made:x}_{_place()}_{pid or os.getpid()}_{secrets.token_hex(2)}"


def is_leftover(name: str, *, now: float | None = None) -> bool:
    """Whether `name` is of a session that has ended without removing it."""
    found = _NAME.match(name)
    if found is None:
        return False
    if found["place"] == _place():
        return not _lives(int(found["pid"]))
    return (time.time() if now is None else now) - int(found["made"], 16) > FOREIGN_AFTER


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _place() -> str:
    """One boot of one machine, one process namespace: where a process id means one process."""
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    where = [socket.gethostname()]
    if boot.exists():
        where += [boot.read_text(encoding="ascii"), str(namespace.stat().st_ino)]
    return hashlib.sha256(" ".join(where).encode()).hexdigest()[:6]
