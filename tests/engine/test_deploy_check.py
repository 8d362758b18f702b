"""`saga_deploy_check`: what sagas in flight would lose by this code; exactly that, and cheaply."""

import io
from collections.abc import Mapping
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sagas import SagaDefinition, step
from sagas.core import triggers as t
from sagas.definitions.registry import registry
from sagas.models import Saga, Step

from .kit import Hand, Kit

pytestmark = pytest.mark.usefixtures("pg")


def run() -> tuple[int, list[str]]:
    """The command's exit code and lines."""
    said, code = io.StringIO(), 0
    try:
        call_command("saga_deploy_check", stdout=said)
    except SystemExit as exc:
        code = int(exc.code or 0)
    return code, said.getvalue().splitlines()


def well(sagas: int) -> tuple[int, list[str]]:
    return 0, [f"deploy check ok: {sagas} sagas in flight lose nothing"]


def losses() -> list[str]:
    """The middle of what it says: what is lost, and for how many."""
    code, lines = run()
    assert (code == 1) == (len(lines) > 1)
    return [line.strip().rpartition(" sagas, ")[0] for line in lines if line.startswith("    ")]


def lose(name: str) -> None:
    registry.handlers.pop(name)
    registry.edition += 1


def plain(kit: Kit, word: str) -> Any:
    """A step whose handlers are there, without anything else."""
    return step(word, action=kit.name(word), compensation=kit.name(f"un{word}"))


def test_nothing_in_flight() -> None:
    assert run() == well(0)


def test_all_is_there(kit: Kit, hand: Hand) -> None:
    definition = kit.pair()
    hand.run(Saga.objects.start(definition), t.Completed)
    hand.run(Saga.objects.start(definition), t.Completed, t.Completed)  # ended: it needs nothing

    assert run() == well(1)


def test_another_graph_is_no_loss(kit: Kit) -> None:
    """Sagas end on the graph that they began with."""
    saga = Saga.objects.start(kit.pair())
    registry.definitions.pop(saga.name)
    kit.define(kit.step("other"))

    assert run() == well(1)


def test_the_action_is_gone__for_those_that_have_it_before_them(kit: Kit, hand: Hand) -> None:
    definition = kit.pair()
    before = Saga.objects.start(definition)
    hand.run(Saga.objects.start(definition), t.Completed)
    lose(kit.name("first"))

    code, lines = run()

    assert code == 1
    assert lines == [
        f"{definition.name} 1 (graph {before.graph_id[:12]}): 2 in flight",
        f"    step 'first': the action '{kit.name('first')}' is gone: 1 sagas, {before.ulid}",
        "deploy check failed: 1 losses for sagas in flight, of which there are 2",
    ]


def test_the_compensation_is_gone__also_for_those_that_are_done_with_the_step(kit: Kit, hand: Hand) -> None:
    definition = kit.pair()
    for outcomes in ([], [t.Completed], [t.Completed, t.Rejected], [t.Completed, t.Rejected, t.Completed]):
        hand.run(Saga.objects.start(definition), *outcomes)
    lose(kit.name("unfirst"))

    # The last of them is compensated, and needs nothing.
    assert losses() == [f"step 'first': the compensation '{kit.name('unfirst')}' is gone: 3"]


def test_the_compensation_is_gone__for_failed_ones_that_can_be_undone(kit: Kit, hand: Hand) -> None:
    definition = kit.pair(rollback=False)
    hand.run(Saga.objects.start(definition), t.Completed, t.Rejected)
    hand.run(Saga.objects.start(definition), t.Rejected)  # it has nothing to undo
    assert run() == well(1)
    for name in ("first", "unfirst", "second", "unsecond"):
        lose(kit.name(name))

    assert losses() == [f"step 'first': the compensation '{kit.name('unfirst')}' is gone: 1"]


def test_the_compensation_is_gone__not_behind_the_point_of_no_return(kit: Kit, hand: Hand) -> None:
    definition = kit.define(kit.step("first"), kit.step("second", undo=None, pivot=True), kit.step("third", undo=None))
    hand.run(Saga.objects.start(definition), t.Completed, t.Completed)
    hand.run(Saga.objects.start(definition), t.Completed)
    lose(kit.name("unfirst"))

    assert losses() == [f"step 'first': the compensation '{kit.name('unfirst')}' is gone: 1"]


def test_a_rollback_in_part_needs_the_actions_again(kit: Kit, hand: Hand) -> None:
    saga = hand.run(Saga.objects.start(kit.pair()), t.Completed)
    saga.roll_back_to("first", reason="wrong", actor="ann")
    lose(kit.name("first"))

    assert losses() == [f"step 'first': the action '{kit.name('first')}' is gone: 1"]


def test_registered_as_the_other_sort(kit: Kit) -> None:
    Saga.objects.start(kit.define(kit.step("first", undo=None)))
    lose(kit.name("first"))
    kit.compensation("first")

    assert losses() == [f"step 'first': the action '{kit.name('first')}' is registered as the other sort: 1"]


def test_the_probe_is_gone(kit: Kit, hand: Hand) -> None:
    definition = kit.define(kit.step("first", probe=kit.action("probe")))
    hand.run(Saga.objects.start(definition), t.InDoubt)
    lose(kit.name("probe"))

    assert losses() == [f"step 'first': the probe '{kit.name('probe')}' is gone: 1"]


def test_the_definition_is_gone(kit: Kit) -> None:
    sagas = Saga.objects.start_many(kit.pair(), [{}] * 5)
    registry.definitions.pop(sagas[0].name)

    code, lines = run()

    assert code == 1
    assert lines[1] == (
        f"    the definition {sagas[0].name!r} is gone: 5 sagas, {', '.join(saga.ulid for saga in sagas[:3])}, …"
    )


def test_own_steps_need_no_definition(kit: Kit) -> None:
    Saga.objects.start("by hand", steps=[{"name": "x", "action": kit.action("x"), "no_compensation": "reads"}])

    assert run() == well(1)


@pytest.mark.parametrize("word", ["input", "when", "until", "for_each"])
def test_a_function_is_gone(kit: Kit, word: str) -> None:
    before = kit.step("before")
    saga = Saga.objects.start(kit.define(before, kit.step("first", **{word: lambda context, outputs: None})))
    assert run() == well(1)
    registry.definitions.pop(saga.name)
    kit.define(before, plain(kit, "first"))

    assert losses() == [f"step 'first': the function {word}= is gone: 1"]


def test_a_function_is_gone__with_its_step(kit: Kit) -> None:
    saga = Saga.objects.start(kit.define(kit.step("first", when=lambda context, outputs: True)))
    registry.definitions.pop(saga.name)
    kit.define(kit.step("other"))

    assert losses() == ["step 'first': the function when= is gone, and so is the step: 1"]


def test_a_function_is_gone__not_for_those_that_have_called_it(kit: Kit) -> None:
    # The first step's input is worked out when the saga starts.
    saga = Saga.objects.start(kit.define(kit.step("first", input=lambda context, outputs: {})))
    registry.definitions.pop(saga.name)
    kit.define(plain(kit, "first"))

    assert run() == well(1)


def compose(kit: Kit, gift: Any, book: Any, key: str = "gift") -> type[SagaDefinition]:
    registry.definitions.pop(kit.name("composed"), None)

    class Composed(SagaDefinition):
        name = kit.name("composed")

        @staticmethod
        def steps(context: Mapping[str, Any]) -> list[Any]:
            return [plain(kit, "before"), gift if context[key] else book]

    return Composed


def test_steps_that_are_a_function_of_the_context__each_saga_has_its_own(kit: Kit) -> None:
    kit.step("before")
    gift, book = (kit.step(word, input=lambda context, outputs: {}) for word in ("gift", "book"))
    definition = compose(kit, gift, book)
    for is_gift in (True, False):
        Saga.objects.start(definition, context={"gift": is_gift})
    assert run() == well(2)

    compose(kit, plain(kit, "gift"), book)
    assert losses() == ["step 'gift': the function input= is gone: 1"]

    compose(kit, gift, book, key="present")
    assert sorted(losses()) == [
        "step 'book': the function input= is not found: steps= raised KeyError: 'present': 1",
        "step 'gift': the function input= is not found: steps= raised KeyError: 'present': 1",
    ]


def test_a_child_that_is_done__may_be_undone_with_its_parent(
    kit: Kit, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = kit.define(kit.step("inner"), word="child")
    parent = Saga.objects.start(kit.define(step("ship", saga=definition.name), kit.step("last"), word="parent"))
    child = hand.run(Saga.objects.start(definition), t.Completed)
    family = {(parent.pk, "ship", 1): child.pk}
    monkeypatch.setattr("sagas.engine.deploy.child_id", lambda *key: family[key])
    Step.objects.filter(name="ship").update(status="completed")
    lose(kit.name("uninner"))

    assert losses() == [f"step 'inner': the compensation '{kit.name('uninner')}' is gone: 1"]

    Saga.objects.filter(pk=parent.pk).update(state="completed", wake_at=None)
    assert run() == well(0)


def test_many_sagas_cost_no_more_than_few(kit: Kit) -> None:
    definition = kit.pair()
    Saga.objects.start_many(definition, [{}] * 50)

    with CaptureQueriesContext(connection) as asked:
        assert run() == well(50)

    assert len(asked) == 2
