"""A graph in Graphviz's language."""

from __future__ import annotations

from .palette import LIGHT, PLAIN, kind_of
from .picture import Picture, clean, facts


def dot(picture: Picture) -> str:
    """A node per step: hexagons wait for something, double frames are points of no return."""
    lines = [
        f"digraph {_quoted(picture.title)} {{",
        f"    label={_quoted(picture.title)}; labelloc=t; rankdir=TB;",
        '    node [shape=box, style="rounded,filled", fontname="sans-serif", fontsize=11];',
    ]
    lines += [f"    {_node(picture, position)}" for position in range(len(picture.graph.steps))]
    for position, needed in enumerate(picture.needs):
        lines += [f"    s{other} -> s{position};" for other in needed]
    return "\n".join([*lines, "}"])


def _node(picture: Picture, position: int) -> str:
    spec, mark = picture.graph.steps[position], picture.mark(position)
    said = [spec.name, *([f"[{mark}]"] if mark else []), *map(str, facts(spec))]
    said += ["point of no return"] if spec.pivot else []
    colours = LIGHT[kind_of(mark.status) if mark else PLAIN]
    words = [f"label={_quoted(*said)}", f'fillcolor="{colours.fill}"', f'color="{colours.line}"']
    words += [f'fontcolor="{colours.ink}"']
    words += ["shape=hexagon", 'style="filled"'] if spec.gate else []
    words += ["peripheries=2"] if spec.pivot else []
    return f"s{position} [{', '.join(words)}];"


def _quoted(*lines: str) -> str:
    r"""Lines as one text; `\n` between them is dot's own, what is in them is only text."""
    return '"' + "\\n".join(clean(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines) + '"'
