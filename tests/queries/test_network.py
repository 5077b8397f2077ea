"""The network: graph, growth, and what other programs and eyes make of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as Xml

import pytest

from services.projector.models import NETWORK, SEEKERS
from services.projector.models.network import NodeRow
from services.projector.queries.answering import People, Person
from services.projector.queries.graph import Graph, graph_of
from services.projector.queries.graph_formats import to_dot, to_graphml
from services.projector.queries.graph_picture import to_svg
from services.projector.queries.reader import Found, Page, Reader
from shared.domain import contact, lead
from shared.domain.kernel import On
from shared.operations import turns
from tests.domain.scenario import ANA, BEN, CLEO, HELD, LEAD, REGISTERED, SEEKER, on
from tests.models.history import happened, row
from tests.queries.conftest import MINE, Library, serving
from tests.turns import with_turns

DORA = UUID(int=0xD0)
AT = datetime(2026, 11, 1, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"
GRAPHML = "{http://graphml.graphdrawing.org/xmlns}"


def added(id: UUID, name: str, *chain: UUID) -> On:
    event = contact.Added(name=name, source="referral", seeker_id=SEEKER, introduced_by=chain)
    return on("contact", id, event)


PROMISE = lead.Recorded(seeker_id=SEEKER, contact_id=ANA, kind="promised_introduction", what="To Dora", person="Dora")
STORY = happened(
    REGISTERED,
    added(ANA, "Ana"),
    HELD,
    added(BEN, "Ben", ANA),
    added(CLEO, 'Cleo "C" <Dias>', BEN, ANA),
    PROMISE,
)


def node(id: UUID, *introducers: UUID, at: datetime = AT) -> NodeRow:
    return NodeRow(SEEKER, id, at, introducers=introducers)


async def graph(*contacts: NodeRow, **names: str) -> Graph:
    people = People({row.contact_id: Person(row.contact_id, "Somebody", None, None) for row in contacts})
    return await graph_of(SEEKER, names.get("seeker", "Mona"), contacts, (), people)


async def test_the_network_of_one_conversation(library: Library) -> None:
    """Given Ana, who led to Ben, who led to Cleo, and promised Dora, then the graph says who led to whom."""
    position = await library.fold(STORY)
    answer = await library.get(f"{MINE}/network")
    assert answer["position"] == position
    found = answer["item"]
    nodes = {each["label"]: each for each in found["nodes"]}
    assert [(each["label"], each["kind"], each["hops"]) for each in found["nodes"]] == [
        ("Mona Quist", "seeker", 0),
        ("Ana", "contact", 1),
        ("Ben", "contact", 2),
        ('Cleo "C" <Dias>', "contact", 3),
        ("Dora", "promise", 2),
    ]
    assert nodes["Ana"]["conversations"] == 1
    ids = {each["id"]: each["label"] for each in found["nodes"]}
    assert [(ids[each["source"]], each["kind"], ids[each["target"]]) for each in found["edges"]] == [
        ("Mona Quist", "knows", "Ana"),
        ("Ana", "introduced", "Ben"),
        ("Ben", "introduced", 'Cleo "C" <Dias>'),
        ("Ana", "promised", "Dora"),
    ]
    assert found["growth"] == [{"month": "2026-11", "joined": 3, "total": 3}]
    assert found["complete"] is True
    assert nodes["Dora"]["id"] == str(LEAD)


async def test_the_promise_of_a_contact_of_the_tenant_is_in_the_network(library: Library) -> None:
    """Given a contact whom no seeker brought in, when they promise an introduction, then they and whom they promised
    are in the network, and the promise leads from the one to the other."""
    ana = contact.Added(name="Ana", source="programme_directory")
    await library.fold(happened(REGISTERED, on("contact", ANA, ana), PROMISE))
    found = (await library.get(f"{MINE}/network"))["item"]
    assert [(each["label"], each["kind"], each["hops"]) for each in found["nodes"]] == [
        ("Mona Quist", "seeker", 0),
        ("Ana", "contact", 1),
        ("Dora", "promise", 2),
    ]
    assert [each["kind"] for each in found["edges"]] == ["knows", "promised"]


async def test_other_programs_read_the_network(library: Library) -> None:
    """Given a network with a difficult name, then GraphML and DOT hold every node and edge, and the name as it is."""
    await library.fold(STORY)
    response = await library.text(f"{MINE}/network.graphml")
    root = Xml.fromstring(response.text)
    declared = {key.get("id") for key in root.iter(f"{GRAPHML}key")}
    used = {data.get("key") for data in root.iter(f"{GRAPHML}data")}
    assert used <= declared
    labels = [each.text for each in root.iter(f"{GRAPHML}data") if each.get("key") == "label"]
    assert labels == ["Mona Quist", "Ana", "Ben", 'Cleo "C" <Dias>', "Dora"]
    nodes = {each.get("id") for each in root.iter(f"{GRAPHML}node")}
    edges = list(root.iter(f"{GRAPHML}edge"))
    assert len(edges) == 4
    assert all({each.get("source"), each.get("target")} <= nodes for each in edges)
    dot = (await library.text(f"{MINE}/network.dot")).text
    assert r'[label="Cleo \"C\" <Dias>", shape=box, style=rounded]' in dot
    assert dot.count("->") == 4


async def test_the_picture_shows_everybody(library: Library) -> None:
    """Given a network, then the picture is well-formed, shows each name and line, and may load nothing."""
    await library.fold(STORY)
    response = await library.text(f"{MINE}/network.svg")
    assert response.headers["Content-Type"].startswith("image/svg+xml")
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    root = Xml.fromstring(response.text)
    assert [text for text, *_ in shown(root)] == ["Mona Quist", "Ana", "Ben", 'Cleo "C" <Dias>', "Dora"]
    assert len(list(root.iter(f"{SVG}path"))) == 4
    [head] = [each for each in root.iter(f"{SVG}g") if each.get("id") == "head"]
    assert [each.text for each in head.iter(f"{SVG}text")] == [
        "Network of Mona Quist", "1 met", "2 not met yet", "1 promised",
    ]  # fmt: skip


async def test_nobody_lies_on_anybody_in_the_picture() -> None:
    """Given a hub with forty contacts behind it, then all are inside the picture, and no dot or label hides another."""
    crowd = [node(ANA), *(node(UUID(int=0x1000 + number), ANA) for number in range(40)), node(BEN), node(CLEO, BEN)]
    root = Xml.fromstring("".join(to_svg(await graph(*crowd))))
    people = shown(root)
    assert len(people) == len(crowd) + 1
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    assert (root.get("viewBox") or "").split() == ["0", "0", root.get("width"), root.get("height")]
    for at, (label, x, y) in enumerate(people):
        assert 0 < x < x + letters(label) < width
        assert 20 < y < height - 10
        # Whoever is in the same line begins where this label has ended.
        assert all(abs(y - b) > 15 or abs(x - a) > letters(label) for _, a, b in people[at + 1 :])


def shown(root: Xml.Element) -> list[tuple[str, float, float]]:
    """Of each person in the picture the label, and where its dot is."""
    people = [each for each in root.iter(f"{SVG}g") if each.get("class") == "node"]
    return [
        (text.text or "", float(dot.get("cx", "")), float(dot.get("cy", "")))
        for each in people
        for dot, text in zip(each.iter(f"{SVG}circle"), each.iter(f"{SVG}text"), strict=True)
    ]


def letters(label: str) -> float:
    """Pixels that a label takes at most, its dot and the gap between them included."""
    return 15 + 7.5 * len(label)


async def test_people_who_introduced_each_other_are_drawn_all_the_same() -> None:
    """Given two who are said to have introduced each other, then both are in the graph and the picture."""
    found = await graph(node(ANA, BEN), node(BEN, ANA), node(CLEO, BEN))
    assert [each.hops for each in found.nodes] == [0, 1, 2, 3]
    picture = "".join(to_svg(found))
    assert len(shown(Xml.fromstring(picture))) == 4
    assert "further" in picture


async def test_an_introducer_from_elsewhere_is_no_edge() -> None:
    """Given an introducer whom this seeker does not know, then the contact hangs on the seeker."""
    found = await graph(node(ANA, DORA))
    assert [(each.source, each.kind) for each in found.edges] == [(SEEKER, "knows")]


async def test_a_network_without_anybody_is_a_seeker() -> None:
    """Given nobody yet, then the graph, its formats and its picture are those of one person."""
    alone = await graph()
    assert len(alone.nodes) == 1
    assert Xml.fromstring("".join(to_svg(alone))) is not None
    assert "->" not in "".join(to_dot(alone))
    assert Xml.fromstring("".join(to_graphml(alone))) is not None


async def test_characters_that_pictures_can_not_hold_are_left_out() -> None:
    """Given a name with control characters, then GraphML and SVG are well-formed XML."""
    named = await graph(seeker="Mo\x01na\u3000\x0b & <Co>")
    assert [text for text, *_ in shown(Xml.fromstring("".join(to_svg(named))))] == ["Mona\u3000 & <Co>"]
    assert "Mona\u3000 &amp; &lt;Co&gt;" in "".join(to_graphml(named))


async def test_growth_month_by_month() -> None:
    """Given people who joined in two months, then each month tells how many came and how many there were."""
    found = await graph(
        node(ANA),
        node(BEN, at=datetime(2026, 12, 31, 23, tzinfo=UTC)),
        node(CLEO, at=datetime(2026, 12, 1, tzinfo=UTC)),
    )
    assert [(each.month, each.joined, each.total) for each in found.growth] == [("2026-11", 1, 1), ("2026-12", 2, 3)]


class ManyKnown(Reader):
    """Answers at once: a seeker who knows so many, and nothing else."""

    def __init__(self, count: int) -> None:
        self.seeker = SEEKERS.encode(row(SEEKERS, happened(REGISTERED)))
        self.contacts = [NETWORK.encode(node(UUID(int=number + 1))) for number in range(count)]

    async def get(self, *args: Any) -> Found:
        return Found(1, self.seeker)

    async def page(self, model: str, *args: Any, **more: Any) -> Page:
        return Page(1, self.contacts if model == NETWORK.name else [], None, [])

    async def rows(self, *args: Any) -> dict[str, str]:
        return {}


@pytest.mark.parametrize(("format", "steps"), [("", 2), (".graphml", 4), (".dot", 4), (".svg", 4)])
async def test_a_large_network_leaves_others_their_turns(
    monkeypatch: pytest.MonkeyPatch, format: str, steps: int
) -> None:
    """Given many contacts, then other tasks have their turns while they are decoded, while the graph is made of them,
    and while each node and edge is written."""
    monkeypatch.setattr(turns, "AT_ONCE", 1)
    reader = ManyKnown(500)
    async with serving(lambda: reader) as client:
        answer, had = await with_turns(client.get(f"{MINE}/network{format}"))
    assert answer.status_code == 200
    assert had >= steps * 500
