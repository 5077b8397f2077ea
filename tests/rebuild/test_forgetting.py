"""Contacts who are forgotten: whatever the pages, the rows tell nothing of them; and a fold afresh agrees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.projector.folding.selection import Selection
from services.projector.rebuild import building
from services.projector.rebuild.rebuild import begun, rebuild, roll_back
from services.projector.rebuild.report import Mode
from services.projector.rebuild.unparking import QUERIES as UNPARKING
from services.projector.rebuild.unparking import unpark
from services.projector.rebuild.verify import compare
from services.projector.rebuild.work import NAMES, working
from services.projector.storing.leftovers import QUERIES as LEFTOVERS
from services.projector.storing.store import QUERIES as STORE
from services.projector.storing.store import Store
from shared.domain import contact, interview, relationship
from shared.domain.kernel import Event
from shared.log import Append
from tests.cli.test_parked import Broken
from tests.projector.conftest import assert_equals_a_cold_fold, folder, projector, write
from tests.projector.histories import START, Happening, appends, history, on
from tests.rebuild.conftest import POLICIES, System

FORGETFUL = 3
"""Every third contact is forgotten."""


def forgetful(seed: int, seekers: int = 4) -> list[Happening]:
    """Some lives in the middle of which some contacts are forgotten, at once and one by one."""
    happenings = [replace(each, event=_told(each.event)) for each in history(seed, seekers)]
    contacts = [each.stream.id for each in happenings if isinstance(each.event, contact.Added)][::FORGETFUL]
    added = {each.stream.id: n for n, each in enumerate(happenings) if isinstance(each.event, contact.Added)}
    for number, id in enumerate(contacts):
        place = max(added[id] + 1, len(happenings) * 2 // 3 + number % 2)
        happenings.insert(place, on("contact", id, contact.Forgotten(), happenings[place - 1].at))
    return happenings


def _told(event: Event) -> Event:
    """With some words more about the contact, which stand in rows that are made once."""
    match event:
        case contact.Added():
            return event.model_copy(update={"source_detail": "A friend of a friend"})
        case relationship.TouchpointRecorded():
            return event.model_copy(update={"note": "She has moved"})
        case _:
            return event


@pytest.mark.parametrize("page", [1, 3, 500])
async def test_pages_do_not_matter(system: System, page: int) -> None:
    """Given rows on their way into the database while somebody is forgotten, then they are emptied, too."""
    events = await write(system.log, forgetful(11))
    async with projector(system.url, system.log, page=page).session() as session:
        await session.run_once()
    await assert_equals_a_cold_fold(system.connection, events, folder())


async def test_afresh_the_same_comes_of_it(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given forgotten contacts, when all is folded afresh, written every few events, or only a sample, then nothing
    differs."""
    await system.at(START)
    await write(system.log, forgetful(12))
    await system.fold()
    monkeypatch.setattr(building, "PAGE", 5)
    monkeypatch.setattr(building, "FLUSH", 10)
    for selection in (Selection(), Selection(below=64)):
        report = await compare(system.url, POLICIES, NAMES, selection=selection)
        assert (report.unexplained, report.failures) == (0, [])
    assert (await rebuild(system.url, POLICIES, NAMES)).switched


async def test_what_is_kept_to_go_back_to_loses_its_rows(system: System) -> None:
    """Given a generation from before, when a contact is forgotten, then it holds no row that may tell of them; whoever
    goes back loses no reminder by that, mends it, and all is as a fold afresh leads to."""
    await system.at(START)
    happenings = history(13, 3)
    ana = next(each.stream.id for each in happenings if isinstance(each.event, contact.Added))
    *wanted, last = appends([*happenings, on("contact", ana, contact.Forgotten(), happenings[-1].at)])
    await system.log.append_all(wanted)
    await system.fold()
    assert (await rebuild(system.url, POLICIES, NAMES)).switched
    retired = (
        "SELECT count(*) FROM read.row r JOIN read.generation g ON g.id = r.generation AND g.status = 'retired'"
        " WHERE r.body::text LIKE $1 AND g.model NOT LIKE 'timing%'"
    )
    assert await system.connection.fetchval(retired, f"%{ana}%") > 5
    await system.log.append_all([last])
    await system.fold()
    assert await system.connection.fetchval(retired, f"%{ana}%") == 0
    pending = "SELECT tenant, id, due_at, guards, outcome FROM read.timer ORDER BY tenant, id"
    before = await system.connection.fetch(pending)
    await roll_back(system.url, POLICIES, NAMES)
    assert await system.connection.fetch(pending) == before
    assert (await compare(system.url, POLICIES, NAMES, heal=True)).healed > 5
    assert (await compare(system.url, POLICIES, NAMES)).unexplained == 0


async def test_what_was_gone_back_to_meanwhile_loses_nothing(system: System) -> None:
    """Given a projector that is about to forget a contact in what is kept to go back to, when somebody goes back to
    that at this moment, then none of its rows are lost: they are live."""
    ana, _ = await about_to_be_forgotten(system)
    assert (await rebuild(system.url, POLICIES, NAMES)).switched
    kept = await system.connection.fetch(STORE["retired"], [])
    await roll_back(system.url, POLICIES, NAMES)
    telling_of_her = (
        "SELECT tenant, count(*) FROM read.row WHERE generation = ANY ($1) AND body::text LIKE $2 GROUP BY 1"
    )
    ids = [row["id"] for row in kept]
    before = await system.connection.fetch(telling_of_her, ids, f"%{ana}%")
    for id in ids:
        await system.connection.execute(STORE["forget_retired"], id, [row["tenant"] for row in before], [ana])
    assert before
    assert await system.connection.fetch(telling_of_her, ids, f"%{ana}%") == before


async def about_to_be_forgotten(system: System) -> tuple[UUID, list[Append]]:
    """Some lives, folded, and what forgetting one of their contacts writes."""
    await system.at(START)
    happenings = history(13, 3)
    ana = next(each.stream.id for each in happenings if isinstance(each.event, contact.Added))
    *wanted, last = appends([*happenings, on("contact", ana, contact.Forgotten(), happenings[-1].at)])
    await system.append(wanted)
    await system.fold()
    return ana, [last]


async def telling(system: System, contact_id: UUID) -> set[str]:
    """The status of each generation in which rows tell of a contact by name, or mention them."""
    rows = await system.connection.fetch(
        "SELECT DISTINCT g.status FROM read.row r JOIN read.generation g ON g.id = r.generation"
        " WHERE r.body::text LIKE $1 AND (g.status <> 'live' OR r.body ->> 'name' = 'Ana Reis')",
        f"%{contact_id}%",
    )
    return {row["status"] for row in rows}


async def unfinished(system: System) -> int:
    return len(await system.connection.fetch(LEFTOVERS["unfinished"]))


@pytest.mark.parametrize(("mode", "left"), [("rebuild", "building"), ("verify", "scratch")])
async def test_what_was_left_unfinished_goes(system: System, mode: Mode, left: str) -> None:
    """Given what a killed rebuild or verification has left, when a contact is forgotten of whom it tells, then it is
    dropped; and the next rebuild leads to what a cold fold does."""
    ana, forgetting = await about_to_be_forgotten(system)
    await system.leave(mode)
    assert await telling(system, ana) == {"live", left}
    await system.append(forgetting)
    await system.fold()
    await system.fold()  # looks at the log once more
    assert (await telling(system, ana), await unfinished(system)) == (set(), 0)
    assert (await rebuild(system.url, POLICIES, NAMES)).switched
    await assert_equals_a_cold_fold(system.connection, await system.log.read(0, 1_000_000), folder())


async def test_what_somebody_is_at_work_on_goes_once_they_are_dead(system: System) -> None:
    """Given a rebuild at work while a contact is forgotten, then what it builds is left alone, until it is killed; and
    also where operators have made it useless meanwhile."""
    ana, forgetting = await about_to_be_forgotten(system)
    async with working(system.url, POLICIES, "rebuild", NAMES) as work:
        await work.generations.prepare()
        await work.build()
        await system.append(forgetting)
        await system.fold()
        await system.fold()
        assert await telling(system, ana) == {"building"}
    await system.connection.execute(UNPARKING["outdate"], "as planned", 0)
    await system.nobody_at_work()
    await system.fold()
    assert (await telling(system, ana), await unfinished(system)) == (set(), 0)


async def test_whoever_is_at_work_folds_the_forgetting(system: System) -> None:
    """Given a rebuild at work while a contact is forgotten, when it ends, it has found no difference and what it built
    is live for good, to be left and come back to; so it is where a killed one is gone on with before a projector has
    dropped what it left."""
    ana, forgetting = await about_to_be_forgotten(system)
    await system.leave("rebuild")
    async with begun(system.url, POLICIES, "rebuild", NAMES, None, None) as (work, builder):
        await system.append(forgetting)
        await system.fold()
        await system.fold()
        compared = await work.compare(builder)
        assert work.report.unexplained == 0
        await work.switch(builder, compared, None)
    await system.nobody_at_work()
    await system.fold()
    for _ in range(2):
        assert (await roll_back(system.url, POLICIES, NAMES)).switched
    events = await system.log.read(0, 1_000_000)
    await assert_equals_a_cold_fold(system.connection, events, folder())
    await system.leave("rebuild")
    ben = next(e.stream_id for e in events if e.type == "contact.added" and e.stream_id != ana)
    [*_, forget_ben] = appends([*history(13, 3), on("contact", ben, contact.Forgotten())], after=len(events))
    await system.append([forget_ben])
    await system.fold()
    assert await unfinished(system) > 0
    report = await rebuild(system.url, POLICIES, NAMES)
    assert (report.switched, report.unexplained, report.events) == (True, 0, 1)
    await assert_equals_a_cold_fold(system.connection, await system.log.read(0, 1_000_000), folder())


async def test_a_reader_is_not_held_up_time_and_again(system: System) -> None:
    """Given a reader who keeps what was left from being dropped, then that is not tried again at once; when the reader
    has gone, the next session drops it."""
    ana, forgetting = await about_to_be_forgotten(system)
    await system.leave("rebuild")
    await system.append(forgetting)
    await system.fold()
    tried: list[bool] = []
    reader = await asyncpg.connect(system.url)
    await reader.execute("BEGIN; SELECT count(*) FROM read.row")
    with pytest.MonkeyPatch.context() as watched:
        drop = Store.drop_marked

        async def dropping(self: Store) -> bool:
            tried.append(await drop(self))
            return tried[-1]

        watched.setattr(Store, "drop_marked", dropping)
        watched.setattr("services.projector.live.session.DROP_INTERVAL", 3600.0)
        async with projector(system.url, system.log, poll_interval=0.0).session() as session:
            for _ in range(3):
                await session.run_once()
        assert tried == [False]
        await reader.close()
        await system.fold()
        assert tried == [False, True]
    assert (await telling(system, ana), await unfinished(system)) == (set(), 0)


async def test_a_stream_that_waited_brings_nothing_back(system: System) -> None:
    """Given a conversation whose events waited while its contact was forgotten, when it is taken up again, then no row
    tells anything of them."""
    await system.at(START)
    happenings = history(5, 2)
    notes = next(each for each in happenings if isinstance(each.event, interview.NotesTaken))
    assert isinstance(notes.event, interview.NotesTaken)
    [forgotten] = notes.event.contact_ids
    events = await write(system.log, [*happenings, on("contact", forgotten, contact.Forgotten(), happenings[-1].at)])
    talk = next(e for e in events if e.type == "interview.notes_taken" and e.stream_id == notes.stream.id)
    fold = folder(Broken(talk.position))
    async with projector(system.url, system.log, folder=fold).session() as session:
        await session.run_once()
    assert await system.connection.fetchval("SELECT stream_id FROM read.parked") == talk.stream_id

    async def unrecorded(*_: Any) -> None:
        pass

    done = await unpark(system.url, folder(), talk.tenant, talk.stream_id, discard=False, recording=unrecorded)
    assert (done.folded > 0, done.still) == (True, None)
    assert await system.connection.fetchval("SELECT count(*) FROM read.row WHERE key = $1", str(talk.stream_id)) > 0
    told = "SELECT count(*) FROM read.row r WHERE concat(r) LIKE $1 AND concat(r) LIKE '%Portfolios%'"
    assert await system.connection.fetchval(told, f"%{forgotten}%") == 0
