"""Failures that are the same are one group: each is counted once, and who stands so now is right, whatever happened."""

import random
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db.models import F
from django.utils import timezone

from sagas import parallel
from sagas.core import triggers as t
from sagas.core.errors import TransitionNotAllowedError
from sagas.engine.criteria import CRITERIA, CriterionError
from sagas.engine.rollup import groups, look, refresh
from sagas.exceptions import StoreError
from sagas.models import FailedSaga, FailureGroup, FailureHour, HistoryEntry, Saga, Step
from sagas.store import get_store
from sagas.store.base import Submission

from .kit import Hand, Kit
from .test_rollup import alias, catch_up, own, recount

__all__ = ["alias", "own"]


def sums() -> dict[tuple[str, str, str], tuple[int, int]]:
    """Step, code and pattern → failures, and sagas that stand so."""
    return {(row.step, row.code, row.pattern): (row.total, row.open) for row in FailureGroup.objects.all()}


def found(value: str) -> set[UUID]:
    return set(CRITERIA["group"](Saga.objects.all(), value).values_list("pk", flat=True))


def only() -> FailureGroup:
    row: FailureGroup = FailureGroup.objects.get()
    return row


@pytest.fixture
def stubborn(kit: Kit) -> Any:
    """Nothing is rolled back: it stands failed."""
    return kit.define(kit.step("pay"), kit.step("ship"), rollback=False)


def decline(saga: Saga, hand: Hand, message: str = "card 4111 of order A-7 was declined") -> Saga:
    return hand.run(saga, t.Rejected, code="declined", message=message)


def test_same_failure__is_one_group_with_an_example(stubborn: Any, own: Hand) -> None:
    first = decline(Saga.objects.start(stubborn), own, "card 4111 of 'A' was declined")
    second = decline(Saga.objects.start(stubborn), own, "card 5222 of 'B' was declined")
    other = decline(Saga.objects.start(stubborn), own, "no such card")

    catch_up()

    assert sums() == {
        ("pay", "declined", "card <n> of <text> was declined"): (2, 2),
        ("pay", "declined", "no such card"): (1, 1),
    }
    group = FailureGroup.objects.get(total=2)
    assert group.name == first.name
    assert (group.example, group.example_saga) == ("card 5222 of 'B' was declined", second.pk)
    assert group.first_seen == first.updated_at
    assert group.last_seen == second.updated_at
    assert found(group.pk.hex) == {first.pk, second.pk}
    assert found(FailureGroup.objects.get(total=1).pk.hex) == {other.pk}
    assert sum(FailureHour.objects.values_list("count", flat=True)) == 3


def test_retried_attempt__is_no_failure_until_the_last(kit: Kit, own: Hand) -> None:
    """The last attempt says what the one before said: that is not told twice, and is the reason all the same."""
    saga = Saga.objects.start(kit.define(kit.step("pay"), rollback=False))
    said = {"code": "Timeout", "message": "no answer in 5 s"}
    own.run(saga, t.NoEffect, t.NoEffect, **said)
    catch_up()
    assert not sums()

    saga = own.run(saga, t.NoEffect, **said)
    catch_up()

    assert saga.is_failed
    assert sums() == {("pay", "Timeout", "no answer in <n> s"): (1, 1)}


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_open__shrinks_when_sagas_are_retried(
    size: int, stubborn: Any, own: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "SLICE", size)
    sagas = [decline(Saga.objects.start(stubborn), own) for _ in range(3)]
    catch_up()
    assert (only().total, only().open) == (3, 3)

    sagas[0].retry()
    # Not counted yet; but who looks for them does not find what has moved on.
    assert found(only().pk.hex) == {sagas[1].pk, sagas[2].pk}
    catch_up()
    assert (only().total, only().open) == (3, 2)

    own.run(sagas[0], t.Completed, t.Completed)
    sagas[1].retry()
    decline(sagas[1], own)
    catch_up()
    assert (only().total, only().open) == (4, 2)
    assert found(only().pk.hex) == {sagas[1].pk, sagas[2].pk}
    assert found(f"{only().pk.hex}-ever") == {saga.pk for saga in sagas}


def test_retried_saga__that_fails_in_another_way__changes_the_group(stubborn: Any, own: Hand) -> None:
    saga = decline(Saga.objects.start(stubborn), own)
    catch_up()
    saga.retry()
    decline(saga, own, "the bank is closed")

    catch_up()

    assert {pattern: counts for (_step, _code, pattern), counts in sums().items()} == {
        "card <n> of order A-<n> was declined": (1, 0),
        "the bank is closed": (1, 1),
    }


def test_rolled_back__was_a_failure_and_needs_nobody(kit: Kit, own: Hand) -> None:
    saga = Saga.objects.start(kit.pair())
    own.run(saga, t.Completed)
    decline(saga, own)
    catch_up()

    assert {(step, counts) for (step, _code, _pattern), counts in sums().items()} == {("second", (1, 0))}
    assert not found(only().pk.hex)
    assert found(f"{only().pk.hex}-ever") == {saga.pk}


def test_debt__is_open_and_what_began_the_rollback_is_not(kit: Kit, own: Hand) -> None:
    saga = Saga.objects.start(kit.pair())
    own.run(saga, t.Completed)
    decline(saga, own)
    own.run(saga, t.Rejected, code="locked", message="the order is locked")
    catch_up()

    assert {(step, code, counts) for (step, code, _p), counts in sums().items()} == {
        ("second", "declined", (1, 0)),
        ("first", "locked", (1, 1)),
    }

    saga.refresh_from_db()
    saga.resolve("first", done=True, reason="by hand", actor="ines")
    catch_up()
    assert set(sums().values()) == {(1, 0)}


def test_held_steps__are_failures_though_they_have_not_ended(kit: Kit, own: Hand) -> None:
    crashing = Saga.objects.start(kit.define(kit.step("pay")))
    for _ in range(5):
        own.claim(crashing)
        get_store().apply([Submission(crashing.pk, t.WorkerLost(own.worker))])
    catch_up()

    assert Saga.objects.get(pk=crashing.pk).attention == "crashes"
    assert sums() == {("pay", "worker_lost", "the worker died while it ran this step"): (1, 1)}
    Saga.objects.get(pk=crashing.pk).retry()
    catch_up()
    assert only().open == 0


def test_unknown_because_of_the_rollback__is_no_failure(kit: Kit, own: Hand) -> None:
    saga = Saga.objects.start(kit.define(parallel(kit.step("pay"), kit.step("ship"))))
    claims = get_store().apply([Submission(saga.pk, t.Look())], own.offer())[0].claims
    pay, ship = sorted(claims, key=lambda claim: claim.position)
    own.report(saga, pay, t.InDoubt, code="Timeout", message="no answer")
    own.report(saga, ship, t.Rejected, code="closed", message="closed")
    catch_up()

    assert Step.objects.get(saga=saga, name="pay").status in ("unknown", "compensating")
    assert {(step, code) for step, code, _pattern in sums()} == {("ship", "closed")}


# -- what is true, worked out from the whole history and all rows


def true_totals() -> Counter[tuple[str, str]]:
    """Failures by step and status, as each entry tells them."""
    totals: Counter[tuple[str, str]] = Counter()
    for entry in HistoryEntry.objects.filter(seq__isnull=False):
        for place, diff in entry.data.get("steps", {}).items():
            name = Step.objects.get(saga=entry.saga_id, position=place).name
            if diff.get("status") in ("failed", "compensation_failed"):
                totals[entry.saga.name, name] += 1
            if diff.get("status") == "unknown" and (diff.get("hold") or entry.step == name):
                totals[entry.saga.name, name] += 1
    return totals


def true_open() -> set[tuple[UUID, str]]:
    """Sagas and the steps for which they need somebody."""
    needy = [saga for saga in Saga.objects.all() if saga.is_failed or saga.attention]
    return {
        (saga.pk, step.name)
        for saga in needy
        for step in saga.steps.all()
        if step.status in ("failed", "unknown", "compensation_failed") and (saga.is_failed or step.hold)
    }


def check() -> None:
    totals: Counter[tuple[str, str]] = Counter()
    for row in FailureGroup.objects.all():
        totals[row.name, row.step] += row.total
        assert row.open == FailedSaga.objects.filter(group=row, open=True).count()
    assert totals == true_totals()
    opened = FailedSaga.objects.filter(open=True).values_list("saga_id", "group__step")
    assert set(opened) == true_open()
    hours: Counter[tuple[str, str]] = Counter()
    for hour in FailureHour.objects.select_related("group"):
        hours[hour.group.name, hour.group.step] += hour.count
    assert hours == totals


class Chance:
    """Lets sagas fail, and people mend them, from a seed."""

    def __init__(self, hand: Hand, definitions: list[Any], seed: int) -> None:
        self._hand, self._definitions, self._random = hand, definitions, random.Random(seed)
        self._sagas: list[Saga] = []

    def act(self, times: int) -> None:
        for _ in range(times):
            if self._random.random() < 0.3 or not self._sagas:
                self._sagas.append(Saga.objects.start(self._random.choice(self._definitions)))
                continue
            saga = Saga.objects.get(pk=self._random.choice(self._sagas).pk)
            number = self._random.randint(1, 99)
            said = {"code": self._random.choice(["no", "closed"]), "message": f"order {number} failed"}
            moves: list[Any] = [
                lambda: self._hand.run(saga, t.Completed),  # noqa: B023 - called at once
                lambda: self._hand.run(saga, t.Rejected, **said),  # noqa: B023
                lambda: self._hand.run(saga, t.Rejected, **said),  # noqa: B023
                lambda: self._hand.run(saga, t.InDoubt, **said),  # noqa: B023
                lambda: self._hand.run(saga, t.NoEffect, **said),  # noqa: B023
                lambda: saga.retry(),  # noqa: B023
                lambda: saga.compensate(),  # noqa: B023
            ]
            try:
                self._random.choice(moves)()
            except (ValueError, TransitionNotAllowedError, StoreError):
                pass  # it is not in the mood for that


@pytest.fixture
def definitions(kit: Kit) -> list[Any]:
    return [
        kit.pair(word="pair"),
        kit.define(kit.step("first"), kit.step("second", at_most_once=True), word="stubborn", rollback=False),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_exact__after_each_of_many_looks(seed: int, definitions: list[Any], own: Hand) -> None:
    acts = Chance(own, definitions, seed)
    catch_up()
    for _ in range(5):
        acts.act(20)
        catch_up()

        check()
    assert FailedSaga.objects.filter(open=True).exists()  # not vacuous
    assert FailedSaga.objects.filter(open=False).exists()


@pytest.mark.parametrize("seed", range(3))
def test_exact__of_what_was_there_before__in_slices(
    seed: int, definitions: list[Any], own: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = Chance(own, definitions, seed)
    acts.act(60)
    monkeypatch.setattr(look, "FIRST_WALK", 5)
    monkeypatch.setattr(look, "LATER_WALK", 5)
    monkeypatch.setattr(look, "SLICE", 7)
    while refresh(force=True):
        acts.act(1)
    catch_up()
    recount()
    catch_up()

    check()


def test_crash__before_the_commit_counts_nothing_twice(
    stubborn: Any, own: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    catch_up()
    decline(Saga.objects.start(stubborn), own)

    def dies(*_args: Any) -> None:
        raise RuntimeError("the process is gone")

    with monkeypatch.context() as patch:
        patch.setattr(groups, "forget", dies)
        for _ in range(3):
            with pytest.raises(RuntimeError):
                refresh(force=True)
            assert not FailureGroup.objects.exists()
    catch_up()
    catch_up()

    assert (only().total, only().open) == (1, 1)


def test_full_count__finds_what_the_history_does_not_tell(stubborn: Any, own: Hand) -> None:
    """Failures from before the oldest hour that is counted, and rows that somebody deleted or changed."""
    kept = decline(Saga.objects.start(stubborn), own)
    gone = decline(Saga.objects.start(stubborn), own)
    catch_up()
    for rows in (Step.objects.filter(saga=gone.pk), Saga.objects.filter(pk=gone.pk)):
        rows._raw_delete(rows.db)
    FailedSaga.objects.filter(saga=kept).delete()
    recount()

    assert (only().total, only().open) == (3, 1)  # one of them was seen again, and nobody knows when it was
    assert set(FailedSaga.objects.values_list("saga_id", "open")) == {(kept.pk, True)}
    assert sum(FailureHour.objects.values_list("count", flat=True)) == 2


def test_forgets__sagas_that_need_nobody_and_silent_groups(stubborn: Any, own: Hand) -> None:
    stays, mended = (decline(Saga.objects.start(stubborn), own, text) for text in ("one", "two"))
    mended.retry()
    catch_up()
    FailedSaga.objects.update(at=F("at") - groups.KEEP_SAGAS - timedelta(hours=1))
    FailureHour.objects.update(hour=F("hour") - timedelta(days=9))
    refresh(force=True)
    assert list(FailedSaga.objects.values_list("saga_id", flat=True)) == [stays.pk]
    assert not FailureHour.objects.exists()
    assert FailureGroup.objects.count() == 2

    FailureGroup.objects.update(last_seen=F("last_seen") - groups.KEEP_GROUPS - timedelta(hours=1))
    refresh(force=True)
    assert list(FailureGroup.objects.values_list("pattern", flat=True)) == ["one"]


def test_deleted_saga__takes_its_membership_along(stubborn: Any, own: Hand) -> None:
    saga = decline(Saga.objects.start(stubborn), own)
    decline(Saga.objects.start(stubborn), own)
    catch_up()
    saga.delete()
    assert FailedSaga.objects.count() == 1
    recount()
    assert (only().total, only().open) == (2, 1)


@pytest.mark.parametrize(
    "value", ["", "x", "00" * 15, f"{'00' * 16}-now", "00" * 16 + "\x00", f"{'00' * 16}-ever-ever"]
)
def test_criterion__refuses_what_is_no_signature(value: str, db: None) -> None:
    with pytest.raises(CriterionError, match="signature"):
        found(value)


def test_criterion__unknown_group_is_empty(db: None) -> None:
    assert found("00" * 16) == set()


def test_hostile_history__stops_nothing(stubborn: Any, own: Hand) -> None:
    saga = decline(Saga.objects.start(stubborn), own)
    evil: list[Any] = [
        {"steps": {"x": {"status": "failed"}, "²": {"status": "failed"}, "1": "failed", "7": {"status": "failed"}}},
        {"steps": ["failed"]},
        {"steps": {"0": {"status": "failed", "error_code": 7, "error_message": ["failed"]}}},
        ["failed"],
    ]
    for number, data in enumerate(evil):
        HistoryEntry.objects.create(
            saga=saga, seq=100 + number, kind="rejected", step="pay", data=data, at=timezone.now()
        )

    catch_up()

    assert FailureGroup.objects.exists()
