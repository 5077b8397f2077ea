"""The network for other programs to read and draw: GraphML and DOT, each piece by piece."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as Xml

from services.projector.queries.graph import Graph, Node

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KEYS = {
    "label": ("node", "string"),
    "kind": ("node", "string"),
    "joined_at": ("node", "string"),
    "source": ("node", "string"),
    "hops": ("node", "int"),
    "conversations": ("node", "int"),
    "relation": ("edge", "string"),
}
_SHAPES = {
    "seeker": "shape=doublecircle, style=filled, fillcolor=gold",
    "contact": "shape=box, style=rounded",
    "promise": "shape=box, style=dashed",
}


def to_graphml(graph: Graph) -> Iterator[str]:
    """GraphML 1.0 in UTF-8, as yEd, Gephi and networkx read it. Characters that XML can't hold are left out."""
    yield '<?xml version="1.0" encoding="utf-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    for name, (target, kind) in _KEYS.items():
        yield _xml(Xml.Element("key", {"id": name, "for": target, "attr.name": name, "attr.type": kind}))
    yield '<graph id="network" edgedefault="directed">'
    for node in graph.nodes:
        element = Xml.Element("node", id=str(node.id))
        for name, value in _facts(node).items():
            if value is not None:
                Xml.SubElement(element, "data", key=name).text = NOT_XML.sub("", str(value))
        yield _xml(element)
    for number, edge in enumerate(graph.edges):
        element = Xml.Element("edge", id=f"e{number}", source=str(edge.source), target=str(edge.target))
        Xml.SubElement(element, "data", key="relation").text = edge.kind
        yield _xml(element)
    yield "</graph></graphml>"


def _xml(element: Xml.Element) -> str:
    return Xml.tostring(element, encoding="unicode")


def _facts(node: Node) -> dict[str, object]:
    return {
        "label": node.label,
        "kind": node.kind,
        "joined_at": None if node.joined_at is None else node.joined_at.isoformat(),
        "source": node.source,
        "hops": node.hops,
        "conversations": node.conversations,
    }


def to_dot(graph: Graph) -> Iterator[str]:
    """Graphviz."""
    yield "digraph network {\n  rankdir=LR;\n"
    for node in graph.nodes:
        yield f'  "{node.id}" [label={_quoted(node.label)}, {_SHAPES[node.kind]}];\n'
    for edge in graph.edges:
        dashed = ", style=dashed" if edge.kind == "promised" else ""
        yield f'  "{edge.source}" -> "{edge.target}" [label={_quoted(edge.kind)}{dashed}];\n'
    yield "}\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").replace("\r", " ")
    return f'"{escaped}"'
