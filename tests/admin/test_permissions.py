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

READERS = set(ROLES) - {"anonymous", "staff", "blind"}
COMPENSATORS = {"compensator", "superuser"}
RETRIERS = {"retrier", "superuser"}
#: Who may do what else.
ACTORS = {
    "cancel": "canceller",
    "pause": "pauser",
    "resume": "pauser",
    "run_now": "pauser",
    "approve": "approver",
    "deny": "approver",
    "retry_with": "steerer",
    "skip": "steerer",
    "roll_back_to": "steerer",
    "resolve": "resolver",
    "assign": "resolver",
    "restart": "restarter",
    "signal": "signaller",
}
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
    "add": (lambda client, saga: client.get(reverse("admin:sagas_saga_add")), {"starter", "superuser"}),
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


#: Verb → a saga for which it is possible, its step, and what is to be typed beside the reason.
PLIGHTS: dict[str, tuple[Callable[[], Saga], str, dict[str, str]]] = {
    "cancel": (scenes.started, "", {}),
    "pause": (scenes.started, "", {}),
    "resume": (scenes.paused, "", {}),
    "run_now": (scenes.awaiting_time, "", {}),
    "approve": (scenes.awaiting_approval, "charge", {}),
    "deny": (scenes.awaiting_approval, "charge", {}),
    "retry_with": (scenes.failed, "charge_payment", {"input": "{}"}),
    "skip": (scenes.awaiting_approval, "charge", {}),
    "roll_back_to": (scenes.started, "create_order", {}),
    "resolve": (scenes.debt, "create_order", {"done": "yes"}),
    "assign": (scenes.debt, "create_order", {}),
    "restart": (scenes.ended, "", {}),
    "signal": (scenes.awaiting_signal, "", {"name": "paid"}),
}


@pytest.mark.parametrize("verb", PLIGHTS)
@pytest.mark.parametrize("role", ROLES)
def test_matrix__of_the_other_verbs(role: str, verb: str, client_of: Callable[[str], Client]) -> None:
    made, step, typed = PLIGHTS[verb]
    saga, client = made(), client_of(role)
    form = {"saga": pages.item(saga), **({"step": str(saga.steps.get(name=step).position)} if step else {})}

    asked = client.post(pages.act(verb), form)
    unchanged = scenes.fresh(saga).revision == saga.revision
    done = client.post(pages.act(verb), form | typed | {"confirmed": "yes", "reason": "because"})

    allowed = role in ("superuser", ACTORS[verb])
    refusal = 302 if role == "anonymous" else 403
    assert (asked.status_code, done.status_code) == ((200, 302) if allowed else (refusal, refusal))
    assert unchanged
    assert (scenes.fresh(saga).revision > saga.revision) is allowed
    assert LogEntry.objects.exists() is allowed


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "run_now"])
@pytest.mark.parametrize("role", ROLES)
def test_matrix__of_the_other_actions(role: str, verb: str, client_of: Callable[[str], Client]) -> None:
    saga = PLIGHTS[verb][0]()

    response = pages.select(client_of(role), verb, saga)

    allowed = role in ("superuser", ACTORS[verb])
    assert response.status_code == (200 if allowed else 302 if role == "anonymous" else 403)
    assert scenes.fresh(saga).revision == saga.revision


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        ("viewer", set()),
        ("compensator", {"compensate"}),
        ("retrier", {"retry"}),
        ("canceller", {"cancel"}),
        ("pauser", {"pause", "run_now"}),
        ("steerer", set()),
        ("approver", set()),
        ("superuser", {"compensate", "cancel", "retry", "run_now", "pause"}),
    ],
)
def test_buttons_and_actions__only_what_is_permitted(
    role: str, seen: set[str], client_of: Callable[[str], Client]
) -> None:
    saga, client = scenes.waiting(), client_of(role)

    page, changelist = client.get(pages.page(saga)), client.get(pages.LIST)

    listed = {verb for verb in pages.VERBS if f"{verb}_selected" in changelist.content.decode()}
    assert pages.buttons(page) == seen
    assert listed - {"resume"} == seen
    assert ("resume" in listed) is ("pause" in seen)
    assert ("is not possible" in pages.text(page)) is False
    assert bool(pages.step_buttons(page)) is (role in ("steerer", "superuser"))


#: What can be done to whatever goes forward; to a step that has begun; to one that is still to come.
AHEAD = ("compensate", "cancel", "pause")
BACK = {"roll_back_to"}
AHEAD_OF_IT = ("retry_with", "skip")


@pytest.mark.parametrize(
    ("plight", "seen"),
    [
        ("started", {*AHEAD}),
        ("running", {*AHEAD}),
        ("waiting", {*AHEAD, "retry", "run_now"}),
        ("completed", set()),
        ("compensating", {"pause"}),
        ("compensated", set()),
        ("failed", {"compensate", "retry"}),
        ("debt", {"pause", "retry"}),
        ("without_handler", {*AHEAD, "retry"}),
        ("unrecorded", {*AHEAD, "retry"}),
        ("crashed", {*AHEAD, "retry"}),
        ("late_effect", set()),
        ("awaiting_answer", {*AHEAD}),
        ("awaiting_signal", {*AHEAD, "signal"}),
        ("awaiting_time", {*AHEAD, "run_now"}),
        ("awaiting_approval", {*AHEAD}),
        ("awaiting_undo", {"pause"}),
        ("paused", {"compensate", "cancel", "resume"}),
    ],
)
def test_buttons__only_what_the_saga_allows(plight: str, seen: set[str], operator: Client) -> None:
    response = operator.get(pages.page(scenes.PLIGHTS[plight]()))

    assert pages.buttons(response) == seen
    assert pages.text(response).count("is not possible") == 2 - len(seen & {"compensate", "retry"})


@pytest.mark.parametrize(
    ("plight", "seen"),
    [
        ("started", {"create_order": BACK, "reserve_inventory": {*AHEAD_OF_IT}, "validate_address": {*AHEAD_OF_IT}}),
        ("running", {"charge_payment": BACK}),
        ("waiting", {"charge_payment": {"skip", *BACK}, "schedule_shipping": {*AHEAD_OF_IT}}),
        ("completed", {}),
        ("compensated", {}),
        ("failed", {"charge_payment": {"retry_with", *BACK}, "create_order": BACK}),
        ("debt", {"create_order": {"resolve", "assign", "skip"}}),
        ("unrecorded", {"create_order": {"resolve", "assign", "skip", *BACK}}),
        ("late_effect", {"create_order": {"resolve", "assign"}}),
        ("awaiting_answer", {"ship": {"skip", *BACK}, "first": BACK}),
        ("awaiting_signal", {"payment": {"skip", *BACK}}),
        ("awaiting_time", {"remind": {"skip", *BACK}}),
        ("awaiting_approval", {"charge": {"approve", "deny", "assign", "skip", *BACK}}),
        ("awaiting_undo", {"charge": {"approve", "assign", "skip"}}),
    ],
)
def test_step_buttons__only_what_the_step_allows(plight: str, seen: dict[str, set[str]], operator: Client) -> None:
    found = pages.step_buttons(operator.get(pages.page(scenes.PLIGHTS[plight]())))

    assert {step: found.get(step, set()) for step in seen} == seen
    if not seen or plight in ("debt", "late_effect", "awaiting_undo"):
        assert set(found) == set(seen)


@pytest.mark.parametrize("verb", ["compensate", "retry", *PLIGHTS])
def test_acting__a_post_without_csrf_token_is_refused(verb: str, client_of: Callable[[str], Client]) -> None:
    made, _step, typed = PLIGHTS.get(verb, (scenes.waiting, "", {}))
    saga, strict = made(), Client(enforce_csrf_checks=True)
    strict.cookies = client_of("superuser").cookies

    response = pages.confirm(strict, verb, saga, step="1", **typed)

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
            *(f"{pages.act(verb)}?saga={key}&step=1&confirmed=yes&reason=x" for verb in PLIGHTS),
            f"{pages.LIST}?action=compensate_selected&_selected_action={saga.pk}",
            reverse("admin:sagas_saga_history", args=[saga.ulid]),
        ):
            assert operator.get(address).status_code in (200, 302, 400)

    assert before == (list(Saga.objects.order_by("pk").values()), list(HistoryEntry.objects.order_by("pk").values()))
    assert not LogEntry.objects.exists()
