"""A stream that is taken up again late leads to the timers that it would have led to in time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.folding.timing_rows import OF_TIMING
from services.projector.rebuild.unparking import unpark
from shared.domain import contact, interview, programme, relationship, seeker
from shared.domain.identity import relationship_id
from shared.log import Log
from tests.cli.test_parked import Broken
from tests.projector.conftest import expected_timer, folder, projector, state, timer_of, write
from tests.projector.histories import START, TENANT, Happening, history, on
from tests.projector.memory import Memory

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SEEKER, ANA, MEETING = UUID(int=1), UUID(int=2), UUID(int=3)


async def parked_and_taken_up(
    log: Log, database_url: str, lives: list[Happening], position: int, *, discard: bool = False
) -> None:
    """All is folded by a release that can't fold the event at a position, and then what waits by one that can."""
    events = await write(log, lives)
    async with projector(database_url, log, folder=folder(Broken(position))).session() as session:
        await session.run_once()

    async def unrecorded(*_: Any) -> None:
        pass

    stream_id = events[position - 1].stream_id
    done = await unpark(database_url, folder(), TENANT, stream_id, discard=discard, recording=unrecorded)
    assert (done.folded > 0, done.still) == (True, None)


async def assert_nothing_was_late(connection: Connection, log: Log, *discarded: int) -> None:
    """What timers follow from, and those that are pending, are what folding the log in its order leads to, but for the
    events at some positions."""
    events = [e for e in await log.read(0, 10_000) if e.position not in discarded]
    expected, found = Memory(folder()).fold(events, [1]), await state(connection)
    models = {model.name: model for model in folder().models if model.name in OF_TIMING}
    rows = {(name, *key): models[name].decode(body) for name, *key, _, _, _, body in found["rows"] if name in models}
    assert rows == {id: row for id, row in expected.rows.items() if id[0] in models and row is not None}
    assert [timer_of(*timer) for timer in found["timers"] if timer[3] is None] == [
        expected_timer(id, expected.pending[id]) for id in sorted(expected.pending)
    ]


async def test_nothing_begins_that_had_ended(log: Log, database_url: str, connection: Connection) -> None:
    """Given a conversation that waits before its thank-you, and a relationship that ends meanwhile, when the
    conversation is taken up, then nobody is to be reminded to keep in touch."""
    pair: dict[str, Any] = {"seeker_id": SEEKER, "contact_id": ANA}
    whose: dict[str, Any] = {"seeker_id": SEEKER, "contact_ids": (ANA,)}
    tie = relationship_id(SEEKER, ANA)
    lives = [
        on("seeker", SEEKER, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin")),
        on("relationship", tie, relationship.Connected(**pair)),
        on("interview", MEETING, interview.Held(**whose, format="coffee"), START + timedelta(days=1)),
        on(
            "interview", MEETING, interview.Thanked(**whose, how="email", thanked_ids=(ANA,)), START + timedelta(days=2)
        ),
        on("relationship", tie, relationship.Ended(**pair), START + timedelta(days=3)),
    ]
    await parked_and_taken_up(log, database_url, lives, 4)
    policies = "SELECT DISTINCT body ->> 'policy' FROM read.timer WHERE outcome IS NULL"
    assert "keep_in_touch" not in {row[0] for row in await connection.fetch(policies)}
    await assert_nothing_was_late(connection, log)


@pytest.mark.parametrize("waits", ["contact.asked_not_to_be_contacted", "relationship.introduction_requested"])
async def test_a_connector_who_asked_for_peace_is_left_in_peace(
    log: Log, database_url: str, connection: Connection, waits: str
) -> None:
    """Given a contact who was only asked to introduce another and wants to be left alone, when that wish, or what was
    asked, waits and is taken up, then nobody is told to ask again."""
    friend = UUID(int=4)
    pair: dict[str, Any] = {"seeker_id": SEEKER, "contact_id": ANA}
    lives = [
        on("seeker", SEEKER, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin")),
        on("contact", friend, contact.Added(name="A friend", source="alumni_network")),
        on(
            "relationship",
            relationship_id(SEEKER, ANA),
            relationship.IntroductionRequested(**pair, connector_id=friend),
        ),
        on("contact", friend, contact.AskedNotToBeContacted()),
    ]
    position = next(n for n, each in enumerate(lives, start=1) if each.event.type == waits)
    await parked_and_taken_up(log, database_url, lives, position)
    await assert_nothing_was_late(connection, log)
    policies = "SELECT body ->> 'policy' FROM read.timer WHERE outcome IS NULL AND ending IS NULL"
    assert "introduction_nudge" not in {row[0] for row in await connection.fetch(policies)}


@pytest.mark.parametrize(
    "type",
    [
        *("interview.planned", "interview.held", "lead.recorded", "seeker.registered"),
        *("programme.participant_enrolled", "contact.asked_not_to_be_contacted"),
    ],
)
async def test_what_timers_follow_from_is_in_the_order_of_the_log(
    log: Log, database_url: str, connection: Connection, type: str
) -> None:
    """Given lives of which some stream waits from an event of a type on, when it is taken up after all others, then
    what timers follow from, and those that are pending, are what they would be without that."""
    lives = history(4, 8)
    position = next(n for n, each in enumerate(lives, start=1) if each.event.type == type)
    await parked_and_taken_up(log, database_url, lives, position)
    await assert_nothing_was_late(connection, log)


@pytest.mark.parametrize("discard", [False, True])
async def test_the_latest_enrolment_says_which_coach_is_told(
    log: Log, database_url: str, connection: Connection, discard: bool
) -> None:
    """Given somebody who enrols in a programme that waits from its beginning on, and then in another, when the first is
    taken up, with its beginning or without, then the coach of the other is told, also what had begun before."""
    first, second, latest = UUID(int=4), UUID(int=5), UUID(int=7)
    lives = [
        on("programme", first, programme.Created(title="First steps")),
        on("seeker", SEEKER, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin")),
        on("programme", first, programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=UUID(int=6))),
        on("programme", second, programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=latest)),
        on("interview", MEETING, interview.Held(seeker_id=SEEKER, contact_ids=(ANA,), format="coffee")),
    ]
    await parked_and_taken_up(log, database_url, lives, 1, discard=discard)
    await assert_nothing_was_late(connection, log, *([1] if discard else []))
    coaches = await connection.fetch(
        "SELECT DISTINCT body -> 'recipient' ->> 'id' FROM read.timer"
        " WHERE outcome IS NULL AND body ->> 'policy' = 'thank_you' AND body ->> 'stage' = 'coach'"
    )
    assert [row[0] for row in coaches] == [str(latest)]
