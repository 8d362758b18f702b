"""A graph as an SVG picture of its own: no script, no font and nothing else from elsewhere; light or dark as the
viewer is. All text is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from unicodedata import east_asian_width

from ..graph import StepSpec
from .layout import GAP_Y, Layout, Node, lay_out, way
from .palette import DARK, LIGHT, PLAIN, RETURN_DARK, RETURN_LIGHT, Colours, kind_of
from .picture import Fact, Mark, Picture, clean, facts

_MARGIN, _HEAD = 24.0, 52.0
_PAD, _LINE, _NAME = 12.0, 17.0, 26.0
#: Where the text behind the small labels begins.
_INDENT = 42.0
_NARROWEST, _LONGEST = 170.0, 46
#: A bit more than a letter of the widest usual font takes.
_LETTER, _BOLD, _SMALL = 7.2, 8.7, 7.4


def svg(picture: Picture, *, alone: bool = True) -> str:
    """Boxes from top to bottom; a dashed line across marks each point of no return.

    `alone=False`: without background and colours, for a page that has its own for the classes in it.
    """
    sizes = [_size(spec, picture.mark(position)) for position, spec in enumerate(picture.graph.steps)]
    layout = lay_out(sizes, picture.needs)
    head = max(_width(picture.title, 9.5), _width(picture.summary, _LETTER))
    width = 2 * _MARGIN + max(layout.width, head)
    # A line below the last layer needs room too.
    at_end = any(layout.nodes[position].layer == len(layout.bands) - 1 for position in picture.graph.pivots)
    height = 2 * _MARGIN + _HEAD + layout.height + (GAP_Y if at_end else 0)
    shift = (width - 2 * _MARGIN - layout.width) / 2
    page = f'<rect class="page" width="{width:.0f}" height="{height:.0f}"/>'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="saga-graph" role="img" width="{width:.0f}" '
            f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" aria-label="{_text(picture.title)}">',
            *([f"<style>{_style()}</style>", page] if alone else []),
            '<defs><marker id="saga-arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            'orient="auto"><path class="tip" d="M0 0L10 5L0 10z"/></marker></defs>',
            f'<text class="title" x="{_MARGIN:.0f}" y="{_MARGIN + 14:.0f}">{_text(picture.title)}</text>',
            f'<text class="sub" x="{_MARGIN:.0f}" y="{_MARGIN + 34:.0f}">{_text(picture.summary)}</text>',
            *_pivot_lines(picture, layout, width),
            f'<g transform="translate({_MARGIN + shift:.1f} {_MARGIN + _HEAD:.1f})">',
            *(f'<path class="edge" marker-end="url(#saga-arrow)" d="{way(edge, layout)}"/>' for edge in layout.edges),
            *(line for node in layout.nodes for line in _box(picture, node)),
            "</g>",
            "</svg>",
        ]
    )


def _pivot_lines(picture: Picture, layout: Layout, width: float) -> Iterator[str]:
    """Nothing runs beside a pivot, so everything below its layer is behind it."""
    for position in picture.graph.pivots:
        y = _MARGIN + _HEAD + layout.bands[layout.nodes[position].layer][1] + GAP_Y / 2
        yield f'<path class="pivot" d="M{_MARGIN:.1f} {y:.1f}H{width - _MARGIN:.1f}"/>'
        yield f'<text class="return" x="{width - _MARGIN:.1f}" y="{y - 6:.1f}">point of no return</text>'


def _size(spec: StepSpec, mark: Mark | None) -> tuple[float, float]:
    said = facts(spec)
    widths = [_INDENT + _width(_short(fact.text), _LETTER) for fact in said]
    widths.append(_width(_short(spec.name), _BOLD))
    widths += [_width(_short(str(mark)), _SMALL)] if mark else []
    height = _NAME + (_LINE if mark else 0) + _LINE * len(said) + 10
    return max(_NARROWEST, 2 * _PAD + max(widths)), height


def _box(picture: Picture, node: Node) -> Iterator[str]:
    position = node.position or 0
    spec, mark = picture.graph.steps[position], picture.mark(position)
    left, top = node.x - node.width / 2, node.y
    kind = kind_of(mark.status) if mark else PLAIN
    look = f"step {kind}" + (" gate" if spec.gate or spec.when else "") + (" last" if spec.pivot else "")
    yield f'<g class="{look}"><title>{_text(_tale(spec, mark))}</title>'
    yield f'<rect x="{left:.1f}" y="{top:.1f}" width="{node.width:.1f}" height="{node.height:.1f}" rx="7"/>'
    y = top + 19
    yield f'<text class="name" x="{left + _PAD:.1f}" y="{y:.1f}">{_text(_short(spec.name))}</text>'
    if mark:
        y += _LINE
        yield f'<text class="status" x="{left + _PAD:.1f}" y="{y:.1f}">{_text(_short(str(mark)))}</text>'
    for fact in facts(spec):
        y += _LINE
        yield from _line(fact, left + _PAD, y)
    yield "</g>"


def _line(fact: Fact, x: float, y: float) -> Iterator[str]:
    label = "" if fact.label == "note" else fact.label
    if label:
        yield f'<text class="label" x="{x:.1f}" y="{y:.1f}">{label}</text>'
    look = "idle" if fact.idle else fact.label
    yield f'<text class="fact {look}" x="{x + _INDENT:.1f}" y="{y:.1f}">{_text(_short(fact.text))}</text>'


def _tale(spec: StepSpec, mark: Mark | None) -> str:
    """All of it, uncut: shown when the pointer rests on the box."""
    return "\n".join([spec.name, *([str(mark)] if mark else []), *map(str, facts(spec))])


def _width(value: str, letter: float) -> float:
    return sum(letter * (1.7 if east_asian_width(char) in "WF" else 1) for char in value)


def _short(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"


def _text(value: str) -> str:
    """Escaped, and without characters that XML does not have."""
    return escape("\n".join(map(clean, value.split("\n"))))


def _style() -> str:
    fixed = (
        ".saga-graph text{font-family:ui-sans-serif,system-ui,'Segoe UI',Roboto,'Liberation Sans',Arial,sans-serif;"
        "font-size:12px}"
        ".saga-graph .title{font-size:17px;font-weight:600}"
        ".saga-graph .name{font-size:14px;font-weight:600}"
        ".saga-graph .status,.saga-graph .label,.saga-graph .return{font-size:11px}"
        ".saga-graph .status,.saga-graph .return{font-weight:600}"
        ".saga-graph .return{text-anchor:end}"
        ".saga-graph .edge{fill:none;stroke-width:1.4}"
        ".saga-graph .pivot{fill:none;stroke-width:1.6;stroke-dasharray:7 5}"
        ".saga-graph .step rect{stroke-width:1.3}"
        ".saga-graph .gate rect{stroke-dasharray:5 3}"
        ".saga-graph .last rect{stroke-width:3}"
    )
    dark = _theme(
        DARK, page="#14181e", ink="#e8edf3", soft="#9aa7b6", edge="#7f8b9b", undo="#c4a9f2", pivot=RETURN_DARK
    )
    light = _theme(
        LIGHT, page="#fbfcfd", ink="#1b2430", soft="#5b6672", edge="#7a8594", undo="#6b40b0", pivot=RETURN_LIGHT
    )
    return f"{fixed}{light}@media(prefers-color-scheme:dark){{{dark}}}"


def _theme(kinds: Mapping[str, Colours], **ink: str) -> str:
    rules = [
        f".page{{fill:{ink['page']}}}",
        f".title{{fill:{ink['ink']}}}",
        f".sub{{fill:{ink['soft']}}}",
        f".edge{{stroke:{ink['edge']}}}",
        f".tip{{fill:{ink['edge']}}}",
        f".pivot{{stroke:{ink['pivot']}}}",
        f".return{{fill:{ink['pivot']}}}",
    ]
    for kind, colours in kinds.items():
        rules.append(f".{kind} rect{{fill:{colours.fill};stroke:{colours.line}}}")
        rules.append(f".{kind} text{{fill:{colours.ink}}}")
        rules.append(f".{kind} .status{{fill:{colours.accent}}}")
    rules += [f".step .label,.saga-graph .step .idle{{fill:{ink['soft']}}}", f".step .undo{{fill:{ink['undo']}}}"]
    rules.append(f".step.last rect{{stroke:{ink['pivot']}}}")
    return "".join(f".saga-graph {rule}" for rule in rules)
