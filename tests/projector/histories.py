"""Histories as the log would hold them: made up from a seed, several seekers' lives shuffled into each other."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.codec import encode
from shared.domain import contact, interview, lead, programme, relationship, seeker
from shared.domain.identity import relationship_id
from shared.domain.kernel import Event, Stream
from shared.envelope import Recorded
from shared.log import Append, Pending

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
TENANT = "acme"
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Sydney")


@dataclass(frozen=True)
class Happening:
    """An event on its way into a history."""

    stream: Stream
    event: Event
    at: datetime
    tenant: str = TENANT


def on(category: str, id: UUID, event: Event, at: datetime = START) -> Happening:
    return Happening(Stream(category, id), event, at)


def recorded(happenings: Sequence[Happening]) -> list[Recorded[bytes]]:
    """As the log would hold them: positions from 1, each recorded when it happened."""
    versions: dict[tuple[str, UUID], int] = {}
    events = []
    for position, each in enumerate(happenings, start=1):
        key = (each.tenant, each.stream.id)
        versions[key] = versions.get(key, 0) + 1
        id = UUID(int=position << 64)
        events.append(
            Recorded(position, 1, each.tenant, each.stream.category, each.stream.id, versions[key], id,
                     each.event.type, each.event.schema_version, each.at, each.at, "tester", id, id, id,
                     encode(each.event))
        )  # fmt: skip
    return events


def appends(happenings: Sequence[Happening], *, after: int = 0) -> list[Append]:
    """One append for each, in order; the streams must be new. `after` keeps command ids apart from earlier ones."""
    versions: dict[tuple[str, UUID], int] = {}
    made = []
    for number, each in enumerate(happenings, start=after + 1):
        key = (each.tenant, each.stream.id)
        version = versions.get(key, 0)
        versions[key] = version + 1
        id = UUID(int=number << 64)
        event = Pending(each.stream, each.event.type, each.event.schema_version, encode(each.event))
        made.append(Append(each.tenant, id, [event], {each.stream: version}, each.at, id, id, "tester", id.bytes))
    return made


def history(seed: int, seekers: int, *, interviews: int = 3) -> list[Happening]:
    """The lives of some seekers, shuffled into each other; each keeps its own order."""
    rng = random.Random(seed)
    base = seed << 64
    shared = _programme(UUID(int=base + 1), UUID(int=base + 2))
    lives = [list(_life(rng, UUID(int=base + 100 + n), base, interviews)) for n in range(seekers)]
    lives.append(shared)
    order = [number for number, life in enumerate(lives) for _ in life]
    rng.shuffle(order)
    iterators = [iter(life) for life in lives]
    shuffled = [next(iterators[number]) for number in order]
    # Recorded in this order, so the clock that dates them goes on with it.
    return [replace(each, at=START + timedelta(hours=n)) for n, each in enumerate(shuffled)]


def _programme(id: UUID, coach: UUID) -> list[Happening]:
    return [
        on("programme", id, programme.Created(title="First steps")),
        on("programme", id, programme.CoachAssigned(coach_id=coach)),
    ]


def _life(rng: random.Random, id: UUID, base: int, interviews: int) -> Iterator[Happening]:
    zone = rng.choice(ZONES)
    yield on(
        "seeker",
        id,
        seeker.Registered(name="Mona Quist", stage="graduate", time_zone=zone, goal_date=date(2026, 9, 1), locale="en"),
    )
    if rng.random() < 0.7:
        yield on("programme", UUID(int=base + 1), programme.ParticipantEnrolled(seeker_id=id))
    for number in range(interviews):
        contact_id = UUID(int=(id.int << 16) + number + 1)
        yield on(
            "contact",
            contact_id,
            contact.Added(name="Ana Reis", employer="Reis & Filhos", source="referral", seeker_id=id),
        )
        yield from _interview(rng, id, contact_id, UUID(int=(id.int << 16) + 1000 + number))
        if rng.random() < 0.2:
            yield on("seeker", id, seeker.Moved(time_zone=rng.choice(ZONES), country="DE", locale="de"))
        if rng.random() < 0.2:
            yield on("seeker", id, seeker.PreferencesChanged(digest=True, muted=("connect",)))
        if rng.random() < 0.1:
            yield on("contact", contact_id, contact.AskedNotToBeContacted())
    if rng.random() < 0.1:
        yield on("seeker", id, seeker.Left())


def _interview(rng: random.Random, seeker_id: UUID, contact_id: UUID, id: UUID) -> Iterator[Happening]:
    whose: dict[str, Any] = {"seeker_id": seeker_id, "contact_ids": (contact_id,)}
    pair: dict[str, Any] = {"seeker_id": seeker_id, "contact_id": contact_id}
    tie = relationship_id(seeker_id, contact_id)
    yield on("interview", id, interview.Planned(**whose, purpose="field", about="Marketing"))
    request = interview.RequestSent(**whose, channel="email", minutes=20, intent="To learn about your field. " * 5)
    yield on("interview", id, request)
    if rng.random() < 0.3:
        yield on("interview", id, interview.RequestFollowedUp(**whose, channel="email", number=1))
    if rng.random() < 0.2:
        yield on("interview", id, interview.Declined(**whose))
        return
    yield on("interview", id, interview.Accepted(**whose))
    when = START + timedelta(days=rng.randrange(3, 90))
    slot: dict[str, Any] = {"time_zone": "Europe/Berlin", "minutes": 30, "format": "coffee"}
    yield on("interview", id, interview.Scheduled(**whose, starts_at=when, **slot))
    if rng.random() < 0.3:
        yield on("interview", id, interview.Rescheduled(**whose, starts_at=when + timedelta(days=2), **slot))
    yield on("interview", id, interview.Prepared(**whose))
    yield on("interview", id, interview.Held(**whose, format="coffee", minutes=25))
    yield on("interview", id, interview.NotesTaken(**whose, points=("Portfolios count. " * 8,)))
    lead_id = UUID(int=id.int + 500)
    yield on("lead", lead_id, lead.Recorded(**pair, interview_id=id, kind="referral", what="Call Ben"))
    if rng.random() < 0.8:
        yield on("interview", id, interview.Thanked(**whose, how="email", thanked_ids=(contact_id,)))
    if rng.random() < 0.5:
        yield on("lead", lead_id, lead.ActedOn(**pair, kind="referral"))
    if rng.random() < 0.5:
        yield on("relationship", tie, relationship.TouchpointRecorded(**pair, kind="good_wishes"))
    if rng.random() < 0.2:
        yield on("relationship", tie, relationship.Paused(**pair))
        yield on("relationship", tie, relationship.Resumed(**pair))
