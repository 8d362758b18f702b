"""What the engine says is said in the viewer's language; what is not known stays as it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.messages import get_messages
from django.test import Client, override_settings
from django.utils import translation

import sagas
from sagas.admin.told import SENTENCES, _patterns, told
from sagas.core.answers import ANSWERS, Ignored, Refused
from sagas.core.triggers import OperatorTrigger, Signal
from sagas.models import Saga
from tests.admin import pages, scenes

APP = Path(sagas.__file__).parent
#: Where the engine refuses what people ask for, and the functions by which it does.
SOURCES = ("core/operate.py", "core/steer.py", "core/payload.py", "engine/children.py", "engine/restart.py")
REFUSING = {"TransitionNotAllowedError", "PayloadError", "LockHeldError"}


def known(message: str) -> bool:
    """Whether one of our sentences has its form."""
    return any(pattern.fullmatch(message) for _sentence, pattern in _patterns())


def refusals() -> Iterator[str]:
    """The sentences in the engine's sources, with something in place of what is put into them."""
    for name in SOURCES:
        for node in ast.walk(ast.parse((APP / name).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {*REFUSING, "_refuse"}:
                text = node.args[2] if getattr(node.func, "id", "") == "_refuse" else node.args[0]
                said = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "x"
                    for part in (text.values if isinstance(text, ast.JoinedStr) else [text])
                )
                if said not in ("x", "x x") and not said.startswith("cannot x: "):
                    yield (
                        said.removeprefix("cannot x saga: ")
                        .removeprefix("cannot retry saga: ")
                        .removeprefix("cannot restart saga: ")
                    )


@pytest.mark.parametrize("message", sorted(set(refusals())))
def test_refusals__are_known(message: str) -> None:
    assert known(message), "a sentence of the engine that sagas/admin/told.py does not know"


def test_refusals__are_found() -> None:
    assert len(set(refusals())) > 20


def test_answers__are_known() -> None:
    for (state, trigger), answer in ANSWERS.items():
        if issubclass(trigger, (OperatorTrigger, Signal)) and trigger.__name__ != "Migrate":
            if isinstance(answer, Refused):
                assert known(answer.advice), answer.advice
                assert known(f"expected state {answer.expected}, got {state}; {answer.advice}")
            elif isinstance(answer, Ignored):
                assert known(answer.reason)


def test_every_sentence__is_recognised_and_keeps_its_values() -> None:
    for sentence in SENTENCES:
        values = dict.fromkeys(("step", "name", "key", "value", "why", "number"), "card_declined")
        try:
            text = sentence % values
        except KeyError:
            continue
        assert told(text) == text


def test_german() -> None:
    with translation.override("de"):
        refusal = "cannot pause saga: expected state started or compensating, got failed; "
        assert told(f"{refusal}it has ended: there is nothing to pause") == (
            "erwartet wird der Zustand „gestartet oder wird kompensiert“, er ist „gescheitert“; "
            "sie ist beendet: es gibt nichts zu pausieren"
        )
        assert told("step 'charge' is running: wait for this attempt to end").startswith("Schritt 'charge' läuft")
        assert told("context: expected a dict, got list") == "Kontext: erwartet wird ein Objekt, nicht list"
        assert told("the bank is closed") == "the bank is closed"
        assert told("") == ""


def test_percent_signs_and_lines__of_a_value_stay() -> None:
    with translation.override("de"):
        assert (
            told("step '100%(x)s\n%' does not wait for approval")
            == "Schritt '100%(x)s\n%' wartet nicht auf Genehmigung"
        )


@override_settings(LANGUAGE_CODE="de")
def test_page__says_why_not_in_german(operator: Client) -> None:
    found = pages.text(operator.get(pages.page(scenes.debt())))

    assert "Kompensieren ist nicht möglich: sie wird schon kompensiert." in found


@override_settings(LANGUAGE_CODE="de")
def test_refusal__is_told_in_german(operator: Client) -> None:
    saga = scenes.ended()

    response = pages.confirm(operator, "pause", Saga.objects.get(pk=saga.pk))

    assert any(
        "sie ist beendet: es gibt nichts zu pausieren" in str(one) for one in get_messages(response.wsgi_request)
    )
