"""What the list asks PostgreSQL is answered by an index that was made for it: never by reading or sorting the table."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.admin import pages, scenes

#: Three thousand sagas, of which few are out of the ordinary; the newest are completed, the oldest of another version.
SAGAS = """
INSERT INTO sagas_saga (id, name, version, graph_id, state, revision, rollback, context, subject_type_id, subject_id,
    owner, idempotency_key, payload_hash, tags, priority, wake_at, paused_at, stale_since, attention, error_code,
    error_message, request_id, created_at, updated_at, completed_at, parent_step, parent_round, depth, lock_key,
    lock_state)
SELECT (lpad(to_hex(1700000000000 + i * 60000), 12, '0') || lpad(to_hex(i), 20, '0'))::uuid,
    CASE WHEN i % 60 > 0 THEN 'many' ELSE 'few' END, CASE WHEN i < 60 THEN '1' ELSE '2' END, 'graph',
    CASE WHEN i % 100 = 1 THEN 'started' WHEN i % 100 = 2 THEN 'failed' WHEN i % 100 = 3 THEN 'compensated'
         ELSE 'completed' END,
    1, true, '{}', (SELECT MIN(id) FROM django_content_type), i::text, 'shop-' || i % 30, 'key-' || i, '',
    CASE WHEN i % 50 = 7 THEN jsonb_build_array('t-' || i) ELSE '[]' END, 0,
    CASE WHEN i % 100 = 1 THEN now() END, CASE WHEN i % 200 = 1 THEN now() END, CASE WHEN i % 300 = 1 THEN now() END,
    CASE WHEN i % 400 = 1 THEN 'debt' ELSE '' END, CASE WHEN i % 100 IN (2, 3) THEN 'code-' || i % 7 ELSE '' END,
    '', '', now(), now(), CASE WHEN i % 100 <> 1 THEN to_timestamp(1700000000 + i * 60) END, '', 0, 0, '', ''
FROM generate_series(1, 3000) AS i
"""
STEPS = """
INSERT INTO sagas_step (saga_id, position, name, action, compensation, queue, depends_on, status, round, attempt,
    undo_attempt, tries, undo_tries, doubt, hold, crashes, error_code, error_message, opened, waits, answer,
    approved_by, owner)
SELECT id, place, 'step-' || place, 'a', '', '', '[]',
    CASE WHEN place = 1 AND error_code <> '' THEN 'failed' ELSE 'completed' END, 1, 1, 0, 0, 0, false, '', 0,
    CASE WHEN place = 1 THEN error_code ELSE '' END, '', true, '', '', '', ''
FROM sagas_saga, generate_series(0, 2) AS place WHERE name IN ('many', 'few')
"""
#: Two groups of failures: a common one, of which the older half needs nobody any more, and a rare one.
GROUPS = """
INSERT INTO sagas_failuregroup (id, name, step, code, pattern, example, total, first_seen, last_seen, open)
SELECT lpad(to_hex(i), 32, '0')::uuid, 'many', 'step-1', 'code', '', '', 1, now(), now(), 1
FROM generate_series(1, 40) AS i
"""
MEMBERS = """
INSERT INTO sagas_failedsaga (group_id, saga_id, at, open)
SELECT lpad(to_hex(CASE WHEN row_number() OVER (ORDER BY id) % 6 = 0 THEN 1 + row_number() OVER (ORDER BY id) % 40
    ELSE 1 END), 32, '0')::uuid, id, now(), state = 'failed' FROM sagas_saga WHERE error_code <> ''
"""


@pytest.fixture
def table(operator: Client) -> Client:
    with connection.cursor() as cursor:
        cursor.execute(SAGAS)
        cursor.execute(STEPS)
        cursor.execute(GROUPS)
        cursor.execute(MEMBERS)
        cursor.execute("ANALYZE sagas_failedsaga")
        cursor.execute("ANALYZE sagas_saga")
        cursor.execute("ANALYZE sagas_step")
    return operator


def plans(client: Client, query: str) -> list[list[dict[str, Any]]]:
    """The plans of what finds the rows of a page, and of what counts them: all nodes of each."""
    with CaptureQueriesContext(connection) as captured:
        response = client.get(f"{pages.LIST}?{query}")
    assert response.status_code == 200
    asked = [found["sql"] for found in captured.captured_queries]
    finding = [sql for sql in asked if sql.startswith('SELECT "sagas_saga"."id" AS "pk"')]
    counting = [sql for sql in asked if "COUNT(" in sql]
    assert len(finding) == len(counting) == 1
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        found = []
        for sql in (*finding, *counting):
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
            (plan,) = cursor.fetchone()
            found.append(nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]))
    return found


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for below in plan.get("Plans", []) for node in nodes(below))]


def indexes(plan: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in plan if "Index Name" in node}


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "sagas_saga_pkey"),
        ("after=7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "sagas_saga_pkey"),
        ("p=2", "sagas_saga_pkey"),
        ("o=1", "sagas_saga_pkey"),
        ("state=completed", "sagas_saga_pkey"),
        ("state=compensated", "sagas_compensated"),
        ("state=failed", "sagas_unfinished"),
        ("name=many", "sagas_saga_pkey"),
        ("name=few", "sagas_name"),
        ("name=few&version=2", "sagas_name"),
        ("name=few&version=none", "sagas_name"),
        ("attention=yes", "sagas_attention"),
        ("attention=debt", "sagas_attention"),
        ("stale=yes", "sagas_stale"),
        ("paused=yes", "sagas_paused"),
        ("step=step-1", "sagas_step_error"),
        ("step=step-2", "sagas_step_error"),
        ("error=code-3", "sagas_error"),
        ("owner=shop-3", "sagas_owner"),
        ("since=2023-11-15&until=2023-11-15 01:00", "sagas_saga_pkey"),
    ],
)
def test_filter__walks_an_index_in_the_order_that_is_shown(query: str, index: str, table: Client) -> None:
    finding, counting = plans(table, query)

    assert index in indexes(finding)
    assert not [node for node in finding if node["Node Type"] == "Seq Scan"]
    if query != "step=step-2":  # none: whichever is cheaper for nothing
        assert not [node for node in finding if "Sort" in node["Node Type"]]
    assert indexes(counting)
    assert not [node for node in counting if node["Node Type"] == "Seq Scan"]


@pytest.mark.parametrize(
    ("query", "used"),
    [
        ("tag=t-7", {"sagas_tags"}),
        ("ended_since=2023-11-17 00:00", {"sagas_ended"}),
        ("ended_since=2023-11-17 00:00&state=completed", {"sagas_ended"}),
        ("state=alive&name=few", {"sagas_unfinished"}),
        # Nearly all that need somebody are in it: to walk those is as short.
        (f"group={1:032x}", set()),
        (f"group={7:032x}", {"sagas_failed_open"}),
        (f"group={7:032x}-ever", {"sagas_failed_ever", "sagas_saga_pkey"}),
        ("q=key-7", {"sagas_idempotency", "sagas_owner", "sagas_subject"}),
        ("q=shop", {"sagas_idempotency", "sagas_owner", "sagas_subject"}),
        ("q=admin.logentry:7", {"sagas_idempotency", "sagas_owner", "sagas_subject"}),
        ("q=01HF7YAT00000000000000000Z", {"sagas_saga_pkey"}),
    ],
)
def test_filter__sorts_only_what_an_index_has_found(query: str, used: set[str], table: Client) -> None:
    for plan in plans(table, query):
        assert used <= indexes(plan)
        assert "Seq Scan" not in {node["Node Type"] for node in plan}
        # As many as are estimated to be found.
        assert max(node["Plan Rows"] for node in plan) < 300


def test_version_and_name__are_read_from_indexes(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'sagas_name'")
        assert cursor.fetchone()[0].endswith("(name, id) INCLUDE (version)")
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'sagas_unfinished'")
        assert "(state, id) INCLUDE (name)" in cursor.fetchone()[0]


def test_indexes__name_nothing_that_changes_with_a_step(db: None) -> None:
    """Else the updates of running sagas would leave their page (no HOT updates)."""
    # Not `completed_at`: it changes once, with the state, whose indexes name that change already.
    saga = {"revision", "wake_at", "updated_at"}
    step = {"status", "attempt", "claim_worker", "claim_token", "claimed_at", "started_at", "executed_at", "due_at"}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename IN ('sagas_saga', 'sagas_step')"
        )
        found = cursor.fetchall()

    assert {"sagas_error", "sagas_paused", "sagas_compensated", "sagas_tags", "sagas_step_error"} <= {
        name for _table, name, _text in found
    }
    for table, name, text in found:
        changing = saga if table == "sagas_saga" else step
        # "sagas_due" is early, never late: running sagas leave `wake_at` alone.
        named = {column for column in changing if column in text.replace("(", " ").replace(",", " ").split()}
        assert not named or name == "sagas_due", name


def test_running__leaves_all_indexes_alone(db: None) -> None:
    """Nothing that the indexes name changes while a saga just runs."""
    saga = scenes.start(tags=["vip"], owner="ines")
    columns = "name, version, state, owner, tags, paused_at, error_code, attention, stale_since"

    def named() -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {columns} FROM sagas_saga WHERE id = %s", [saga.pk])
            of_saga = cursor.fetchall()
            cursor.execute("SELECT name, error_code FROM sagas_step WHERE saga_id = %s ORDER BY position", [saga.pk])
            return [*of_saga, *cursor.fetchall()]

    before = named()
    scenes.advance(saga, 3)

    assert named() == before
