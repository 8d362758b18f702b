"""The ORM store on SQLite: one writer at a time, and nobody is turned away because of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connections, transaction

from sagas.exceptions import StoreConflictError
from sagas.models import Saga, Step
from sagas.store.base import Verdict
from sagas.store.grouping import Loaded, SagaWrite
from sagas.store.orm import OrmStore
from sagas.store.sql_sqlite import SQLITE

from .books import Books, sql_books
from .builders import LONE, Crew, look, new_saga, one, started
from .contract_sql import SqlStoreContract
from .database import added_database, lite_settings
from .threads import Holding, at_once, in_thread


@pytest.fixture
def store(lite: str) -> OrmStore:
    return OrmStore(lite)


@pytest.fixture
def books(store: OrmStore, lite: str) -> Books:
    return sql_books(store, lite)


@pytest.fixture
def crew() -> Crew:
    return Crew()


class TestSqliteStore(SqlStoreContract):
    @pytest.fixture
    def alias(self, lite: str) -> str:
        return lite

    @pytest.fixture
    def books(self, store: OrmStore, alias: str) -> Books:
        return sql_books(store, alias)


@pytest.fixture(params=["DEFERRED", "IMMEDIATE"])
def any_mode(request: pytest.FixtureRequest, lite_file: Path, django_db_blocker: Any) -> Iterator[str]:
    """A SQLite alias as a host may have configured it; DEFERRED is Django's own default."""
    config = lite_settings(lite_file, transaction_mode=request.param)
    with django_db_blocker.unblock(), added_database("any_mode", config) as alias:
        yield alias


def test_writers__never_find_the_database_locked(any_mode: str) -> None:
    # A transaction that reads first and writes then fails at once, without waiting, if another one wrote in between.
    store = OrmStore(any_mode)
    rounds = 15

    def engine() -> None:
        for _ in range(rounds):
            saga_id, claim = started(store, crew := Crew(), LONE)
            assert store.apply([crew.done(saga_id, claim, {"n": 1})])[0].verdict is Verdict.APPLIED

    def host() -> None:
        for number in range(rounds):
            Group.objects.using(any_mode).create(name=f"host {number}")

    at_once(engine, engine, host)

    assert Saga.objects.using(any_mode).filter(completed_at__isnull=False).count() == 2 * rounds


def test_atomic_step__beside_the_committer__neither_waits_for_the_other_for_ever(any_mode: str) -> None:
    # The handler's transaction has the file's write lock when it asks to be the one writer; a group that is the one
    # writer waits for the file.
    store = OrmStore(any_mode)
    crew = Crew()
    sagas = [started(store, crew, LONE) for _ in range(4)]

    def atomic_step() -> Verdict:
        with store.atomic():
            Group.objects.using(any_mode).create(name="effect")
            group_waits.wait_for_it()
            return store.apply([crew.done(*sagas[0])], wait=True)[0].verdict

    def group() -> list[Verdict]:
        return [result.verdict for result in store.apply([look(saga_id) for saga_id, _ in sagas])]

    group_waits = _Waiting(group)
    verdict = in_thread(atomic_step).result(within=10)

    assert verdict is Verdict.APPLIED
    assert group_waits.running.result(within=10) == [Verdict.IGNORED] + [Verdict.APPLIED] * 3


class _Waiting:
    """Starts a function in a thread, and knows when it has asked for the write lock."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def wait_for_it(self) -> None:
        import threading

        asked = threading.Event()

        def run() -> Any:
            asked.set()
            return self._function()

        self.running = in_thread(run)
        assert asked.wait(5)
        # It can go no further than the lock that we hold; whether it is there yet makes no difference to the test.
        self.running._thread.join(0.2)
        assert not self.running.ended


def test_atomic__handler_that_reads_first__is_not_turned_away(any_mode: str) -> None:
    # The store's transaction begins with a write there too, else another writer in between would fail it.
    store = OrmStore(any_mode)

    def other() -> None:
        Group.objects.using(any_mode).create(name="other")

    with store.atomic():
        assert Group.objects.using(any_mode).count() == 0
        writing = in_thread(other)
        writing._thread.join(0.2)
        Group.objects.using(any_mode).create(name="effect")

    writing.result()
    assert Group.objects.using(any_mode).count() == 2


def test_callers_transaction__is_no_deadlock(lite: str, store: OrmStore, crew: Crew) -> None:
    # A view holds the write lock while it starts a saga; a worker's thread in the same process wants to commit.
    saga_id, claim = started(store, crew, LONE)

    with Holding(lite, lambda: store.insert([new_saga()])) as view:
        group = in_thread(lambda: store.apply([crew.done(saga_id, claim)])[0].verdict)
        view.run(lambda: store.insert([new_saga()]))
        view.release()

    assert group.result(within=10) is Verdict.APPLIED


def test_output_none__is_json_null(lite: str, store: OrmStore, crew: Crew) -> None:
    saga_id, claim = started(store, crew, LONE)
    before = Step.objects.using(lite).filter(saga_id=saga_id, output__isnull=True).count()

    store.apply([crew.done(saga_id, claim, None)])

    assert before == 1
    assert Step.objects.using(lite).filter(saga_id=saga_id, output__isnull=True).count() == 0
    assert Step.objects.using(lite).get(saga_id=saga_id).output is None


def test_write__conditional_on_the_revision_that_was_read(lite: str, store: OrmStore, crew: Crew) -> None:
    # select_for_update does nothing here, so every write says what it was decided on.
    saga_id, _ = started(store, crew, LONE)
    saga, steps = store.load([saga_id])[saga_id]
    overtaken = SagaWrite(Loaded(saga, steps, keys=[1], read_revision=saga.revision - 1), moved=True)

    with pytest.raises(StoreConflictError, match="another writer"), transaction.atomic(using=lite):
        SQLITE.write(connections[lite], [overtaken])


def test_group__is_one_transaction(lite: str, store: OrmStore, crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    sagas = [started(store, crew, LONE) for _ in range(3)]
    write_history = SQLITE._write_history
    left = iter([True, False])

    def second_one_fails(alias: str, write: SagaWrite) -> None:
        if not next(left):
            raise RuntimeError("power cut")
        write_history(alias, write)

    monkeypatch.setattr(SQLITE, "_write_history", second_one_fails)
    with pytest.raises(RuntimeError):
        store.apply([crew.done(saga_id, claim) for saga_id, claim in sagas])

    assert {saga.revision for saga, _ in store.load([saga_id for saga_id, _ in sagas]).values()} == {2}
    monkeypatch.undo()
    assert one(store.apply([crew.done(*sagas[0])])).verdict is Verdict.APPLIED
