"""Semantic locks where two meet: starts at the same moment, a start beside an end, transactions that take long."""

from typing import Any

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from sagas.core.states import Lock
from sagas.exceptions import LockHeldError
from sagas.models import Saga, SagaLock
from sagas.store.base import NewSaga
from sagas.store.orm import OrmStore

from .builders import LONE, Crew, look, new_saga, one
from .threads import Holding, at_once, in_thread

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture(params=["pg", "lite"])
def store(request: pytest.FixtureRequest, transactional_db: None) -> OrmStore:
    return OrmStore(request.getfixturevalue(request.param))


def locked(key: str = "order:7", **changes: Any) -> NewSaga:
    return new_saga(LONE, **{"lock_key": key, **changes})


def end(store: OrmStore, new: NewSaga) -> list[Any]:
    """Run it to its end; the sagas that this woke."""
    crew = Crew()
    claim = one(store.apply([look(new.id)], crew.offer(), wait=True)[0].claims)
    return store.apply([crew.done(new.id, claim)], wait=True)[0].woken


def test_starts_at_once__one_has_the_lock(store: OrmStore) -> None:
    sagas = [locked() for _ in range(6)]

    at_once(*((lambda new=new: store.insert([new])) for new in sagas))

    assert sorted(new.lock_state for new in sagas) == [Lock.HELD, *[Lock.WAITS] * 5]
    assert SagaLock.objects.using(store.alias).filter(held=True).count() == 1
    # All of them come to their turn.
    turn = [new for new in sagas if new.lock_state is Lock.HELD]
    while woken := end(store, turn[-1]):
        turn += [new for new in sagas if new.id in woken]
    assert len(turn) == 6
    assert not SagaLock.objects.using(store.alias).exists()


def test_refused_starts_at_once__one_is_started(store: OrmStore) -> None:
    def start() -> str:
        try:
            store.insert([locked(lock_refuse=True)])
        except LockHeldError as error:
            return str(error.details.get("holder"))
        return "started"

    answers = at_once(*[start] * 6)

    (saga,) = Saga.objects.using(store.alias).all()
    assert sorted(answers) == sorted([saga.ulid] * 5 + ["started"])
    assert Saga.objects.using(store.alias).count() == 1


def test_several_keys_in_other_orders__no_deadlock(store: OrmStore) -> None:
    keys = [f"order:{n}" for n in range(8)]

    at_once(*((lambda o=order: store.insert([locked(key) for key in o])) for order in (keys, keys[::-1]) * 3))

    assert SagaLock.objects.using(store.alias).filter(held=True).count() == 8
    assert Saga.objects.using(store.alias).count() == 48


def test_two_keys_in_the_other_order__no_deadlock(pg: str) -> None:
    store = OrmStore(pg)

    with Holding(pg, lambda: store.insert([locked("a")])) as holding:
        other = in_thread(lambda: store.insert([locked("b"), locked("a")]))
        other._thread.join(0.3)
        assert not other.ended
        holding.run(lambda: store.insert([locked("b")]))

    assert len(other.result()) == 2


def test_end__decided_from_memory__hands_over_too(pg: str) -> None:
    store, crew, first, second = OrmStore(pg), Crew(), locked(), locked()
    store.insert([first, second])
    looked = one(store.apply([look(first.id)], crew.offer()))
    done = crew.done(first.id, one(looked.claims))
    done.known = looked.known()

    assert one(store.apply([done])).woken == [second.id]
    assert len(store.apply([look(second.id)], crew.offer())[0].claims) == 1


def test_refusal__inside_the_callers_transaction__which_goes_on(store: OrmStore) -> None:
    store.insert([locked()])

    with transaction.atomic(using=store.alias):
        with pytest.raises(LockHeldError):
            store.insert([locked(lock_refuse=True)])
        store.insert([other := new_saga(LONE)])

    assert Saga.objects.using(store.alias).filter(pk=other.id).exists()


def test_start_is_rolled_back__the_lock_is_free(store: OrmStore) -> None:
    with transaction.atomic(using=store.alias):
        store.insert([locked()])
        transaction.set_rollback(True, using=store.alias)

    store.insert([new := locked(lock_refuse=True)])

    assert new.lock_state is Lock.HELD


def test_start_waits_for_an_open_start__and_gets_the_lock_when_that_is_rolled_back(pg: str) -> None:
    store, first, second = OrmStore(pg), locked(), locked(lock_refuse=True)

    with Holding(pg, lambda: store.insert([first]), roll_back=True) as open_start:
        starting = in_thread(lambda: store.insert([second]))
        starting._thread.join(0.3)
        assert not starting.ended
        open_start.release()

    starting.result()
    assert second.lock_state is Lock.HELD


def test_holder_ends_while_a_start_is_open__the_newcomer_is_not_forgotten(pg: str) -> None:
    # The end can not see the newcomer's row yet; its own first look finds the lock free.
    store, first, second = OrmStore(pg), locked(), locked()
    store.insert([first])

    with Holding(pg, lambda: store.insert([second])):
        assert end(store, first) == []

    assert second.lock_state is Lock.WAITS
    assert len(store.apply([look(second.id)], Crew().offer())[0].claims) == 1


def test_end__never_waits_for_a_waiting_saga_that_is_held(pg: str) -> None:
    store, first, second = OrmStore(pg), locked(), locked()
    store.insert([first])
    store.insert([second])

    with Holding(pg, lambda: Saga.objects.select_for_update().get(pk=second.id)):
        assert in_thread(lambda: end(store, first)).result(within=5) == [second.id]

    assert len(store.apply([look(second.id)], Crew().offer())[0].claims) == 1


def test_row_deleted_by_hand__heals(store: OrmStore) -> None:
    first, second = locked(), locked()
    store.insert([first, second])
    SagaLock.objects.using(store.alias).all()._raw_delete(store.alias)

    assert store.apply([look(second.id)], Crew().offer())[0].claims == []
    assert len(store.apply([look(second.id)], Crew().offer())[0].claims) == 1


def test_saga_without_a_lock__costs_no_statement_more(pg: str) -> None:
    store, crew, new = OrmStore(pg), Crew(), new_saga(LONE)
    store.insert([new_saga(LONE)])

    with CaptureQueriesContext(connections[pg]) as queries:
        store.insert([new])
        store.apply([crew.done(new.id, one(store.apply([look(new.id)], crew.offer())[0].claims))])

    assert not [query["sql"] for query in queries if "sagalock" in query["sql"]]
