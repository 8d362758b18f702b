"""The benchmark's own databases and virtual host, on the servers it was given; all are removed at the end.

Names carry the process id of the run, so that what an interrupted run left behind is known and removed by
the next.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pika
import psycopg

from benchmarks.place import Place

_NAME = "sagas_bench_{pid}"
_OURS = re.compile(r"^sagas_bench_(\d+)(_|$)")


class Services:
    """Makes places. `server` is any database the run may log in to; from it the others are created."""

    def __init__(self, *, database_url: str, broker_url: str, directory: Path) -> None:
        self.server_url = re.sub(r"^postgres(ql)?://", "postgresql://", database_url)
        self.broker_url = broker_url
        self.directory = directory
        self.run_name = _NAME.format(pid=os.getpid())
        self._databases: list[str] = []

    def database(self, name: str, *, template: str = "template0") -> str:
        """Create `<run>_<name>` as a copy of the template; return its name."""
        full = name if name.startswith(self.run_name) else f"{self.run_name}_{name}"
        with self._server() as server:
            server.execute(f'DROP DATABASE IF EXISTS "{full}" WITH (FORCE)')
            server.execute(f'CREATE DATABASE "{full}" TEMPLATE "{template}" ENCODING \'UTF8\'')
        self._databases.append(full)
        return full

    def drop(self, database: str) -> None:
        with self._server() as server:
            server.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        with contextlib.suppress(ValueError):
            self._databases.remove(database)

    def place(self, database: str, *, prefix: str) -> Place:
        tally = self.directory / f"{prefix}.tally"
        tally.unlink(missing_ok=True)
        return Place(
            database_url=with_path(self.server_url, database),
            broker_url=self.broker_url,
            prefix=prefix,
            tally=str(tally),
        )

    @contextlib.contextmanager
    def opened(self) -> Iterator[Services]:
        """Remove old leftovers, make the virtual host, and at the end remove all that was made."""
        self._remove_leftovers()
        made = _make_vhost(self.run_name, user=urlsplit(self.broker_url).username or "guest")
        if made:
            self.broker_url = with_path(self.broker_url, self.run_name)
        try:
            yield self
        finally:
            for name in list(self._databases):
                self.drop(name)
            if made:
                _rabbitmqctl("delete_vhost", self.run_name)

    def _server(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.server_url, autocommit=True)

    def remove_old_databases(self) -> None:
        """Drop what interrupted runs left."""
        with self._server() as server:
            rows = server.execute("SELECT datname FROM pg_database").fetchall()
        for name in _of_dead_runs(str(name) for (name,) in rows):
            self.drop(name)

    def rename(self, database: str, name: str) -> None:
        """It is to be kept: no later run removes it under a name that is not a run's."""
        with self._server() as server:
            server.execute(f'ALTER DATABASE "{database}" RENAME TO "{name}"')

    def _remove_leftovers(self) -> None:
        self.remove_old_databases()
        for name in _of_dead_runs((_rabbitmqctl("list_vhosts", "--quiet") or "").split()):
            _rabbitmqctl("delete_vhost", name)


def with_path(url: str, path: str) -> str:
    """The same URL with another database or virtual host."""
    return urlunsplit(urlsplit(url)._replace(path="/" + path))


def delete_queues(broker_url: str, *, queues: Iterable[str], exchanges: Iterable[str] = ()) -> None:
    """Delete what a cell declared; what is not there is no error."""
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(broker_url))) as connection:
        channel = connection.channel()
        for queue in queues:
            channel.queue_delete(queue)
        for exchange in exchanges:
            channel.exchange_delete(exchange)


def wait_for_queue(broker_url: str, queue: str, *, timeout: float) -> None:
    """Return when a worker has declared the queue; what is sent before is lost, or makes the sender pause."""
    deadline = time.monotonic() + timeout
    with contextlib.closing(pika.BlockingConnection(pika.URLParameters(broker_url))) as connection:
        while not _exists(connection, queue):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no worker declared the queue {queue} within {timeout:.0f} s")
            connection.sleep(0.1)


def _exists(connection: pika.BlockingConnection, queue: str) -> bool:
    channel = connection.channel()
    try:
        channel.queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker:
        return False
    channel.close()
    return True


def _of_dead_runs(names: Iterable[str]) -> list[str]:
    matches = ((name, _OURS.match(name)) for name in names)
    return [name for name, match in matches if match and not _alive(int(match[1]))]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _make_vhost(name: str, *, user: str) -> bool:
    """Make a virtual host for this user; False where that is not allowed."""
    if _rabbitmqctl("add_vhost", name) is None:
        return False
    return _rabbitmqctl("set_permissions", "-p", name, user, ".*", ".*", ".*") is not None


def _rabbitmqctl(*arguments: str) -> str | None:
    program = shutil.which("rabbitmqctl")
    if program is None:
        return None
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None
