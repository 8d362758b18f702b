"""The wheel in somebody else's project: a new virtual environment, `startproject`, and `"sagas"` alone added.

The environment holds the package's own dependencies and nothing else, linked from the one that runs the tests: no
network, and no REST framework, Celery or beat in reach.
"""

import os
import re
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest

#: What psycopg needs at run time; a host chooses between this, `psycopg[c]` and the system's libpq.
DRIVER = "psycopg-binary"
SHOP = """
from sagas import Rejected, SagaDefinition, action, compensation, step

@action("shop.pick")
def pick(ctx):
    return {"picked": ctx.context["cart"]}

@compensation("shop.put_back")
def put_back(ctx): ...

@action("shop.pay")
def pay(ctx):
    if ctx.context["cart"] > 3:
        raise Rejected("too much", code="too_much")
    return {}

@compensation("shop.pay_back")
def pay_back(ctx): ...

class Shopping(SagaDefinition):
    name = "shopping"
    steps = [
        step("pick", action="shop.pick", compensation="shop.put_back"),
        step("pay", action="shop.pay", compensation="shop.pay_back"),
    ]
"""
START = """
from sagas.models import Saga
for cart in (1, 5):
    Saga.objects.start("shopping", context={"cart": cart})
"""
STATES = """
from sagas.models import Saga
print("states:", sorted(Saga.objects.values_list("state", flat=True)))
"""
ADMIN = """
from django.contrib.auth import get_user_model
from django.test import Client
get_user_model().objects.create_superuser("me", "", "me")
client = Client()
client.login(username="me", password="me")
page = client.get("/admin/sagas/saga/", headers={"host": "localhost"})
print("admin:", page.status_code, "shopping" in page.content.decode())
"""

TYPED = """
from dataclasses import dataclass
from sagas import SagaDefinition
from sagas.exceptions import PayloadError
from sagas.testing import run_saga

@dataclass
class Context:
    n: int = 0

class Typed(SagaDefinition):
    name = "typed"
    context_model = Context

run_saga("typed", {"n": 1})
try:
    run_saga("typed", {"n": "one"})
except PayloadError as exc:
    print("refused:", exc)
"""


def closure(name: str, found: set[str]) -> set[str]:
    """A distribution and all that it needs on this Python."""
    if name not in found:
        found.add(name)
        for line in metadata.requires(name) or []:
            requirement, _, marker = line.partition(";")
            needed = re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0]
            if "extra ==" not in marker and _installed(needed):
                closure(needed, found)
    return found


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


class Project:
    """A bare project beside a virtual environment with the wheel in it."""

    def __init__(self, place: Path) -> None:
        self.path = place / "shop"
        self._python = place / "venv" / "bin" / "python"
        venv.create(place / "venv", symlinks=True)
        self.site = next((place / "venv" / "lib").glob("python*/site-packages"))
        self._env = {name: text for name, text in os.environ.items() if name in ("PATH", "HOME", "LANG")}

    def link(self, name: str) -> None:
        """One installed distribution, file by top-level name."""
        files = metadata.files(name) or []
        for top in {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}:
            source = Path(str(metadata.distribution(name).locate_file(top)))
            if not (self.site / top).exists():
                (self.site / top).symlink_to(source)

    def run(self, *words: str, fails: bool = False, stdin: str = "") -> str:
        done = subprocess.run(
            [self._python, *words],
            cwd=self.path,
            env=self._env,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def manage(self, *words: str, fails: bool = False, stdin: str = "") -> str:
        return self.run("manage.py", *words, fails=fails, stdin=stdin)

    def settings(self, text: str) -> None:
        with (self.path / "shop" / "settings.py").open("a") as settings:
            settings.write(f"\n{text}\n")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Project:
    place = tmp_path_factory.mktemp("bare")
    made = Project(place)
    needed: set[str] = set()
    for name in ("django", "pika", "psycopg", DRIVER, "python-ulid"):
        closure(name, needed)
    for name in needed:
        made.link(name)
    install = [sys.executable, "-m", "pip", "--python", str(place / "venv"), "install", "--no-deps", "--no-index", "-q"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    made.path.mkdir()
    made.run("-m", "django", "startproject", "shop", ".")
    made.settings('INSTALLED_APPS += ["sagas"]')
    return made


def test_environment__has_nothing_but_what_the_package_asks_for(project):
    absences = ("celery", "django_celery_beat", "drf_spectacular", "jsonschema", "participants", "pydantic")
    for absent in (*absences, "rest_framework", "yaml"):
        project.run("-c", f"import {absent}", fails=True)
    assert str(project.site) in project.run("-c", "import sagas; print(sagas.__file__)")


def test_project__checks_migrates_and_says_that_the_api_is_off(project):
    said = project.manage("check")

    project.manage("migrate")

    assert "rest_framework" in said
    assert "No changes" in project.manage("makemigrations", "--check", "--dry-run")


def test_project__runs_a_saga_and_shows_it_in_the_admin(project):
    (project.path / "shop" / "sagas.py").write_text(SHOP)
    project.settings('INSTALLED_APPS += ["shop"]')
    project.manage("migrate")

    project.manage("shell", "-c", START)
    project.manage("saga_worker", "--burst")

    assert "states: ['compensated', 'completed']" in project.manage("shell", "-c", STATES)
    assert "admin: 200 True" in project.manage("shell", "-c", ADMIN)


def test_project__yaml_definition_without_its_libraries__says_what_to_install(project):
    path = project.path / "shop" / "sagas.yaml"
    path.write_text("workflow_type: Shopping\n")

    said = project.manage("check", fails=True)

    path.unlink()
    assert "DefinitionError" in said
    assert "sagas.yaml: reading it needs PyYAML and jsonschema" in said
    assert "pip install 'sagas[yaml]'" in said


def test_project__typed_context_of_a_dataclass__needs_no_library(project):
    (project.path / "shop" / "typed.py").write_text(TYPED)

    assert "refused: context of 'typed': n: expected a whole number, got str" in project.manage(
        "shell", "-c", "import shop.typed"
    )
