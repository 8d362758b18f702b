"""Celery: a chain of three tasks, `acks_late`, results in PostgreSQL; the rollback is an errback that chains
the undos.

Tuned as Celery's own "Optimizing" page says for many short tasks: a high prefetch multiplier, no gossip and
mingle, prefork (a thread pool would open a new database connection for every result).
"""

from __future__ import annotations

from typing import Any

import psycopg
from celery import Celery, chain
from celery.canvas import Signature

from benchmarks.place import here
from benchmarks.starter import serve

PLACE = here()

app = Celery("bench", broker=PLACE.broker_url, backend="db+" + PLACE.sqlalchemy_url)
app.conf.update(
    task_default_queue=f"{PLACE.prefix}.celery",
    task_acks_late=True,
    task_ignore_result=False,
    worker_prefetch_multiplier=64,
    worker_send_task_events=False,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
)


class Refused(Exception):
    """The last step says no."""


@app.task(name="work")
def work(previous: object, saga: int) -> dict[str, bool]:
    return {"ok": True}


@app.task(name="refuse", throws=(Refused,))
def refuse(previous: object, saga: int) -> dict[str, bool]:
    raise Refused("the last step says no")


@app.task(name="undo")
def undo(saga: int) -> None:
    return None


@app.task(name="rollback")
def rollback(request: Any, exc: object, traceback: object, saga: int) -> None:
    """The errback. With these arguments Celery calls it in the worker at once: no further task, no row."""
    chain(undo.si(saga), undo.si(saga)).apply_async()


def workflow(path: str, saga: int) -> Signature:
    if path == "forward":
        return chain(work.s(None, saga), work.s(saga), work.s(saga))
    return chain(work.s(None, saga), work.s(saga), refuse.s(saga)).on_error(rollback.s(saga))


class CeleryStarter:
    """Starts chains; a chain is finished when the row of its last result is there."""

    def __init__(self) -> None:
        self.connection = psycopg.connect(PLACE.database_url, autocommit=True)
        self.serial = 0

    def start(self, path: str) -> str:
        self.serial += 1
        return workflow(path, self.serial).apply_async().id

    def start_bulk(self, path: str, count: int) -> None:
        """One producer, hence one connection and one channel, for the whole batch."""
        with app.producer_or_acquire() as producer:
            for serial in range(count):
                workflow(path, serial).apply_async(producer=producer)

    def finished(self, handle: str) -> bool:
        query = "SELECT 1 FROM celery_taskmeta WHERE task_id = %s AND status = 'SUCCESS'"
        return self.connection.execute(query, [handle]).fetchone() is not None


def prepare() -> None:
    """Create the result tables."""
    app.backend.ResultSession().close()


if __name__ == "__main__":
    import sys

    prepare() if sys.argv[1:] == ["prepare"] else serve(CeleryStarter)
