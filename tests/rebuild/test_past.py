"""Time travel: the present is the past as of now; what was written late was valid before it was known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.models import NOTIFICATIONS, SEEKERS
from services.projector.models.notification import coachs_list
from services.projector.models.seeker import SeekerRow
from services.projector.queries.reader import Found, Reader
from services.projector.rebuild.past import OF_SEEKERS, Moment, Past
from services.projector.rebuild.past import QUERIES as PAST
from shared.codec import encode
from shared.database.pool import open_pool
from shared.domain import contact, interview, lead, programme, relationship, seeker
from shared.domain.identity import relationship_id
from shared.domain.interview.details import Advice
from shared.domain.kernel import Stream
from shared.log import Append, Pending
from shared.operations import turns
from tests.projector.conftest import write
from tests.projector.histories import START, TENANT, Happening, appends, on, recorded
from tests.queries.conftest import serving
from tests.rebuild.conftest import System
from tests.rebuild.test_forgetting import forgetful
from tests.turns import with_turns


@pytest.fixture
async def pool(system: System) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    pool = await open_pool(system.url)
    yield pool
    await pool.close()


async def seekers(system: System) -> list[UUID]:
    rows = await system.connection.fetch("SELECT stream_id FROM log.event WHERE type = 'seeker.registered' ORDER BY 1")
    return [row[0] for row in rows]


async def compared(system: System, pool: asyncpg.Pool[asyncpg.Record]) -> int:
    """Each seeker's rows of each model as of now are the live ones; without those by which coaches find what they were
    told about the seeker. Answers how many."""
    past, compared = Past(pool), 0
    for seeker_id in await seekers(system):
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
    return compared


async def test_as_of_now_is_what_is_live(folded: System, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Given folded lives, then the past as of now is what is live."""
    assert await compared(folded, pool) > 100


async def test_as_of_now_is_what_is_live_of_whom_was_forgotten(
    system: System, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    """Given lives in which contacts are forgotten, then the past as of now is what is live."""
    await system.at(START)
    await write(system.log, forgetful(12))
    await system.fold()
    assert await compared(system, pool) > 100


MONA, ANA, BEN, CLEO = (UUID(int=0xA0 + number) for number in range(4))
TALK, OTHER_TALK, REFERRAL, HOPE, PROMISE = (UUID(int=0xB0 + number) for number in range(5))
WORD = "forgettable"
"""In all that is told of Ana."""


def before_and_after() -> list[Happening]:
    """Ana, to whom two referrals led and a promise, talks with Mona together with Ben, and drops out of a second
    conversation. She is forgotten; what is written afterwards is about Ben."""
    both: dict[str, Any] = {"seeker_id": MONA, "contact_ids": (ANA, BEN)}
    plan: dict[str, Any] = {"purpose": "field", "about": "Museums"}
    given: dict[str, Any] = {"seeker_id": MONA, "contact_id": CLEO, "kind": "referral"}
    promised = given | {"kind": "promised_introduction"}
    introduced = relationship.IntroductionMade(seeker_id=MONA, contact_id=ANA, connector_id=CLEO, lead_id=PROMISE)
    time: dict[str, Any] = {"time_zone": "Europe/Lisbon", "minutes": 30, "format": "coffee"}
    about: dict[str, Any] = {"source": "referral", "seeker_id": MONA}
    advice = (Advice(about="skills", text="Learn to write labels"),)
    happened = [
        on("seeker", MONA, seeker.Registered(name="Mona Quist", time_zone="Europe/Lisbon")),
        on("contact", ANA, contact.Added(name=WORD, source_detail=WORD, **about)),
        *(on("contact", id, contact.Added(name="Somebody", **about)) for id in (BEN, CLEO)),
        *(on("lead", id, lead.Recorded(**given, what=WORD, person=WORD)) for id in (REFERRAL, HOPE)),
        on("lead", PROMISE, lead.Recorded(**promised, what=WORD, person=WORD)),
        on("lead", PROMISE, lead.CameToSomething(**promised, what=WORD)),
        on("relationship", relationship_id(MONA, ANA), introduced),
        on("interview", TALK, interview.Planned(**both, **plan, lead_id=REFERRAL)),
        on("interview", OTHER_TALK, interview.Planned(**both, **plan, lead_id=HOPE)),
        on("interview", TALK, interview.AgreedLoosely(**both, what=WORD)),
        on("lead", REFERRAL, lead.CameToNothing(**given, why=WORD)),
        on("lead", HOPE, lead.Dropped(**given, why=WORD)),
        *(
            on("interview", id, each)
            for id in (TALK, OTHER_TALK)
            for each in (
                interview.Scheduled(**both, **time, starts_at=START + timedelta(days=3), place=WORD),
                interview.ResearchRecorded(**both, person=WORD, company=WORD, industry="Fewer visitors"),
            )
        ),
        on("interview", OTHER_TALK, interview.DroppedOut(**both, dropped_ids=(ANA,), why=WORD)),
        on("interview", TALK, interview.NotesTaken(**both, text=WORD, points=(WORD,), advice=advice)),
        on("contact", ANA, contact.Forgotten()),
        on("interview", TALK, interview.ResearchRecorded(**both, person="Ben hangs the pictures")),
        on("interview", TALK, interview.NotesTaken(**both, points=("Ben began as a guard",))),
        on("interview", OTHER_TALK, interview.NotesTaken(seeker_id=MONA, contact_ids=(BEN,), text="Ben is moving")),
    ]
    return [replace(each, at=START + timedelta(hours=number)) for number, each in enumerate(happened)]


async def test_what_is_written_after_a_forgetting_stays(system: System, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Given a conversation with two of whom one is forgotten, then the past as of now is what is live, with what was
    written afterwards of the other; no look at any moment tells anything of the one, and as of before they were
    forgotten, an appointment is as it was then but for the place."""
    await system.at(START)
    events = await write(system.log, before_and_after())
    await system.fold()
    assert await compared(system, pool) > 30
    past = Past(pool)

    async def told(moment: Moment) -> str:
        rows = [row for name in OF_SEEKERS for row in (await past.rows(name, TENANT, MONA, moment)).rows]
        streams = [await past.stream(TENANT, id, moment) for id in {e.stream_id for e in events}]
        return f"{rows}{streams}"

    now = await told(Moment())
    # On the sheet, in the notebook and in the stream; the others are on no sheet.
    assert now.count("Ben hangs the pictures") == 3
    for said in ("Ben began as a guard", "Ben is moving", "Learn to write labels"):
        assert now.count(said) == 2
    for e in events:
        for moment in (Moment(position=e.position), Moment(valid_at=e.occurred_at), Moment(recorded_at=e.recorded_at)):
            assert WORD not in await told(moment)
    [forgotten] = [e.position for e in events if e.type == "contact.forgotten"]
    before = (await past.rows("agenda", TENANT, MONA, Moment(position=forgotten - 1))).rows
    assert [(row.interview_id, row.place, row.sequence) for row in before] == [(TALK, None, 0), (OTHER_TALK, None, 1)]


async def test_what_is_forgotten_is_hidden_before_it_is_folded(
    system: System, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    """Given folding that lags behind a forgetting, then no look at the past tells of the contact any more."""
    await system.at(START)
    happenings = before_and_after()
    place = next(n for n, each in enumerate(happenings) if isinstance(each.event, contact.Forgotten))
    wanted = appends(happenings)
    await system.append(wanted[:place])
    await system.fold()
    await system.append(wanted[place:])
    past = Past(pool)
    for name in OF_SEEKERS:
        assert WORD not in str(await past.rows(name, TENANT, MONA, Moment()))
    for id in {each.stream.id for each in happenings}:
        assert WORD not in str(await past.stream(TENANT, id, Moment()))
    assert "contact.forgotten" in str(await past.stream(TENANT, ANA, Moment()))


class Long(Reader):
    """Answers at once: a seeker with so many events, each of which is a piece of the notebook."""

    def __init__(self, count: int) -> None:
        verdicts = [seeker.VerdictRecorded(field="Law", verdict="keep_exploring", why="So far")] * count
        self.events = recorded([on("seeker", MONA, each) for each in verdicts])

    @property
    def pool(self) -> Any:
        return self

    async def get(self, *args: Any) -> Found:
        return Found(
            1, SEEKERS.encode(SeekerRow(MONA, "Mona", None, "student", (), None, None, "UTC", None, None, START))
        )

    async def fetchval(self, *args: Any) -> int:
        return len(self.events)

    async def fetch(self, query: str, *args: Any) -> list[tuple[Any, ...]]:
        asked = query in (PAST["events_of_seeker"], PAST["events_of_stream"])
        return [tuple(getattr(e, each.name) for each in fields(e)) for e in self.events] if asked else []


@pytest.mark.parametrize(("path", "steps"), [(f"seekers/{MONA}/past/notebook", 5), (f"streams/{MONA}/past", 4)])
async def test_a_long_past_leaves_others_their_turns(monkeypatch: pytest.MonkeyPatch, path: str, steps: int) -> None:
    """Given many events, then other tasks have their turns while they are decoded, looked through for whom they tell
    of, emptied and folded, and while the rows are sorted and written."""
    monkeypatch.setattr(turns, "AT_ONCE", 1)
    reader = Long(500)
    async with serving(lambda: reader) as client:
        answer, had = await with_turns(client.get(f"/v1/tenants/{TENANT}/{path}"))
    assert len(answer.json()["items"]) == 500
    assert had >= steps * 500


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
