"""Child sagas in memory: a parent with its children, and theirs, in one test. No test here may touch a database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sagas import Rejected, Retryable
from sagas.core import children as core_children
from sagas.core import decide as core_decide
from sagas.core import triggers as t
from sagas.core.states import SagaState
from sagas.exceptions import TransitionNotAllowedError
from sagas.testing import (
    FROZEN,
    WAYS,
    CrashAfter,
    CrashBefore,
    Frozen,
    SagaRun,
    Timeout,
    fail_every_step,
    given,
    run_saga,
)

from . import family

OSLO = {"to": "Oslo"}
DOWN = ["order", "ship", "ship/pack", "ship/label", "ship/label/print", "ship/label/glue", "ship/send", "bill"]
UP = ["bill", "ship/send", "ship/label/glue", "ship/label/print", "ship/pack", "order"]
NO = Rejected("no such street", code="no_street")


@pytest.fixture(autouse=True)
def _nothing_done() -> Iterator[None]:
    yield
    family.DONE.clear()
    family.CARELESS.clear()


def order(**options: Any) -> SagaRun:
    return run_saga(family.Order, OSLO, **options)


# -- run_saga --------------------------------------------------------------------------------------------------------


def test_run__a_parent_with_its_child_and_grandchild():
    run = order()

    ship = run.children["ship"]
    label = ship.children["label"]
    assert (run.state, ship.state, label.state) == ("completed",) * 3
    assert (run.called, run.undo_called) == (DOWN, [])
    assert (ship.called, label.called) == (["pack", "label", "label/print", "label/glue", "send"], ["print", "glue"])
    assert (ship.name, label.name) == ("family_shipping", "family_label")
    assert run.outputs["ship"] == ship.context == {"to": "Oslo", "pack": True, "send": True}
    assert ship.outputs["label"] == label.context == {"size": 4, "print": True, "glue": True}
    assert ship.statuses == {"pack": "completed", "label": "completed", "send": "completed"}
    assert [one.name for one in run.family()] == ["family_order", "family_shipping", "family_label"]
    assert not label.children


def test_run__a_child_that_has_not_started():
    run = order(fail={"order": NO})

    assert (run.state, run.children) == ("compensated", {})


def test_run__one_child_per_element():
    run = run_saga(family.Parcels, {"parcels": [{"n": 1}, {"n": 2}]})

    assert list(run.children) == ["label[0]", "label[1]"]
    assert [child.context["n"] for child in run.children.values()] == [1, 2]
    assert (run.state, [each["n"] for each in run.outputs["label"]]) == ("completed", [1, 2])


def test_run__one_of_the_elements_fails():
    run = run_saga(family.Parcels, {"parcels": [{"n": 1}, {"n": 2}]}, fail={"label[1]/glue": NO})

    assert (run.state, run.error_code) == ("compensated", "no_street")
    assert [child.state for child in run.children.values()] == ["compensated", "compensated"]
    assert "label[0]/glue" in run.undo_called
    assert family.left() == []


def test_story__has_those_of_the_children():
    run = order(fail={"ship/label/glue": NO})

    own, ship, label = run.story.split("\n\n")
    assert own.splitlines()[0] == "   1      0:00:00  started"
    assert ship.splitlines()[0] == "ship, the child saga family_shipping, is compensated:"
    assert label.splitlines()[0] == "ship/label, the child saga family_label, is compensated:"
    assert "rejected (no_street: no such street): print compensating, glue failed" in label
    assert run.children["ship"].children["label"].story == label.partition("\n")[2]


# -- failing ---------------------------------------------------------------------------------------------------------


def test_fail__deep_below__rolls_all_back_and_carries_the_reason_up():
    run = order(fail={"ship/label/glue": NO})

    assert (run.state, run.error_code) == ("compensated", "no_street")
    assert {one.state for one in run.family()} == {"compensated"}
    assert run.statuses == {"order": "compensated", "ship": "failed", "bill": "cancelled"}
    assert run.undo_called == ["ship/label/print", "ship/pack", "order"]
    assert family.left() == []


def test_fail__behind_the_child__undoes_it_last_step_first():
    run = run_saga(family.Order, OSLO, fail={"bill": [Timeout(), NO]})

    assert run.undo_called == UP
    assert (run.undone, run.children["ship"].undone) == (["bill", "ship", "order"], ["send", "label", "pack"])
    assert run.statuses["ship"] == "compensated"
    assert family.left() == []


def test_fail__a_debt_in_a_child__is_the_childs_until_it_is_retried():
    run = order(fail={"bill": NO, "ship/send.undo": ValueError("the carrier hung up")})
    ship = run.children["ship"]
    assert (run.state, run.statuses["ship"], run.attention) == ("compensating", "compensating", "")
    assert (ship.state, ship.attention) == ("compensating", "debt")

    run.heal()
    ship.retry("they answer again").finish()

    assert (run.state, ship.state) == ("compensated", "compensated")


@pytest.mark.parametrize("name", ["ship", "ship/pack", "ship/label/print"])
@pytest.mark.parametrize("fault", [CrashBefore, CrashAfter], ids=["before", "after"])
def test_fail__a_crash_anywhere__is_taken_over(name: str, fault: Any):
    run = order(fail={name: [fault()]})

    assert run.state == "completed"
    assert (run.called.count(name), len(list(run.family()))) == (2, 3)
    assert "worker_lost" in run.story


def test_fail__a_crash_takes_the_claims_of_the_whole_family_along():
    run = run_saga(family.Parcels, {"parcels": [{"n": n} for n in range(3)]}, fail={"label[1]/print": [CrashBefore()]})

    assert run.state == "completed"
    assert "worker_lost" in run.children["label[2]"].story


@pytest.mark.parametrize("failure", [NO, ValueError("what?"), Timeout()], ids=["rejected", "exception", "timeout"])
def test_fail__the_start_of_the_child__leaves_none_behind(failure: Any):
    run = order(fail={"ship": failure})

    assert (run.state, run.statuses["ship"], run.children) == ("compensated", "failed", {})
    assert len(run.store.sagas) == 1
    assert family.left() == []


def test_fail__a_start_that_freezes_and_thaws_too_late__leaves_none_behind():
    run = order(fail={"ship": [Frozen(), NO]}).thaw().finish()

    assert (run.state, run.children) == ("compensated", {})
    assert len(run.store.sagas) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ship/nope", r"^fail: expected names of steps \(ship/label, ship/pack, ship/send\), got ship/nope$"),
        ("ship/nope.undo", r"^fail: expected names of steps \(ship/label, ship/pack, ship/send\), got ship/nope$"),
        ("ship/label/nope", r"\(ship/label/glue, ship/label/print\), got ship/label/nope$"),
        ("order/pack", r"^fail\['order/pack'\]: expected 'order' to be a child saga of this saga \(ship\)$"),
        ("nope/pack", r"expected 'nope' to be a child saga of this saga \(ship\)"),
        ("ship/pack/x", r"expected 'ship/pack' to be a child saga of this saga \(label\)"),
        ("ship/label/print/x", r"expected 'ship/label/print' to be a child saga of this saga \(it has none\)"),
        ("ship.undo", r"a child saga is undone by its own steps: name one of them, such as 'ship/….undo'"),
        ("ship[0]/pack.undo", r"expected 'ship\[0\]' to be a child saga of this saga \(ship\)"),
        ("order[0]", r"expected names of steps \(bill, order, ship\), got order\[0\]"),
    ],
)
def test_fail__unknown_names_are_refused(name: str, text: str):
    with pytest.raises(ValueError, match=text):
        order(fail={name: NO})


def test_fail__of_a_child_whose_steps_are_a_function_of_its_context():
    names = {"names": ["one", "two"]}

    assert run_saga(family.Chosen, names, fail={"do/two": NO}).undo_called == ["do/one"]
    with pytest.raises(ValueError, match=r"^fail: expected names of steps \(do/one, do/two\), got do/three$"):
        run_saga(family.Chosen, names, fail={"do/three.undo": NO})


def test_fail__of_elements__one_or_each():
    parcels = {"parcels": [{"n": 1}, {"n": 2}]}

    one = run_saga(family.Parcels, parcels, fail={"label[1]/glue": [Retryable("dry")]})
    each = run_saga(family.Parcels, parcels, fail={"label/glue": [Retryable("dry")]})

    assert (one.called.count("label[0]/glue"), one.called.count("label[1]/glue")) == (1, 2)
    assert (each.called.count("label[0]/glue"), each.called.count("label[1]/glue")) == (2, 2)


def test_fail__of_elements_that_are_no_children():
    run = run_saga(family.Bottles, {"bottles": [1, 2]}, fail={"fill[1]": NO, "fill.undo": [Retryable("spilt")]})

    assert (run.state, run.undo_called) == ("compensated", ["fill[0]", "fill[0]"])


# -- steering --------------------------------------------------------------------------------------------------------


def test_drain__a_child_that_waits__with_the_clock_in_hand():
    run = run_saga(family.Patient, finish=False).drain()
    below = run.children["wait"]
    assert (run.statuses["wait"], below.statuses["pause"]) == ("waiting", "waiting")

    run.clock.advance(minutes=59)
    run.drain()
    assert below.statuses["pause"] == "waiting"
    run.clock.advance(minutes=1)
    run.drain()
    assert (below.statuses["pause"], below.statuses["hold"]) == ("completed", "waiting")

    below.signal("go", {"by": "anna"}).drain()
    assert (run.state, below.outputs["hold"]) == ("completed", {"by": "anna"})


def test_finish__passes_over_the_waits_of_a_child():
    run = run_saga(family.Patient)

    assert run.children["wait"].statuses == {"pause": "completed", "hold": "waiting", "send": "pending"}
    assert run.next_step() is None


def test_cancel__reaches_the_child_that_waits():
    run = run_saga(family.Patient, finish=False).drain().cancel("not wanted").finish()

    assert (run.state, run.children["wait"].state) == ("compensated", "compensated")
    assert run.children["wait"].error_code == "cancel"
    assert run.statuses == {"order": "compensated", "wait": "failed"}


def test_verbs_on_a_child__that_go_over_the_parents_head_are_refused():
    run = run_saga(family.Patient, finish=False).drain()

    with pytest.raises(TransitionNotAllowedError, match="compensate or cancel that one"):
        run.children["wait"].compensate()
    with pytest.raises(ValueError, match=r"expected the name of a step of this saga \(pause, hold, send\)"):
        run.children["wait"].skip("order")


def test_a_child_that_failed__is_a_persons_business_and_healed_by_its_retry():
    run = run_saga(family.Patient, fail={"wait/send": NO}, finish=False).drain()
    run.clock.advance(hours=1)
    run.drain().children["wait"].signal("go").drain()
    assert (run.attention, run.statuses["wait"], run.children["wait"].state) == ("child", "unknown", "failed")

    run.heal().children["wait"].retry("the street is there now").finish()

    assert (run.state, run.attention) == ("completed", "")


def test_roll_back_to__shows_the_child_of_the_latest_round():
    run = run_saga(family.Order, OSLO, fail={"bill": [Retryable("busy", after=3600)]}, finish=False).drain()
    first = run.children["ship"]

    run.roll_back_to("ship", "another street").drain()

    assert (first.state, run.children["ship"].state) == ("compensated", "completed")
    assert run.children["ship"].id != first.id
    assert run.called.count("ship/pack") == 2


@pytest.mark.parametrize(
    ("keys", "state", "code"),
    [([{"key": "b"}, {"key": "b"}], "completed", ""), ([{"key": "b"}, {"key": "a"}], "compensated", "lock_held")],
    ids=["of each other", "of the parent"],
)
def test_locks__of_the_family(keys: list[dict[str, str]], state: str, code: str):
    run = run_saga(family.Locked, {"key": "a", "keys": keys})

    assert (run.state, run.error_code) == (state, code)


# -- given -----------------------------------------------------------------------------------------------------------


def test_given__calls_of_a_child_are_expected_as_the_parents():
    script = given(family.Order, OSLO)
    for name in ("order", "ship/pack", "ship/label/print", "ship/label/glue"):
        script.expect("family.do", step=name).reply({"by": name})
    script.expect("family.do", step="send").reply(Rejected("the van is full", code="full"))
    for name in ("ship/label/glue", "ship/label/print", "ship/pack", "order"):
        script.expect("family.undo", step=name).reply()
    run = script.finish()

    assert (run.state, run.error_code) == ("compensated", "full")
    assert run.children["ship"].outputs["pack"] == {"by": "ship/pack"}
    assert family.DONE == []


def test_given__one_child_per_element__answered_in_any_order():
    script = given(family.Parcels, {"parcels": [{"n": 1}, {"n": 2}]})
    for name in ("label[1]/print", "label[1]/glue", "label[0]/print", "label[0]/glue", "bill"):
        script.expect("family.do", step=name).reply({})

    assert script.finish().state == "completed"


def test_given__gates_of_a_child_are_passed_by_themselves():
    script = given(family.Patient)
    script.expect("family.do", step="order").reply({})
    script.expect_nothing()
    assert script.run.children["wait"].statuses["pause"] == "waiting"

    script.advance(hours=1).expect_nothing()
    script.run.children["wait"].signal("go")

    assert script.expect("family.do", step="wait/send").reply({}).finish().state == "completed"


def test_given__a_call_that_nobody_expected_is_named_by_its_path():
    with pytest.raises(AssertionError, match=r"got      family.do \(ship/pack, attempt 1\) with input \{\}") as failed:
        given(family.Order, OSLO).expect("family.do").reply().finish()

    assert "ship, the child saga family_shipping, is started:" in str(failed.value)


def test_given__participants_of_children_need_not_exist():
    from sagas import SagaDefinition, step
    from sagas.definitions.registry import registry
    from tests.engine.kit import forgetting

    with forgetting():
        body = {"name": "elsewhere_ship", "steps": [step("pack", action="elsewhere.pack", compensation="elsewhere.un")]}
        type("Ship", (SagaDefinition,), body)
        outer = {"name": "elsewhere_order", "steps": [step("ship", saga="elsewhere_ship")]}
        script = given(type("Outer", (SagaDefinition,), outer), {})

        run = script.expect("elsewhere.pack").reply({"parcel": 7}).finish()

        assert (run.state, run.children["ship"].outputs["pack"]) == ("completed", {"parcel": 7})
        assert "elsewhere.pack" not in registry.handlers


# -- fail_every_step -------------------------------------------------------------------------------------------------


def balanced(run: SagaRun) -> None:
    """All or nothing."""
    assert len(family.left()) == (6 if run.state == "completed" else 0), family.left()


def test_every_step__of_the_whole_family():
    report = fail_every_step(family.Order, OSLO, invariant=balanced, reset=family.DONE.clear, ways=[*WAYS, FROZEN])

    # Eight steps in six ways, and the compensations of the six that call somebody.
    assert report.count == 1 + 8 * 6 + 6 * 6
    assert not report.not_reached
    tried = {(trial.step, trial.undo) for trial in report if trial.step}
    assert tried == {(name, False) for name in DOWN} | {(name, True) for name in UP}


def test_every_step__of_each_element():
    found = fail_every_step(family.Parcels, {"parcels": [{"n": 1}, {"n": 2}]}, reset=family.DONE.clear, ways=WAYS[:1])

    assert {trial.step for trial in found} == {
        "", "bill", "label[0]", "label[0]/print", "label[0]/glue", "label[1]", "label[1]/print", "label[1]/glue",
    }  # fmt: skip
    assert not found.not_reached


def test_every_step__finds_the_mistake_of_a_grandchild():
    family.CARELESS.append("yes")

    with pytest.raises(AssertionError, match="family_order breaks when ship/send fails: exception") as failed:
        fail_every_step(family.Order, OSLO, invariant=balanced, reset=family.DONE.clear, ways=WAYS[1:2])

    assert "ship/label, the child saga family_label, is compensated:" in str(failed.value)


def test_every_step__heals_a_child_that_failed_for_good():
    """Its retry brings the parent to its end; a retry of the parent would be refused."""
    report = fail_every_step(family.Lenient, reset=family.DONE.clear)

    assert {trial.state for trial in report if trial.step == "ship/send" and not trial.undo} == {"completed"}


def test_every_step__a_family_that_does_not_agree_is_a_failure(monkeypatch: pytest.MonkeyPatch):
    """What `saga_check` compares is compared here, too."""
    real = core_children.child_ended

    def deaf(draft: Any, trigger: Any) -> str:
        completed = replace(trigger, state=SagaState.COMPLETED)
        return real(draft, completed if trigger.state is SagaState.COMPENSATED else trigger)

    monkeypatch.setitem(core_decide._HANDLERS, t.ChildEnded, deaf)

    with pytest.raises(AssertionError, match=r"I20: step 'ship' is completed, but its child saga .* is compensated"):
        fail_every_step(family.Order, OSLO, reset=family.DONE.clear, ways=WAYS[:1])
