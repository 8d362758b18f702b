"""The scene of the crash tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.scene import Scene


@pytest.fixture
def scene(transactional_db: None, database_url: str, new_vhost: Callable[[], str], tmp_path: Path) -> Scene:
    """Real processes on the session's database, and on a vhost that nobody has spoilt."""
    return Scene(database_url, new_vhost(), tmp_path)
