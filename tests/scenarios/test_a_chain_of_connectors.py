"""S4: from an alumni group from one person to the next; every lead is acted on and reported back."""

from __future__ import annotations

from uuid import UUID

from tests.scenarios.conftest import Open
from tests.scenarios.stage import Stage

TOMAS = UUID(int=0x51)
ANA, BEN, CLEO = UUID(int=0xA1), UUID(int=0xB1), UUID(int=0xC1)
PEOPLE = {ANA: "Ana Reis", BEN: "Ben Falk", CLEO: "Cleo Duarte"}
TALK = {ANA: UUID(int=0x11), BEN: UUID(int=0x12), CLEO: UUID(int=0x13)}
TO_BEN, TO_CLEO, TIP = UUID(int=0xE1), UUID(int=0xE2), UUID(int=0xE3)


async def the_group_introduces_him(story: Stage) -> None:
    """He asks his alumni group; it takes its time, so he is reminded; then it introduces him to Ana."""
    await story.do("seekers/register", TOMAS, {"name": "Tomás Lobo", "time_zone": "Europe/Lisbon", "country": "PT"})
    await story.do("seekers/write-introduction", TOMAS, {"text": "A geographer who wants to plan cities."})
    ana = {"name": PEOPLE[ANA], "source": "alumni_network", "source_detail": "Porto alumni", "seeker_id": TOMAS}
    await story.do("contacts/add", ANA, ana)
    asked = {"connector": "Porto alumni group", "channel": "social_network", "intent": "To learn about city planning"}
    await story.between(TOMAS, ANA, "request-introduction", asked)
    await story.until("2026-05-12 12:00")
    assert await story.told() == [("introduction_nudge", "due", "2026-05-11 10:00")]
    await story.between(TOMAS, ANA, "record-introduction")
    [made] = await story.events("relationship.introduction_made")
    assert (made["data"]["connector"], made["data"]["introduced_by"]) == ("Porto alumni group", [])


async def talks_with(story: Stage, contact: UUID, day: str, minutes: int) -> None:
    """Asked for half an hour of their time; held on `day` at three, for so many minutes."""
    talk = TALK[contact]
    plan = {"seeker_id": TOMAS, "contact_ids": [contact], "purpose": "field", "about": "City planning"}
    await story.do("interviews/plan", talk, plan)
    request = {"channel": "email", "minutes": 30, "intent": "To pick your brain about planning, not to ask for a job"}
    await story.do("interviews/send-request", talk, request)
    await story.do("interviews/accept", talk)
    time = {"starts_at": story.instant(f"{day} 15:00"), "time_zone": "Europe/Lisbon", "minutes": 30, "format": "coffee"}
    await story.do("interviews/schedule", talk, time)
    await story.do("interviews/set-objectives", talk, {"objectives": ["What really happens in the industry"]})
    await story.do("interviews/prepare", talk)
    await story.until(f"{day} 15:{minutes}")
    await story.do("interviews/hold", talk, {"minutes": minutes})
    await story.do("interviews/thank", talk, {"how": "handwritten_note"})


async def each_leads_to_the_next(story: Stage) -> None:
    """Ana promises Ben, Ben names Cleo; each promise that comes true is reported back."""
    await talks_with(story, ANA, "2026-05-19", 29)
    gift = {"seeker_id": TOMAS, "contact_id": ANA, "interview_id": TALK[ANA]}
    promise = {"kind": "promised_introduction", "what": "An introduction to Ben", "person": PEOPLE[BEN]}
    await story.do("leads/record", TO_BEN, gift | promise)
    await story.do("leads/record", TIP, gift | {"kind": "advice", "what": "Walk a plan before you read it"})
    await story.until("2026-05-20 12:00")
    assert await story.told("connect") == [("connect", "due", "2026-05-20 09:00")]
    await story.between(TOMAS, ANA, "connect", {"network": "LinkedIn"})
    await follows_up(story, ANA, BEN, TO_BEN)
    await talks_with(story, BEN, "2026-05-26", 30)
    referral = {"kind": "referral", "what": "Talk to Cleo", "person": PEOPLE[CLEO]}
    await story.do(
        "leads/record", TO_CLEO, {"seeker_id": TOMAS, "contact_id": BEN, "interview_id": TALK[BEN]} | referral
    )
    await story.between(TOMAS, BEN, "connect", {"network": "LinkedIn"})
    await story.do("leads/act-on", TO_CLEO)
    await follows_up(story, BEN, CLEO, TO_CLEO)
    await talks_with(story, CLEO, "2026-06-02", 25)
    held = await story.events("interview.held")
    assert [event["data"]["overran"] for event in held] == [False, False, False]
    assert [event["data"]["introduced_by"] for event in held] == [[], [str(ANA)], [str(BEN), str(ANA)]]


async def follows_up(story: Stage, giver: UUID, person: UUID, lead: UUID) -> None:
    """The lead becomes a contact, and its giver is told."""
    who = {"name": PEOPLE[person], "source": "referral", "seeker_id": TOMAS, "introduced_by": giver}
    await story.do("contacts/add", person, who)
    await story.do("leads/come-to-something", lead, {"new_contact_id": person})
    await story.do("leads/report-back", lead, {"channel": "email", "note": "We are to meet"})


async def thanks_go_up_the_chain(story: Stage) -> None:
    """After Ben, Ana is to be thanked; after Cleo, Ben and, one hop further, Ana again."""
    to: dict[UUID, list[tuple[str, str]]] = {ANA: [], BEN: []}
    await story.until("2026-06-03 12:00")
    for event in await story.events("notification.due"):
        if event["data"]["kind"] == "thank_introducer":
            [contact] = event["data"]["contact_ids"]
            to[UUID(contact)].append((event["data"]["stage"], story.local(event["time"])))
    assert to == {
        ANA: [("due", "2026-05-27 09:00"), ("again", "2026-05-30 09:00"), ("due", "2026-06-03 09:00")],
        BEN: [("due", "2026-06-03 09:00")],
    }
    for connector in to:
        await story.between(TOMAS, connector, "record-touchpoint", {"kind": "thanks", "channel": "phone"})
    await story.until("2026-06-08 12:00")
    assert [told for told in await story.told("thank_introducer") if told[2] > "2026-06-04"] == []


async def every_lead_is_acted_on(story: Stage) -> None:
    """The advice waited longest; it is acted on, came to nothing, and Ana hears of that, too."""
    assert await story.told("act_on_lead") == [
        ("act_on_lead", "due", "2026-05-22 15:29"),
        ("act_on_lead", "week_1", "2026-05-29 15:29"),
        ("act_on_lead", "week_2", "2026-06-05 15:29"),
    ]
    await story.do("leads/act-on", TIP)
    await story.do("leads/come-to-nothing", TIP)
    await story.until("2026-06-12 12:00")
    assert await story.told("report_back") == [("report_back", "due", "2026-06-09 12:00")]
    await story.do("leads/report-back", TIP, {"channel": "phone"})
    board = await story.ask(f"/seekers/{TOMAS}/leads")
    assert {row["state"] for row in board} == {"reported_back"}
    network = await story.ask(f"/seekers/{TOMAS}/network")
    hops = {node["label"]: node["hops"] for node in network["nodes"] if node["kind"] == "contact"}
    assert hops == {"Ana Reis": 1, "Ben Falk": 2, "Cleo Duarte": 3}
    assert [(month["month"], month["total"]) for month in network["growth"]] == [("2026-05", 3)]
    ties = await story.ask(f"/seekers/{TOMAS}/relationships")
    assert {tie["contact"]["name"]: tie["networks"] for tie in ties} == {
        "Ana Reis": ["LinkedIn"],
        "Ben Falk": ["LinkedIn"],
        "Cleo Duarte": [],
    }
    assert [await story.types(lead, "lead") for lead in (TO_BEN, TO_CLEO, TIP)] == [
        ["recorded", "came_to_something", "reported_back"],
        ["recorded", "acted_on", "came_to_something", "reported_back"],
        ["recorded", "acted_on", "came_to_nothing", "reported_back"],
    ]


async def test_a_chain_of_connectors(stage: Open) -> None:
    """Given an alumni group that introduces one person, when each names the next, then no talk overruns, every lead is
    acted on and reported back, and thanks go up the chain, each hop."""
    async with stage("Europe/Lisbon", "2026-05-04 10:00") as story:
        await the_group_introduces_him(story)
        await each_leads_to_the_next(story)
        await thanks_go_up_the_chain(story)
        await every_lead_is_acted_on(story)
        await story.nothing_twice()
