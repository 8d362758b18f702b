"""Committing groups: the culprit is found by halving; nobody else suffers; nothing is lost and nothing loops."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from sagas.core import triggers as t
from sagas.core.states import Hold, SagaState, StepStatus
from sagas.engine.check import Finding, check
from sagas.engine.commit import ALONE, CONFLICTS, commit
from sagas.exceptions import StoreConflictError, StoreConnectionError, StoreDataError
from sagas.models import Saga
from sagas.store import get_store
from sagas.store.base import Payload, Result, Submission, Verdict
from sagas.store.memory import MemoryStore
from tests.store.builders import LONE, PAIR, Crew, look, new_saga, started

from .kit import Hand, Kit


class Moody(MemoryStore):
    """A store that refuses what it is told to refuse, as a database would: the whole group."""

    def __init__(self, refuses: Callable[[Submission], Exception | None]) -> None:
        super().__init__()
        self._refuses = refuses
        self.groups: list[int] = []
        self.offered = 0

    def apply(self, submissions: Sequence[Submission], offer: Any = None, *, wait: bool = False) -> list[Result]:
        self.groups.append(len(submissions))
        self.offered += offer is not None
        for submission in submissions:
            error = self._refuses(submission)
            if error is not None:
                raise error
        return super().apply(submissions, offer, wait=wait)


def poison(*, also_bare: bool = False) -> Callable[[Submission], Exception | None]:
    """Refuses results whose output says so; `also_bare`: what is recorded instead as well."""

    def refuses(submission: Submission) -> Exception | None:
        bare = also_bare and isinstance(submission.trigger, t.Unrecorded)
        said = submission.payload is not None and submission.payload.output == '"poison"'
        return StoreDataError("refused") if said or bare else None

    return refuses


def test_poison_in_a_group_of_fifty__49_land_and_one_waits_for_a_person(caplog: pytest.LogCaptureFixture) -> None:
    store, crew = Moody(poison()), Crew()
    sagas = [started(store, crew, LONE) for _ in range(50)]
    del store.groups[:]
    group = [crew.done(saga_id, claim, "poison" if n == 17 else "ok") for n, (saga_id, claim) in enumerate(sagas)]
    group[17].sender = "somebody"

    results = commit(store, group)

    assert [result.verdict for result in results] == [Verdict.APPLIED] * 50
    rows = store.load([saga_id for saga_id, _ in sagas])
    completed = [saga_id for saga_id, (saga, _) in rows.items() if saga.state is SagaState.COMPLETED]
    assert len(completed) == 49
    saga, steps = rows[sagas[17][0]]
    assert (saga.attention, steps[0].status, steps[0].hold) == ("unrecorded", StepStatus.UNKNOWN, Hold.UNRECORDED)
    assert steps[0].doubt
    assert store.texts([saga.id])[saga.id].outputs[0] is None
    assert results[17].submission.sender == "somebody"
    # Found in logarithmic time: halves, the culprit alone three times, and then without its payload.
    assert len(store.groups) <= 2 * 6 + 1 + ALONE
    (record,) = [record for record in caplog.records if record.name == "sagas.engine.commit"]
    assert record.saga_id == str(saga.id)  # type: ignore[attr-defined]


def test_poison_that_a_compensation_returned__it_is_undone_without_it(caplog: pytest.LogCaptureFixture) -> None:
    store, crew = Moody(poison()), Crew()
    saga_id, claim = started(store, crew, PAIR)
    store.apply([crew.done(saga_id, claim)])
    (undo,) = store.apply([Submission(saga_id, t.Compensate("ann", "why"))], crew.offer())[0].claims
    del store.groups[:]
    poisoned = crew.done(saga_id, undo, "poison", context='{"undone":1}')
    poisoned.sender = "somebody"

    (result,) = commit(store, [poisoned])

    saga, steps = store.load([saga_id])[saga_id]
    assert (saga.state, saga.attention) == (SagaState.COMPENSATED, "")
    assert (steps[0].status, steps[0].error_code) == (StepStatus.COMPENSATED, "undo_output")
    texts = store.texts([saga_id])[saga_id]
    assert (texts.undo_outputs[0], texts.context) == (None, '{"order":1,"undone":1}')
    assert (result.verdict, result.submission.sender, len(store.groups)) == (Verdict.APPLIED, "somebody", ALONE + 1)
    assert "the database refused what a compensation returned" in caplog.text


def test_offer__is_made_to_one_part_only() -> None:
    # Two halves must not both claim what there is one slot for.
    store, crew = Moody(poison()), Crew()
    bad_id, bad_claim = started(store, crew, LONE)
    fresh = [new_saga(LONE) for _ in range(7)]
    store.insert(fresh)
    group = [*(look(new.id) for new in fresh), crew.done(bad_id, bad_claim, "poison")]

    results = commit(store, group, crew.offer(slots=2))

    assert sum(len(result.claims) for result in results) <= 2


def test_operators_trigger__that_can_not_be_applied__is_an_error_to_its_sender() -> None:
    def refuses(submission: Submission) -> Exception | None:
        return StoreDataError("refused") if isinstance(submission.trigger, t.Compensate) else None

    store, crew = Moody(refuses), Crew()
    saga_id, claim = started(store, crew, PAIR)

    results = commit(store, [Submission(saga_id, t.Compensate("ann", "x")), crew.done(saga_id, claim)])

    assert [result.verdict for result in results] == [Verdict.REFUSED, Verdict.APPLIED]
    assert isinstance(results[0].error, StoreDataError)
    assert store.load([saga_id])[saga_id][0].state is SagaState.STARTED


def test_not_even_the_bare_result_is_taken__is_refused_and_the_others_land() -> None:
    store, crew = Moody(poison(also_bare=True)), Crew()
    (bad_id, bad_claim), (saga_id, claim) = started(store, crew, LONE), started(store, crew, LONE)

    results = commit(store, [crew.done(bad_id, bad_claim, "poison"), crew.done(saga_id, claim)])

    assert [result.verdict for result in results] == [Verdict.REFUSED, Verdict.APPLIED]


def test_connection_lost__is_the_callers_business_and_nothing_is_given_up() -> None:
    gone = iter([StoreConnectionError("gone"), None])
    store, crew = Moody(lambda submission: next(gone)), Crew()
    new = new_saga(LONE)
    store.insert([new])

    with pytest.raises(StoreConnectionError):
        commit(store, [look(new.id)], crew.offer())
    assert commit(store, [look(new.id)], crew.offer())[0].verdict is Verdict.APPLIED


def test_connection_lost_between_the_halves__submitted_again_it_lands_once() -> None:
    lost = iter([True])

    def refuses(submission: Submission) -> Exception | None:
        if submission.sender == "last" and len(store.groups) > 3 and next(lost, False):
            return StoreConnectionError("gone")
        return poison()(submission)

    store, crew = Moody(refuses), Crew()
    sagas = [started(store, crew, LONE) for _ in range(4)]
    del store.groups[:]
    group = [crew.done(saga_id, claim, "poison" if n == 0 else n) for n, (saga_id, claim) in enumerate(sagas)]
    group[-1].sender = "last"

    with pytest.raises(StoreConnectionError):
        commit(store, group)
    for submission in group:
        submission.again = True
    commit(store, group)

    for saga_id, _ in sagas:
        assert [entry.kind for entry in store.history[saga_id]][:2] == ["started", "claimed"]
        assert len([entry for entry in store.history[saga_id] if entry.seq is not None]) == 3
    rows = store.load([saga_id for saga_id, _ in sagas]).values()
    assert sorted(saga.attention for saga, _ in rows) == ["", "", "", "unrecorded"]


def test_conflict__is_tried_again_at_once_with_the_same_tokens() -> None:
    conflicts = iter([StoreConflictError("deadlock")] * 2 + [None] * 9)
    store, crew = Moody(lambda submission: next(conflicts)), Crew()
    new = new_saga(LONE)
    store.insert([new])
    submission = look(new.id)

    (result,) = commit(store, [submission], crew.offer())

    assert result.verdict is Verdict.APPLIED
    assert [claim.token for claim in result.claims] == list(submission.book.tokens.values())
    assert submission.again
    assert store.groups == [1, 1, 1]


def test_conflict_without_end__is_busy() -> None:
    store = Moody(lambda submission: StoreConflictError("deadlock"))
    crew = Crew()
    group = [look(new_saga(LONE).id), look(new_saga(LONE).id)]

    results = commit(store, group, crew.offer())

    assert [result.verdict for result in results] == [Verdict.BUSY] * 2
    assert len(store.groups) == CONFLICTS


def test_nothing__is_nothing() -> None:
    assert commit(MemoryStore(), []) == []


# -- the same on a real database, which refuses a real value ------------------------------------------------------


@pytest.fixture
def no_poison(pg: str) -> Iterator[None]:
    """PostgreSQL will not have one output: as it would be with jsonb's own limits, or a host's constraint."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sagas_step ADD CONSTRAINT no_poison CHECK (output->>'poison' IS NULL)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sagas_step DROP CONSTRAINT no_poison")


@pytest.mark.usefixtures("no_poison")
@pytest.mark.parametrize("bad", ['{"poison":1}', '"\\u0000"'])
def test_postgres_refuses_one_of_fifty__49_land(kit: Kit, bad: str) -> None:
    store, hand = get_store(), Hand()
    crew = Crew(id=hand.worker)
    sagas = Saga.objects.start_many(kit.define(kit.step("only")), [{}] * 50)
    claims = [result.claims[0] for result in commit(store, [look(saga.pk) for saga in sagas], hand.offer())]
    group = [crew.done(saga.pk, claim, {"n": 1}) for saga, claim in zip(sagas, claims, strict=True)]
    group[31].payload = Payload(output=bad)

    results = commit(store, group)

    assert [result.verdict for result in results] == [Verdict.APPLIED] * 50
    assert Saga.objects.filter(state=SagaState.COMPLETED).count() == 49
    held = Saga.objects.needing_attention().get()
    assert (held.pk, held.attention) == (sagas[31].pk, "unrecorded")
    assert [item for item in check() if isinstance(item, Finding)] == []
    # A person looks, mends what was wrong, and the step runs again.
    assert held.retry(reason="mended").attention == ""


def keys(results: Sequence[Result]) -> list[UUID]:
    return [result.submission.saga_id for result in results]


def test_results__come_in_order_however_often_it_is_halved() -> None:
    store, crew = Moody(poison()), Crew()
    sagas = [started(store, crew, LONE) for _ in range(9)]
    bad = {0, 4, 8}
    group = [crew.done(saga_id, claim, "poison" if n in bad else n) for n, (saga_id, claim) in enumerate(sagas)]

    results = commit(store, group)

    assert keys(results) == [saga_id for saga_id, _ in sagas]
    assert {n for n, result in enumerate(results) if result.saga and result.saga.attention} == bad
