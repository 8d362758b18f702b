"""A saga with its own list of steps, and none of a definition's."""

from typing import Any

import pytest

from sagas import parallel, step
from sagas.core.graph import MAX_STEPS
from sagas.exceptions import DefinitionError, DuplicateSagaError, PayloadError
from sagas.models import Saga
from sagas.testing import run_saga

from .kit import Kit

pytestmark = pytest.mark.usefixtures("pg")


def dicts(kit: Kit, *names: str, **more: Any) -> list[dict[str, Any]]:
    do, undo = kit.action("do"), kit.compensation("undo")
    return [{"name": name, "action": do, "compensation": undo, **more} for name in names]


def test_steps__as_dicts(kit: Kit) -> None:
    saga = Saga.objects.start("ad hoc", steps=dicts(kit, "a", "b", input={"n": 1}), context={"x": 1})

    rows = list(saga.steps.all())
    assert saga.name == "ad hoc"
    assert [(row.name, row.input, row.depends_on) for row in rows] == [("a", {"n": 1}, []), ("b", {"n": 1}, [0])]
    assert rows[0].action == kit.name("do")
    assert rows[0].compensation == kit.name("undo")


def test_steps__as_objects(kit: Kit) -> None:
    do = kit.action("do")
    one, two, three = (step(name, action=do, no_compensation="reads only", input={"n": name}) for name in "abc")

    saga = Saga.objects.start("ad hoc", steps=[one, parallel(two, three)])

    assert [(row.name, row.input, row.depends_on) for row in saga.steps.all()] == [
        ("a", {"n": "a"}, []),
        ("b", {"n": "b"}, [0]),
        ("c", {"n": "c"}, [0]),
    ]


def test_steps__with_after(kit: Kit) -> None:
    first, second, third = dicts(kit, "a", "b", "c")

    saga = Saga.objects.start("ad hoc", steps=[first, second, {**third, "after": ["a"]}])

    assert saga.steps.get(name="c").depends_on == [0]


def test_steps__under_the_name_of_a_definition(kit: Kit) -> None:
    definition = kit.pair()

    saga = Saga.objects.start(definition, steps=dicts(kit, "other"))

    assert saga.name == definition.name
    assert [row.name for row in saga.steps.all()] == ["other"]


def test_steps__child_sagas_of_definitions_that_are_known(kit: Kit) -> None:
    inner = kit.define(kit.step("pack"), word="ship_order")

    saga = Saga.objects.start("ad hoc", steps=[{"name": "ship", "saga": inner.name, "input": {"to": "Oslo"}}])

    (row,) = saga.steps.all()
    assert (row.action, row.input) == (f"saga:{inner.name}", {"to": "Oslo"})
    run = run_saga("ad hoc", {}, steps=[{"name": "ship", "saga": inner.name, "input": {"to": "Oslo"}}])
    assert (run.state, run.outputs["ship"], run.called) == ("completed", {"to": "Oslo"}, ["ship", "ship/pack"])


def test_steps__none_at_all__is_complete(kit: Kit) -> None:
    assert Saga.objects.start("ad hoc", steps=[]).is_completed


def test_steps__graphs_are_shared(kit: Kit) -> None:
    first, second = (Saga.objects.start("ad hoc", steps=dicts(kit, "a", input={"n": n})) for n in (1, 2))

    assert first.graph_id == second.graph_id


def test_steps__inputs_are_part_of_the_payload(kit: Kit) -> None:
    def start(n: int) -> Saga:
        return Saga.objects.start("ad hoc", steps=dicts(kit, "a", input={"n": n}), idempotency_key="k")

    first = start(1)

    assert start(1).pk == first.pk
    with pytest.raises(DuplicateSagaError):
        start(2)


def test_refused__function_as_input(kit: Kit) -> None:
    with pytest.raises(
        DefinitionError, match=r"step 'a': expected input as a dict, got a function: .* SagaDefinition instead"
    ):
        Saga.objects.start("ad hoc", steps=dicts(kit, "a", input=lambda context, outputs: {}))


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ("a, b", r"expected a list of step"),
        ({"name": "a"}, r"expected a list of step"),
        ([{"name": "a"}], r"expected a dict with name and action or saga \(and of compensation, "),
        ([{"name": "a", "saga": "nowhere"}], r"step 'a': unknown child saga: expected the name of a saga .*'nowhere'"),
        ([{"name": "a", "saga": "b", "action": "x"}], "a step that is a child saga has no action"),
        ([{"name": "a", "saga": "b", "compensation": "x"}], "a step that is a child saga has no compensation"),
        ([{"name": "a", "action": "x", "acton": "y"}], "got the keys action, acton, name"),
        ([{"name": "a", "action": "x"}], "expected either compensation=.* or no_compensation=.*got neither"),
        ([{"name": "a", "action": "x", "compensation": "y", "no_compensation": "z"}], "got both"),
        ([7], r"expected step\(…\), parallel\(…\) or a dict, got 7"),
        ([{"name": "", "action": "x", "compensation": "y"}], "expected a name of 1 to 100 printable characters"),
        ([{"name": "a\n", "action": "x", "compensation": "y"}], "printable"),
        ([{"name": "a", "action": "x", "compensation": "y", "input": [1]}], "expected input as a dict"),
    ],
)
def test_refused__lists(kit: Kit, steps: Any, text: str) -> None:
    with pytest.raises(DefinitionError, match=text):
        Saga.objects.start("ad hoc", steps=steps)


def test_refused__graphs(kit: Kit) -> None:
    first, second = dicts(kit, "a", "b")
    cases = {
        "two steps are called 'a'": [first, first],
        "waits for 'zz', which is no step of this saga": [{**first, "after": ["zz"]}],
        "in a circle": [{**first, "after": ["b"]}, {**second, "after": ["a"]}],
        f"expected at most {MAX_STEPS} steps, got {MAX_STEPS + 1}": dicts(
            kit, *(f"s{n}" for n in range(MAX_STEPS + 1))
        ),
    }
    for text, steps in cases.items():
        with pytest.raises(DefinitionError, match=text):
            Saga.objects.start("ad hoc", steps=steps)


def test_refused__name(kit: Kit) -> None:
    for name in ("", "x" * 101, "a\nb"):
        with pytest.raises(DefinitionError, match="saga: expected a name"):
            Saga.objects.start(name, steps=[])


def test_refused__input_that_json_can_not_hold(kit: Kit) -> None:
    with pytest.raises(PayloadError, match="input of step 'a'"):
        Saga.objects.start("ad hoc", steps=dicts(kit, "a", input={"n": float("nan")}))
