"""What is hidden by which names, and what was hidden put back."""

from typing import Any

import pytest

from sagas.core.errors import DefinitionError
from sagas.core.redaction import REDACTED, Rules, hidden_paths, mentions, read_rules, redact, restore


def rules(*names: str) -> Rules:
    return read_rules("SENSITIVE", names)


@pytest.mark.parametrize(
    "key",
    ["token", "TOKEN", "Token", "tokens", "access_token", "accessToken", "AccessToken", "x-api-token", "oauth2_token"],
)
def test_name__hides_every_spelling(key: str) -> None:
    assert redact({key: "s"}, rules("token")) == {key: REDACTED}


@pytest.mark.parametrize("key", ["token_count", "tokenizer", "shippingpin", "spin", "shipping", "", "_", "7", "é"])
def test_name__hides_whole_words_at_the_end_only(key: str) -> None:
    assert redact({key: "s"}, rules("token", "pin")) == {key: "s"}


@pytest.mark.parametrize("name", ["card_number", "cardNumber", "card-number", "CARD NUMBER"])
def test_name__may_be_written_as_one_likes(name: str) -> None:
    value = {"cardNumber": 1, "customer_card_number": 2, "cardnumber": 3, "number": 4}

    assert redact(value, rules(name)) == {**dict.fromkeys(value, REDACTED), "number": 4}


def test_path__counts_the_keys_above_it_and_no_places_in_lists() -> None:
    value = {"card": {"number": 1, "brand": "visa"}, "cards": [{"number": 2}, [{"number": 3}]], "number": 4}

    assert redact(value, rules("card.number")) == {
        "card": {"number": REDACTED, "brand": "visa"},
        "cards": [{"number": REDACTED}, [{"number": REDACTED}]],
        "number": 4,
    }


def test_hidden__is_all_that_is_under_the_key__and_null_is_nothing_to_hide() -> None:
    value = {"secret": {"a": [1]}, "token": None, "pin": 0}

    assert redact(value, rules("secret", "token", "pin")) == {"secret": REDACTED, "token": None, "pin": REDACTED}


@pytest.mark.parametrize("value", [None, 7, "password", ["password"], [], {}, True])
def test_what_has_no_keys__is_as_it_was(value: Any) -> None:
    assert redact(value, rules("password")) == value
    assert list(hidden_paths(value, rules("password"))) == []


def test_no_rules__nothing_is_looked_at() -> None:
    value = {"password": "s"}

    assert redact(value, Rules()) is value


def test_paths__say_where() -> None:
    value = {"lines": [{"token": 1}, {"a": {"pin": 2}}], "secret": {"token": 3}, "pin": None}

    found = list(hidden_paths(value, rules("token", "pin", "secret")))

    assert found == ["lines[0].token", "lines[1].a.pin", "secret"]


@pytest.mark.parametrize("names", ["token", None, 7, [""], ["."], ["card."], [7], ["_"], ["x" * 201], {"a": 1}])
def test_rules__odd_ones_are_refused(names: object) -> None:
    with pytest.raises(DefinitionError, match="SENSITIVE: expected"):
        read_rules("SENSITIVE", names)


def test_restore__puts_back_what_was_hidden_where_it_was() -> None:
    known = {"card": {"number": 1, "brand": "visa"}, "lines": [{"pin": 2, "n": 1}, {"pin": 3}], "secret": {"a": 1}}
    hide = rules("number", "pin", "secret")
    typed = redact(known, hide)
    typed["card"]["brand"] = "amex"
    typed["lines"][0]["n"] = 9

    assert mentions(typed)
    assert restore(typed, known, hide) == {
        "card": {"number": 1, "brand": "amex"},
        "lines": [{"pin": 2, "n": 9}, {"pin": 3}],
        "secret": {"a": 1},
    }


@pytest.mark.parametrize(
    "typed",
    [
        {"pin": REDACTED},
        {"lines": [{"pin": REDACTED}]},  # the list is another one: which was meant is not known
        {"deeper": {"pin": REDACTED}},
        {"none": {"pin": REDACTED}},
    ],
)
def test_restore__not_from_another_place(typed: Any) -> None:
    known = {"lines": [{"pin": 2}, {"pin": 3}], "none": {"pin": None}}

    with pytest.raises(ValueError, match="pin"):
        restore(typed, known, rules("pin"))
