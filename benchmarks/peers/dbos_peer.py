"""DBOS: a workflow of three steps taken from a queue by two worker processes; the rollback is `except`, then
undo steps.

Starters only enqueue, through `DBOSClient`, as web processes beside the workers would. The queue is polled every
50 ms instead of every second, each worker runs up to 100 workflows side by side. For workflows started alone the
starter runs them itself (`DBOS.start_workflow`), which spares DBOS the wait for a poll.
"""

from __future__ import annotations

import signal
import sys
import threading

import psycopg
import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.place import here
from benchmarks.starter import serve

PLACE = here()
QUEUE = "bench"
POLL_EVERY = 0.05
WORKER_CONCURRENCY = 100
#: Not DBOS's default of 20: two such workers beside the starters take half of a server's default connections.
POOL = 10


class Refused(Exception):
    """The last step says no."""


@DBOS.step()
def work(saga: int) -> dict[str, bool]:
    return {"ok": True}


@DBOS.step()
def refuse(saga: int) -> dict[str, bool]:
    raise Refused("the last step says no")


@DBOS.step()
def undo(saga: int) -> None:
    return None


@DBOS.workflow(name="forward")
def forward(saga: int) -> str:
    work(saga)
    work(saga)
    work(saga)
    return "completed"


@DBOS.workflow(name="rollback")
def rollback(saga: int) -> str:
    undos = []
    try:
        for do in (work, work, refuse):
            do(saga)
            undos.append(undo)
    except Refused:
        for compensate in reversed(undos):
            compensate(saga)
        return "compensated"
    return "completed"


def config(**more: object) -> DBOSConfig:
    return DBOSConfig(
        name="bench",
        system_database_url=PLACE.sqlalchemy_url,
        sys_db_pool_size=POOL,
        application_version="1",
        log_level="ERROR",
        **more,
    )


def prepare() -> None:
    """Create the system tables and the queue."""
    DBOS(config=config())
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=WORKER_CONCURRENCY, polling_interval_sec=POLL_EVERY)
    DBOS.destroy()


def work_until_told(executor: str) -> None:
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    DBOS(config=config(executor_id=executor))
    DBOS.launch()
    ended.wait()
    DBOS.destroy(workflow_completion_timeout_sec=0)


class Watching:
    """A workflow is finished when its status row says so."""

    def __init__(self) -> None:
        self.connection = psycopg.connect(PLACE.database_url, autocommit=True)

    def finished(self, handle: str) -> bool:
        query = "SELECT 1 FROM dbos.workflow_status WHERE workflow_uuid = %s AND status IN ('SUCCESS', 'ERROR')"
        return self.connection.execute(query, [handle]).fetchone() is not None


class EnqueueingStarter(Watching):
    """Hands workflows to the workers through the queue."""

    def __init__(self) -> None:
        super().__init__()
        self.client = DBOSClient(system_database_url=PLACE.sqlalchemy_url, application_name="bench")
        self.engine = sqlalchemy.create_engine(PLACE.sqlalchemy_url)

    def start(self, path: str) -> str:
        return self.client.enqueue({"workflow_name": path, "queue_name": QUEUE}, 1).workflow_id

    def start_bulk(self, path: str, count: int) -> None:
        """Many enqueues in one transaction."""
        with self.engine.begin() as connection:
            for serial in range(count):
                options = {"workflow_name": path, "queue_name": QUEUE}
                self.client.enqueue_in_transaction(connection, options, serial)


class RunningStarter(Watching):
    """Runs workflows in its own process, the other way that DBOS offers."""

    def __init__(self) -> None:
        super().__init__()
        DBOS(config=config(executor_id="starter"))
        DBOS.launch()

    def start(self, path: str) -> str:
        return DBOS.start_workflow(forward if path == "forward" else rollback, 1).workflow_id

    def start_bulk(self, path: str, count: int) -> None:
        for _ in range(count):
            self.start(path)


def main(arguments: list[str]) -> None:
    match arguments:
        case ["prepare"]:
            prepare()
        case ["work", executor]:
            work_until_told(executor)
        case ["run"]:
            serve(RunningStarter)
        case _:
            serve(EnqueueingStarter)


if __name__ == "__main__":
    main(sys.argv[1:])
