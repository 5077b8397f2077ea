"""The network as an SVG picture: rings of hops around the seeker, each contact beside who introduced them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import cos, pi, sin
from uuid import UUID

from services.projector.queries.graph import Edge, Graph, Node

RING = 130
"""Pixels from one ring to the next, at least."""
ELBOW_ROOM = 34
"""Pixels along a ring that one node wants, at least."""
_LONGEST = 22
_STYLE = (
    "text{font:12px sans-serif;fill:#222}line{stroke:#999}.promised{stroke-dasharray:4 4}"
    "circle{fill:#dbe9f6;stroke:#4a7ba6}.seeker{fill:#ffd24d;stroke:#a67c00}"
    ".met{fill:#8fc79a;stroke:#3b7a48}.promise{fill:#fff;stroke:#999;stroke-dasharray:4 4}"
)


def to_svg(graph: Graph) -> str:
    """A picture that runs and loads nothing; labels are escaped and shortened, whole ones stand in the titles."""
    places, reach = _places(graph)
    size = 2 * reach + 2 * RING
    middle = size / 2
    shapes = [_line(edge, places, middle) for edge in graph.edges]
    shapes += [_dot(node, places[node.id], middle) for node in graph.nodes]
    heading = _text(f"Network of {graph.nodes[0].label}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size:.0f} {size:.0f}" role="img">'
        f"<title>{heading}</title><style>{_STYLE}</style>\n" + "\n".join(shapes) + "\n</svg>\n"
    )


def _places(graph: Graph) -> tuple[dict[UUID, tuple[float, float]], float]:
    """Where each node stands, the seeker at (0, 0), and how far out the outermost is.

    Each node owns a sector of its parent's, as wide as it has leaves below it.
    """
    root = graph.nodes[0].id
    below = _tree(graph)
    order = _from_the_root(root, below)
    leaves: dict[UUID, int] = {}
    for node in reversed(order):
        leaves[node] = max(1, sum(leaves[child] for child in below[node]))
    ring = max(float(RING), leaves[root] * ELBOW_ROOM / (2 * pi))
    sectors = {root: (0.0, 2 * pi)}
    depth = {root: 0}
    places = {root: (0.0, 0.0)}
    for node in order:
        start, end = sectors[node]
        for child in below[node]:
            width = (end - start) * leaves[child] / leaves[node]
            sectors[child] = (start, start + width)
            start += width
            depth[child] = depth[node] + 1
            angle, radius = sum(sectors[child]) / 2, depth[child] * ring
            places[child] = (radius * cos(angle), radius * sin(angle))
    return places, max(depth.values()) * ring


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


def _from_the_root(root: UUID, below: dict[UUID, list[UUID]]) -> Sequence[UUID]:
    order = [root]
    for node in order:
        order += below[node]
    return order


def _line(edge: Edge, places: dict[UUID, tuple[float, float]], middle: float) -> str:
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    return (
        f'<line class="{edge.kind}" x1="{x1 + middle:.1f}" y1="{y1 + middle:.1f}" '
        f'x2="{x2 + middle:.1f}" y2="{y2 + middle:.1f}"/>'
    )


def _dot(node: Node, place: tuple[float, float], middle: float) -> str:
    x, y = place[0] + middle, place[1] + middle
    look = "met" if node.conversations else node.kind
    radius = 14 if node.kind == "seeker" else 9
    short = node.label if len(node.label) <= _LONGEST else node.label[: _LONGEST - 1] + "…"
    return (
        f'<circle class="{look}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{_text(node.label)}</title></circle>'
        f'<text x="{x:.1f}" y="{y + radius + 13:.1f}" text-anchor="middle">{_text(short)}</text>'
    )


def _text(label: str) -> str:
    """Escaped, without the control characters that XML can't hold."""
    return escape("".join(each for each in label if each.isprintable()))
