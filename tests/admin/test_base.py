"""`SAGAS["ADMIN_BASE"]`: the pages are built on another theme's class."""

import os
import subprocess
import sys

from tests.docs.generated import README

SCRIPT = """
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.test import Client
from django.core.management import call_command
from sagas.models import Saga, Worker
from tests.admin.other_base import OtherAdmin
call_command("migrate", verbosity=0)
assert isinstance(site.get_model_admin(Saga), OtherAdmin)
assert isinstance(site.get_model_admin(Worker), OtherAdmin)
assert not site.get_model_admin(Worker).has_add_permission(None)
client = Client(headers={"host": "localhost"})
client.force_login(User.objects.create_superuser("ines"))
page = client.get("/admin/sagas/saga/")
assert page.status_code == 200 and page.headers["Themed"] == "by another base"
print("themed")
"""


def run(base: str, command: list[str], place: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SAGAS_ADMIN_BASE": base, "DATABASE_URL": f"sqlite:///{place}/db.sqlite3"}
    environment |= {"BROKER_URL": "", "DJANGO_SETTINGS_MODULE": "sagaproject.settings", "VAR_DIR": str(place)}
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=README.parent, env=environment, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip


def test_another_base__under_every_page(tmp_path: object) -> None:
    done = run("tests.admin.other_base.OtherAdmin", ["shell", "-v0", "-c", SCRIPT], tmp_path)

    assert (done.returncode, done.stdout.strip()) == (0, "themed"), done.stderr


def test_no_such_base__the_check_says_so_and_the_pages_stand(tmp_path: object) -> None:
    done = run("nowhere.Admin", ["check"], tmp_path)

    assert done.returncode == 1
    assert "sagas.E007) SAGAS['ADMIN_BASE']: expected the dotted path of a ModelAdmin" in done.stderr
