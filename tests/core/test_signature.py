"""What makes two failures the same."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas.core.signature import MAX_MESSAGE, MAX_PATTERN, base_name, pattern, signature


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("the card was declined", "the card was declined"),
        ("", ""),
        ("card 4111 of order A-1042", "card <n> of order A-<n>"),
        ("-3.5 degrees, 1,000.50 €, +7", "<n> degrees, <n> €, <n>"),
        ("can't reach 'foo', don't", "can't reach <text>, don't"),
        ('KeyError: "x" and `y` and “z”', "KeyError: <text> and <text> and <text>"),
        ('{"code": "y", "n": [1, 2]}', "{<text>: <text>, <text>: [<n>, <n>]}"),
        ("no row 01HF7YAT00000000000000000Z", "no row <id>"),
        ("no row 9c858901-8a57-4791-81fe-4c455b099bc9", "no row <id>"),
        ("at 0x7F3a in deadbeef01, tx_9f8a7b6c5d", "at <id> in <id>, tx_<id>"),
        ("HTTP500, E11000, sha256, utf8", "HTTP<n>, E<n>, sha<n>, utf<n>"),
        ("at 2026-11-21T15:04:05.123Z", "at <time>"),
        ("at 2026-11-21 15:04:05+01:00 or 12:00:01", "at <time> or <time>"),
        ("mail to ines.k+x@shop.example failed", "mail to <mail> failed"),
        ("GET http://bank.example:80/v/42/x?id=3&z=q: 500", "GET http://bank.example:<n>/v/<n>/x?<query> <n>"),
        ("/var/tmp/k3j4h5/9/data.json", "/var/tmp/<id>/<n>/data.json"),
        ("two\n  lines\tand \x00 more", "two lines and more"),
        ("٣ Artikel", "<n> Artikel"),
        ("20261121123456 and 12", "<n> and <n>"),
    ],
)
def test_pattern(message: str, expected: str) -> None:
    assert pattern(message) == expected


@given(st.integers(0, 10**12), st.uuids(), st.emails(), st.datetimes(), st.text("abcxyz äß", max_size=20))
def test_what_differs__does_not_matter(number: int, key: object, mail: str, at: object, said: str) -> None:
    message = "order {} ({}) of {} at {}: '{}'"

    assert pattern(message.format(number, key, "a@b.example", at, said)) == pattern(
        message.format(7, "9c858901-8a57-4791-81fe-4c455b099bc9", "c@d.example", "2026-11-21 15:04:05", "no")
    )


@given(st.text(max_size=3000))
def test_any_text__becomes_a_short_one_without_digits(message: str) -> None:
    found = pattern(message)

    assert len(found) <= MAX_PATTERN
    assert not re.search(r"[\d\x00\n]", found)
    assert found == pattern(message[:MAX_MESSAGE])


@given(st.text(st.sampled_from("a1@.-'\"?=&/` _0f:"), min_size=1, max_size=12))
def test_hostile_text__takes_no_time(piece: str) -> None:
    begun = time.process_time()
    pattern((piece * MAX_MESSAGE)[:MAX_MESSAGE])

    assert time.process_time() - begun < 0.5


def test_signature__of_definition_step_code_and_pattern() -> None:
    same = signature("shop", "pay", "declined", "card 4111")

    assert signature("shop", "pay", "declined", "card 5222") == same
    assert signature("shop", "pay[17]", "declined", "card 1") == same
    others = {
        signature("shops", "pay", "declined", "card 4111"),
        signature("shop", "ship", "declined", "card 4111"),
        signature("shop", "pay", "refused", "card 4111"),
        signature("shop", "pay", "declined", "no card"),
        signature("shop", "pay\x1fdeclined", "", "card 4111"),
    }
    assert len(others | {same}) == 6


def test_signature__stays_the_same_for_ever() -> None:
    """Else a new version would split every group."""
    found = signature("order_processing", "charge_payment", "card_declined", "the card was declined")
    assert found.hex == "d145197af40a5da995548734e94ac96e"


@pytest.mark.parametrize(("step", "expected"), [("pay", "pay"), ("pay[3]", "pay"), ("[3]", "[3]"), ("", "")])
def test_base_name(step: str, expected: str) -> None:
    assert base_name(step) == expected
