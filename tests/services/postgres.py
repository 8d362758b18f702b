"""PostgreSQL for tests: a server that lets us in and create databases, or one of our own."""

import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.services import names
from tests.services.ports import free_port
from tests.services.processes import Place, ServerError, account
from tests.services.waiting import wait_until

OLDEST = 14
_STOP = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
#: Tests kill processes, not machines: nothing is gained by waiting for the disk.
_FAST = {"fsync": "off", "full_page_writes": "off", "max_connections": "200", "log_min_messages": "fatal"}


def standard_urls(environ: Mapping[str, str]) -> list[str]:
    """Where PostgreSQL listens on most machines, and who is let in there most often."""
    me = environ.get("USER") or environ.get("LOGNAME") or "root"
    here = "127.0.0.1:5432/postgres"
    socket = "%2Fvar%2Frun%2Fpostgresql:5432/postgres"
    return [f"postgres://{who}@{here}" for who in ("postgres", "postgres:postgres", me)] + [f"postgres://{me}@{socket}"]


def with_name(url: str, name: str) -> str:
    """The same server and account, another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def refusal(url: str) -> str:
    """Why the server cannot be used for tests; "" when it can."""
    try:
        with psycopg.connect(url, connect_timeout=3, autocommit=True) as connection:
            if connection.info.server_version < OLDEST * 10_000:
                return f"it is older than PostgreSQL {OLDEST}"
            row = connection.execute(
                "SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
    except psycopg.Error as exc:
        return str(exc).strip().splitlines()[-1] if str(exc).strip() else type(exc).__name__
    return "" if row and row[0] else "its account may not create databases (ALTER ROLE … CREATEDB)"


def create_database(url: str, name: str) -> str:
    """A new empty database in UTF-8, whatever the server's default; its URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
        )
    return with_name(url, name)


def drop_database(url: str, name: str) -> None:
    """Gone, with all connections to it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def remove_leftovers(url: str) -> None:
    """Drop the databases of interrupted sessions; what may not be dropped is left."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = [name for (name,) in connection.execute("SELECT datname FROM pg_database")]
    for name in filter(names.is_leftover, found):
        try:
            drop_database(url, name)
        except psycopg.Error:
            continue


def programs() -> Path | None:
    """The directory of initdb and postgres; the newest, where there are several."""
    packaged = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin")]
    newest_first = sorted(packaged, key=_version, reverse=True)
    on_path = shutil.which("initdb")
    places = [*newest_first, *([Path(on_path).resolve().parent] if on_path else [])]
    usable = (place for place in places if (place / "initdb").exists() and (place / "postgres").exists())
    return next(usable, None)


def _version(path: Path) -> int:
    digits = "".join(char for char in path.parent.name if char.isdigit())
    return int(digits or 0)


class PrivatePostgres:
    """A PostgreSQL of our own on a free port, for tests that stop, freeze, restart or wipe it."""

    def __init__(self, **settings: str) -> None:
        """Make and start it. `settings` are its configuration: `PrivatePostgres(deadlock_timeout="10ms")`."""
        found = programs()
        if found is None:
            raise ServerError("no programs of PostgreSQL to start one of our own: sudo apt-get install postgresql")
        self._bin = found
        self._settings = {**_FAST, **settings}
        self._place = Place("postgres", user=account("postgres"))
        self._password = secrets.token_hex(8)
        self._child: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        try:
            self._init()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """The maintenance database, as superuser."""
        return f"postgres://sagas:{self._password}@127.0.0.1:{self.port}/postgres"

    def create_database(self, name: str = "") -> str:
        """A new database; its URL."""
        return create_database(self.url, name or f"db_{secrets.token_hex(4)}")

    @property
    def runs(self) -> bool:
        """Whether its main process is alive (it may be frozen)."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start it, unless it runs; returns when it accepts connections."""
        if self.runs:
            return
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        self._child = self._place.spawn(
            self._bin / "postgres", "-D", self._place.path / "data", "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", *options,
        )  # fmt: skip
        wait_until(self._answers, within=60, what="PostgreSQL starts")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: "smart" waits for clients, "fast" ends them, "immediate" leaves the rest to recovery."""
        if self._child is not None and self.runs:
            self.thaw()
            self._child.send_signal(_STOP[mode])
            self._child.wait(60)

    def kill(self) -> None:
        """kill -9 of all its processes."""
        self._place.kill()
        if self._child is not None:
            self._child.wait(10)

    def restart(self, mode: str = "fast") -> None:
        """Stop and start again; modes as of `stop`, and "kill"."""
        if mode == "kill":
            self.kill()
        else:
            self.stop(mode)
        self.start()

    def freeze(self) -> None:
        """It stands still and keeps its connections, until `thaw`."""
        self._place.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._place.signal(signal.SIGCONT)

    def wipe(self) -> None:
        """It comes back empty: same address, same account, no database of ours."""
        self.kill()
        self._init()
        self.start()

    def heal(self) -> None:
        """Running and thawed, whatever was done to it."""
        self.thaw()
        self.start()

    def close(self) -> None:
        """End it and remove all that it wrote."""
        self._place.remove()
        if self._child is not None:
            self._child.wait(10)

    def _init(self) -> None:
        data = self._place.directory("data")
        secret = self._place.write("password", self._password)
        self._place.run(
            self._bin / "initdb", "--auth=password", "--username=sagas", f"--pwfile={secret}",
            "--encoding=UTF8", "--locale=C", "--no-sync", "-D", data,
        )  # fmt: skip

    def _answers(self) -> bool:
        if not self.runs:
            raise ServerError(f"PostgreSQL did not start: {self._place.last_words()}")
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True
