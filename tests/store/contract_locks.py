"""The contract, part five: semantic locks. One living saga per key; the others wait in line, or are refused."""

from datetime import timedelta
from uuid import UUID

import pytest

from sagas.core import triggers as t
from sagas.core.claims import Claim
from sagas.core.states import Lock, SagaState
from sagas.definitions.ids import id_text
from sagas.exceptions import LockHeldError
from sagas.store.base import Existing, NewSaga, Store, Submission, Verdict

from .books import Books
from .builders import EMPTY, LONE, PAIR, Crew, look, new_saga, one, submit

KEY = "order:7"


def locked(graph=LONE, **changes) -> NewSaga:
    return new_saga(graph, **{"lock_key": KEY, **changes})


def claims_of(store: Store, crew: Crew, saga_id: UUID) -> list[Claim]:
    """What a look finds to claim."""
    return store.apply([look(saga_id)], crew.offer())[0].claims


class LockContract:
    """What every store promises about locks."""

    def test_lock__first_has_it__others_wait_and_begin_nothing(self, store: Store, books: Books, crew: Crew) -> None:
        first, second = locked(), locked()
        store.insert([first])
        store.insert([second])

        assert (first.lock_state, second.lock_state) == (Lock.HELD, Lock.WAITS)
        assert claims_of(store, crew, second.id) == []
        assert store.load([second.id])[second.id][0].lock_state is Lock.WAITS
        assert len(claims_of(store, crew, first.id)) == 1
        books.balance(first.id, second.id)

    def test_lock__other_keys_and_none__do_not_wait(self, store: Store, crew: Crew) -> None:
        sagas = [locked(), locked(lock_key="order:8"), new_saga(LONE), new_saga(LONE)]
        store.insert(sagas)

        assert [len(claims_of(store, crew, new.id)) for new in sagas] == [1, 1, 1, 1]

    def test_lock__end__wakes_the_next_in_line_and_no_other(self, store: Store, books: Books, crew: Crew) -> None:
        sagas = [locked(wake_in=timedelta(hours=1)) for _ in range(3)]
        for new in sagas:
            store.insert([new])
        first, second, third = (new.id for new in sagas)
        claim = one(claims_of(store, crew, first))

        result = one(store.apply([crew.done(first, claim)], crew.offer()))

        assert result.woken == [second]
        assert [due.id for due in store.due(limit=5)] == [second]
        assert claims_of(store, crew, third) == []
        assert len(claims_of(store, crew, second)) == 1
        assert books.kinds(second) == ["started", "unlocked"]
        books.balance(first, second, third)

    def test_lock__hint_that_came_first__is_no_way_past_the_line(self, store: Store, crew: Crew) -> None:
        # The waiting saga and the one that ends are in one group.
        first, second = locked(), locked()
        store.insert([first, second])
        claim = one(claims_of(store, crew, first.id))

        waiting, ended = store.apply([look(second.id, sweep=True), crew.done(first.id, claim)], crew.offer())

        assert waiting.claims == []
        assert ended.woken == [second.id]
        assert [due.id for due in store.due(limit=5)] == [second.id]

    def test_lock__newcomer__does_not_overtake_who_was_woken(self, store: Store, crew: Crew) -> None:
        first, second, third = locked(), locked(), locked()
        store.insert([first, second])
        store.apply([crew.done(first.id, one(claims_of(store, crew, first.id)))])

        store.insert([third])

        assert third.lock_state is Lock.WAITS
        assert claims_of(store, crew, third.id) == []
        assert len(claims_of(store, crew, second.id)) == 1

    def test_lock__several_in_one_insert__stand_in_line(self, store: Store, crew: Crew) -> None:
        sagas = [locked() for _ in range(3)]
        store.insert(sagas)

        assert [new.lock_state for new in sagas] == [Lock.HELD, Lock.WAITS, Lock.WAITS]

    def test_lock__refuse__names_the_holder_and_inserts_nothing(self, store: Store, crew: Crew) -> None:
        first, other, late = locked(), new_saga(LONE), locked(lock_refuse=True)
        store.insert([first])

        with pytest.raises(LockHeldError) as caught:
            store.insert([other, late])

        assert caught.value.details["holder"] == id_text(first.id)
        assert store.load([other.id, late.id]) == {}
        store.apply([crew.done(first.id, one(claims_of(store, crew, first.id)))])
        again = locked(lock_refuse=True)
        store.insert([again])
        assert again.lock_state is Lock.HELD

    def test_lock__repeated_request__is_answered_and_not_refused(self, store: Store, crew: Crew) -> None:
        first = locked(idempotency_key="k", lock_refuse=True)
        store.insert([first])

        assert store.insert([locked(idempotency_key="k", lock_refuse=True)]) == [Existing(first.id, "hash")]
        store.apply([crew.done(first.id, one(claims_of(store, crew, first.id)))])
        assert store.insert([locked(idempotency_key="k", lock_refuse=True)]) == [Existing(first.id, "hash")]
        last = locked()
        store.insert([last])
        assert last.lock_state is Lock.HELD

    def test_lock__saga_without_steps__needs_none(self, store: Store, books: Books) -> None:
        empty, other = locked(EMPTY), locked()
        store.insert([empty])
        store.insert([other])

        assert (empty.lock_state, other.lock_state) == (Lock.NONE, Lock.HELD)
        books.balance(empty.id, other.id)

    def test_lock__waiting_saga_is_cancelled__leaves_the_line(self, store: Store, books: Books, crew: Crew) -> None:
        sagas = [locked() for _ in range(3)]
        store.insert(sagas)
        first, second, third = (new.id for new in sagas)

        result = submit(store, second, t.Cancel("ann", "not wanted"))

        assert result.saga is not None
        assert (result.saga.state, result.saga.lock_state, result.woken) == (SagaState.COMPENSATED, Lock.NONE, [])
        ended = store.apply([crew.done(first, one(claims_of(store, crew, first)))])
        assert one(ended).woken == [third]
        books.balance(first, second, third)

    def test_lock__holder_and_who_waits_end_in_one_group__the_one_behind_them_is_woken(
        self, store: Store, books: Books, crew: Crew
    ) -> None:
        """Found by the random families: in memory a saga that had ended was woken."""
        sagas = [locked() for _ in range(3)]
        store.insert(sagas)
        first, second, third = (new.id for new in sagas)

        store.apply([Submission(key, t.Cancel("ann", "not wanted")) for key in (first, second)])

        rows = store.load([first, second])
        assert [saga.wake_at for saga, _ in rows.values()] == [None, None]
        assert len(claims_of(store, crew, third)) == 1
        books.balance(first, second, third)

    def test_lock__rollback__keeps_it_until_the_end(self, store: Store, books: Books, crew: Crew) -> None:
        first, second = locked(PAIR), locked()
        store.insert([first, second])
        claim = one(claims_of(store, crew, first.id))
        claim = one(store.apply([crew.done(first.id, claim)], crew.offer())[0].claims)

        undo = one(store.apply([crew.report(t.Rejected, first.id, claim, code="no")], crew.offer())[0].claims)
        assert claims_of(store, crew, second.id) == []
        ended = one(store.apply([crew.done(first.id, undo)], crew.offer()))

        assert (ended.saga.state, ended.woken) == (SagaState.COMPENSATED, [second.id])
        books.balance(first.id, second.id)

    def test_lock__failed_saga_is_retried__takes_it_again(self, store: Store, books: Books, crew: Crew) -> None:
        first, second = self._failed(store, crew), locked()

        assert submit(store, first, t.Retry("ann", "again")).verdict is Verdict.APPLIED
        store.insert([second])

        assert second.lock_state is Lock.WAITS
        assert len(claims_of(store, crew, first)) == 1
        books.balance(first, second.id)

    @pytest.mark.parametrize("wish", [t.Retry, t.Compensate])
    def test_lock__failed_saga_is_wanted_again__refused_while_another_has_it(
        self, store: Store, books: Books, crew: Crew, wish: type
    ) -> None:
        first, second, other = self._failed(store, crew, PAIR), locked(), new_saga(LONE)
        store.insert([second, other])
        before = store.load([first])

        refused, fine = store.apply([Submission(first, wish("ann", "again")), look(other.id)], crew.offer())

        assert refused.verdict is Verdict.REFUSED
        assert isinstance(refused.error, LockHeldError)
        assert refused.error.details["holder"] == id_text(second.id)
        assert len(fine.claims) == 1
        assert store.load([first]) == before
        books.balance(first, second.id)

        store.apply([crew.done(second.id, one(claims_of(store, crew, second.id)))])
        assert submit(store, first, wish("ann", "again")).verdict is Verdict.APPLIED
        books.balance(first)

    def _failed(self, store: Store, crew: Crew, graph=LONE) -> UUID:
        """A saga that has ended without being undone, its first step done where there are two."""
        new = locked(graph, rollback=False)
        store.insert([new])
        claim = one(claims_of(store, crew, new.id))
        if graph is PAIR:
            claim = one(store.apply([crew.done(new.id, claim)], crew.offer())[0].claims)
        result = one(store.apply([crew.report(t.Rejected, new.id, claim, code="no")]))
        assert result.saga.state is SagaState.FAILED
        return new.id

    def test_lock__waiting_saga__is_looked_at_now_and_then(self, store: Store, crew: Crew) -> None:
        first, second = locked(), locked(wake_in=timedelta(seconds=-5))
        store.insert([first, second])

        store.apply([look(second.id, sweep=True)], crew.offer())

        assert [due.id for due in store.due(limit=5)] == [first.id]
        wake_at = store.load([second.id])[second.id][0].wake_at
        assert wake_at is not None
        assert timedelta(seconds=30) < wake_at - store.now() < timedelta(seconds=90)

    def test_lock__wait_is_not_stale(self, store: Store) -> None:
        first, second = locked(), locked()
        store.insert([first, second])

        assert submit(store, second.id, t.FlagStale()).verdict is Verdict.IGNORED
