"""`make screenshots`: the main pages, empty and full, light and dark, wide and narrow, as PNG files in var/screenshots.

    python -m tests.browser.screenshots           all of them
    python -m tests.browser.screenshots --keep    and the few that the documentation shows, in docs/screenshots

It works on a scratch SQLite file, with the demo's orders and the tests' scenes, and touches nothing else.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "var" / "screenshots"
KEPT = ROOT / "docs" / "screenshots"
ORDERS = 300


def main() -> int:
    """Take them; 0, or 1 where there is no browser."""
    parser = argparse.ArgumentParser(prog="make screenshots", description="Pictures of the main pages.")
    parser.add_argument("--keep", action="store_true", help="copy the documentation's few to docs/screenshots")
    options = parser.parse_args()
    from tests.services import chromium

    if not chromium.program():
        print(
            "Error: there is no Chromium here: sudo apt-get install chromium, or name one: CHROMIUM=…", file=sys.stderr
        )
        return 1
    with _scratch():
        from tests.browser import shooting

        taken = shooting.shoot(TARGET, orders=ORDERS)
        if options.keep:
            shooting.keep(TARGET, KEPT)
    print(f"{taken} pictures in {TARGET.relative_to(ROOT)}")
    return 0


@contextmanager
def _scratch() -> Iterator[None]:
    """A project of its own: files in a new directory, an empty database, Django set up."""
    files = tempfile.mkdtemp(prefix="sagas-screenshots-")
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "sagaproject.settings",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "true",  # Playwright keeps an event loop in this thread
        "VAR_DIR": files,
        "DATABASE_URL": f"sqlite:///{files}/sagas.sqlite3",
        "BROKER_URL": "",
        "LOG_LEVEL": "ERROR",
        "DEMO": "1",
    }
    try:
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        yield
    finally:
        shutil.rmtree(files, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
