"""The contract, fourth part: `wake_at` may be early, never late, and is left alone while a saga is busy."""

from datetime import timedelta

from sagas.core import triggers as t
from sagas.core.readiness import RECHECK, RECHECK_HELD
from sagas.core.states import SagaState, StepStatus
from sagas.store.base import Store, Submission

from .books import Books
from .builders import LONE, PAIR, SOON, Crew, look, new_saga, one, started, submit

TINY = timedelta(seconds=5)


class WakeContract:
    """What every store promises about when the sweep looks."""

    def test_wake__hint_leaves_it_alone(self, store: Store, crew: Crew) -> None:
        new = new_saga(wake_in=timedelta(seconds=-5))
        store.insert([new])
        before = store.load([new.id])[new.id][0].wake_at

        store.apply([look(new.id)], crew.offer())

        assert store.load([new.id])[new.id][0].wake_at == before

    def test_wake__sweep_sets_it_anew_without_a_transition(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, _ = started(store, crew, wake_in=timedelta(seconds=-5))

        result = one(store.apply([look(saga_id, sweep=True)], Crew().offer()))

        saga = store.load([saga_id])[saga_id][0]
        assert saga.wake_at is not None
        assert abs(saga.wake_at - store.now() - RECHECK) < TINY
        assert saga.revision == 2
        assert result.saga is not None
        assert result.saga.wake_at == saga.wake_at
        assert store.due(limit=10) == []
        books.balance(saga_id)

    def test_wake__hint_that_can_not_be_run_here__does_not_put_it_off(self, store: Store, crew: Crew) -> None:
        new = new_saga()
        store.insert([new])

        store.apply([look(new.id, sweep=True)], crew.offer(queues=frozenset({"elsewhere"})))

        assert [due.id for due in store.due(limit=5)] == [new.id]

    def test_wake__next_attempt_is_looked_at_in_time(self, store: Store, books: Books, crew: Crew) -> None:
        # Far in the future before: it must come forward.
        saga_id, claim = started(store, crew, LONE, wake_in=timedelta(hours=5))

        store.apply([crew.report(t.InDoubt, saga_id, claim, code="x")], crew.offer())

        saga, steps = store.load([saga_id])[saga_id]
        assert steps[0].status is StepStatus.PENDING
        assert steps[0].due_at == saga.updated_at + SOON
        assert saga.wake_at == steps[0].due_at
        books.balance(saga_id)

    def test_wake__not_before_the_next_attempt_is_due(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, LONE)
        store.apply([crew.report(t.InDoubt, saga_id, claim, code="x")])

        result = one(store.apply([look(saga_id, sweep=True)], crew.offer()))

        saga, steps = store.load([saga_id])[saga_id]
        assert result.claims == []
        assert saga.wake_at == steps[0].due_at

    def test_wake__unclaimed_next_step_is_due_at_once(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, PAIR, wake_in=timedelta(hours=5))

        result = one(store.apply([crew.done(saga_id, claim)]))

        assert result.unclaimed == [1]
        assert [due.id for due in store.due(limit=5)] == [saga_id]

    def test_wake__held_saga_is_looked_at_now_and_then(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, LONE)
        store.apply([crew.report(t.Unrecorded, saga_id, claim)])

        store.apply([look(saga_id, sweep=True)])

        wake_at = store.load([saga_id])[saga_id][0].wake_at
        assert wake_at is not None
        assert abs(wake_at - store.now() - RECHECK_HELD) < TINY

    def test_wake__the_end_has_none_and_a_retry_brings_it_back(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew, LONE, rollback=False)
        store.apply([crew.report(t.Rejected, saga_id, claim, code="no")])
        ended = store.load([saga_id])[saga_id][0]

        submit(store, saga_id, t.Retry("ann", "again"))

        assert (ended.state, ended.wake_at) == (SagaState.FAILED, None)
        assert [due.id for due in store.due(limit=5)] == [saga_id]
        books.balance(saga_id)

    def test_wake__late_note_on_an_ended_saga__leaves_it_ended(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew, LONE)
        store.apply([crew.done(saga_id, claim)])

        store.apply([crew.report(t.InDoubt, saga_id, claim, code="x"), Submission(saga_id, t.Look(sweep=True))])

        assert store.load([saga_id])[saga_id][0].wake_at is None
        assert [note.kind for note in books.notes(saga_id)] == ["late_in_doubt"]
        books.balance(saga_id)
