"""Parent and children on a saga's page."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from sagas.admin import family
from sagas.models import Saga
from tests.admin import pages, scenes


def test_parent__names_its_child(operator: Client) -> None:
    saga, child = scenes.parent(attention="debt")

    text = pages.text(operator.get(pages.page(saga)))

    assert f"child, of the step ship {child} started undo failed" in text


def test_child__names_its_parent(operator: Client) -> None:
    saga, child = scenes.parent()

    response = operator.get(pages.page(child))

    assert f"parent, by its step ship {saga} started" in pages.text(response)
    assert f'<a href="{pages.page(saga)}">' in response.content.decode()


def test_one_that_is_gone(operator: Client) -> None:
    saga, child = scenes.parent()
    Saga.objects.filter(pk=child.pk).delete()

    text = pages.text(operator.get(pages.page(saga)))

    assert f"child, of the step ship {child.ulid} there is no such saga (any more)" in text


def test_none__no_section_and_no_query(operator: Client) -> None:
    response = operator.get(pages.page(scenes.started()))

    assert "Parent and children" not in pages.text(response)
    assert response.context["family"] is None


def test_many__one_query_and_so_many_names(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "MAX_CHILDREN", 3)
    saga = scenes.opened_out(20)
    few, _child = scenes.parent()
    saga.steps.filter(name__startswith="pack[").update(action="saga:admin_short", attempt=1)
    counts = []

    for one in (few, saga):
        operator.get(pages.page(one))
        with CaptureQueriesContext(connection) as captured:
            response = operator.get(pages.page(one))
        counts.append(len(captured))

    assert counts[0] == counts[1]
    assert len(response.context["family"].relatives) == 3
    assert "And 17 more child sagas: see their steps." in pages.text(response)
