"""Fixtures for all tests: the session's servers, private servers, ports. `tests/services` provides them."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.services import names, ports, postgres, rabbitmq, vhosts


@pytest.fixture(scope="session", autouse=True)
def _close_publishers() -> Iterator[None]:
    """Their threads would go on trying, and logging, while pytest takes its output away."""
    yield
    if "sagas.transports" in sys.modules:
        sys.modules["sagas.transports"].close_publishers()


@pytest.fixture(scope="session", autouse=True)
def _drop_databases_by_force() -> None:
    """A program that a test has just ended may still have a session there."""
    from django.db.backends.postgresql.creation import DatabaseCreation

    def destroy(self: DatabaseCreation, name: str, _verbosity: int) -> None:
        with self._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE {self.connection.ops.quote_name(name)} WITH (FORCE)")

    DatabaseCreation._destroy_test_db = destroy


@pytest.fixture(scope="session", autouse=True)
def _static_files_when_asked_for() -> None:
    """Each test client loads the middleware, and whitenoise would look for all static files every time."""
    from django.conf import settings

    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(scope="session", autouse=True)
def _patient_lists() -> None:
    """A busy machine is no reason to see another page."""
    from sagas.admin.keyset import KeysetChangeList
    from sagas.admin.paging import CappedPaginator

    CappedPaginator.patience = KeysetChangeList.patience = 60_000


@pytest.fixture(scope="session")
def broker_url() -> str:
    """This process's RabbitMQ: a vhost of its own or, where none could be made, its own names in SAGAS."""
    return os.environ["BROKER_URL"]


@pytest.fixture(scope="session")
def database_url(django_db_setup: None) -> str:
    """This process's test database, for other processes: migrated, and emptied after transactional tests."""
    from django.db import connection

    return postgres.with_name(os.environ["DATABASE_URL"], connection.settings_dict["NAME"])


@pytest.fixture
def new_database() -> Iterator[Callable[[], str]]:
    """Makes databases, empty and unmigrated; returns the URL of each. They are dropped after the test."""
    server = json.loads(os.environ["TEST_SERVICES"])["database_url"]
    made: list[str] = []

    def make() -> str:
        made.append(names.new_stamp())
        return postgres.create_database(server, made[-1])

    yield make
    for name in made:
        postgres.drop_database(server, name)


@contextmanager
def _made_vhosts() -> Iterator[Callable[[], str | None]]:
    """Makes vhosts on the session's broker, and deletes them; None where none can be made there."""
    server = json.loads(os.environ["TEST_SERVICES"])["broker_url"]
    made: list[tuple[vhosts.Maker, str]] = []

    def make() -> str | None:
        name = names.new_stamp()
        maker = vhosts.open_vhost(server, name)
        if maker is None:
            return None
        made.append((maker, name))
        return rabbitmq.with_vhost(server, name)

    yield make
    for maker, name in made:
        maker.delete(name)


@pytest.fixture
def new_vhost(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Makes vhosts and returns the URL of each. They are deleted after the test."""

    def on_a_private_broker() -> str:
        broker: rabbitmq.PrivateRabbitMQ = request.getfixturevalue("private_rabbitmq")
        return broker.create_vhost()

    with _made_vhosts() as make:
        yield lambda: make() or on_a_private_broker()


@pytest.fixture(scope="session")
def _kept_vhost() -> Iterator[str | None]:
    with _made_vhosts() as make:
        yield make()


@pytest.fixture
def programs_vhost(_kept_vhost: str | None, request: pytest.FixtureRequest) -> str:
    """The URL of a vhost for programs that a test starts. It is made once where it can be, which takes four seconds of
    a core: who uses it leaves it empty."""
    found: str = _kept_vhost or request.getfixturevalue("new_vhost")()
    return found


@pytest.fixture(scope="session")
def _own_postgres() -> Iterator[postgres.PrivatePostgres]:
    server = postgres.PrivatePostgres()
    yield server
    server.close()


@pytest.fixture
def private_postgres(_own_postgres: postgres.PrivatePostgres) -> Iterator[postgres.PrivatePostgres]:
    """A PostgreSQL that a test may stop, freeze, kill and wipe. One per process, mended after each test."""
    _own_postgres.heal()
    yield _own_postgres
    _own_postgres.heal()


@pytest.fixture(scope="session")
def _own_rabbitmq() -> Iterator[rabbitmq.PrivateRabbitMQ]:
    broker = rabbitmq.PrivateRabbitMQ()
    yield broker
    broker.close()


@pytest.fixture
def private_rabbitmq(_own_rabbitmq: rabbitmq.PrivateRabbitMQ) -> Iterator[rabbitmq.PrivateRabbitMQ]:
    """A RabbitMQ that a test may stop, freeze, kill and wipe. One per process, mended after each test.

    Use `private_rabbitmq.create_vhost()`: the default vhost keeps what other tests left there.
    """
    _own_rabbitmq.heal()
    yield _own_rabbitmq
    _own_rabbitmq.heal()


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody listens on."""
    return ports.free_port()
