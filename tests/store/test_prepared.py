"""PostgreSQL: large statements are prepared in SQL and called by name; whoever watches or changes them finds SQL."""

import asyncio
import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections, transaction

from sagas.definitions.ids import new_id
from sagas.exceptions import StoreConflictError
from sagas.models import Saga
from sagas.store import prepared
from sagas.store.base import Inserted, Verdict
from sagas.store.orm import OrmStore

from .builders import DIAMOND, PAIR, Crew, new_saga, started
from .test_postgres import statements

#: What needs quoting, or could be taken for a parameter.
ODD = """it's 100% "sure" \\ {name} %s $1 ☃ --"""


@pytest.fixture
def store(pg: str) -> OrmStore:
    return OrmStore(pg)


@pytest.fixture
def crew() -> Crew:
    return Crew()


def test_statements__are_prepared_once_per_connection(pg: str, store: OrmStore) -> None:
    for _ in range(3):
        store.insert([new_saga(DIAMOND)])
    connections[pg].close()

    found = statements(pg, lambda: [store.insert([new_saga(DIAMOND)]) for _ in range(3)])

    assert [sql.split()[0] for sql in found] == ["PREPARE", "EXECUTE", "EXECUTE", "EXECUTE"]


def test_statements__pooled_per_transaction__are_not_prepared(
    pg: str, store: OrmStore, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What Django's documentation asks for behind such a pooler: the next statement may meet another session.
    monkeypatch.setitem(connections[pg].settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)

    found = statements(pg, lambda: started(store, crew))

    words = [sql.split()[0] for sql in found]
    assert words.count("WITH") == 2
    assert not {"PREPARE", "EXECUTE"} & set(words)


def test_statements__discarded_by_somebody__are_prepared_again(pg: str, store: OrmStore, crew: Crew) -> None:
    saga_id, claim = started(store, crew)
    with connections[pg].cursor() as cursor:
        cursor.execute("DISCARD ALL")

    assert store.insert([new_saga(PAIR)])
    assert store.apply([crew.done(saga_id, claim)])[0].verdict is Verdict.APPLIED


@pytest.mark.parametrize("around", ["nothing", "a transaction"])
def test_statements__discarded_within_a_transaction__is_a_conflict_and_well_the_next_time(
    pg: str, store: OrmStore, around: str
) -> None:
    for _ in range(3):  # from here on it has the statement that it keeps
        store.insert([new_saga(PAIR)])

    with transaction.atomic(using=pg) if around == "a transaction" else nullcontext():
        with connections[pg].cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
        with pytest.raises(StoreConflictError), transaction.atomic(using=pg):
            store.insert([new_saga(PAIR)])
        with transaction.atomic(using=pg):
            assert store.insert([new_saga(PAIR)])


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is called by its name."""
    found: list[str] = []
    call = prepared._Named.call

    def telling(self: Any, statement: Any, params: Any) -> Any:
        found.append(statement.execute)
        return call(self, statement, params)

    monkeypatch.setattr(prepared._Named, "call", telling)
    return found


def wrapped(alias: str, work: Callable[[], Any], change: Callable[[str], str] = str) -> list[str]:
    """What a wrapper of the project's sees, and may change."""
    found = []

    def wrapper(execute: Any, sql: str, *rest: Any) -> Any:
        found.append(sql)
        return execute(change(sql), *rest)

    with connections[alias].execute_wrapper(wrapper):
        work()
    return found


def test_by_name__wrappers_see_it_as_sql(pg: str, store: OrmStore, crew: Crew, called: list[str]) -> None:
    started(store, crew)
    called.clear()

    seen = wrapped(pg, lambda: started(store, crew))

    assert [sql.split()[0] for sql in seen] == ["EXECUTE"] * 3  # a start, the read and the write of a look
    assert called == seen


def test_by_name__what_a_wrapper_has_changed_is_executed_as_it_says(
    pg: str, store: OrmStore, called: list[str]
) -> None:
    saga = new_saga(PAIR, subject_id="it's 100% %s")
    store.insert([new_saga(PAIR)])
    called.clear()

    wrapped(pg, lambda: store.insert([saga]), lambda sql: f"{sql} /* {new_id()} */")

    assert called == []
    assert Saga.objects.get(pk=saga.id).subject_id == "it's 100% %s"


def test_by_name__the_log_of_queries_has_the_values(pg: str, store: OrmStore, called: list[str]) -> None:
    store.insert([new_saga(PAIR)])
    called.clear()

    found = statements(pg, lambda: store.insert([new_saga(PAIR, subject_id="it's shown")]))

    assert called == []
    assert ["'it''s shown'" in sql or "it''s shown" in sql for sql in found] == [True]


def test_by_name__an_odd_value_is_the_same_either_way(
    pg: str, store: OrmStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows() -> list[dict[str, Any]]:
        options = {"context": json.dumps({"text": ODD, "number": 1.5}), "tags": json.dumps([ODD]), "owner": ODD}
        saga = new_saga(PAIR, deadline_at=datetime(2031, 5, 6, 7, 8, 9, 10, tzinfo=UTC), priority=-7, **options)
        store.insert([saga])
        own = dict.fromkeys(("id", "created_at", "updated_at", "wake_at"))
        return [{**row, **own} for row in Saga.objects.filter(pk=saga.id).values()]

    for _ in range(3):
        by_name = rows()
    monkeypatch.setattr(prepared, "_DJANGOS", ())

    assert rows() == by_name


def test_by_name__a_driver_that_does_not_ask_for_names__executes_the_text(
    pg: str, store: OrmStore, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(prepared._Named, "_get_prepared")

    saga_id, claim = started(store, crew)

    assert store.apply([crew.done(saga_id, claim)])[0].verdict is Verdict.APPLIED


def test_by_name__two_at_once_in_one_session__each_has_its_own_rows(pg: str, store: OrmStore) -> None:
    sagas = [new_saga(PAIR) for _ in range(3)]
    store.insert(sagas[:1])

    def wrapper(execute: Any, sql: str, *rest: Any) -> Any:
        found = execute(sql, *rest)
        if len(sagas) == 3:
            assert store.insert([sagas.pop()])[0]
        return found

    with connections[pg].execute_wrapper(wrapper):
        found = store.insert([sagas[1]])[0]

    assert isinstance(found, Inserted)
    assert found.at == Saga.objects.get(pk=sagas[1].id).created_at


def test_by_name__bound_by_the_server__works_too(
    pg: str, store: OrmStore, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connections[pg]
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"server_side_binding": True})

    saga_id, claim = started(store, crew)
    done = store.apply([crew.done(saga_id, claim)])[0].verdict
    connection.close()

    assert done is Verdict.APPLIED


def test_statements__in_an_event_loop__are_refused_as_django_refuses_them(pg: str, store: OrmStore) -> None:
    saga = new_saga(PAIR)
    store.insert([new_saga(PAIR)])

    async def view() -> None:
        store.insert([saga])

    with pytest.raises(SynchronousOnlyOperation):
        asyncio.run(view())

    assert not Saga.objects.filter(pk=saga.id).exists()
