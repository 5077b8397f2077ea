"""A stream that is taken up again late leads to the timers that it would have led to in time."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.timing_models import SUBJECT, Subjects
from services.projector.unparking import unpark
from shared.domain import interview, relationship, seeker
from shared.domain.identity import relationship_id
from shared.log import Log
from shared.timing.policies import default_policies
from tests.cli.test_parked import Broken
from tests.projector.conftest import folder, projector, write
from tests.projector.histories import START, TENANT, Happening, history, on
from tests.projector.memory import Memory

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SEEKER, ANA, MEETING = UUID(int=1), UUID(int=2), UUID(int=3)


async def parked_and_taken_up(log: Log, database_url: str, lives: list[Happening], position: int) -> None:
    """All is folded by a release that can't fold the event at a position, and then what waits by one that can."""
    events = await write(log, lives)
    async with projector(database_url, log, folder=folder(Broken(position))).session() as session:
        await session.run_once()

    async def unrecorded(*_: Any) -> None:
        pass

    stream_id = events[position - 1].stream_id
    done = await unpark(database_url, folder(), TENANT, stream_id, discard=False, recording=unrecorded)
    assert (done.folded > 0, done.still) == (True, None)


async def pending(connection: Connection) -> set[UUID]:
    return {row["id"] for row in await connection.fetch("SELECT id FROM read.timer WHERE outcome IS NULL")}


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
    expected = Memory(folder()).fold(await log.read(0, 100), [1])
    assert await pending(connection) == {id for _, id in expected.pending}


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
    subjects and pending timers are what they would be without that."""
    lives = history(4, 8)
    position = next(n for n, each in enumerate(lives, start=1) if each.event.type == type)
    await parked_and_taken_up(log, database_url, lives, position)
    expected = Memory(folder()).fold(await log.read(0, 10_000), [1])
    model = Subjects(default_policies())
    rows = await connection.fetch(
        "SELECT r.tenant, r.key, r.body FROM read.row r JOIN read.generation g ON g.id = r.generation"
        " WHERE g.model = $1",
        SUBJECT,
    )
    subjects = {(SUBJECT, row["tenant"], row["key"]): model.decode(row["body"]) for row in rows}
    assert subjects == {id: row for id, row in expected.rows.items() if id[0] == SUBJECT}
    assert await pending(connection) == {id for _, id in expected.pending}
