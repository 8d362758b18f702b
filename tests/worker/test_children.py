"""Child sagas on a real worker: a step that is another saga, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from sagas import Rejected, RetryPolicy, StepContext, parallel, step
from sagas.core.children import MAX_DEPTH
from sagas.definitions.ids import id_text
from sagas.engine import children
from sagas.exceptions import DefinitionError, TransitionNotAllowedError
from sagas.models import Saga
from sagas.worker import sweeper
from tests.engine.kit import Kit
from tests.services.waiting import wait_until

from .conftest import Crew, ended, fresh, statuses
from .test_steering import Calls, attention
from .test_waiting import kinds, row, waiting

pytestmark = pytest.mark.usefixtures("place")

ONCE = {"retry": RetryPolicy(1)}


def says_no(ctx: StepContext) -> None:
    raise Rejected("no such street", code="no_street")


def breaks(ctx: StepContext) -> None:
    raise OSError("gone")


def child(saga: Saga, name: str = "ship") -> Saga:
    """The child of the saga's step."""
    found: Saga = Saga.objects.using(saga._state.db).get(pk=row(saga, name).child_id)
    return found


def family(kit: Kit, *steps: Any, calls: Calls | None = None, **attributes: Any) -> tuple[type, str]:
    """A parent: `order`, then the child saga `ship` of these steps, then `bill`; and the child's name."""
    inner = kit.define(*steps, word="ship_order", **attributes)
    note = {} if calls is None else {"do": calls, "undo": calls}
    outer = kit.define(
        kit.step("order", **note),
        step("ship", saga=inner.name, input=lambda context, outputs: {"to": context["to"]}),
        kit.step("bill", **note),
        word="order",
    )
    return outer, inner.name


def start(definition: Any, **options: Any) -> Saga:
    return Saga.objects.start(definition, **{"context": {"to": "Oslo"}, "owner": "anna", "priority": 3, **options})


# -- going forward --------------------------------------------------------------------------------------------------


def test_child__the_parent_waits_and_gets_its_context(kit: Kit, crew: Crew) -> None:
    seen: list[Any] = []

    def pack(ctx: StepContext) -> None:
        ctx.update(parcel=7)

    inner = kit.define(kit.step("pack", pack), step("hold", wait_for="go"), word="ship_order")
    saga = start(
        kit.define(
            step("ship", saga=inner.name, input={"to": "Oslo"}),
            kit.step("bill", lambda ctx: seen.append(ctx.outputs["ship"])),
        ),
        request_id="r1",
    )
    assert row(saga, "ship").child_id is None
    crew.start()
    waiting(saga, "ship")

    below = child(saga)
    assert (row(saga, "ship").waits, row(saga, "ship").action) == ("child", f"saga:{inner.name}")
    assert (below.parent_id, below.parent_step, below.parent_round, below.depth) == (saga.pk, "ship", 1, 1)
    assert (below.owner, below.priority, below.request_id) == ("anna", 3, "r1")
    assert not fresh(saga).attention
    waiting(below, "hold")
    below.signal("go")

    assert ended(saga, below)[0].is_completed
    assert seen == [{"to": "Oslo", "parcel": 7}]
    assert row(saga, "ship").output == {"to": "Oslo", "parcel": 7}
    assert kinds(saga).count("child_ended") == 1


def test_child__when_its_condition_does_not_hold__is_never_started(kit: Kit, crew: Crew) -> None:
    inner = kit.define(kit.step("pack"), word="ship_order")
    saga = start(kit.define(step("ship", saga=inner.name, when="physical"), kit.step("bill")))
    crew.start()

    assert ended(saga)[0].is_completed
    assert statuses(saga)["ship"] == "skipped"
    assert not Saga.objects.using(saga._state.db).filter(parent=saga.pk).exists()


def test_child__behind_an_approval(kit: Kit, crew: Crew) -> None:
    inner = kit.define(kit.step("pack"), word="ship_order")
    saga = start(kit.define(step("ship", saga=inner.name, approval=True)))
    crew.start()
    waiting(saga, "ship")

    fresh(saga).approve("ship", actor="anna")

    assert ended(saga)[0].is_completed
    assert child(saga).is_completed


def test_child__without_steps__has_ended_at_once(kit: Kit, crew: Crew) -> None:
    inner = kit.define(word="ship_order")
    saga = start(kit.define(step("ship", saga=inner.name, input={"n": 1})))
    crew.start()

    assert ended(saga)[0].is_completed
    assert row(saga, "ship").output == {"n": 1}


def test_child__one_per_element(kit: Kit, crew: Crew) -> None:
    calls = Calls()
    inner = kit.define(kit.step("pack", calls, calls), word="ship_item")
    saga = start(
        kit.define(step("ship", saga=inner.name, for_each="items"), kit.step("bill", says_no)),
        context={"items": [{"sku": "a"}, {"sku": "b"}]},
    )
    crew.start()

    assert ended(saga)[0].is_compensated
    assert row(saga, "ship").output == [{"sku": "a"}, {"sku": "b"}]
    assert [child(saga, f"ship[{n}]").state for n in (0, 1)] == ["compensated", "compensated"]
    assert sorted(calls.made) == ["pack", "pack", "unpack", "unpack"]


# -- failing --------------------------------------------------------------------------------------------------------


def test_child__that_is_rolled_back__fails_the_step_with_its_reason(kit: Kit, crew: Crew) -> None:
    calls = Calls()
    saga = start(family(kit, kit.step("pack", calls, calls), kit.step("send", says_no), calls=calls)[0])
    crew.start()

    assert ended(saga)[0].is_compensated
    assert child(saga).is_compensated
    assert statuses(saga) == {"order": "compensated", "ship": "failed", "bill": "cancelled"}
    assert (fresh(saga).error_code, fresh(saga).error_message) == ("no_street", "no such street")
    assert calls.made == ["order", "pack", "unpack", "unorder"]


def test_child__that_failed__is_attention_and_a_retry_of_the_child_heals_the_parent(kit: Kit, crew: Crew) -> None:
    calls = Calls(send=1)
    outer, _ = family(kit, kit.step("pack", calls, calls), kit.step("send", calls, calls, handler=ONCE), rollback=False)
    saga = start(outer)
    crew.start()
    attention(saga, "child")
    assert statuses(saga) == {"order": "completed", "ship": "unknown", "bill": "pending"}
    with pytest.raises(TransitionNotAllowedError):
        fresh(saga).retry()

    child(saga).retry(reason="the carrier is back")

    assert ended(saga)[0].is_completed
    assert fresh(saga).attention == ""
    assert (row(saga, "ship").doubt, calls.made) == (False, ["pack", "send", "send"])


def test_child__that_failed__can_be_rolled_back_and_then_the_step_has_failed(kit: Kit, crew: Crew) -> None:
    calls = Calls(send=1)
    outer, _ = family(kit, kit.step("pack", calls, calls), kit.step("send", calls, calls, handler=ONCE), rollback=False)
    saga = start(outer)
    crew.start()
    attention(saga, "child")

    child(saga).compensate(reason="give up")

    assert ended(saga)[0].is_compensated
    assert statuses(saga) == {"order": "compensated", "ship": "failed", "bill": "cancelled"}
    assert calls.made == ["pack", "send", "unsend", "unpack"]


@pytest.mark.parametrize("way", ["resolve", "skip"])
def test_child__that_failed__may_be_settled_by_hand_and_is_undone_with_the_parent(
    kit: Kit, crew: Crew, way: str
) -> None:
    calls = Calls(send=1)
    outer, _ = family(kit, kit.step("send", calls, calls, handler=ONCE), rollback=False)
    bill = kit.define(*outer.steps[:2], step("hold", wait_for="go"), word="with_hold")
    saga = start(bill)
    crew.start()
    attention(saga, "child")

    if way == "resolve":
        fresh(saga).resolve("ship", done=True, output={"by": "hand"}, reason="sent by taxi")
    else:
        fresh(saga).skip("ship", output={"by": "hand"}, reason="sent by taxi")
    waiting(saga, "hold")
    assert (row(saga, "ship").status, row(saga, "ship").output) == ("completed", {"by": "hand"})
    with pytest.raises(TransitionNotAllowedError, match="it does not wait for this one any more: start a new saga"):
        child(saga).retry()
    fresh(saga).cancel()

    assert ended(saga)[0].is_compensated
    assert child(saga).is_compensated
    assert calls.made == ["send", "unsend"]


def test_child__whose_context_is_refused__fails_the_step_at_once(kit: Kit, crew: Crew) -> None:
    schema = {"type": "object", "required": ["street"]}
    saga = start(family(kit, kit.step("pack"), context_model=schema)[0])
    crew.start()

    assert ended(saga)[0].is_compensated
    assert row(saga, "ship").error_code == "invalid_payload"
    assert "street" in row(saga, "ship").error_message
    assert not Saga.objects.using(saga._state.db).filter(parent=saga.pk).exists()


def test_child__that_starts_itself__stops_at_the_deepest_level(kit: Kit, crew: Crew) -> None:
    name = kit.name("russian_doll")
    kit.define(kit.step("open"), step("inner", saga=name), word="russian_doll")
    saga = start(name)
    crew.start()

    assert ended(saga, within=40)[0].is_compensated
    dolls = Saga.objects.using(saga._state.db).filter(name=name).order_by("depth")
    assert [doll.depth for doll in dolls] == list(range(MAX_DEPTH + 1))
    assert {doll.state for doll in dolls} == {"compensated"}
    assert fresh(saga).error_code == "too_deep"
    assert f"expected at most {MAX_DEPTH} sagas above one" in fresh(saga).error_message


@pytest.mark.parametrize("policy", ["wait", "refuse"])
@pytest.mark.parametrize("level", ["parent", "grandparent"])
def test_child__that_would_wait_for_the_lock_of_one_above_it__fails_the_step_and_names_it(
    kit: Kit, crew: Crew, level: str, policy: str
) -> None:
    calls = Calls()
    low = kit.define(kit.step("pack", calls), word="low", lock="order:{to}", lock_policy=policy)
    inner = step("ship", saga=low.name, input={"to": "Oslo"})
    if level == "grandparent":
        middle = kit.define(inner, word="middle")
        inner = step("middle", saga=middle.name, input={"to": "Oslo"})
    saga = start(kit.define(kit.step("order", calls, calls), inner, word="high", lock="order:{to}"))
    crew.start()

    assert ended(saga)[0].is_compensated
    assert fresh(saga).error_code == "lock_held"
    what = "its parent" if level == "parent" else "a saga above it"
    assert f"with the lock 'order:Oslo', which {what}, saga {id_text(saga.pk)}, has" in fresh(saga).error_message
    assert not Saga.objects.using(saga._state.db).filter(name=low.name).exists()
    assert calls.made == ["order", "unorder"]


def test_child__with_the_lock_of_another_child__waits_for_that_one(kit: Kit, crew: Crew) -> None:
    low = kit.define(kit.step("pack"), word="low", lock="parcel:{n}")
    ships = [step(f"ship{n}", saga=low.name, input={"n": 1}) for n in range(2)]
    saga = start(kit.define(parallel(*ships), word="high", lock="order:{to}"))
    crew.start()

    assert ended(saga)[0].is_completed


# -- rolling back ---------------------------------------------------------------------------------------------------


def test_rollback__of_the_parent__undoes_a_child_that_is_complete(kit: Kit, crew: Crew) -> None:
    calls = Calls()
    outer, _ = family(kit, kit.step("pack", calls, calls), kit.step("send", calls, calls), calls=calls)
    saga = start(kit.define(*outer.steps, kit.step("thank", says_no), word="thankless"))
    crew.start()

    assert ended(saga)[0].is_compensated
    assert calls.made == ["order", "pack", "send", "bill", "unbill", "unsend", "unpack", "unorder"]
    assert (child(saga).state, child(saga).error_code) == ("compensated", "no_street")
    assert kinds(child(saga)).count("parent_undoes") == 1


def test_cancel__travels_down_two_levels(kit: Kit, crew: Crew) -> None:
    calls = Calls()
    low = kit.define(kit.step("pack", calls, calls), step("hold", wait_for="go"), word="low")
    middle = kit.define(kit.step("book", calls, calls), step("ship", saga=low.name), word="middle")
    saga = start(kit.define(kit.step("order", calls, calls), step("ship", saga=middle.name), word="high"))
    crew.start()
    waiting(saga, "ship")
    waiting(child(saga), "ship")
    waiting(child(child(saga)), "hold")

    fresh(saga).cancel(reason="customer's wish", actor="anna")

    assert ended(saga, child(saga), child(child(saga)))[0].is_compensated
    for one in (saga, child(saga), child(child(saga))):
        assert (fresh(one).state, fresh(one).error_code) == ("compensated", "cancel")
        assert fresh(one).error_message == "customer's wish"
    assert statuses(saga) == {"order": "compensated", "ship": "failed"}
    assert calls.made == ["order", "book", "pack", "unpack", "unbook", "unorder"]


def test_compensate__of_a_child_whose_parent_lives__is_refused(kit: Kit, crew: Crew) -> None:
    outer, _ = family(kit, kit.step("pack"), step("hold", wait_for="go"))
    saga = start(outer)
    crew.start()
    waiting(saga, "ship")
    waiting(child(saga), "hold")

    for wish in (child(saga).compensate, child(saga).cancel):
        with pytest.raises(TransitionNotAllowedError, match="compensate or cancel that one") as refused:
            wish(reason="no")
        assert id_text(saga.pk) in str(refused.value)
        assert refused.value.details["parent"] == saga.pk

    fresh(saga).compensate()
    assert ended(saga)[0].is_compensated
    assert child(saga).is_compensated


def test_child__behind_its_point_of_no_return__is_a_debt_of_the_parent(kit: Kit, crew: Crew) -> None:
    calls = Calls()
    charge = kit.step("charge", undo=None, pivot=True)
    outer, _ = family(kit, charge, calls=calls)
    saga = start(kit.define(*outer.steps, kit.step("thank", says_no), word="thankless"))
    crew.start()
    attention(saga, "debt")
    assert statuses(saga)["ship"] == "compensation_failed"
    assert row(saga, "ship").error_code == "no_return"
    assert "behind its point of no return 'charge'" in row(saga, "ship").error_message

    fresh(saga).retry()  # it asks once more
    wait_until(lambda: kinds(saga).count("child_ended") == 3)
    attention(saga, "debt")
    fresh(saga).resolve("ship", done=False, reason="the customer keeps it")

    assert ended(saga)[0].is_compensated
    assert child(saga).is_completed
    assert calls.made == ["order", "bill", "unbill", "unorder"]


def test_debt__inside_a_child__is_the_childs_and_the_parent_waits(kit: Kit, crew: Crew) -> None:
    calls = Calls(unpack=1)
    outer, _ = family(kit, kit.step("pack", calls, calls, undo_retry=RetryPolicy(1)), calls=calls)
    saga = start(kit.define(*outer.steps, kit.step("thank", says_no), word="thankless"))
    crew.start()
    wait_until(lambda: row(saga, "ship").waits == "child" and child(saga).attention == "debt", within=10)
    assert (statuses(saga)["ship"], statuses(saga)["order"]) == ("compensating", "completed")

    child(saga).retry()

    assert ended(saga)[0].is_compensated
    assert statuses(saga)["ship"] == "compensated"


def test_roll_back_to__starts_a_new_child_in_the_next_round(kit: Kit, crew: Crew) -> None:
    calls = Calls()
    outer, _ = family(kit, kit.step("pack", calls, calls))
    saga = start(kit.define(*outer.steps[:2], step("hold", wait_for="go"), word="with_hold"))
    crew.start()
    waiting(saga, "hold")
    first = child(saga)

    fresh(saga).roll_back_to("ship", reason="another address")
    wait_until(lambda: row(saga, "ship").round == 2 and statuses(saga)["hold"] == "waiting", within=10)

    assert fresh(first).is_compensated
    assert child(saga).pk != first.pk
    assert (child(saga).state, child(saga).parent_round) == ("completed", 2)
    saga.signal("go")
    assert ended(saga)[0].is_completed
    assert calls.made == ["pack", "unpack", "pack"]


def test_pause__of_the_parent__is_not_the_childs(kit: Kit, crew: Crew) -> None:
    outer, _ = family(kit, step("hold", wait_for="go"))
    saga = start(outer)
    crew.start()
    waiting(saga, "ship")
    waiting(child(saga), "hold")

    fresh(saga).pause()
    child(saga).signal("go")
    wait_until(lambda: statuses(saga)["ship"] == "completed")
    assert statuses(saga)["bill"] == "pending"

    fresh(saga).resume()
    assert ended(saga)[0].is_completed


# -- what gets lost -------------------------------------------------------------------------------------------------


def test_burst__runs_families_to_their_end(kit: Kit, crew: Crew) -> None:
    outer, _ = family(kit, kit.step("pack"))
    thankless = kit.define(*outer.steps, kit.step("thank", says_no), word="thankless")

    for _ in range(6):  # what one tells the other is on its way for a moment, while nothing runs
        saga = start(thankless)
        assert crew.burst() == 0
        assert (fresh(saga).state, child(saga).state) == ("compensated", "compensated")


@pytest.mark.parametrize("way", ["end", "rollback"])
def test_lost_news__is_found_by_the_sweep(kit: Kit, crew: Crew, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    outer, _ = family(kit, step("hold", wait_for="go"))
    saga = start(outer)
    crew.start()
    waiting(saga, "ship")
    waiting(child(saga), "hold")
    for module in (sweeper, children):  # everybody dies before telling
        monkeypatch.setattr(module, "errands", lambda result: [])
    if way == "end":
        child(saga).signal("go")
        ended(child(saga))
    else:
        fresh(saga).cancel()
    rows = Saga.objects.using(saga._state.db)
    assert fresh(saga).wake_at <= timezone.now() + timedelta(seconds=31)
    assert row(saga, "ship").waits == "child"

    monkeypatch.undo()
    rows.filter(pk=saga.pk).update(wake_at=timezone.now())

    assert ended(saga)[0].state == ("completed" if way == "end" else "compensated")
    assert ended(child(saga))[0].state == ("completed" if way == "end" else "compensated")


def test_child__whose_row_was_deleted__is_attention(kit: Kit, crew: Crew) -> None:
    outer, _ = family(kit, step("hold", wait_for="go"))
    saga = start(outer)
    crew.start()
    waiting(saga, "ship")
    below = child(saga)
    below.steps.all().delete()
    below.history.all().delete()
    below.delete()
    Saga.objects.using(saga._state.db).filter(pk=saga.pk).update(wake_at=timezone.now())

    attention(saga, "child")
    assert row(saga, "ship").error_code == "child_lost"
    fresh(saga).resolve("ship", done=False, reason="it is gone")
    assert ended(saga)[0].is_compensated


def test_child__that_is_there_already__is_taken_for_its_own(kit: Kit, crew: Crew) -> None:
    """The parent had given up in doubt of it, and goes on with the same round: the same child."""
    calls = Calls(send=1)
    outer, _ = family(kit, kit.step("send", calls, calls, handler=ONCE), rollback=False)
    saga = start(outer, rollback=False)
    crew.start()
    attention(saga, "child")
    first = child(saga)
    fresh(saga).skip("ship")
    assert ended(saga)[0].is_completed

    assert Saga.objects.using(saga._state.db).filter(parent=saga.pk).count() == 1
    assert fresh(first).is_failed


# -- declaring ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        {"action": "a"},
        {"compensation": "b"},
        {"no_compensation": "why"},
        {"wait_for": "x"},
        {"wait_timeout": 5.0},
        {"pivot": True},
        {"probe": "p"},
        {"at_most_once": True},
        {"undo_retry": RetryPolicy(1)},
    ],
    ids=lambda words: next(iter(words)),
)
def test_declaring__a_child_saga_with_what_does_not_go_with_it(words: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=rf"'ship': a step that is a child saga has no {next(iter(words))}"):
        step("ship", saga="ship_order", **words)


def test_declaring__a_child_saga_that_nobody_knows(kit: Kit) -> None:
    definition = kit.define(step("ship", saga="nowhere"))

    with pytest.raises(DefinitionError, match=r"expected the name of a saga definition .* got 'nowhere'"):
        Saga.objects.start(definition)
