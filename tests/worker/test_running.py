"""What a worker makes of sagas: forward, backward, again, and in time."""

import threading
from typing import Any

import pytest
from django.contrib.auth.models import Group

from sagas import Rejected, Retryable, RetryPolicy, StepContext, parallel
from sagas.models import Saga
from tests.engine.kit import Kit
from tests.services.waiting import wait_until

from .conftest import Crew, ended, fresh, statuses

pytestmark = pytest.mark.usefixtures("place")


class Log:
    """What handlers did, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.keys: list[str] = []

    def do(self, ctx: StepContext) -> dict[str, Any]:
        self.lines.append(ctx.step)
        self.keys.append(ctx.idempotency_key)
        return {"by": ctx.step}

    def undo(self, ctx: StepContext) -> None:
        self.lines.append(f"-{ctx.step}")


@pytest.fixture
def log() -> Log:
    return Log()


def raising(*errors: BaseException | None) -> Any:
    """Raises one after the other; None (and when they are used up): it works."""
    left = list(errors)

    def handler(ctx: StepContext) -> Any:
        error = left.pop(0) if left else None
        if error is not None:
            raise error
        return {"attempt": ctx.attempt}

    return handler


def test_success__steps_in_order_with_the_outputs_before(kit: Kit, crew: Crew, log: Log) -> None:
    seen: list[Any] = []

    def last(ctx: StepContext) -> None:
        seen.append((dict(ctx.outputs), ctx.input, dict(ctx.context)))

    definition = kit.define(
        kit.step("one", log.do, log.undo),
        parallel(kit.step("two", log.do, log.undo), kit.step("three", log.do, undo=None)),
        kit.step("last", last, input=lambda context, outputs: {"from": outputs["one"]["by"], "n": context["n"]}),
    )
    saga = Saga.objects.start(definition, context={"n": 7})

    assert crew.burst() == 0

    assert fresh(saga).is_completed
    assert log.lines[0] == "one"
    assert sorted(log.lines[1:]) == ["three", "two"]
    outputs = {"one": {"by": "one"}, "two": {"by": "two"}, "three": {"by": "three"}}
    assert seen == [(outputs, {"from": "one", "n": 7}, {"n": 7})]


def test_rejection__is_undone_in_reverse(kit: Kit, crew: Crew, log: Log) -> None:
    definition = kit.define(
        kit.step("one", log.do, log.undo),
        kit.step("two", log.do, log.undo),
        kit.step("three", raising(Rejected("none left", code="no_stock")), log.undo),
    )
    saga = Saga.objects.start(definition)

    crew.burst()

    found = fresh(saga)
    assert (found.is_compensated, found.error_code, found.error_message) == (True, "no_stock", "none left")
    assert log.lines == ["one", "two", "-two", "-one"]
    assert statuses(saga) == {"one": "compensated", "two": "compensated", "three": "failed"}


def test_no_rollback__fails_and_is_compensated_when_asked(kit: Kit, crew: Crew, log: Log) -> None:
    definition = kit.define(kit.step("one", log.do, log.undo), kit.step("two", raising(Rejected("no"))), rollback=False)
    saga = Saga.objects.start(definition)
    crew.burst()
    assert fresh(saga).is_failed

    saga.compensate(reason="after all")
    crew.burst()

    assert fresh(saga).is_compensated
    assert log.lines == ["one", "-one"]


def test_retries__until_it_works_with_one_key(kit: Kit, crew: Crew, log: Log) -> None:
    fails = raising(ValueError("first"), Retryable("second", after=0.01))

    def handler(ctx: StepContext) -> Any:
        log.do(ctx)
        return fails(ctx)

    saga = Saga.objects.start(kit.define(kit.step("only", handler)))
    crew.start()
    ended(saga)

    step = fresh(saga).steps.get()
    assert (step.status, step.attempt, step.tries, step.output) == ("completed", 3, 2, {"attempt": 3})
    assert (step.doubt, step.error_code) == (False, "")
    assert log.keys == [f"{saga.ulid}:only:1:do"] * 3


def test_retries__wait_as_long_as_the_policy_says(kit: Kit, crew: Crew) -> None:
    policy = RetryPolicy(max_attempts=2, base=0.4, jitter=False)
    saga = Saga.objects.start(kit.define(kit.step("only", raising(ValueError("x")), retry=policy)))
    crew.start()
    ended(saga)

    times = dict(saga.history.values_list("kind", "at"))
    claimed = list(saga.history.filter(kind="claimed").values_list("at", flat=True))
    assert 0.4 <= (claimed[1] - times["in_doubt"]).total_seconds() < 5


def test_retries__used_up__unknown_and_undone_as_if_it_had_happened(kit: Kit, crew: Crew, log: Log) -> None:
    seen: list[Any] = []

    def undo(ctx: StepContext) -> None:
        seen.append((ctx.outcome, ctx.output, ctx.action_key))

    step = kit.step("doubtful", raising(*[ValueError("?")] * 3), undo)
    saga = Saga.objects.start(kit.define(kit.step("one", log.do, log.undo), step))
    crew.start()
    ended(saga)

    assert fresh(saga).is_compensated
    assert seen == [("unknown", None, f"{saga.ulid}:doubtful:1:do")]
    assert log.lines == ["one", "-one"]


def test_undo_that_fails__is_a_debt_until_a_person_retries(kit: Kit, crew: Crew) -> None:
    undo = raising(*[ValueError("bank is closed")] * 3)
    saga = Saga.objects.start(kit.define(kit.step("pay", undo=undo), kit.step("ship", raising(Rejected("no")))))

    crew.start()
    wait_until(lambda: fresh(saga).attention)
    assert (fresh(saga).state, fresh(saga).attention) == ("compensating", "debt")
    assert statuses(saga)["pay"] == "compensation_failed"
    saga.retry(reason="the bank is open", actor="ann")

    assert ended(saga)[0].is_compensated


def test_many__all_end(kit: Kit, crew: Crew) -> None:
    definition = kit.define(kit.step("one"), kit.step("two", lambda ctx: _odd(ctx)), kit.step("three"))
    sagas = Saga.objects.start_many(definition, [{"context": {"n": n}} for n in range(40)])

    assert crew.burst() == 0

    assert [fresh(saga).state for saga in sagas] == ["completed", "compensated"] * 20


def _odd(ctx: StepContext) -> None:
    if ctx.context["n"] % 2:
        raise Rejected("odd")


def test_started_in_this_process__runs_without_waiting_for_the_poll(
    kit: Kit, crew: Crew, quick: Any, place: str
) -> None:
    quick(POLL_EVERY=30, DATABASE=place)
    definition = kit.pair()
    worker = crew.start()
    wait_until(lambda: worker.sweeper.found_nothing)

    saga = Saga.objects.start(definition)

    ended(saga, within=10)


# -- time ---------------------------------------------------------------------------------------------------------


class Stuck:
    """A handler that hangs in its first attempt until it is let go."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.let_go = threading.Event()
        self.left = threading.Event()

    def __call__(self, ctx: StepContext) -> Any:
        self.calls.append(ctx.attempt)
        if len(self.calls) == 1:
            assert self.let_go.wait(60)
            self.left.set()
        return {"attempt": ctx.attempt}


@pytest.fixture
def stuck() -> Any:
    found = Stuck()
    yield found
    found.let_go.set()


def several_sweeps(worker: Any, number: int = 5) -> None:
    """The worker looks for work so many times more."""
    done = threading.Event()
    sweep, left = worker.sweeper.sweep, iter(range(number))

    def counted() -> bool:
        if next(left, None) is None:
            done.set()
        return bool(sweep())

    worker.sweeper.sweep = counted
    assert done.wait(20)
    worker.sweeper.sweep = sweep


def test_timeout__no_second_attempt_before_the_first_thread_has_ended(kit: Kit, crew: Crew, stuck: Stuck) -> None:
    saga = Saga.objects.start(kit.define(kit.step("only", stuck, timeout=0.2)))
    worker = crew.start()

    wait_until(lambda: fresh(saga).steps.get().stale_token)
    step = fresh(saga).steps.get()
    assert (step.status, step.doubt, step.error_code, step.claim_token) == ("pending", True, "timeout", None)
    assert step.stale_worker == worker.identity.id
    several_sweeps(worker)
    assert stuck.calls == [1]
    stuck.let_go.set()

    found = ended(saga)[0]
    assert found.is_completed
    assert stuck.calls == [1, 2]
    # What the first one returned did not count.
    assert found.steps.get().output == {"attempt": 2}


def test_timeout__its_undo_waits_for_the_thread_too(kit: Kit, crew: Crew, stuck: Stuck) -> None:
    order: list[str] = []
    once = RetryPolicy(max_attempts=1)
    step = kit.step(
        "only", stuck, lambda ctx: order.append(f"undo, thread ended: {stuck.left.is_set()}"), timeout=0.2, retry=once
    )
    saga = Saga.objects.start(kit.define(step))
    worker = crew.start()

    wait_until(lambda: fresh(saga).is_compensating)
    several_sweeps(worker)
    assert order == []
    stuck.let_go.set()

    assert ended(saga)[0].is_compensated
    assert order == ["undo, thread ended: True"]


def test_timeout__others_go_on(kit: Kit, crew: Crew, stuck: Stuck) -> None:
    hanging = Saga.objects.start(kit.define(kit.step("only", stuck, timeout=0.2), word="hanging"))
    pair = kit.pair()
    # Of three threads one hangs, and the slot of another one is kept for compensations.
    crew.start(threads=3)
    wait_until(lambda: stuck.calls)
    others = Saga.objects.start_many(pair, [{}] * 5)

    assert all(saga.is_completed for saga in ended(*others))
    assert fresh(hanging).is_started


def test_stuck_for_good__the_process_gives_up_and_hands_over(
    kit: Kit, crew: Crew, stuck: Stuck, quick: Any, place: str
) -> None:
    quick(STUCK_AFTER=0.2, GRACE=0.5, DATABASE=place)
    stuck_saga = Saga.objects.start(kit.define(kit.step("only", stuck, timeout=0.1), word="stuck"))
    worker = crew.start()

    code = crew.join(worker)

    assert code == 3
    assert "stuck" in worker.fatal
    # Another process may go on at once: the old thread is gone with its process (here it is not, but it is told so).
    assert fresh(stuck_saga).steps.get().stale_worker == worker.identity.id
    stuck.calls.append(0)
    crew.start()
    assert ended(stuck_saga)[0].is_completed


def test_deadline__is_the_handlers_start_plus_its_timeout(kit: Kit, crew: Crew) -> None:
    seen: list[Any] = []
    saga = Saga.objects.start(kit.define(kit.step("only", lambda ctx: seen.append(ctx.deadline), timeout=77)))

    crew.burst()

    started = fresh(saga).steps.get().started_at
    assert 76 < (seen[0] - started).total_seconds() < 90


# -- handlers that misbehave --------------------------------------------------------------------------------------


def left_open(ctx: StepContext) -> None:
    from django.db import transaction

    transaction.atomic(using=_alias(ctx)).__enter__()
    Group.objects.using(_alias(ctx)).create(name="half done")


def autocommit_off(ctx: StepContext) -> None:
    from django.db import transaction

    transaction.set_autocommit(False, using=_alias(ctx))


def closed(ctx: StepContext) -> None:
    from django.db import connections

    Group.objects.using(_alias(ctx)).exists()
    connections.close_all()
    raise ValueError("and now?")


def circle(ctx: StepContext) -> Any:
    found: list[Any] = []
    found.append(found)
    return found


def leaving(ctx: StepContext) -> None:
    raise SystemExit(1)


def interrupted(ctx: StepContext) -> None:
    raise KeyboardInterrupt


def _alias(ctx: StepContext) -> str:
    from sagas.conf import app_settings

    return app_settings().DATABASE


BAD = {
    "left_open": left_open,
    "autocommit_off": autocommit_off,
    "closed": closed,
    "SystemExit": leaving,
    "KeyboardInterrupt": interrupted,
    "NaN": lambda ctx: float("nan"),
    "NUL": lambda ctx: {"t": "a\x00b"},
    "10 MB": lambda ctx: "x" * 10_000_000,
    "non-JSON": lambda ctx: object(),
    "circle": circle,
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_handler__is_undone_and_the_worker_lives(kit: Kit, crew: Crew, log: Log, place: str, bad: str) -> None:
    step = kit.step("bad", BAD[bad], log.undo)
    saga = Saga.objects.start(kit.define(kit.step("one", log.do, log.undo), step, word="bad"))
    write = kit.step("good", lambda ctx: Group.objects.using(place).create(name="good").pk)
    fine = kit.define(write, word="good")
    # One thread: the next handler runs in the very thread that the bad one has left.
    crew.start(threads=1)

    assert ended(saga)[0].is_compensated
    assert log.lines == ["one", "-bad", "-one"]
    good = Saga.objects.start(fine)
    assert ended(good)[0].is_completed
    assert [group.name for group in Group.objects.using(place).all()] == ["good"]


def test_async_handlers(kit: Kit, crew: Crew) -> None:
    import asyncio

    async def handler(ctx: StepContext) -> Any:
        await asyncio.sleep(0)
        return {"n": ctx.context["n"]}

    sagas = Saga.objects.start_many(kit.define(kit.step("only", handler)), [{"context": {"n": n}} for n in range(5)])

    crew.burst()

    assert [fresh(saga).steps.get().output for saga in sagas] == [{"n": n} for n in range(5)]


# -- atomic steps -------------------------------------------------------------------------------------------------


def effect(ctx: StepContext) -> Any:
    Group.objects.using(_alias(ctx)).create(name=ctx.idempotency_key)
    return {"n": ctx.context.get("n")}


ATOMIC = {"atomic": True}


def test_atomic__exactly_once_and_the_saga_goes_on(kit: Kit, crew: Crew, place: str) -> None:
    definition = kit.define(
        kit.step("one", effect, handler=ATOMIC), kit.step("two"), kit.step("three", effect, handler=ATOMIC)
    )
    sagas = Saga.objects.start_many(definition, [{"context": {"n": n}} for n in range(10)])

    assert crew.burst() == 0

    assert all(fresh(saga).is_completed for saga in sagas)
    names = [group.name for group in Group.objects.using(place).all()]
    assert sorted(names) == sorted(f"{saga.ulid}:{step}:1:do" for saga in sagas for step in ("one", "three"))


def test_atomic__exception_is_a_sure_no(kit: Kit, crew: Crew, place: str) -> None:
    calls: list[int] = []

    def twice_bad(ctx: StepContext) -> Any:
        effect(ctx)
        calls.append(ctx.attempt)
        if len(calls) < 3:
            raise ValueError("not yet")

    saga = Saga.objects.start(kit.define(kit.step("only", twice_bad, handler=ATOMIC)))

    crew.start()

    assert ended(saga)[0].is_completed
    assert calls == [1, 2, 3]
    assert Group.objects.using(place).count() == 1
    assert not saga.history.filter(data__steps__0__doubt=True).exists()


def test_atomic__never_works__failed_not_unknown(kit: Kit, crew: Crew, place: str) -> None:
    def bad(ctx: StepContext) -> None:
        effect(ctx)
        raise ValueError("never")

    undone: list[str] = []
    step = kit.step("only", bad, lambda ctx: undone.append(ctx.step), handler=ATOMIC)
    saga = Saga.objects.start(kit.define(step))

    crew.start()

    assert ended(saga)[0].is_compensated
    assert statuses(saga) == {"only": "failed"}
    assert (undone, Group.objects.using(place).count()) == ([], 0)


def test_atomic__beside_other_sagas__nobody_waits_long(kit: Kit, crew: Crew, place: str) -> None:
    atomic = kit.define(*[kit.step(f"a{n}", effect, handler=ATOMIC) for n in range(3)], word="atomic")
    plain = kit.define(*[kit.step(f"p{n}", effect) for n in range(3)], word="plain")
    sagas = [
        saga
        for pair in zip(
            Saga.objects.start_many(atomic, [{}] * 8), Saga.objects.start_many(plain, [{}] * 8), strict=True
        )
        for saga in pair
    ]

    crew.start()

    # A deadlock between the committer and a handler's transaction would last for 20 s.
    assert all(saga.is_completed for saga in ended(*sagas, within=15))
    assert Group.objects.using(place).count() == 16 * 3


def test_atomic__undo(kit: Kit, crew: Crew, place: str) -> None:
    do = kit.action("do", effect, atomic=True)
    undo = kit.compensation(
        "undo", lambda ctx: Group.objects.using(place).filter(name=ctx.action_key).delete() and None, atomic=True
    )
    from sagas import step

    saga = Saga.objects.start(
        kit.define(step("one", action=do, compensation=undo), kit.step("two", raising(Rejected("no"))))
    )

    crew.burst()

    assert fresh(saga).is_compensated
    assert not Group.objects.using(place).exists()
