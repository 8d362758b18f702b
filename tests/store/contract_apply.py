"""The contract, second part: deciding and writing groups."""

from uuid import UUID

import pytest

from sagas.core import triggers as t
from sagas.core.claims import Claim
from sagas.core.states import Hold, SagaState, StepStatus
from sagas.definitions.ids import new_id
from sagas.exceptions import SagaMovedError, TransitionNotAllowedError
from sagas.store.base import Store, Submission, Verdict

from .books import Books
from .builders import DIAMOND, EMPTY, LONE, PAIR, Crew, look, new_saga, one, started, submit


class ApplyContract:
    """What every store promises about changes."""

    def test_apply__a_result_brings_its_slot__the_saga_goes_on_in_the_same_process(
        self, store: Store, crew: Crew
    ) -> None:
        # Its thread is free again; a look that came in meanwhile may have been counted on it.
        (saga_id, claim), other = started(store, crew), new_saga(PAIR)
        store.insert([other])

        done, looked = store.apply([crew.done(saga_id, claim), look(other.id)], crew.offer(slots=0))

        assert [c.position for c in done.claims] == [1]
        assert not looked.claims

    def test_apply__a_result_of_an_action_brings_a_slot_for_an_action__of_an_undo_for_an_undo(
        self, store: Store, crew: Crew
    ) -> None:
        saga_id, claim = started(store, crew)
        claim = one(store.apply([crew.done(saga_id, claim)], crew.offer())[0].claims)

        undo = one(store.apply([crew.report(t.Rejected, saga_id, claim)], crew.offer(slots=0))[0].claims)

        assert (undo.position, undo.undo) == (0, True)

    def test_apply__look_with_an_offer__claims_in_one_transition(self, store: Store, books: Books, crew: Crew) -> None:
        new = new_saga(PAIR, request_id="r-1")
        store.insert([new])

        result = one(store.apply([look(new.id)], crew.offer()))

        saga, steps = store.load([new.id])[new.id]
        assert (result.verdict, result.reason, result.error) == (Verdict.APPLIED, "", None)
        assert (result.name, result.request_id, result.revision_before) == ("contract", "r-1", 1)
        assert result.claims == [Claim(0, 1, undo=False, attempt=1, round=1, executed=False)]
        assert result.saga == saga
        assert list(result.steps) == steps
        assert (saga.state, saga.revision) == (SagaState.STARTED, 2)
        assert steps[0].held_by(crew.id, 1)
        assert steps[0].status is StepStatus.RUNNING
        assert steps[0].claimed_at == steps[0].started_at == saga.updated_at
        assert not steps[1].claimed
        assert books.kinds(new.id) == ["started", "claimed"]
        books.balance(new.id)

    def test_apply__look_without_an_offer__changes_nothing(self, store: Store, books: Books) -> None:
        new = new_saga()
        store.insert([new])
        before = store.load([new.id])

        result = one(store.apply([look(new.id)]))

        assert result.claims == []
        assert store.load([new.id]) == before
        assert books.kinds(new.id) == ["started"]

    def test_apply__second_look__finds_the_step_claimed(self, store: Store, crew: Crew) -> None:
        saga_id, _ = started(store, crew)

        result = one(store.apply([look(saga_id)], Crew().offer()))

        assert result.claims == []
        assert store.load([saga_id])[saga_id][0].revision == 2

    def test_apply__result__is_recorded_and_the_next_step_claimed_with_it(
        self, store: Store, books: Books, crew: Crew
    ) -> None:
        saga_id, claim = started(store, crew, PAIR)

        result = one(store.apply([crew.done(saga_id, claim, {"n": 1})], crew.offer()))

        saga, steps = store.load([saga_id])[saga_id]
        assert result.verdict is Verdict.APPLIED
        assert [(c.position, c.token) for c in result.claims] == [(1, 2)]
        assert (steps[0].status, steps[1].status) == (StepStatus.COMPLETED, StepStatus.RUNNING)
        assert steps[0].executed_at == saga.updated_at
        assert not steps[0].claimed
        assert saga.revision == 3
        assert store.texts([saga_id])[saga_id].outputs == {0: '{"n":1}', 1: None} or books
        books.balance(saga_id)

    def test_apply__saga_runs_to_its_end(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew, DIAMOND)

        _run_down(store, crew, saga_id, [claim])

        saga, steps = store.load([saga_id])[saga_id]
        assert (saga.state, saga.wake_at) == (SagaState.COMPLETED, None)
        assert saga.completed_at == saga.updated_at
        assert {step.status for step in steps} == {StepStatus.COMPLETED}
        books.balance(saga_id)

    def test_apply__rejection__is_undone_in_reverse(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew, PAIR)
        claim = store.apply([crew.done(saga_id, claim)], crew.offer())[0].claims[0]

        rejected = crew.report(t.Rejected, saga_id, claim, code="no_stock", message="none left")
        undo = one(store.apply([rejected], crew.offer())[0].claims)
        result = one(store.apply([crew.done(saga_id, undo)], crew.offer()))

        saga, steps = store.load([saga_id])[saga_id]
        assert (undo.position, undo.undo, undo.executed) == (0, True, True)
        assert result.claims == []
        assert (saga.state, saga.error_code, saga.error_message) == (SagaState.COMPENSATED, "no_stock", "none left")
        assert [step.status for step in steps] == [StepStatus.COMPENSATED, StepStatus.FAILED]
        assert (steps[1].error_code, steps[1].error_message) == ("no_stock", "none left")
        books.balance(saga_id)

    def test_apply__several_triggers_of_one_saga__fold_into_one_write(
        self, store: Store, books: Books, crew: Crew
    ) -> None:
        saga_id, claim = started(store, crew, DIAMOND)
        b, c = store.apply([crew.done(saga_id, claim)], crew.offer())[0].claims

        group = [crew.done(saga_id, b, "b"), look(saga_id), crew.done(saga_id, c, "c")]
        results = store.apply(group, crew.offer())

        saga, steps = store.load([saga_id])[saga_id]
        assert [result.verdict for result in results] == [Verdict.APPLIED] * 3
        assert [result.revision_before for result in results] == [3, 4, 4]
        assert [len(result.claims) for result in results] == [0, 0, 1]
        assert saga.revision == 5
        assert steps[3].status is StepStatus.RUNNING
        assert books.kinds(saga_id) == ["started", "claimed", "completed", "completed", "completed"]
        assert store.texts([saga_id])[saga_id].outputs[2] == '"c"'
        books.balance(saga_id)

    def test_apply__group_of_many__results_in_the_order_of_the_submissions(
        self, store: Store, books: Books, crew: Crew
    ) -> None:
        sagas = [new_saga(LONE) for _ in range(20)]
        store.insert(sagas)
        shuffled = sagas[::2] + sagas[1::2][::-1]

        results = store.apply([look(new.id) for new in shuffled], crew.offer())

        assert [result.submission.saga_id for result in results] == [new.id for new in shuffled]
        assert all(len(result.claims) == 1 for result in results)
        tokens = [result.claims[0].token for result in results]
        assert len(set(tokens)) == 20
        books.balance(*(new.id for new in sagas))

    def test_apply__offer_is_for_the_whole_group(self, store: Store, crew: Crew) -> None:
        sagas = [new_saga(DIAMOND) for _ in range(5)]
        store.insert(sagas)

        results = store.apply([look(new.id) for new in sagas], crew.offer(slots=2))

        assert sum(len(result.claims) for result in results) == 2

    def test_apply__unknown_saga__is_missing(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, LONE)

        results = store.apply([look(new_id()), crew.done(saga_id, claim)], crew.offer())

        assert [result.verdict for result in results] == [Verdict.MISSING, Verdict.APPLIED]
        assert results[0].saga is None
        assert store.load([saga_id])[saga_id][0].state is SagaState.COMPLETED

    def test_apply__nothing__is_nothing(self, store: Store) -> None:
        assert store.apply([]) == []

    def test_apply__refused__while_the_others_land(self, store: Store, books: Books, crew: Crew) -> None:
        ended, other = new_saga(EMPTY), new_saga(LONE)
        store.insert([ended, other])

        results = store.apply(
            [
                Submission(ended.id, t.Compensate("ann", "why")),
                Submission(other.id, t.Compensate("ann", "stale page", expected_revision=9)),
                look(other.id),
            ],
            crew.offer(),
        )

        assert [result.verdict for result in results] == [Verdict.REFUSED, Verdict.REFUSED, Verdict.APPLIED]
        assert isinstance(results[0].error, TransitionNotAllowedError)
        assert isinstance(results[1].error, SagaMovedError)
        assert results[1].reason == str(results[1].error)
        assert len(results[2].claims) == 1
        assert books.kinds(ended.id) == ["started"]
        assert books.kinds(other.id) == ["started", "claimed"]
        books.balance(ended.id, other.id)

    def test_apply__operators_entry__has_actor_and_reason(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, _ = started(store, crew)

        submit(store, saga_id, t.Compensate("ann", "the customer called", expected_revision=2))

        entry = books.entries(saga_id)[-1]
        assert (entry.seq, entry.kind, entry.actor, entry.reason) == (3, "compensate", "ann", "the customer called")
        books.balance(saga_id)

    def test_apply__lost_claim__is_ignored_with_a_note(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew)
        submit(store, saga_id, t.WorkerLost(crew.id))
        revision = store.load([saga_id])[saga_id][0].revision

        result = one(store.apply([crew.done(saga_id, claim, "late")]))

        note = one(books.notes(saga_id))
        assert result.verdict is Verdict.IGNORED
        assert result.reason
        assert (note.kind, note.seq) == ("late_completed", None)
        assert note.data == {"worker": str(crew.id), "token": claim.token, "undo": False}
        assert store.load([saga_id])[saga_id][0].revision == revision
        books.balance(saga_id)

    @pytest.mark.parametrize("together", [True, False])
    def test_apply__notes__are_at_most_one_per_token(
        self, store: Store, books: Books, crew: Crew, together: bool
    ) -> None:
        saga_id, claim = started(store, crew)
        submit(store, saga_id, t.WorkerLost(crew.id))

        late = [crew.done(saga_id, claim), crew.report(t.Rejected, saga_id, claim, code="no")]
        for group in [late] if together else [[one_of] for one_of in late]:
            store.apply(group)

        assert [note.kind for note in books.notes(saga_id)] == ["late_completed"]
        books.balance(saga_id)

    def test_apply__hold__shows_as_attention(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew)

        store.apply([crew.report(t.Unrecorded, saga_id, claim, code="unrecorded", message="refused")])

        saga, steps = store.load([saga_id])[saga_id]
        assert (saga.attention, steps[0].hold) == ("unrecorded", Hold.UNRECORDED)
        assert (steps[0].status, steps[0].doubt) == (StepStatus.UNKNOWN, True)
        books.balance(saga_id)

    def test_apply__stale_flag__is_set_and_cleared_by_progress(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew)
        submit(store, saga_id, t.FlagStale())
        flagged = store.load([saga_id])[saga_id][0].stale_since

        store.apply([crew.done(saga_id, claim)])

        assert flagged is not None
        assert store.load([saga_id])[saga_id][0].stale_since is None
        books.balance(saga_id)


def _run_down(store: Store, crew: Crew, saga_id: UUID, claims: list[Claim]) -> None:
    """Answer every claim with success until none is left."""
    while claims:
        result = store.apply([crew.done(saga_id, claims.pop(0), "ok")], crew.offer())[0]
        claims += result.claims
