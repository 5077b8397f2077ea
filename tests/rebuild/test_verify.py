"""Verifying finds what is not as the log says, says what, and mends it when asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.folding.selection import WHOLE, Selection
from services.projector.rebuild import building, generations, verify
from services.projector.rebuild.rebuild import rebuild
from services.projector.rebuild.report import Refused
from services.projector.rebuild.unparking import unpark
from services.projector.rebuild.verify import check_log, compare, passed_over, rows_of_stream
from services.projector.rebuild.work import NAMES, working
from shared.domain import contact, interview, seeker
from shared.domain.catalogue import EVENTS
from tests.cli.test_parked import Broken
from tests.projector.conftest import folder, owning, projector, write
from tests.projector.histories import START, TENANT, on
from tests.rebuild.conftest import POLICIES, System


async def test_nothing_is_wrong_with_what_was_folded(folded: System) -> None:
    """Given what a projector has folded, verification finds nothing, whole or sampled, and leaves nothing behind."""
    before = await folded.state()
    for selection in (Selection(), Selection(below=64)):
        report = await compare(folded.url, POLICIES, NAMES, selection=selection)
        assert (report.unexplained, report.failures) == (0, [])
        assert report.models["pipeline"].rows > 0
    assert await check_log(folded.url, NAMES) == []
    assert await check_log(folded.url, []) == []
    assert await folded.state() == before
    assert [status for _, status in await folded.generations()] == ["live"]


async def test_who_is_to_be_left_alone_is_known_however_it_is_folded(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given contacts who ask to be left alone, or offer hours again, before and after what begins with them, then
    folding afresh comes to the same subjects and timers as the projector, whole, in small pages and in part."""
    seeker_id, ana, ben = UUID(int=1), UUID(int=2), UUID(int=3)
    leave, offer = contact.AskedNotToBeContacted(), contact.HoursOffered(capacity=3)
    held = interview.Held(seeker_id=seeker_id, contact_ids=(ana,), format="coffee", introduced_by=(ben,))
    happenings = [
        on("seeker", seeker_id, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin")),
        *(on("contact", id, contact.Added(name="Ana Reis", source="referral")) for id in (ana, ben)),
        *(on("contact", id, leave) for id in (ana, ben)),
        on("interview", UUID(int=4), held),
        on("contact", ana, offer),
        *(on("interview", UUID(int=n), held) for n in (5, 6)),
        on("contact", ben, offer),
        on("contact", ben, leave),
    ]
    await write(system.log, happenings)
    await system.fold()
    pending = await system.connection.fetch("SELECT DISTINCT body ->> 'policy' FROM read.timer WHERE outcome IS NULL")
    assert {row[0] for row in pending} == {"thank_you", "connect"}
    monkeypatch.setattr(building, "PAGE", 2)
    monkeypatch.setattr(building, "FLUSH", 3)
    for selection in (Selection(), Selection(below=128)):
        report = await compare(system.url, POLICIES, ["timing"], selection=selection)
        assert (report.unexplained, report.failures) == (0, [])
    report = await rebuild(system.url, POLICIES, ["timing"])
    assert (report.unexplained, report.switched) == (0, True)


async def test_how_far_the_check_of_the_log_has_come_is_told(folded: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a log, when it is checked, it is told step by step how many events the five checks have come by."""
    monkeypatch.setattr(verify, "_STEP", 10)
    events = (await folded.log.head()).position
    told: list[tuple[str, int, int]] = []
    assert await check_log(folded.url, [], lambda *step: told.append(step)) == []
    assert {(step, total) for step, _, total in told} == {("checking the log", 5 * events)}
    assert sum(done for _, done, _ in told) == 5 * events
    assert len(told) > 4 * (events // 10 - 1)


async def test_what_can_not_be_dropped_now_is_dropped_later(folded: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a query that goes on and on, verification ends, and leaves what it has built to the next one."""
    monkeypatch.setattr(generations, "_PAUSES", (0,))
    async with folded.connection.transaction():
        await folded.connection.fetch("SELECT FROM read.row")
        assert (await compare(folded.url, POLICIES, ["pipeline"])).unexplained == 0
    assert [status for _, status in await folded.generations()] == ["live", "scratch"]
    await compare(folded.url, POLICIES, ["contact"])
    assert [status for _, status in await folded.generations()] == ["live"]


async def test_one_that_can_not_be_dropped_keeps_no_other(folded: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a generation that somebody else is at, as autovacuum is at large ones, the others are dropped."""
    monkeypatch.setattr(generations, "_PAUSES", (0,))
    async with working(folded.url, POLICIES, "verify", ["pipeline", "contact"]) as work:
        await work.generations.prepare()
        (_, (held, _)) = await folded.generations()
        async with folded.connection.transaction():
            await folded.connection.execute(f"LOCK TABLE read.row_{held} IN SHARE UPDATE EXCLUSIVE MODE")
            await work.generations.discard()
    assert [status for _, status in await folded.generations()] == ["live", "scratch"]
    assert [status for _, status in await folded.generations("contact")] == ["live"]


async def test_differences_are_told_field_by_field_and_healed(folded: System) -> None:
    """Given a changed row, a missing one, one too many, and a timer at another time, when they are healed, all is as it
    was before."""
    before = await folded.state()
    spoiled = await folded.spoil("pipeline", {"follow_ups": 77})
    lost = await folded.connection.fetchval(
        "DELETE FROM read.row r USING read.generation g WHERE g.id = r.generation AND g.model = 'seeker'"
        " AND r.key = (SELECT min(key) FROM read.row WHERE generation = g.id) RETURNING r.key"
    )
    await folded.connection.execute(
        "INSERT INTO read.row (generation, tenant, key, body) SELECT id, 'acme', 'ghost', '{}' FROM read.generation"
        " WHERE model = 'lead'"
    )
    moved = await folded.connection.fetchval(
        "UPDATE read.timer SET due_at = due_at - interval '1 day' WHERE id = (SELECT id FROM read.timer"
        " WHERE outcome IS NULL ORDER BY id LIMIT 1) RETURNING id"
    )
    gone = await folded.connection.fetchval(
        "DELETE FROM read.timer WHERE id = (SELECT id FROM read.timer WHERE outcome IS NULL ORDER BY id DESC LIMIT 1)"
        " RETURNING id"
    )
    report = await compare(folded.url, POLICIES, NAMES)
    first = {model: told.first for model, told in report.models.items() if told.differences}
    assert {model: {one.key for one in found} for model, found in first.items()} == {
        "pipeline": {spoiled},
        "seeker": {lost},
        "lead": {"ghost"},
        "timer": {str(moved), str(gone)},
    }
    assert first["pipeline"][0].fields["follow_ups"][0] == 77
    assert list(first["lead"][0].fields) == ["row"]

    report = await compare(folded.url, POLICIES, NAMES, heal=True)
    assert report.healed == 5
    assert await folded.state() == before


async def test_what_a_stream_touched_is_verified_by_itself(folded: System) -> None:
    """Given two changed rows, when one's stream is verified and healed, only that row is told and mended."""
    key = await folded.spoil("pipeline", {"follow_ups": 77})
    await folded.spoil("seeker", {"name": "Somebody Else"})
    selection = await rows_of_stream(folded.url, ["pipeline", "timeline", "timing"], TENANT, UUID(key))
    report = await compare(folded.url, POLICIES, ["pipeline", "timeline", "timing"], selection=selection, heal=True)
    assert report.ids == {("pipeline", TENANT, key)}
    left = await compare(folded.url, POLICIES, NAMES)
    assert {model for model, _, _ in left.ids} == {"seeker"}
    with pytest.raises(Refused, match="has no stream"):
        await rows_of_stream(folded.url, NAMES, TENANT, UUID(int=404))


async def test_with_people_what_hangs_on_them_is_verified(system: System) -> None:
    """Given a contact of whose wish to be left alone nothing live tells, and a seeker with another time zone and
    reminders that come too soon, when their streams are verified and healed, then so are the subjects and timers that
    hang on them."""
    seeker_id, ana, ben = UUID(int=1), UUID(int=2), UUID(int=3)
    happenings = [
        on("seeker", seeker_id, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin")),
        on("contact", ana, contact.Added(name="Ana Reis", source="referral")),
        *(
            on("interview", UUID(int=n), interview.Held(seeker_id=seeker_id, contact_ids=(id,), format="coffee"))
            for n, id in ((4, ana), (5, ben))
        ),
        on("contact", ana, contact.AskedNotToBeContacted()),
    ]
    await write(system.log, happenings)
    await system.fold()
    before = await system.state()
    await system.connection.execute(
        "DELETE FROM read.row USING read.generation g WHERE g.id = generation AND g.model = 'timing_contact'"
    )
    await system.connection.execute(
        "UPDATE read.row SET body = (body::jsonb || '{\"closed\": []}')::json FROM read.generation g"
        " WHERE g.id = generation AND g.model = 'timing_subject' AND key = $1",
        str(UUID(int=4)),
    )
    report = await compare(system.url, POLICIES, ["timing"], selection=Selection(below=WHOLE - 1))
    assert ("timing_contact", TENANT, str(ana)) in report.ids
    selection = await rows_of_stream(system.url, ["timing"], TENANT, ana)
    report = await compare(system.url, POLICIES, ["timing"], selection=selection, heal=True)
    assert report.ids == {("timing_contact", TENANT, str(ana)), ("timing_subject", TENANT, str(UUID(int=4)))}
    assert await system.state() == before

    await system.spoil("timing_recipient", {"time_zone": "Asia/Tokyo"})
    moved = await system.connection.fetch(
        "UPDATE read.timer SET due_at = due_at - interval '1 day' WHERE outcome IS NULL RETURNING id"
    )
    assert moved
    selection = await rows_of_stream(system.url, ["timing"], TENANT, seeker_id)
    report = await compare(system.url, POLICIES, ["timing"], selection=selection, heal=True)
    timers = {("timer", TENANT, str(row["id"])) for row in moved}
    assert report.ids == {("timing_recipient", TENANT, str(seeker_id)), *timers}
    assert await system.state() == before


async def test_a_log_that_was_tampered_with_is_found_out(folded: System, database_url: str) -> None:
    """Given an event removed, a receipt changed and a payload broken by somebody with the owner's rights, each is
    found."""
    owner = await asyncpg.connect(database_url)
    await owner.execute("ALTER TABLE log.event DISABLE TRIGGER ALL; ALTER TABLE log.receipt DISABLE TRIGGER ALL")
    gone = await owner.fetchrow(
        "DELETE FROM log.event WHERE (tenant, stream_id, version) = (SELECT tenant, stream_id, 2 FROM log.event"
        " WHERE category = 'interview' AND version = 3 ORDER BY position LIMIT 1) RETURNING position, stream_id"
    )
    assert gone is not None
    broken = await owner.fetchval(
        "UPDATE log.event SET data = '{' WHERE position = (SELECT max(position) FROM log.event"
        " WHERE category = 'contact') RETURNING stream_id"
    )
    await owner.execute("INSERT INTO log.receipt VALUES ('acme', $1, 'x', 7, 2, now())", UUID(int=99))
    await owner.close()
    findings = await check_log(folded.url, ["contact"])
    assert {finding.check for finding in findings} == {"positions", "versions", "receipts"}
    assert any(f"position {gone['position'] + 1}" == finding.subject for finding in findings)
    report = await compare(folded.url, POLICIES, ["contact"])
    assert [failure.stream_id for failure in report.failures] == [broken]


async def test_a_receipt_that_was_deleted_is_missed(folded: System) -> None:
    """Given the receipts of two commands deleted by somebody with the owner's rights, those two are told of, in a log
    that also holds what was fired, of which there never was a receipt."""
    assert await folded.connection.fetchval("SELECT count(*) FROM log.event WHERE category = 'notification'") > 0
    owner = await asyncpg.connect(folded.url)
    await owner.execute("ALTER TABLE log.receipt DISABLE TRIGGER ALL")
    rows = await owner.fetch("DELETE FROM log.receipt WHERE position IN (3, 9) RETURNING command_id, position")
    await owner.close()
    findings = await check_log(folded.url, NAMES)
    assert {(one.check, one.subject) for one in findings} == {("receipts", f"command {row[0]}") for row in rows}
    for one in findings:
        assert "has no receipt, and the log holds 1 events of it up to" in one.detail


async def break_a_lead(system: System, data: bytes) -> asyncpg.Record:
    """The event of the first one that was recorded, with another payload."""
    async with owning(system.url) as owner:
        await owner.execute("ALTER TABLE log.event DISABLE TRIGGER ALL")
        [broken] = await owner.fetch(
            "UPDATE log.event SET data = $1 WHERE position = (SELECT min(position) FROM log.event"
            " WHERE type = 'lead.recorded') RETURNING position, type, stream_id",
            data,
        )
    return broken


async def test_nothing_is_healed_where_a_stream_can_not_be_folded(folded: System) -> None:
    """Given an event whose payload was broken after it was folded, and a row that was changed by hand, when that is to
    be healed, it is refused naming the stream, and the good rows of that stream stay as they are."""
    await folded.spoil("contact", {"notes": "changed"})
    before = await folded.state()
    broken = await break_a_lead(folded, b"{")
    with pytest.raises(Refused, match=f"stream {broken['stream_id']} can't be folded afresh .* nothing was healed"):
        await compare(folded.url, POLICIES, NAMES, heal=True)
    assert await folded.state() == before
    assert [status for _, status in await folded.generations()] == ["live"]


@pytest.mark.parametrize("discard", [False, True])
async def test_what_fired_is_over_though_that_is_left_out(system: System, discard: bool) -> None:
    """Given notifications that fired and can't be folded, so that one waits or is discarded, when all is verified,
    healed and rebuilt, then they are told to have fired, and none comes back to be fired again."""

    async def fold(*broken: int) -> None:
        async with projector(system.url, system.log, folder=folder(Broken(*broken))).session() as session:
            await session.run_once()

    await system.at(START)
    await system.happen(1)
    await fold()
    await system.at(START + timedelta(days=4))
    await system.fire()
    due = [e for e in await system.log.read(0, 10_000) if e.type == "notification.due"]
    await fold(due[0].position)

    async def unrecorded(*_: Any) -> None:
        pass

    if discard:
        await unpark(system.url, folder(), TENANT, due[0].stream_id, discard=True, recording=unrecorded)
    before = (await system.state())["timers"]
    report = await compare(system.url, POLICIES, NAMES, heal=True)
    assert (report.unexplained, report.healed) == (0, 0)
    assert report.models["timer"].explained["fired"] == 1
    assert (report.parked, report.discarded) == ((0, 1) if discard else (1, 0))
    assert (await rebuild(system.url, POLICIES, ["timing"])).switched
    assert (await system.state())["timers"] == before


async def test_what_waits_is_read_all_the_same(folded: System) -> None:
    """Given a stream that waits, one of whose later events nobody can read, then that is found; once the event is
    discarded, it is not asked for any more."""
    owner = await asyncpg.connect(folded.url)
    await owner.execute("ALTER TABLE log.event DISABLE TRIGGER ALL")
    broken = await owner.fetchrow(
        "UPDATE log.event SET data = '{}' WHERE position = (SELECT min(position) FROM log.event"
        " WHERE type = 'interview.accepted') RETURNING tenant, stream_id, position, event_id"
    )
    assert broken is not None
    await owner.execute(
        "INSERT INTO read.parked (tenant, stream_id, category, position, model, error)"
        " VALUES ($1, $2, 'interview', $3 - 1, 'pipeline', 'broken')",
        broken["tenant"], broken["stream_id"], broken["position"],
    )  # fmt: skip
    [finding] = await check_log(folded.url, NAMES)
    assert (finding.check, finding.subject) == ("payloads", f"position {broken['position']}")
    await owner.execute(
        "INSERT INTO read.discarded (tenant, event_id, stream_id, position) VALUES ($1, $2, $3, $4)",
        broken["tenant"], broken["event_id"], broken["stream_id"], broken["position"],
    )  # fmt: skip
    await owner.close()
    assert await check_log(folded.url, NAMES) == []


async def test_an_event_that_nothing_folds_is_read_all_the_same(folded: System) -> None:
    """Given a broken payload of a type that the models which are verified pass over, it is found; where they fold it,
    it is left to the fold to tell."""
    broken = await break_a_lead(folded, b"{}")
    position, type = broken["position"], broken["type"]
    assert type in passed_over(["contact"])
    [finding] = await check_log(folded.url, ["contact"])
    assert (finding.check, finding.subject) == ("payloads", f"position {position}")
    assert type not in passed_over(NAMES)
    assert await check_log(folded.url, NAMES) == []
    assert (await compare(folded.url, POLICIES, NAMES)).failures


def test_the_more_is_folded_the_less_is_passed_over() -> None:
    """Given no read model, all types are passed over; given more of them, fewer."""
    assert set(EVENTS) == set(passed_over([])) > set(passed_over(["contact"])) > set(passed_over(NAMES))


@pytest.mark.parametrize(
    "spoiling",
    [
        "due_at = (SELECT log.now() + interval '2 years')",
        "guards = '{}'",
        "seeker_id = '00000000-0000-4000-8000-0000000000ff'",
    ],
)
async def test_a_timer_that_firing_would_judge_wrongly_is_found(folded: System, spoiling: str) -> None:
    """Given a timer that is to come, and is filed under another time, for nobody's events to hold back, or for another
    seeker, then it is found and mended: only what was due already may have been put off."""
    before = await folded.state()
    spoilt = await folded.connection.fetchval(
        f"UPDATE read.timer SET {spoiling} WHERE id = (SELECT id FROM read.timer WHERE outcome IS NULL"
        " AND due_at > log.now() ORDER BY id LIMIT 1) RETURNING id"
    )
    report = await compare(folded.url, POLICIES, NAMES, heal=True)
    assert [one.key for one in report.models["timer"].first] == [str(spoilt)]
    assert await folded.state() == before
