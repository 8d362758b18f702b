"""Acting on one step: what is shown before, what is typed, what it does, and what is written down."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from sagas import step
from sagas.core.states import Hold, SagaState, StepStatus
from sagas.models import HistoryEntry, Saga, Step
from tests.admin import pages, scenes


def row(saga: Saga, name: str) -> Step:
    found: Step = saga.steps.get(name=name)
    return found


def last_entry(saga: Saga) -> HistoryEntry:
    return saga.history.order_by("-id")[0]


def told(operator: Client, saga: Saga) -> list[str]:
    return pages.told(operator.get(pages.page(saga)))


# -- from the page to the history -------------------------------------------------------------------------------------


def test_skip__from_the_page_to_the_history(operator: Client) -> None:
    saga = scenes.awaiting_approval()

    asked = pages.ask_step(operator, "skip", saga, "charge")
    assert scenes.fresh(saga).revision == saga.revision
    done = pages.confirm_step(operator, "skip", saga, "charge", output='{"id": "by hand"}', reason=" paid\r\nin cash ")

    assert "Skip charge" in pages.text(asked)
    assert "needs no attention any more charge: skipped, waits no longer, not held any more" in pages.text(asked)
    assert done.headers["Location"] == pages.page(saga)
    charge, entry = row(saga, "charge"), last_entry(saga)
    assert (charge.status, charge.output) == (StepStatus.SKIPPED, {"id": "by hand"})
    assert (entry.kind, entry.step, entry.actor, entry.reason) == ("skip", "charge", "superuser", "paid\nin cash")
    assert LogEntry.objects.get().change_message == "Skip (charge): paid\nin cash"
    assert told(operator, saga) == [f"step charge is skipped: {saga}"]
    assert "skip requested" in pages.text(operator.get(pages.page(saga)))


def test_skip__without_an_output(operator: Client) -> None:
    saga = scenes.awaiting_approval()

    pages.confirm_step(operator, "skip", saga, "charge", output="  ")

    assert (row(saga, "charge").status, row(saga, "charge").output) == (StepStatus.SKIPPED, None)


def test_retry_with__begins_with_the_input_it_has(operator: Client) -> None:
    saga = scenes.failed()

    asked = pages.ask_step(operator, "retry_with", saga, "charge_payment")
    pages.confirm_step(operator, "retry_with", saga, "charge_payment", input='{"amount": 99}')

    assert json.loads(asked.context["form"]["input"].value()) == {"amount": 1250}
    charged = row(saga, "charge_payment")
    assert (charged.input, charged.status, charged.round) == ({"amount": 99}, StepStatus.PENDING, 2)
    assert scenes.fresh(saga).state == SagaState.STARTED


def test_approve__and_deny(operator: Client) -> None:
    yes, no = scenes.awaiting_approval(), scenes.awaiting_approval()

    asked = pages.text(pages.ask_step(operator, "deny", no, "charge"))
    pages.confirm_step(operator, "approve", yes, "charge")
    pages.confirm_step(operator, "deny", no, "charge", reason="too dear")

    assert "Undone, in this order first by admin_tests.undo" in asked
    assert row(yes, "charge").status == StepStatus.PENDING
    assert (row(no, "charge").status, row(no, "charge").error_message) == (StepStatus.FAILED, "too dear")
    assert scenes.fresh(no).state == SagaState.COMPENSATING
    assert [(entry.kind, entry.actor) for entry in map(last_entry, (yes, no))] == [
        ("approve", "superuser"),
        ("deny", "superuser"),
    ]


def test_approve__an_undo_shows_the_plan_that_is_approved(operator: Client) -> None:
    saga = scenes.awaiting_undo()

    asked = pages.text(pages.ask_step(operator, "approve", saga, "charge"))
    pages.confirm_step(operator, "approve", saga, "charge")

    assert "Undone, in this order charge by admin_tests.undo first by admin_tests.undo" in asked
    assert row(saga, "charge").hold == ""
    assert scenes.finish(saga).state == SagaState.COMPENSATED


def test_approve__shows_with_what_the_step_is_to_run(operator: Client) -> None:
    saga = scenes.start(steps=scenes.one_step("charge", approval=True, input={"amount": 1250}))
    scenes.advance(saga, 1)

    assert 'Input { "amount": 1250 }' in pages.text(pages.ask_step(operator, "approve", scenes.fresh(saga), "charge"))


def test_approve__in_a_partial_rollback_shows_only_its_part(operator: Client) -> None:
    saga = scenes.start(steps=scenes.one_step("charge", approve_compensation=True))
    scenes.advance(saga, 2)
    saga.roll_back_to("charge", reason="wrong amount")

    asked = pages.text(pages.ask_step(operator, "approve", scenes.fresh(saga), "charge"))

    assert "Undone, in this order charge by admin_tests.undo" in asked
    assert "first by" not in asked


def test_approve__a_saga_that_moved_since_the_plan_was_shown_is_left_alone(operator: Client) -> None:
    saga = scenes.awaiting_undo()
    pages.ask_step(operator, "approve", saga, "charge")
    saga.pause(reason="meanwhile")

    again = pages.confirm_step(operator, "approve", saga, "charge")

    assert row(saga, "charge").hold == Hold.APPROVAL
    assert pages.told(again) == [f"1 saga changed since you looked, and was left alone; look again: {saga}"]
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize(
    ("verb", "made", "step", "name"),
    [("retry_with", scenes.failed, "charge_payment", "input"), ("skip", scenes.awaiting_approval, "charge", "output")],
    ids=["retry_with", "skip"],
)
def test_confirmation__of_a_saga_that_moved_keeps_what_was_typed(
    operator: Client, verb: str, made: Callable[[], Saga], step: str, name: str
) -> None:
    saga = made()
    typed = {name: '{"typed": "with care"}', "reason": "as they wished"}
    moved = saga.revision - 1

    again = pages.confirm_step(operator, verb, saga, step, saga=pages.item(saga, moved), **typed)
    shown = again.context["form"]
    assert scenes.fresh(saga).revision == saga.revision
    assert {field: shown[field].value() for field in typed} == typed
    assert pages.item(saga) in again.content.decode()
    assert "changed since you looked" in pages.told(again)[0]

    pages.confirm_step(operator, verb, saga, step, **typed)
    assert getattr(row(saga, step), name) == {"typed": "with care"}


def test_confirmation__of_a_saga_for_which_it_is_too_late_says_why(operator: Client) -> None:
    saga = scenes.awaiting_approval()
    scenes.fresh(saga).deny("charge", actor="ann")

    again = pages.confirm_step(operator, "approve", saga, "charge")

    assert "does not wait for approval" in pages.text(again)


def test_approve__two_different_people(operator: Client, client_of: Callable[[str], Client]) -> None:
    saga, other = scenes.awaiting_undo(people=2), client_of("approver")

    pages.confirm_step(operator, "approve", saga, "charge")
    page = operator.get(pages.page(saga))
    pages.confirm_step(operator, "approve", scenes.fresh(saga), "charge")
    refused = told(operator, saga)
    pages.confirm_step(other, "approve", scenes.fresh(saga), "charge")

    assert "undoing needs approval: 1 of 2" in pages.text(page)
    assert "approved by superuser" in pages.text(page)
    assert "approve" not in pages.step_buttons(page)["charge"]
    assert refused == [f"{saga}: superuser has approved already: the other approval must be somebody else&#x27;s"]
    assert row(saga, "charge").approved_by == "superuser\napprover"
    assert row(saga, "charge").hold == ""


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_approvers__others_have_no_button_and_are_refused(verb: str, client_of: Callable[[str], Client]) -> None:
    saga, client = scenes.awaiting_approval(approvers="finance"), client_of("approver")

    before = pages.step_buttons(client.get(pages.page(saga)))
    asked = pages.text(pages.ask_step(client, verb, saga, "charge"))
    pages.confirm_step(client, verb, saga, "charge")
    refused = scenes.fresh(saga).revision
    User.objects.get(username="approver").groups.add(Group.objects.create(name="finance"))
    after = pages.step_buttons(client.get(pages.page(saga)))
    pages.confirm_step(client, verb, saga, "charge")

    assert before == {}
    assert "somebody else must approve: with the permission, or in the group, finance" in asked
    assert refused == saga.revision
    assert after == {"charge": {"approve", "deny"}}
    assert scenes.fresh(saga).revision == saga.revision + 1


def test_roll_back_to__shows_only_what_is_undone_for_it(operator: Client) -> None:
    simple = {"action": "admin_tests.do", "compensation": "admin_tests.undo"}
    saga = scenes.start(
        steps=[step("one", **simple), step("two", **simple), step("three", **simple), step("four", **simple)]
    )
    scenes.advance(saga, 3)
    saga = scenes.fresh(saga)

    asked = pages.text(pages.ask_step(operator, "roll_back_to", saga, "two"))
    pages.confirm_step(operator, "roll_back_to", saga, "two")
    going_back = pages.text(operator.get(pages.page(saga)))

    assert "Undone, in this order three by admin_tests.undo two by admin_tests.undo Not undone four" in asked
    assert "one by" not in asked
    assert "Rolling back to two" in going_back
    assert "only to step 2" in going_back
    scenes.finish(saga)
    assert dict(saga.steps.values_list("name", "round")) == {"one": 1, "two": 2, "three": 2, "four": 2}


def test_resolve__what_a_person_found_out(operator: Client) -> None:
    done, never = scenes.unrecorded(), scenes.unrecorded()

    asked = pages.text(pages.ask_step(operator, "resolve", never, "create_order"))
    pages.confirm_step(operator, "resolve", done, "create_order", done="yes", output='{"id": 7}')
    pages.confirm_step(operator, "resolve", never, "create_order", done="no")

    assert (
        "If it never happened, the saga is rolled back. Nothing has to be undone. Not undone schedule_shipping , "
        "charge_payment , validate_address , reserve_inventory : it was never executed create_order : it surely had no"
    ) in asked
    assert (row(done, "create_order").status, row(done, "create_order").output) == (StepStatus.COMPLETED, {"id": 7})
    assert row(never, "create_order").status == StepStatus.FAILED
    assert scenes.fresh(never).state == SagaState.COMPENSATED


@pytest.mark.parametrize(("done", "status"), [("yes", "compensated"), ("no", "compensation_skipped")])
def test_resolve__a_debt(done: str, status: str, operator: Client) -> None:
    saga = scenes.debt()

    pages.confirm_step(operator, "resolve", saga, "create_order", done=done)

    assert row(saga, "create_order").status == status
    assert told(operator, saga) == [f"step create_order is resolved: {saga}"]


def test_assign__and_the_page_says_whose_it_is(operator: Client) -> None:
    saga, at = scenes.debt(), timezone.localtime() + timedelta(hours=3)

    pages.confirm_step(operator, "assign", saga, "create_order", owner="ines", next_try=at.strftime("%Y-%m-%dT%H:%M"))
    page, again = operator.get(pages.page(saga)), pages.ask_step(operator, "assign", scenes.fresh(saga), "create_order")

    debt = row(saga, "create_order")
    assert debt.owner == "ines"
    assert debt.due_at == at.replace(second=0, microsecond=0)
    assert "looked after by ines" in pages.text(page)
    assert "next attempt in 2 h" in pages.text(page)
    assert f'value="{at:%Y-%m-%dT%H:%M}"' in again.content.decode()
    assert 'value="ines"' in again.content.decode()


# -- what is typed ----------------------------------------------------------------------------------------------------

BAD_JSON = [
    "{",
    "nothing",
    "{'a': 1}",
    '{"a": NaN}',
    '{"a": 1e999}',
    '{"a": 1, "a": 2}',
    '{"a": "\\u0000"}',
    '{"a": "\\ud800"}',
    "[" * 100_000,
    '{"a": ' + "[" * 40 + "]" * 40 + "}",
    '{"a": ' + "9" * 5000 + "}",
    '{"a": "' + "x" * 300_000 + '"}',
]


@pytest.mark.parametrize("typed", BAD_JSON, ids=lambda typed: typed[:20])
@pytest.mark.parametrize(
    ("verb", "field", "made", "name"),
    [
        ("retry_with", "input", scenes.failed, "charge_payment"),
        ("skip", "output", scenes.awaiting_approval, "charge"),
        ("resolve", "output", scenes.unrecorded, "create_order"),
    ],
)
def test_json__what_is_wrong_is_said_at_the_field(
    verb: str, field: str, made: Callable[[], Saga], name: str, typed: str, operator: Client
) -> None:
    saga = made()

    response = pages.confirm_step(operator, verb, saga, name, done="yes", **{field: typed})

    assert response.status_code == 200
    assert list(response.context["form"].errors) == [field]
    assert "Please correct the error below." in pages.text(response)
    assert response.context["form"][field].value() == typed
    assert scenes.fresh(saga).revision == saga.revision


@pytest.mark.parametrize("typed", ["[]", "7", '"text"', "null", "true", "", "  "])
def test_json__an_input_is_an_object(typed: str, operator: Client) -> None:
    saga = scenes.failed()

    response = pages.confirm_step(operator, "retry_with", saga, "charge_payment", input=typed)

    assert response.status_code == 200
    assert list(response.context["form"].errors) == ["input"]
    assert scenes.fresh(saga).revision == saga.revision


@pytest.mark.parametrize(
    ("verb", "typed", "field"),
    [
        ("resolve", {}, "done"),
        ("resolve", {"done": "perhaps"}, "done"),
        ("resolve", {"done": "no", "output": "{}"}, "output"),
        ("assign", {"owner": "x" * 151}, "owner"),
        ("assign", {"owner": "a\x00b"}, "owner"),
        ("assign", {"next_try": "tomorrow"}, "next_try"),
        ("assign", {"next_try": "2026-02-30T10:00"}, "next_try"),
        ("skip", {"reason": ""}, "reason"),
        ("skip", {"reason": "x" * 2001}, "reason"),
    ],
)
def test_fields__are_checked(verb: str, typed: dict[str, str], field: str, operator: Client) -> None:
    saga = scenes.debt()

    response = pages.confirm_step(operator, verb, saga, "create_order", **typed)

    assert response.status_code == 200
    assert list(response.context["form"].errors) == [field]
    assert scenes.fresh(saga).revision == saga.revision


def test_next_try__what_the_engine_finds_wrong_is_said_at_the_field_and_nothing_typed_is_lost(operator: Client) -> None:
    saga = scenes.debt()

    again = pages.confirm_step(
        operator, "assign", saga, "create_order", owner="ines", next_try="9999-12-31T23:59", reason="she knows it"
    )

    form = again.context["form"]
    assert "expected a time within 36500 days of now" in form.errors["next_try"][0]
    assert (form["owner"].value(), form["reason"].value()) == ("ines", "she knows it")
    assert not LogEntry.objects.exists()
    assert scenes.fresh(saga).revision == saga.revision


@pytest.mark.parametrize("position", ["", "x", "-1", "1.5", "²", "9" * 30])
def test_junk__no_step(position: str, operator: Client) -> None:
    saga = scenes.awaiting_approval()

    response = operator.post(pages.act("skip"), {"saga": pages.item(saga), "step": position})

    assert response.status_code == 400


@pytest.mark.parametrize("verb", pages.STEP_VERBS)
def test_junk__a_step_that_the_saga_has_not(verb: str, operator: Client) -> None:
    saga = scenes.awaiting_approval()
    form = {"saga": pages.item(saga), "step": "77", "origin": "page"}

    asked = operator.post(pages.act(verb), form)
    operator.post(pages.act(verb), form | {"confirmed": "yes", "reason": "x", "done": "yes", "input": "{}"})

    assert "Not possible" in pages.text(asked)
    assert scenes.fresh(saga).revision == saga.revision


def test_junk__several_sagas(operator: Client) -> None:
    items = [pages.item(scenes.awaiting_approval()) for _ in range(2)]

    assert operator.post(pages.act("skip"), {"saga": items, "step": "1"}).status_code == 400


def test_gone__a_saga_that_does_not_exist(operator: Client) -> None:
    form = {"saga": "01ARZ3NDEKTSV4RRFFQ69G5FAV:1", "step": "0"}

    asked = operator.post(pages.act("skip"), form)
    done = operator.post(pages.act("skip"), {**form, "confirmed": "yes", "reason": "x"}, follow=True)

    assert "1 saga does not exist." in pages.text(asked)
    assert pages.told(done) == ["1 saga does not exist."]


def test_refused__meanwhile_by_the_engine(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The saga moves between our look at it and the engine's: it compares under its lock."""
    from sagas.admin import acting

    saga, look = scenes.awaiting_approval(), acting.step_prospect

    def look_and_be_overtaken(*args: Any) -> Any:
        seen = look(*args)
        saga.pause(reason="somebody else")
        return seen

    monkeypatch.setattr(acting, "step_prospect", look_and_be_overtaken)
    again = pages.confirm_step(operator, "skip", saga, "charge")

    assert row(saga, "charge").status == StepStatus.WAITING
    assert pages.told(again)[0].startswith("1 saga changed since you looked")


# -- whole sagas ------------------------------------------------------------------------------------------------------


def test_list__pause_and_resume_many(operator: Client) -> None:
    sagas = [scenes.started(), scenes.waiting(), scenes.completed()]

    asked = pages.text(pages.select(operator, "pause", *sagas))
    pages.confirm(operator, "pause", *sagas[:2])
    first = pages.told(operator.get(pages.LIST))
    pages.confirm(operator, "resume", *[scenes.fresh(saga) for saga in sagas[:2]])

    assert "Pause 2 sagas" in asked
    assert "expected state started or compensating, got completed; it has ended: there is nothing to pause" in asked
    assert first[0].startswith("2 sagas are paused: ")
    assert pages.told(operator.get(pages.LIST))[0].startswith("2 sagas go on: ")
    assert not Saga.objects.filter(paused_at__isnull=False).exists()
    assert LogEntry.objects.count() == 4


def test_cancel__shows_the_plan(operator: Client) -> None:
    saga = scenes.waiting()

    asked = pages.text(pages.select(operator, "cancel", saga))
    pages.confirm(operator, "cancel", saga)

    assert "Undone, in this order charge_payment by admin_tests.undo in doubt" in asked
    assert (scenes.fresh(saga).state, scenes.fresh(saga).error_code) == (SagaState.COMPENSATING, "cancel")


def test_run_now__says_what_waits_no_longer(operator: Client) -> None:
    saga = scenes.awaiting_time()

    asked = pages.text(operator.post(pages.act("run_now"), {"saga": pages.item(saga), "origin": "page"}))
    pages.confirm(operator, "run_now", saga)

    assert "remind (admin_tests.do): waiting → pending" in asked
    assert row(saga, "remind").status == StepStatus.PENDING


# -- what the page says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (scenes.awaiting_answer, ["waiting waits for an answer to its token", "fails in 59 min"]),
        (scenes.awaiting_signal, ["waits for the signal paid"]),
        (scenes.awaiting_time, ["waits for its time", "until in 59 min"]),
        (scenes.awaiting_approval, ["Needs attention: needs approval charge waits for approval", "waits for approval"]),
        (lambda: scenes.awaiting_approval(approvers="shop.approve"), ["waits for approval (by shop.approve)"]),
        (lambda: scenes.awaiting_undo(people=2, approvers="finance"), ["undoing needs approval: 0 of 2 (by finance)"]),
        (scenes.paused, ["paused", "Paused 20", "pause requested", "ines stock-taking"]),
    ],
)
def test_page__says_what_is_waited_for(made: Callable[[], Saga], said: list[str], operator: Client) -> None:
    text = pages.text(operator.get(pages.page(made())))

    for expected in said:
        assert expected in text


def test_page__what_a_wait_in_vain_means(operator: Client) -> None:
    steps = scenes.one_step("payment", wait_for="paid", wait_timeout=3600, on_timeout="attention")

    assert "needs attention in 59 min" in pages.text(operator.get(pages.page(scenes.awaiting_signal(steps=steps))))


def test_page__every_hold_and_kind_has_words() -> None:
    from sagas.admin import words
    from sagas.core.states import Wait
    from sagas.core.triggers import TRIGGERS

    holds = [hold for hold in Hold if hold]
    assert [hold for hold in holds if hold not in words.HOLD_WORDS or hold not in words.HOLD_SENTENCES] == []
    assert [wait for wait in Wait if wait and words.wait_words(wait) == wait] == []
    kinds = {trigger.kind for trigger in TRIGGERS if trigger.kind}
    assert kinds - set(words.KIND_WORDS) == set()


def test_history__says_what_the_new_kinds_changed(operator: Client) -> None:
    saga = scenes.awaiting_undo(people=2)
    saga.approve("charge", actor="ann", reason="fine", expected_revision=scenes.fresh(saga).revision)

    text = pages.text(operator.get(pages.page(saga)))

    assert "approved charge" in text
    assert "charge: approved by ann" in text
    assert "opened:" not in text
    assert "answer:" not in text
