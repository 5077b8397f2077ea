"""Contacts who are forgotten: whatever the pages, the rows tell nothing of them; and a fold afresh agrees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.projector import rebuild_building
from services.projector.rebuild import rebuild, roll_back
from services.projector.rebuild_selection import Selection
from services.projector.rebuild_work import NAMES
from services.projector.unparking import unpark
from services.projector.verify import compare
from shared.domain import contact, interview, relationship
from shared.domain.kernel import Event
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
    monkeypatch.setattr(rebuild_building, "PAGE", 5)
    monkeypatch.setattr(rebuild_building, "FLUSH", 10)
    for selection in (Selection(), Selection(below=64)):
        report = await compare(system.url, POLICIES, NAMES, selection=selection)
        assert (report.unexplained, report.failures) == (0, [])
    assert (await rebuild(system.url, POLICIES, NAMES)).switched


async def test_what_is_kept_to_go_back_to_loses_its_rows(system: System) -> None:
    """Given a generation from before, when a contact is forgotten, then it holds no row that mentions them; whoever
    goes back mends that, and all is as a fold afresh leads to."""
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
    await roll_back(system.url, POLICIES, NAMES)
    assert (await compare(system.url, POLICIES, NAMES, heal=True)).healed > 5
    assert (await compare(system.url, POLICIES, NAMES)).unexplained == 0


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
