"""Server processes of a test session: started as an ordinary user, frozen, killed, found after a crash.

A server lives in a directory of its own and its processes work there: that is how they are told from all
others, also by a later session that ends what an interrupted one left running.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.services import names
from tests.services.waiting import wait_until


class ServerError(Exception):
    """A server's program did not do what was asked; the message ends with its last words."""


def account(*wanted: str) -> pwd.struct_passwd | None:
    """Whom servers run as: ourselves (None) or, for root, whom PostgreSQL refuses, one of these accounts."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next((known[name] for name in (*wanted, "nobody") if name in known), None)


class Place:
    """A server's directory, and the processes that work in it."""

    def __init__(self, what: str, *, user: pwd.struct_passwd | None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"{names.new_stamp()}-{what}-"))
        self.log = self.path / "log"
        self.user = user
        self._give(self.path)

    def write(self, name: str, text: str) -> Path:
        """A file that only the server reads."""
        path = self.path / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        self._give(path)
        return path

    def directory(self, name: str) -> Path:
        """An empty directory of the server's."""
        path = self.path / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        self._give(path)
        return path

    def run(self, *command: str | Path, env: dict[str, str] | None = None, timeout: float = 90) -> str:
        """One of the server's programs, to its end; what it printed."""
        told = " ".join(str(word) for word in command)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=timeout, **self._as_user(env)
            )
        except subprocess.TimeoutExpired as exc:
            raise ServerError(f"{told}: no end within {timeout:g} s") from exc
        if done.returncode:
            raise ServerError(f"{told}: {(done.stdout + done.stderr).strip()[-2000:]}")
        return done.stdout

    def spawn(self, *command: str | Path, env: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """A server's program, left running, with its output in `log`."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as_user(env),
            )

    def processes(self) -> list[int]:
        """All that work in this directory, elders first."""
        return _working_in(self.path)

    def signal(self, sent: signal.Signals) -> None:
        """A signal to all of them; a second round reaches those that were born during the first."""
        for _ in range(2):
            _send(self.processes(), sent)

    def kill(self) -> None:
        """kill -9 of all of them, frozen ones too, and the wait until they are gone."""
        _kill_all_in(self.path)

    def last_words(self) -> str:
        """The end of the log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:] if self.log.exists() else ""

    def remove(self) -> None:
        """End what still runs here and delete the directory."""
        self.kill()
        shutil.rmtree(self.path, ignore_errors=True)

    def _give(self, path: Path) -> None:
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def _as_user(self, env: dict[str, str] | None) -> dict[str, Any]:
        known = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(self.path), **(env or {})}
        if self.user is None:
            return {"cwd": self.path, "env": known}
        who = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        return {"cwd": self.path, "env": known, **who}


def remove_leftovers() -> None:
    """End and delete the private servers of sessions that were interrupted."""
    for path in Path(tempfile.gettempdir()).glob(f"{names.PREFIX}_*"):
        if names.is_leftover(path.name):
            _kill_all_in(path)
            shutil.rmtree(path, ignore_errors=True)


def _working_in(directory: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            inside = entry.readlink().is_relative_to(directory)
        except OSError:  # gone, a zombie, or somebody else's
            continue
        if inside:
            found.append(int(entry.parent.name))
    return sorted(found)


def _send(pids: list[int], sent: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, sent)
        except ProcessLookupError:
            continue


def _kill_all_in(directory: Path) -> None:
    def gone() -> bool:
        remaining = _working_in(directory)
        _send(remaining, signal.SIGKILL)
        return not remaining

    wait_until(gone, within=20, what=f"the end of all processes in {directory.name}")
