"""The history of one saga among those of many is found by the saga, however much of it there is."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.admin import pages, scenes
from tests.admin.test_list_indexes import indexes, nodes

#: An old saga's 400 entries, and behind them 20,000 of others: PostgreSQL knows the old one for its many.
ENTRIES = """
INSERT INTO sagas_historyentry (saga_id, seq, kind, step, attempt, round, actor, reason, data, at)
SELECT CASE WHEN i <= 400 THEN %s::uuid ELSE (lpad(to_hex(i / 5), 32, '0'))::uuid END, 1000 + i,
    CASE WHEN i = 400 THEN 'pause' ELSE 'completed' END, '', 0, 0, '', '', '{}', now()
FROM generate_series(1, 20400) AS i
"""


@pytest.mark.parametrize("query", ["", "?before=999999999"])
def test_history_of_a_saga__is_not_looked_for_among_that_of_all(operator: Client, query: str) -> None:
    saga = scenes.paused()
    with connection.cursor() as cursor:
        cursor.execute(ENTRIES, [saga.pk])
        cursor.execute("ANALYZE sagas_historyentry")

    with CaptureQueriesContext(connection) as captured:
        assert operator.get(pages.page(saga) + query).status_code == 200

    asked = [found["sql"] for found in captured.captured_queries]
    reading = [sql for sql in asked if 'FROM "sagas_historyentry"' in sql and "ORDER BY" in sql]
    assert len(reading) >= 3  # the entries, the timeline, and who has paused it
    for sql in reading:
        assert indexes(plan(sql)) == {"sagas_history_seq"}, sql


def plan(sql: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        (found,) = cursor.fetchone()
    return nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])
