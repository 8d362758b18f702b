"""Compensate and retry: the confirmation, the reason, sagas that moved, and what is written down."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.test import Client

from sagas.admin import confirmation
from sagas.core.states import SagaState, StepStatus
from sagas.models import HistoryEntry, Saga
from tests.admin import pages, scenes


def last_entry(saga: Saga) -> HistoryEntry:
    return saga.history.order_by("-id")[0]


def test_compensate__from_the_page_to_the_history(operator: Client) -> None:
    saga = scenes.waiting()
    shown = operator.get(pages.page(saga))
    assert f'name="saga" value="{pages.item(saga)}"' in shown.content.decode()

    asked = operator.post(pages.act("compensate"), {"saga": pages.item(saga), "origin": "page"})
    assert scenes.fresh(saga).revision == saga.revision
    done = pages.confirm(operator, "compensate", saga, origin="page", reason="  the customer called\r\nagain ")

    assert "Compensate 1 saga" in pages.text(asked)
    assert done.headers["Location"] == pages.page(saga)
    after, entry = scenes.fresh(saga), last_entry(saga)
    assert after.state == SagaState.COMPENSATING
    assert (entry.kind, entry.actor, entry.reason) == ("compensate", "superuser", "the customer called\nagain")
    line = LogEntry.objects.get()
    assert (line.user.username, line.object_id, line.action_flag) == ("superuser", str(saga.pk), CHANGE)
    assert "the customer called" in line.change_message
    assert pages.told(operator.get(pages.page(saga))) == [f"1 saga is being compensated: {saga}"]


def test_compensate__links_and_history_are_on_the_page_after_it(operator: Client) -> None:
    saga = scenes.waiting()

    page = operator.post(
        pages.act("compensate"),
        {"saga": pages.item(saga), "confirmed": "yes", "reason": "wrong address", "origin": "page"},
        follow=True,
    )

    text = pages.text(page)
    assert f'<a href="{pages.page(saga)}">' in page.content.decode()
    assert "compensate requested" in text
    assert "superuser wrong address" in text
    log = pages.text(operator.get(f"/admin/sagas/saga/{saga.ulid}/history/"))
    assert "Compensate: wrong address" in log


def test_retry__a_waiting_step_runs_now(operator: Client) -> None:
    saga = scenes.waiting()

    asked = operator.post(pages.act("retry"), {"saga": pages.item(saga), "origin": "page"})
    done = pages.confirm(operator, "retry", saga)

    assert "charge_payment (admin_tests.do): waits no longer; in doubt: with the same idempotency key" in pages.text(
        asked
    )
    assert done.headers["Location"] == pages.LIST
    step = saga.steps.get(name="charge_payment")
    assert (step.due_at, step.tries) == (None, 0)
    assert (last_entry(saga).kind, last_entry(saga).actor) == ("retry", "superuser")
    assert pages.told(operator.get(pages.LIST)) == [f"1 saga is being retried: {saga}"]


def test_retry__a_failed_saga_and_a_debt(operator: Client) -> None:
    failed, debt = scenes.failed(), scenes.debt()

    asked = pages.text(pages.select(operator, "retry", failed, debt))
    pages.confirm(operator, "retry", failed, debt)

    assert "charge_payment (admin_tests.do): failed → pending; with new idempotency keys" in asked
    assert "create_order (admin_tests.undo): compensation failed → compensating" in asked
    assert scenes.fresh(failed).state == SagaState.STARTED
    assert debt.steps.get(name="create_order").status == StepStatus.COMPENSATING
    assert scenes.fresh(debt).attention == ""


def test_plan__order_marks_and_what_stays(operator: Client) -> None:
    def plan(saga: Saga) -> str:
        return pages.text(operator.post(pages.act("compensate"), {"saga": pages.item(saga)}))

    assert (
        "Undone, in this order charge_payment by admin_tests.undo still running its attempt is waited for first "
        "reserve_inventory by admin_tests.undo create_order by admin_tests.undo Not undone "
        "schedule_shipping : not executed yet: it is cancelled validate_address : nothing to undo: reads only"
    ) in plan(scenes.running())
    assert "charge_payment by admin_tests.undo in doubt it may have had no effect reserve_inventory" in plan(
        scenes.waiting()
    )
    assert "schedule_shipping : it was never executed charge_payment : it surely had no effect" in plan(scenes.failed())
    assert "Nothing has to be undone." in plan(scenes.without_handler())


def test_plan__side_by_side(operator: Client) -> None:
    from sagas import parallel, step

    pair = [step(name, action="admin_tests.do", compensation="admin_tests.undo") for name in ("left", "right")]
    saga = scenes.start(steps=[parallel(*pair), step("last", action="admin_tests.do", no_compensation="none")])
    scenes.advance(saga, 1)

    text = pages.text(operator.post(pages.act("compensate"), {"saga": pages.item(scenes.fresh(saga))}))

    assert "side by side: " in text
    assert text.index("side by side") < min(text.index("left by"), text.index("right by"))


@pytest.mark.parametrize("verb", ["compensate", "retry"])
@pytest.mark.parametrize("reason", ["", "   \n ", "x" * 2001, "a\x00b"])
def test_reason__is_required_and_fits(verb: str, reason: str, operator: Client) -> None:
    saga = scenes.waiting()

    response = pages.confirm(operator, verb, saga, reason=reason)

    assert response.status_code == 200
    assert response.context["form"].errors["reason"]
    assert "Please correct the error below." in pages.text(response)
    assert f'name="saga" value="{pages.item(saga)}"' in response.content.decode()
    assert scenes.fresh(saga).revision == saga.revision
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("verb", ["compensate", "retry"])
def test_moved__a_saga_that_changed_since_is_left_alone(verb: str, operator: Client) -> None:
    seen = scenes.waiting()
    seen.retry(reason="somebody else was quicker")
    moved = scenes.fresh(seen)

    response = operator.post(
        pages.act(verb),
        {"saga": pages.item(seen), "confirmed": "yes", "reason": "x", "origin": "page"},
        follow=True,
    )

    assert pages.told(response) == [f"1 saga changed since you looked, and was left alone; look again: {seen}"]
    assert f'<a href="{pages.page(seen)}">' in response.content.decode()
    assert scenes.fresh(seen).revision == moved.revision
    assert not LogEntry.objects.exists()


def test_moved__between_our_look_and_the_engine(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine compares under its lock: here the saga moves after the page's own look at it."""
    from sagas.admin import acting

    saga, look = scenes.waiting(), acting.prospects

    def look_and_be_overtaken(verb: Any, sagas: Any) -> Any:
        seen = look(verb, sagas)
        saga.retry(reason="somebody else")
        return seen

    monkeypatch.setattr(acting, "prospects", look_and_be_overtaken)
    pages.confirm(operator, "compensate", saga)

    assert scenes.fresh(saga).state == SagaState.STARTED
    assert pages.told(operator.get(pages.LIST))[0].startswith("1 saga changed since you looked")
    assert not LogEntry.objects.exists()


def test_list__several_with_their_plans_and_refusals(operator: Client) -> None:
    one, two, done, gone = scenes.waiting(), scenes.running(), scenes.completed(), scenes.compensating()

    asked = pages.select(operator, "compensate", one, two, done, gone)
    html, text = asked.content.decode(), pages.text(asked)

    assert "Compensate 2 sagas" in text
    assert f"{done} : expected state started or failed, got completed; a completed saga is final" in text
    assert f"{gone} : it is compensating already" in text
    assert html.count('name="saga"') == 2

    response = operator.post(
        pages.act("compensate"),
        {"saga": [pages.item(one), pages.item(two)], "confirmed": "yes", "reason": "recall"},
        follow=True,
    )
    (message,) = pages.told(response)
    assert message.startswith("2 sagas are being compensated: ")
    assert one.ulid in message
    assert two.ulid in message
    assert LogEntry.objects.count() == 2
    assert {scenes.fresh(saga).state for saga in (one, two)} == {SagaState.COMPENSATING}


def test_list__what_is_refused_is_said_per_saga(operator: Client) -> None:
    good, done, moved = scenes.waiting(), scenes.completed(), scenes.waiting()
    old = pages.item(moved, moved.revision - 1)

    response = operator.post(
        pages.act("compensate"),
        {"saga": [pages.item(good), pages.item(done), old], "confirmed": "yes", "reason": "recall"},
        follow=True,
    )

    assert pages.told(response) == [
        f"1 saga is being compensated: {good}",
        f"1 saga changed since you looked, and was left alone; look again: {moved}",
        f"{done}: expected state started or failed, got completed; a completed saga is final: start a saga that does "
        "the opposite",
    ]
    assert [line.object_id for line in LogEntry.objects.all()] == [str(good.pk)]


def test_list__nothing_possible_has_no_button(operator: Client) -> None:
    response = pages.select(operator, "retry", scenes.completed())

    assert 'name="confirmed"' not in response.content.decode()
    assert "Go back" in pages.text(response)


def test_list__only_some_plans_are_shown(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmation, "MAX_PLANS", 2)
    sagas = [scenes.started() for _ in range(5)]

    response = pages.select(operator, "compensate", *sagas)

    text = pages.text(response)
    assert text.count("Undone, in this order") == 2
    assert "And 3 more, without their plans" in text
    assert response.content.decode().count('name="saga"') == 5
    assert all(saga.ulid in text for saga in sagas)


@pytest.mark.parametrize("across", ["0", "1"])
def test_list__too_many_are_refused(across: str, operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from sagas.admin import acting

    monkeypatch.setattr(acting, "MAX_SAGAS", 2)
    sagas = [scenes.started() for _ in range(3)]
    chosen = sagas[:1] if across == "1" else sagas

    response = pages.select(operator, "compensate", *chosen, query="?state=started", select_across=across)

    assert response.headers["Location"] == f"{pages.LIST}?state=started"
    assert pages.told(operator.get(pages.LIST)) == ["Select at most 2 sagas at a time. Nothing was changed."]


def test_list__the_filter_is_kept(operator: Client) -> None:
    saga = scenes.waiting()
    query = "?attention=no&state=started"

    asked = pages.select(operator, "compensate", saga, query=query)
    done = pages.confirm(operator, "compensate", saga, filters="attention=no&state=started")

    assert 'name="filters" value="attention=no&amp;state=started"' in asked.content.decode()
    assert f'href="{pages.LIST}?attention=no&amp;state=started"' in asked.content.decode()
    assert done.headers["Location"] == pages.LIST + query


def test_list__a_saga_that_left_the_filter_is_not_forgotten(operator: Client) -> None:
    """It was selected among the started ones and is compensating when the operator confirms."""
    saga = scenes.waiting()
    saga.compensate(reason="somebody else")

    pages.confirm(operator, "compensate", saga, filters="state=started")

    assert pages.told(operator.get(pages.LIST))[0].startswith("1 saga changed since you looked")


@pytest.mark.parametrize("filters", ["//evil.example/", "https://evil.example/?x=1", "\r\nSet-Cookie: a=b", "x" * 3000])
def test_way_back__stays_here(filters: str, operator: Client) -> None:
    response = pages.confirm(operator, "compensate", scenes.waiting(), filters=filters)

    assert response.status_code == 302
    assert response.headers["Location"].startswith(f"{pages.LIST}?")


@pytest.mark.parametrize(
    "items",
    [
        [],
        ["x"],
        ["01ARZ3NDEKTSV4RRFFQ69G5FAV"],
        ["01ARZ3NDEKTSV4RRFFQ69G5FAV:"],
        ["01ARZ3NDEKTSV4RRFFQ69G5FAV:-1"],
        ["01ARZ3NDEKTSV4RRFFQ69G5FAV:1.5"],
        ["UUUUUUUUUUUUUUUUUUUUUUUUUU:1"],
        ["01ARZ3NDEKTSV4RRFFQ69G5FAV:1\x00"],
        ["01ARZ3NDEKTSV4RRFFQ69G5FAV:1"] * 101,
    ],
)
def test_junk__is_a_bad_request(items: list[str], operator: Client) -> None:
    response = operator.post(pages.act("compensate"), {"saga": items, "confirmed": "yes", "reason": "x"})

    assert response.status_code == 400


def test_gone__a_saga_that_does_not_exist(operator: Client) -> None:
    form = {"saga": "01ARZ3NDEKTSV4RRFFQ69G5FAV:1"}

    asked = operator.post(pages.act("retry"), form)
    done = operator.post(pages.act("retry"), {**form, "confirmed": "yes", "reason": "x"}, follow=True)

    assert "1 saga does not exist." in pages.text(asked)
    assert pages.told(done) == ["1 saga does not exist."]


def test_get__leads_to_the_list(operator: Client) -> None:
    assert operator.get(pages.act("compensate")).headers["Location"] == pages.LIST


def test_actor__a_name_longer_than_the_history_takes(
    client_of: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hosts with a user model of their own may have longer names."""
    from django.contrib.auth.models import User

    saga, client = scenes.waiting(), client_of("superuser")
    monkeypatch.setattr(User, "get_username", lambda user: "n" * 254)

    pages.confirm(client, "compensate", saga)

    assert last_entry(saga).actor == "n" * 150


def test_atomic_requests__one_refusal_does_not_undo_the_others(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    good, done = scenes.waiting(), scenes.completed()

    response = pages.confirm(operator, "compensate", done, good)

    assert response.status_code == 302
    assert scenes.fresh(good).state == SagaState.COMPENSATING


def test_store__a_conflict_is_told_and_the_others_are_tried(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database broke one transaction off: the operator may simply try that saga again."""
    from sagas.exceptions import StoreConflictError
    from sagas.store.orm import OrmStore

    bad, good, apply = scenes.waiting(), scenes.waiting(), OrmStore.apply

    def apply_but_one(store: OrmStore, submissions: Any, *args: Any, **options: Any) -> Any:
        if submissions[0].saga_id == bad.pk:
            raise StoreConflictError("the database broke the transaction off: deadlock")
        return apply(store, submissions, *args, **options)

    monkeypatch.setattr(OrmStore, "apply", apply_but_one)
    response = operator.post(
        pages.act("retry"),
        {"saga": [pages.item(bad), pages.item(good)], "confirmed": "yes", "reason": "x"},
        follow=True,
    )

    assert pages.told(response) == [
        f"1 saga is being retried: {good}",
        f"{bad}: the database broke the transaction off: deadlock",
    ]
    assert [line.object_id for line in LogEntry.objects.all()] == [str(good.pk)]


def test_messages__name_only_some(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from sagas.admin import report

    monkeypatch.setattr(report, "MAX_NAMED", 2)
    good, done = [scenes.waiting() for _ in range(3)], [scenes.completed() for _ in range(4)]

    response = operator.post(
        pages.act("retry"),
        {"saga": [pages.item(saga) for saga in [*good, *done]], "confirmed": "yes", "reason": "x"},
        follow=True,
    )

    first, *others = pages.told(response)
    assert first.startswith("3 sagas are being retried: ")
    assert first.endswith(" and others")
    assert sum(saga.ulid in first for saga in good) == 2
    assert len(others) == 3
    assert others[-1] == "2 more were refused."


# -- restart ----------------------------------------------------------------------------------------------------------


def test_restart__shows_what_is_started_and_leads_to_it(operator: Client) -> None:
    saga = scenes.ended(owner="ann")

    asked = operator.post(pages.act("restart"), {"saga": pages.item(saga), "origin": "page"})
    done = pages.confirm(operator, "restart", saga, origin="page", context='{"number": "A-2"}')

    assert "Starts admin_short, version 1 steps: charge owner: ann" in pages.text(asked)
    assert json.loads(asked.context["form"]["context"].value()) == {"number": "A-1"}
    new = Saga.objects.exclude(pk=saga.pk).get()
    assert (new.context, new.owner, new.tags) == ({"number": "A-2"}, "ann", [f"restart-of:{saga.ulid}"])
    assert done.headers["Location"] == pages.page(saga)
    page = operator.get(pages.page(saga))
    assert pages.told(page) == [f"1 new saga is started: {new}"]
    assert pages.page(new) in page.content.decode()
    entry = saga.history.order_by("-id")[0]
    assert (entry.kind, entry.actor, entry.reason) == ("restart", "superuser", "the customer called")
    assert {log.object_id: log.change_message for log in LogEntry.objects.all()} == {
        str(saga.pk): "Restart: the customer called",
        str(new.pk): f"Restart ({saga.ulid}): the customer called",
    }


def test_restart__twice_from_one_page_starts_one(operator: Client) -> None:
    saga = scenes.ended()

    pages.confirm(operator, "restart", saga)
    again = pages.confirm(operator, "restart", saga, context='{"number": "A-3"}')

    assert Saga.objects.count() == 2
    assert "changed since you looked" in pages.told(again)[-1]
    assert again.context["form"]["context"].value() == '{"number": "A-3"}'


def test_restart__a_context_that_the_definition_does_not_take_is_said_at_the_field(operator: Client) -> None:
    saga = scenes.ended_typed()

    again = pages.confirm(operator, "restart", saga, context='{"number": 7}', reason="with another number")

    form = again.context["form"]
    assert "number: expected text, got int" in form.errors["context"][0]
    assert form["context"].value() == '{"number": 7}'
    assert form["reason"].value() == "with another number"
    assert Saga.objects.count() == 1
    assert not LogEntry.objects.exists()


def test_restart__one_at_a_time(operator: Client) -> None:
    assert pages.confirm(operator, "restart", scenes.ended(), scenes.ended()).status_code == 400
    assert "restart_selected" not in operator.get(pages.LIST).content.decode()


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (scenes.failed, "expected state completed or compensated, got failed"),
        (scenes.completed, "expected a definition 'admin_order', there is none"),
    ],
    ids=["failed", "of no definition"],
)
def test_restart__not_possible(operator: Client, made: Callable[[], Saga], why: str) -> None:
    saga = made()

    assert why in pages.text(operator.post(pages.act("restart"), {"saga": pages.item(saga)}))
    pages.confirm(operator, "restart", saga)

    assert Saga.objects.count() == 1
    assert not LogEntry.objects.exists()
