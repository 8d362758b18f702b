"""The shape of an order: what is none is refused with one sentence, whatever JSON comes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from participants import contracts
from sagas import Rejected
from tests.participants.requests import ADDRESS, TOTAL, order

LINE = {"sku": "MUG", "quantity": 2, "price": 1250}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_read_order__reads_what_was_sent():
    read = contracts.read_order(order())

    assert read.total == TOTAL
    assert read.quantities == {"MUG": 3, "TEA": 1}
    assert read.address == contracts.Address(**ADDRESS)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"number": ""}, "number"),
        ({"number": "x" * 41}, "number"),
        ({"number": 7}, "number"),
        ({"customer": "a\x00b"}, "customer"),
        ({"customer": "line\nbreak"}, "customer"),
        ({"customer": "\ud800"}, "customer"),
        ({"currency": "XXX"}, "currency"),
        ({"currency": ["EUR"]}, "currency"),
        ({"card": None}, "card"),
        ({"lines": []}, "lines"),
        ({"lines": [LINE] * 51}, "lines"),
        ({"lines": "MUG"}, "lines"),
        ({"lines": ["MUG"]}, "a line"),
        ({"lines": [LINE | {"quantity": 0}]}, "quantity"),
        ({"lines": [LINE | {"quantity": -1}]}, "quantity"),
        ({"lines": [LINE | {"quantity": True}]}, "quantity"),
        ({"lines": [LINE | {"quantity": 1.5}]}, "quantity"),
        ({"lines": [LINE | {"quantity": 100_001}]}, "quantity"),
        ({"lines": [LINE | {"price": "12"}]}, "price"),
        ({"lines": [LINE | {"price": 10**30}]}, "price"),
        ({"address": None}, "address"),
        ({"address": ADDRESS | {"country": "pt"}}, "country"),
        ({"address": ADDRESS | {"country": "P"}}, "country"),
        ({"address": {"country": "PT"}}, "name"),
    ],
)
def test_read_order__malformed__is_rejected_by_name(changes: dict[str, Any], name: str):
    with pytest.raises(Rejected, match=f"^{name}: expected ") as refused:
        contracts.read_order(order(**changes))

    assert refused.value.code == "invalid_request"


@given(st.sampled_from(sorted(order())), json_values)
def test_read_order__any_json_in_any_field__is_an_order_or_rejected(field: str, value: Any):
    try:
        read = contracts.read_order(order(**{field: value}))
    except Rejected:
        return

    assert 0 < read.total <= contracts.MAX_AMOUNT


@given(json_values)
def test_read_order__any_json__is_an_order_or_rejected(value: Any):
    with pytest.raises(Rejected, match="expected"):
        contracts.read_order(value)
