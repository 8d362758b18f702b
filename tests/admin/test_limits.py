"""`SAGAS["OPERATORS"]`: who may do what to the sagas of one definition, beside having the permission."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from sagas.models import Saga
from tests.admin import pages, scenes

Limit = Callable[..., None]


@pytest.fixture
def limit(settings: Any) -> Limit:
    def make(limits: dict[str, Any]) -> None:
        settings.SAGAS = {**settings.SAGAS, "OPERATORS": limits}

    return make


def join(role: str, group: str) -> None:
    User.objects.get(username=role).groups.add(Group.objects.get_or_create(name=group)[0])


def test_limit__no_button_and_refused_by_url_until_one_is_in_the_group(
    limit: Limit, client_of: Callable[[str], Client]
) -> None:
    saga, client = scenes.waiting(), client_of("compensator")
    limit({scenes.NAME: {"compensate": ["finance"]}})

    before = client.get(pages.page(saga))
    asked = client.post(pages.act("compensate"), {"saga": pages.item(saga)})
    done = pages.confirm(client, "compensate", saga)
    unchanged = scenes.fresh(saga).revision == saga.revision
    join("compensator", "finance")
    after = client.get(pages.page(saga))
    pages.confirm(client, "compensate", saga)

    assert pages.buttons(before) == set()
    assert (asked.status_code, done.status_code) == (403, 403)
    assert unchanged
    assert pages.buttons(after) == {"compensate"}
    assert scenes.fresh(saga).revision > saga.revision


def test_limit__of_steps_too(limit: Limit, client_of: Callable[[str], Client]) -> None:
    saga, client = scenes.awaiting_approval(), client_of("steerer")
    limit({scenes.NAME: {"skip": "finance"}})

    seen = pages.step_buttons(client.get(pages.page(saga)))["charge"]
    refused = pages.confirm_step(client, "skip", saga, "charge")

    assert "skip" not in seen
    assert "roll_back_to" in seen, "it has the same permission, and no limit"
    assert refused.status_code == 403
    assert scenes.fresh(saga).revision == saga.revision


def test_limit__does_not_grant(limit: Limit, client_of: Callable[[str], Client]) -> None:
    saga, client = scenes.waiting(), client_of("viewer")
    limit({scenes.NAME: {"compensate": "finance"}})
    join("viewer", "finance")

    assert pages.confirm(client, "compensate", saga).status_code == 403


def test_limit__many_at_once_each_by_its_own(limit: Limit, client_of: Callable[[str], Client]) -> None:
    """Of two definitions the operator may act on one: that one is done, the other told."""
    mine, theirs = Saga.objects.start("admin_short"), scenes.waiting()
    client = client_of("compensator")
    limit({scenes.NAME: {"*": "finance"}})

    asked = pages.select(client, "compensate", mine, theirs)
    done = client.post(
        pages.act("compensate"),
        {"saga": [pages.item(mine), pages.item(theirs)], "confirmed": "yes", "reason": "x"},
        follow=True,
    )

    refusal = f"you may not do this to sagas {scenes.NAME}; somebody who may is needed"
    assert refusal in pages.text(asked)
    assert "Compensate 1 saga" in pages.text(asked)
    assert pages.told(done)[-1] == f"{theirs}: {refusal}"
    assert scenes.fresh(mine).revision > mine.revision
    assert scenes.fresh(theirs).revision == theirs.revision
    assert [line.object_id for line in LogEntry.objects.all()] == [str(mine.pk)]


def test_limit__asks_for_the_groups_once(
    limit: Limit, client_of: Callable[[str], Client], django_assert_max_num_queries: Any
) -> None:
    saga, client = scenes.waiting(), client_of("superuser")
    User.objects.update(is_superuser=False)
    User.objects.get().user_permissions.set(Permission.objects.filter(content_type__app_label="sagas"))
    with django_assert_max_num_queries(100) as free:
        client.get(pages.page(saga))
    limit({scenes.NAME: {"*": "finance"}})

    with django_assert_max_num_queries(len(free.captured_queries) + 1):
        client.get(pages.page(saga))
