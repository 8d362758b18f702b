"""The list's filters and its search: what they find, and what they say to what makes no sense."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from sagas.core.children import child_id
from sagas.core.states import Hold
from sagas.definitions.ids import first_id
from sagas.engine import criteria
from sagas.models import Saga
from tests.admin import pages, scenes


def found(client: Client, query: str = "", **fields: Any) -> set[Any]:
    response = client.get(f"{pages.LIST}?{query or urlencode(fields)}")
    assert response.status_code == 200
    return {saga.pk for saga in response.context["cl"].result_list}


def keys(*sagas: Saga) -> set[Any]:
    return {saga.pk for saga in sagas}


def test_filters__flags_and_states(operator: Client) -> None:
    going, stuck, done, still = scenes.started(), scenes.debt(), scenes.completed(), scenes.paused()
    Saga.objects.filter(pk=going.pk).update(stale_since=timezone.now(), name="removed_definition")

    assert found(operator, "state=started") == keys(going, still)
    assert found(operator, "state=completed") == keys(done)
    assert found(operator, f"name={scenes.NAME}") == keys(stuck, done, still)
    assert found(operator, "name=removed_definition") == keys(going)
    assert found(operator, "name=order_processing") == set()
    assert found(operator, "attention=yes") == keys(stuck)
    assert found(operator, "attention=no") == keys(going, done, still)
    assert found(operator, "attention=debt") == keys(stuck)
    assert found(operator, "attention=no_handler") == set()
    assert found(operator, "stale=yes") == keys(going)
    assert found(operator, "stale=no") == keys(stuck, done, still)
    assert found(operator, "paused=yes") == keys(still)
    assert found(operator, "paused=no") == keys(going, stuck, done)
    assert found(operator, "state=compensating&attention=yes&stale=no&paused=no") == keys(stuck)


def test_filters__version_within_a_definition(operator: Client) -> None:
    one, two, other = scenes.started(), scenes.started(), scenes.started()
    Saga.objects.filter(pk=one.pk).update(version="1")
    Saga.objects.filter(pk=two.pk).update(version="2")
    Saga.objects.filter(pk=other.pk).update(version="2", name="another")

    assert found(operator, name=scenes.NAME, version="2") == keys(two)
    assert found(operator, name="another", version=" 2 ") == keys(other)
    assert found(operator, version="2") == set()
    assert "Version: choose a definition as well" in pages.text(operator.get(f"{pages.LIST}?version=2"))


def test_filters__another_definition_drops_the_version(operator: Client) -> None:
    scenes.started()

    html = operator.get(f"{pages.LIST}?name={scenes.NAME}&version=2&owner=ines").content.decode()

    assert 'href="?name=order_processing&amp;owner=ines"' in html
    assert 'href="?owner=ines"' in html


def test_filters__failed_step(operator: Client) -> None:
    refused, owing, _fine = scenes.compensated(), scenes.debt(), scenes.completed()
    waiting = scenes.waiting()

    # Both: the payment was declined. `waiting` tries again: that step has not failed.
    assert found(operator, step="charge_payment") == keys(refused, owing)
    # Its undo failed.
    assert found(operator, step="create_order") == keys(owing)
    assert found(operator, step="schedule_shipping") == set()
    assert waiting.steps.get(name="charge_payment").error_code


def test_filters__error_code_owner_and_tag(operator: Client) -> None:
    one = scenes.failed(owner="ines", tags=["vip", "a/b"])
    two = scenes.started(owner="bob", tags=["web"])

    assert found(operator, error="card_declined") == keys(one)
    assert found(operator, error="card") == set()
    assert found(operator, owner="bob") == keys(two)
    assert found(operator, tag="vip") == found(operator, tag="a/b") == keys(one)
    assert found(operator, tag="vi") == found(operator, tag='vip"') == set()
    assert found(operator, owner="  ", tag="", error="") == found(operator, "state=&name=&paused=") == keys(one, two)


def test_filters__time_started(operator: Client) -> None:
    now = timezone.now()
    old, new = scenes.started(), scenes.started()
    aged = first_id(now - timedelta(days=3))
    Saga.objects.bulk_create([_copy(old, aged)])

    assert found(operator, since="24h") == keys(old, new)
    assert found(operator, since="4 d") == {old.pk, new.pk, aged}
    assert found(operator, until="24h") == {aged}
    assert found(operator, since="100h", until="1d") == {aged}
    assert found(operator, since=f"{now + timedelta(days=2):%Y-%m-%d}") == set()
    assert found(operator, until=f"{now - timedelta(days=2):%Y-%m-%d %H:%M}") == {aged}


def _copy(saga: Saga, key: Any) -> Saga:
    return Saga(pk=key, name=saga.name, graph_id=saga.graph_id, wake_at=saga.wake_at)


def test_moment__is_read_in_the_current_zone() -> None:
    with timezone.override("Europe/Berlin"):
        assert criteria.moment("2026-07-01 12:00") == datetime(2026, 7, 1, 10, tzinfo=UTC)
        assert criteria.moment("2026-07-01") == datetime(2026, 6, 30, 22, tzinfo=UTC)
        assert criteria.moment("2026-07-01T12:00:00Z") == datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_time__a_child_counts_as_started_with_its_parent() -> None:
    at = datetime(2026, 7, 1, 10, tzinfo=UTC)
    parent = first_id(at)

    child = child_id(parent, "ship", 1)

    assert first_id(at) <= child < first_id(at + timedelta(milliseconds=1))


WRONG = {
    "state=odd": "state: expected one of started,",
    "state=%00": "state: expected one of started,",
    "attention=1": "needs attention: expected one of yes, no,",
    "stale=%00": "stale: expected one of yes, no",
    "paused=maybe": "paused: expected one of yes, no",
    "since=yesterday": "Started since: expected a time such as 24h",
    "since=2026-02-30": "Started since: expected a time such as 24h",
    "until=1950-01-01": "Started before: expected a time such as 24h",
    "since=99999d": "Started since: expected a time such as 24h",
    "until=0001-01-01T00:00:00%2B14:00": "Started before: expected a time such as 24h",
    "name=%00": "definition: expected a text of at most 100 characters",
    "owner=a%00b": "Owner: expected a text of at most 150 characters",
    f"error={'x' * 101}": "Error code: expected a text of at most 100 characters",
    "tag=%00": "Tag: expected a text of at most 4096 characters",
    "step=%00": "Failed step: expected a text of at most 100 characters",
    "version=1": "Version: choose a definition as well",
}


@pytest.mark.parametrize("query", WRONG, ids=[query[:20] for query in WRONG])
def test_filters__a_wrong_value_is_told_and_nothing_is_shown(query: str, operator: Client) -> None:
    scenes.started(owner="ines")

    response = operator.get(f"{pages.LIST}?{query}")

    assert response.status_code == 200
    text = pages.text(response)
    assert WRONG[query] in text
    assert "Nothing is shown until this is mended or taken off." in text
    assert not response.context["cl"].result_list
    assert "Action:" not in text


def test_filters__those_that_are_set_can_be_taken_off_one_by_one(operator: Client) -> None:
    scenes.debt(owner="ines")

    response = operator.get(f"{pages.LIST}?state=compensating&attention=debt&owner=ines&q=ines")

    html, text = response.content.decode(), pages.text(response)
    assert "state: compensating ✕ needs attention: undo failed ✕ Owner: ines ✕ Clear all filters" in text
    assert 'href="?attention=debt&amp;owner=ines&amp;q=ines" title="Take off: state"' in html
    assert 'href="?attention=debt&amp;q=ines&amp;state=compensating" title="Take off: Owner"' in html
    assert '<input type="hidden" name="attention" value="debt">' in html


def test_filters__an_empty_list_says_what_narrows_it(operator: Client) -> None:
    scenes.started()

    assert "No saga passes these filters." in pages.text(operator.get(f"{pages.LIST}?state=failed"))
    searched = pages.text(operator.get(f"{pages.LIST}?q=nix&state=failed"))
    assert "No saga is found by “nix”." in searched
    assert "The filters above apply as well." in searched


def test_choices__definitions_of_the_code_and_of_sagas(operator: Client) -> None:
    gone = scenes.started()
    Saga.objects.filter(pk=gone.pk).update(name="removed_definition")

    response = operator.get(pages.LIST)

    specs = {spec.parameter_name: spec for spec in response.context["cl"].filter_specs if hasattr(spec, "lookups")}
    names = [name for name, _label in specs["name"].lookup_choices]
    assert names == sorted(names)
    assert {"removed_definition", "order_processing", "admin_short"} <= set(names)
    assert scenes.NAME not in names


def test_reasons__each_hold_can_be_asked_for() -> None:
    assert set(criteria.REASONS) == {hold.value for hold in Hold if hold} | {"deadline"}


def test_search(operator: Client) -> None:
    about, other = User.objects.get(), uuid4()
    one = scenes.started(owner="ines", idempotency_key="order-1", subject=about)
    two = scenes.started(owner="bob")
    three = scenes.started(idempotency_key=str(other))

    def searched(term: str) -> set[Any]:
        return found(operator, q=term)

    assert searched(one.ulid) == searched(f"  {one.ulid.lower()} ") == keys(one)
    assert searched(str(two.pk)) == searched(two.pk.hex) == keys(two)
    assert searched("order-1") == searched("ines") == keys(one)
    assert searched("bob") == keys(two)
    assert (
        searched(str(about.pk)) == searched(f"auth.user:{about.pk}") == searched(f"Auth.User: {about.pk}") == keys(one)
    )
    assert searched(f"orders.order:{about.pk}") == searched(f"no.such:{about.pk}") == set()
    assert searched(str(other)) == keys(three)
    for part in ("order-", "bo", "%", ":", "auth.user:", "x" * 5000):
        assert searched(part) == set(), part
    assert searched(" ") == keys(one, two, three)
    assert "Null characters are not allowed." in pages.told(operator.get(pages.LIST, {"q": "\x00"}))
