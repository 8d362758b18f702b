"""The sagas of an object on its own admin page, in one line of the host's admin."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.sites import site
from django.contrib.auth.models import Group, Permission, User
from django.core import checks
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from participants.orders.models import Order
from sagas import panel
from sagas.models import Saga
from sagas.panel import SagaInline
from tests.admin import pages, scenes


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are the host's objects, and their page can be edited."""
    monkeypatch.setattr(site.get_model_admin(Group), "inlines", [SagaInline])


@pytest.fixture
def group(host: None, db: None) -> Group:
    return Group.objects.create(name="packers")


def change(group: Any) -> str:
    return reverse(f"admin:{group._meta.app_label}_{group._meta.model_name}_change", args=[group.pk])


def panel_of(response: Any) -> str:
    html = response.content.decode()
    start = html.index("saga-panel")
    return html[start : html.index("</section>", start)]


def order(saga: Saga) -> Order:
    return Order.objects.create(saga=saga.pk, number="A-1", customer="ines", currency="EUR", total=5)


def test_subject__its_sagas_newest_first__and_no_others(group: Group, operator: Client) -> None:
    mine = [scenes.completed(subject=group), scenes.debt(subject=group), scenes.paused(subject=group)]
    other = scenes.started(subject=Group.objects.create(name="others"))
    same_key = scenes.started(subject=User.objects.get())
    Saga.objects.filter(pk=same_key.pk).update(subject_id=str(group.pk))

    text = panel_of(operator.get(change(group)))

    assert [text.index(saga.ulid) for saga in reversed(mine)] == sorted(text.index(saga.ulid) for saga in mine)
    assert other.ulid not in text
    assert same_key.ulid not in text
    for saga in mine:
        assert f'href="{pages.page(saga)}"' in text
    for word in ("completed", "5/5", "1/2 undone", "undo failed", "paused"):
        assert word in text


def test_none(group: Group, operator: Client) -> None:
    assert "None yet." in panel_of(operator.get(change(group)))


def test_many__so_many_and_no_more(group: Group, operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "MAX_SAGAS", 2)
    sagas = [scenes.start(subject=group) for _ in range(3)]

    text = panel_of(operator.get(change(group)))

    assert sagas[0].ulid not in text
    assert "The newest 2 are shown." in text


def test_queries__constant(group: Group, operator: Client) -> None:
    counts = []
    for _ in range(2):
        scenes.start(subject=group)
        operator.get(change(group))
        with CaptureQueriesContext(connection) as captured:
            operator.get(change(group))
        counts.append(sum("sagas_" in query["sql"] for query in captured))
        for _ in range(4):
            scenes.completed(subject=group)

    assert counts == [2, 2]


def test_only_for_looking__the_hosts_own_form_is_saved(group: Group, operator: Client) -> None:
    saga = scenes.started(subject=group)
    page = operator.get(change(group))
    (formset,) = page.context["inline_admin_formsets"]
    form = {f"{formset.formset.prefix}-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS")}

    response = operator.post(change(group), {"name": "movers", **form})

    assert response.status_code == 302
    assert Group.objects.get().name == "movers"
    assert scenes.fresh(saga).revision == saga.revision
    assert (formset.has_add_permission, formset.has_change_permission, formset.has_delete_permission) == (
        False,
        False,
        False,
    )


def test_forms_that_somebody_made_up__change_no_saga(group: Group, operator: Client) -> None:
    saga = scenes.started(subject=group)
    prefix = operator.get(change(group)).context["inline_admin_formsets"][0].formset.prefix
    forged = {
        f"{prefix}-TOTAL_FORMS": "1",
        f"{prefix}-INITIAL_FORMS": "1",
        f"{prefix}-0-id": str(saga.pk),
        f"{prefix}-0-state": "failed",
        f"{prefix}-0-DELETE": "on",
    }
    before = Saga.objects.filter(pk=saga.pk).values().get()

    operator.post(change(group), {"name": "movers", **forged})

    assert Saga.objects.filter(pk=saga.pk).values().get() == before
    assert Saga.objects.count() == 1


def test_new_object__has_none(host: None, operator: Client) -> None:
    assert "saga-panel" not in operator.get(reverse("admin:auth_group_add")).content.decode()


@pytest.mark.parametrize(("rights", "sees"), [(["view_group"], False), (["view_group", "view_saga"], True)])
def test_for_who_may_view_sagas(
    rights: list[str], sees: bool, group: Group, client_of: Callable[[str], Client]
) -> None:
    client = client_of("staff")
    User.objects.get().user_permissions.add(*Permission.objects.filter(codename__in=rights))
    saga = scenes.started(subject=group)

    html = client.get(change(group)).content.decode()

    assert (saga.ulid in html) is sees
    assert ("saga-panel" in html) is sees


# -- by a field that holds a saga's id


def test_field__the_participants_show_the_saga_that_made_them(operator: Client) -> None:
    saga, other = scenes.debt(), scenes.started()

    text = panel_of(operator.get(change(order(saga))))

    assert saga.ulid in text
    assert other.ulid not in text
    assert "undo failed" in text


def test_field__a_saga_that_is_gone(operator: Client) -> None:
    saga = scenes.started()
    row = order(saga)
    Saga.objects.all().delete()

    assert "None yet." in panel_of(operator.get(change(row)))


def test_by__several_fields__and_what_they_may_hold(db: None) -> None:
    one, two, three = scenes.started(), scenes.started(), scenes.started()

    class Host:
        key, text, row, empty, odd = one.pk, two.ulid, three, None, "nonsense"

    inline = SagaInline.by("key", "text").by("row", "empty", "odd")
    formset = inline.formset.__new__(inline.formset)
    formset.instance = Host()

    assert inline.formset.saga_fields == ("key", "text", "row", "empty", "odd")
    assert list(formset._keys()) == [one.pk, two.pk, three.pk]
    assert SagaInline.formset.saga_fields == ()


def test_every_base__django_has_nothing_against_it() -> None:
    class Any(admin.ModelAdmin):
        inlines = [SagaInline, SagaInline.by("name")]

    assert checks.run_checks(tags=["admin"]) == []
    assert Any(Group, site).check() == []
