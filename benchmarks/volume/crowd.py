"""Which copies are made, when they were started, and whose they are: the same crowd for the same number of sagas."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from benchmarks.volume.copies import Copy, clock_text

DAYS = 30
#: Error codes, the most frequent first.
CODES = (
    "card_declined", "out_of_stock", "address_unknown", "card_expired", "limit_reached", "fraud_suspected",
    "carrier_full", "price_changed", "account_closed", "currency_unknown", "customs_form_missing", "weight_exceeded",
)  # fmt: skip
_CODE_WEIGHTS = list(accumulate(1 / (place + 1) for place in range(len(CODES))))
TAGS = ("[]",) * 85 + ('["vip"]',) * 8 + ('["gift", "express"]',) * 5 + ('["campaign-{}"]',) * 2
CAMPAIGNS, SHOPS = 300, 2_000
#: The share of the newest that may be alive without being stuck.
_NEWEST = 0.98
#: What is alive is due so many seconds later: nobody runs it while it is looked at.
WAKE_AFTER = 60 * 86_400
#: Of each role at least so many, however small the whole.
AT_LEAST = 3


@dataclass(frozen=True, slots=True)
class One:
    """A copy to be made: when, and with which values."""

    copy: Copy
    #: Seconds since 1970.
    begin: int
    #: Its id as 32 hex digits, and the random part of it.
    first: str
    fresh: str
    values: dict[str, str]


def crowd(copies: Sequence[Copy], sagas: int, now: int, subject_type: int) -> Iterator[One]:
    """In the order of their ids. About so many sagas: families are not cut."""
    dice = random.Random(7)
    order = _order(copies, sagas, dice)
    wake = f"{clock_text(now + WAKE_AFTER)}+00"
    for number, copy in enumerate(order):
        at = (now - DAYS * 86_400) * 1000 + (DAYS * 86_400_000 - 3_600_000) * number // len(order)
        fresh = f"{dice.getrandbits(80):020x}"
        values = _values(number, dice, subject_type) | {"wake": wake}
        yield One(copy, at // 1000, f"{at:012x}{fresh}", fresh, values)


def _order(copies: Sequence[Copy], sagas: int, dice: random.Random) -> list[Copy]:
    """So many of each, mixed; the short-lived ones among the newest."""
    lasting: list[Copy] = []
    newest: list[Copy] = []
    for copy in copies:
        count = max(AT_LEAST, round(sagas * copy.role.share * (copy.kind.share if copy.role.everywhere else 1)))
        (lasting if copy.role.lasting else newest).extend([copy] * max(1, round(count / len(copy.ids))))
    missing = sagas - sum(len(copy.ids) for copy in (*lasting, *newest))
    lasting.extend([copies[0]] * max(0, missing))
    dice.shuffle(lasting)
    cut = int(len(lasting) * _NEWEST)
    mixed = lasting[cut:] + newest
    dice.shuffle(mixed)
    return lasting[:cut] + mixed


def _values(number: int, dice: random.Random, subject_type: int) -> dict[str, str]:
    share = dice.random()
    order = f"{number:010d}"
    return {
        "number": order,
        "code": dice.choices(CODES, cum_weights=_CODE_WEIGHTS)[0],
        # A few big shops and many small ones; four in ten have no owner.
        "owner": "" if share < 0.4 else f"shop-{int(SHOPS * dice.random() ** 4)}",
        "key": f"order-{order}" if number % 2 else r"\N",
        "tags": TAGS[int(share * 10_000) % len(TAGS)].format(number % CAMPAIGNS),
        "kind": str(subject_type) if number % 5 else r"\N",
        "subject": order.lstrip("0") or "0",
    }
