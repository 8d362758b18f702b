"""The demo's customers: they send orders over HTTP, several at a time, and wait for what becomes of them."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.core.management.base import CommandError

from sagas.definitions.ids import parse_id

CUSTOMERS = 6
_local = threading.local()


def send(address: str, token: str, orders: Sequence[dict[str, Any]], done: Callable[[], None]) -> list[UUID]:
    """POST every order; the ids of the sagas in the orders' own sequence."""

    def one(order: dict[str, Any]) -> UUID:
        saga = _post(address, token, {"name": "order_processing", "context": order})
        done()
        return saga

    with ThreadPoolExecutor(CUSTOMERS) as customers:
        return list(customers.map(one, orders))


def _post(address: str, token: str, body: dict[str, Any]) -> UUID:
    connection = getattr(_local, "connection", None)
    if connection is None:
        parts = urlsplit(address)
        connection = _local.connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    headers = {"Content-Type": "application/json", "Authorization": f"Token {token}"}
    connection.request("POST", "/api/sagas/", json.dumps(body), headers)
    response = connection.getresponse()
    text = response.read()
    if response.status != http.HTTPStatus.CREATED:
        raise CommandError(
            f"POST /api/sagas/: expected 201, got {response.status}: {text[:500].decode(errors='replace')}"
        )
    saga = parse_id(json.loads(text)["id"])
    if saga is None:
        raise CommandError(f"POST /api/sagas/: expected an id, got {text[:200].decode(errors='replace')}")
    return saga
