"""The ORM store on PostgreSQL: row locks, constant statements, connections that are lost in the middle."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sagas.core import triggers as t
from sagas.core.states import StepStatus
from sagas.exceptions import StoreConflictError, StoreConnectionError, StoreDataError
from sagas.models import Saga, SagaGraph, Step
from sagas.store import sql_postgres, sql_write
from sagas.store.arrays import Columns
from sagas.store.base import Payload, Submission, Verdict
from sagas.store.orm import OrmStore
from sagas.store.sql_postgres import _DUE, POSTGRES
from tests.services.proxy import Proxy

from .books import Books, sql_books
from .builders import DIAMOND, LONE, PAIR, Crew, line, look, new_saga, one, started
from .contract_resubmit import again
from .contract_sql import SqlStoreContract
from .contract_undo_outputs import undoing
from .threads import Holding, at_once, in_thread


@pytest.fixture
def store(pg: str) -> OrmStore:
    return OrmStore(pg)


@pytest.fixture
def books(store: OrmStore, pg: str) -> Books:
    return sql_books(store, pg)


@pytest.fixture
def crew() -> Crew:
    return Crew()


class TestPostgresStore(SqlStoreContract):
    @pytest.fixture
    def alias(self, pg: str) -> str:
        return pg

    @pytest.fixture
    def books(self, store: OrmStore, alias: str) -> Books:
        return sql_books(store, alias)


def locked(saga_id: UUID) -> Callable[[], Any]:
    return lambda: Saga.objects.select_for_update(no_key=True).get(pk=saga_id)


def test_busy__saga_of_another_transaction__is_left_and_the_others_land(
    pg: str, store: OrmStore, books: Books, crew: Crew
) -> None:
    (held, held_claim), (free, free_claim) = started(store, crew), started(store, crew)

    with Holding(pg, locked(held)):
        results = store.apply([crew.done(held, held_claim), crew.done(free, free_claim)], crew.offer())

    assert [result.verdict for result in results] == [Verdict.BUSY, Verdict.APPLIED]
    assert results[0].saga is None
    assert store.load([held])[held][0].revision == 2
    # The very same submission lands when the other one has let go.
    assert store.apply([results[0].submission])[0].verdict is Verdict.APPLIED
    books.balance(held, free)


def test_busy__two_triggers_of_one_saga__are_both_busy(pg: str, store: OrmStore, crew: Crew) -> None:
    saga_id, claim = started(store, crew)

    with Holding(pg, locked(saga_id)):
        results = store.apply([look(saga_id), crew.done(saga_id, claim)])

    assert [result.verdict for result in results] == [Verdict.BUSY, Verdict.BUSY]


def test_wait__reads_the_steps_after_the_lock_was_granted(pg: str, store: OrmStore, books: Books, crew: Crew) -> None:
    saga_id, claim = started(store, crew, DIAMOND)
    b, c = store.apply([crew.done(saga_id, claim)], crew.offer())[0].claims

    with Holding(pg, lambda: store.apply([crew.done(saga_id, b)], crew.offer(), wait=True)) as other:
        waiting = in_thread(lambda: one(store.apply([crew.done(saga_id, c)], crew.offer(), wait=True)))
        _wait_for_a_lock_to_be_waited_for()
        other.release()

    # It saw that b was done while it waited: so d is its to claim.
    assert [claim.position for claim in waiting.result().claims] == [3]
    books.balance(saga_id)


def _wait_for_a_lock_to_be_waited_for() -> None:
    from tests.services.waiting import wait_until

    def waits() -> bool:
        with connections["default"].cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            return bool(cursor.fetchone()[0])

    wait_until(waits, what="somebody waits for a lock")


def test_lock__does_not_hinder_rows_that_refer_to_the_saga(pg: str, store: OrmStore, crew: Crew) -> None:
    # FOR NO KEY UPDATE: a foreign key's check takes FOR KEY SHARE and must not wait for a group.
    saga_id, _ = started(store, crew)

    def refer() -> None:
        with connections[pg].cursor() as cursor, transaction.atomic(using=pg):
            cursor.execute("SET LOCAL lock_timeout = '3s'")
            cursor.execute("SELECT 1 FROM sagas_saga WHERE id = %s FOR KEY SHARE", [saga_id])

    with Holding(pg, lambda: store.apply([look(saga_id)], wait=True)):
        refer()


def test_locks__are_taken_in_id_order(pg: str, store: OrmStore, books: Books) -> None:
    # Groups over the same sagas in opposite orders, waiting: without one order they would deadlock.
    sagas = [new_saga(LONE) for _ in range(10)]
    store.insert(sagas)

    def rounds(order: list[Any]) -> int:
        crew, applied = Crew(), 0
        for _ in range(12):
            results = store.apply([look(new.id) for new in order], crew.offer(slots=5), wait=True)
            claims = [(r.submission.saga_id, claim) for r in results for claim in r.claims]
            back = [crew.report(t.HandedBack, saga_id, claim) for saga_id, claim in claims[::-1]]
            applied += sum(r.verdict is Verdict.APPLIED for r in store.apply(back, wait=True))
        return applied

    applied = at_once(lambda: rounds(sagas), lambda: rounds(sagas[::-1]))

    assert min(applied) > 0
    books.balance(*(new.id for new in sagas))


def test_deadlock__is_a_conflict_and_lands_when_tried_again(pg: str, store: OrmStore, books: Books, crew: Crew) -> None:
    (first, first_claim), (second, second_claim) = sorted((started(store, crew) for _ in range(2)), key=itemgetter(0))
    group = [crew.done(first, first_claim), crew.done(second, second_claim)]

    # Somebody's own SQL locks in the other order.
    with Holding(pg, locked(second)) as other:
        with pytest.raises(StoreConflictError), transaction.atomic(using=pg):
            with connections[pg].cursor() as cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '10ms'")
            locked(first)()
            other.run(locked(first))
            _wait_for_a_lock_to_be_waited_for()
            store.apply(group, wait=True)

    assert [result.verdict for result in again(store, group, crew)] == [Verdict.APPLIED] * 2
    books.balance(first, second)


@pytest.mark.parametrize("state", ["lock_timeout", "statement_timeout"])
def test_timeouts__lose_nothing(pg: str, store: OrmStore, crew: Crew, state: str) -> None:
    saga_id, claim = started(store, crew)
    expected = StoreConflictError if state == "lock_timeout" else StoreConnectionError

    with Holding(pg, locked(saga_id)), pytest.raises(expected):
        with transaction.atomic(using=pg):
            with connections[pg].cursor() as cursor:
                cursor.execute(f"SET LOCAL {state} = '50ms'")
            store.apply([crew.done(saga_id, claim)], wait=True)

    assert again(store, [crew.done(saga_id, claim)], crew)[0].verdict is Verdict.APPLIED


def kill_this_backend(alias: str) -> None:
    """From a second connection, as an administrator or a failover would."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]

    def kill() -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            assert cursor.fetchone()[0]

    in_thread(kill).result()


@pytest.mark.parametrize("when", ["before the writes", "after the writes"])
def test_connection_killed_in_the_middle__is_recorded_once_when_submitted_again(
    pg: str, store: OrmStore, books: Books, crew: Crew, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    sagas = [started(store, crew, PAIR) for _ in range(5)]
    group = [crew.done(saga_id, claim, {"n": 1}) for saga_id, claim in sagas]
    write = POSTGRES.write

    def killed(connection: Any, writes: Any) -> set[Any]:
        monkeypatch.setattr(POSTGRES, "write", write)
        if when == "before the writes":
            kill_this_backend(pg)
        written = write(connection, writes)
        kill_this_backend(pg)
        return written

    monkeypatch.setattr(POSTGRES, "write", killed)
    with pytest.raises(StoreConnectionError, match="does not answer"):
        store.apply(group, crew.offer())

    given = [dict(submission.book.tokens) for submission in group]
    results = again(store, group, crew)

    assert [result.verdict for result in results] == [Verdict.APPLIED] * 5
    assert [{c.position: c.token for c in result.claims} for result in results] == given
    for saga_id, _ in sagas:
        assert books.kinds(saga_id) == ["started", "claimed", "completed"]
        assert books.notes(saga_id) == []
    books.balance(*(saga_id for saga_id, _ in sagas))


@pytest.mark.parametrize("fault", ["swallow_commit", "lose_commit"])
def test_answer_to_commit_lost__is_recorded_once_when_submitted_again(
    pg: str, proxied: Callable[[Proxy], str], database_url: str, books: Books, crew: Crew, fault: str
) -> None:
    with Proxy(database_url) as proxy:
        store = OrmStore(proxied(proxy))
        new, (saga_id, claim) = new_saga(PAIR), started(store, crew, PAIR)
        store.insert([new])
        group = [crew.done(saga_id, claim, {"n": 1}), look(new.id)]
        getattr(proxy, fault)()

        with pytest.raises(StoreConnectionError):
            store.apply(group, crew.offer())
        landed = OrmStore(pg).load([saga_id])[saga_id][0].revision == 3
        results = again(store, group, crew)

    assert proxy.struck.is_set()
    assert landed == (fault == "swallow_commit")
    assert [len(result.claims) for result in results] == [1, 1]
    assert books.kinds(saga_id) == ["started", "claimed", "completed"]
    assert books.kinds(new.id) == ["started", "claimed"]
    assert books.notes(saga_id) == []
    books.balance(saga_id, new.id)


def test_refused_value__is_a_data_error(pg: str, store: OrmStore, books: Books, crew: Crew) -> None:
    saga_id, claim = started(store, crew)

    # Payloads are checked before they get here; a store can still be handed one that jsonb can not hold.
    with pytest.raises(StoreDataError, match="refused a value"):
        store.apply([crew.report(t.Completed, saga_id, claim, payload=Payload(output='"\\u0000"'))])
    with pytest.raises(StoreDataError):
        store.insert([new_saga(owner="\x00")])

    assert store.load([saga_id])[saga_id][1][0].status is StepStatus.RUNNING
    books.balance(saga_id)


def test_read_only_database__is_no_data_error(pg: str, store: OrmStore, crew: Crew) -> None:
    # During a failover: halving the group and giving the results up would lose them.
    saga_id, claim = started(store, crew)
    done = crew.done(saga_id, claim)

    with pytest.raises(StoreConnectionError):
        with transaction.atomic(using=pg):
            with connections[pg].cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
            store.apply([done], wait=True)

    assert again(store, [done], crew)[0].verdict is Verdict.APPLIED


def statements(alias: str, work: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connections[alias]) as captured:
        work()
    return [query["sql"] for query in captured.captured_queries]


@pytest.mark.parametrize("kind", ["claim", "result", "undo"])
def test_statements__as_many_for_fifty_sagas_as_for_one(pg: str, store: OrmStore, kind: str) -> None:
    def cost(number: int) -> list[str]:
        crew = Crew()
        sagas = [new_saga(PAIR) for _ in range(number)]
        store.insert(sagas)
        group = [look(new.id) for new in sagas]
        if kind != "claim":
            results = store.apply(group, crew.offer())
            how = t.Completed if kind == "result" else t.Rejected
            group = [crew.report(how, r.submission.saga_id, r.claims[0], payload=Payload("1")) for r in results]
        return statements(pg, lambda: store.apply(group, crew.offer()))

    cost(1)  # the graph is read once per process
    one_saga, fifty = cost(1), cost(50)

    assert len(fifty) == len(one_saga)
    if kind == "claim":  # read without a lock, written if nothing has moved
        assert [sql.split()[0] for sql in fifty] == ["EXECUTE", "EXECUTE"]
        return
    assert [sql.split()[0] for sql in fifty] == ["BEGIN", "SELECT", "SELECT", "EXECUTE", "COMMIT"]
    assert "FOR NO KEY UPDATE" in fifty[1]
    assert "SKIP LOCKED" in fifty[1]


def test_look__moved_between_reading_and_writing__the_other_has_it(
    pg: str, store: OrmStore, crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga, other, read = new_saga(PAIR), Crew(), POSTGRES.read
    store.insert([saga])

    def read_and_lose(connection: Any, ids: Any) -> Any:
        rows = read(connection, ids)
        monkeypatch.setattr(POSTGRES, "read", read)
        assert in_thread(lambda: store.apply([look(saga.id)], other.offer())[0].claims).result()
        return rows

    monkeypatch.setattr(POSTGRES, "read", read_and_lose)
    result = store.apply([look(saga.id)], crew.offer())[0]

    assert result.claims == []
    assert result.saga is not None
    assert result.saga.revision == 2
    assert store.load([saga.id])[saga.id][1][0].claim_worker == other.id


def test_look__at_a_saga_that_somebody_holds__waits_for_its_turn(pg: str, store: OrmStore, crew: Crew) -> None:
    saga = new_saga(PAIR)
    store.insert([saga])

    with Holding(pg, locked(saga.id)):
        result = store.apply([look(saga.id)], crew.offer())[0]

    assert (result.verdict, result.claims) == (Verdict.BUSY, [])


def test_statements__insert_of_many_is_one(pg: str, store: OrmStore) -> None:
    for _ in range(3):  # its graph is known from here on, and its statement
        store.insert([new_saga(DIAMOND), new_saga(DIAMOND)])

    found = statements(pg, lambda: store.insert([new_saga(DIAMOND) for _ in range(50)]))

    assert [sql.split()[0] for sql in found] == ["EXECUTE"]


def test_statements__nothing_to_do_writes_nothing(pg: str, store: OrmStore, crew: Crew) -> None:
    saga_id, _ = started(store, crew)

    found = statements(pg, lambda: store.apply([look(saga_id)], Crew().offer()))

    assert not any(sql.startswith(("UPDATE", "INSERT")) for sql in found)


def test_callers_transaction__keeps_its_planner_settings(pg: str, store: OrmStore, crew: Crew) -> None:
    saga_id, _ = started(store, crew)
    connections[pg].close()  # that was a worker's, pinned for good

    with transaction.atomic(using=pg):
        store.apply([Submission(saga_id, t.Compensate("ann", "x"))], wait=True)
        with connections[pg].cursor() as cursor:
            cursor.execute("SHOW enable_seqscan")
            after = cursor.fetchone()[0]

    assert after == "on"


@pytest.mark.parametrize("known", [False, True], ids=["locked", "from memory"])
def test_group__is_ended_by_the_server_when_its_process_freezes(
    pg: str, store: OrmStore, crew: Crew, settings: Any, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    settings.SAGAS = {**settings.SAGAS, "LEASE": 9}
    connections[pg].close()
    (saga_id, claim), seen, write = started(store, crew), [], POSTGRES.write
    submission = crew.done(saga_id, claim)
    if known:
        POSTGRES.pin(connections[pg])

    def asking(connection: Any, writes: Any) -> set[UUID]:
        with connection.cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            seen.extend(cursor.fetchone())
        return write(connection, writes)

    monkeypatch.setattr(POSTGRES, "write", asking)
    store.apply([submission])

    assert seen == ["3s"]


def test_clock__follows_the_database(pg: str, store: OrmStore, crew: Crew) -> None:
    started(store, crew)

    assert abs((store.clock() - store.now()).total_seconds()) < 2


@pytest.mark.parametrize("harm", ["steps gone", "unknown status", "unknown state", "graph gone"])
def test_rows_that_make_no_sense__do_not_stop_the_group(
    pg: str, store: OrmStore, crew: Crew, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Somebody's hand in the table, or a newer version's words: that saga is refused, the others go on.
    broken, (saga_id, claim) = new_saga(line("x", harm)), started(store, crew)
    store.insert([broken])
    if harm == "steps gone":
        Step.objects.filter(saga_id=broken.id, position=0).delete()
    elif harm == "unknown status":
        Step.objects.filter(saga_id=broken.id, position=0).update(status="dreaming")
    elif harm == "unknown state":
        Saga.objects.filter(pk=broken.id).update(state="dreaming")
    else:
        SagaGraph.objects.filter(pk=broken.graph.hash)._raw_delete(pg)

    for _ in range(3):
        results = store.apply([look(broken.id), look(saga_id)], crew.offer(broken.graph))
        assert [result.verdict for result in results] == [Verdict.REFUSED, Verdict.APPLIED]
    landed = one(store.apply([crew.done(saga_id, claim)]))

    assert landed.verdict is Verdict.APPLIED
    assert results[0].reason
    assert len([record for record in caplog.records if record.name.startswith("sagas.store")]) == 1


def test_text__comes_back_letter_by_letter(pg: str, store: OrmStore, books: Books, crew: Crew) -> None:
    # All that means something to arrays, to JSON or to SQL.
    nasty = "NULL,\"{}\\\\' %s %% $1 ;-- \t\n☃ 😀 \x7f"
    saga_id, claim = started(store, crew, LONE, owner=nasty, tags=json.dumps([nasty]), request_id="NULL")
    submission = crew.report(t.Rejected, saga_id, claim, code="NULL", message=nasty)

    store.apply([submission, Submission(saga_id, t.Retry(nasty, nasty))])

    saga = Saga.objects.get(pk=saga_id)
    assert (saga.owner, saga.tags, saga.request_id) == (nasty, [nasty], "NULL")
    assert (saga.error_code, saga.error_message) == ("NULL", nasty)
    assert saga.steps.get().error_message == nasty
    books.balance(saga_id)


@given(values=st.lists(st.one_of(st.none(), st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")))))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_array_literals__are_read_as_they_were_meant(pg: str, values: list[str | None]) -> None:
    columns = Columns("number int, word text")

    with connections[pg].cursor() as cursor:
        cursor.execute(f"SELECT * FROM {columns.unnest} AS d(number, word)", columns.literals(list(enumerate(values))))
        found = cursor.fetchall()

    assert found == list(enumerate(values))


def test_due__reads_no_saga_that_is_not_due(store: OrmStore, pg: str) -> None:
    # A higher priority with thousands that wait for their time must not be walked through each time.
    store.insert([new_saga(LONE, priority=5, wake_in=timedelta(hours=1)) for _ in range(300)])
    store.insert([new_saga(LONE, priority=priority) for priority in (0, 0, -3)])

    with connections[pg].cursor() as cursor:
        cursor.execute("ANALYZE sagas_saga; SET enable_seqscan = off")
        try:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {_DUE}", [None, None, None, None, None, 10, 10])
            plan = json.dumps(cursor.fetchone()[0])
        finally:
            cursor.execute("RESET enable_seqscan")

    assert "sagas_due" in plan
    assert not re.findall(r'"Rows Removed by Filter": (?!0\b)', plan)
    assert max(float(rows) for rows in re.findall(r'"Actual Rows": ([0-9.]+)', plan)) <= 4


@pytest.mark.parametrize("payload", [None, Payload(), Payload(output='{"undo":1}')], ids=["none", "nothing", "output"])
def test_undo_output__only_what_was_returned_takes_the_larger_statement(
    store: OrmStore, crew: Crew, monkeypatch: pytest.MonkeyPatch, payload: Payload | None
) -> None:
    taken: list[Any] = []
    choose = sql_postgres.statement_for
    monkeypatch.setattr(sql_postgres, "statement_for", lambda writes: taken.append(choose(writes)) or taken[-1])
    saga_id, undo = undoing(store, crew)
    del taken[:]

    store.apply([crew.report(t.Completed, saga_id, undo, payload=payload)])

    assert taken == [sql_write._ALL if payload and payload.output else sql_write._OFTEN]
