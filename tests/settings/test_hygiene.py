"""`manage.py check`: mistakes in definitions; each has a test that finds it and one that lets it be."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage, run_checks

import sagas
from sagas import RetryPolicy, SagaDefinition, action, compensation, parallel, step
from sagas.core.errors import DefinitionError
from sagas.definitions.registry import registry
from tests.docs.generated import README
from tests.engine.kit import Kit, forgetting


@pytest.fixture
def kit() -> Iterator[Kit]:
    with forgetting():
        yield Kit()


def messages() -> list[CheckMessage]:
    return [message for message in run_checks(tags=["sagas"]) if str(message.id).startswith("sagas.")]


def found(kit: Kit, *steps: Any, **attributes: Any) -> dict[str, str]:
    """Id and text of what the checks find in this definition."""
    kit.define(*steps, **attributes)
    assert all(message.hint for message in messages())
    return {str(message.id): message.msg for message in messages()}


def paid(**options: Any) -> Any:
    return step("paid", wait_for="payment", **{"wait_timeout": 60, **options})


def pivot(kit: Kit, **options: Any) -> Any:
    return kit.step("final", undo=None, pivot=True, **options)


def test_e010__missing_handler(kit: Kit) -> None:
    assert "unknown action 'no.body'" in found(kit, step("x", action="no.body", no_compensation="x"))["sagas.E010"]


def test_e010__missing_probe_and_compensation(kit: Kit) -> None:
    kit.define(step("x", action=kit.action("x"), compensation="no.undo"), word="undo")
    kit.define(kit.step("y", probe="no.probe"), word="probe")

    texts = [message.msg for message in messages() if message.id == "sagas.E010"]

    assert [text.partition(": ")[2].split(":")[0] for text in texts] == [
        "unknown compensation 'no.undo'",
        "unknown action 'no.probe'",
    ]


def test_e011__a_blank_reason(kit: Kit) -> None:
    text = found(kit, step("x", action=kit.action("x"), no_compensation=" "))["sagas.E011"]

    assert text.endswith("step 'x' has neither a compensation nor a reason why it has none")


def test_e011__fine(kit: Kit) -> None:
    assert found(kit, kit.step("a"), kit.step("b", undo=None)) == {}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"when": "false"}, "step 'late' is never reached: its condition 'false' never holds"),
        ({"when": "1 > 2"}, "step 'late' is never reached: its condition '1 > 2' never holds"),
        ({"when": "1 < 'a'"}, "never holds"),
        ({"when": "outputs.late.ok"}, "can not see what 'outputs.late.ok' asks for: 'late' is no step that it waits"),
        ({"when": "outputs['typo'] == 1"}, "'typo' is no step that it waits for"),
        ({"when": "outputs.beside.ok"}, "'beside' is no step that it waits for"),
        ({"for_each": "outputs.typo.lines"}, "'typo' is no step that it waits for"),
    ],
)
def test_e012__never_reached(kit: Kit, options: dict[str, Any], text: str) -> None:
    late = kit.step("late", **options)

    assert text in found(kit, kit.step("first"), parallel(kit.step("beside"), late))["sagas.E012"]


def test_e012__a_signal_that_another_step_takes(kit: Kit) -> None:
    text = found(kit, paid(), step("again", wait_for="payment", wait_timeout=9))["sagas.E012"]

    assert text.endswith("step 'paid' is never passed: the signal 'payment' goes to step 'again' alone")


@pytest.mark.parametrize(
    "options",
    [
        {"when": "total > 100"},
        {"when": "outputs.first.ok and not false"},
        {"when": "true"},
        {"when": "outputs"},
        {"when": lambda context, outputs: False},
        {"for_each": "outputs.first.lines"},
        {"for_each": "items"},
    ],
)
def test_e012__fine(kit: Kit, options: dict[str, Any]) -> None:
    assert found(kit, kit.step("first"), kit.step("late", **options), paid()) == {}


def test_e013__a_module_beside_a_package(kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both, package, module = (tmp_path / name for name in ("both", "package", "module"))
    for place in (both, package):
        (place / "sagas").mkdir(parents=True)
        (place / "sagas" / "__init__.py").touch()
    module.mkdir()
    for place in (both, module):
        (place / "sagas.py").touch()
    configs = [SimpleNamespace(name=place.name, path=str(place)) for place in (both, package, module)]
    monkeypatch.setattr(apps, "get_app_configs", lambda: configs)

    (message,) = messages()

    assert message.id == "sagas.E013"
    assert message.msg.startswith("the app 'both' has both a sagas.py and a package sagas/")


def test_w010__compensation_behind_the_pivot(kit: Kit) -> None:
    text = found(kit, pivot(kit), kit.step("ship"))["sagas.W010"]

    assert "step 'ship' has the compensation" in text
    assert text.endswith("which never runs: 'final' is the pivot")


def test_w010__compensation_of_the_pivot(kit: Kit) -> None:
    assert found(kit, kit.step("x", pivot=True))["sagas.W010"].endswith(
        "which never runs: it is the point of no return"
    )


def test_w010__fine(kit: Kit) -> None:
    assert found(kit, kit.step("before"), pivot(kit), kit.step("ship", undo=None)) == {}


def test_w010__fine_behind_a_pivot_that_may_be_skipped(kit: Kit) -> None:
    assert found(kit, pivot(kit, when="really"), kit.step("ship")) == {}


TWICE = RetryPolicy(max_attempts=2)


@pytest.mark.parametrize("options", [{"retry": TWICE}, {"handler": {"retry": TWICE}}])
def test_w011__at_most_once_with_retries(kit: Kit, options: dict[str, Any]) -> None:
    text = found(kit, kit.step("x", at_most_once=True, **options))["sagas.W011"]

    assert text.endswith("step 'x' is to run at most once, and its retry policy allows 2 attempts")


@pytest.mark.parametrize(
    "options",
    [
        {"handler": {"retry": None}},
        {"retry": RetryPolicy(max_attempts=1)},
        {"retry": TWICE, "probe": True},
        {"handler": {"atomic": True}},
    ],
)
def test_w011__fine(kit: Kit, options: dict[str, Any]) -> None:
    if options.get("probe"):
        options = {**options, "probe": kit.action("probe")}

    assert found(kit, kit.step("x", at_most_once=True, **options)) == {}


def test_w012__an_endless_wait(kit: Kit) -> None:
    assert found(kit, paid(wait_timeout=None))["sagas.W012"].endswith("waits for the signal 'payment' without a limit")
    assert "waits for approval without" in found(kit, step("ok", approval=True), word="other")["sagas.W012"]


def test_w012__fine(kit: Kit) -> None:
    assert found(kit, paid(), step("later", delay=10), word="limited") == {}
    assert found(kit, paid(wait_timeout=None), deadline=3600, word="with_deadline") == {}


def test_i002__steps_that_need_a_context(kit: Kit) -> None:
    class Composed(SagaDefinition):
        name = kit.name("composed")

        @staticmethod
        def steps(context: Mapping[str, Any]) -> list[Any]:
            return [kit.step("x")] if context["key"] else []

    (message,) = messages()

    assert message.id == "sagas.I002"
    assert Composed.name in message.msg
    assert "KeyError" in message.msg


def test_i002__steps_that_do_without_are_checked(kit: Kit) -> None:
    late = kit.step("late", when="false")

    class Composed(SagaDefinition):
        name = kit.name("composed")

        @staticmethod
        def steps(context: Mapping[str, Any]) -> list[Any]:
            return [late] if context.get("key", True) else []

    assert [message.id for message in messages()] == ["sagas.E012"]
    assert Composed.is_composed()


def test_e014__handler_registered_twice__is_run_by_nobody_and_nothing_starts_with_it(kit: Kit) -> None:
    name = kit.action("x")
    definition = kit.define(step("a", action=name, no_compensation="reads only"))
    definition.graph()

    @action(name)
    def other(ctx: object) -> None: ...

    @compensation(name)
    def third(ctx: object) -> None: ...

    found = [message for message in messages() if message.id == "sagas.E014"]
    assert [message.msg.split(": by ")[0] for message in found] == [f"the name '{name}' is registered twice"]
    assert found[0].hint
    assert name not in registry.names()
    with pytest.raises(DefinitionError, match="is registered twice"):
        definition.graph()


# -- what is refused when it is declared: nothing starts, and the reason is said --------------------------------------


def test_startup__neither_compensation_nor_reason(kit: Kit) -> None:
    with pytest.raises(DefinitionError, match="step 'x': expected either compensation='…' or no_compensation='why"):
        step("x", action=kit.action("x"))


def test_startup__circle(kit: Kit) -> None:
    with pytest.raises(DefinitionError, match="the steps wait for each other in a circle: "):
        kit.define(kit.step("a", after=["b"]), kit.step("b", after=["a"]))


# -- the README's table -----------------------------------------------------------------------------------------------


def test_readme__lists_every_check() -> None:
    code = "".join(path.read_text() for path in (Path(sagas.__file__).parent / "checks").glob("*.py"))

    assert set(re.findall(r"^\| `(sagas\.[EWI]\d{3})` \|", README.read_text(), re.MULTILINE)) == set(
        re.findall(r"sagas\.[EWI]\d{3}", code)
    )
