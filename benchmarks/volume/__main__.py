"""`python -m benchmarks.volume`: fill a database of its own, measure every page, drop it. See benchmarks/README.md."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.services import Services, with_path
from benchmarks.volume.disk import disk

SAGAS = 1_000_000
ROUNDS = 40
LOCAL_DATABASE = "postgresql://postgres@127.0.0.1:5432/postgres"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.volume", description=__doc__)
    parser.add_argument("--sagas", type=int, default=SAGAS, help="how many (default: a million)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="requests of each page")
    parser.add_argument("--only", default="", help="pages whose name holds this")
    parser.add_argument("--database-url", default=os.environ.get("DATABASE_URL") or LOCAL_DATABASE)
    parser.add_argument("--keep", action="store_true", help="leave the database, to look around in it")
    parser.add_argument("--use", default="", metavar="NAME", help="measure in a database that was kept before")
    parser.add_argument("--yes", action="store_true", help="do not ask how much disk is free")
    parser.add_argument("--slow", type=float, default=0, metavar="MS", help="show statements that took longer")
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    parser.add_argument("--no-verdict", action="store_true", help="exit with 0 however slow the pages are")
    return parser.parse_args(arguments)


def say(text: str) -> None:
    """Progress, beside the result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def main() -> None:
    options = parse()
    found = disk(options.database_url, options.sagas)
    if not options.use:
        say(f"{options.sagas:,} sagas: {found}")
        if found.refusal and not (options.yes and found.free is None):
            raise SystemExit(f"nothing was done: {found.refusal}")
    with tempfile.TemporaryDirectory(prefix="sagas-volume-") as directory, _database(options, Path(directory)) as url:
        _settings(url, directory)
        raise SystemExit(_run(options, url))


@contextmanager
def _database(options: argparse.Namespace, directory: Path) -> Iterator[str]:
    """A URL; the database is dropped behind it unless it is to be kept."""
    services = Services(database_url=options.database_url, broker_url="", directory=directory)
    if options.use:
        yield with_path(services.server_url, options.use)
        return
    services.remove_old_databases()
    name = services.database("volume")
    if options.keep:
        # At once: what is interrupted is kept too.
        kept = f"sagas_volume_{os.getpid()}"
        services.rename(name, kept)
        url = with_path(services.server_url, kept)
        say(f"is kept as {kept}: make run DATABASE_URL={url} (user and password: operator), dropdb {kept}")
        yield url
        return
    try:
        yield with_path(services.server_url, name)
    finally:
        _close()
        services.drop(name)


def _close() -> None:
    from django.db import connections

    connections.close_all()


def _settings(url: str, directory: str) -> None:
    """The project as it is, on that database and without a broker."""
    import django

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "sagaproject.settings",
        "DATABASE_URL": url,
        "BROKER_URL": "",
        "SECRET_KEY": "volume",
        "VAR_DIR": directory,
        "DEBUG": "",
    }
    django.setup()


def _run(options: argparse.Namespace, url: str) -> int:
    from benchmarks.volume.run import run

    return run(options, url, say)


if __name__ == "__main__":
    main()
