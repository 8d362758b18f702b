"""A saga's graph for its page: where boxes, lines and elements stand. The template makes the SVG of it, so that all
text is escaped there; colours are the admin's own, and every colour has a sign and a word beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from unicodedata import east_asian_width

from django.utils.translation import gettext, ngettext

from ..core.drawing.layout import GAP_Y, Layout, Node, lay_out, way
from ..core.drawing.palette import kind_of
from ..core.drawing.picture import Picture
from ..core.graph import Graph, StepSpec
from ..core.states import StepStatus
from ..models import Step
from . import words
from .cells import page_of

#: A sign for each status: colour is never the only one.
SIGNS: Mapping[str, str] = {
    StepStatus.PENDING: "·",
    StepStatus.RUNNING: "»",
    StepStatus.WAITING: "…",
    StepStatus.COMPLETED: "✓",
    StepStatus.FAILED: "✗",
    StepStatus.UNKNOWN: "?",
    StepStatus.SKIPPED: "-",
    StepStatus.CANCELLED: "-",
    StepStatus.COMPENSATING: "«",
    StepStatus.COMPENSATED: "←",
    StepStatus.COMPENSATION_FAILED: "!",
    StepStatus.COMPENSATION_SKIPPED: "-",
}
#: What a person looks for first among hundreds of elements.
_FIRST = (
    StepStatus.COMPENSATION_FAILED, StepStatus.UNKNOWN, StepStatus.FAILED, StepStatus.WAITING, StepStatus.RUNNING,
    StepStatus.COMPENSATING,
)  # fmt: skip
#: Elements drawn in one box, and in one of its rows; wider boxes for more.
MAX_CELLS, _ROW = 240, 12
_CELL = 15.0
#: Letters of a name that a box has room for; the rest is in its title.
_LONGEST = 26
_LETTER, _LINE, _TOP, _PAD = 6.9, 16.0, 20.0, 10.0
_BOLD = {"name": 8.2, "status": 7.7, "note": 7.2}
_NARROWEST, _MARGIN = 132.0, 10.0
#: Wider than this it is drawn from top to bottom on wide screens too.
_WIDEST = 1080.0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text in a box."""

    text: str
    x: str
    y: str
    look: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One element of a list, as a small square."""

    sign: str
    look: str
    x: str
    y: str
    text_x: str
    text_y: str
    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Box:
    """One step."""

    #: The classes of its look.
    look: str
    x: str
    y: str
    width: str
    height: str
    lines: list[Line]
    #: All of it in words.
    title: str
    url: str
    cells: list[Cell]
    #: The child saga's page.
    child: str = ""
    child_line: Line | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """One SVG."""

    #: "across" for wide screens, "down" for all.
    name: str
    width: str
    height: str
    edges: list[str]
    boxes: list[Box]
    #: Where the points of no return are.
    pivots: list[str]
    offset: str = f"translate({_MARGIN:.0f} {_MARGIN:.0f})"


@dataclass(frozen=True, slots=True)
class Plate:
    """What is written in one box."""

    step: Step
    lines: list[tuple[str, str]]
    title: str
    elements: list[Step] = field(default_factory=list)
    pivot: bool = False
    child: str = ""

    @property
    def row(self) -> int:
        """Elements side by side."""
        return _ROW if len(self.shown) <= 5 * _ROW else 2 * _ROW

    @property
    def shown(self) -> list[Step]:
        """The elements that are drawn: what needs somebody comes first when they are too many."""
        return self.elements if len(self.elements) <= MAX_CELLS else by_need(self.elements)[:MAX_CELLS]

    @property
    def size(self) -> tuple[float, float]:
        """In pixels."""
        count, row = len(self.shown), self.row
        widest = max((_width(text, _BOLD.get(look, _LETTER)) for text, look in self.lines), default=0.0)
        cells = min(count, row) * _CELL
        height = _TOP + _LINE * (len(self.lines) - 1) + (_LINE if self.child else 0) + 12
        if count:
            height += -(-count // row) * _CELL + 4
        return max(_NARROWEST, 2 * _PAD + max(widest, cells)), height


def by_need(steps: Iterable[Step]) -> list[Step]:
    """What needs somebody first, then in their order."""
    rank = {status.value: place for place, status in enumerate(_FIRST)}

    def need(step: Step) -> tuple[bool, bool, int, int]:
        return not step.hold, not (step.doubt or step.error_code), rank.get(step.status, len(rank)), step.position

    return sorted(steps, key=need)


def drawings(
    graph: Graph | None, steps: Sequence[Step], links: Mapping[int, str], children: Mapping[int, str]
) -> list[Drawing]:
    """From top to bottom for narrow screens and, where it is not too wide, from left to right for wide ones; nothing
    of a saga that can not be read. `links`: where each step's row is; `children`: the pages of its child sagas."""
    if graph is None or not graph.steps or [step.position for step in steps] != list(range(len(graph.steps))):
        return []
    drawn = [position for position, spec in enumerate(graph.steps) if spec.element_of < 0]
    places = {position: place for place, position in enumerate(drawn)}
    needs = Picture("", graph).needs
    lines = [_needs(position, needs, graph, places) for position in drawn]
    plates = [_plate(graph, steps, position, children) for position in drawn]
    down = _draw(plates, lines, links, across=False)
    across = _draw(plates, lines, links, across=True)
    return [across, down] if float(across.width) <= _WIDEST else [down]


def _needs(position: int, needs: Sequence[Sequence[int]], graph: Graph, places: Mapping[int, int]) -> list[int]:
    """What is above a box; elements are inside the box that joins them, which stands behind what they wait for."""
    direct = set(needs[position])
    if graph.steps[position].joins:
        direct = set(graph.steps[position].depends_on)
    return sorted(places[other] for other in direct if other in places)


def _plate(graph: Graph, steps: Sequence[Step], position: int, children: Mapping[int, str]) -> Plate:
    spec, step = graph.steps[position], steps[position]
    elements = [steps[place] for place in spec.joins if place < len(steps)]
    word = words.status_words(step.status)
    if elements and step.status == StepStatus.PENDING:
        word = gettext("waits for its elements")
    lines = [(f"{position + 1}. {step.name}", "name"), (f"{sign_of(step)} {word}".strip(), "status")]
    notes = _notes(step)
    lines += [(", ".join(notes), "note")] if notes else []
    lines += [(text, "count") for text in counted(elements)]
    lines.append((_undo(spec, step), "undo"))
    if spec.pivot:
        lines.append((gettext("point of no return"), "return"))
    lines += [(gettext("waits for %(what)s") % {"what": spec.wait_for}, "fact")] if spec.wait_for else []
    title = "\n".join(text for text, _ in lines)
    child = children.get(position, "")
    short = [(text if look == "count" else _short(text), look) for text, look in lines]
    return Plate(step, short, title, elements, spec.pivot, child)


def _notes(step: Step) -> list[str]:
    found = [words.hold_words(step.hold)] if step.hold else []
    found += [words.wait_words(step.waits)] if step.waits and step.waits != step.hold else []
    found += [gettext("in doubt")] if step.doubt and step.status != StepStatus.UNKNOWN else []
    return found + ([gettext("round %(round)d") % {"round": step.round}] if step.round > 1 else [])


def _undo(spec: StepSpec, step: Step) -> str:
    if step.is_child:
        return gettext("undo: its child saga")
    if not step.compensation:
        return gettext("nothing to undo")
    return gettext("undo: %(name)s") % {"name": step.compensation}


def counted(elements: Sequence[Step]) -> list[str]:
    """ "300 elements", and "280 completed", "20 failed", "3 in doubt" …"""
    if not elements:
        return []
    counts = Counter(words.status_words(step.status) for step in elements)
    told = [f"{count} {status}" for status, count in counts.most_common()]
    doubts = sum(step.doubt and step.status != StepStatus.UNKNOWN for step in elements)
    told += [f"{doubts} {gettext('in doubt')}"] if doubts else []
    text = ngettext("%(count)d element", "%(count)d elements", len(elements)) % {"count": len(elements)}
    lines = [", ".join(told[start : start + 3]) for start in range(0, len(told), 3)]
    drawn = gettext("%(all)s, %(count)d of them drawn") % {"all": text, "count": MAX_CELLS}
    return [drawn if len(elements) > MAX_CELLS else text, *lines]


def _draw(
    plates: Sequence[Plate], needs: Sequence[Sequence[int]], links: Mapping[int, str], *, across: bool
) -> Drawing:
    sizes = [plate.size for plate in plates]
    layout = lay_out([(height, width) if across else (width, height) for width, height in sizes], needs)
    boxes = [
        _box(plate, *_corner(node, across=across), links) for plate, node in zip(plates, layout.nodes, strict=True)
    ]
    pivots = [
        _pivot(layout, node, across=across) for plate, node in zip(plates, layout.nodes, strict=True) if plate.pivot
    ]
    breadth = layout.width + 2 * _MARGIN
    length = layout.height + 2 * _MARGIN + (GAP_Y if pivots else 0)
    width, height = (length, breadth) if across else (breadth, length)
    edges = [way(edge, layout, across=across) for edge in layout.edges]
    return Drawing("across" if across else "down", f"{width:.0f}", f"{height:.0f}", edges, boxes, pivots)


def _corner(node: Node, *, across: bool) -> tuple[float, float, float, float]:
    """Left, top, width and height."""
    if across:
        return node.y, node.x - node.width / 2, node.height, node.width
    return node.x - node.width / 2, node.y, node.width, node.height


def _box(plate: Plate, left: float, top: float, width: float, height: float, links: Mapping[int, str]) -> Box:
    step, y = plate.step, top + _TOP
    lines = []
    for text, look in plate.lines:
        lines.append(Line(text, f"{left + _PAD:.1f}", f"{y:.1f}", look))
        y += _LINE
    child_line = None
    if plate.child:
        child_line = Line(gettext("open its child saga"), f"{left + _PAD:.1f}", f"{y:.1f}", "child")
        y += _LINE
    cells = [
        _cell(one, left + _PAD + place % plate.row * _CELL, y - 8 + place // plate.row * _CELL, links)
        for place, one in enumerate(plate.shown)
    ]
    return Box(
        look=f"{look_of(step)}{' saga-pivot' if plate.pivot else ''}",
        x=f"{left:.1f}",
        y=f"{top:.1f}",
        width=f"{width:.1f}",
        height=f"{height:.1f}",
        lines=lines,
        title=plate.title,
        url=links.get(step.position, ""),
        cells=cells,
        child=plate.child,
        child_line=child_line,
    )


def sign_of(step: Step) -> str:
    """The sign of its status; what may have had an effect bears a question mark whatever it is."""
    return SIGNS[StepStatus.UNKNOWN] if step.doubt else SIGNS.get(step.status, "")


def look_of(step: Step) -> str:
    """The class of a step's colours."""
    if step.doubt and not step.hold and step.status == StepStatus.PENDING:
        return "saga-kind-waits"
    if step.hold or step.status == StepStatus.COMPENSATION_FAILED:
        return "saga-kind-bad"
    try:
        return f"saga-kind-{kind_of(StepStatus(step.status))}"
    except ValueError:
        return "saga-kind-plain"


def _cell(step: Step, x: float, y: float, links: Mapping[int, str]) -> Cell:
    title = f"{step.name}: {', '.join([words.status_words(step.status), *_notes(step)])}"
    text = (f"{x + 6.5:.1f}", f"{y + 10.5:.1f}")
    return Cell(sign_of(step), look_of(step), f"{x:.1f}", f"{y:.1f}", *text, title, links.get(step.position, ""))


def _pivot(layout: Layout, node: Node, *, across: bool) -> str:
    """Nothing runs beside a pivot, so everything behind its layer is behind it."""
    at = layout.bands[node.layer][1] + GAP_Y / 2
    return f"M{at:.1f} 0V{layout.width:.1f}" if across else f"M0 {at:.1f}H{layout.width:.1f}"


def _width(value: str, letter: float) -> float:
    return sum(letter * (1.7 if east_asian_width(char) in "WF" else 1) for char in value)


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"


def child_pages(steps: Iterable[Step]) -> dict[int, str]:
    """The pages of the child sagas that steps have started, by position."""
    return {step.position: page_of(step.child_id) for step in steps if step.child_id}
