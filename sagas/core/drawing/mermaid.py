"""A graph as a Mermaid flowchart."""

from __future__ import annotations

from ..graph import StepSpec
from .palette import LIGHT, RETURN_LIGHT, kind_of
from .picture import Picture, clean, facts

#: In Mermaid's own spelling of entities; it reads HTML and Markdown in labels.
_ENTITIES = {ord(char): f"#{ord(char)};" for char in '"#&<>`\\'}


def mermaid(picture: Picture) -> str:
    """A node per step: hexagons wait for something, double frames are points of no return."""
    lines = ["---", f"title: {_quoted(picture.title)}", "---", "flowchart TD"]
    lines += [f"    {_node(picture, position)}" for position in range(len(picture.graph.steps))]
    for position, needed in enumerate(picture.needs):
        lines += [f"    s{other} --> s{position}" for other in needed]
    used = sorted({kind_of(mark.status) for mark in picture.marks})
    for kind in used:
        colours = LIGHT[kind]
        lines.append(f"    classDef {kind} fill:{colours.fill},stroke:{colours.line},color:{colours.ink}")
    if picture.graph.pivots:
        lines.append(f"    classDef pivot stroke:{RETURN_LIGHT},stroke-width:4px")
    lines += [f"    class s{position} {kind_of(mark.status)}" for position, mark in enumerate(picture.marks)]
    lines += [f"    class s{position} pivot" for position in picture.graph.pivots]
    return "\n".join(lines)


def _node(picture: Picture, position: int) -> str:
    spec, mark = picture.graph.steps[position], picture.mark(position)
    said = [f"<b>{_escaped(spec.name)}</b>"]
    said += [f"<i>{_escaped(str(mark))}</i>"] if mark else []
    said += [_escaped(str(fact)) for fact in facts(spec)]
    said += ["<b>point of no return</b>"] if spec.pivot else []
    opened, closed = _shape(spec)
    return f's{position}{opened}"{"<br/>".join(said)}"{closed}'


def _shape(spec: StepSpec) -> tuple[str, str]:
    if spec.gate:
        return "{{", "}}"
    return ("[[", "]]") if spec.pivot else ("[", "]")


def _escaped(value: str) -> str:
    return clean(value).translate(_ENTITIES)


def _quoted(value: str) -> str:
    """A YAML text."""
    return "'" + clean(value).replace("'", "''") + "'"
