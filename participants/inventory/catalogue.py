"""The articles of the demo, read from `participants/stock.json`; `generate_orders` wrote that file."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STOCK_FILE = Path(__file__).resolve().parent.parent / "stock.json"


@dataclass(frozen=True)
class Article:
    """Something we sell, and how many pieces the demo starts with."""

    sku: str
    name: str
    quantity: int
    #: The price of one piece, by currency, in minor units.
    prices: dict[str, int]


@cache
def catalogue() -> tuple[Article, ...]:
    return tuple(Article(**article) for article in json.loads(STOCK_FILE.read_text(encoding="utf-8")))
