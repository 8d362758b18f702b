"""The drawing on a saga's page: every state with sign and word, elements of lists, links, and that it stays small."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from sagas import step
from sagas.admin import drawing, rows
from sagas.core.states import StepStatus
from sagas.models import Saga
from tests.admin import pages, scenes


def drawn(client: Client, saga: Saga, query: str = "") -> list[Any]:
    found: list[Any] = client.get(pages.page(saga) + query).context["drawings"]
    return found


def boxes(client: Client, saga: Saga, query: str = "") -> dict[str, Any]:
    """Of the drawing for all screens, by the step's name."""
    down = drawn(client, saga, query)[-1]
    return {box.lines[0].text.partition(" ")[2]: box for box in down.boxes}


def said(box: Any) -> list[str]:
    return [line.text for line in box.lines[1:]]


def test_signs__every_status_has_one() -> None:
    assert set(drawing.SIGNS) == set(StepStatus)
    assert all(drawing.SIGNS.values())


@pytest.mark.parametrize(
    ("plight", "name", "look", "words"),
    [
        ("completed", "create_order", "done", ["✓ completed", "undo: admin_tests.undo"]),
        ("completed", "validate_address", "done", ["✓ completed", "nothing to undo"]),
        ("running", "charge_payment", "busy", ["» running", "undo: admin_tests.undo"]),
        ("waiting", "charge_payment", "waits", ["? pending", "in doubt", "undo: admin_tests.undo"]),
        ("awaiting_signal", "payment", "waits", ["… waiting", "waits for the signal", "nothing to undo"]),
        ("failed", "charge_payment", "bad", ["✗ failed", "undo: admin_tests.undo"]),
        ("unrecorded", "create_order", "bad", ["? unknown", "result not recorded", "undo: admin_tests.undo"]),
        ("debt", "create_order", "bad", ["! compensation failed", "undo failed", "undo: admin_tests.undo"]),
        ("debt", "reserve_inventory", "undone", ["← compensated", "undo: admin_tests.undo"]),
        ("debt", "schedule_shipping", "passed_by", ["- cancelled", "undo: admin_tests.undo"]),
    ],
)
def test_box__says_in_words_what_its_colour_says(
    plight: str, name: str, look: str, words: list[str], operator: Client
) -> None:
    box = boxes(operator, scenes.PLIGHTS[plight]())[name]

    assert box.look == f"saga-kind-{look}"
    assert said(box)[: len(words)] == words
    assert all(text in box.title for text in words)


def test_boxes__lead_to_their_rows(operator: Client) -> None:
    saga = scenes.completed()

    html = operator.get(pages.page(saga)).content.decode()

    for position in range(5):
        assert html.count(f'href="#step-{position}"') == 2  # across and down
        assert html.count(f'id="step-{position}"') == 1


def test_pivot__is_marked_and_has_a_line_behind_it(operator: Client) -> None:
    simple = {"action": "admin_tests.do", "compensation": "admin_tests.undo"}
    saga = scenes.start(steps=[step("a", **simple), step("b", pivot=True, **simple), step("c", **simple)])

    for one in drawn(operator, saga):
        assert len(one.pivots) == 1
        assert [("saga-pivot" in box.look, "point of no return" in said(box)) for box in one.boxes] == [
            (False, False),
            (True, True),
            (False, False),
        ]


def test_child__its_page_is_linked(operator: Client) -> None:
    saga, child = scenes.parent()

    found = boxes(operator, saga)

    assert found["ship"].child == pages.page(child)
    assert said(found["ship"])[-1] == "undo: its child saga"
    assert (found["pay"].child, found["pay"].child_line) == ("", None)
    assert (
        f'<a href="{pages.page(child)}"><text class="saga-line-child"'
        in operator.get(pages.page(saga)).content.decode()
    )


def test_one_beside_the_other__drawn_across_only_where_there_is_room(operator: Client) -> None:
    long = [step(f"step_{i}", action="admin_tests.do", no_compensation="reads") for i in range(12)]

    short, wide = drawn(operator, scenes.start()), drawn(operator, scenes.start(steps=long))

    assert [one.name for one in short] == ["across", "down"]
    assert float(short[0].width) > float(short[0].height)
    assert [one.name for one in wide] == ["down"]


def test_coordinates__are_no_numbers_of_a_language(operator: Client, settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"
    settings.USE_THOUSAND_SEPARATOR = True
    long = [step(f"step_{i}", action="admin_tests.do", no_compensation="reads") for i in range(30)]

    html = operator.get(pages.page(scenes.start(steps=long))).content.decode()

    svg = html[html.index("saga-graph-inline") :]
    svg = svg[: svg.index("</svg>")]
    values = re.findall(r'\b(?:x|y|width|height|viewBox|d|rx)="([^"]*)"', svg)
    assert len(values) > 100
    assert max(float(value) for value in re.findall(r'\sy="([^"]*)"', svg)) > 1000
    assert not [value for value in values if "," in value]


def test_accessible__title_description_and_a_name_for_each_box(operator: Client) -> None:
    html = operator.get(pages.page(scenes.debt())).content.decode()

    text = "5 steps of admin_order: 1 compensation failed, 1 compensated, 1 completed, 1 failed, 1 cancelled"
    assert html.count(f">{text}</desc>") == 2
    for name in ("across", "down"):
        assert f'aria-labelledby="saga-drawing-title-{name} saga-drawing-desc-{name}"' in html
        assert f'<title id="saga-drawing-title-{name}">' in html


@pytest.mark.parametrize("plight", ["no steps", "no graph", "torn"])
def test_nothing_to_draw__the_page_is_shown(plight: str, operator: Client) -> None:
    saga = scenes.start(steps=[]) if plight == "no steps" else scenes.started()
    if plight == "no graph":
        Saga.objects.filter(pk=saga.pk).update(graph_id="0" * 64)
    if plight == "torn":
        saga.steps.filter(position=4).update(position=77)

    response = operator.get(pages.page(saga))

    assert response.status_code == 200
    assert response.context["drawings"] == []


# -- hundreds of elements ---------------------------------------------------------------------------------------------


def test_elements__are_squares_in_the_box_that_joins_them(operator: Client) -> None:
    saga = scenes.opened_out(30, doubtful=1, done=5)

    found = boxes(operator, saga)

    assert list(found) == ["first", "pack", "last"]
    assert said(found["pack"])[:4] == [
        "· waits for its elements",
        "30 elements",
        "25 pending, 5 completed" if not _running(saga) else f"{_running(saga)} running, 5 completed, 1 pending",
        "1 in doubt",
    ]
    cells = found["pack"].cells
    assert [cell.sign for cell in cells[:7]] == ["?", "✓", "✓", "✓", "✓", "✓", "»"]
    assert cells[0].title == "pack[0]: pending, in doubt"
    assert len({(cell.x, cell.y) for cell in cells}) == 30


def _running(saga: Saga) -> int:
    return saga.steps.filter(status=StepStatus.RUNNING).count()


def test_elements__too_many_to_draw__those_that_need_somebody_are_drawn(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "MAX_CELLS", 10)
    saga = scenes.opened_out(40)
    saga.steps.filter(name="pack[33]").update(hold="debt")
    saga.steps.filter(name="pack[38]").update(status="failed")

    box = boxes(operator, saga)["pack"]

    assert "40 elements, 10 of them drawn" in said(box)
    assert [cell.title for cell in box.cells][:2] == ["pack[33]: running, undo failed", "pack[38]: failed"]
    assert len(box.cells) == 10


def test_elements__a_page_of_rows__those_that_need_somebody_first(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ELEMENTS", 10)
    saga = scenes.opened_out(35, done=3)
    saga.steps.filter(name="pack[33]").update(hold="debt")

    seen: list[str] = []
    for query in ("", "?elements=2", "?elements=3", "?elements=4"):
        response = operator.get(pages.page(saga) + query)
        names = [view.step.name for view in response.context["steps"]]
        assert names[:3] == ["first", "pack", "last"]
        seen += names[3:]
        assert ("Next elements" in pages.text(response)) is (query != "?elements=4")
        assert ("Previous elements" in pages.text(response)) is bool(query)
    assert seen[0] == "pack[33]"
    assert sorted(seen) == sorted(f"pack[{i}]" for i in range(35))


def test_elements__a_square_leads_to_the_page_with_its_row(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ELEMENTS", 5)
    saga = scenes.opened_out(20)
    cells = boxes(operator, saga)["pack"].cells

    assert cells[0].url == "#step-3"
    assert cells[17].url == "?step=20#step-20"
    assert 'id="step-20"' in operator.get(pages.page(saga) + cells[17].url).content.decode()


@pytest.mark.parametrize(
    "query",
    ["?elements=0", "?elements=-1", "?elements=999", "?elements=x", "?step=9999", "?step=²", "?step=", "?step=1"],
)
def test_elements__odd_addresses(query: str, operator: Client) -> None:
    saga = scenes.opened_out(30)

    response = operator.get(pages.page(saga) + query)

    assert response.status_code == 200
    assert len(response.context["steps"]) > 3


def test_queries__do_not_grow_with_the_elements(operator: Client) -> None:
    def queries(saga: Saga) -> int:
        operator.get(pages.page(saga))
        with CaptureQueriesContext(connection) as captured:
            operator.get(pages.page(saga))
        return len(captured)

    assert queries(scenes.opened_out(2)) == queries(scenes.opened_out(90))


def test_size__of_a_page_with_a_thousand_elements(operator: Client) -> None:
    saga = scenes.opened_out(100)
    big = {"text": "x" * 5000}
    saga.steps.update(output=big)

    with CaptureQueriesContext(connection) as captured:
        html = operator.get(pages.page(saga)).content.decode()

    payloads = [query["sql"] for query in captured if '"sagas_step"."output"' in query["sql"]]
    assert len(payloads) == 1, "payloads are read for the rows that are shown, and once"
    assert html.count("x" * 5000) == 3 + rows.ELEMENTS
