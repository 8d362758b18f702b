"""What a run of the demo starts from: full shelves and a file of orders."""

import json
from pathlib import Path
from typing import Any

from participants.inventory.services import seed_stock

__all__ = ["ORDERS_FILE", "demo_orders", "seed_stock"]

ORDERS_FILE = Path(__file__).resolve().parent / "orders.jsonl"


def demo_orders() -> list[dict[str, Any]]:
    """The contexts to start `order_processing` with, in the order of the file."""
    return [json.loads(line) for line in ORDERS_FILE.read_text(encoding="utf-8").splitlines()]
