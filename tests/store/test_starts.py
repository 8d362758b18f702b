"""PostgreSQL: a definition that is started often gets statements of its own; they do what the general one does."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connections

from sagas.core.graph import Graph
from sagas.models import HistoryEntry, Saga, Step
from sagas.store import sql_postgres, sql_start
from sagas.store.base import NewSaga
from sagas.store.orm import OrmStore

from .books import Books, sql_books
from .builders import EMPTY, PAIR, line, new_saga, spec
from .contract_insert import InsertContract
from .test_postgres import statements

#: All that a name may be made of.
ODD = """it's 100% "sure" \\ {name} %s $1 ☃ --"""


@pytest.fixture
def store(pg: str) -> OrmStore:
    return OrmStore(pg)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> sql_start.Starts:
    found = sql_start.Starts()
    monkeypatch.setattr(sql_postgres, "_STARTS", found)
    return found


@pytest.fixture
def at_once(fresh: sql_start.Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_start, "_OFTEN", 1)


@pytest.mark.usefixtures("at_once")
class TestOwnStatements(InsertContract):
    @pytest.fixture
    def books(self, store: OrmStore, pg: str) -> Books:
        return sql_books(store, pg)


def rows(saga: NewSaga) -> list[dict[str, Any]]:
    """All that is stored of it, but for what differs from saga to saga."""
    found = [
        *Saga.objects.filter(pk=saga.id).values(),
        *Step.objects.filter(saga_id=saga.id).order_by("position").values(),
        *HistoryEntry.objects.filter(saga_id=saga.id).values(),
    ]
    own = {"id", "saga_id", "created_at", "updated_at", "wake_at", "at"}
    return [{name: value for name, value in row.items() if name not in own} for row in found]


def odd() -> list[NewSaga]:
    return [
        new_saga(
            Graph([spec(ODD, queue=ODD), spec("second", 0)]),
            name=ODD,
            version="1.0 'x' %s",
            rollback=False,
            context=json.dumps({ODD: [ODD, None, 1.5]}),
            inputs={0: json.dumps({"text": ODD})},
            owner=ODD,
            tags=json.dumps([ODD]),
            priority=-7,
            subject_id=ODD,
            request_id=ODD,
            deadline_at=datetime(2031, 5, 6, 7, 8, 9, 10, tzinfo=UTC),
            idempotency_key=f"{ODD} {number}",
        )
        for number in range(2)
    ]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("make", [odd, lambda: [new_saga(PAIR), new_saga(PAIR)]], ids=["odd", "plain"])
def test_own_statement__writes_what_the_general_one_writes(
    store: OrmStore, pg: str, at_once: None, monkeypatch: pytest.MonkeyPatch, number: int, make: Callable[[], Any]
) -> None:
    own = make()[:number]
    written = statements(pg, lambda: store.insert(own))
    found = [rows(saga) for saga in own]
    Saga.objects.all().delete()
    monkeypatch.setattr(sql_start, "_OFTEN", 1000)
    monkeypatch.setattr(sql_postgres, "_STARTS", sql_start.Starts())
    general = make()[:number]
    others = statements(pg, lambda: store.insert(general))

    assert any("EXECUTE sagas_start_one" in sql or "EXECUTE sagas_start_many" in sql for sql in written)
    assert not any("sagas_start_one" in sql or "sagas_start_many" in sql for sql in others)
    assert found == [rows(saga) for saga in general]
    assert [len(saga_rows) for saga_rows in found] == [4] * number


def test_own_statement__comes_with_the_third_start(store: OrmStore, pg: str, fresh: sql_start.Starts) -> None:
    graph = line("x", "y")
    store.insert([new_saga(graph)])

    found = [statements(pg, lambda: store.insert([new_saga(graph)]))[-1] for _ in range(3)]

    assert ["start_one" in sql for sql in found] == [False, True, True]


@pytest.mark.usefixtures("at_once")
def test_own_statement__not_for_mixed_definitions__nor_for_relatives_nor_without_steps(
    store: OrmStore, pg: str
) -> None:
    mixed = [new_saga(PAIR), new_saga(PAIR, name="other")]
    groups = [mixed, [new_saga(PAIR, lock_key="k")], [new_saga(EMPTY)]]

    for group in groups:
        found = statements(pg, lambda group=group: store.insert(group))  # type: ignore[misc]

        assert not any("start_one" in sql or "start_many" in sql for sql in found)
        assert Saga.objects.filter(pk__in=[saga.id for saga in group]).count() == len(group)


def test_own_statements__are_not_made_without_end(
    store: OrmStore, pg: str, fresh: sql_start.Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_start, "_OFTEN", 1)
    monkeypatch.setattr(sql_start, "_MOST", 3)

    for number in range(6):
        store.insert([new_saga(line(f"step {number}"))])

    with connections[pg].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'sagas_start_one%'")
        assert cursor.fetchone() == (3,)
    assert Saga.objects.count() == 6
