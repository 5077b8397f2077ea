"""A contact asks to be forgotten: nothing that is about them is left in anything that people or services read.

What is about a contact is what the event models mark so. Every such field of every command is filled with a word of
its own, so that a field that is added and not emptied is found out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from fastapi.routing import APIRoute
from pydantic import ValidationError

from services.projector.queries import create_router
from services.projector.queries.reader import Reader
from services.projector.rebuild.past import OF_SEEKERS
from services.projector.rebuild.rebuild import rebuild
from services.projector.rebuild.work import NAMES
from shared.clock import SystemClock
from shared.domain.catalogue import CATEGORIES, COMMANDS, EVENTS
from shared.domain.identity import relationship_id
from shared.domain.kernel import Command, Event
from shared.domain.personal import personal_fields
from shared.timing.policies import default_policies
from tests.scenarios.conftest import Open
from tests.scenarios.stage import TENANT, Stage

IRIS, OMAR = UUID(int=0x51), UUID(int=0x52)
ANA, RUI = UUID(int=0xC1), UUID(int=0xC2)
COACH = UUID(int=0xCC)
TALK, REFUSED, MISSED, PROMISE, TIP, REFERRAL, DROPPED = (UUID(int=0x11 + n) for n in range(7))
REFERRED = "The one who hung the blue room"
SECRET = "s3cret-" * 6
ABOUT = {"contact", "new_contact"}
ALL = ",".join(f"{category}.*" for category in CATEGORIES)
SHOWN = {
    ("contact.correct_details", "name"),
    ("interview.take_notes", "points"),
    ("lead.record", "what"),
    ("interview.schedule", "place"),
    ("interview.record_research", "company"),
    ("relationship.record_touchpoint", "note"),
    ("interview.cancel", "why"),
    ("lead.come_to_nothing", "why"),
    ("lead.drop", "why"),
    ("contact.correct_details", "employer"),
}
"""Some of what is read before, so that finding none of it afterwards means something."""


def about_a_contact(model: type[Command] | type[Event]) -> set[tuple[str, str]]:
    """The fields of a command or event that tell of a contact, with its type."""
    return {(model.type, name) for name, whom in personal_fields(model).items() if whom in ABOUT}


@dataclass
class Garden:
    """Plants a word of its own in each field that tells of a contact."""

    story: Stage
    words: dict[tuple[str, str], str] = field(default_factory=dict)

    async def do(self, type: str, id: UUID, body: dict[str, Any] | None = None, **more: Any) -> None:
        category, _, verb = type.partition(".")
        planted = self._planted(COMMANDS[type], body or {})
        await self.story.do(f"{category}s/{verb.replace('_', '-')}", id, planted, **more)

    async def between(self, seeker: UUID, verb: str, body: dict[str, Any] | None = None) -> None:
        pair = {"seeker_id": seeker, "contact_id": ANA}
        await self.do(f"relationship.{verb}", relationship_id(seeker, ANA), pair | (body or {}))

    def _planted(self, command: type[Command], body: dict[str, Any]) -> dict[str, Any]:
        for place in sorted(about_a_contact(command)):
            # Digits, since a phone number is nothing else, and long enough to stand nowhere by chance.
            word = self.words.setdefault(place, f"8675309{len(self.words):06d}")
            body = body | {place[1]: _taken(command, body, place[1], word)}
        return body


def _taken(command: type[Command], body: dict[str, Any], name: str, word: str) -> Any:
    """The word in the form that the field takes."""
    for value in (word, [word], f"{word}@contact.example", f"https://contact.example/{word}"):
        try:
            command.model_validate(body | {name: value})
        except ValidationError as error:
            if any(each["loc"][:1] == (name,) for each in error.errors()):
                continue
        return value
    pytest.fail(f"{command.type} takes no word as {name}: plant it otherwise")


async def all_know_ana(garden: Garden) -> None:
    """Two seekers, a coach, and a contact who was promised by another."""
    story = garden.story
    for seeker in (IRIS, OMAR):
        await story.do("seekers/register", seeker, {"name": "A seeker", "time_zone": "Europe/Lisbon"})
    await story.do("seekers/open-calendar-feed", IRIS, {"secret_sha256": sha256(SECRET.encode()).hexdigest()})
    await story.do("programmes/create", COACH, {"title": "Spring"})
    await story.do("programmes/assign-coach", COACH, {"coach_id": COACH})
    await story.do("programmes/enrol-participant", COACH, {"seeker_id": IRIS})
    await story.do("contacts/add", RUI, {"name": "Rui", "source": "cold", "seeker_id": IRIS})
    promise = {"seeker_id": IRIS, "contact_id": RUI, "kind": "promised_introduction"}
    await garden.do("lead.record", PROMISE, promise)
    await garden.do("lead.act_on", PROMISE)
    referral = {"seeker_id": IRIS, "contact_id": RUI, "kind": "referral", "what": REFERRED, "person": REFERRED}
    for lead in (REFERRAL, DROPPED):
        await story.do("leads/record", lead, referral)
    await garden.do("contact.add", ANA, {"source": "referral", "seeker_id": IRIS})
    await garden.between(IRIS, "request_introduction", {"connector_id": RUI})
    await garden.between(IRIS, "decline_introduction")
    await garden.do("lead.come_to_something", PROMISE, {"new_contact_id": ANA})
    match = {"seeker_id": IRIS, "contact_id": ANA}
    await garden.do("programme.propose_match", COACH, match)
    await garden.do("programme.turn_down_match", COACH, match)
    await garden.do("contact.correct_details", ANA)
    await garden.do("contact.ask_not_to_be_contacted", ANA)
    await garden.do("contact.offer_hours", ANA, {"capacity": 20})


async def they_talk(garden: Garden) -> None:
    """A conversation with two people, of which everything is told; one that was declined, one that was missed."""
    story = garden.story
    plan = {"seeker_id": IRIS, "purpose": "field", "about": "Museums"}
    request = {"channel": "email", "minutes": 20, "intent": "To learn how exhibitions are made"}
    await story.do("interviews/plan", REFUSED, plan | {"contact_ids": [ANA], "lead_id": REFERRAL})
    await garden.do("interview.send_request", REFUSED, request)
    await garden.do("interview.decline", REFUSED)
    await garden.do("lead.come_to_nothing", REFERRAL)
    time = {"starts_at": story.instant("2026-03-03 10:00"), "time_zone": "Europe/Lisbon", "format": "coffee"}
    await story.do("interviews/plan", MISSED, plan | {"contact_ids": [RUI, ANA], "lead_id": DROPPED})
    await garden.do("lead.drop", DROPPED)
    await garden.do("interview.send_request", MISSED, request)
    await garden.do("interview.accept", MISSED)
    await garden.do("interview.schedule", MISSED, time)
    await story.until("2026-03-04 10:00")
    await garden.do("interview.miss", MISSED, {"by": "contact"})
    await garden.do("interview.cancel", MISSED, {"by": "contact"})
    await garden.do("interview.drop_out", MISSED, {"contact_ids": [ANA]})
    await story.do("interviews/plan", TALK, plan | {"contact_ids": [RUI, ANA]})
    await garden.do("interview.send_request", TALK, request)
    await garden.do("interview.follow_up", TALK, {"channel": "phone"})
    await garden.do("interview.accept", TALK)
    await garden.do("interview.agree_loosely", TALK)
    await garden.do("interview.schedule", TALK, time | {"starts_at": story.instant("2026-03-09 10:00")})
    later = time | {"starts_at": story.instant("2026-03-10 10:00")}
    await garden.do("interview.reschedule", TALK, later | {"asked_by": "contact"})
    await garden.do("interview.record_research", TALK, {"industry": "Fewer visitors, more members"})
    await story.do("interviews/choose-questions", TALK, {"questions": [{"text": "How did you begin?"}]})
    await story.until("2026-03-10 11:00")
    await garden.do("interview.hold", TALK, {"minutes": 20})
    advice = [{"about": "skills", "text": "Learn to write labels"}]
    await garden.do("interview.take_notes", TALK, {"advice": advice})
    await story.do("interviews/record-reflection", TALK, {"learned": "It is about money, too", "clicked": 4})
    await garden.do("interview.thank", TALK, {"how": "email"})


async def they_keep_in_touch(garden: Garden) -> None:
    """What lies between the two, and what she gave; another seeker knows her as well."""
    tip = {"seeker_id": IRIS, "contact_id": ANA, "kind": "advice", "interview_id": TALK, "what": "Visit on a Monday"}
    await garden.story.do("leads/record", TIP, tip)
    await garden.story.do("leads/act-on", TIP)
    await garden.do("lead.report_back", TIP)
    for seeker in (IRIS, OMAR):
        await garden.between(seeker, "record_touchpoint", {"kind": "progress_update"})
        await garden.between(seeker, "start_keeping_in_touch", {"cadence_days": 30})
    await garden.between(IRIS, "pause")
    await garden.between(IRIS, "resume")
    await garden.between(IRIS, "end")
    assert garden.words.keys() == {place for command in COMMANDS.values() for place in about_a_contact(command)}
    told = {
        (event["type"].removeprefix("kithlog.").rpartition(".")[0], name)
        for event in await garden.story.events(ALL)
        for name, value in event["data"].items()
        if any(word in str(value) for word in garden.words.values())
    }
    assert told == {place for event in EVENTS.values() for place in about_a_contact(event)}


def query_paths() -> list[str]:
    """Of every query about a tenant that there is."""

    def nothing() -> Reader:
        raise AssertionError("only the paths are asked for")

    router = create_router(nothing, clock=SystemClock(), policies=default_policies())
    return [route.path for route in router.routes if isinstance(route, APIRoute)]


async def answers(story: Stage, **moment: Any) -> str:
    """What every query answers about everybody and everything in the story; of the past, at a moment."""
    ties = [relationship_id(IRIS, ANA), relationship_id(OMAR, ANA), relationship_id(IRIS, RUI)]
    known: dict[str, list[Any]] = {
        "tenant": [TENANT],
        "seeker_id": [IRIS, OMAR],
        "contact_id": [ANA, RUI],
        "interview_id": [TALK, REFUSED, MISSED],
        "lead_id": [PROMISE, TIP, REFERRAL, DROPPED],
        "programme_id": [COACH],
        "coach_id": [COACH],
        "notification_id": [event["data"]["dedupe_key"] for event in await story.events("notification.due")],
        "subject_id": [TALK, PROMISE, TIP, *ties],
        "stream_id": [ANA, TALK, REFUSED, MISSED, PROMISE, TIP, REFERRAL, DROPPED, *ties],
        "secret": [SECRET],
        "model": list(OF_SEEKERS),
    }
    found = []
    for path in query_paths():
        names = re.findall(r"{(\w+)}", path)
        for values in product(*(known[name] for name in names)):
            at = path.format(**dict(zip(names, values, strict=True))).removeprefix(f"/v1/tenants/{TENANT}")
            answer = await story.look(at, **(moment if "/past" in path else {}))
            found.append(answer.text.replace("\r\n ", ""))
    return "\n".join(found)


def left(words: dict[tuple[str, str], str], *texts: str) -> list[tuple[str, str]]:
    """The fields of which something is left."""
    return sorted(place for place, word in words.items() if any(word in text for text in texts))


async def test_nothing_is_left_of_a_forgotten_contact(stage: Open, database_url: str) -> None:
    """Given a contact of whom everything was told that can be, and read models that were rebuilt once, when she is
    forgotten, then no row, no answer, now or of the past, and no later notification tells any of it; nor after
    another rebuild; and what the seeker learned, and that it happened, stays."""
    policies = default_policies()
    async with stage("Europe/Lisbon", "2026-03-02 09:00") as story:
        garden = Garden(story)
        await all_know_ana(garden)
        await they_talk(garden)
        await they_keep_in_touch(garden)
        assert (await rebuild(database_url, policies, NAMES)).switched
        before, moment = await answers(story), {"as_of": story.position}
        assert set(left(garden.words, before)) >= SHOWN
        assert set(left(garden.words, await story.stored())) >= SHOWN
        garden.words["lead.record", "of whom they planned to talk to"] = REFERRED
        assert REFERRED in before

        await story.do("contacts/forget", ANA)
        forgotten = story.position
        assert left(garden.words, await story.stored()) == []
        assert left(garden.words, await answers(story), await answers(story, **moment)) == []
        # Also of a moment at which it was not known yet that what was promised leads to her.
        [led] = await story.events("lead.came_to_something")
        assert left(garden.words, await answers(story, as_of=int(led["position"]) - 1)) == []
        touch = {"seeker_id": IRIS, "contact_id": ANA, "kind": "other", "note": "She has moved"}
        tie = relationship_id(IRIS, ANA)
        await story.refused("relationships/record-touchpoint", tie, touch, "contact_forgotten")
        await story.until("2026-09-01 09:00")
        later = [event for event in await story.events(ALL) if int(event["position"]) > forgotten]
        assert {event["data"]["kind"] for event in later if "notification.due" in event["type"]}
        assert left(garden.words, str(later)) == []

        assert (await rebuild(database_url, policies, NAMES)).switched
        assert left(garden.words, await story.stored()) == []
        after = await answers(story)
        assert left(garden.words, after) == []
        for kept in ("Learn to write labels", "It is about money, too", "How did you begin?", "Visit on a Monday"):
            assert kept in after
        assert (await story.ask(f"/interviews/{TALK}"))["status"] == "thanked"
