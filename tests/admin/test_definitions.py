"""The pages about definitions."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from sagas import SagaDefinition, step
from sagas.definitions.registry import registry
from sagas.models import Rollup, Saga, SagaCount, Step
from tests.admin import pages, scenes
from tests.admin.test_overview import count, numbers, plights

LIST = reverse("admin:sagas_definition_changelist")


def page(name: str) -> str:
    return reverse("admin:sagas_definition_change", args=[quote(name)])


def test_list__registered_ones_and_those_with_sagas(operator: Client) -> None:
    scenes.ended()
    scenes.debt()
    count()

    text = pages.text(operator.get(LIST))

    assert "admin_short - 0 0 1 1 0 0 100 %" in text
    assert "admin_locked - 0 0 0 0 0 0 -" in text
    assert re.search(r"admin_order \S+ 1 1 1 0 0 0 -", text)


def test_list__numbers_lead_to_lists(operator: Client) -> None:
    plights()
    scenes.ended()
    count()

    found = numbers(operator.get(LIST))

    assert len(found) > 5
    for url, number in found:
        response = operator.get(url)
        assert response.status_code == 200, url
        if "+" not in number and "version" not in url:
            assert response.context["cl"].result_count >= 1


def test_page__numbers_lead_to_lists_of_as_many(operator: Client) -> None:
    for _ in range(3):
        scenes.ended()
    Saga.objects.start("admin_short", context={"number": "A-1"})
    count()

    found = numbers(operator.get(page("admin_short")))

    assert {number for _url, number in found} >= {"3", "1", "4"}
    for url, number in found:
        response = operator.get(url)
        assert response.status_code == 200, url
        assert str(response.context["cl"].result_count) == number, url


def test_page__versions_success_and_graph(operator: Client) -> None:
    for _ in range(3):
        scenes.ended()
    other = scenes.ended()
    Saga.objects.filter(pk=other.pk).update(version="0")
    undone = Saga.objects.start("admin_short", context={"number": "A-1"})
    undone.cancel(reason="no", actor="ines")
    count()

    response = operator.get(page("admin_short"))
    text, html = pages.text(response), response.content.decode()

    assert "1 in the code 0 3 0 1 0 0 0 1 0 0 0" in text
    assert "Success, 24 hours 80.0 %" in text
    assert "Success, 7 days 80.0 %" in text
    assert 'class="saga-graph"' in html
    assert "admin_tests.undo" in html
    assert "<style" not in html.replace("<style>html[data", "")


def test_page__percentiles(operator: Client) -> None:
    for seconds in (1, 2, 3, 60):
        saga = Saga.objects.start("admin_short", context={"number": "A-1"})
        (claim,) = scenes.claims(saga)
        Step.objects.filter(saga=saga).update(started_at=F("started_at") - timedelta(seconds=seconds))
        scenes.complete(saga, claim)
    count()

    found = re.search(
        r"charge admin_tests\.do admin_tests\.undo ([\d.]+) s ([\d.]+) (s|min) 4",
        pages.text(operator.get(page("admin_short"))),
    )

    assert found
    assert float(found[1]) == pytest.approx(2, rel=0.15)
    assert float(found[2]) == pytest.approx(60, rel=0.15)


def test_page__elements_of_lists_are_one_step__and_old_steps_are_shown(operator: Client) -> None:
    saga = Saga.objects.start("admin_short", context={"number": "A-1"})
    Step.objects.filter(saga=saga).update(name="pack[3]")
    (claim,) = scenes.claims(saga)
    scenes.complete(saga, claim)
    saga.history.exclude(step="").update(step="pack[3]")
    count()

    assert "pack not in today's code" in pages.text(operator.get(page("admin_short")))


def test_page__of_a_definition_that_is_no_more(operator: Client) -> None:
    Saga.objects.filter(pk=scenes.started().pk).update(name="removed/one")
    count()

    text = pages.text(operator.get(page("removed/one")))

    assert "has no definition of this name" in text
    assert operator.get(page("never_was")).status_code == 404


def test_page__steps_that_depend_on_the_context(operator: Client) -> None:
    def steps(context: Any) -> list[Any]:
        return [step("only", action="admin_tests.do", no_compensation="reads only")] * context["number"]

    composed = type("Composed", (SagaDefinition,), {"name": "admin_composed", "steps": staticmethod(steps)})
    try:
        text = pages.text(operator.get(page(composed.name)))
    finally:
        del registry.definitions[composed.name]

    assert "can not be drawn without a saga's context" in text


@pytest.mark.parametrize(
    ("role", "status"), [("staff", 403), ("viewer", 200), ("blind", 403), ("superuser", 200), ("anonymous", 302)]
)
def test_rights(role: str, status: int, client_of: Callable[[str], Client]) -> None:
    client = client_of(role)

    assert client.get(LIST).status_code == status
    assert client.get(page("admin_short")).status_code == status


def test_nothing_can_be_changed(operator: Client) -> None:
    assert operator.get(f"{LIST}add/").status_code == 403
    assert operator.post(f"{LIST}add/", {"hash": "1"}).status_code == 403
    assert operator.post(f"{LIST}admin_short/delete/", {"post": "yes"}).status_code in (302, 403)
    assert operator.get(f"{LIST}admin_short/").status_code == 302


@pytest.mark.parametrize("url", [LIST, page("admin_order")])
def test_queries__as_many_for_many_sagas_as_for_few(url: str, operator: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            assert operator.get(url).status_code == 200
        return len(found)

    plights()
    count()
    queries()
    few = queries()
    for _ in range(3):
        plights()
    SagaCount.objects.bulk_create(
        SagaCount(name=f"other_{number}", version=str(number), state="completed", count=5) for number in range(50)
    )
    SagaCount.objects.bulk_create(
        SagaCount(name="admin_order", version=f"v{number}", state="started", count=5) for number in range(50)
    )
    count()

    assert queries() == few


def test_hostile_names__are_escaped(operator: Client) -> None:
    name = '<script>a"'
    Rollup.objects.create(cursor=0, walked_at=timezone.now(), counted_at=timezone.now())
    SagaCount.objects.create(name=name, version="<script>b", state="started", count=1)

    html = operator.get(LIST).content.decode() + operator.get(page(name)).content.decode()

    assert not re.search(r"<script>[ab]", html)
    assert "&lt;script&gt;b" in html


def test_drawing__hostile_texts_are_escaped(operator: Client) -> None:
    odd = step("<script>alert", action="admin_tests.do", no_compensation="<img src=x>")
    hostile = type("Hostile", (SagaDefinition,), {"name": "admin_hostile", "steps": [odd]})
    try:
        html = operator.get(page(hostile.name)).content.decode()
    finally:
        del registry.definitions[hostile.name]

    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "&lt;script&gt;alert" in html
