"""`saga_graph`: prints definitions and sagas; every mistake is one clear sentence."""

import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from sagas import SagaDefinition
from sagas.core import triggers as t
from sagas.core.drawing import FORMATS
from sagas.definitions.ids import id_text, new_id
from sagas.definitions.registry import registry
from sagas.models import Saga

from .kit import Hand, Kit


def run(*words: str) -> str:
    """What the command prints."""
    said = io.StringIO()
    call_command("saga_graph", *words, stdout=said)
    return said.getvalue()


@pytest.mark.parametrize("form", FORMATS)
def test_definition__needs_no_database(kit: Kit, form: str) -> None:
    definition = kit.pair(version="7")

    text = run(definition.name, "--format", form)

    for said in (f"{definition.name} 7", "first", "second", kit.name("unsecond")):
        assert said in text


def test_definition__text_is_the_default(kit: Kit) -> None:
    assert run(kit.pair().name).splitlines()[1:4] == ["2 steps, undone in reverse order", "", "1. first"]


def composed(kit: Kit) -> str:
    """A definition whose steps are a function of the context; its name."""
    ship, mail = kit.step("ship"), kit.step("mail")

    class Composed(SagaDefinition):
        name = kit.name("composed")

        @staticmethod
        def steps(context: Mapping[str, Any]) -> list[Any]:
            return [ship if context["physical"] else mail]

    return Composed.name


def test_composed__by_its_context(kit: Kit) -> None:
    name = composed(kit)

    assert "1. ship" in run(name, "--context", json.dumps({"physical": True}))
    assert "1. mail" in run(name, "--context", json.dumps({"physical": False}))


def test_composed__without_a_context_that_it_understands(kit: Kit) -> None:
    name = composed(kit)

    with pytest.raises(CommandError, match="a function of the context, which raised KeyError: 'physical'; give it a"):
        run(name)


@pytest.mark.usefixtures("pg")
def test_saga__with_its_statuses(kit: Kit, hand: Hand) -> None:
    saga = hand.run(Saga.objects.start(kit.pair()), t.Completed, t.InDoubt)

    text = run("--saga", saga.ulid)

    assert text.splitlines()[0] == f"{saga.name} 1 {saga.ulid}: started"
    assert "1. first [completed]" in text
    assert "2. second [pending (in doubt)]" in text
    assert run("--saga", str(saga.pk)) == text


@pytest.mark.usefixtures("pg")
def test_saga__as_it_was_started_whatever_today_s_code_says(kit: Kit) -> None:
    saga = Saga.objects.start(kit.pair())
    registry.definitions.pop(saga.name)
    kit.define(kit.step("other"))
    saga.pause(reason="look", actor="ann")

    text = run("--saga", saga.ulid)

    assert "other" not in text
    assert ": started, paused" in text


def test_unknown_name(kit: Kit) -> None:
    with pytest.raises(CommandError, match=r"expected the name of a saga definition .*, got 'nobody'"):
        run("nobody")


@pytest.mark.usefixtures("pg")
def test_unknown_saga() -> None:
    missing = id_text(new_id())

    with pytest.raises(CommandError, match=f"there is no saga {missing}"):
        run("--saga", missing)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "expected the name of a definition"),
        (["a", "--saga", "b"], "expected the name of a definition"),
        (["--saga", "b", "--context", "{}"], "expected the name of a definition"),
        (["--saga", "b"], "expected a saga's id as ULID or UUID text, got 'b'"),
        (["a", "--context", "[]"], "--context: expected a JSON object, got '\\[\\]'"),
        (["a", "--context", "{"], "--context: expected a JSON object, got '{'"),
        (["a", "--context", "[" * 100000], "--context: expected a JSON object"),
        (["a", "--format", "png"], "invalid choice: 'png'"),
    ],
)
def test_mistakes__one_sentence(words: list[str], text: str) -> None:
    with pytest.raises(CommandError, match=text):
        run(*words)
