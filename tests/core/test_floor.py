"""The core's floor: it imports the standard library only, and words of states are written in one module only."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sagas
from sagas.core.states import SagaState, StepStatus, is_terminal

APP = Path(sagas.__file__).parent
CORE = APP / "core"
STATES = CORE / "states.py"
WORDS = frozenset(SagaState) | frozenset(StepStatus)
#: What they are given is text for people, to be translated; no state is compared with it.
TEXTS = frozenset({"_", "gettext", "gettext_lazy"})

#: Where such a word stands for something else, or has to be written out.
EXEMPT = {
    ("sagas/models/saga.py", "Meta"): "indexes and constraints are compared with the migrations, which quote them",
    ("sagas/core/triggers.py", "completed"): "the kind of a trigger",
    ("sagas/core/start.py", "started"): "the kind of the first history entry",
    ("sagas/admin/words.py", "started"): "the kind of a history entry",
    ("sagas/admin/words.py", "completed"): "the kind of a history entry",
    ("sagas/definitions/context.py", "completed"): "a compensation's ctx.outcome",
    ("sagas/engine/attempt.py", "completed"): "a handler's ctx.outcome",
    ("sagas/engine/attempt.py", "unknown"): "a handler's ctx.outcome",
    ("sagas/api/urls.py", "unknown"): "the name of a URL",
    ("sagas/models/batch.py", "failed"): "what became of a batch's saga",
    ("sagas/models/batch.py", "cancelled"): "the state of a batch",
    ("sagas/admin/batch.py", "failed"): "the name of a column",
    ("sagas/worker/run.py", "running"): "the stage of an attempt inside a process",
    ("sagas/worker/identity.py", "running"): "the name of a column",
    ("sagas/admin/worker.py", "running"): "the name of a column",
    ("sagas/admin/machinery.py", "running"): "the name of a column",
    ("sagas/engine/rollup/events.py", "completed"): "the kind of a history entry",
    ("sagas/engine/rollup/failures.py", "completed"): "the kind of a history entry",
} | {
    (f"sagas/{path}", counter): "the name of a counter"
    for path, counters in {
        "engine/rollup/reading.py": ("started", "completed", "compensated", "failed"),
        "engine/rollup/writing.py": ("started", "completed", "compensated", "failed"),
        "admin/overview.py": ("started", "completed", "compensated", "failed"),
    }.items()
    for counter in counters
}


def modules(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.py") if "migrations" not in path.relative_to(root).parts)


def name_of(path: Path) -> str:
    return str(path.relative_to(APP.parent))


@pytest.mark.parametrize("path", modules(CORE), ids=name_of)
def test_core__imports_the_standard_library_only(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            inside = node.level <= len(path.relative_to(CORE).parts)
            assert inside, f"{path.name}:{node.lineno} leaves the core"
            names = [node.module or ""] if node.level == 0 else []
        outside = [name for name in names if name.split(".")[0] not in sys.stdlib_module_names]
        assert outside == [], f"{path.name}:{node.lineno} imports {outside}"


@pytest.mark.parametrize("path", modules(CORE), ids=name_of)
def test_core__asks_no_clock_and_no_chance(path: Path):
    text = path.read_text(encoding="utf-8")

    assert not [
        word for word in ("now()", "utcnow", "time.time", "monotonic", "import random", "uuid4") if word in text
    ]


def test_states__are_quoted_in_their_module_only():
    found = {use for path in modules(APP) if path != STATES for use in quoted(path)}

    assert sorted(found - EXEMPT.keys()) == [], "write SagaState.… or StepStatus.…"
    assert sorted(EXEMPT.keys() - found) == [], "exemptions that nobody needs any more"


def quoted(path: Path) -> Iterator[tuple[str, str]]:
    """Quoted states of a module; a model's Meta as a whole."""
    for node, place in _walk(ast.parse(path.read_text(encoding="utf-8")), ""):
        if isinstance(node, ast.Constant) and node.value in WORDS:
            yield name_of(path), place or str(node.value)


def _walk(tree: ast.AST, place: str) -> Iterator[tuple[ast.AST, str]]:
    yield tree, place
    if isinstance(tree, ast.Call) and getattr(tree.func, "id", "") in TEXTS:
        return
    for child in ast.iter_child_nodes(tree):
        inside = "Meta" if isinstance(child, ast.ClassDef) and child.name == "Meta" else place
        yield from _walk(child, inside)


def test_is_terminal():
    assert {state for state in SagaState if is_terminal(state)} == {"completed", "compensated", "failed"}
