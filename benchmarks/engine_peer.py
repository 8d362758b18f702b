"""The engine in a starter process: `Saga.objects.start` one by one, `Saga.objects.start_many` in bulk."""

from __future__ import annotations

from typing import Any

import django
from django.db import connection

from benchmarks.starter import serve

DEFINITIONS = {"forward": "bench", "rollback": "bench_reject"}


class EngineStarter:
    """Starts sagas in autocommit, as a view does; one is finished when nothing will wake it again."""

    def __init__(self) -> None:
        django.setup()
        from sagas.models import Saga

        self.saga = Saga

    def start(self, path: str) -> Any:
        return self.saga.objects.start(DEFINITIONS[path], context={"order": 1}).pk

    def start_bulk(self, path: str, count: int) -> None:
        self.saga.objects.start_many(DEFINITIONS[path], [{"context": {"order": 1}} for _ in range(count)])

    def finished(self, handle: Any) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM sagas_saga WHERE id = %s AND wake_at IS NULL", [handle])
            return cursor.fetchone() is not None


if __name__ == "__main__":
    serve(EngineStarter)
