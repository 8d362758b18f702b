"""Who may do what: every address and form, for every role."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from sagas.models import HistoryEntry, Saga
from tests.admin import pages, scenes
from tests.admin.conftest import ROLES

READERS = {"viewer", "compensator", "retrier", "superuser"}
COMPENSATORS = {"compensator", "superuser"}
RETRIERS = {"retrier", "superuser"}
Ask = Callable[[Client, Saga], Any]


def asking(verb: str) -> Ask:
    return lambda client, saga: client.post(pages.act(verb), {"saga": pages.item(saga), "origin": "page"})


def admin_url(name: str, saga: Saga) -> str:
    return reverse(f"admin:sagas_saga_{name}", args=[saga.pk])


#: What is asked for, and who gets it.
MATRIX: dict[str, tuple[Ask, set[str]]] = {
    "list": (lambda client, saga: client.get(pages.LIST), READERS),
    "page": (lambda client, saga: client.get(pages.page(saga)), READERS),
    "log": (lambda client, saga: client.get(admin_url("history", saga)), READERS),
    "look at compensate": (lambda client, saga: client.get(pages.act("compensate")), COMPENSATORS),
    "look at retry": (lambda client, saga: client.get(pages.act("retry")), RETRIERS),
    "ask to compensate": (asking("compensate"), COMPENSATORS),
    "ask to retry": (asking("retry"), RETRIERS),
    "select compensate": (lambda client, saga: pages.select(client, "compensate", saga), COMPENSATORS),
    "select retry": (lambda client, saga: pages.select(client, "retry", saga), RETRIERS),
    "compensate": (lambda client, saga: pages.confirm(client, "compensate", saga), COMPENSATORS),
    "retry": (lambda client, saga: pages.confirm(client, "retry", saga), RETRIERS),
    "add": (lambda client, saga: client.get(reverse("admin:sagas_saga_add")), set()),
    "change": (lambda client, saga: client.post(pages.page(saga), {"state": "completed"}), set()),
    "delete": (lambda client, saga: client.post(admin_url("delete", saga), {"post": "yes"}), set()),
}


@pytest.mark.parametrize("what", MATRIX)
@pytest.mark.parametrize("role", ROLES)
def test_matrix(role: str, what: str, client_of: Callable[[str], Client]) -> None:
    saga, (ask, allowed) = scenes.waiting(), MATRIX[what]

    response = ask(client_of(role), saga)

    if role in allowed:
        assert response.status_code in (200, 302)
        assert "/login/" not in response.headers.get("Location", "")
    elif role == "anonymous":
        assert response.status_code == 302
        assert response.headers["Location"].startswith(reverse("admin:login"))
    else:
        assert response.status_code == 403
    acted = role in allowed and what in ("compensate", "retry")
    assert (scenes.fresh(saga).revision > saga.revision) is acted
    assert LogEntry.objects.exists() is acted


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        ("viewer", set()),
        ("compensator", {"compensate"}),
        ("retrier", {"retry"}),
        ("superuser", {"compensate", "retry"}),
    ],
)
def test_buttons_and_actions__only_what_is_permitted(
    role: str, seen: set[str], client_of: Callable[[str], Client]
) -> None:
    saga, client = scenes.waiting(), client_of(role)

    page, changelist = client.get(pages.page(saga)), client.get(pages.LIST)

    assert pages.buttons(page) == seen
    assert {verb for verb in ("compensate", "retry") if f"{verb}_selected" in changelist.content.decode()} == seen
    assert ("is not possible" in pages.text(page)) is False


@pytest.mark.parametrize(
    ("plight", "seen"),
    [
        ("started", {"compensate"}),
        ("running", {"compensate"}),
        ("waiting", {"compensate", "retry"}),
        ("completed", set()),
        ("compensating", set()),
        ("compensated", set()),
        ("failed", {"compensate", "retry"}),
        ("debt", {"retry"}),
        ("without_handler", {"compensate", "retry"}),
        ("unrecorded", {"compensate", "retry"}),
        ("crashed", {"compensate", "retry"}),
        ("late_effect", set()),
    ],
)
def test_buttons__only_what_the_saga_allows(plight: str, seen: set[str], operator: Client) -> None:
    response = operator.get(pages.page(scenes.PLIGHTS[plight]()))

    assert pages.buttons(response) == seen
    assert pages.text(response).count("is not possible") == 2 - len(seen)


@pytest.mark.parametrize("verb", ["compensate", "retry"])
def test_acting__a_post_without_csrf_token_is_refused(verb: str, client_of: Callable[[str], Client]) -> None:
    saga, strict = scenes.waiting(), Client(enforce_csrf_checks=True)
    strict.cookies = client_of("superuser").cookies

    response = pages.confirm(strict, verb, saga)

    assert response.status_code == 403
    assert scenes.fresh(saga).revision == saga.revision


def test_get__changes_nothing(operator: Client) -> None:
    sagas = [made() for made in scenes.PLIGHTS.values()]
    before = list(Saga.objects.order_by("pk").values()), list(HistoryEntry.objects.order_by("pk").values())

    for saga in sagas:
        key = pages.item(saga)
        for address in (
            pages.page(saga),
            f"{pages.page(saga)}?before=3",
            f"{pages.act('compensate')}?saga={key}&confirmed=yes&reason=x",
            f"{pages.act('retry')}?saga={key}&confirmed=yes&reason=x",
            f"{pages.LIST}?action=compensate_selected&_selected_action={saga.pk}",
            reverse("admin:sagas_saga_history", args=[saga.ulid]),
        ):
            assert operator.get(address).status_code in (200, 302, 400)

    assert before == (list(Saga.objects.order_by("pk").values()), list(HistoryEntry.objects.order_by("pk").values()))
    assert not LogEntry.objects.exists()
