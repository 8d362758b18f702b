"""What compensations return, and which other ones see it, on a real worker. PostgreSQL, then SQLite."""

from __future__ import annotations

from typing import Any

import pytest

from sagas import Pending, Rejected, RetryPolicy, SagaDefinition, StepContext, parallel, step
from sagas.core.attempts import UNDO_OUTPUT
from sagas.engine.answer import complete_step
from sagas.models import Saga
from tests.engine.kit import Kit
from tests.services.waiting import wait_until

from .conftest import Crew, ended, fresh, statuses
from .test_children import child
from .test_program import Program, _known, on_lite, on_pg  # noqa: F401 - fixtures
from .test_steering import attention
from .test_waiting import kinds, row, waiting

ONCE = RetryPolicy(1)
anywhere = pytest.mark.usefixtures("place")


class Undos:
    """Compensations that return what they are told to, and note what they saw."""

    def __init__(self, **returns: Any) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []
        self.returns = returns
        self.fails: set[str] = set()

    def __call__(self, ctx: StepContext) -> Any:
        self.seen.append((ctx.step, dict(ctx.undo_outputs)))
        if ctx.step in self.fails:
            raise OSError("gone")
        return self.returns.get(ctx.step)


def says_no(ctx: StepContext) -> None:
    raise Rejected("no", code="no")


def three(kit: Kit, undo: Any, *more: Any, **options: Any) -> type[SagaDefinition]:
    """Three steps that can be undone, and what is behind them (a refusal)."""
    steps = [kit.step(name, lambda ctx: {"did": ctx.step}, undo, **options) for name in ("first", "second", "third")]
    return kit.define(*steps, *(more or [kit.step("no", says_no, undo=None)]))


@anywhere
def test_compensation__sees_what_those_before_it_returned(kit: Kit, crew: Crew) -> None:
    undos = Undos(first={"n": 1}, third={"fee": 3})
    saga = Saga.objects.start(three(kit, undos))
    crew.start()

    assert ended(saga)[0].is_compensated
    assert undos.seen == [
        ("third", {"no": None}),
        ("second", {"no": None, "third": {"fee": 3}}),
        ("first", {"no": None, "third": {"fee": 3}, "second": None}),
    ]
    assert [row(saga, name).undo_output for name in ("first", "second", "third")] == [{"n": 1}, None, {"fee": 3}]
    assert row(saga, "third").output == {"did": "third"}


@anywhere
def test_action__sees_none_and_the_mapping_says_what_is_there(kit: Kit, crew: Crew) -> None:
    seen: list[Any] = []

    def do(ctx: StepContext) -> None:
        seen.append(dict(ctx.undo_outputs))

    def undo(ctx: StepContext) -> None:
        with pytest.raises(KeyError, match=r"'nobody' here \(undone before this step: last, no\)"):
            ctx.undo_outputs["nobody"]
        with pytest.raises(TypeError):
            ctx.undo_outputs["last"] = 7  # type: ignore[index]
        seen.append(ctx.undo_outputs["last"])

    definition = kit.define(
        kit.step("one", do, undo), kit.step("last", do, Undos(last="gone")), kit.step("no", says_no, undo=None)
    )
    saga = Saga.objects.start(definition)
    crew.start()

    assert ended(saga)[0].is_compensated
    assert seen == [{}, {}, "gone"]


@anywhere
def test_another_worker_goes_on__with_what_is_stored(kit: Kit, crew: Crew) -> None:
    undos = Undos(second={"n": 2}, third={"n": 3})
    undos.fails.add("second")
    saga = Saga.objects.start(three(kit, undos, undo_retry=ONCE))
    first = crew.start()
    attention(saga, "debt")
    crew.stop(first)
    undos.fails.clear()
    del undos.seen[:]

    crew.start()
    fresh(saga).retry(reason="it is back")

    assert ended(saga)[0].is_compensated
    assert undos.seen == [
        ("second", {"no": None, "third": {"n": 3}}),
        ("first", {"no": None, "third": {"n": 3}, "second": {"n": 2}}),
    ]


@anywhere
def test_debt__settled_by_hand__what_the_person_says_is_seen(kit: Kit, crew: Crew) -> None:
    undos = Undos(third={"n": 3})
    undos.fails.add("second")
    saga = Saga.objects.start(three(kit, undos, undo_retry=ONCE))
    crew.start()
    attention(saga, "debt")

    fresh(saga).resolve("second", done=True, output={"voucher": 9}, reason="at the counter")

    assert ended(saga)[0].is_compensated
    assert undos.seen[-1] == ("first", {"no": None, "third": {"n": 3}, "second": {"voucher": 9}})


@anywhere
def test_roll_back_to__the_next_round_begins_without(kit: Kit, crew: Crew) -> None:
    undos = Undos(second={"n": 2}, third={"n": 3})
    saga = Saga.objects.start(three(kit, undos, step("hold", wait_for="go")))
    crew.start()
    waiting(saga, "hold")

    fresh(saga).roll_back_to("second", reason="another colour")
    wait_until(lambda: row(saga, "third").round == 2 and statuses(saga)["hold"] == "waiting", within=20)
    assert [row(saga, name).undo_output for name in ("first", "second", "third")] == [None, None, None]
    undos.returns = {"third": "again"}
    fresh(saga).cancel()

    assert ended(saga)[0].is_compensated
    assert undos.seen == [
        ("third", {"hold": None}),
        ("second", {"hold": None, "third": {"n": 3}}),
        ("third", {"hold": None}),
        ("second", {"hold": None, "third": "again"}),
        ("first", {"hold": None, "third": "again", "second": None}),
    ]


@anywhere
def test_elements_and_children__by_their_names(kit: Kit, crew: Crew) -> None:
    seen: dict[str, Any] = {}

    def undo(ctx: StepContext) -> Any:
        seen[ctx.step] = dict(ctx.undo_outputs)
        ctx.update(undone=ctx.step)
        return {"sku": ctx.input.get("sku")} if ctx.step.startswith("each") else None

    inner = kit.define(kit.step("pack", undo=undo), word="inner")
    saga = Saga.objects.start(
        kit.define(
            kit.step("one", undo=undo),
            kit.step("each", undo=undo, for_each="lines"),
            step("ship", saga=inner.name, input={"to": "Oslo"}),
            kit.step("no", says_no, undo=None),
        ),
        context={"lines": [{"sku": "a"}, {"sku": "b"}]},
    )
    crew.start()

    assert ended(saga)[0].is_compensated
    shipped = {"to": "Oslo", "undone": "pack"}
    assert fresh(child(saga)).context == shipped
    assert seen["one"] == {
        "no": None, "ship": shipped, "each": [{"sku": "a"}, {"sku": "b"}],
        "each[0]": {"sku": "a"}, "each[1]": {"sku": "b"},
    }  # fmt: skip
    assert seen["each[0]"]["ship"] == shipped


@anywhere
def test_beside_each_other__neither_loses_the_others(kit: Kit, crew: Crew) -> None:
    undos = Undos(**{f"p{number}": number for number in range(6)})
    saga = Saga.objects.start(
        kit.define(
            kit.step("one", undo=undos),
            parallel(*(kit.step(f"p{number}", undo=undos) for number in range(6))),
            kit.step("no", says_no, undo=None),
        )
    )
    crew.start()

    assert ended(saga)[0].is_compensated
    assert undos.seen[-1] == ("one", {"no": None, **{f"p{number}": number for number in range(6)}})


@anywhere
@pytest.mark.parametrize("output", [None, {"refund": 7}], ids=["nothing", "something"])
def test_answer__to_a_compensation(kit: Kit, crew: Crew, output: Any) -> None:
    tokens: list[str] = []

    def ask(ctx: StepContext) -> Pending:
        tokens.append(ctx.token)
        return Pending(timeout=60)

    undos = Undos()
    saga = Saga.objects.start(
        kit.define(kit.step("one", undo=undos), kit.step("ask", undo=ask), kit.step("no", says_no, undo=None))
    )
    crew.start()
    wait_until(lambda: row(saga, "ask").waits == "answer", within=20)

    complete_step(tokens[0], output)

    assert ended(saga)[0].is_compensated
    assert undos.seen == [("one", {"no": None, "ask": output})]


# -- what can not be kept -------------------------------------------------------------------------------------------


class Odd(dict[str, Any]):
    def items(self) -> Any:
        raise ZeroDivisionError("odd")


UNKEPT = {
    "too-large": "x" * 200_000,
    "nul": "a\x00b",
    "nan": float("nan"),
    "no-json": object(),
    "surrogate": "\ud800",
    "deep": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],
    "raises": Odd(a=1),
}


@anywhere
@pytest.mark.parametrize("atomic", [False, True], ids=["plain", "atomic"])
@pytest.mark.parametrize("what", UNKEPT)
def test_what_can_not_be_kept__is_noted_and_it_is_undone_once(
    kit: Kit, crew: Crew, settings: Any, what: str, atomic: bool, caplog: pytest.LogCaptureFixture
) -> None:
    settings.SAGAS = {**settings.SAGAS, "MAX_OUTPUT": 100_000}
    undos = Undos(second=UNKEPT[what], third={"n": 3})
    name = kit.compensation("undo_second", undos, atomic=atomic)
    saga = Saga.objects.start(
        kit.define(
            kit.step("first", undo=undos),
            step("second", action=kit.action("do_second"), compensation=name),
            kit.step("third", undo=undos),
            kit.step("no", says_no, undo=None),
        )
    )
    crew.start()

    assert ended(saga)[0].is_compensated
    assert [name for name, _ in undos.seen] == ["third", "second", "first"]
    assert undos.seen[-1] == ("first", {"no": None, "third": {"n": 3}, "second": None})
    second = row(saga, "second")
    assert (second.status, second.error_code, second.hold, second.undo_output) == ("compensated", UNDO_OUTPUT, "", None)
    assert second.error_message.startswith("it was undone; what was returned is not kept: ")
    assert fresh(saga).attention == ""
    assert "what a compensation returned is not kept" in caplog.text
    told = fresh(saga).history.filter(kind="completed", step="second").order_by("id").last()
    assert told.data["steps"]["1"]["error_code"] == UNDO_OUTPUT


@anywhere
def test_context_that_can_not_be_kept__is_a_debt_as_before(kit: Kit, crew: Crew) -> None:
    def undo(ctx: StepContext) -> dict[str, Any]:
        ctx.update(odd=object())
        return {"n": 1}

    saga = Saga.objects.start(kit.define(kit.step("one", undo=undo), kit.step("no", says_no, undo=None)))
    crew.start()

    attention(saga, "debt")
    assert (row(saga, "one").error_code, row(saga, "one").undo_output) == ("invalid_payload", None)


# -- kill -9 --------------------------------------------------------------------------------------------------------

POINTS = ["before_handler.undo:2", "after_handler.undo:1", "result_before_commit.undo:1", "result_after_commit.undo:1",
          "inline_claim.undo:1"]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("program", ["on_pg", "on_lite"])
def test_killed_at__what_was_returned_is_there_once_it_is_undone(
    request: pytest.FixtureRequest, program: str, point: str
) -> None:
    found: Program = request.getfixturevalue(program)
    saga = found.saga("plain", reject="s3")

    found.start("--threads", "2", SAGAS_CRASH_AT=f"{point}:{found.files / 'killed'}", SAGAS_LEASE="600")

    assert ended(saga, within=60)[0].is_compensated
    assert (found.files / "killed").exists(), "the crash point was not passed"
    second = {"undone": "s2", "before": {"s3": None}}
    assert row(saga, "s2").undo_output == second
    assert row(saga, "s1").undo_output == {"undone": "s1", "before": {"s3": None, "s2": second}}
    assert kinds(saga).count("completed") == 4
