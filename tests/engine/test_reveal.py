"""What is hidden in payloads: what a person typed over it, and the note about who was shown it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from sagas import SagaDefinition, StepContext, action, step
from sagas.core.redaction import REDACTED
from sagas.definitions.sensitive import shown
from sagas.engine.reveal import hidden_places, reveal
from sagas.exceptions import PayloadError
from sagas.models import Saga
from tests.admin import scenes


@action("reveal_tests.do")
def do(ctx: StepContext) -> dict[str, Any]:
    return {}


class Paid(SagaDefinition):
    """One with a path of its own."""

    name = "reveal_paid"
    sensitive = ("card.number", "customer")
    steps = [
        step(
            "charge", action="reveal_tests.do", no_compensation="tests", input={"amount": 5, "api_key": "K-1", "a": [1]}
        )
    ]


CONTEXT = {"card": {"number": "4242", "brand": "visa"}, "number": "A-1", "customer": "ines", "lines": [{"Token": "T"}]}


@pytest.fixture
def saga(db: None) -> Saga:
    found: Saga = Saga.objects.start("reveal_paid", context=CONTEXT)
    return found


def test_shown__settings_and_definition_together() -> None:
    assert shown(CONTEXT, "reveal_paid") == {
        "card": {"number": REDACTED, "brand": "visa"},
        "number": "A-1",
        "customer": REDACTED,
        "lines": [{"Token": REDACTED}],
    }
    assert shown(CONTEXT, "another")["customer"] == "ines"
    with override_settings(SAGAS={"SENSITIVE": ["brand"]}):
        assert shown(CONTEXT, "another") == {**CONTEXT, "card": {"number": "4242", "brand": REDACTED}}


def test_shown__a_child_sagas_output_is_its_context() -> None:
    assert shown({"customer": "ines"}, "another") == {"customer": "ines"}
    assert shown({"customer": "ines"}, "another", "saga:reveal_paid") == {"customer": REDACTED}


def test_reveal__is_a_line_of_the_history_and_nothing_else(saga: Saga) -> None:
    reveal(saga, reason="the bank asks", actor="ines")

    line = saga.history.get(kind="revealed")
    assert (line.seq, line.actor, line.reason) == (None, "ines", "the bank asks")
    places = ["context.card.number", "context.customer", "context.lines[0].Token", "charge.input.api_key"]
    assert sorted(line.data["places"]) == sorted(places)
    assert scenes.fresh(saga).revision == saga.revision
    assert "4242" not in str(line.data)


@pytest.mark.parametrize("reason", ["", "  "])
def test_reveal__takes_a_reason(reason: str, saga: Saga) -> None:
    with pytest.raises(PayloadError, match="expected why it is shown"):
        reveal(saga, reason=reason, actor="ines")

    assert not saga.history.filter(kind="revealed").exists()


def test_retry_with__what_was_hidden_stays_as_it_is(saga: Saga) -> None:
    saga.retry_with("charge", {"amount": 7, "api_key": REDACTED, "a": [1, 2]}, reason="typo")

    assert saga.steps.get().input == {"amount": 7, "api_key": "K-1", "a": [1, 2]}


def test_retry_with__another_secret_is_taken(saga: Saga) -> None:
    saga.retry_with("charge", {"api_key": "K-2"}, reason="leaked")

    assert saga.steps.get().input == {"api_key": "K-2"}


def test_retry_with__nothing_was_hidden_in_that_place(saga: Saga) -> None:
    with pytest.raises(PayloadError, match="hidden value of 'token', and there is none in that place"):
        saga.retry_with("charge", {"token": REDACTED}, reason="typo")

    assert scenes.fresh(saga).revision == saga.revision


def test_retry_with__the_word_alone_is_a_word(saga: Saga) -> None:
    saga.retry_with("charge", {"note": REDACTED, "list": [REDACTED]}, reason="typo")

    assert saga.steps.get().input == {"note": REDACTED, "list": [REDACTED]}


def test_restart__takes_over_what_was_hidden(saga: Saga) -> None:
    saga.cancel(reason="wrong card")

    new = saga.restart(context={"card": {"number": REDACTED, "brand": "amex"}}, reason="again")

    assert new.context == {"card": {"number": "4242", "brand": "amex"}}
    assert "card.number" in ", ".join(hidden_places(new, new.steps.all()))
