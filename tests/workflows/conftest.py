"""Fixtures: the tutorial's package as if it were installed, files written by a test, and the workers' fixtures."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.db import connections

from sagas import SagaDefinition
from sagas.definitions.files import load_file
from sagas.definitions.registry import registry
from tests.engine.kit import forgetting
from tests.worker.conftest import (
    _lite_template,
    crew,
    hand,
    kit,
    lite,
    lite_file,
    on_postgres,
    on_sqlite,
    pg,
    place,
    quick,
    transactional_db,
)

__all__ = [
    "_lite_template",
    "crew",
    "hand",
    "kit",
    "lite",
    "lite_file",
    "on_postgres",
    "on_sqlite",
    "pg",
    "place",
    "quick",
    "transactional_db",
]

TUTORIAL = Path(__file__).parent / "tutorial"
PACKAGE = "payment_processor"


@pytest.fixture(autouse=True)
def _no_database(request: pytest.FixtureRequest) -> None:
    """As in a host's process that has touched none: tests before may have left a connection open."""
    if "transactional_db" not in request.fixturenames:
        connections.close_all()


@pytest.fixture
def unknown() -> Iterator[None]:
    """Nothing that a test loads is known afterwards; our own workflow of the tutorial's name is not known before."""
    with forgetting():
        registry.definitions.pop("PaymentProcessing", None)
        yield


@pytest.fixture
def tutorial(unknown: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SagaDefinition]]:
    """The tutorial's workflow, loaded from a top-level package."""
    monkeypatch.syspath_prepend(TUTORIAL)
    (definition,) = load_file(TUTORIAL / PACKAGE / "sagas.yaml", app=PACKAGE)
    yield definition
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


class Writer:
    """Writes a workflow file beside a module of functions, and loads it."""

    def __init__(self, place: Path) -> None:
        self.file = place / "sagas.yaml"

    def load(self, text: str) -> list[type[SagaDefinition]]:
        self.file.write_text(text, encoding="utf-8")
        return load_file(self.file, app="an_app")


@pytest.fixture
def writer(unknown: None, tmp_path: Path) -> Writer:
    return Writer(tmp_path)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a module `workflow_code` of what is given, for files to name."""

    def make(**names: Any) -> None:
        found = ModuleType("workflow_code")
        for name, value in names.items():
            setattr(found, name, value)
        monkeypatch.setitem(sys.modules, "workflow_code", found)

    return make
