"""The databases of these tests: the session's PostgreSQL with real commits, and SQLite files. Emptied by DELETE, which
takes milliseconds where a flush of all tables takes a quarter of a second."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections, transaction

from sagas.models import (
    ActionLimit,
    Batch,
    BatchItem,
    FailedSaga,
    FailureGroup,
    FailureHour,
    HistoryEntry,
    Rollup,
    Saga,
    SagaCount,
    SagaGraph,
    SagaHour,
    SagaLock,
    Step,
    StepHour,
    Worker,
)
from sagas.store import orm
from tests.services.proxy import Proxy

LITE = "lite"


def empty(alias: str) -> None:
    """No sagas, no workers, and none of the rows that handlers of these tests write."""
    from django.contrib.auth.models import Group

    with transaction.atomic(using=alias):
        rollup = (FailureHour, FailedSaga, FailureGroup, Rollup, SagaCount, SagaHour, StepHour)
        own = (BatchItem, Batch, HistoryEntry, SagaLock, Step, Saga, SagaGraph, Worker, ActionLimit)
        for model in (*own, *rollup, Group):
            rows = model.objects.using(alias).all()
            rows._raw_delete(alias)
    orm.forget()


@pytest.fixture
def transactional_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """In place of pytest-django's, under its name: it looks for the name to know which databases to make."""
    with django_db_blocker.unblock():
        empty("default")
        try:
            yield
        finally:
            connections["default"].close()
            empty("default")
            connections.close_all()


@pytest.fixture
def pg(transactional_db: None) -> str:
    """The alias of the session's PostgreSQL: real transactions, any thread."""
    assert connections["default"].vendor == "postgresql"
    return "default"


@pytest.fixture(scope="session")
def _lite_template(django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, made once."""
    path = tmp_path_factory.mktemp("lite") / "template.sqlite3"
    with django_db_blocker.unblock(), added_database(LITE, lite_settings(path)):
        call_command("migrate", database=LITE, verbosity=0)
        connections[LITE].close()
    return path


def lite_settings(path: Path, **options: Any) -> dict[str, Any]:
    """As `sagaproject.settings` has it for a sqlite:// URL."""
    from sagaproject import environment

    found = environment.database(f"sqlite:///{path}")
    found["OPTIONS"] = {**found["OPTIONS"], **options}
    return found


@contextmanager
def added_database(alias: str, config: dict[str, Any]) -> Iterator[str]:
    """One more alias in DATABASES, in every thread, for a while."""
    # Fills the defaults in, in place.
    connections.configure_settings({"default": {"ENGINE": config["ENGINE"]}, alias: config})
    connections.settings[alias] = config
    try:
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


@pytest.fixture
def lite_file(_lite_template: Path, tmp_path: Path) -> Path:
    """A migrated SQLite file of this test's own."""
    path = tmp_path / "sagas.sqlite3"
    shutil.copy(_lite_template, path)
    return path


@pytest.fixture
def lite(django_db_blocker: Any, lite_file: Path) -> Iterator[str]:
    """The alias of a SQLite file of this test's own."""
    with django_db_blocker.unblock(), added_database(LITE, lite_settings(lite_file)):
        orm.forget()
        yield LITE
        orm.forget()


@pytest.fixture
def proxied(pg: str) -> Iterator[Callable[[Proxy], str]]:
    """Makes an alias of the session's PostgreSQL that goes through a proxy."""
    with ExitStack() as added:

        def add(proxy: Proxy) -> str:
            config = {**connections.settings["default"], "HOST": "127.0.0.1", "PORT": str(proxy.port)}
            config["OPTIONS"] = {**config.get("OPTIONS", {}), "sslmode": "disable"}
            return added.enter_context(added_database("proxied", config))

        yield add
