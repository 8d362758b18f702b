"""The contract, fifth part: after a lost answer the very same submissions are submitted again, and land once."""

from collections.abc import Sequence

from sagas.core import triggers as t
from sagas.core.states import StepStatus
from sagas.store.base import Payload, Result, Store, Submission, Verdict

from .books import Books
from .builders import DIAMOND, LONE, PAIR, Crew, look, new_saga, one, started, submit


def again(store: Store, group: Sequence[Submission], crew: Crew, graph: object = None) -> list[Result]:
    """As the committer does it when the answer to a commit was lost."""
    for submission in group:
        submission.again = True
    return store.apply(group, crew.offer())


class ResubmitContract:
    """What every store promises about ambiguous commits."""

    def test_resubmit__claim_stands(self, store: Store, books: Books, crew: Crew) -> None:
        sagas = [new_saga(DIAMOND) for _ in range(3)]
        store.insert(sagas)
        group = [look(new.id) for new in sagas]
        first = store.apply(group, crew.offer())

        second = again(store, group, crew)

        assert [result.claims for result in second] == [result.claims for result in first]
        assert all(books.kinds(new.id) == ["started", "claimed"] for new in sagas)
        books.balance(*(new.id for new in sagas))

    def test_resubmit__result_and_inline_claim_stand(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew, PAIR, inputs={0: "{}"})
        done = crew.done(saga_id, claim, {"n": 1}, context='{"n":1}', inputs={1: '{"ahead":1}'}, basis=2)
        first = one(store.apply([done], crew.offer()))
        rows, texts = store.load([saga_id]), store.texts([saga_id])

        second = one(again(store, [done], crew))

        assert second.verdict is Verdict.IGNORED
        assert second.claims == first.claims
        assert store.load([saga_id]) == rows
        assert store.texts([saga_id]) == texts
        assert books.notes(saga_id) == []
        assert books.kinds(saga_id) == ["started", "claimed", "completed"]
        books.balance(saga_id)

    def test_resubmit__whole_group_of_one_saga(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew, DIAMOND)
        b, c = store.apply([crew.done(saga_id, claim)], crew.offer())[0].claims
        group = [crew.done(saga_id, b, "b"), crew.done(saga_id, c, "c")]
        store.apply(group, crew.offer())
        rows = store.load([saga_id])

        second = again(store, group, crew)

        assert [len(result.claims) for result in second] == [0, 1]
        assert store.load([saga_id]) == rows
        assert books.notes(saga_id) == []
        books.balance(saga_id)

    def test_resubmit__what_was_not_committed__lands_with_the_same_tokens(
        self, store: Store, books: Books, crew: Crew
    ) -> None:
        new = new_saga(PAIR)
        lost = look(new.id)
        store.apply([lost], crew.offer())  # there is no such saga yet: nothing is claimed
        lost.book.tokens[0] = 77  # the token that the lost commit had given out
        store.insert([new])

        result = one(again(store, [lost], crew))

        assert [claim.token for claim in result.claims] == [77]
        assert store.load([new.id])[new.id][1][0].held_by(crew.id, 77)
        books.balance(new.id)

    def test_resubmit__claim_that_was_lost_meanwhile__is_not_revived(
        self, store: Store, books: Books, crew: Crew
    ) -> None:
        new = new_saga(LONE)
        store.insert([new])
        group = [look(new.id)]
        store.apply(group, crew.offer())
        other = Crew()
        submit(store, new.id, t.WorkerLost(crew.id))
        store.apply([look(new.id)], other.offer())

        result = one(again(store, group, crew))

        assert result.claims == []
        step = store.load([new.id])[new.id][1][0]
        assert step.claim_worker == other.id
        books.balance(new.id)

    def test_resubmit__result_that_another_overtook__is_no_news(self, store: Store, books: Books, crew: Crew) -> None:
        saga_id, claim = started(store, crew, PAIR)
        done = crew.done(saga_id, claim, "one")
        store.apply([done])
        other = Crew()
        store.apply([look(saga_id)], other.offer())

        result = one(again(store, [done], crew))

        _, steps = store.load([saga_id])[saga_id]
        assert result.claims == []
        assert steps[1].claim_worker == other.id
        assert steps[0].status is StepStatus.COMPLETED
        assert books.notes(saga_id) == []
        books.balance(saga_id)

    def test_resubmit__input_is_stored_once(self, store: Store, crew: Crew) -> None:
        saga_id, claim = started(store, crew, LONE, inputs={})
        prepared = crew.report(t.Prepared, saga_id, claim, payload=Payload(inputs={0: '{"n":1}'}))
        store.apply([prepared])

        result = one(again(store, [prepared], crew))

        assert result.verdict is Verdict.APPLIED
        assert store.texts([saga_id])[saga_id].inputs[0] is not None
        assert store.load([saga_id])[saga_id][0].revision == 2
