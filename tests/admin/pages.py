"""Addresses and forms of the admin's pages, and what a test reads out of them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.test import Client
from django.urls import reverse

from sagas.models import Saga

VERBS = ("compensate", "cancel", "retry", "run_now", "pause", "resume", "restart", "signal")
STEP_VERBS = ("approve", "deny", "retry_with", "skip", "resolve", "assign", "roll_back_to")
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
    return {verb for verb in VERBS if f' action="{act(verb)}"' in html}


def step_buttons(response: Any) -> dict[str, set[str]]:
    """Steps with buttons, and their verbs."""
    forms = re.findall(r'<form [^>]*class="saga-acts".*?</form>', response.content.decode(), flags=re.S)
    positions = [int(re.search(r'name="step" value="(\d+)"', form)[1]) for form in forms]  # type: ignore[index]
    found = [{verb for verb in STEP_VERBS if f'formaction="{act(verb)}"' in form} for form in forms]
    names = [view.step.name for view in response.context["steps"]]
    return {names[position]: verbs for position, verbs in zip(positions, found, strict=True)}


def ask_step(client: Client, verb: str, saga: Saga, step: str, /, **fields: Any) -> Any:
    """Press a step's button."""
    position = saga.steps.get(name=step).position
    return client.post(act(verb), {"saga": item(saga), "step": str(position), "origin": "page"} | fields)


def confirm_step(client: Client, verb: str, saga: Saga, step: str, /, **fields: Any) -> Any:
    """Press the button of its confirmation, and look at where that leads."""
    typed = {"confirmed": "yes", "reason": "the customer called"}
    return ask_step(client, verb, saga, step, **(typed | fields))
