"""The log was restored to an earlier point, and the mark set back to it: what the ledger knows from beyond is void."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from deploy.delivery.post import Post
from deploy.delivery.service import go_back, run
from deploy.delivery.settings import DeliverySettings, Services
from shared.client import Unavailable
from tests.delivery.office import Office, a_due, a_problem, a_withdrawal


def mark(office: Office, epoch: int, proven: int) -> None:
    """Of a service that has come so far."""
    kept = {"epoch": epoch, "proven": proven, "done": [], "begun": {}, "saves": 1}
    (office.folder / "mark.json").write_text(json.dumps(kept))


async def start(office: Office) -> None:
    """The service, which is told to stop before it has done anything."""
    stop = asyncio.Event()
    stop.set()
    await run(Services(), DeliverySettings(state=office.folder), Post("127.0.0.1", office.port), stop)


async def start_at(office: Office, epoch: int, position: int) -> None:
    """What an operator does: tell it of the restore, start the service."""
    mark(office, epoch - 1, 120)
    await go_back(DeliverySettings(state=office.folder), position, epoch)
    await start(office)


async def test_what_fell_due_in_the_lost_time_holds_up_nobody(office: Office) -> None:
    """Given a notification that waits for a position which the log no longer reaches, when the mark is set back, then
    what falls due now is mailed; that one, too, once it falls due again.
    """
    head = 103

    def visible(request: httpx.Request) -> httpx.Response | None:
        asked = int(request.url.params.get("min_position", 0))
        return a_problem(503, "not_yet_visible") if asked > head else None

    office.kithlog.instead = visible
    with pytest.raises(Unavailable):
        await office.deliver(a_due(120, dedupe_key="lost"))
    await start_at(office, 2, 100)
    await office.deliver(a_due(102, dedupe_key="new", epoch=2))
    assert len(office.mailbox.mails) == 1
    head = 104
    await office.deliver(a_due(104, dedupe_key="lost", epoch=2))
    assert len(office.mailbox.mails) == 2


async def test_a_withdrawal_that_was_undone_silences_nothing(office: Office) -> None:
    """Given one that was withdrawn in the lost time, and one before it, then what is still due of them is mailed, and
    so is what falls due with the same key at a position before the lost withdrawal.
    """
    await office.deliver(a_withdrawal(118), a_due(90))
    await office.deliver(a_withdrawal(95, key="kept"), a_due(91, cancellation_key="kept"))
    assert office.mailbox.mails == []
    await start_at(office, 2, 100)
    await office.deliver(a_due(105, stage="overdue", epoch=2))
    assert [each for each, _ in office.kithlog.reports] == ["report-delivered"] * 2


async def test_what_was_mailed_in_the_lost_time_is_not_mailed_again_but_reported(office: Office) -> None:
    """Given a mail that was sent in the lost time, when it falls due again, then the log is told of its delivery; also
    after a further start.
    """
    await office.deliver(a_due(110, dedupe_key="sent"))
    await start_at(office, 2, 100)
    for _ in range(2):
        await office.deliver(a_due(106, dedupe_key="sent", epoch=2))
        await start_at(office, 2, 106)
    assert (len(office.mailbox.mails), len(office.kithlog.reports)) == (1, 2)


async def test_a_start_in_the_same_timeline_forgets_nothing(office: Office) -> None:
    """Given what was written down right before the process ended, so that its mark does not tell of it, then it is
    mailed, or not, as it was to be.
    """
    await office.take(a_due(1), a_withdrawal(3), a_due(4, cancellation_key="other"))
    mark(office, 1, 2)
    await start(office)
    await office.work()
    assert len(office.mailbox.mails) == 1


async def test_a_restore_is_told_once(office: Office) -> None:
    """Given a service that was told of a restore, when it is told of the same epoch again, then it refuses: what it has
    seen since would be seen twice."""
    await start_at(office, 2, 100)
    with pytest.raises(ValueError, match="is of epoch 2"):
        await go_back(DeliverySettings(state=office.folder), 100, 2)


async def test_who_has_seen_nothing_has_nothing_to_go_back_from(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not there"):
        await go_back(DeliverySettings(state=tmp_path), 100, 2)
