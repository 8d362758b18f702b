"""The beat entry, and that neither celery nor django-celery-beat is needed where they are not installed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from sagas.schedule import ENTRY, TASK

pytestmark = pytest.mark.usefixtures("pg")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _as_it_was(pg: str) -> Any:
    yield
    PeriodicTask.objects.all().delete()
    IntervalSchedule.objects.all().delete()
    call_command("migrate", verbosity=0)


def migrate() -> PeriodicTask:
    call_command("migrate", verbosity=0)
    found: PeriodicTask = PeriodicTask.objects.get(name=ENTRY)
    return found


def test_entry__is_made_by_migrate() -> None:
    PeriodicTask.objects.all().delete()
    before = PeriodicTasks.last_change()

    entry = migrate()

    assert (entry.task, entry.enabled, entry.args, entry.kwargs) == (TASK, True, "[]", "{}")
    assert (entry.interval.every, entry.interval.period) == (5, "minutes")
    # A beat that runs notices it.
    assert PeriodicTasks.last_change() > before


def test_entry__is_made_once() -> None:
    first = migrate()

    assert migrate().pk == first.pk
    assert PeriodicTask.objects.count() == 1
    assert IntervalSchedule.objects.count() == 1


def test_entry__edit_of_an_operator__is_kept() -> None:
    entry = migrate()
    entry.interval = IntervalSchedule.objects.create(every=2, period="hours")
    entry.enabled = False
    entry.kwargs = '{"since": 7}'
    entry.save()

    again = migrate()

    assert (again.interval.every, again.interval.period, again.enabled) == (2, "hours", False)
    assert again.kwargs == '{"since": 7}'
    assert PeriodicTask.objects.count() == 1


def test_entry__two_equal_intervals_in_the_table__do_not_stop_migrate() -> None:
    PeriodicTask.objects.all().delete()
    for _ in range(2):
        IntervalSchedule.objects.create(every=5, period="minutes")

    assert migrate().interval.every == 5


def test_entry__other_databases_get_none(lite: str) -> None:
    migrate()

    call_command("migrate", database=lite, verbosity=0)

    assert PeriodicTask.objects.using("default").count() == 1
    assert not PeriodicTask.objects.using(lite).exists()


MINIMAL = """
SECRET_KEY = "x"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {name!r}}}}}
INSTALLED_APPS = {apps!r}
"""


class Bare:
    """A project with little but sagas, in processes of its own."""

    def __init__(self, files: Path) -> None:
        self._files = files

    def write(self, *apps: str) -> None:
        apps = ("django.contrib.contenttypes", "sagas", *apps)
        text = MINIMAL.format(name=str(self._files / "bare.sqlite3"), apps=list(apps))
        (self._files / "bare_settings.py").write_text(text)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", *words],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{self._files}:{ROOT}",
                "DJANGO_SETTINGS_MODULE": "bare_settings",
            },
            cwd=self._files,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path)


WITHOUT_CELERY = """
import sys
for name in ("celery", "django_celery_beat", "rest_framework", "pika"):
    sys.modules[name] = None    # as if it were not installed
import django
django.setup()
from django.core.management import call_command
call_command("check")
call_command("migrate", verbosity=0)
from sagas import action, step
@action("bare.do")
def do(ctx):
    return {"n": 1}
from sagas.models import Saga
saga = Saga.objects.start("bare", steps=[step("one", action="bare.do", no_compensation="reads only")])
from sagas.worker.process import Worker
worker = Worker(burst=True)
worker.start()
code = worker.join()
call_command("saga_flag_stale")
saga.refresh_from_db()
found = [name for name in sys.modules if name.startswith(("celery", "django_celery_beat")) and sys.modules[name]]
print(code, saga.state, sorted(found))
"""


def test_without_celery__everything_else_works(bare: Bare) -> None:
    bare.write()

    done = bare.run("-c", WITHOUT_CELERY)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["flagged 0 stale sagas", "0 completed []"]


def test_beat_migrated_backwards__is_no_error(bare: Bare) -> None:
    bare.write("django_celery_beat")
    count = "from django_celery_beat.models import PeriodicTask as P; print('entries', P.objects.count())"

    for words in (["migrate"], ["shell", "-c", count], ["migrate", "django_celery_beat", "0005"],
                  ["migrate", "django_celery_beat", "zero"], ["migrate"], ["shell", "-c", count]):  # fmt: skip
        done = bare.run("-m", "django", *words)
        assert done.returncode == 0, (words, done.stderr)
        assert words[0] == "migrate" or done.stdout.splitlines()[-1] == "entries 1"
