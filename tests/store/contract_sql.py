"""What the ORM store promises on every database: the caller's transaction, other connections, no lost insert."""

import pytest
from django.db import IntegrityError, connections, transaction

from sagas.core import triggers as t
from sagas.core.states import SagaState
from sagas.models import HistoryEntry, Saga, Step
from sagas.store.base import Existing, Inserted, Submission, Verdict
from sagas.store.orm import OrmStore

from .books import Books
from .builders import LONE, PAIR, Crew, look, new_saga, one, started
from .contract import StoreContract
from .threads import Holding, at_once, in_thread


class SqlStoreContract(StoreContract):
    """Fixtures to give: `alias`, the database."""

    @pytest.fixture
    def store(self, alias: str) -> OrmStore:
        return OrmStore(alias)

    @pytest.fixture
    def crew(self) -> Crew:
        return Crew()

    def test_insert__callers_transaction_rolled_back__it_does_not_exist(self, store: OrmStore, alias: str) -> None:
        new = new_saga(idempotency_key="k")

        with transaction.atomic(using=alias):
            store.insert([new])
            inside = store.load([new.id])
            transaction.set_rollback(True, using=alias)

        assert inside.keys() == {new.id}
        assert store.load([new.id]) == {}
        assert not Step.objects.using(alias).filter(saga_id=new.id).exists()
        assert not HistoryEntry.objects.using(alias).filter(saga_id=new.id).exists()
        # Its graph went with it, and its key is free.
        assert isinstance(one(store.insert([new])), Inserted)
        assert store.load([new.id])[new.id][0].graph.hash == PAIR.hash

    def test_insert__not_seen_by_others_before_the_commit(self, store: OrmStore, alias: str) -> None:
        new = new_saga()

        with Holding(alias, lambda: store.insert([new])) as other:
            before = store.load([new.id])
            other.release()

        assert before == {}
        assert store.load([new.id]).keys() == {new.id}

    def test_insert__one_key_from_many_threads__is_one_saga(self, store: OrmStore, alias: str) -> None:
        news = [new_saga(idempotency_key="k", payload_hash=str(n)) for n in range(6)]

        answers = at_once(*((lambda new=new: one(store.insert([new]))) for new in news))

        kept = [new for new, answer in zip(news, answers, strict=True) if isinstance(answer, Inserted)]
        assert len(kept) == 1
        first = Existing(kept[0].id, kept[0].payload_hash)
        assert [answer for answer in answers if isinstance(answer, Existing)] == [first] * 5
        assert Saga.objects.using(alias).filter(idempotency_key="k").count() == 1

    @pytest.mark.parametrize("roll_back", [False, True])
    def test_insert__key_of_an_open_transaction__waits_for_its_end(
        self, store: OrmStore, alias: str, roll_back: bool
    ) -> None:
        first, second = new_saga(idempotency_key="k"), new_saga(idempotency_key="k")

        with Holding(alias, lambda: store.insert([first]), roll_back=roll_back) as other:
            waiting = in_thread(lambda: one(store.insert([second])))
            other.release()

        answer = waiting.result()
        if roll_back:
            assert isinstance(answer, Inserted)
        else:
            assert answer == Existing(first.id, "hash")

    def test_apply__callers_transaction_rolled_back__nothing_happened(
        self, store: OrmStore, books: Books, crew: Crew, alias: str
    ) -> None:
        saga_id, claim = started(store, crew)
        before = store.load([saga_id])

        with transaction.atomic(using=alias):
            store.apply([crew.done(saga_id, claim)], crew.offer(), wait=True)
            transaction.set_rollback(True, using=alias)

        assert store.load([saga_id]) == before
        assert books.kinds(saga_id) == ["started", "claimed"]

    def test_apply__same_claim_from_many_threads__one_gets_it(self, store: OrmStore, books: Books, alias: str) -> None:
        new = new_saga(LONE)
        store.insert([new])
        crews = [Crew() for _ in range(6)]

        def take(crew: Crew) -> int:
            while (result := store.apply([look(new.id)], crew.offer())[0]).verdict is Verdict.BUSY:
                continue
            return len(result.claims)

        taken = at_once(*((lambda crew=crew: take(crew)) for crew in crews))

        assert sorted(taken) == [0, 0, 0, 0, 0, 1]
        assert books.kinds(new.id) == ["started", "claimed"]
        books.balance(new.id)

    def test_apply__many_threads_in_any_order__lose_nothing(self, store: OrmStore, books: Books, alias: str) -> None:
        sagas = [new_saga(LONE) for _ in range(8)]
        store.insert(sagas)

        def drive(crew: Crew, turn: int) -> None:
            left = [*sagas[turn:], *sagas[:turn]]
            while left:
                results = store.apply([look(new.id) for new in left], crew.offer(slots=2))
                done = [crew.done(r.submission.saga_id, claim) for r in results for claim in r.claims]
                while done:
                    answers = store.apply(done)
                    done = [r.submission for r in answers if r.verdict is Verdict.BUSY]
                ended = {r.submission.saga_id for r in results if r.saga is not None and r.saga.wake_at is None}
                left = [new for new in left if new.id not in ended]

        at_once(*((lambda turn=turn: drive(Crew(), turn)) for turn in (0, 3, 6)))

        assert {saga.state for saga, _ in store.load([new.id for new in sagas]).values()} == {SagaState.COMPLETED}
        for new in sagas:
            assert books.kinds(new.id) == ["started", "claimed", "completed"]
        books.balance(*(new.id for new in sagas))

    def test_load__saga_and_steps_of_one_moment(self, store: OrmStore, crew: Crew, alias: str) -> None:
        # A claim and its hand-back in turns: the step is claimed at every even revision.
        new = new_saga(LONE)
        store.insert([new])

        def move() -> bool:
            for _ in range(25):
                claim = one(store.apply([look(new.id)], crew.offer(), wait=True)[0].claims)
                store.apply([crew.report(t.HandedBack, new.id, claim)], wait=True)
            return True

        moving = in_thread(move)
        seen = set()
        while not moving.ended:
            saga, steps = store.load([new.id])[new.id]
            assert steps[0].claimed == (saga.revision % 2 == 0)
            seen.add(saga.revision)

        assert moving.result()
        assert len(seen) > 3

    def test_limbo__is_refused_by_the_database(self, store: OrmStore, alias: str) -> None:
        new = new_saga()
        store.insert([new])

        with pytest.raises(IntegrityError), transaction.atomic(using=alias):
            Saga.objects.using(alias).filter(pk=new.id).update(wake_at=None)

    def test_apply__wrong_data_of_one__nothing_of_the_group_is_written(
        self, store: OrmStore, books: Books, crew: Crew, alias: str
    ) -> None:
        sagas = [started(store, crew, LONE) for _ in range(3)]
        broken = Saga.objects.using(alias).get(pk=sagas[1][0])
        HistoryEntry.objects.using(alias).create(saga=broken, seq=3, kind="in the way", at=broken.created_at)

        from sagas.exceptions import StoreDataError

        with pytest.raises(StoreDataError, match="refused"):
            store.apply([crew.done(saga_id, claim) for saga_id, claim in sagas])

        assert {saga.revision for saga, _ in store.load([saga_id for saga_id, _ in sagas]).values()} == {2}
        assert not connections[alias].in_atomic_block

    def test_apply__operator_waits_for_nobody_after_the_commit(self, store: OrmStore, crew: Crew, alias: str) -> None:
        saga_id, _ = started(store, crew)

        result = one(store.apply([Submission(saga_id, t.Compensate("ann", "x"))], wait=True))

        assert result.verdict is Verdict.APPLIED
        assert in_thread(lambda: store.load([saga_id])[saga_id][0].state).result() is SagaState.COMPENSATING
