"""`saga_check` on families: a parent and its child that do not say the same. Their rows are broken by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sagas import RetryPolicy, step
from sagas.engine import check_family
from sagas.models import HistoryEntry, Saga, Step
from tests.engine.kit import Kit
from tests.engine.test_check import run

from .conftest import Crew, ended, fresh
from .test_children import child, family, says_no, start
from .test_steering import Calls, attention
from .test_waiting import row, waiting

pytestmark = pytest.mark.usefixtures("transactional_db", "pg", "quick")


def shipped(kit: Kit, crew: Crew, *more: Any) -> Saga:
    """A family that has come to its end."""
    outer, _ = family(kit, kit.step("pack"))
    saga = start(kit.define(*outer.steps, *more, word="longer"))
    crew.burst()
    return ended(saga)[0]


def held(kit: Kit, crew: Crew) -> Saga:
    """A parent that waits for its child."""
    outer, _ = family(kit, step("hold", wait_for="go"))
    saga = start(outer)
    crew.start()
    waiting(saga, "ship")
    waiting(child(saga), "hold")
    crew.stop_all()
    return fresh(saga)


def family_findings() -> list[str]:
    """What the command says of families; the rest follows from it (a row that is no longer what its history says)."""
    return [line for line in run()[1] if " I20: " in line]


def delete(saga: Saga) -> None:
    Step.objects.filter(saga=saga).delete()
    HistoryEntry.objects.filter(saga=saga).delete()
    Saga.objects.filter(pk=saga.pk).delete()


def test_families_that_agree(kit: Kit, crew: Crew) -> None:
    done, undone = shipped(Kit(), crew), shipped(Kit(), crew, kit.step("thank", says_no))
    assert (done.state, undone.state) == ("completed", "compensated")
    inner = kit.define(kit.step("pack"), word="ship_item")
    many = start(kit.define(step("ship", saga=inner.name, for_each="items")), context={"items": [{}, {}]})
    none = start(kit.define(step("ship", saga=inner.name, for_each="items"), word="none"), context={"items": []})
    crew.burst()
    assert [saga.state for saga in ended(many, none)] == ["completed", "completed"]
    held(Kit(), crew)

    assert run() == (0, ["checked 10 sagas: 0 violations"])


@pytest.mark.parametrize("state", ["started", "compensated", "failed"])
def test_completed__but_the_child_is_not(kit: Kit, crew: Crew, state: str) -> None:
    saga = shipped(kit, crew)
    below = child(saga)
    Saga.objects.filter(pk=below.pk).update(state=state, wake_at=below.created_at if state == "started" else None)

    assert family_findings() == [
        f"{saga.ulid} I20: step 'ship' is completed, but its child saga {below.ulid} is {state}"
    ]


def test_undone__but_the_child_is_not(kit: Kit, crew: Crew) -> None:
    saga = shipped(kit, crew, kit.step("thank", says_no))
    below = child(saga)
    assert (row(saga, "ship").status, below.state) == ("compensated", "compensated")
    Saga.objects.filter(pk=below.pk).update(state="completed")

    assert family_findings() == [
        f"{saga.ulid} I20: step 'ship' is compensated, but its child saga {below.ulid} is completed"
    ]


def test_failed__but_the_child_goes_on(kit: Kit, crew: Crew) -> None:
    saga = start(family(kit, kit.step("pack"), kit.step("send", says_no))[0])
    crew.burst()
    below = child(ended(saga)[0])
    assert family_findings() == []
    Saga.objects.filter(pk=below.pk).update(state="completed")

    assert family_findings() == [
        f"{saga.ulid} I20: step 'ship' is failed, but its child saga {below.ulid} is completed"
    ]


@pytest.mark.parametrize("ending", ["completed", "compensated"])
def test_the_child_is_missing(kit: Kit, crew: Crew, ending: str) -> None:
    saga = shipped(kit, crew, *([kit.step("thank", says_no)] if ending == "compensated" else []))
    below = child(saga)
    delete(below)

    assert family_findings() == [
        f"{saga.ulid} I20: step 'ship' is {ending}, but its child saga {below.ulid} is not there"
    ]


def test_the_child_is_missing__and_waited_for(kit: Kit, crew: Crew) -> None:
    saga = held(kit, crew)
    below = child(saga)
    delete(below)

    assert family_findings() == [
        f"{saga.ulid} I20: step 'ship' is waiting and waits for it, but its child saga {below.ulid} is not there"
    ]


def test_the_parent_is_missing(kit: Kit, crew: Crew) -> None:
    saga = held(kit, crew)
    below = child(saga)
    delete(saga)

    assert run("--alive")[1][-2:] == [
        f"{below.ulid} I20: its parent saga {saga.ulid} is not there",
        "checked 1 sagas: 1 violations",
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"parent_step": "nowhere"}, "its parent saga {0} has no step 'nowhere'"),
        ({"parent_round": 2}, "it is said to be the child of round 2 of step 'ship' of saga {0}, which has another"),
        ({"parent_step": "bill"}, "it is said to be the child of round 1 of step 'bill' of saga {0}, which has an"),
    ],
    ids=["step", "round", "another step"],
)
def test_the_child_of_another(kit: Kit, crew: Crew, change: dict[str, Any], text: str) -> None:
    saga = shipped(kit, crew)
    below = child(saga)
    Saga.objects.filter(pk=below.pk).update(**change)

    (line,) = family_findings()
    assert line.startswith(f"{below.ulid} I20: {text.format(saga.ulid)}")


# -- what is no finding ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["resolve", "skip"])
def test_settled_by_hand__is_a_persons_word(kit: Kit, crew: Crew, way: str) -> None:
    calls = Calls(send=1)
    once = {"retry": RetryPolicy(1)}
    outer, _ = family(kit, kit.step("send", calls, calls, handler=once), rollback=False)
    saga = start(outer)
    crew.start()
    attention(saga, "child")

    if way == "resolve":
        fresh(saga).resolve("ship", done=True, output={}, reason="sent by taxi")
    else:
        fresh(saga).skip("ship", reason="sent by taxi")
    ended(saga)
    crew.stop_all()

    assert (row(saga, "ship").status, child(saga).state) == ("completed", "failed")
    assert family_findings() == []


def test_moved_on_between_the_reads__is_no_finding(kit: Kit, crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    saga = shipped(kit, crew)
    Saga.objects.filter(pk=child(saga).pk).update(state="compensated")
    real: Callable[..., Any] = check_family.audit_children

    def late(*args: Any) -> Any:
        found = list(real(*args))
        Saga.objects.filter(pk=saga.pk).update(revision=99)
        return found

    assert len(family_findings()) == 1
    monkeypatch.setattr(check_family, "audit_children", late)

    assert family_findings() == []
