"""Payloads: what JSON and PostgreSQL's jsonb can hold, as the very text that will come back."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagas.core.errors import PayloadError
from sagas.core.payload import MAX_DEPTH, depth, object_text, to_text

LIMIT = 64 * 1024


def text(value: Any, limit: int = LIMIT) -> str:
    return to_text(value, what="output", limit=limit)


def nested(levels: int, wrap: Any = list) -> Any:
    value: Any = 7
    for _ in range(levels):
        value = {"in": value} if wrap is dict else (value,) if wrap is tuple else [value]
    return value


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (None, "null"),
        (True, "true"),
        (7, "7"),
        (-(10**300), "-1" + "0" * 300),
        (1.5, "1.5"),
        (1.0, "1.0"),
        ("é €", '"é €"'),
        ("\U0001f600", '"\U0001f600"'),
        ([], "[]"),
        ((1, (2,)), "[1,[2]]"),
        ({"a": {"b": [None]}}, '{"a":{"b":[null]}}'),
        ({1: "a", True: "b", None: "c", 2.5: "d"}, '{"1":"b","null":"c","2.5":"d"}'),  # noqa: F601 - on purpose
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        ("a\nb\x01", '"a\\nb\\u0001"'),
    ],
)
def test_text__as_json_has_it(value: Any, stored: str):
    assert text(value) == stored


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (1e16, 10**16),
        (-1e16, -(10**16)),
        (1e22, 10**22),
        (1.5e300, int(1.5e300)),
        (1e15, 1e15),
        (1e-7, 1e-7),
        (5e-324, 5e-324),
        (-0.0, 0.0),
        (0.1, 0.1),
        ([1e16, {"a": [-0.0, "1e16 -0.0"]}], [10**16, {"a": [0.0, "1e16 -0.0"]}]),
    ],
)
def test_numbers__as_jsonb_gives_them_back(value: Any, stored: Any):
    """jsonb prints 1e16 as an integer and -0.0 as 0.0: a handler must see that from the first attempt on."""
    found = json.loads(text(value))

    assert found == stored
    assert _types(found) == _types(stored)
    assert not (isinstance(found, float) and math.copysign(1, found) < 0 and found == 0)


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _types(item) for key, item in value.items()}
    return [_types(item) for item in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, [math.nan], {"a": math.inf}, {math.nan: 1}],
    ids=repr,
)
def test_not_a_number__is_refused(value: Any):
    with pytest.raises(PayloadError, match=r"^output: expected a value that JSON can hold, got one that it can not: "):
        text(value)


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, b"bytes", Decimal(1), {(1, 2): 3}, [object]], ids=lambda v: type(v).__name__
)
def test_other_objects__are_refused(value: Any):
    with pytest.raises(PayloadError, match=r"^output: expected a value that JSON can hold"):
        text(value)


def test_a_number_with_too_many_digits__is_refused():
    with pytest.raises(PayloadError, match="4300"):
        text(10**5000)


@pytest.mark.parametrize(
    "value", ["\x00", "a\x00b", ["\x00"], {"\x00": 1}, {"a": {"b": "\\\x00"}}, "\\\\\x00", "\\u0000\x00"], ids=repr
)
def test_nul__is_refused(value: Any):
    with pytest.raises(PayloadError, match=r"^output: expected text without the character U\+0000, which PostgreSQL"):
        text(value)


@pytest.mark.parametrize("value", ["\\u0000", "\\\\u0000", "x\\u0000y", ["\\", "u0000"], {"\\u0000": 1}], ids=repr)
def test_nul__spelled_out_is_just_text(value: Any):
    assert json.loads(text(value)) == value


@pytest.mark.parametrize("value", ["\ud800", "a\udfff", ["\ud83d"], {"\ud800": 1}], ids=ascii)
def test_half_a_surrogate_pair__is_refused(value: Any):
    with pytest.raises(PayloadError, match=r"^output: expected text in Unicode, got half of a surrogate pair"):
        text(value)


def test_size__counts_bytes_not_characters():
    assert text("x" * 8, limit=10) == '"xxxxxxxx"'
    assert text("é" * 4, limit=10) == '"éééé"'
    with pytest.raises(PayloadError, match=r"^output: expected at most 10 bytes of JSON, got 11$"):
        text("x" * 9, limit=10)
    with pytest.raises(PayloadError, match=r"^output: expected at most 10 bytes of JSON, got 12$"):
        text("é" * 5, limit=10)


def test_size__of_what_is_stored():
    """Seven bytes of 1e+300 are three hundred digits in jsonb: a list of them once passed a limit fifty times over."""
    assert len(text([1e300], limit=400)) == 303
    with pytest.raises(PayloadError, match=r"^output: expected at most 400 bytes of JSON, got 605$"):
        text([1e300, 1e300], limit=400)


@pytest.mark.parametrize("wrap", [list, dict, tuple])
def test_depth__as_deep_as_allowed_and_no_deeper(wrap: type):
    assert json.loads(text(nested(MAX_DEPTH, wrap)))
    with pytest.raises(PayloadError, match=r"^output: expected at most 32 levels of nesting, got 33$"):
        text(nested(MAX_DEPTH + 1, wrap))


def test_depth__brackets_in_text_and_wide_values_are_not_deep():
    assert text("[{" * 100)
    assert text([[]] * 100)
    assert text([{"a": [1]}] * 100)


def test_depth__far_too_deep_is_no_crash():
    with pytest.raises(PayloadError, match="levels of nesting"):
        text(nested(100_000))


def test_depth__a_circle_is_refused():
    circle: list[Any] = []
    circle.append({"back": circle})

    with pytest.raises(PayloadError, match=r"[Cc]ircular|circle"):
        text(circle)


@pytest.mark.parametrize(("value", "levels"), [(7, 0), ([], 1), ({}, 1), ([[], {"a": ()}], 3), ("[[[", 0)])
def test_depth__counts_levels(value: Any, levels: int):
    assert depth(value) == levels


def test_object__must_be_a_dict():
    assert object_text({"a": 1}, what="context", limit=99) == '{"a":1}'
    for value in (None, [], "text", [("a", 1)]):
        with pytest.raises(PayloadError, match=f"^context: expected a dict, got {type(value).__name__}$"):
            object_text(value, what="context", limit=99)


def test_error__has_a_code():
    with pytest.raises(PayloadError) as refused:
        text({1})

    assert refused.value.code == "invalid_payload"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@settings(deadline=None)
@given(VALUES)
def test_any_value__is_refused_or_comes_back_the_same_for_ever(value: Any):
    try:
        stored = text(value)
    except PayloadError:
        return

    first = json.loads(stored)
    assert text(first) == stored
    assert first == value
    assert "\x00" not in stored
    stored.encode()
