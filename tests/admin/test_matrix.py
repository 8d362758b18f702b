"""Every address of the admin, for every role: who gets what, that a GET changes nothing and that no POST works without
its CSRF token. Driven by the URL configuration: a new page is asked about here before it can be merged."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from sagas.models import Saga
from tests.admin import matrix, pages, scenes
from tests.admin.matrix import ADDRESSES, COLUMNS, ROWS, Outcome, Row

pytestmark = pytest.mark.django_db
#: What makes each action act, in one query or form.
EVERYTHING = {"confirmed": "yes", "reason": "because", "step": "1", "priority": "0", "post": "yes", "done": "yes"}


def test_matrix__has_every_address() -> None:
    known = matrix.addresses_known()

    assert len(known) > 30
    assert set(ADDRESSES) == known, "a page that is new belongs into tests/admin/matrix.py: ADDRESSES and ROWS"
    assert {row.url for row in ROWS} == known
    assert set(matrix.PLIGHTS) == set(matrix.ALL_VERBS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.url}: {row.what}")
def test_matrix(row: Row, settings: Any) -> None:
    found, logged, given = {}, {}, dict(settings.SAGAS)
    saga = row.made()
    for column, expected in zip(COLUMNS, row.outcomes, strict=True):
        settings.SAGAS = {**given, "OPERATORS": matrix.limits(column, saga)}
        client = matrix.client_of(column)
        ADDRESSES[row.url](saga)
        before = matrix.stored()

        response = row.ask(client, saga)

        changed = matrix.changed(before)
        found[column] = matrix.outcome(response, changed=bool(changed))
        logged[column] = "admin.LogEntry" in changed
        if expected is Outcome.ACTS:
            saga = row.made()

    assert found == dict(zip(COLUMNS, row.outcomes, strict=True))
    assert logged == {column: what is Outcome.ACTS for column, what in found.items()}


@pytest.mark.parametrize("plight", ["waiting", "debt", "awaiting_approval", "secret"])
def test_get__changes_nothing(plight: str, operator: Client) -> None:
    saga = scenes.PLIGHTS[plight]()
    query = EVERYTHING | {"saga": pages.item(saga), "action": "compensate_selected", "_selected_action": str(saga.pk)}
    for name, address in ADDRESSES.items():
        plain = address(saga)
        before = matrix.stored()

        operator.get(plain)
        operator.get(plain, query)

        assert matrix.changed(before) == [], name


@pytest.mark.parametrize("name", ADDRESSES)
def test_post__without_csrf_token_is_refused_and_changes_nothing(name: str, operator: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    verb = name.removeprefix("sagas_saga_")
    saga = matrix.PLIGHTS[verb][0]() if verb in matrix.PLIGHTS else scenes.ended()
    known = {**matrix.verb_form(verb, saga), **matrix.PLIGHTS[verb][2]} if verb in matrix.PLIGHTS else {}
    form = EVERYTHING | {"saga": pages.item(saga), "action": "compensate_selected"} | known
    address = ADDRESSES[name](saga)
    before = matrix.stored()

    response = strict.post(address, form)

    assert response.status_code == 403
    assert matrix.changed(before) == []


#: Where nothing is asked that changes anything.
SHOWS_ONLY = sorted(set(ADDRESSES) - {row.url for row in ROWS if Outcome.ACTS in row.outcomes})


@pytest.mark.parametrize("name", SHOWS_ONLY)
def test_post__to_what_only_shows_changes_nothing(name: str, operator: Client) -> None:
    saga: Saga = scenes.waiting()
    address = ADDRESSES[name](saga)
    before = matrix.stored()

    operator.post(address, EVERYTHING | {"saga": pages.item(saga), "state": "completed", "_save": "Save"})

    assert matrix.changed(before) == []
