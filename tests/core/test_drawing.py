"""Graphs drawn for people: everything that matters is in every format, and no text breaks out of it."""

import re
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagas.core.drawing import FORMATS, Mark, Picture
from sagas.core.drawing.layout import GAP_X, Layout, lay_out
from sagas.core.drawing.picture import facts, marks_of
from sagas.core.graph import CODE, Graph, Policy
from sagas.core.rows import fresh_steps
from sagas.core.states import Hold, StepStatus, Wait

from .build import diamond, gate, line, side_by_side, spec

NASTY = "<script>alert(\"1\")</script> & 'x' \\n \x1b[31m \x00 ]]> {}|`#; \n é 注"
GATED = Graph(
    [
        spec("create"),
        spec("check", 0, when="total > 100", no_compensation="reads only"),
        gate("paid", 1, wait_for="payment_confirmed", wait_timeout=3600, on_timeout="attention"),
        spec("approve", 2, approval=True, approvers="shop.approve", approve_undo=2),
        spec("capture", 3, pivot=True, no_compensation="final", probe="payment.find", at_most_once=True),
        spec("ship", 4, delay=1800, no_compensation="final", pause_after=True),
        spec("mail", 4, until=CODE, no_compensation="final", atomic=True),
    ]
)
SAID = [
    "do.create", "undo.create", "total > 100", "reads only", "for the signal payment_confirmed", "1 h, then attention",
    "for approval by shop.approve", "undo.approve, once two approve", "point of no return", "payment.find",
    "at most once", "30 min", "pauses after it", "until a function&#x27;s time", "atomic",
]  # fmt: skip


def plain(text: str) -> str:
    """Without what the formats do to `>`."""
    return text.replace("&gt;", ">").replace("#62;", ">")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format__says_everything(form: str) -> None:
    text = plain(FORMATS[form](Picture("place_order 3", GATED)))

    assert "place_order 3" in text
    for said in SAID:
        assert said in text or said.replace("&#x27;", "'") in text, said


@pytest.mark.parametrize("form", FORMATS)
def test_every_format__has_the_statuses(form: str) -> None:
    graph = diamond()
    steps = fresh_steps(graph)
    steps[0].status = StepStatus.COMPLETED
    steps[1].status, steps[1].waits, steps[1].round = StepStatus.WAITING, Wait.ANSWER, 2
    steps[2].status, steps[2].hold = StepStatus.UNKNOWN, Hold.AT_MOST_ONCE
    steps[3].doubt = True

    text = FORMATS[form](Picture("x", graph, marks_of(steps)))

    for said in ("completed", "waiting (answer, round 2)", "unknown (at_most_once)", "pending (in doubt)"):
        assert said in text


@pytest.mark.parametrize("form", FORMATS)
def test_every_format__keeps_text_inside(form: str) -> None:
    graph = Graph([spec(NASTY, no_compensation=NASTY, when=NASTY, wait_for=NASTY)])

    text = FORMATS[form](Picture(NASTY, graph, [Mark(StepStatus.PENDING, NASTY)]))

    assert not {"\x1b", "\x00"} & set(text)
    if form == "svg":
        assert "script" not in {element.tag.split("}")[1] for element in ElementTree.fromstring(text).iter()}
    if form == "mermaid":  # one line per node, and no quote or HTML of others inside it
        assert "<script>" not in text.partition("flowchart")[2]  # the title before is shown as text
        (node,) = [found for found in text.splitlines() if found.startswith("    s0")]
        assert node.count('"') == 2
    if form == "dot":
        (node,) = [found for found in text.splitlines() if found.startswith("    s0")]
        outside = re.sub(r'"(\\.|[^"\\])*"', "", node)
        assert set(re.findall(r"\w+", outside)) == {
            "s0",
            "label",
            "fillcolor",
            "color",
            "fontcolor",
            "shape",
            "style",
            "hexagon",
        }


def test_text__as_a_person_reads_it() -> None:
    assert FORMATS["text"](Picture("pay 1", Graph(GATED.steps[:2], Policy(serial_undo=True)))) == (
        "pay 1\n2 steps, undone one by one\n\n"
        "1. create\n   do     do.create\n   undo   undo.create\n\n"
        "2. check\n   after  create\n   when   total > 100\n   do     do.check\n   undo   nothing: reads only"
    )


def test_needs__leave_out_what_follows_from_others() -> None:
    graph = Graph([spec("a"), spec("b", 0), spec("c", 0, 1)])

    assert Picture("x", graph).needs == ((), (0,), (1,))
    assert "s0 --> s2" not in FORMATS["mermaid"](Picture("x", graph))


def test_svg__is_one_picture_for_light_and_dark_and_needs_nothing_else() -> None:
    text = FORMATS["svg"](Picture("x", GATED))

    assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme:dark" in text
    assert not re.findall(r"(?:href|src|@import|url\((?!#))", text.replace("http://www.w3.org/2000/svg", ""))


def test_svg__is_the_same_every_time() -> None:
    assert FORMATS["svg"](Picture("x", GATED)) == FORMATS["svg"](Picture("x", Graph(GATED.steps)))


@pytest.mark.parametrize("graph", [Graph([]), line(1), side_by_side(6), Graph([spec(str(n)) for n in range(100)])])
@pytest.mark.parametrize("form", FORMATS)
def test_every_format__bears_every_size(form: str, graph: Graph) -> None:
    assert "x 1" in FORMATS[form](Picture("x 1", graph))


def test_facts__of_a_step_for_each_element() -> None:
    packed = spec("pack", for_each="items", max_items=9)

    assert [str(fact) for fact in facts(packed)] == ["each of items, at most 9", "do do.pack", "undo undo.pack"]


def test_text__of_a_step_that_was_opened_out() -> None:
    opened = Graph([spec("cart"), spec("pack", 0, for_each="items")]).opened_out(1, 2)

    text = FORMATS["text"](Picture("x", opened))

    assert "   after  pack[0], pack[1]\n   undo   nothing: its elements are undone" in text
    assert "4. pack[1]\n   after  cart\n   do     do.pack" in text


def test_facts__of_a_plain_step() -> None:
    assert [str(fact) for fact in facts(spec("a", delay=90.5))] == ["wait 90.5 s", "do do.a", "undo undo.a"]


@st.composite
def graphs(draw: Any) -> list[list[int]]:
    """For each box those above it."""
    count = draw(st.integers(1, 14))
    return [draw(st.lists(st.integers(0, n - 1), unique=True, max_size=4)) if n else [] for n in range(count)]


@given(graphs(), st.data())
def test_layout__boxes_never_meet_and_edges_go_down(needs: list[list[int]], data: st.DataObject) -> None:
    sizes = [(data.draw(st.integers(20, 300)), data.draw(st.integers(20, 120))) for _ in needs]

    layout = lay_out(sizes, needs)

    _keeps_apart(layout)
    for lower, needed in enumerate(needs):
        for upper in needed:
            assert layout.nodes[upper].y + layout.nodes[upper].height < layout.nodes[lower].y
    assert sum(map(len, needs)) == len(layout.edges)
    for node in layout.nodes:
        assert -1e-6 <= node.x - node.width / 2
        assert node.x + node.width / 2 <= layout.width + 1e-6
        assert node.y + node.height <= layout.height


def _keeps_apart(layout: Layout) -> None:
    for one, other in combinations(layout.nodes, 2):
        if one.layer == other.layer:
            assert abs(one.x - other.x) >= (one.width + other.width) / 2 + GAP_X - 1e-6


def test_layout__a_line_is_straight_and_a_diamond_symmetric() -> None:
    straight = lay_out([(100, 20)] * 4, [[], [0], [1], [2]])
    diamond_ = lay_out([(100, 20)] * 4, [[], [0], [0], [1, 2]])

    assert {node.x for node in straight.nodes} == {50.0}
    assert diamond_.nodes[0].x == pytest.approx(diamond_.nodes[3].x)
    assert diamond_.nodes[1].x + diamond_.nodes[2].x == pytest.approx(2 * diamond_.nodes[0].x)


def test_layout__does_without_crossings_where_it_can() -> None:
    # Written crosswise: the third and fourth need the second and first.
    layout = lay_out([(50, 20)] * 4, [[], [], [1], [0]])

    assert (layout.nodes[0].x < layout.nodes[1].x) == (layout.nodes[3].x < layout.nodes[2].x)
