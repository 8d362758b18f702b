"""One attempt of a step: whatever the handler does ends as one submission that the database takes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection, connections, transaction

from sagas import Rejected, Retryable, StepContext, parallel
from sagas.core import triggers as t
from sagas.definitions.registry import registry
from sagas.engine.attempt import Attempt, Ended, run
from sagas.exceptions import StoreConnectionError
from sagas.models import Saga
from sagas.store import get_store
from sagas.store.base import Payload, Result, Submission, Verdict
from sagas.store.orm import OrmStore
from tests.store.threads import in_thread

from .kit import Hand, Kit

pytestmark = pytest.mark.usefixtures("pg")


class Bench:
    """Claims a saga's next step and runs the attempt, as a worker's thread would."""

    def __init__(self, store: Any = None) -> None:
        self.hand = Hand()
        self.store = store or get_store()

    def attempt(self, saga: Saga) -> Attempt:
        (result,) = self.store.apply([Submission(saga.pk, t.Look())], self.hand.offer())
        return self._attempt(result)

    def _attempt(self, result: Result) -> Attempt:
        key = result.submission.saga_id
        assert result.saga is not None
        texts = self.store.texts([key])[key]
        return Attempt(key, result.name, "r-1", result.saga.graph, result.claims[0], self.hand.worker, texts)

    def run(self, saga: Saga) -> Ended:
        attempt = self.attempt(saga)
        return in_thread(lambda: run(attempt, self.store, self.commit, self.hand.offer)).result()

    def commit(self, submission: Submission) -> Result:
        (result,) = self.store.apply([submission], self.hand.offer())
        return result


@pytest.fixture
def bench() -> Bench:
    return Bench()


def outcome(kit: Kit, bench: Bench, handler: Callable[[StepContext], Any], **options: Any) -> Any:
    """What a step with this handler ends in; and it can be recorded."""
    saga = Saga.objects.start(kit.define(kit.step("only", handler, handler=options), kit.step("next")))
    ended = bench.run(saga)
    assert ended.submission is not None
    assert bench.commit(ended.submission).verdict is Verdict.APPLIED
    return ended.submission.trigger


def raiser(error: BaseException) -> Callable[[StepContext], None]:
    def handler(ctx: StepContext) -> None:
        raise error

    return handler


# -- what handlers raise ------------------------------------------------------------------------------------------


def test_rejected__is_a_no(kit: Kit, bench: Bench) -> None:
    found = outcome(kit, bench, raiser(Rejected("none left", code="no_stock")))

    assert isinstance(found, t.Rejected)
    assert (found.code, found.message) == ("no_stock", "none left")


def test_retryable__is_in_doubt(kit: Kit, bench: Bench) -> None:
    found = outcome(kit, bench, raiser(Retryable("later", code="busy", after=30)))

    assert isinstance(found, t.InDoubt)
    assert (found.code, found.message, found.after, found.final) == ("busy", "later", timedelta(seconds=30), False)


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        (None, None),
        (timedelta(minutes=1), timedelta(minutes=1)),
        (-5, timedelta(0)),
        (timedelta.min, timedelta(0)),
        (timedelta.max, timedelta(days=366)),
        (1e12, timedelta(days=366)),
        ("soon", None),
        ([], None),
    ],
)
def test_retryable__any_wish_can_be_recorded(kit: Kit, bench: Bench, wish: Any, found: timedelta | None) -> None:
    assert outcome(kit, bench, raiser(Retryable("later", after=wish))).after == found


@pytest.mark.parametrize(
    "error",
    [ValueError("no such customer"), SystemExit(3), KeyboardInterrupt("^C"), GeneratorExit("x"), MemoryError("x")],
)
def test_any_exception__is_in_doubt(kit: Kit, bench: Bench, error: BaseException) -> None:
    found = outcome(kit, bench, raiser(error))

    assert isinstance(found, t.InDoubt)
    assert found.code == "exception"
    assert found.message.startswith(f"{type(error).__name__}: {error}")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (Rejected("a\x00b \ud800", code="c\x00d"), "c\ufffdd", "a\ufffdb ?"),
        (Rejected("x" * 5000, code="y" * 500), "y" * 100, "x" * 2000),
        (Rejected("", code=""), "error", ""),
        (Rejected("m", code=404), "404", "m"),  # type: ignore[arg-type]
        (Unspeakable(), "exception", "Unspeakable: (its message could not be read)"),
    ],
)
def test_words_of_an_error__are_made_storable(
    kit: Kit, bench: Bench, error: Exception, code: str, message: str
) -> None:
    found = outcome(kit, bench, raiser(error))

    assert (found.code, found.message) == (code, message)


# -- what handlers return -----------------------------------------------------------------------------------------


def circle() -> Any:
    found: list[Any] = []
    found.append(found)
    return found


def deep(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize(
    "value",
    [
        float("nan"), {"t": "a\x00b"}, {"t": "\ud800"}, "x" * 10_000_000, {1, 2}, object(), circle(), deep(33),
        deep(100_000), {("a",): 1}, b"bytes", 10**5000,
    ],
    ids=["NaN", "NUL", "surrogate", "10 MB", "set", "object", "circle", "deep", "deepest", "key", "bytes", "digits"],
)  # fmt: skip
def test_output_that_can_not_be_stored__is_in_doubt_at_once(kit: Kit, bench: Bench, value: Any) -> None:
    found = outcome(kit, bench, lambda ctx: value)

    assert isinstance(found, t.InDoubt)
    assert (found.code, found.final) == ("invalid_payload", True)
    assert "output of step 'only'" in found.message


def test_output_and_context__travel_as_text(kit: Kit, bench: Bench) -> None:
    def handler(ctx: StepContext) -> Any:
        ctx.update(seen=(1, 2))
        return {"n": 1e16, "t": "ü", 3: -0.0}

    saga = Saga.objects.start(kit.define(kit.step("only", handler)), context={"kept": 1})
    ended = bench.run(saga)
    assert ended.submission is not None
    bench.commit(ended.submission)

    stored = Saga.objects.get(pk=saga.pk)
    assert stored.steps.get().output == {"n": 10**16, "t": "ü", "3": 0.0}
    assert stored.context == {"kept": 1, "seen": [1, 2]}


@pytest.mark.parametrize("value", [float("nan"), "x" * 262_144])
def test_context_that_can_not_be_stored__is_in_doubt_at_once(kit: Kit, bench: Bench, value: Any) -> None:
    found = outcome(kit, bench, lambda ctx: ctx.update(big=value))

    assert isinstance(found, t.InDoubt)
    assert found.final
    assert "context additions of step 'only'" in found.message


# -- what handlers see --------------------------------------------------------------------------------------------


def test_context__of_an_action_and_of_a_compensation(kit: Kit, bench: Bench) -> None:
    seen: list[Any] = []

    def look(ctx: StepContext) -> Any:
        seen.append(
            SimpleNamespace(
                input=ctx.input, context=dict(ctx.context), outputs=dict(ctx.outputs), key=ctx.idempotency_key,
                action_key=ctx.action_key, outcome=ctx.outcome, output=ctx.output, attempt=ctx.attempt, step=ctx.step,
            )
        )  # fmt: skip
        return {"by": ctx.step}

    definition = kit.define(
        kit.step("one", look, look, input={"n": 1}),
        kit.step("two", look, look),
        kit.step("three", raiser(Rejected("no"))),
    )
    saga = Saga.objects.start(definition, context={"c": 1})
    for _ in range(5):
        ended = bench.run(saga)
        assert ended.submission is not None
        bench.store.apply([ended.submission])

    assert Saga.objects.get(pk=saga.pk).is_compensated
    one, two, un_two, un_one = seen
    assert (one.input, one.context, one.outputs, one.step, one.attempt) == ({"n": 1}, {"c": 1}, {}, "one", 1)
    assert (one.key, one.action_key) == (f"{saga.ulid}:one:1:do",) * 2
    assert (one.outcome, one.output) == (None, None)
    assert (two.input, two.outputs) == ({}, {"one": {"by": "one"}})
    assert (un_two.key, un_two.action_key) == (f"{saga.ulid}:two:1:undo", f"{saga.ulid}:two:1:do")
    assert (un_two.outcome, un_two.output, un_two.outputs) == ("completed", {"by": "two"}, {"one": {"by": "one"}})
    assert (un_one.outcome, un_one.output, un_one.input) == ("completed", {"by": "one"}, {"n": 1})


def test_async_handler__runs_in_the_thread(kit: Kit, bench: Bench) -> None:
    threads = []

    async def handler(ctx: StepContext) -> dict[str, Any]:
        threads.append(threading.current_thread())
        return {"n": ctx.input["n"]}

    saga = Saga.objects.start(kit.define(kit.step("only", handler, input={"n": 7})))
    ended = bench.run(saga)

    assert ended.submission is not None
    bench.commit(ended.submission)
    assert saga.steps.get().output == {"n": 7}
    assert threads != [threading.current_thread()]


def test_async_handler__raises(kit: Kit, bench: Bench) -> None:
    async def handler(ctx: StepContext) -> None:
        raise Rejected("no", code="no_stock")

    assert outcome(kit, bench, handler).code == "no_stock"


# -- inputs -------------------------------------------------------------------------------------------------------


def test_input__worked_out_after_the_claim_and_stored_before_the_handler_sees_it(kit: Kit, bench: Bench) -> None:
    stored: list[Any] = []

    def handler(ctx: StepContext) -> Any:
        stored.append((ctx.input, Saga.objects.get(pk=ctx.saga_id).steps.get(name="join").input))

    definition = kit.define(
        parallel(kit.step("a", lambda ctx: {"a": 1}), kit.step("b", lambda ctx: {"b": 2})),
        kit.step("join", handler, input=lambda context, outputs: {**outputs["a"], **outputs["b"], "c": context["c"]}),
    )
    saga = Saga.objects.start(definition, context={"c": 3})
    claims = bench.store.apply([Submission(saga.pk, t.Look())], bench.hand.offer())[0].claims
    for claim, text in zip(claims, ('{"a":1}', '{"b":2}'), strict=True):
        trigger = t.Completed(claim.position, bench.hand.worker, claim.token)
        bench.store.apply([Submission(saga.pk, trigger, Payload(text))])

    bench.run(saga)

    assert stored == [({"a": 1, "b": 2, "c": 3},) * 2]


def test_input_function_raises__surely_no_effect(kit: Kit, bench: Bench) -> None:
    called = []
    definition = kit.define(
        kit.step("first"),
        kit.step("second", lambda ctx: called.append(1), input=lambda context, outputs: context["not there"]),
    )
    saga = bench.hand.run(Saga.objects.start(definition), t.Completed)

    ended = bench.run(saga)

    assert ended.submission is not None
    assert isinstance(ended.submission.trigger, t.NoEffect)
    assert (ended.submission.trigger.code, called) == ("input_error", [])


def test_claim_lost_before_the_input_is_stored__the_handler_is_not_called(kit: Kit, bench: Bench) -> None:
    called: list[int] = []
    definition = kit.define(
        kit.step("first"), kit.step("second", lambda ctx: called.append(1), input=lambda context, outputs: {})
    )
    attempt = bench.attempt(bench.hand.run(Saga.objects.start(definition), t.Completed))
    bench.commit(Submission(attempt.saga_id, t.WorkerLost(bench.hand.worker)))

    ended = run(attempt, bench.store, bench.commit, bench.hand.offer)

    assert (ended.submission, ended.result, called) == (None, None, [])


def test_handler_unknown_here__is_handed_back(kit: Kit, bench: Bench) -> None:
    attempt = bench.attempt(Saga.objects.start(kit.define(kit.step("only"))))
    del registry.handlers[kit.name("only")]

    ended = run(attempt, bench.store, bench.commit, bench.hand.offer)

    assert ended.submission is not None
    assert isinstance(ended.submission.trigger, t.HandedBack)


# -- database connections -----------------------------------------------------------------------------------------


def leave_atomic(ctx: StepContext) -> None:
    transaction.atomic().__enter__()
    Group.objects.create(name="half done")


def leave_broken(ctx: StepContext) -> None:
    transaction.atomic().__enter__()
    with pytest.raises(Exception, match="syntax"):
        connection.cursor().execute("nonsense")


def leave_autocommit_off(ctx: StepContext) -> None:
    transaction.set_autocommit(False)
    Group.objects.create(name="half done")


def leave_begun(ctx: StepContext) -> None:
    connection.cursor().execute("BEGIN")
    Group.objects.create(name="half done")


@pytest.mark.parametrize("leave", [leave_atomic, leave_broken, leave_autocommit_off, leave_begun])
@pytest.mark.parametrize("raises", [False, True])
def test_transaction_left_open__is_rolled_back_and_in_doubt(
    kit: Kit, bench: Bench, leave: Callable[[StepContext], None], raises: bool
) -> None:
    def handler(ctx: StepContext) -> None:
        leave(ctx)
        if raises:
            raise ValueError("and then this")

    def good(ctx: StepContext) -> None:
        Group.objects.create(name="good")

    # With the first one the thread has no connection yet: what is opened later must be seen all the same.
    words: dict[str, Callable[[StepContext], None]] = {"idle": lambda ctx: None, "bad": handler, "good": good}
    attempts = [
        bench.attempt(Saga.objects.start(kit.define(kit.step(word, function), word=word)))
        for word, function in words.items()
    ]

    def one_thread() -> list[Any]:
        return [run(attempt, bench.store, bench.commit, bench.hand.offer).submission for attempt in attempts]

    _, first, second = in_thread(one_thread).result()

    assert isinstance(first.trigger, t.InDoubt)
    assert first.trigger.code == ("exception" if raises else "open_transaction")
    # The next handler in the same thread starts clean, and what it writes stays.
    assert isinstance(second.trigger, t.Completed)
    assert [group.name for group in Group.objects.all()] == ["good"]


def test_connection_closed_by_the_handler__is_its_business(kit: Kit, bench: Bench) -> None:
    found = outcome(kit, bench, lambda ctx: connections.close_all())

    assert isinstance(found, t.Completed)


def test_connection_broken_in_the_handler__is_replaced_for_the_next(kit: Kit, bench: Bench) -> None:
    def kill_own_session(ctx: StepContext) -> None:
        connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")

    bad = bench.attempt(Saga.objects.start(kit.define(kit.step("bad", kill_own_session), word="bad")))
    fine = bench.attempt(
        Saga.objects.start(kit.define(kit.step("good", lambda ctx: Group.objects.count()), word="good"))
    )

    def one_thread() -> list[Any]:
        return [run(attempt, bench.store, bench.commit, bench.hand.offer).submission for attempt in (bad, fine)]

    first, second = in_thread(one_thread).result()

    assert isinstance(first.trigger, t.InDoubt)
    assert isinstance(second.trigger, t.Completed)


# -- atomic steps -------------------------------------------------------------------------------------------------


def effect(ctx: StepContext) -> Any:
    Group.objects.create(name=ctx.idempotency_key)
    return {"done": True}


def atomic(kit: Kit, handler: Callable[[StepContext], Any] = effect, **options: Any) -> Saga:
    steps = [kit.step("only", handler, handler={"atomic": True, **options}), kit.step("next")]
    return Saga.objects.start(kit.define(*steps))


def test_atomic__effect_outcome_and_next_claim_are_one_commit(kit: Kit, bench: Bench) -> None:
    saga = atomic(kit)

    ended = bench.run(saga)

    assert ended.submission is None
    assert ended.result is not None
    assert [claim.position for claim in ended.result.claims] == [1]
    assert Group.objects.count() == 1
    assert saga.steps.get(name="only").output == {"done": True}


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(1), Retryable("later", after=5), Rejected("no", code="no")]
)
def test_atomic__exception_is_a_sure_no(kit: Kit, bench: Bench, error: BaseException) -> None:
    def handler(ctx: StepContext) -> None:
        effect(ctx)
        raise error

    ended = bench.run(atomic(kit, handler))

    assert ended.submission is not None
    assert isinstance(ended.submission.trigger, t.Rejected if isinstance(error, Rejected) else t.NoEffect)
    assert not Group.objects.exists()


@pytest.mark.parametrize("value", [float("nan"), object()])
def test_atomic__output_that_can_not_be_stored_is_a_sure_no(kit: Kit, bench: Bench, value: Any) -> None:
    def handler(ctx: StepContext) -> Any:
        effect(ctx)
        return value

    ended = bench.run(atomic(kit, handler))

    assert ended.submission is not None
    assert isinstance(ended.submission.trigger, t.NoEffect)
    assert not Group.objects.exists()


def swallow_error(ctx: StepContext) -> None:
    effect(ctx)
    with pytest.raises(Exception, match="syntax"):
        connection.cursor().execute("nonsense")


def close(ctx: StepContext) -> None:
    effect(ctx)
    connection.close()


def leave_nested(ctx: StepContext) -> None:
    effect(ctx)
    transaction.atomic().__enter__()


@pytest.mark.parametrize("spoil", [swallow_error, close, leave_nested])
def test_atomic__transaction_spoilt_by_the_handler__is_a_sure_no(
    kit: Kit, bench: Bench, spoil: Callable[[StepContext], None]
) -> None:
    saga = atomic(kit, spoil)

    ended = bench.run(saga)

    assert ended.submission is not None
    assert isinstance(ended.submission.trigger, t.NoEffect)
    assert not Group.objects.exists()
    assert bench.commit(ended.submission).verdict is Verdict.APPLIED
    assert saga.steps.get(name="only").error_code


def test_atomic__claim_lost_meanwhile__the_effect_is_rolled_back(kit: Kit, bench: Bench) -> None:
    def handler(ctx: StepContext) -> None:
        effect(ctx)
        lost = Submission(ctx.saga_id, t.WorkerLost(bench.hand.worker))
        assert in_thread(lambda: get_store().apply([lost])[0].verdict).result() is Verdict.APPLIED

    ended = bench.run(atomic(kit, handler))

    assert (ended.submission, ended.result) == (None, None)
    assert not Group.objects.exists()


class Unanswering(OrmStore):
    """Its COMMIT of an atomic step is done, or lost; either way nobody says so."""

    def __init__(self, *, landed: bool) -> None:
        super().__init__()
        self._landed = landed

    @contextmanager
    def atomic(self) -> Iterator[None]:
        with super().atomic():
            yield
            transaction.set_rollback(not self._landed)
        raise OperationalError("server closed the connection unexpectedly")


@pytest.mark.parametrize("landed", [True, False])
def test_atomic__commit_without_an_answer__is_found_out_under_the_lock(kit: Kit, landed: bool) -> None:
    bench = Bench(Unanswering(landed=landed))
    saga = atomic(kit)

    ended = bench.run(saga)
    assert ended.submission is not None
    assert ended.submission.again
    result = bench.commit(ended.submission)

    assert Group.objects.count() == landed
    assert saga.history.filter(seq=None).count() == 0
    if landed:
        # What was claimed with it stands, and runs at once.
        assert result.verdict is Verdict.IGNORED
        assert [claim.position for claim in result.claims] == [1]
    else:
        assert result.verdict is Verdict.APPLIED
        assert [claim.position for claim in result.claims] == [0]


def test_atomic__store_fails_before_the_commit__is_a_sure_no(
    kit: Kit, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    saga = atomic(kit)
    attempt = bench.attempt(saga)

    def gone(*args: Any, **kwargs: Any) -> Any:
        raise StoreConnectionError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "apply", gone)
        ended = run(attempt, bench.store, bench.commit, bench.hand.offer)

    assert ended.submission is not None
    assert (ended.submission.trigger.kind, ended.submission.trigger.code) == ("no_effect", "store_connection")  # type: ignore[union-attr]
    assert not Group.objects.exists()
