"""The network as an SVG picture: a tree from left to right, a column a hop, each contact behind who introduced them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from uuid import UUID

from services.projector.queries.graph import Edge, Graph, Node
from services.projector.queries.graph_formats import NOT_XML

COLUMN = 200
"""Pixels from one hop to the next: as wide as the longest label that is shown."""
ROW = 26
"""Pixels from one person to the next below."""
MARGIN = 24
_LONGEST = 24
_STYLE = (
    "text{font:12px sans-serif;fill:#222;paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}"
    ".heading{font-size:16px;font-weight:bold}.note{fill:#666}path{fill:none;stroke:#b5b5b5;stroke-width:1.4}"
    ".promised{stroke-dasharray:4 4}.further{stroke:#d8a657}"
    "circle{fill:#dbe9f6;stroke:#4a7ba6}.seeker{fill:#ffd24d;stroke:#a67c00}"
    ".met{fill:#8fc79a;stroke:#3b7a48}.promise{fill:#fff;stroke:#999;stroke-dasharray:3 3}"
)
_LEGEND = (("met", "met"), ("contact", "not met yet"), ("promise", "promised"))
"""Class of a dot, and what it says."""
Places = Mapping[UUID, tuple[float, float]]


def to_svg(graph: Graph) -> Iterator[str]:
    """A picture that runs and loads nothing, piece by piece; labels are escaped and shortened, whole ones stand in the
    titles."""
    below = _tree(graph)
    places = _places(graph.nodes[0].id, below)
    width = max(x for x, _ in places.values()) + COLUMN + MARGIN
    height = max(y for _, y in places.values()) + ROW + MARGIN
    heading = _text(f"Network of {graph.nodes[0].label}")
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">'
        f'<title>{heading}</title><style>{_STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n'
    )
    yield from _head(heading, graph.nodes)
    for edge in graph.edges:
        yield _line(edge, places, of_tree=edge.target in below[edge.source])
    for node in graph.nodes:
        yield _dot(node, places[node.id])
    yield "</svg>\n"


def _head(heading: str, nodes: Iterable[Node]) -> Iterator[str]:
    """Whose it is, and what the dots mean, with how many there are of each."""
    yield f'<g id="head"><text class="heading" x="{MARGIN}" y="{MARGIN + 4}">{heading}</text>\n'
    looks = [_look(node) for node in nodes]
    for number, (look, says) in enumerate(_LEGEND):
        x, y = MARGIN + 6 + number * 120, MARGIN + ROW
        yield f'<circle class="{look}" cx="{x:.0f}" cy="{y}" r="6"/>\n'
        yield f'<text class="note" x="{x + 12:.0f}" y="{y + 4}">{looks.count(look)} {says}</text>\n'
    yield "</g>\n"


def _places(root: UUID, below: Mapping[UUID, list[UUID]]) -> Places:
    """Where each node stands: who leads to nobody has a row of their own, the others the middle of those below."""
    columns = {root: 0}
    order = [root]
    for node in order:
        order += below[node]
        columns |= dict.fromkeys(below[node], columns[node] + 1)
    rows: dict[UUID, float] = {}
    for row, leaf in enumerate(_leaves(root, below)):
        rows[leaf] = row
    for node in reversed(order):
        if below[node]:
            rows[node] = (rows[below[node][0]] + rows[below[node][-1]]) / 2
    top = MARGIN + 3 * ROW
    return {node: (MARGIN + 14 + columns[node] * COLUMN, top + rows[node] * ROW) for node in order}


def _leaves(root: UUID, below: Mapping[UUID, list[UUID]]) -> Iterator[UUID]:
    """Those who lead to nobody, from top to bottom."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        waiting += reversed(below[node])
        if not below[node]:
            yield node


def _tree(graph: Graph) -> dict[UUID, list[UUID]]:
    """One parent each: the first who led there and is nearer the seeker; else the seeker."""
    root, hops = graph.nodes[0].id, {node.id: node.hops for node in graph.nodes}
    parents: dict[UUID, UUID] = {}
    for edge in graph.edges:
        if hops[edge.source] < hops[edge.target]:
            parents.setdefault(edge.target, edge.source)
    below: dict[UUID, list[UUID]] = {node.id: [] for node in graph.nodes}
    for node in graph.nodes[1:]:
        below[parents.get(node.id, root)].append(node.id)
    return below


def _line(edge: Edge, places: Places, *, of_tree: bool) -> str:
    """From who led to who was led to; a further introducer's line has a colour of its own."""
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    look = edge.kind if of_tree else f"{edge.kind} further"
    bend = x2 - COLUMN / 4
    return f'<path class="{look}" d="M{x1:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"/>\n'


def _look(node: Node) -> str:
    return "met" if node.conversations else node.kind


def _dot(node: Node, place: tuple[float, float]) -> str:
    x, y = place
    radius = 10 if node.kind == "seeker" else 7
    short = node.label if len(node.label) <= _LONGEST else node.label[: _LONGEST - 1] + "…"
    return (
        f'<g class="node"><title>{_text(node.label)}</title>'
        f'<circle class="{_look(node)}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'
        f'<text x="{x + radius + 5:.1f}" y="{y + 4:.1f}">{_text(short)}</text></g>\n'
    )


def _text(label: str) -> str:
    """Escaped, without the control characters that XML can't hold."""
    return escape(NOT_XML.sub("", label))
