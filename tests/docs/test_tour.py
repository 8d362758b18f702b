"""The README's tour and the page about testing, followed to the letter in a fresh project: every file is written, every
command run."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from sagas import step, testing
from sagas.models.operations import SagaOperations
from tests.docs.generated import README

ROOT = README.parent
TESTING = ROOT / "docs" / "testing.md"
STEPS = ROOT / "docs" / "steps.md"
ADMIN = ROOT / "docs" / "admin.md"
_BLOCK = re.compile(
    r"<!-- (?P<what>file|run|shell)(?:: (?P<path>[^\s>]+)(?P<append> \(append\))?)? -->\n"
    r"\s*```\w+\n(?P<code>.*?)\n\s*```",
    re.DOTALL,
)


def blocks(page: Path = README) -> Iterator[re.Match[str]]:
    """A page's blocks in their order."""
    return _BLOCK.finditer(page.read_text())


class Newcomer:
    """A project as `startproject` makes it, with one app."""

    def __init__(self, place: Path) -> None:
        self.place = place
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "SAGAS_"))}
        self._environment = variables | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        self.run(f"{sys.executable} -m django startproject shop .")
        self.run("python manage.py startapp orders")

    def run(self, command: str) -> str:
        """Run one line as the newcomer types it."""
        words = [sys.executable if word == "python" else word for word in command.split()]
        return self._call(words, command)

    def shell(self, code: str) -> str:
        """Paste a snippet into `manage.py shell`."""
        return self._call([sys.executable, "manage.py", "shell", "-c", code], "manage.py shell")

    def _call(self, words: list[str], command: str) -> str:
        done = subprocess.run(
            words, cwd=self.place, env=self._environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def write(self, path: str, code: str, *, append: bool) -> None:
        """Save a file, with the packages it needs around it."""
        file = self.place / path
        for parent in reversed(file.relative_to(self.place).parents):
            if parent.name and parent.name != "shop":
                (self.place / parent).mkdir(exist_ok=True)
                (self.place / parent / "__init__.py").touch()
        file.write_text((file.read_text() if append else "") + code + "\n")

    def follow(self, block: re.Match[str]) -> str:
        """Do what the block says; what was printed."""
        code = textwrap.dedent("\n" + block["code"]).strip("\n")
        if block["what"] == "file":
            self.write(block["path"], code, append=bool(block["append"]))
            return ""
        if block["what"] == "run":
            return "\n".join(self.run(line) for line in code.splitlines())
        return self.shell(code)


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    return Newcomer(tmp_path)


def test_tour__works_as_it_stands_in_the_readme(newcomer: Newcomer) -> None:
    text = "\n".join(map(newcomer.follow, blocks()))

    assert "checked 2 sagas: 0 violations" in text
    assert "Ran 2 tests" in text


def test_tour__names_every_block() -> None:
    kinds = [block["what"] for block in blocks()]

    assert kinds.count("file") == 8
    assert kinds.count("run") == 3
    assert kinds.count("shell") == 3


def test_testing__works_as_it_stands_behind_the_tours_second_step(newcomer: Newcomer) -> None:
    for block in list(blocks())[:2]:
        newcomer.follow(block)

    text = "\n".join(map(newcomer.follow, blocks(TESTING)))

    assert "Ran 10 tests" in text


def test_steps__work_as_they_stand_behind_the_tours_second_step(newcomer: Newcomer) -> None:
    for block in list(blocks())[:2]:
        newcomer.follow(block)

    text = "\n".join(map(newcomer.follow, blocks(STEPS)))

    assert "Ran 6 tests" in text
    assert "Ran 2 tests" in text
    assert "Ran 1 test " in text


def test_admin__works_as_it_stands_behind_the_tours_second_step(newcomer: Newcomer) -> None:
    for block in list(blocks())[:2]:
        newcomer.follow(block)

    text = "\n".join(map(newcomer.follow, blocks(ADMIN)))

    assert "Ran 2 tests" in text


def test_steps__every_word_of_a_step_has_its_line() -> None:
    text = STEPS.read_text()
    known = {"name", "action", "compensation", "no_compensation", "input", "after", "retry", "timeout"}

    for name in set(inspect.signature(step).parameters) - known - {"undo_retry", "undo_timeout"}:
        assert f"`{name}=" in text or f", {name}=" in text, name
    for name in vars(SagaOperations):
        if not name.startswith("_") and name not in ("Meta", "next_steps", "compensation_plan", "signal"):
            assert f"`{name}" in text, name


def test_testing__every_snippet_is_run() -> None:
    text = TESTING.read_text()

    assert text.count("```python") + text.count("```bash") == len(list(blocks(TESTING))) == 9


def test_testing__names_all_that_there_is() -> None:
    text = TESTING.read_text()

    for name in testing.__all__:
        if name not in ("Expected", "Handler", "Script", "ChildRun", "SagaRun", "Clock", "Trial", "Report"):
            assert name in text, name
