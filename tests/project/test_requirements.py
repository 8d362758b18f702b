"""The locked set and the package's metadata."""

import re
import tomllib
from pathlib import Path

import sagas

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9-]", requirement)[0].lower() for requirement in requirements}


LOCKED = names([line for line in LOCK.splitlines() if re.match(r"[a-z0-9]", line)])


def test_lock__names_versions_and_hashes_and_no_address():
    for line in LOCK.splitlines():
        assert re.fullmatch(r"#.*|[a-z0-9-]+==[^ ]+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), (
            f"neither a pinned name nor a hash: {line}"
        )
    assert "://" not in LOCK


def test_lock__holds_what_the_package_and_the_project_ask_for():
    extras = [word for extra in PROJECT["optional-dependencies"].values() for word in extra]
    asked = [line for line in (ROOT / "requirements.in").read_text().splitlines() if re.match("[a-z]", line)]

    assert names(PROJECT["dependencies"] + extras + asked) <= LOCKED


def test_package__depends_on_the_few_libraries_of_the_field():
    assert names(PROJECT["dependencies"]) == {"django", "pika", "psycopg", "python-ulid"}
    assert set(PROJECT["optional-dependencies"]) == {"api", "celery", "pydantic", "yaml"}


def test_package__has_one_version():
    assert PROJECT["version"] == sagas.__version__
