"""What operators ask for: allowed or refused with what to do instead, and every wish is one line of history."""

import threading
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from sagas import RetryPolicy, parallel
from sagas.core import triggers as t
from sagas.core.states import SagaState, StepStatus
from sagas.definitions.ids import new_id
from sagas.engine import operate
from sagas.engine.check import Finding, check
from sagas.exceptions import PayloadError, SagaMovedError, SagaNotFoundError, TransitionNotAllowedError
from sagas.models import HistoryEntry, Saga
from sagas.store import get_store
from sagas.store.base import Submission
from tests.store.threads import Holding, at_once, in_thread

from .kit import Hand, Kit

pytestmark = pytest.mark.usefixtures("pg")

DONE, NO, DOUBT = t.Completed, t.Rejected, t.InDoubt


@pytest.fixture(autouse=True)
def _lawful(pg: str) -> Any:
    yield
    assert [item for item in check() if isinstance(item, Finding)] == []


def last_entry(saga: Saga) -> HistoryEntry:
    found: HistoryEntry = saga.history.exclude(seq=None).order_by("seq").last()
    return found


def fresh(saga: Saga) -> Saga:
    found: Saga = Saga.objects.get(pk=saga.pk)
    return found


# -- compensate ---------------------------------------------------------------------------------------------------


def test_compensate__from_started(kit: Kit, hand: Hand, hints: list[UUID]) -> None:
    saga = hand.run(Saga.objects.start(kit.pair()), DONE)
    del hints[:]

    found = saga.compensate(reason="the customer called", actor="ann", expected_revision=saga.revision)

    assert (found.state, found.revision) == (SagaState.COMPENSATING, 4)
    assert [step.status for step in found.steps.all()] == [StepStatus.COMPLETED, StepStatus.CANCELLED]
    assert hints == [saga.pk]
    entry = last_entry(saga)
    assert (entry.kind, entry.actor, entry.reason, entry.seq) == ("compensate", "ann", "the customer called", 4)
    assert entry.data["state"] == "compensating"
    assert hand.run(saga, DONE).is_compensated


def test_compensate__nothing_was_done__is_compensated_at_once(kit: Kit) -> None:
    found = Saga.objects.start(kit.pair()).compensate()

    assert found.is_compensated
    assert (found.error_code, found.wake_at) == ("compensate", None)
    assert found.completed_at is not None


def test_compensate__running_step_is_drained_first(kit: Kit, hand: Hand) -> None:
    saga = Saga.objects.start(kit.pair())
    claim = hand.claim(saga)

    found = saga.compensate()
    assert found.next_steps() == []
    hand.report(saga, claim, DONE)

    assert fresh(saga).is_compensating
    assert hand.claim(saga).undo


def test_compensate__from_failed(kit: Kit, hand: Hand) -> None:
    saga = hand.run(Saga.objects.start(kit.pair(rollback=False)), DONE, NO)
    assert saga.is_failed

    found = saga.compensate(reason="after all")

    assert (found.state, found.completed_at) == (SagaState.COMPENSATING, None)
    assert hand.run(saga, DONE).is_compensated


def test_compensate__while_compensating__changes_nothing(kit: Kit, hand: Hand, hints: list[UUID]) -> None:
    saga = hand.run(Saga.objects.start(kit.pair()), DONE).compensate()
    entries = saga.history.count()

    again = saga.compensate(reason="twice", actor="bob")

    assert (again.state, again.revision) == (saga.state, saga.revision)
    assert saga.history.count() == entries


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (
            [DONE, DONE],
            "cannot compensate saga: expected state started or failed, got completed; "
            ".* start a saga that does the opposite",
        ),
        (
            [NO],
            "cannot compensate saga: expected state started or failed, got compensated; everything is undone already",
        ),
    ],
)
def test_compensate__refused(kit: Kit, hand: Hand, end: list[Any], text: str) -> None:
    saga = hand.run(Saga.objects.start(kit.pair()), *end)
    entries = saga.history.count()

    with pytest.raises(TransitionNotAllowedError, match=text) as caught:
        saga.compensate(reason="why")

    assert caught.value.details["saga_id"] == saga.pk
    assert caught.value.details["state"] == saga.state
    assert fresh(saga).revision == saga.revision
    assert saga.history.count() == entries


# -- retry --------------------------------------------------------------------------------------------------------


def test_retry__step_that_waits_for_its_next_attempt(kit: Kit, hand: Hand) -> None:
    slow = kit.step("slow", retry=RetryPolicy(max_attempts=2, base=3600, jitter=False))
    saga = hand.run(Saga.objects.start(kit.define(slow)), DOUBT, code="x")
    assert saga.next_steps()[0].due_at > saga.updated_at

    found = saga.retry(reason="now", actor="ann")

    step = found.steps.get()
    assert (step.due_at, step.tries, step.doubt) == (None, 0, True)
    assert found.wake_at <= found.updated_at
    assert (last_entry(saga).kind, last_entry(saga).actor, last_entry(saga).reason) == ("retry", "ann", "now")
    # A fresh budget: two more attempts. And the same round: the same keys.
    assert hand.run(saga, DOUBT, code="x").is_started
    assert saga.steps.get().round == 1


def test_retry__unrecorded_step(kit: Kit, hand: Hand) -> None:
    saga = hand.run(Saga.objects.start(kit.pair()), t.Unrecorded)
    assert saga.attention == "unrecorded"

    found = saga.retry()

    assert (found.attention, found.steps.first().status) == ("", StepStatus.PENDING)
    assert hand.run(saga, DONE, DONE).is_completed


def test_retry__debt(kit: Kit, hand: Hand) -> None:
    saga = hand.run(Saga.objects.start(kit.pair()), DONE, NO, NO)
    assert (saga.state, saga.attention) == (SagaState.COMPENSATING, "debt")
    assert [step.name for step in saga.failed_steps()] == ["first", "second"]

    found = saga.retry(reason="the bank is back")

    assert (found.attention, found.state) == ("", SagaState.COMPENSATING)
    assert hand.run(saga, DONE).is_compensated


def test_retry__failed_saga__opens_the_next_round(kit: Kit, hand: Hand) -> None:
    saga = hand.run(hand.run(Saga.objects.start(kit.pair(rollback=False)), DONE), NO, code="no_stock")
    assert (saga.is_failed, saga.error_code) == (True, "no_stock")

    found = saga.retry()

    step = found.steps.get(name="second")
    assert (found.state, found.error_code, found.completed_at) == (SagaState.STARTED, "", None)
    assert (step.status, step.round, step.attempt) == (StepStatus.PENDING, 2, 0)
    assert hand.run(saga, DONE).is_completed


def test_retry__missing_handler(kit: Kit, hand: Hand) -> None:
    saga = Saga.objects.start(kit.pair())
    get_store().apply([Submission(saga.pk, t.NoHandler(0))])
    assert fresh(saga).attention == "no_handler"

    assert saga.retry().attention == ""


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (
            [],
            "expected a step that waits for its next attempt, is unknown or is a debt, "
            "found none in state started; it moves by itself",
        ),
        ([DONE], ".* found none in state started"),
        ([DONE, DONE], "expected state started, compensating or failed, got completed; it is complete"),
        ([NO], "expected state started, compensating or failed, got compensated; start a new saga instead"),
        ([DONE, NO], ".* found none in state compensating"),
    ],
)
def test_retry__refused(kit: Kit, hand: Hand, end: list[Any], text: str) -> None:
    saga = hand.run(Saga.objects.start(kit.pair()), *end)

    with pytest.raises(TransitionNotAllowedError, match=f"cannot retry saga: {text}"):
        saga.retry()

    assert fresh(saga).revision == saga.revision


def test_retry__running_step__is_left_alone(kit: Kit, hand: Hand) -> None:
    saga = Saga.objects.start(kit.pair())
    claim = hand.claim(saga)

    with pytest.raises(TransitionNotAllowedError):
        saga.retry()
    hand.report(saga, claim, DONE)

    assert fresh(saga).completed_steps()[0].name == "first"


# -- revisions, actors, reasons -----------------------------------------------------------------------------------


def test_expected_revision__moved__is_refused(kit: Kit, hand: Hand) -> None:
    saga = Saga.objects.start(kit.pair())
    hand.claim(saga)

    with pytest.raises(SagaMovedError, match="expected revision 1, it is at 2; load it again") as caught:
        saga.compensate(expected_revision=1)

    assert caught.value.details == {"saga_id": saga.pk, "revision": 2}
    assert fresh(saga).is_started


def race(sagas: list[Saga], verb: str) -> list[set[str]]:
    """Two operators act on each saga at once, as they last saw it: who was not told that it has moved."""
    line = threading.Barrier(2, timeout=30)

    def operator(actor: str) -> list[str]:
        won = []
        for saga in sagas:
            line.wait()
            try:
                getattr(saga, verb)(actor=actor, reason="race", expected_revision=saga.revision)
                won.append(actor)
            except SagaMovedError:
                won.append("")
        return won

    ann, bob = at_once(lambda: operator("ann"), lambda: operator("bob"))
    return [set(names) - {""} for names in zip(ann, bob, strict=True)]


def test_expected_revision__two_operators_at_once__one_wins_every_time(kit: Kit, hand: Hand) -> None:
    slow = kit.step("slow", retry=RetryPolicy(max_attempts=2, base=3600, jitter=False))
    sagas = [hand.run(saga, DOUBT) for saga in Saga.objects.start_many(kit.define(slow), [{}] * 50)]

    won = race(sagas, "retry")

    for saga, names in zip(sagas, won, strict=True):
        assert names == {last_entry(saga).actor}
        assert fresh(saga).revision == saga.revision + 1


def test_compensate__two_operators_at_once__one_line_of_history(kit: Kit, hand: Hand) -> None:
    # The second one may find it compensating already, which is what it asked for.
    sagas = [hand.run(saga, DONE) for saga in Saga.objects.start_many(kit.pair(), [{}] * 20)]

    won = race(sagas, "compensate")

    for saga, names in zip(sagas, won, strict=True):
        assert last_entry(saga).actor in names
        assert fresh(saga).revision == saga.revision + 1


def test_operator_races_a_worker__nothing_is_lost(kit: Kit, hand: Hand) -> None:
    sagas = Saga.objects.start_many(kit.pair(), [{}] * 20)
    claims = [hand.claim(saga) for saga in sagas]
    line = threading.Barrier(2, timeout=30)

    def worker() -> None:
        for saga, claim in zip(sagas, claims, strict=True):
            line.wait()
            while hand.report(saga, claim, DONE).verdict.value == "busy":
                continue

    def operator() -> None:
        for saga in sagas:
            line.wait()
            saga.compensate()

    at_once(worker, operator)

    for saga in sagas:
        assert fresh(saga).is_compensating
        assert [step.status for step in saga.steps.all()] == [StepStatus.COMPLETED, StepStatus.CANCELLED]


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({"actor": "x" * 151}, "actor: expected at most 150 characters"),
        ({"reason": "x" * 2001}, "reason: expected at most 2000 characters"),
        ({"reason": "a\x00b"}, "reason"),
        ({"reason": "\ud800"}, "reason"),
        ({"actor": "\udfff"}, "actor"),
        ({"reason": None}, "reason"),
        ({"actor": 7}, "actor"),
    ],
)
@pytest.mark.parametrize("verb", ["compensate", "retry"])
def test_actor_and_reason__are_checked(kit: Kit, verb: str, details: dict[str, Any], text: str) -> None:
    saga = Saga.objects.start(kit.pair())

    with pytest.raises(PayloadError, match=text):
        getattr(saga, verb)(**details)

    assert fresh(saga).revision == 1


def test_unknown_saga(kit: Kit) -> None:
    key = new_id()

    for call in (operate.compensate, operate.retry, operate.compensation_plan):
        with pytest.raises(SagaNotFoundError, match="there is no saga") as caught:
            call(key)
        assert caught.value.details == {"saga_id": key}


def test_operate__inside_the_callers_transaction(kit: Kit, hand: Hand, hints: list[UUID]) -> None:
    saga = hand.run(Saga.objects.start(kit.pair()), DONE)
    del hints[:]

    with transaction.atomic():
        saga.compensate()
        assert hints == []
        transaction.set_rollback(True)

    assert fresh(saga).is_started
    assert hints == []

    with transaction.atomic():
        saga.compensate()
        with pytest.raises(TransitionNotAllowedError):
            saga.retry()
        assert fresh(saga).is_compensating

    assert hints == [saga.pk]


def test_operate__waits_for_a_busy_saga(kit: Kit, pg: str) -> None:
    saga = Saga.objects.start(kit.pair())

    with Holding(pg, lambda: Saga.objects.select_for_update().get(pk=saga.pk)) as other:
        waiting = in_thread(saga.compensate)
        other.release()

    assert waiting.result().is_compensated


# -- looking ------------------------------------------------------------------------------------------------------


def test_plan__says_what_and_in_which_order_and_changes_nothing(kit: Kit, hand: Hand) -> None:
    definition = kit.define(
        kit.step("create"),
        parallel(kit.step("reserve"), kit.step("look_up", undo=None)),
        kit.step("charge"),
    )
    saga = hand.run(Saga.objects.start(definition), DONE)
    rows = list(saga.history.values_list("seq"))
    running = Hand()
    running_claims = [claim.position for claim in _claim_all(running, saga)]

    plan = saga.compensation_plan()

    assert running_claims == [1, 2]
    assert plan.revision == 4
    assert [(p.step, p.compensation, p.rank, p.in_doubt, p.running) for p in plan.undo] == [
        ("reserve", kit.name("unreserve"), 1, False, True),
        ("create", kit.name("uncreate"), 2, False, False),
    ]
    assert {(kept.step, kept.reason) for kept in plan.keep} == {
        ("look_up", "nothing to undo: reads only"),
        ("charge", "not executed yet: it is cancelled"),
    }
    assert list(saga.history.values_list("seq")) == [*rows, (4,)]


def _claim_all(hand: Hand, saga: Saga) -> Any:
    return get_store().apply([Submission(saga.pk, t.Look())], hand.offer())[0].claims


def test_next_steps__either_direction(kit: Kit, hand: Hand) -> None:
    saga = Saga.objects.start(kit.pair())

    seen = [[step.name for step in saga.next_steps()]]
    for outcome in (DONE, NO, DONE):
        hand.run(saga, outcome)
        seen.append([step.name for step in saga.next_steps()])

    assert seen == [["first"], ["second"], ["first"], []]
