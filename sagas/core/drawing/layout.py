"""A small layered layout, from top to bottom: layers by the longest way, few crossings, straight lines where possible.

Long edges pass through invisible nodes, one in each layer between. In each layer the order is worked out by the means
of neighbours (Sugiyama); then each node is put as near to the mean of its neighbours as its layer's order lets it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

#: Between two nodes of a layer, and between two layers.
GAP_X, GAP_Y = 28.0, 40.0
#: How wide the way of a long edge is.
_WAY = 12.0
_SWEEPS = 8


@dataclass(slots=True)
class Node:
    """A box, or (without a position) a place where a long edge passes a layer."""

    width: float
    height: float
    layer: int
    position: int | None = None
    above: list[int] = field(default_factory=list)
    below: list[int] = field(default_factory=list)
    #: Its middle, and its upper edge.
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is; the upper left corner is at 0, 0."""

    width: float
    height: float
    #: By the step's position.
    nodes: tuple[Node, ...]
    #: For each edge the nodes that it passes, from its first to its last.
    edges: tuple[tuple[Node, ...], ...]
    #: Upper and lower edge of each layer.
    bands: tuple[tuple[float, float], ...]


def lay_out(sizes: Sequence[tuple[float, float]], needs: Sequence[Sequence[int]]) -> Layout:
    """Place boxes of these sizes; `needs`: for each the boxes that are above it."""
    layers = _layers(needs)
    nodes = [Node(*size, layer, position) for position, (size, layer) in enumerate(zip(sizes, layers, strict=True))]
    paths = [_path(nodes, upper, lower) for lower, needed in enumerate(needs) for upper in needed]
    rows = _rows(nodes)
    _order(nodes, rows)
    _place(nodes, rows)
    bands = _bands(nodes, rows)
    left = min((node.x - node.width / 2 for node in nodes), default=0.0)
    for node in nodes:
        node.x -= left
        node.y = bands[node.layer][0]
    width = max((node.x + node.width / 2 for node in nodes), default=0.0)
    height = bands[-1][1] if bands else 0.0
    edges = tuple(tuple(nodes[index] for index in path) for path in paths)
    return Layout(width, height, tuple(nodes[: len(sizes)]), edges, bands)


def _layers(needs: Sequence[Sequence[int]]) -> list[int]:
    """The longest way from a box that needs nothing. Boxes need not be in the order of their needs."""
    found: dict[int, int] = {}
    while len(found) < len(needs):
        for position, needed in enumerate(needs):
            if position not in found and all(other in found for other in needed):
                found[position] = 1 + max((found[other] for other in needed), default=-1)
    return [found[position] for position in range(len(needs))]


def _path(nodes: list[Node], upper: int, lower: int) -> list[int]:
    """The nodes of one edge, with new ones in the layers between."""
    path = [upper]
    for layer in range(nodes[upper].layer + 1, nodes[lower].layer):
        nodes.append(Node(_WAY, 0.0, layer))
        path.append(len(nodes) - 1)
    path.append(lower)
    for first, second in pairwise(path):
        nodes[first].below.append(second)
        nodes[second].above.append(first)
    return path


def _rows(nodes: Sequence[Node]) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in range(1 + max((node.layer for node in nodes), default=-1))]
    for index, node in enumerate(nodes):
        rows[node.layer].append(index)
    return rows


def _order(nodes: Sequence[Node], rows: list[list[int]]) -> None:
    """Order each layer by the means of its neighbours' places, downwards and upwards; the best order seen stays."""
    best, fewest = [list(row) for row in rows], _crossings(nodes, rows)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        place = {index: float(at) for row in rows for at, index in enumerate(row)}
        for row in rows if down else reversed(rows):
            means = {index: _mean(place, nodes[index].above if down else nodes[index].below, index) for index in row}
            row.sort(key=means.__getitem__)
            place.update({index: float(at) for at, index in enumerate(row)})
        crossings = _crossings(nodes, rows)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    rows[:] = best


def _mean(place: dict[int, float], neighbours: Sequence[int], index: int) -> float:
    if not neighbours:
        return place[index]
    return sum(place[other] for other in neighbours) / len(neighbours)


def _crossings(nodes: Sequence[Node], rows: Sequence[Sequence[int]]) -> int:
    """How many pairs of edges cross: inversions, counted layer by layer."""
    place = {index: at for row in rows for at, index in enumerate(row)}
    found = 0
    for row in rows:
        seen: list[int] = []
        for index in row:
            ends = sorted(place[other] for other in nodes[index].below)
            found += sum(1 for end in ends for other in seen if other > end)
            seen += ends
    return found


def _place(nodes: Sequence[Node], rows: Sequence[Sequence[int]]) -> None:
    """Left to right: near to the neighbours, above and below in turn, and to both at last."""
    for row in rows:
        _settle(nodes, row, [0.0] * len(row))
    for sweep in range(_SWEEPS + 1):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            both = sweep >= _SWEEPS - 1
            _settle(nodes, row, [_wish(nodes, nodes[index], down=down or both, up=both or not down) for index in row])


def _wish(nodes: Sequence[Node], node: Node, *, down: bool, up: bool) -> float:
    near = [*(node.above if down else ()), *(node.below if up else ())]
    return sum(nodes[index].x for index in near) / len(near) if near else node.x


def _settle(nodes: Sequence[Node], row: Sequence[int], wishes: Sequence[float]) -> None:
    """The places nearest to the wishes (least squares) that keep order and gaps: neighbours that would overlap are
    pooled and share their mean."""
    offsets, offset = [], 0.0
    for at, index in enumerate(row):
        if at:
            offset += (nodes[row[at - 1]].width + nodes[index].width) / 2 + GAP_X
        offsets.append(offset)
    pools: list[tuple[float, int]] = []
    for wish, offset in zip(wishes, offsets, strict=True):
        mean, count = wish - offset, 1
        while pools and pools[-1][0] > mean:
            other, size = pools.pop()
            mean, count = (mean * count + other * size) / (count + size), count + size
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    for index, mean, offset in zip(row, means, offsets, strict=True):
        nodes[index].x = mean + offset


def _bands(nodes: Sequence[Node], rows: Sequence[Sequence[int]]) -> tuple[tuple[float, float], ...]:
    found, top = [], 0.0
    for row in rows:
        bottom = top + max(nodes[index].height for index in row)
        found.append((top, bottom))
        top = bottom + GAP_Y
    return tuple(found)


def way(edge: tuple[Node, ...], layout: Layout, *, across: bool = False) -> str:
    """An edge as the path of an SVG: straight through the layers, bent between them. `across`: the layers stand side by
    side, from left to right; the sizes were given with width and height exchanged."""

    def at(x: float, y: float) -> str:
        return f"{y:.1f} {x:.1f}" if across else f"{x:.1f} {y:.1f}"

    first, last = edge[0], edge[-1]
    x, y = first.x, layout.bands[first.layer][1]
    parts = [f"M{at(x, first.y + first.height)}L{at(x, y)}"]
    for node in edge[1:]:
        top, bottom = layout.bands[node.layer]
        middle = (y + top) / 2
        parts.append(f"C{at(x, middle)} {at(node.x, middle)} {at(node.x, top)}")
        x, y = node.x, bottom
        if node is not last:
            parts.append(f"L{at(x, bottom)}")
    return "".join(parts)
