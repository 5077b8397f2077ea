"""What a page needs, brought together while the page before it is still on its way into the database."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import pytest

from services.projector.folding.changes import Changes, OwnerId, RowId, TimerId
from services.projector.folding.folder import Folder
from services.projector.storing.loading import Loader
from shared.domain import interview, programme, seeker
from shared.timing.timers import Timer
from tests.projector.conftest import folder
from tests.projector.histories import Happening, history, on, recorded
from tests.projector.memory import Memory, pages

COACH, PROGRAMME = UUID(int=8), UUID(int=9)


class Behind:
    """A database that has all pages but the one that is on its way; in place of `Store`."""

    def __init__(self, folder: Folder) -> None:
        self._models = {model.name: model for model in folder.models}
        self.rows: dict[RowId, Any] = {}

    async def load(self, ids: Collection[RowId]) -> dict[RowId, Any]:
        return {id: row for id in ids if (row := self.rows.get(id)) is not None}

    async def load_owned(self, model: str, owners: Collection[tuple[str, UUID]]) -> list[tuple[OwnerId, RowId, Any]]:
        mine = [(id, row) for id, row in self.rows.items() if id[0] == model and row is not None]
        filed = [((model, id[1], self._models[model].file(row).owner or UUID(int=0)), id, row) for id, row in mine]
        return [each for each in filed if each[0][1:] in owners]

    async def load_mentioning(self, models: Collection[str], ids: Collection[tuple[str, UUID]]) -> dict[RowId, Any]:
        return {id: row for id, row in self.rows.items() if id[0] in models and row is not None}


def lives() -> list[Happening]:
    """Some lives, and with them what concerns many at once: a coach who changes, seekers who move, in every page."""
    happenings = history(seed=5, seekers=6)
    seekers = [each.stream.id for each in happenings if isinstance(each.event, seeker.Registered)]
    enrolled = [on("programme", PROGRAMME, programme.ParticipantEnrolled(seeker_id=id)) for id in seekers]
    often = [
        change
        for n, each in enumerate(happenings)
        for change in (
            each,
            on("programme", PROGRAMME, programme.CoachAssigned(coach_id=UUID(int=100 + n))),
            on("seeker", seekers[n % len(seekers)], seeker.Moved(time_zone=("Asia/Tokyo", "Europe/Lisbon")[n % 2])),
        )
    ]
    return [*enrolled, *often]


@pytest.mark.parametrize("kept", [0, 1, 5, 30_000])
@pytest.mark.parametrize("size", [1, 7, 60])
async def test_however_few_rows_are_kept_none_is_stale(size: int, kept: int) -> None:
    """Given a database that never shows the page on its way, when page after page is folded with any number of rows
    kept, then rows and timers are those of a fold in memory."""
    fold, events = folder(), recorded(lives())
    behind = Behind(fold)
    loader = Loader(behind, fold, kept=kept)  # type: ignore[arg-type]
    on_the_way, timers = Changes(), dict[TimerId, Any]()
    for page in pages(events, [size]):
        plan = fold.plan(page, ())
        changes = fold.fold(plan, await loader.gather(plan, on_the_way))
        assert not changes.parked
        behind.rows |= on_the_way.rows
        loader.keep(changes)
        on_the_way = changes
        timers |= changes.timers
    expected = Memory(fold).fold(events, [1])
    assert behind.rows | on_the_way.rows == expected.rows
    assert {id: timer for id, timer in timers.items() if timer is not None} == expected.timers


async def test_thanks_on_their_way_stay_said() -> None:
    """Given a conversation for which the seeker has thanked in the page on its way, when a programme gets a coach in a
    page that asks for more other rows than are kept, then nobody is to be reminded of the thanks again."""
    fold, seeker_id, contact_id, meeting = folder(), UUID(int=1), UUID(int=2), UUID(int=3)
    whose: dict[str, Any] = {"seeker_id": seeker_id, "contact_ids": (contact_id,)}
    before = [
        on("seeker", seeker_id, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin")),
        on("programme", PROGRAMME, programme.ParticipantEnrolled(seeker_id=seeker_id)),
        on("interview", meeting, interview.Held(**whose, format="coffee")),
    ]
    thanked = on("interview", meeting, interview.Thanked(**whose, how="email", thanked_ids=(contact_id,)))
    strangers = [UUID(int=500 + n) for n in range(3)]
    others = [on("seeker", each, seeker.Registered(name="Ole Vik", time_zone="Europe/Oslo")) for each in strangers]
    assigned = on("programme", PROGRAMME, programme.CoachAssigned(coach_id=COACH))
    events = recorded([*before, thanked, assigned, *others])
    first, last, page = events[:3], events[3], events[4:]
    behind = Behind(fold)
    behind.rows = Memory(fold).fold(first, [1]).rows
    loader = Loader(behind, fold, kept=1)  # type: ignore[arg-type]
    plan = fold.plan([last], ())
    on_the_way = fold.fold(plan, await loader.gather(plan, Changes()))
    loader.keep(on_the_way)
    plan = fold.plan(page, ())
    changes = fold.fold(plan, await loader.gather(plan, on_the_way))
    assert "thank_you" not in {timer.policy for timer in changes.timers.values() if isinstance(timer, Timer)}
