"""Writes the demo's data: `orders.jsonl` and `stock.json`, the same bytes every time.

    python -m participants.generate_orders

What becomes of an order depends on that order alone, never on which runs first: the shelves hold enough for
all of them together. The lantern is the exception: 12 customers want one of 8, and who is first gets it.
Standard library only; randomness is `Random.random`, which Python keeps the same from version to version.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")
Order = dict[str, Any]

HERE = Path(__file__).resolve().parent
SEED = 20_261_121

#: What is to become of how many orders; `completed` sums to 231 of 300 with the lanterns that are won.
PLAN = {
    "good": 211,
    "answer lost once": 12,
    "lantern": 12,
    "more than the stock holds": 18,
    "card declined": 18,
    "answer always lost": 9,
    "address unserviceable": 14,
    "parcel too large": 6,
}
CARDS = {"answer lost once": ["tok_0119"], "answer always lost": ["tok_0341"]}
CARDS["card declined"] = ["tok_0002", "tok_9995", "tok_0069"]
GOOD_CARDS = ["tok_4242", "tok_5555"]

#: Digits after the point, and units for one euro, of each currency.
MONEY = {
    "EUR": (2, 1.0),
    "USD": (2, 1.08),
    "GBP": (2, 0.86),
    "CHF": (2, 0.95),
    "SEK": (2, 11.3),
    "JPY": (0, 163.0),
}

LANTERN = "LANTERN-LTD"
#: SKU, name, price in euros.
ARTICLES = [
    ("MUG-BLUE", "Blue mug", 12.50),
    ("MUG-RED", "Red mug", 12.50),
    ("TEAPOT", "Stoneware teapot", 44.00),
    ("TEA-ASSAM", "Assam tea, 250 g", 9.80),
    ("TEA-SENCHA", "Sencha tea, 100 g", 14.20),
    ("COFFEE-1KG", "Coffee beans, 1 kg", 21.90),
    ("GRINDER", "Hand grinder", 79.00),
    ("KETTLE", "Gooseneck kettle", 64.50),
    ("TOWEL", "Linen towel", 11.00),
    ("BOARD-OAK", "Oak chopping board", 38.00),
    ("KNIFE-CHEF", "Chef's knife", 95.00),
    ("APRON", "Canvas apron", 32.00),
    ("BOWL-SET", "Set of four bowls", 48.00),
    ("SPOON-WOOD", "Wooden spoon", 6.50),
    ("CANDLE", "Beeswax candle", 8.20),
    ("NOTEBOOK", "Recipe notebook", 16.00),
    (LANTERN, "Lantern, limited edition", 120.00),
]
LANTERNS = 8

#: Country, currency, city, postcode, streets.
PLACES = [
    ("DE", "EUR", "Leipzig", "04109", ["Petersstraße", "Nikolaistraße"]),
    ("DE", "EUR", "Köln", "50667", ["Hohe Straße", "Am Hof"]),
    ("AT", "EUR", "Graz", "8010", ["Herrengasse", "Sporgasse"]),
    ("FR", "EUR", "Lyon", "69002", ["Rue Mercière", "Quai Saint-Antoine"]),
    ("PT", "EUR", "Lisboa", "1100-048", ["Rua Augusta", "Rua da Prata"]),
    ("IT", "EUR", "Bologna", "40124", ["Via Farini", "Via Rizzoli"]),
    ("IE", "EUR", "Galway", "H91 V0TX", ["Shop Street", "Quay Street"]),
    ("GB", "GBP", "York", "YO1 7HH", ["Stonegate", "Coney Street"]),
    ("GB", "GBP", "Edinburgh", "EH1 1RE", ["Royal Mile", "Cockburn Street"]),
    ("CH", "CHF", "Basel", "4051", ["Freie Strasse", "Spalenberg"]),
    ("SE", "SEK", "Malmö", "211 22", ["Södergatan", "Lilla Torg"]),
    ("US", "USD", "Portland", "97205", ["Burnside Street", "Alder Street"]),
    ("US", "USD", "Chicago", "60601", ["Wacker Drive", "Lake Street"]),
    ("CA", "USD", "Halifax", "B3J 1S9", ["Barrington Street", "Lower Water Street"]),
    ("JP", "JPY", "京都市", "604-8001", ["木屋町通", "寺町通"]),
    ("JP", "JPY", "金沢市", "920-0858", ["木ノ新保町", "安江町"]),
]
#: Places that the carrier does not go to.
FAR_PLACES = [
    ("AQ", "USD", "McMurdo Station", "96599", ["Vehicle Road"]),
    ("BV", "EUR", "Nyrøysa", "0000", ["North Cape"]),
    ("HM", "USD", "Atlas Cove", "7151", ["Laurens Peninsula"]),
    ("TF", "EUR", "Port-aux-Français", "98413", ["Base permanente"]),
]
NAMES = [
    "Inês Duarte",
    "Jonas Weber",
    "Amélie Laurent",
    "Siobhán O'Brien",
    "Noah Karlsson",
    "Giulia Conti",
    "Oliver Hughes",
    "Priya Raman",
    "佐藤 葵",
    "Mateusz Zając",
    "Zoë van Dijk",
    "Chidi Okafor",
    "Łucja Nowak",
    "Ahmed Haddad",
    "Emma Lindqvist",
    "鈴木 蓮",
    "Carlos Peña",
    "Hannah Fischer",
    "Yusuf Demir",
    "Grace Kim",
]


def pick(rng: Random, among: Sequence[T]) -> T:
    return among[int(rng.random() * len(among))]


def between(rng: Random, low: int, high: int) -> int:
    return low + int(rng.random() * (high - low + 1))


def prices(euros: float) -> dict[str, int]:
    """The price in every currency, in minor units."""
    return {currency: round(euros * rate * 10**digits) for currency, (digits, rate) in MONEY.items()}


def build_orders() -> list[Order]:
    rng = Random(SEED)  # noqa: S311 - sample orders, no secrets
    fates = [fate for fate, count in PLAN.items() for _ in range(count)]
    fates.sort(key=lambda fate: rng.random())
    return [_order(rng, number, fate) for number, fate in enumerate(fates, start=1)]


def build_stock(orders: list[Order]) -> list[dict[str, Any]]:
    """Enough of everything for every order together, and half as much again for visitors."""
    wanted = dict.fromkeys((sku for sku, _, _ in ARTICLES), 0)
    for order in orders:
        for line in order["lines"]:
            wanted[line["sku"]] += line["quantity"]
    shelf = {sku: (count * 3 // 2 + 50) // 10 * 10 for sku, count in wanted.items()}
    shelf[LANTERN] = LANTERNS
    return [
        {"sku": sku, "name": name, "quantity": shelf[sku], "prices": prices(euros)} for sku, name, euros in ARTICLES
    ]


def ask_for_too_much(orders: list[Order], stock: list[dict[str, Any]]) -> None:
    """Let the orders that are to fail for want of stock ask for more than there ever was."""
    shelf = {article["sku"]: article["quantity"] for article in stock}
    for extra, order in enumerate(order for order in orders if order.pop("greedy")):
        line = order["lines"][0]
        line["quantity"] = shelf[line["sku"]] + 1 + extra


def _order(rng: Random, number: int, fate: str) -> Order:
    name = pick(rng, NAMES)
    place = pick(rng, FAR_PLACES if fate == "address unserviceable" else PLACES)
    country, currency, city, postcode, streets = place
    return {
        "number": f"D-{number:04}",
        "customer": f"customer{between(rng, 1, 140):03}@example.org",
        "currency": currency,
        "card": pick(rng, CARDS.get(fate, GOOD_CARDS)),
        "lines": _lines(rng, fate, currency),
        "address": {
            "name": name,
            "street": f"{pick(rng, streets)} {between(rng, 1, 99)}",
            "city": city,
            "postcode": postcode,
            "country": country,
        },
        "greedy": fate == "more than the stock holds",
    }


def _lines(rng: Random, fate: str, currency: str) -> list[dict[str, Any]]:
    if fate == "lantern":
        return [_line(ARTICLES[-1], 1, currency)]
    cart = sorted(ARTICLES[:-1], key=lambda article: rng.random())[: between(rng, 1, 5)]
    lines = [_line(article, between(rng, 1, 4), currency) for article in cart]
    if fate == "parcel too large":
        lines[0]["quantity"] = between(rng, 31, 36)
    return lines


def _line(article: tuple[str, str, float], quantity: int, currency: str) -> dict[str, Any]:
    sku, _, euros = article
    return {"sku": sku, "quantity": quantity, "price": prices(euros)[currency]}


def build() -> tuple[str, str]:
    """The text of `orders.jsonl` and of `stock.json`."""
    orders = build_orders()
    stock = build_stock(orders)
    ask_for_too_much(orders, stock)
    lines = [json.dumps(order, ensure_ascii=False) + "\n" for order in orders]
    return "".join(lines), json.dumps(stock, ensure_ascii=False, indent=2) + "\n"


def main() -> None:
    orders, stock = build()
    (HERE / "orders.jsonl").write_text(orders, encoding="utf-8")
    (HERE / "stock.json").write_text(stock, encoding="utf-8")


if __name__ == "__main__":
    main()
