"""The page of work items: what is listed for whom, what its buttons lead to, who may take an item and comment on it."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import reverse
from django.utils import timezone

from sagas.models import HistoryEntry, Saga, Step
from tests.admin import pages, scenes
from tests.admin.conftest import ROLES
from tests.admin.test_injection import EVIL, assert_harmless
from tests.admin.test_list_indexes import SAGAS, indexes, nodes

LIST = reverse("admin:sagas_workitem_changelist")
#: Who may look after an approval, and after a debt, beside the superuser.
CARERS = {"approval": {"approver", "resolver"}, "debt": {"resolver", "retrier", "steerer"}}
MADE: dict[str, tuple[Callable[[], Saga], str]] = {
    "approval": (scenes.awaiting_approval, "charge"),
    "debt": (scenes.debt, "create_order"),
}


def act(client: Client, name: str, saga: Saga, step: str, **fields: Any) -> Any:
    form = {"saga": saga.ulid, "step": str(saga.steps.get(name=step).position)}
    return client.post(reverse(f"admin:sagas_workitem_{name}"), form | fields)


def listed(client: Client, query: str = "") -> list[str]:
    response = client.get(f"{LIST}{query}")
    assert response.status_code == 200
    return [view.item.saga.ulid for view in response.context["items"]]


def buttons(client: Client, query: str = "") -> list[set[str]]:
    return [{one.name for one in view.acts} for view in client.get(f"{LIST}{query}").context["items"]]


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("role", ROLES)
def test_matrix(role: str, kind: str, client_of: Callable[[str], Client]) -> None:
    made, step = MADE[kind]
    saga, client = made(), client_of(role)
    reads, cares = role not in ("anonymous", "staff", "blind"), role in CARERS[kind] | {"superuser"}
    refusal = 302 if role == "anonymous" else 403

    seen = client.get(LIST)
    answers = [
        act(client, "take", saga, step).status_code,
        act(client, "comment", saga, step, text="hello").status_code,
        act(client, "give_back", saga, step).status_code,
    ]

    assert seen.status_code == (200 if reads else refusal)
    assert answers == [302 if cares else refusal] * 3
    kinds = HistoryEntry.objects.filter(saga=saga, actor=role).order_by("id").values_list("kind", flat=True)
    assert list(kinds) == (["assign", "comment", "assign"] if cares else [])
    assert LogEntry.objects.count() == len(kinds)
    if reads:
        assert b"Take" in seen.content if cares else b"Take" not in seen.content


def test_limits__per_definition(client_of: Callable[[str], Client]) -> None:
    saga, client = scenes.debt(), client_of("resolver")
    with override_settings(SAGAS={"OPERATORS": {scenes.NAME: {"*": ["night shift"]}}}):
        before = act(client, "take", saga, "create_order").status_code
        seen = listed(client, "?for=me")
        User.objects.get(username="resolver").groups.add(Group.objects.create(name="night shift"))
        after = act(client, "take", saga, "create_order").status_code

    assert (before, seen, after) == (403, [], 302)


def test_approvers__only_they_may_act(client_of: Callable[[str], Client]) -> None:
    saga, client = scenes.awaiting_approval(approvers="finance"), client_of("approver")

    assert buttons(client) == [set()]
    assert listed(client, "?for=me") == []
    assert act(client, "take", saga, "charge").status_code == 403
    User.objects.get(username="approver").groups.add(Group.objects.create(name="finance"))

    assert listed(client, "?for=me") == [saga.ulid]
    assert buttons(client) == [{"approve", "deny"}]
    assert act(client, "take", saga, "charge").status_code == 302


def test_get__changes_nothing_and_posts_need_a_token(client_of: Callable[[str], Client]) -> None:
    saga = scenes.debt()
    client, strict = client_of("superuser"), Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies

    for name in ("take", "give_back", "comment"):
        assert client.get(reverse(f"admin:sagas_workitem_{name}") + f"?saga={saga.ulid}&step=0").status_code == 302
        assert act(strict, name, saga, "create_order").status_code == 403
    for post in ({}, {"saga": "x", "step": "0"}, {"saga": saga.ulid, "step": "-1"}):
        assert client.post(reverse("admin:sagas_workitem_take"), post).status_code == 400

    assert scenes.fresh(saga).revision == saga.revision
    assert not LogEntry.objects.exists()


def test_take__the_second_is_told_who_has_it(client_of: Callable[[str], Client]) -> None:
    saga, first, second = scenes.debt(), client_of("resolver"), client_of("superuser")

    act(first, "take", saga, "create_order")
    late = act(second, "take", saga, "create_order", filters="kind=debt")
    page = second.get(late.headers["Location"])

    assert late.headers["Location"].startswith(f"{LIST}?kind=debt#item-")
    assert pages.told(page) == [f"{scenes.NAME}: create_order: resolver has taken it before you. Nothing was changed."]
    assert "Looked after by resolver" in pages.text(page)
    assert "You look after it" in pages.text(first.get(LIST))


def test_approve_with_two_people(client_of: Callable[[str], Client]) -> None:
    """From the list, by two different people; the item is gone when it is done."""
    saga = scenes.awaiting_undo(people=2)
    one, two = client_of("approver"), client_of("superuser")

    assert buttons(one) == [{"approve"}]
    act(one, "take", saga, "charge")
    asked = pages.ask_step(one, "approve", scenes.fresh(saga), "charge", origin="work", filters="for=me")
    assert 'name="origin" value="work"' in asked.content.decode()
    done = pages.confirm_step(one, "approve", scenes.fresh(saga), "charge", origin="work", filters="for=me")
    assert done.headers["Location"] == f"{LIST}?for=me"

    assert listed(one, "?for=me") == [], "the other approval must be somebody else's"
    assert buttons(one) == [set()]
    assert listed(one, "?owner=me") == []
    text = pages.text(two.get(f"{LIST}?for=me"))
    assert "1 of 2 approvals; approved by approver" in text
    pages.confirm_step(two, "approve", scenes.fresh(saga), "charge", origin="work")

    assert listed(two) == []
    assert "Nothing waits for a person." in pages.text(two.get(LIST))


def test_resolve_a_debt(operator: Client) -> None:
    saga = scenes.debt()
    act(operator, "take", saga, "create_order")
    act(operator, "comment", saga, "create_order", text="found the order\r\nin the archive")

    assert buttons(operator, "?owner=me") == [{"resolve", "retry", "skip", "assign"}]
    text = pages.text(operator.get(LIST))
    assert re.search(r"undo failed for \d+ s create_order", text)
    assert "order_locked the order is locked" in text
    assert "1 comment superuser" in text
    pages.confirm_step(operator, "resolve", scenes.fresh(saga), "create_order", done="yes", origin="work")

    assert listed(operator) == []
    history = pages.text(operator.get(pages.page(saga)))
    assert "comment create_order" in history
    assert "found the order in the archive" in history
    assert {entry.change_message.partition(" ")[0] for entry in LogEntry.objects.all()} == {
        "Take",
        "Comment",
        "Resolve",
    }


def test_assign__an_approval_has_no_next_try(operator: Client) -> None:
    saga = scenes.awaiting_approval()

    form = pages.ask_step(operator, "assign", saga, "charge").content.decode()
    pages.confirm_step(operator, "assign", saga, "charge", owner="ines")

    assert 'name="owner"' in form
    assert 'name="next_try"' not in form
    assert 'name="next_try"' in pages.ask_step(operator, "assign", scenes.debt(), "create_order").content.decode()
    assert "Looked after by ines" in pages.text(operator.get(LIST))


def test_filters_and_order(operator: Client) -> None:
    debt, approval, crashed, theirs = (
        scenes.debt(), scenes.awaiting_approval(), scenes.crashed(), scenes.late_effect(),
    )  # fmt: skip
    scenes.without_handler()
    Step.objects.filter(saga=crashed, position=0).update(held_since=timezone.now() - timedelta(days=3))
    act(operator, "take", debt, "create_order")
    theirs.assign("create_order", owner="ines")

    found = scenes.names([crashed, debt, approval, theirs])
    assert listed(operator) == found
    assert listed(operator, "?kind=approval") == [approval.ulid]
    assert listed(operator, f"?name={scenes.NAME}&kind=debt") == [debt.ulid]
    assert listed(operator, "?name=another") == []
    assert listed(operator, "?owner=me") == [debt.ulid]
    assert listed(operator, "?owner=ines") == [theirs.ulid]
    assert listed(operator, "?owner=-") == [crashed.ulid, approval.ulid]
    assert "3 d" in pages.text(operator.get(f"{LIST}?kind=crashes"))
    for wrong in ("?kind=nonsense", "?for=him", "?owner=" + "x" * 200, "?name=%00"):
        response = operator.get(LIST + wrong)
        assert response.context["items"] == []
        assert "is no value of the filter" in pages.text(response)


def test_pages__and_a_constant_number_of_queries(operator: Client) -> None:
    def cost() -> int:
        operator.get(LIST)
        with CaptureQueriesContext(connection) as captured:
            operator.get(LIST)
        return len(captured)

    made = [scenes.awaiting_approval(approvers="finance") for _ in range(2)]
    made[0].comment("charge", "soon", actor="ines")
    few = cost()
    made += [scenes.awaiting_approval(approvers="finance") for _ in range(26)]
    for saga in made[5:9]:
        saga.comment("charge", "soon", actor="ines")

    assert cost() == few
    with CaptureQueriesContext(connection) as captured:
        operator.get(f"{LIST}?for=me")
    assert len(captured) == few + 1, "whom the approvals ask for"
    assert listed(operator) == scenes.names(made[:25])
    assert listed(operator, "?p=2") == scenes.names(made[25:])
    assert listed(operator, "?p=9") == scenes.names(made[25:])
    assert "page 1 of 2" in pages.text(operator.get(LIST))


def test_saga_page__shows_owner_comments_and_the_form(client_of: Callable[[str], Client]) -> None:
    saga, viewer, client = scenes.debt(), client_of("viewer"), client_of("resolver")
    done = act(client, "comment", saga, "create_order", text="first", origin="page")
    act(client, "comment", saga, "create_order", text="second", origin="page")
    act(client, "take", saga, "create_order", origin="page")

    seen, theirs = viewer.get(pages.page(saga)), client.get(pages.page(saga))

    assert done.headers["Location"] == f"{pages.page(saga)}#item-0"
    assert "Looked after by resolver" in pages.text(seen)
    assert re.search(r"resolver \d+ s ago first resolver \d+ s ago second", pages.text(seen))
    assert "Add the comment" not in pages.text(seen)
    assert "You look after it" in pages.text(theirs)
    assert "Add the comment" in pages.text(theirs)
    assert "Add the comment" not in pages.text(client.get(pages.page(scenes.completed())))


def test_comment__twice_the_same_form_is_one(operator: Client) -> None:
    saga = scenes.debt()

    for _ in range(2):
        act(operator, "comment", saga, "create_order", text="hello", key="a" * 32)
    empty = operator.get(act(operator, "comment", saga, "create_order", text=" \n").headers["Location"])
    odd = operator.get(act(operator, "comment", saga, "create_order", text="a\x00b").headers["Location"])

    assert HistoryEntry.objects.filter(saga=saga, kind="comment").count() == 1
    assert "Write a comment of at most 2000 characters" in pages.text(empty)
    assert "comment: expected at most 2000 characters" in pages.text(odd)


def test_injection(operator: Client) -> None:
    saga = scenes.debt()
    act(operator, "comment", saga, "create_order", text=EVIL, filters=EVIL)
    saga.assign("create_order", owner=EVIL)
    Saga.objects.filter(pk=saga.pk).update(name=EVIL, error_code=EVIL)
    Step.objects.filter(saga=saga).update(error_code=EVIL, error_message=EVIL, approved_by=EVIL)

    for response in (
        operator.get(LIST),
        operator.get(pages.page(saga)),
        operator.get(f"{LIST}?owner={EVIL}&kind={EVIL}"),
    ):
        assert "&lt;script&gt;" in response.content.decode()
        assert_harmless(response)
    Step.objects.filter(saga=saga, position=0).update(hold='"><script>')
    assert_harmless(operator.get(LIST))


def test_overview__counts_what_is_open_and_mine(operator: Client) -> None:
    index = reverse("admin:app_list", args=["sagas"])
    scenes.awaiting_approval()
    act(operator, "take", scenes.debt(), "create_order")

    response = operator.get(index)

    assert "2 work items: a person is asked mine 1" in pages.text(response)
    assert f'href="{LIST}"' in response.content.decode()
    assert f'href="{LIST}?owner=me"' in response.content.decode()


HELD = """
INSERT INTO sagas_step (saga_id, position, name, action, compensation, queue, depends_on, status, round, attempt,
    undo_attempt, tries, undo_tries, doubt, hold, held_since, crashes, error_code, error_message, opened, waits, answer,
    approved_by, owner)
SELECT id, place, 'step-' || place, 'a', '', '', '[]', 'completed', 1, 1, 0, 0, 0, false,
    CASE WHEN place = 1 AND attention <> '' THEN 'debt' ELSE '' END,
    CASE WHEN place = 1 AND attention <> '' THEN created_at END, 0, '', '', true, '', '', '', ''
FROM sagas_saga, generate_series(0, 2) AS place WHERE name IN ('many', 'few')
"""


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("", "sagas_step_held"),
        ("?kind=debt", "sagas_step_held"),
        ("?owner=me", "sagas_step_owner"),
        # Nearly all are: either way is as short.
        ("?owner=-", "sagas_step_owner sagas_step_held"),
        ("?name=few", "sagas_step_held"),
        ("?for=me", "sagas_step_held"),
    ],
)
def test_list__walks_an_index_over_what_is_open(query: str, index: str, operator: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SAGAS)
        cursor.execute(HELD)
        cursor.execute("ANALYZE sagas_saga")
        cursor.execute("ANALYZE sagas_step")
    with CaptureQueriesContext(connection) as captured:
        operator.get(LIST + query)
    (finding,) = [one["sql"] for one in captured.captured_queries if "LIMIT 1001" in one["sql"]]

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN (FORMAT JSON) {finding}")
        (plan,) = cursor.fetchone()
    found = nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])

    assert indexes(found) & set(index.split())
    assert "Seq Scan" not in {node["Node Type"] for node in found}
