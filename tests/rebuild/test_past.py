"""Time travel: the present is the past as of now; what was written late was valid before it was known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from services.projector.models import NOTIFICATIONS
from services.projector.models.notification import coachs_list
from services.projector.past import OF_SEEKERS, Moment, Past
from services.projector.reader import Reader
from shared.codec import encode
from shared.database.pool import open_pool
from shared.domain import interview, programme, seeker
from shared.domain.kernel import Stream
from shared.log import Append, Pending
from tests.projector.conftest import write
from tests.projector.histories import START, TENANT, on
from tests.queries.conftest import serving
from tests.rebuild.conftest import System


@pytest.fixture
async def pool(system: System) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    pool = await open_pool(system.url)
    yield pool
    await pool.close()


async def seekers(system: System) -> list[UUID]:
    rows = await system.connection.fetch("SELECT stream_id FROM log.event WHERE type = 'seeker.registered' ORDER BY 1")
    return [row[0] for row in rows]


async def test_as_of_now_is_what_is_live(folded: System, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Given folded lives, each seeker's rows of each model as of now are the live ones; without those by which coaches
    find what they were told about the seeker."""
    past, compared = Past(pool), 0
    for seeker_id in await seekers(folded):
        for name, model in OF_SEEKERS.items():
            rows = await pool.fetch(
                "SELECT r.body FROM read.row r JOIN read.generation g ON g.id = r.generation"
                " WHERE g.model = $1 AND r.tenant = $2 AND r.body ->> 'seeker_id' = $3 AND r.key NOT LIKE '%/coach'"
                " ORDER BY r.sort, r.key",
                name, TENANT, str(seeker_id),
            )  # fmt: skip
            found = await past.rows(name, TENANT, seeker_id, Moment())
            assert found.rows == [model.decode(row["body"]) for row in rows], name
            compared += len(rows)
    assert compared > 100


async def test_an_instant_is_the_position_that_it_answers(folded: System, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Given events after an instant, when rows as of the instant are asked for, then the position in the answer is that
    of the last event that counts, 0 where none does, and by it one gets the same rows again."""
    past, last = Past(pool), START + timedelta(days=4)
    for seeker_id in await seekers(folded):
        for name in OF_SEEKERS:
            positions = []
            for at in (START - timedelta(days=1), START, last):
                for valid_at in (None, START):
                    found = await past.rows(name, TENANT, seeker_id, Moment(recorded_at=at, valid_at=valid_at))
                    again = await past.rows(name, TENANT, seeker_id, Moment(position=found.position, valid_at=valid_at))
                    assert again == found
                positions.append((await past.rows(name, TENANT, seeker_id, Moment(recorded_at=at))).position)
            assert 0 == positions[0] < positions[1] <= positions[2]
            told = "SELECT max(position) FROM log.event WHERE recorded_at <= $1"
            assert positions[1] <= await pool.fetchval(told, START) < await pool.fetchval(told, last)


async def test_every_moment_can_be_folded(folded: System, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Given any position or time of occurrence, the rows of that moment are those of a fold of the events up to it."""
    seeker_id, *_ = await seekers(folded)
    head = (await folded.log.head()).position
    before = -1
    for position in range(0, head, 20):
        found = await Past(pool).rows("timeline", TENANT, seeker_id, Moment(position=position))
        assert len(found.rows) >= before
        assert all(row.position <= position for row in found.rows)
        before = len(found.rows)
        for name in OF_SEEKERS:
            await Past(pool).rows(name, TENANT, seeker_id, Moment(valid_at=START + timedelta(hours=position)))


async def test_what_was_written_late_was_valid_before_it_was_known(
    folded: System, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    """Given a conversation of last Tuesday that is written down today: as of yesterday it is not there, valid at last
    Tuesday it is; by the code and by the API."""
    seeker_id, *_ = await seekers(folded)
    tuesday, today = START - timedelta(days=6), START + timedelta(days=9)
    id, contact_id = UUID(int=77), UUID(int=78)
    whose = {"seeker_id": seeker_id, "contact_ids": (contact_id,)}
    await folded.at(today)
    events = [interview.Planned(**whose, purpose="field", about="Law"), interview.Held(**whose, format="coffee")]
    stream = Stream("interview", id)
    pending = [Pending(stream, each.type, each.schema_version, encode(each)) for each in events]
    await folded.log.append(Append(TENANT, UUID(int=79), pending, {stream: 0}, tuesday, id, id, actor="tester"))
    await folded.fold()
    past = Past(pool)

    async def known(moment: Moment) -> bool:
        return any(row.interview_id == id for row in (await past.rows("pipeline", TENANT, seeker_id, moment)).rows)

    assert await known(Moment())
    assert not await known(Moment(recorded_at=today - timedelta(days=1)))
    assert await known(Moment(valid_at=tuesday))
    assert not await known(Moment(valid_at=tuesday - timedelta(hours=1)))
    assert not await known(Moment(recorded_at=today - timedelta(days=1), valid_at=tuesday))

    base = f"/v1/tenants/{TENANT}"
    reader = Reader(pool)
    async with serving(lambda: reader) as client:

        async def ids(**ask: str) -> set[str]:
            answer = await client.get(f"{base}/seekers/{seeker_id}/past/pipeline", params=ask)
            assert answer.status_code == 200, answer.text
            return {item["interview_id"] for item in answer.json()["items"]}

        assert str(id) in await ids(valid_at=tuesday.isoformat())
        assert str(id) not in await ids(as_of="20")
        assert str(id) not in await ids(as_of=(today - timedelta(days=1)).isoformat())
        answer = await client.get(f"{base}/streams/{id}/past", params={"valid_at": tuesday.isoformat()})
        assert [item["type"] for item in answer.json()["items"]] == ["interview.planned", "interview.held"]
        assert (await client.get(f"{base}/streams/{UUID(int=404)}/past")).status_code == 404
        answer = await client.get(f"{base}/seekers/{seeker_id}/past/pipeline", params={"as_of": "2026-99"})
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_as_of")


async def test_a_seeker_who_coaches_others_has_a_past(system: System, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Given a seeker who is told, as a coach, about somebody else, then what they were told themselves can be folded
    afresh, and nothing of the other's is in it; with the other, it is there once, as in what is live."""
    coach_id, other, project = UUID(int=91), UUID(int=92), UUID(int=93)
    await system.at(START)
    registered = [
        on("seeker", id, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin")) for id in (coach_id, other)
    ]
    enrolled = on("programme", project, programme.ParticipantEnrolled(seeker_id=other, coach_id=coach_id))
    await write(system.log, [*registered, enrolled])
    await system.fold()
    await system.at((START + timedelta(days=24)).replace(hour=11))
    await system.fire()
    await system.fold()
    coachs = coachs_list(coach_id)
    [key] = await system.connection.fetch("SELECT key FROM read.row WHERE owner = $1 AND key LIKE '%/coach'", coachs)
    past, reader = Past(pool), Reader(pool)
    for id, told in ((coach_id, []), (other, [key[0].removesuffix("/coach")])):
        rows = (await past.rows("notification", TENANT, id, Moment())).rows
        assert [str(row.notification_id) for row in rows] == told
        live = await reader.page("notification", TENANT, owner=id, limit=10)
        assert rows == [NOTIFICATIONS.decode(body) for body in live.bodies]


@pytest.mark.parametrize(
    ("spoilt", "answered"),
    [
        ('data = \'{"secret": "Ana"}\'', (500, "unusable_event")),
        ("type = 'seeker.vanished'", (503, "unknown_event_type")),
    ],
)
async def test_an_event_that_can_not_be_shown_is_told_as_that(
    folded: System, pool: asyncpg.Pool[asyncpg.Record], spoilt: str, answered: tuple[int, str]
) -> None:
    """Given an event that can't be read or is of another release, when its stream's past is asked for, then the answer
    says where it is and what mends it, and nothing of what it holds."""
    seeker_id, *_ = await seekers(folded)
    owner = await asyncpg.connect(folded.url)
    await owner.execute("ALTER TABLE log.event DISABLE TRIGGER ALL")
    await owner.execute(f"UPDATE log.event SET {spoilt} WHERE stream_id = $1 AND version = 1", seeker_id)
    position = await owner.fetchval("SELECT position FROM log.event WHERE stream_id = $1 AND version = 1", seeker_id)
    await owner.close()
    reader = Reader(pool)
    async with serving(lambda: reader) as client:
        for path in (f"streams/{seeker_id}/past", f"seekers/{seeker_id}/past/pipeline"):
            answer = await client.get(f"/v1/tenants/{TENANT}/{path}")
            assert (answer.status_code, answer.json()["code"]) == answered
            assert f"position {position}" in answer.json()["detail"]
            assert "Ana" not in answer.text
