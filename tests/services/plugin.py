"""The pytest plugin: servers and names in the environment before Django reads its settings; their removal.

The process that starts the session finds or starts the servers; the worker processes of pytest-xdist inherit
its environment and make only what is their own, a vhost. A run of `tests/unit` alone needs no servers and
gets none.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.services import names, provision, rabbitmq, vhosts
from tests.services.processes import ServerError

#: What the first process of a session tells its workers.
_TOLD = "TEST_SERVICES"
_TESTS = Path(__file__).resolve().parent.parent
_UNIT, _BROWSER = _TESTS / "unit", _TESTS / "browser"
_SERVICES = pytest.StashKey[provision.Services]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Before pytest-django's hook of the same name, which loads the settings."""
    options = early_config.known_args_namespace
    if not (options.help or options.version):
        try:
            _prepare(early_config)
        except (provision.UnavailableError, ServerError, vhosts.VhostError) as exc:
            raise pytest.UsageError(str(exc)) from exc
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Before pytest-xdist starts a worker process: its vhost. The first one is there already."""
    services = node.config.stash.get(_SERVICES, None)
    number = _worker_number(node.gateway.id)
    if services is None or number in services.numbers:
        return
    services.numbers.add(number)
    if services.maker is not None:
        services.maker.create(services.vhost(number))


def _prepare(config: pytest.Config) -> None:
    os.environ["SECRET_KEY"] = "tests"
    if _TOLD in os.environ:
        _use(json.loads(os.environ[_TOLD]))
        return
    files = tempfile.mkdtemp(prefix=f"{names.new_stamp()}-var-")
    config.add_cleanup(lambda: shutil.rmtree(files, ignore_errors=True))
    os.environ["VAR_DIR"] = files
    if _units_only(config.known_args_namespace.file_or_dir, config.invocation_params.dir):
        os.environ |= {"DATABASE_URL": "sqlite://:memory:", "BROKER_URL": ""}
    else:
        _begin(config)


def _units_only(given: list[str], where: Path) -> bool:
    places = _places(given, where)
    return bool(places) and all(place.is_relative_to(_UNIT) for place in places)


def _in_a_browser(given: list[str], where: Path) -> bool:
    return any(place.is_relative_to(_BROWSER) or _BROWSER.is_relative_to(place) for place in _places(given, where))


def _places(given: list[str], where: Path) -> list[Path]:
    return [(where / text.split("::")[0]).resolve() for text in given]


def _begin(config: pytest.Config) -> None:
    """The session's first process."""
    given = config.known_args_namespace.file_or_dir
    browser = _in_a_browser(given, config.invocation_params.dir)
    services = config.stash[_SERVICES] = provision.provide(os.environ, say=_say, whole=not given, browser=browser)
    config.add_cleanup(services.close)
    told = {
        "stamp": services.stamp,
        "database_url": services.database_url,
        "broker_url": services.broker_url,
        "own_vhost": services.maker is not None,
    }
    os.environ[_TOLD] = json.dumps(told)
    config.add_cleanup(lambda: os.environ.pop(_TOLD, None))
    _use(told)
    if services.maker is None:
        config.add_cleanup(lambda: _remove_queues(services))


def _use(told: dict[str, Any]) -> None:
    """Every process of the session: its database and its corner of the broker."""
    own = f"{told['stamp']}_{_worker_number(os.environ.get('PYTEST_XDIST_WORKER', 'gw0'))}"
    # Django puts "test_" before the name and makes that database; the one that is named here never exists.
    os.environ["DATABASE_URL"] = provision.postgres.with_name(told["database_url"], told["stamp"])
    if told["own_vhost"]:
        os.environ["BROKER_URL"] = rabbitmq.with_vhost(told["broker_url"], own)
    else:
        os.environ |= {"BROKER_URL": told["broker_url"], **provision.prefixed_names(own)}


def _worker_number(name: str) -> int:
    return int(name.removeprefix("gw"))


def _remove_queues(services: provision.Services) -> None:
    """Without a vhost: what the processes have declared under their names."""
    for number in services.numbers:
        chosen = provision.prefixed_names(services.vhost(number))
        exchanges = [name for key, name in chosen.items() if key.endswith("EXCHANGE")]
        queues = [name for key, name in chosen.items() if key.endswith("QUEUE")]
        rabbitmq.remove_queues(services.broker_url, queues=queues, exchanges=exchanges)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
