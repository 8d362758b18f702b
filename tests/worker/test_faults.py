"""Workers that die, freeze, forget handlers or meet results that the database refuses."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, connections

from sagas import StepContext
from sagas.core import triggers as t
from sagas.core.attempts import MAX_CRASHES
from sagas.definitions.ids import new_id
from sagas.definitions.registry import registry
from sagas.exceptions import StoreDataError
from sagas.models import Saga, Step
from sagas.models import Worker as WorkerRow
from sagas.store import get_store
from sagas.store.base import Submission
from tests.engine.kit import Hand, Kit
from tests.services.waiting import wait_until
from tests.store.threads import in_thread

from .conftest import Crew, ended, fresh, statuses
from .test_running import several_sweeps

pytestmark = pytest.mark.usefixtures("place")


def lose(saga: Saga, hand: Hand) -> None:
    """Its worker dies in the middle of a step."""
    hand.claim(saga)
    get_store().apply([Submission(saga.pk, t.WorkerLost(hand.worker))])


def row(hand: Hand, **values: Any) -> WorkerRow:
    """The row of the worker that is done by hand: nobody beats for it."""
    found: WorkerRow = WorkerRow.objects.using(hand.alias).create(id=hand.worker, host="elsewhere", pid=1, **values)
    return found


# -- death --------------------------------------------------------------------------------------------------------


def test_dead_worker__step_runs_again_with_the_same_key(kit: Kit, crew: Crew, hand: Hand) -> None:
    seen: list[Any] = []
    saga = Saga.objects.start(kit.define(kit.step("only", lambda ctx: seen.append((ctx.attempt, ctx.idempotency_key)))))
    lose(saga, hand)
    assert saga.steps.get().doubt

    crew.burst()

    assert fresh(saga).is_completed
    assert seen == [(2, f"{saga.ulid}:only:1:do")]
    assert saga.steps.get().crashes == 0


def test_claim_of_a_worker_without_a_row__is_taken_over(kit: Kit, crew: Crew, hand: Hand) -> None:
    saga = Saga.objects.start(kit.pair())
    hand.claim(saga)

    crew.start()

    assert ended(saga)[0].is_completed
    assert "worker_lost" in saga.history.values_list("kind", flat=True)


@pytest.mark.parametrize("how", ["marked dead", "beat stands still"])
def test_claim_of_a_dead_worker__is_taken_over_and_its_row_goes(
    kit: Kit, crew: Crew, hand: Hand, quick: Any, place: str, how: str
) -> None:
    quick(LEASE=0.4, DATABASE=place)
    sagas = Saga.objects.start_many(kit.pair(), [{}] * 3)
    for saga in sagas:
        hand.claim(saga)
    row(hand, dead=how == "marked dead")

    crew.start()

    assert all(saga.is_completed for saga in ended(*sagas))
    assert all(Step.objects.using(place).get(saga=saga, name="first").attempt == 2 for saga in sagas)
    wait_until(lambda: not WorkerRow.objects.using(place).filter(pk=hand.worker).exists())


def test_live_worker__keeps_its_claim(kit: Kit, crew: Crew, hand: Hand, quick: Any, place: str) -> None:
    quick(LEASE=0.4, DATABASE=place)
    saga = Saga.objects.start(kit.pair())
    claim = hand.claim(saga)
    beating = row(hand)
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.1):
            beating.beat += 1
            beating.save(using=place)

    heart = in_thread(beat)
    worker = crew.start()
    several_sweeps(worker, 30)

    assert saga.steps.get(name="first").claim_token == claim.token
    stop.set()
    heart.result()
    assert ended(saga)[0].is_completed


def test_rollback__interrupted_action_counts_as_unknown_and_is_undone(kit: Kit, crew: Crew, hand: Hand) -> None:
    undone: list[Any] = []
    called: list[int] = []
    step = kit.step("only", lambda ctx: called.append(1), lambda ctx: undone.append((ctx.outcome, ctx.output)))
    saga = Saga.objects.start(kit.define(step))
    hand.claim(saga)
    saga.compensate()

    crew.start()

    assert ended(saga)[0].is_compensated
    assert (called, undone) == ([], [("unknown", None)])


def test_late_result_of_a_dead_worker__is_a_note(kit: Kit, crew: Crew, hand: Hand) -> None:
    saga = Saga.objects.start(kit.define(kit.step("only")))
    claim = hand.claim(saga)
    crew.start()
    ended(saga)

    result = hand.report(saga, claim, t.Completed)

    assert result.verdict.value == "ignored"
    assert [entry.kind for entry in saga.history.filter(seq=None)] == ["late_completed"]


def test_five_crashes__held_for_a_person(kit: Kit, crew: Crew, hand: Hand) -> None:
    called: list[int] = []
    saga = Saga.objects.start(kit.define(kit.step("killer", lambda ctx: called.append(1))))
    for number in range(1, MAX_CRASHES + 1):
        assert not fresh(saga).attention
        lose(saga, hand)
        assert saga.steps.get().crashes == number

    worker = crew.start()
    several_sweeps(worker)
    assert (fresh(saga).attention, called) == ("crashes", [])
    saga.retry(reason="mended")

    assert ended(saga)[0].is_completed
    assert saga.steps.get().crashes == 0


def test_crashed_steps__run_one_at_a_time_in_a_process(kit: Kit, crew: Crew, hand: Hand) -> None:
    together, most = [0], [0]
    lock = threading.Lock()

    def handler(ctx: StepContext) -> None:
        with lock:
            together[0] += 1
            most[0] = max(most[0], together[0])
        threading.Event().wait(0.05)
        with lock:
            together[0] -= 1

    sagas = Saga.objects.start_many(kit.define(kit.step("only", handler)), [{}] * 4)
    for saga in sagas:
        lose(saga, hand)

    crew.start(threads=4)

    assert all(saga.is_completed for saga in ended(*sagas))
    assert most == [1]


def test_taken_for_dead__starts_anew_and_what_it_ran_does_not_count(kit: Kit, crew: Crew, place: str) -> None:
    first, go_on = threading.Event(), threading.Event()
    calls: list[int] = []

    def handler(ctx: StepContext) -> Any:
        calls.append(ctx.attempt)
        if len(calls) == 1:
            first.set()
            assert go_on.wait(20)
        return {"attempt": ctx.attempt}

    saga = Saga.objects.start(kit.define(kit.step("only", handler)))
    worker = crew.start()
    assert first.wait(10)
    old = worker.identity.id

    WorkerRow.objects.using(place).filter(pk=old).update(dead=True)
    wait_until(lambda: worker.identity.id != old)

    assert ended(saga)[0].is_completed
    go_on.set()
    assert crew.stop(worker) == 0
    assert saga.steps.get().output == {"attempt": 2}
    assert [entry.kind for entry in saga.history.filter(seq=None)] == ["late_completed"]


def test_claim_of_this_process_that_nothing_runs__is_handed_back(
    kit: Kit, crew: Crew, caplog: pytest.LogCaptureFixture
) -> None:
    # The answer to a claim was lost, and so was the memory of it.
    saga = Saga.objects.start(kit.pair())
    worker = crew.start(queues=["elsewhere"])
    hand = Hand(saga._state.db)
    hand.worker = worker.identity.id
    hand._token = 10_000
    hand.claim(saga)

    wait_until(lambda: "handed_back" in saga.history.values_list("kind", flat=True))
    assert statuses(saga)["first"] == "pending"
    assert not saga.steps.first().doubt
    assert "was never run" in caplog.text


def test_stop__hands_back_nothing_that_ran_and_leaves_no_row(kit: Kit, crew: Crew, place: str) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def handler(ctx: StepContext) -> None:
        begun.set()
        assert go_on.wait(20)

    saga = Saga.objects.start(kit.define(kit.step("slow", handler), kit.step("next")))
    worker = crew.start()
    assert begun.wait(10)

    stopping = in_thread(lambda: crew.stop(worker))
    wait_until(lambda: worker.draining)
    go_on.set()

    assert stopping.result() == 0
    assert statuses(saga) == {"slow": "completed", "next": "pending"}
    assert not WorkerRow.objects.using(place).exists()


def test_stop__with_sagas_waiting_for_a_slot__does_not_wait_for_them(
    kit: Kit, crew: Crew, quick: Any, place: str
) -> None:
    quick(GRACE=60, DATABASE=place)
    begun, go_on = threading.Event(), threading.Event()

    def handler(ctx: StepContext) -> None:
        begun.set()
        assert go_on.wait(20)

    sagas = Saga.objects.start_many(kit.define(kit.step("slow", handler)), [{}] * 10)
    worker = crew.start(threads=1)
    assert begun.wait(10)

    stopping = in_thread(lambda: crew.stop(worker))
    wait_until(lambda: worker.draining)
    # A sweep, or a hint, that was on its way when the worker was told to stop.
    for saga in sagas:
        worker.committer.look(saga.pk)
    go_on.set()

    assert stopping.result(within=15) == 0


def test_stop__after_the_grace__leaves_the_rest_to_others(kit: Kit, crew: Crew, quick: Any, place: str) -> None:
    quick(GRACE=0.3, DATABASE=place)
    begun, go_on = threading.Event(), threading.Event()

    def handler(ctx: StepContext) -> Any:
        begun.set()
        assert ctx.attempt > 1 or go_on.wait(30)
        return {"attempt": ctx.attempt}

    saga = Saga.objects.start(kit.define(kit.step("slow", handler)))
    worker = crew.start()
    assert begun.wait(10)

    assert crew.stop(worker) == 0
    assert WorkerRow.objects.using(place).get(pk=worker.identity.id).dead
    crew.start()

    assert ended(saga)[0].is_completed
    go_on.set()
    assert saga.steps.get().output == {"attempt": 2}


# -- handlers that nobody knows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["at the start", "later on", "in the rollback"])
def test_missing_handler__attention_until_a_worker_knows_it(kit: Kit, crew: Crew, hand: Hand, moment: str) -> None:
    definition = kit.define(kit.step("first"), kit.step("second"))
    saga = Saga.objects.start(definition)
    name = kit.name({"at the start": "first", "later on": "second", "in the rollback": "unfirst"}[moment])
    if moment == "in the rollback":
        hand.run(saga, t.Completed)
        saga.compensate()
    known = registry.handlers.pop(name)

    worker = crew.start()
    wait_until(lambda: fresh(saga).attention == "no_handler")
    assert not fresh(saga).is_terminal
    crew.stop(worker)
    registry.handlers[name] = known
    crew.start()

    # Nobody had to do anything: it heals, though not at once (held sagas are looked at once a minute).
    Saga.objects.using(saga._state.db).filter(pk=saga.pk).update(wake_at=saga.created_at)
    found = ended(saga)[0]
    assert (found.is_completed or found.is_compensated, found.attention) == (True, "")


def test_handler_that_another_worker_knows__is_left_to_it(kit: Kit, crew: Crew, place: str) -> None:
    # A rolling deploy: the old worker passes over what the new one can run, and postpones nothing.
    saga = Saga.objects.start(kit.pair())
    new = row(Hand(place), handlers=[kit.name("first"), kit.name("second")])
    beats = threading.Event()

    def beat() -> None:
        while not beats.wait(0.1):
            WorkerRow.objects.using(place).filter(pk=new.pk).update(beat=new.beat)
            new.beat += 1

    heart = in_thread(beat)
    known = {name: registry.handlers.pop(kit.name(name)) for name in ("first", "second", "unfirst", "unsecond")}
    worker = crew.start()
    several_sweeps(worker, 20)

    assert (fresh(saga).attention, fresh(saga).revision) == ("", 1)
    assert fresh(saga).wake_at <= get_store().now()
    beats.set()
    heart.result()
    registry.handlers.update({kit.name(name): handler for name, handler in known.items()})


def test_queues__only_what_it_serves(kit: Kit, crew: Crew, place: str) -> None:
    payments = kit.define(kit.step("pay", handler={"queue": "payments"}), kit.step("book"), word="payments")
    plain = kit.define(kit.step("plain"), word="plain")
    paying, other = Saga.objects.start(payments), Saga.objects.start(plain)

    first = crew.start(queues=["payments"])
    wait_until(lambda: statuses(paying)["pay"] == "completed")
    several_sweeps(first)
    assert (statuses(paying)["book"], statuses(other)["plain"]) == ("pending", "pending")
    assert WorkerRow.objects.using(place).get(pk=first.identity.id).queues == ["payments"]
    crew.stop(first)

    crew.burst(queues=[""])
    assert all(fresh(saga).is_completed for saga in (paying, other))


def test_stopped_queue__does_not_block_the_others(kit: Kit, crew: Crew) -> None:
    stopped = kit.define(kit.step("pay", handler={"queue": "payments"}), word="stopped")
    Saga.objects.start_many(stopped, [{}] * 40)
    saga = Saga.objects.start(kit.pair())

    crew.start(queues=[""], threads=2)

    assert ended(saga)[0].is_completed


# -- results that the database refuses ----------------------------------------------------------------------------


@pytest.fixture
def no_poison(place: str) -> Iterator[None]:
    """The database will not have one output."""
    if connections[place].vendor == "sqlite":
        trigger = """CREATE TRIGGER no_poison BEFORE UPDATE ON sagas_step WHEN json_extract(NEW.output, '$.poison')
            BEGIN SELECT RAISE(ABORT, 'no poison here'); END"""
        with connections[place].cursor() as cursor:
            cursor.execute(trigger)
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sagas_step ADD CONSTRAINT no_poison CHECK (output->>'poison' IS NULL)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sagas_step DROP CONSTRAINT no_poison")


def test_result_that_is_refused_for_good__is_not_taken_for_never_run(
    kit: Kit, crew: Crew, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []
    name = kit.define(kit.step("only", lambda ctx: called.append(ctx.attempt)))
    worker = crew.start()
    apply = worker.store.apply

    def refusing(submissions: Any, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(submission.trigger, t.Completed | t.Unrecorded) for submission in submissions):
            raise StoreDataError("nothing of it, not even without its payload")
        return apply(submissions, *args, **kwargs)

    monkeypatch.setattr(worker.store, "apply", refusing)
    saga = Saga.objects.start(name)
    audits = threading.Event()
    audit = worker.beat.audit
    left = iter(range(3))
    worker.beat.audit = lambda: (audit(), next(left, None) is None and audits.set())  # type: ignore[assignment]
    wait_until(lambda: called)
    assert audits.wait(30)

    # It may have had its effect: whoever runs it next must know that.
    assert "handed_back" not in saga.history.values_list("kind", flat=True)
    monkeypatch.undo()
    assert crew.stop(worker) == 0
    crew.start()
    assert ended(saga)[0].is_completed
    assert called == [1, 2]
    assert "worker_lost" in saga.history.values_list("kind", flat=True)


@pytest.mark.usefixtures("no_poison")
def test_poisoned_saga_in_a_group_of_fifty__49_land_and_one_is_in_attention(kit: Kit, crew: Crew) -> None:
    line = threading.Barrier(50, timeout=30)

    def handler(ctx: StepContext) -> Any:
        line.wait()
        return {"poison": 1} if ctx.context["n"] == 23 else {"n": ctx.context["n"]}

    definition = kit.define(kit.step("only", handler), kit.step("next"))
    sagas = Saga.objects.start_many(definition, [{"context": {"n": n}} for n in range(50)])

    crew.start(threads=51)  # one is kept for compensations; all fifty end at the same moment
    wait_until(lambda: fresh(sagas[23]).attention, within=30)

    others = sagas[:23] + sagas[24:]
    assert all(saga.is_completed for saga in ended(*others))
    held = fresh(sagas[23])
    assert (held.is_started, held.attention) == (True, "unrecorded")
    assert statuses(held) == {"only": "unknown", "next": "pending"}


def test_broken_saga__does_not_stop_the_worker(
    kit: Kit, crew: Crew, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    pair = kit.pair()
    broken, saga = Saga.objects.start_many(pair, [{}, {}])
    Step.objects.using(place).filter(saga=broken, name="first").update(status="dreaming")

    worker = crew.start()

    assert ended(saga)[0].is_completed
    several_sweeps(worker, 10)
    assert ended(Saga.objects.start(pair))[0].is_completed
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR and record.name != "asyncio"]
    assert len(errors) == 1, [record.getMessage() for record in errors]
    Saga.objects.using(place).filter(pk=broken.pk).delete()


def test_engine_fault_in_the_committer__ends_the_process(kit: Kit, crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    # A thread that has died would leave a process that beats, holds claims and does nothing.
    saga = Saga.objects.start(kit.pair())
    worker = crew.start()

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(worker.store, "apply", broken)
    worker.committer.look(new_id())

    assert crew.join(worker) == 3
    assert worker.fatal
    monkeypatch.undo()
    if fresh(saga).is_terminal:
        return
    crew.start()
    assert ended(saga)[0].is_completed
