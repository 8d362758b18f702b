"""POST …/{verb}/ of what operators do beside compensate and retry: what it does, what it refuses, what it leaves."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.http import HttpResponse
from django.utils import timezone

from sagas.core.states import Hold, SagaState, StepStatus
from sagas.models import HistoryEntry, Saga, Step
from tests.admin import scenes
from tests.api.people import URL, Caller, error_of, names, person

pytestmark = pytest.mark.django_db

WHY = {"reason": "the customer called"}
CHARGE = WHY | {"step": "charge"}
DEBT = WHY | {"step": "create_order"}

#: Verb → a saga for which it can be done, and the least that has to be sent. `None`: the saga's revision.
VERBS: dict[str, tuple[Callable[..., Saga], dict[str, Any]]] = {
    "cancel": (scenes.started, WHY),
    "pause": (scenes.started, WHY),
    "resume": (scenes.paused, WHY),
    "run-now": (scenes.awaiting_time, WHY),
    "retry-with": (scenes.failed, WHY | {"step": "charge_payment", "input": {}}),
    "skip": (scenes.awaiting_approval, CHARGE),
    "approve": (scenes.awaiting_approval, CHARGE | {"expected_revision": None}),
    "deny": (scenes.awaiting_approval, CHARGE),
    "resolve": (scenes.debt, DEBT | {"done": True}),
    "roll-back-to": (scenes.started, DEBT),
    "assign": (scenes.debt, DEBT),
}
#: What the history calls them.
KINDS = {"run-now": "run_now", "retry-with": "edit", "roll-back-to": "rewind"}


def ask(caller: Caller, saga: Saga, verb: str, body: dict[str, Any] | None = None, **more: Any) -> HttpResponse:
    wish = {**(VERBS[verb][1] if body is None else body), **more}
    if "expected_revision" in wish and wish["expected_revision"] is None:
        wish["expected_revision"] = saga.revision
    return caller.post(f"{URL}{saga.ulid}/{verb}/", wish)


def step_of(response: HttpResponse, name: str) -> dict[str, Any]:
    assert response.status_code == 200, response.content
    return next(step for step in response.json()["steps"] if step["name"] == name)


def last(saga: Saga) -> HistoryEntry:
    return saga.history.order_by("-id")[0]


# -- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_verb__answers_with_the_body_and_is_one_line_of_history(boss: Caller, verb: str) -> None:
    saga = VERBS[verb][0]()

    response = ask(boss, saga, verb, expected_revision=saga.revision)

    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["id"], body["revision"]) == (saga.ulid, saga.revision + 1)
    assert body == boss.get(f"{URL}{saga.ulid}/").json()
    entry = last(saga)
    assert (entry.kind, entry.actor, entry.reason) == (KINDS.get(verb, verb), "boss", "the customer called")
    assert entry.seq == saga.revision + 1


@pytest.mark.parametrize("verb", VERBS)
def test_verb__not_when_the_saga_has_moved(boss: Caller, verb: str) -> None:
    saga = VERBS[verb][0]()

    response = ask(boss, saga, verb, expected_revision=saga.revision - 1)

    assert response.status_code == 409
    error = error_of(response)
    assert (error["code"], error["details"]) == ("moved", {"revision": saga.revision})
    assert scenes.fresh(saga).revision == saga.revision


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "resolve"])
def test_verb__not_what_is_completed(boss: Caller, verb: str) -> None:
    saga = scenes.completed()
    known = {"step": "create_order"} if "step" in VERBS[verb][1] else {}

    response = ask(boss, saga, verb, **known)

    assert response.status_code == 409
    error = error_of(response)
    assert (error["code"], error["details"]) == ("not_allowed", {"state": "completed"})
    assert scenes.fresh(saga).revision == saga.revision


@pytest.mark.parametrize("verb", [verb for verb in VERBS if "step" in VERBS[verb][1]])
def test_verb__unknown_step(boss: Caller, verb: str) -> None:
    saga = VERBS[verb][0]()

    response = ask(boss, saga, verb, step="nothing")

    assert response.status_code == 409
    assert "expected the name of a step of this saga" in error_of(response)["message"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": ""},
        {"reason": 7},
        {"actor": "somebody else"},
        {"user": "boss"},
        {"state": "completed"},
        {"expected_revision": "1"},
        {"step": ["charge"]},
        {"step": 0},
        {"step": "s" * 101},
    ],
    ids=lambda wrong: f"{wrong}"[:30],
)
def test_verb__takes_nothing_else(boss: Caller, verb: str, wrong: dict[str, Any]) -> None:
    saga = VERBS[verb][0]()

    response = ask(boss, saga, verb, **wrong)

    assert response.status_code == 400
    assert list(error_of(response)["details"]) == list(wrong)
    assert scenes.fresh(saga).revision == saga.revision


@pytest.mark.parametrize("verb", VERBS)
def test_verb__every_field_of_its_least_body_is_needed(boss: Caller, verb: str) -> None:
    saga, least = VERBS[verb][0](), VERBS[verb][1]

    for field in least:
        response = ask(boss, saga, verb, {name: value for name, value in least.items() if name != field})

        assert response.status_code == 400
        assert list(error_of(response)["details"]) == [field]
    assert scenes.fresh(saga).revision == saga.revision


@pytest.mark.parametrize("verb", [*VERBS, "signal"])
def test_verb__permission_comes_before_the_body(verb: str) -> None:
    saga = scenes.started(owner=person("owner").username)

    assert Caller("owner").post(f"{URL}{saga.ulid}/{verb}/", b"{").status_code == 403
    assert Caller("other").post(f"{URL}{saga.ulid}/{verb}/", b"{").status_code == 404


# -- the pace ---------------------------------------------------------------------------------------------------------


def test_pause_and_resume(boss: Caller) -> None:
    saga = scenes.started()

    paused = ask(boss, saga, "pause").json()
    again = ask(boss, saga, "pause")
    resumed = ask(boss, saga, "resume").json()

    assert paused["paused_at"] is not None
    assert (again.status_code, again.json()) == (200, paused)
    assert (resumed["paused_at"], resumed["revision"]) == (None, paused["revision"] + 1)


def test_run_now__a_timer_and_a_next_attempt(boss: Caller) -> None:
    timer, attempt = scenes.awaiting_time(), scenes.waiting()

    reminded = step_of(ask(boss, timer, "run-now"), "remind")
    charged = step_of(ask(boss, attempt, "run-now"), "charge_payment")

    assert (reminded["status"], reminded["waits"], reminded["due_at"]) == ("pending", None, None)
    assert (charged["due_at"], charged["attempt"], charged["in_doubt"]) == (None, 1, True)


def test_run_now__nothing_waits(boss: Caller) -> None:
    assert error_of(ask(boss, scenes.running(), "run-now"))["code"] == "not_allowed"


def test_cancel__says_so(boss: Caller) -> None:
    saga = scenes.waiting()

    assert ask(boss, saga, "cancel").json()["state"] == "compensating"
    assert Saga.objects.get(pk=saga.pk).error_code == "cancel"


# -- one step ---------------------------------------------------------------------------------------------------------


def test_retry_with__another_input_under_new_keys(boss: Caller) -> None:
    saga = scenes.failed()

    response = ask(boss, saga, "retry-with", input={"amount": 99})

    step = step_of(response, "charge_payment")
    assert (step["status"], step["input"], step["round"]) == ("pending", {"amount": 99}, 2)
    assert response.json()["state"] == "started"


def test_retry_with__not_while_in_doubt(boss: Caller) -> None:
    saga = scenes.waiting()

    response = ask(boss, saga, "retry-with", input={"amount": 99})

    assert response.status_code == 409
    assert "may have happened with its old input" in error_of(response)["message"]
    assert saga.steps.get(name="charge_payment").input == {"amount": 1250}


@pytest.mark.parametrize("value", [None, [], "x", 7, True])
def test_retry_with__an_object(boss: Caller, value: Any) -> None:
    response = ask(boss, scenes.failed(), "retry-with", input=value)

    assert response.status_code == 400
    assert list(error_of(response)["details"]) == ["input"]


@pytest.mark.parametrize("field", ["input", "output", "payload"])
def test_values__are_held_to_limits(boss: Caller, field: str, settings: Any) -> None:
    settings.SAGAS = {**settings.SAGAS, "MAX_CONTEXT": 2000, "MAX_OUTPUT": 1000}
    verb, made = {
        "input": ("retry-with", scenes.failed),
        "output": ("skip", scenes.awaiting_approval),
        "payload": ("signal", scenes.awaiting_signal),
    }[field]
    saga = made()
    body = {"name": "paid"} if verb == "signal" else VERBS[verb][1]

    large = ask(boss, saga, verb, body | {field: {"text": "x" * 2000}})
    huge = ask(boss, saga, verb, body | {field: {"text": "x" * 30_000}})

    assert (large.status_code, error_of(large)["code"]) == (400, "invalid_payload")
    assert (huge.status_code, error_of(huge)["code"]) == (400, "too_large")
    assert scenes.fresh(saga).revision == saga.revision


def test_skip__with_a_substitute(boss: Caller) -> None:
    step = step_of(ask(boss, scenes.awaiting_approval(), "skip", output={"id": "by hand"}), "charge")

    assert (step["status"], step["output"], step["waits"]) == ("skipped", {"id": "by hand"}, None)


def test_skip__of_an_undo_leaves_the_step_as_it_is(boss: Caller) -> None:
    step = step_of(ask(boss, scenes.debt(), "skip", DEBT), "create_order")

    assert (step["status"], step["hold"]) == ("compensation_skipped", None)


@pytest.mark.parametrize(("done", "status"), [(True, "compensated"), (False, "compensation_skipped")])
def test_resolve__a_debt(boss: Caller, done: bool, status: str) -> None:
    response = ask(boss, scenes.debt(), "resolve", done=done)

    assert step_of(response, "create_order")["status"] == status
    assert (response.json()["state"], response.json()["attention"]) == ("compensated", None)


@pytest.mark.parametrize(
    ("done", "status", "state"), [(True, "completed", "started"), (False, "failed", "compensated")]
)
def test_resolve__an_unknown_step(boss: Caller, done: bool, status: str, state: str) -> None:
    output = {"output": {"id": 7}} if done else {}

    response = ask(boss, scenes.unrecorded(), "resolve", done=done, **output)

    step = step_of(response, "create_order")
    assert (step["status"], step["output"]) == (status, output.get("output"))
    assert response.json()["state"] == state


@pytest.mark.parametrize("done", ["true", 1, 0, None, "", "no"])
def test_resolve__yes_or_no(boss: Caller, done: Any) -> None:
    assert list(error_of(ask(boss, scenes.debt(), "resolve", done=done))["details"]) == ["done"]


def test_resolve__what_never_happened_has_no_output(boss: Caller) -> None:
    response = ask(boss, scenes.unrecorded(), "resolve", done=False, output={"id": 7})

    assert (response.status_code, list(error_of(response)["details"])) == (400, ["output"])


def test_roll_back_to__and_forward_again(boss: Caller) -> None:
    saga = scenes.failed()

    response = ask(boss, saga, "roll-back-to", step="reserve_inventory")

    assert response.json()["state"] == "compensating"
    assert scenes.finish(saga).state == SagaState.COMPLETED
    assert dict(saga.steps.values_list("name", "round"))["reserve_inventory"] == 2


def test_assign__an_owner_and_a_time(boss: Caller) -> None:
    saga, at = scenes.debt(), (timezone.now() + timedelta(hours=2)).replace(microsecond=0)

    step = step_of(ask(boss, saga, "assign", owner="ines", next_try=at.isoformat()), "create_order")
    parked = step_of(ask(boss, saga, "assign", owner="ines"), "create_order")

    assert (step["owner"], datetime.fromisoformat(step["due_at"])) == ("ines", at)
    assert (parked["owner"], parked["due_at"]) == ("ines", None)


@pytest.mark.parametrize("offset", ["+14:00", "-12:00", "Z"])
def test_assign__a_time_of_any_zone(boss: Caller, offset: str) -> None:
    step = step_of(ask(boss, scenes.debt(), "assign", next_try=f"2027-01-01T00:00:00{offset}"), "create_order")

    assert datetime.fromisoformat(step["due_at"]) == datetime.fromisoformat(f"2027-01-01T00:00:00{offset}")


@pytest.mark.parametrize(
    ("at", "code"),
    [
        ("tomorrow", "invalid"),
        ("2027-01-01T00:00:00", "invalid"),
        ("2027-13-01T00:00:00Z", "invalid"),
        ("2027-01-01", "invalid"),
        (1_800_000_000, "invalid"),
        ("", "invalid"),
        ("9999-12-31T23:59:59-12:00", "invalid_payload"),
        ("0001-01-01T00:00:00+14:00", "invalid_payload"),
    ],
)
def test_assign__no_usable_time(boss: Caller, at: Any, code: str) -> None:
    """One that can be stored and never be read again would make the saga unreadable."""
    saga = scenes.debt()

    response = ask(boss, saga, "assign", next_try=at)

    assert (response.status_code, error_of(response)["code"]) == (400, code)
    assert scenes.fresh(saga).revision == saga.revision


# -- approval ---------------------------------------------------------------------------------------------------------


def approver(role: str = "approver") -> Caller:
    return Caller(role)


def test_approve__the_step_may_run(boss: Caller) -> None:
    saga = scenes.awaiting_approval()

    step = step_of(ask(approver(), saga, "approve"), "charge")

    assert (step["status"], step["waits"], step["hold"]) == ("pending", None, None)
    assert scenes.finish(saga).state == SagaState.COMPLETED
    assert error_of(ask(boss, scenes.fresh(saga), "approve"))["code"] == "not_allowed"


def test_deny__the_saga_rolls_back() -> None:
    saga = scenes.awaiting_approval()

    response = ask(approver(), saga, "deny")

    step = step_of(response, "charge")
    assert (step["status"], step["error"]) == ("failed", {"code": "denied", "message": "the customer called"})
    assert response.json()["state"] == "compensating"


@pytest.mark.parametrize("verb", ["approve", "deny"])
@pytest.mark.parametrize("wanted", ["finance", "auth.add_user"])
def test_approvers__are_asked_for_beside_the_permission(verb: str, wanted: str) -> None:
    saga, caller = scenes.awaiting_approval(approvers=wanted), approver()

    refused = ask(caller, saga, verb)
    person("approver").groups.add(Group.objects.create(name="finance"))
    person("approver").user_permissions.add(Permission.objects.get(codename="add_user"))
    allowed = ask(caller, saga, verb)

    assert (refused.status_code, error_of(refused)["code"]) == (403, "not_an_approver")
    assert last(saga).seq == saga.revision + 1
    assert allowed.status_code == 200


def test_approvers__alone_are_not_enough() -> None:
    """Who is in the group, and sees the saga, still needs the permission to approve at all."""
    saga = scenes.awaiting_approval(approvers="finance")
    person("viewer").groups.add(Group.objects.create(name="finance"))

    response = ask(Caller("viewer"), saga, "approve")

    assert (response.status_code, error_of(response)["code"]) == (403, "permission_denied")


@pytest.mark.parametrize("plight", [scenes.awaiting_approval, scenes.awaiting_undo])
def test_approve__only_of_what_was_looked_at(boss: Caller, plight: Callable[..., Saga]) -> None:
    saga = plight()
    saga.pause(reason="meanwhile")

    blind = ask(boss, saga, "approve", CHARGE)
    stale = ask(boss, saga, "approve")
    seen = ask(boss, scenes.fresh(saga), "approve")

    assert (blind.status_code, list(error_of(blind)["details"])) == (400, ["expected_revision"])
    assert (stale.status_code, error_of(stale)["code"]) == (409, "moved")
    assert seen.status_code == 200


def test_approve__an_undo_by_two_different_people(boss: Caller) -> None:
    saga = scenes.awaiting_undo(people=2)

    one = step_of(ask(approver(), saga, "approve"), "charge")
    again = ask(approver(), scenes.fresh(saga), "approve")
    two = step_of(ask(boss, scenes.fresh(saga), "approve"), "charge")

    assert (one["hold"], one["approved_by"]) == ("approval", ["approver"])
    assert (again.status_code, error_of(again)["code"]) == (409, "not_allowed")
    assert (two["hold"], two["approved_by"]) == (None, ["approver", "boss"])
    assert scenes.finish(saga).state == SagaState.COMPENSATED


def test_approve__nobody_signs_with_another_name(boss: Caller) -> None:
    saga = scenes.awaiting_undo(people=2)

    response = ask(boss, saga, "approve", actor="somebody else")

    assert (response.status_code, list(error_of(response)["details"])) == (400, ["actor"])


def test_deny__not_an_undo(boss: Caller) -> None:
    saga = scenes.awaiting_undo()

    response = ask(boss, saga, "deny")

    assert (response.status_code, error_of(response)["details"]) == (409, {"state": "compensating"})
    assert saga.steps.get(name="charge").hold == Hold.APPROVAL


# -- signals ----------------------------------------------------------------------------------------------------------


def signal(caller: Caller, saga: Saga, **body: Any) -> HttpResponse:
    return caller.post(f"{URL}{saga.ulid}/signal/", {"name": "paid"} | body)


def test_signal__completes_the_step_that_waits(boss: Caller) -> None:
    saga = scenes.awaiting_signal()

    first = signal(boss, saga, payload={"amount": 5})
    again = signal(boss, saga, payload={"amount": 5})
    other = signal(boss, saga, payload={"amount": 6})

    step = step_of(first, "payment")
    assert (step["status"], step["output"], step["waits"]) == ("completed", {"amount": 5}, None)
    assert (again.status_code, again.json()) == (200, first.json())
    assert (other.status_code, error_of(other)["code"]) == (409, "not_allowed")
    assert Step.objects.get(saga=saga, name="payment").output == {"amount": 5}


def test_signal__history_says_who_sent_it_first(boss: Caller) -> None:
    saga = scenes.awaiting_signal()

    signal(boss, saga, reason="the bank called")
    again = signal(Caller("signaller"), saga, reason="it called again")

    assert again.status_code == 200
    (entry,) = saga.history.filter(kind="signal")
    assert (entry.step, entry.actor, entry.reason) == ("payment", "boss", "the bank called")


def test_signal__before_its_step_is_reached(boss: Caller) -> None:
    saga = scenes.start(steps=scenes.one_step("payment", wait_for="paid"))

    assert step_of(signal(boss, saga), "payment")["status"] == "pending"
    scenes.advance(saga, 1)
    assert saga.steps.get(name="payment").status == StepStatus.COMPLETED


@pytest.mark.parametrize("name", ["unknown", "payment", "PAID"])
def test_signal__that_nobody_waits_for(boss: Caller, name: str) -> None:
    assert signal(boss, scenes.awaiting_signal(), name=name).status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": 7}, "name"),
        ({"name": ""}, "name"),
        ({"reason": 7}, "reason"),
        ({"actor": "x"}, "actor"),
        ({"expected_revision": 1}, "expected_revision"),
        ({"step": "x"}, "step"),
    ],
)
def test_signal__wish_is_checked(boss: Caller, body: Any, field: str) -> None:
    response = signal(boss, scenes.awaiting_signal(), **body)

    assert (response.status_code, list(error_of(response)["details"])) == (400, [field])


def test_body__shows_what_a_step_waits_for(boss: Caller) -> None:
    shown = {
        made.__name__: boss.get(f"{URL}{made().ulid}/").json()["steps"][1]
        for made in (scenes.awaiting_answer, scenes.awaiting_signal, scenes.awaiting_time, scenes.awaiting_approval)
    }

    assert names(shown.values(), "waits") == ["answer", "signal", "timer", "approval"]
    assert names(shown.values(), "hold") == [None, None, None, "approval"]
    ends = [None if step["due_at"] is None else datetime.fromisoformat(step["due_at"]) for step in shown.values()]
    hour = datetime.now(UTC) + timedelta(minutes=59)
    assert [end is not None and end > hour for end in ends] == [True, False, True, False]
