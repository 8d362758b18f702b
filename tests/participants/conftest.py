"""Fixtures of the participants' tests: a small stock, each of the four services in turn, both databases."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections

from participants.inventory.services import take_stock
from tests.participants.requests import SERVICES, Service
from tests.store.database import LITE, added_database, lite_settings


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    """Hashing well takes a second; these tests are about what comes after."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def shelves(db: None) -> None:
    take_stock({"MUG": 10, "TEA": 10})


@pytest.fixture(params=sorted(SERVICES))
def service(request: pytest.FixtureRequest, shelves: None) -> Service:
    return SERVICES[request.param]


@pytest.fixture(scope="session")
def _lite_books(django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, made once."""
    path = tmp_path_factory.mktemp("participants") / "template.sqlite3"
    with django_db_blocker.unblock(), added_database(LITE, lite_settings(path)):
        call_command("migrate", database=LITE, verbosity=0)
        connections[LITE].close()
    return path


@pytest.fixture(params=["postgresql", "sqlite"])
def either_database(
    request: pytest.FixtureRequest, transactional_db: None, _lite_books: Path, tmp_path: Path
) -> Iterator[None]:
    """Real commits in every thread, on the session's PostgreSQL and on a SQLite file."""
    before = connections.settings["default"]
    path = tmp_path / "books.sqlite3"
    shutil.copy(_lite_books, path)
    with added_database(LITE, lite_settings(path)):
        if request.param == "sqlite":
            _use_as_default(connections.settings[LITE])
        assert connections["default"].vendor == request.param
        yield
        _use_as_default(before)


def _use_as_default(config: dict[str, Any]) -> None:
    connections["default"].close()
    del connections["default"]
    connections.settings["default"] = config
