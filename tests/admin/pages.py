"""Addresses and forms of the admin's pages, and what a test reads out of them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.test import Client
from django.urls import reverse

from sagas.models import Saga

LIST = reverse("admin:sagas_saga_changelist")


def page(saga: Saga) -> str:
    return reverse("admin:sagas_saga_change", args=[saga.ulid])


def act(verb: str) -> str:
    return reverse(f"admin:sagas_saga_{verb}")


def item(saga: Saga, revision: int | None = None) -> str:
    return f"{saga.ulid}:{saga.revision if revision is None else revision}"


def confirm(client: Client, verb: str, *sagas: Saga, **fields: Any) -> Any:
    """Press the button of a confirmation that showed the sagas as they are given."""
    form = {"saga": [item(saga) for saga in sagas], "confirmed": "yes", "reason": "the customer called"}
    return client.post(act(verb), form | fields)


def select(client: Client, verb: str, *sagas: Saga, query: str = "", **fields: Any) -> Any:
    """Choose the action in the list."""
    form = {"action": f"{verb}_selected", "_selected_action": [str(saga.pk) for saga in sagas], "index": "0"}
    return client.post(LIST + query, form | fields)


def text(response: Any) -> str:
    """What is to be read, without tags."""
    html = re.sub(r"<(script|style)\b.*?</\1>", " ", response.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def told(response: Any) -> list[str]:
    """The messages on the page that a POST led to."""
    return [re.sub(r"<[^>]+>", "", str(message)) for message in response.context["messages"]]


def buttons(response: Any) -> set[str]:
    """The verbs that a saga's page has a button for."""
    html = response.content.decode()
    return {verb for verb in ("compensate", "retry") if f'action="{act(verb)}"' in html}
