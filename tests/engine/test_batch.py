"""Batches: exactly the sagas that were meant, once each, at the rate, and no further than into the tenth failure."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection

from sagas import step
from sagas.core import triggers as t
from sagas.engine import batch as batches
from sagas.engine.batch import stepping, verdict
from sagas.exceptions import BatchError, BatchNotAllowedError, PayloadError
from sagas.models import Batch, BatchItem, HistoryEntry, Saga
from sagas.store import get_store
from sagas.store.base import Submission
from tests.store.threads import at_once

from .kit import Hand, Kit

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture(params=["postgres", "sqlite"])
def place(request: pytest.FixtureRequest, transactional_db: None, settings: Any) -> str:
    """The database that the sagas are in."""
    if request.param == "postgres":
        return "default"
    alias: str = request.getfixturevalue("lite")
    settings.SAGAS = {**settings.SAGAS, "DATABASE": alias}
    return alias


@pytest.fixture
def hand(place: str) -> Hand:
    return Hand(place)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks again at once what became of the sagas."""
    for module in (verdict, stepping):
        monkeypatch.setattr(module, "WATCH", timedelta(milliseconds=1))


@pytest.fixture
def failed(kit: Kit, hand: Hand, place: str) -> Callable[..., list[Saga]]:
    """Sagas whose first step was rejected, and that were not rolled back."""

    def make(count: int, word: str = "saga", **options: Any) -> list[Saga]:
        pair = kit.define(kit.step(f"{word}_a"), kit.step(f"{word}_b"), word=word)
        sagas = [Saga.objects.start(pair, rollback=False, **options) for _ in range(count)]
        return [hand.run(saga, t.Rejected, code="declined", message="no") for saga in sagas]

    return make


def make(verb: str = "retry", *, reason: str = "the bank is back", rate: float = 100, **filters: Any) -> Batch:
    return batches.create(verb, filters or {"state": "failed"}, reason=reason, actor="ines", rate=rate)


def drive(batch: Batch, rounds: int = 60, then: Callable[[], Any] = lambda: None) -> Batch:
    """Let a worker look so often, or until nothing more happens to the batch."""
    for _ in range(rounds):
        batches.step()
        then()
        batch.refresh_from_db()
        if batch.state not in ("queued", "going"):
            break
        time.sleep(0.003)
    return batch


def acted(batch: Batch) -> list[Any]:
    return list(batch.items.order_by("pk").values_list("saga_id", flat=True))


def answer(hand: Hand, kind: type[t.AttemptTrigger], **details: Any) -> Callable[[], None]:
    """What the participant says to everything that is asked of it."""

    def say() -> None:
        for saga in Saga.objects.filter(state="started"):
            hand.run(saga, kind, **details)

    return say


# -- which sagas


def test_filters__are_held_against_the_criteria() -> None:
    for given, words in (
        ({}, "Set a filter"),
        ({"state": ""}, "Set a filter"),
        ({"colour": "red"}, "“colour” is no filter"),
        ({"state": "odd"}, "state: expected one of"),
        ({"since": "yesterday"}, "since: expected a time"),
        ({"version": "1"}, "Choose a definition"),
        ({"q": "a\x00b"}, "q: expected"),
        ({"q": 7}, "q: expected"),
    ):
        with pytest.raises(BatchError, match=words):
            batches.read_filters(given)


def test_filters__times_stay_where_they_are() -> None:
    found = batches.read_filters({"since": "24h", "state": "failed ".strip()})

    assert found["since"].startswith("20")
    assert batches.read_filters(found) == found


def test_batch__takes_what_its_filters_find_and_nothing_else(failed: Callable[..., list[Saga]]) -> None:
    meant = failed(3, "meant", owner="ann")
    failed(2, "others")
    batch = make(owner="ann", state="failed")
    later = failed(1, "later", owner="ann")

    drive(batch, rounds=20)

    assert batch.expected == 3
    assert acted(batch) == sorted(saga.pk for saga in meant)
    assert Saga.objects.get(pk=later[0].pk).is_failed
    entries = HistoryEntry.objects.filter(kind="retry")
    assert {(entry.actor, entry.reason) for entry in entries} == {("ines", f"batch {batch.pk}: the bank is back")}
    assert entries.count() == 3


def test_batch__leaves_alone_what_does_not_match_any_more(failed: Callable[..., list[Saga]]) -> None:
    first, second = failed(2)
    batch = make()
    first.retry(actor="paul")

    drive(batch, rounds=10)

    assert acted(batch) == [second.pk]


def test_batch__of_words_that_were_searched_for(failed: Callable[..., list[Saga]]) -> None:
    saga, _other = failed(2)
    batch = make(q=saga.ulid)

    drive(batch, rounds=5)

    assert acted(batch) == [saga.pk]


@pytest.mark.parametrize("verb", ["compensate", "cancel", "retry", "run_now", "pause", "resume"])
def test_verbs__are_those_of_the_engine(verb: str, failed: Callable[..., list[Saga]], kit: Kit, hand: Hand) -> None:
    sagas = {
        "compensate": lambda: hand.run(Saga.objects.start(kit.pair()), t.Completed),
        "cancel": lambda: hand.run(Saga.objects.start(kit.pair()), t.Completed),
        "retry": lambda: failed(1)[0],
        "run_now": lambda: Saga.objects.start(kit.define(kit.step("x", delay=3600))),
        "pause": lambda: Saga.objects.start(kit.pair()),
        "resume": lambda: Saga.objects.start(kit.pair()).pause(),
    }
    saga = sagas[verb]()
    if verb == "run_now":
        hand_look(saga, hand)
    batch = make(verb, name=saga.name)

    drive(batch, rounds=5)

    assert acted(batch) == [saga.pk]
    assert HistoryEntry.objects.filter(saga=saga, kind=verb, actor="ines").count() == 1, batch.items.get().message


def hand_look(saga: Saga, hand: Hand) -> None:
    get_store().apply([Submission(saga.pk, t.Look())], hand.offer())


def test_create__refuses_what_makes_no_sense(failed: Callable[..., list[Saga]]) -> None:
    failed(1)

    for error, options in (
        (BatchError, {"verb": "approve"}),
        (BatchError, {"rate": 0}),
        (BatchError, {"rate": float("nan")}),
        (BatchError, {"rate": 1000}),
        (PayloadError, {"reason": " "}),
        (PayloadError, {"reason": "x" * 2000}),
        (BatchError, {"state": "completed"}),
    ):
        with pytest.raises(error):
            make(**options)
    assert not Batch.objects.exists()


# -- at which rate


def test_rate__is_kept_by_any_number_of_workers(failed: Callable[..., list[Saga]], place: str) -> None:
    failed(12)
    batch = make(rate=20)
    begun = time.monotonic()

    while batch.done < 8:
        if place == "default":
            at_once(*[batches.step] * 3)
        else:
            batches.step()
        batch.refresh_from_db()

    # The first at once, up to six that a tardy worker may make up for, and one each 50 ms.
    assert time.monotonic() - begun >= (8 - 6) / 20
    times = list(batch.items.order_by("pk").values_list("acted_at", flat=True))
    assert (times[7] - times[0]).total_seconds() >= (8 - 6) / 20
    assert len(set(acted(batch))) == len(acted(batch))


def test_step__rests_until_there_is_something_to_do(failed: Callable[..., list[Saga]]) -> None:
    assert batches.step() == stepping.IDLE
    failed(2)
    make(rate=0.5)

    assert batches.step() == stepping.IDLE
    assert BatchItem.objects.count() == 1
    assert 0 < batches.step() <= stepping.IDLE
    assert BatchItem.objects.count() == 1


# -- when it stops


def test_first_ten_fail_again__it_stops_itself(failed: Callable[..., list[Saga]], hand: Hand) -> None:
    failed(14)
    batch = make()

    drive(batch, then=answer(hand, t.Rejected, code="declined", message="still no"))

    assert (batch.state, batch.why) == ("stopped", "in_a_row")
    assert (batch.acted, batch.failed, batch.ok) == (10, 10, 0)
    assert Counter(batch.items.values_list("outcome", "message")) == {("failed", "declined: still no"): 10}
    assert batch.events[-1]["again"] == 10


def test_nothing_is_known_of_the_first_ten__no_more_are_sent(
    failed: Callable[..., list[Saga]], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed(14)
    batch = make()

    drive(batch, rounds=40)
    assert (batch.state, batch.acted, batch.unknown) == ("going", 10, 10)

    # It drips.
    monkeypatch.setattr(verdict, "DRIP", timedelta(0))
    drive(batch, rounds=2)
    assert batch.acted > 10


def test_they_go_well__it_goes_on_to_the_end(failed: Callable[..., list[Saga]], hand: Hand) -> None:
    failed(25)
    batch = make()

    drive(batch, then=answer(hand, t.Completed), rounds=200)

    assert (batch.state, batch.acted, batch.ok, batch.failed) == ("done", 25, 25, 0)
    assert batch.ended_at


def test_ten_in_a_row_later_on__stop_it_too(failed: Callable[..., list[Saga]], hand: Hand) -> None:
    failed(40)
    batch = make(rate=50)  # a look that comes late takes 13 at once: 35 of them in the worst case
    well, badly = answer(hand, t.Completed), answer(hand, t.Rejected, code="declined", message="no")

    drive(batch, then=lambda: (well if Batch.objects.get().ok < 10 else badly)(), rounds=600)

    assert batch.state == "stopped"
    assert batch.ok >= 10
    assert batch.failed >= 10
    assert batch.acted < 40


def test_all_of_a_few_fail_again__it_says_so(failed: Callable[..., list[Saga]], hand: Hand) -> None:
    failed(3)
    batch = make()

    drive(batch, then=answer(hand, t.Rejected, code="declined", message="no"))

    assert (batch.state, batch.why, batch.failed) == ("stopped", "all", 3)


def test_ten_refusals__stop_it_and_it_can_go_on(kit: Kit) -> None:
    pair = kit.pair()
    for _ in range(25):
        Saga.objects.start(pair)
    batch = drive(make(name=pair.name))
    assert (batch.state, batch.refused, batch.acted) == ("stopped", 10, 0)
    assert "it moves by itself" in batch.items.all()[0].message

    batches.go_on(batch.pk, actor="paul", reason="I know")
    drive(batch, rounds=100)

    assert (batch.state, batch.refused) == ("done", 25)
    assert [event["what"] for event in batch.events] == ["stopped", "go_on"]


def test_go_on__stops_again_after_ten_more(failed: Callable[..., list[Saga]], hand: Hand) -> None:
    failed(30)
    batch, fail = make(), answer(hand, t.Rejected, code="declined", message="no")
    drive(batch, then=fail)

    batches.go_on(batch.pk)
    drive(batch, then=fail)

    assert (batch.state, batch.failed) == ("stopped", 20)


def test_rolled_back_after_a_retry__has_failed_again(kit: Kit, hand: Hand) -> None:
    pair = kit.pair()
    saga = Saga.objects.start(pair)
    hand.run(saga, t.InDoubt, code="timeout", message="?")
    saga.refresh_from_db()
    batch = make(name=pair.name)
    drive(batch, rounds=3)
    assert batch.acted == 1, batch.items.get().message

    hand.run(saga, t.Rejected, code="declined", message="no")
    drive(batch)

    assert batch.items.get().outcome == "failed"


def test_compensate__a_debt_has_failed_and_one_undo_is_not_all(kit: Kit, hand: Hand) -> None:
    good, bad = (Saga.objects.start(kit.define(kit.step("a"), kit.step("b"), kit.step("c"), word=w)) for w in "gb")
    for saga in (good, bad):
        hand.run(saga, t.Completed, t.Completed)
    batch = make("compensate", state="started")
    drive(batch, rounds=10)
    assert batch.acted == 2

    for saga in (good, bad):
        hand.run(saga, t.Completed)
    drive(batch, rounds=3)
    assert batch.unknown == 2
    hand.run(good, t.Completed)
    hand.run(bad, t.Rejected, code="locked", message="no")
    drive(batch)

    assert dict(batch.items.values_list("saga_id", "outcome")) == {good.pk: "ok", bad.pk: "failed"}
    assert batch.state == "done"


def test_resume__what_waits_for_the_outside_world_went_well(kit: Kit, hand: Hand) -> None:
    saga = Saga.objects.start(kit.define(step("paid", wait_for="paid")))
    hand_look(saga, hand)
    saga.pause()
    batch = make("resume", paused="yes")

    drive(batch)

    assert (batch.state, batch.ok) == ("done", 1)


# -- by whom


def test_permission__is_asked_for_each_definition(failed: Callable[..., list[Saga]], settings: Any) -> None:
    mine, theirs = failed(2, "mine"), failed(2, "theirs")
    settings.SAGAS = {**settings.SAGAS, "OPERATORS": {theirs[0].name: {"retry": ["finance"]}}}
    user = User.objects.create(username="ines")
    user.user_permissions.add(Permission.objects.get(codename="retry_saga"))
    with pytest.raises(BatchNotAllowedError):
        batches.create("retry", {"name": theirs[0].name}, reason="x", user=user)
    with pytest.raises(BatchNotAllowedError):
        batches.create("compensate", {"state": "failed"}, reason="x", user=user)

    batch = batches.create("retry", {"state": "failed"}, reason="x", actor="ines", user=user, rate=100)
    drive(batch, rounds=20)

    outcomes = dict(batch.items.values_list("saga_id", "message"))
    assert outcomes == {**{saga.pk: "" for saga in mine}, **{saga.pk: "forbidden" for saga in theirs}}
    assert all(Saga.objects.get(pk=saga.pk).is_failed for saga in theirs)
    User.objects.all().delete()


def test_permission_taken_away__stops_it(failed: Callable[..., list[Saga]]) -> None:
    failed(2)
    user = User.objects.create(username="ines", is_superuser=True)
    batch = batches.create("retry", {"state": "failed"}, reason="x", user=user)
    User.objects.filter(pk=user.pk).update(is_active=False)

    drive(batch, rounds=3)

    assert (batch.state, batch.why, batch.done) == ("stopped", "not_allowed", 0)
    User.objects.all().delete()


# -- steering


def test_steering__from_every_state(failed: Callable[..., list[Saga]]) -> None:
    failed(3)
    allowed = {
        "queued": {"pause", "cancel"},
        "going": {"pause", "cancel"},
        "paused": {"resume", "cancel"},
        "stopped": {"go_on", "cancel"},
        "cancelled": set(),
        "done": set(),
    }
    for state, verbs in allowed.items():
        for verb in ("pause", "resume", "go_on", "cancel"):
            batch = make()
            Batch.objects.filter(pk=batch.pk).update(state=state)
            steer = getattr(batches, verb)
            if verb in verbs:
                after = steer(batch.pk, actor="paul", reason="why not")
                assert after.events[-1] | {"at": ""} == {"at": "", "what": verb, "actor": "paul", "reason": "why not"}
            else:
                with pytest.raises(BatchError):
                    steer(batch.pk)
    with pytest.raises(BatchError, match="no such batch"):
        batches.pause(0)


def test_paused__acts_on_no_further_saga(failed: Callable[..., list[Saga]]) -> None:
    failed(5)
    batch = make(rate=1)
    batches.step()
    batches.pause(batch.pk)

    drive(batch, rounds=3)
    assert (batch.state, batch.acted) == ("paused", 1)
    batches.resume(batch.pk)
    drive(batch, rounds=1)
    assert batch.acted == 2


# -- what goes wrong


def test_saga_that_can_not_be_read__is_refused_and_the_others_go_on(
    failed: Callable[..., list[Saga]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sagas = sorted(failed(3), key=lambda saga: saga.pk)
    real = dict(batches.VERBS)

    def odd(key: Any, **options: Any) -> Saga:
        if key == sagas[1].pk:
            raise KeyError("odd")
        return real["retry"](key, **options)

    monkeypatch.setattr(stepping, "VERBS", {**real, "retry": odd})
    batch = drive(make(), rounds=10)

    assert [item.message for item in batch.items.order_by("pk")] == ["", "unreadable", ""]


def test_filter_that_is_gone__stops_it(failed: Callable[..., list[Saga]]) -> None:
    failed(1)
    batch = make()
    Batch.objects.filter(pk=batch.pk).update(filters={"gone": "x"})

    drive(batch, rounds=3)

    assert (batch.state, batch.why) == ("stopped", "bad_filter")


def test_many_workers__each_saga_once(failed: Callable[..., list[Saga]], place: str, hand: Hand) -> None:
    if place != "default":
        pytest.skip("threads of one process share a writer's lock")
    failed(30)
    batch = make()
    well = answer(hand, t.Completed)

    for _ in range(200):
        at_once(*[batches.step] * 4)
        well()
        batch.refresh_from_db()
        if batch.state == "done":
            break

    assert (batch.state, batch.ok) == ("done", 30)
    assert len(set(acted(batch))) == 30
    assert HistoryEntry.objects.filter(kind="retry").count() == 30
    assert connection.vendor == "postgresql"
