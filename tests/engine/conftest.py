"""Fixtures of the engine's tests."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from tests.store.database import _lite_template, lite, lite_file, pg, proxied, transactional_db

from .kit import Hand, Kit, forgetting

__all__ = ["_lite_template", "lite", "lite_file", "pg", "proxied", "transactional_db"]


@pytest.fixture
def kit() -> Iterator[Kit]:
    with forgetting():
        yield Kit()


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture(autouse=True)
def _no_broker(settings: Any) -> None:
    """Hints go nowhere, and a new saga is due at once."""
    settings.SAGAS = {**settings.SAGAS, "BROKER_URL": None}


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The sagas that workers were told of."""
    told: list[UUID] = []
    for module in ("start", "operate"):
        monkeypatch.setattr(f"sagas.engine.{module}.hint", lambda ids, **kwargs: told.extend(ids))
    return told
