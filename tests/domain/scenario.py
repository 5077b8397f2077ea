"""given / when / then for deciders, with fixed ids and times."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.domain import contact, interview, seeker
from shared.domain.identity import relationship_id
from shared.domain.kernel import Command, Event, On, Refusal, Stream
from tests.synthetic.world import World

SEEKER, OTHER_SEEKER = UUID(int=0x5EE1), UUID(int=0x5EE2)
ANA, BEN, CLEO = UUID(int=0xA1), UUID(int=0xB2), UUID(int=0xC3)
INTERVIEW, OTHER_INTERVIEW = UUID(int=0x1E1), UUID(int=0x1E2)
LEAD = UUID(int=0x1EAD)
PROGRAMME, COACH = UUID(int=0xBB), UUID(int=0xC0AC)
NOW = datetime(2026, 11, 17, 9, 0, tzinfo=UTC)

_DEFAULT = {
    "seeker": SEEKER,
    "contact": ANA,
    "interview": INTERVIEW,
    "lead": LEAD,
    "programme": PROGRAMME,
    "relationship": relationship_id(SEEKER, ANA),
}

REGISTERED = seeker.Registered(name="Mona Quist", stage="graduate", time_zone="Europe/Lisbon", country="PT")
ADDED = contact.Added(name="Ana Reis", source="alumni_network")
WHOSE = {"seeker_id": SEEKER, "contact_ids": (ANA,)}
PLANNED = interview.Planned(**WHOSE, purpose="field", about="Marketing")
REQUESTED = interview.RequestSent(**WHOSE, channel="email", minutes=20, intent="I want to learn about your field.")
ASKED = contact.Asked(seeker_id=SEEKER, interview_id=INTERVIEW, month="2026-11")
ACCEPTED = interview.Accepted(**WHOSE)
STARTS_AT = datetime(2026, 11, 17, 8, 0, tzinfo=UTC)
SCHEDULED = interview.Scheduled(
    **WHOSE, starts_at=STARTS_AT, time_zone="Europe/Lisbon", minutes=30, format="coffee", place="Café Nobre"
)
HELD = interview.Held(**WHOSE, format="coffee", minutes=30)
PEOPLE = (REGISTERED, ADDED)
"""A seeker and a contact, known to the tenant."""


def stream_of(event: Event) -> Stream:
    """The stream that an event of these tests is on, unless told otherwise."""
    category = event.type.partition(".")[0]
    if category == "relationship":
        return Stream(category, relationship_id(event.seeker_id, event.contact_id))  # type: ignore[attr-defined]
    return Stream(category, _DEFAULT[category])


def on(category: str, id: UUID, event: Event) -> On:
    return On(Stream(category, id), event)


class Given:
    def __init__(self, world: World) -> None:
        self.world = world

    def when(self, command: Command, *, id: UUID | None = None, at: datetime = NOW, now: datetime = NOW) -> Outcome:
        """The command, sent to the category's usual stream unless told otherwise."""
        stream = Stream(command.category, id or _DEFAULT[command.category])
        try:
            return Outcome(stream, self.world.judge(stream, command, at, now), None)
        except Refusal as refusal:
            return Outcome(stream, [], refusal)


class Outcome:
    def __init__(self, stream: Stream, events: list[On], refusal: Refusal | None) -> None:
        self.stream, self.events, self.refusal = stream, events, refusal

    def then(self, *expected: Event | On) -> None:
        """Exactly these events follow, in this order."""
        if self.refusal:
            pytest.fail(f"refused: {self.refusal}; {self.refusal.remedy}")
        wanted = [each if isinstance(each, On) else On(self.stream, each) for each in expected]
        assert self.events == wanted

    def refused(self, code: str, *, field: str | None = None) -> Refusal:
        """Nothing follows, for this reason."""
        assert self.refusal is not None, f"accepted: {self.events}"
        assert self.refusal.code == code
        if field is not None:
            assert self.refusal.field == field
        assert self.refusal.remedy
        assert "{" not in self.refusal.remedy
        return self.refusal


def given(*history: Event | On) -> Given:
    """What has happened, each event on its usual stream unless wrapped by `on`."""
    world = World()
    world.record(each if isinstance(each, On) else On(stream_of(each), each) for each in history)
    return Given(world)
