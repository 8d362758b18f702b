"""`make run`, as a person meets it: it starts all processes, says where they are, and ends them."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.services.waiting import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
CHILDREN = {"web", "worker", "celery", "beat"}


class Launched:
    """`python -m sagaproject.launch`, what it printed so far, and the processes below it."""

    def __init__(self, *words: str, **environ: str) -> None:
        self.text = ""
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "sagaproject.launch", *words],
            cwd=ROOT,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.text += line

    def says(self, words: str, *, within: float = 90) -> None:
        def met() -> bool:
            return words in self.text or self._process.poll() is not None

        wait_until(met, within=within, what=f"{words!r} in {self.text}")
        assert words in self.text

    def below(self) -> dict[int, str]:
        """Process ids and command lines of the children."""
        found = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rpartition(")")[2].split()[1])
                command = (status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if parent == self._process.pid and command:
                found[int(status.parent.name)] = command
        return found

    def send(self, sent: signal.Signals) -> None:
        self._process.send_signal(sent)

    def end(self, *, within: float = 60) -> int:
        code = self._process.wait(within)
        self._reader.join(10)
        return code

    def close(self) -> None:
        if self._process.poll() is None:
            self.send(signal.SIGTERM)
            self._process.wait(60)
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launched]]:
    """Starts it on SQLite without a broker, in a directory of its own."""
    started: list[Launched] = []
    alone = {"VAR_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "BROKER_URL": ""}

    def start(*words: str, **environ: str) -> Launched:
        started.append(Launched(*words, **{**alone, **environ}))
        return started[-1]

    yield start
    for each in started:
        each.close()


def gone(pids: dict[int, str]) -> None:
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), what=f"the end of {pids}")


def test_launch__serves_all_and_ctrl_c_ends_all(launch, free_port):
    run = launch("--port", str(free_port))
    run.says("Ctrl-C ends all of it.")
    run.says("celery | ")
    below = run.below()

    with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/", timeout=10) as page:
        storefront = page.status
    with urllib.request.urlopen(f"http://127.0.0.1:{free_port}/static/admin/css/base.css", timeout=10) as sheet:
        style = sheet.headers["Content-Type"]
    run.send(signal.SIGINT)

    assert run.end() == 0
    assert len(below) == len(CHILDREN)
    assert storefront == 200
    assert style.startswith("text/css")
    assert f"http://127.0.0.1:{free_port}/admin/" in run.text
    assert "operator / operator" in run.text
    gone(below)


def test_launch__a_child_that_dies_is_named_and_ends_all(launch, free_port):
    run = launch("--port", str(free_port))
    run.says("Ctrl-C ends all of it.")
    below = run.below()
    beat = next(pid for pid, command in below.items() if " beat " in command)

    os.kill(beat, signal.SIGKILL)

    assert run.end() == 1
    assert "Error: beat has ended with code -9" in run.text
    gone(below)


def sentence(run: Launched) -> str:
    """The one line that it ended with."""
    assert run.end() == 1
    assert "Traceback" not in run.text
    errors = re.findall(r"^Error: .*$", run.text, re.MULTILINE)
    assert len(errors) == 1, run.text
    return errors[0]


def test_launch__port_taken(launch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = sentence(launch("--port", str(port)))

    assert f"Port {port} is taken" in said
    assert "make run PORT=" in said


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DATABASE_URL": "mysql://me:secret@db/shop"}, "DATABASE_URL begins with 'mysql'"),
        ({"DATABASE_URL": "shop"}, "DATABASE_URL"),
        ({"DATABASE_URL": "postgres://me:secret@127.0.0.1:1/shop"}, "DATABASE_URL names does not let us in"),
        ({"DATABASE_URL": "sqlite:////nowhere/db.sqlite3"}, "/nowhere/db.sqlite3 cannot be opened"),
        ({"BROKER_URL": "localhost"}, "BROKER_URL cannot be read"),
        ({"BROKER_URL": "amqp://me:secret@127.0.0.1:1/"}, "BROKER_URL names (127.0.0.1:1"),
    ],
)
def test_launch__wrong_url_or_server_down(launch, free_port, environ, expected):
    said = sentence(launch("--port", str(free_port), **environ))

    assert expected in said
    assert "secret" not in said


def test_launch__broker_refuses_the_password(launch, free_port, broker_url):
    wrong = re.sub(r"//[^@]*@", "//nobody:secret@", broker_url)

    said = sentence(launch("--port", str(free_port), BROKER_URL=wrong))

    assert "does not let us in" in said
    assert "secret" not in said


def test_manage__a_wrong_url_is_one_sentence_too():
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": "mysql://me:secret@db/shop"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("Error: DATABASE_URL begins with 'mysql'")
    assert done.stderr.count("\n") == 1
