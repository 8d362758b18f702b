"""Each verb takes a permission of its own, and the buttons are those of what is permitted and possible.

Who gets what at which address is in matrix.py.
"""

from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from sagas.models import Saga
from tests.admin import matrix, pages, scenes
from tests.admin.conftest import ROLES
from tests.admin.matrix import LISTED, PLIGHTS

#: Verb → the role that has its permission, and no other but to look.
ROLE_OF = {
    "compensate": "compensator",
    "retry": "retrier",
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


def everybody_but(role: str) -> Client:
    """Somebody with all permissions but those of a role."""
    (codename,) = set(ROLES[role] or ()) - {"view_saga"}
    user = User.objects.create(username="nearly", is_staff=True)
    user.user_permissions.set(one for one in matrix.rights("") if one.codename != codename)
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("verb", PLIGHTS)
def test_verb__takes_its_own_permission_and_no_other(verb: str, client_of: Callable[[str], Client]) -> None:
    made, _step, typed = PLIGHTS[verb]
    saga, client, other = made(), client_of(ROLE_OF[verb]), everybody_but(ROLE_OF[verb])
    form = matrix.verb_form(verb, saga)
    confirmed = form | typed | matrix.CONFIRMED

    refused = [other.post(pages.act(verb), form), other.post(pages.act(verb), confirmed)]
    if verb in LISTED:
        refused.append(pages.select(other, verb, saga))
    asked = client.post(pages.act(verb), form)
    selected = pages.select(client, verb, saga) if verb in LISTED else asked

    assert [response.status_code for response in (*refused, asked, selected)] == [403] * len(refused) + [200, 200]
    assert scenes.fresh(saga).revision == saga.revision
    assert not LogEntry.objects.exists()
    assert client.post(pages.act(verb), confirmed).status_code == 302
    assert scenes.fresh(saga).revision > saga.revision or Saga.objects.count() == 2
    assert LogEntry.objects.exists()


@pytest.mark.parametrize("verb", PLIGHTS)
def test_verb__of_who_may_not_even_look_is_refused(verb: str, client_of: Callable[[str], Client]) -> None:
    saga, client = PLIGHTS[verb][0](), client_of("blind")

    assert client.post(pages.act(verb), matrix.verb_form(verb, saga) | matrix.CONFIRMED).status_code == 403
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
