"""`manage.py check`: what is wrong, before anything runs; one id for each."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin import ModelAdmin
from django.core.checks import run_checks

from sagas import SagaDefinition, step
from sagas.conf import admin_base
from sagas.core.graph import Graph
from tests.engine.kit import forgetting

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    with forgetting():
        yield


def found(*, deploy: bool = False) -> dict[str, str]:
    """Id and text of what the checks of sagas find."""
    messages = run_checks(tags=["sagas"], include_deployment_checks=deploy)
    assert all(message.hint for message in messages)
    return {message.id: message.msg for message in messages if message.id.startswith("sagas.")}  # type: ignore[union-attr]


def test_project__is_well() -> None:
    assert found(deploy=True) == {}


@pytest.mark.parametrize(
    ("sagas", "text"),
    [
        ({"THREADS": 0}, "SAGAS['THREADS']: expected a whole number of 1 or more, got 0"),
        ({"STALE_AFTER": "1 h"}, "SAGAS['STALE_AFTER']: expected a timedelta or a number of seconds, got '1 h'"),
        ({"STALE_AFTER": float("inf")}, "SAGAS['STALE_AFTER']: "),
        ({"BROKER": "x"}, "SAGAS: unknown setting 'BROKER'; known: BROKER_URL"),
        ([], "SAGAS: expected a dict, got list"),
    ],
)
def test_e001__unusable_settings(settings: Any, sagas: Any, text: str) -> None:
    settings.SAGAS = sagas

    assert found()["sagas.E001"].startswith(text)


def test_e001__one_message_each(settings: Any) -> None:
    settings.SAGAS = {"THREADS": 0, "PREFETCH": -1}

    messages = [message for message in run_checks(tags=["sagas"]) if message.id == "sagas.E001"]

    assert len(messages) == 2
    assert all("README" in str(message.hint) for message in messages)


@pytest.mark.parametrize("url", ["http://localhost", "amqp://", "localhost:5672", "amqp://host:port/"])
def test_e002__broker_url(settings: Any, url: str) -> None:
    settings.SAGAS = {"BROKER_URL": url}

    text = found()["sagas.E002"]

    assert text.startswith("SAGAS['BROKER_URL']: ")


def test_e002__does_not_show_the_password(settings: Any) -> None:
    settings.SAGAS = {"BROKER_URL": "http://me:very-secret@host/"}

    assert "very-secret" not in str(found())


def test_e003__database_alias(settings: Any) -> None:
    settings.SAGAS = {"DATABASE": "elsewhere"}

    assert found()["sagas.E003"] == "SAGAS['DATABASE']: expected a name of DATABASES, got 'elsewhere'"


@pytest.mark.parametrize(
    ("engine", "well"),
    [
        ("django.db.backends.mysql", False),
        ("django.db.backends.oracle", False),
        ("django.db.backends.postgresql", True),
        ("django.db.backends.sqlite3", True),
        ("django.contrib.gis.db.backends.postgis", True),
        ("django.contrib.gis.db.backends.spatialite", True),
        ("django_prometheus.db.backends.postgresql", True),
    ],
)
def test_e004__database_engine(settings: Any, monkeypatch: pytest.MonkeyPatch, engine: str, well: bool) -> None:
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", engine)

    assert ("sagas.E004" not in found()) == well


def test_e005__time_zones(settings: Any) -> None:
    settings.USE_TZ = False

    assert found()["sagas.E005"] == "sagas stores aware times"


@pytest.mark.parametrize("path", ["nowhere.Store", "sagas.store.orm.Nothing", "sagas.conf.AppSettings", "no dots"])
def test_e006__store(settings: Any, path: str) -> None:
    settings.SAGAS = {"STORE": path}

    assert found()["sagas.E006"].startswith(f"SAGAS['STORE']: expected the dotted path of a store class, got {path!r}")


def test_e010__unknown_handler() -> None:
    class Broken(SagaDefinition):
        name = "broken_for_the_check"
        steps = [step("x", action="nobody.knows", no_compensation="reads only")]

    text = found()["sagas.E010"]

    assert "saga definition 'broken_for_the_check': unknown action 'nobody.knows'" in text
    assert Broken.step_definitions()


def test_e010__well_when_the_handlers_are_there() -> None:
    from sagas import action

    @action("check.fine")
    def fine(ctx: object) -> None: ...

    class Fine(SagaDefinition):
        name = "fine_for_the_check"
        steps = [step("x", action="check.fine", no_compensation="reads only")]

    assert found() == {}
    assert isinstance(Fine.graph(), Graph)


def test_i001__rest_framework_is_missing(settings: Any) -> None:
    settings.INSTALLED_APPS = ["django.contrib.contenttypes", "sagas"]

    assert "the REST API of sagas is off" in found()["sagas.I001"]


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("amqp://me:x@rabbit.example.com/", True),
        ("amqp://me:x@localhost.example.com/", True),
        ("amqp://10.0.0.7", True),
        ("amqps://me:x@rabbit.example.com/", False),
        ("amqp://me:x@localhost:5673/vhost", False),
        ("amqp://127.0.0.1/", False),
        ("amqp://[::1]:5672/", False),
        (None, False),
    ],
)
def test_w001__broker_elsewhere_without_tls__in_deployment_only(settings: Any, url: str | None, warned: bool) -> None:
    settings.SAGAS = {"BROKER_URL": url}

    assert "sagas.W001" not in found()
    assert ("sagas.W001" in found(deploy=True)) == warned


def test_check__touches_no_database_and_no_broker(settings: Any) -> None:
    # No `db` fixture here: a query would be an error.
    settings.SAGAS = {"BROKER_URL": "amqp://127.0.0.1:1/"}

    assert found(deploy=True) == {}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("nowhere.Admin", "expected the dotted path of a ModelAdmin, got 'nowhere.Admin': No module named 'nowhere'"),
        ("sagas.models.Saga", "expected the dotted path of a ModelAdmin, got 'sagas.models.Saga': it is no subclass"),
        ("ModelAdmin", "expected the dotted path of a ModelAdmin, got 'ModelAdmin'"),
    ],
)
def test_e007__admin_base(settings: Any, path: str, text: str) -> None:
    settings.SAGAS = {"ADMIN_BASE": path}

    assert found()["sagas.E007"].startswith(f"SAGAS['ADMIN_BASE']: {text}")
    assert admin_base() is ModelAdmin


def test_e007__without_the_admin_nothing_is_built_on_it(settings: Any) -> None:
    settings.SAGAS = {"ADMIN_BASE": "nowhere.Admin"}
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django.contrib.admin"]

    assert "sagas.E007" not in found()


def test_project_without_admin_and_api__is_well() -> None:
    # A program of its own: models and template tags of an app that is not there must not be imported by anything.
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.crash.settings"}
    command = [sys.executable, "manage.py", "check", "--fail-level", "WARNING"]

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "sagas.I001" in done.stderr
