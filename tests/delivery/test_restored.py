"""The log was restored to an earlier point, and the mark set back to it: what the ledger knows from beyond is void."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from pathlib import Path

import httpx
import pytest

from deploy.delivery.desk import DELAYS, Desk
from deploy.delivery.post import Post
from deploy.delivery.service import go_back, run
from deploy.delivery.settings import DeliverySettings, Services
from shared.client import Forked, Mark, Unavailable
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


async def waits_again(office: Office, desk: Desk) -> None:
    """A mail that was on its way when the log withdrew it, at a position that the broker has not brought."""
    office.store.mark = Mark(epoch=1, proven=100)
    office.mailbox.answer = lambda mail: "451 later"
    office.log = [a_due(90), a_due(100)]
    await office.take(a_due(90))
    assert await desk.send_once(office.clock)
    office.mailbox.answer = lambda mail: "250 taken"
    office.clock.instant += DELAYS[0]
    office.log.append(a_withdrawal(118))
    assert await desk.send_once(office.clock)
    assert office.ledger.next_at() is None


@pytest.mark.parametrize("head", [112, 118, 130], ids=["shorter", "as long", "longer"])
async def test_what_was_read_ahead_of_the_broker_is_forgotten_with_a_restore(office: Office, head: int) -> None:
    """Given a withdrawal that the feed told of and the broker did not bring, when the log is restored to a point before
    it, but after all that was brought, then the service goes on, and what it had ended is mailed; what ends
    something now does, also where that has come before what was read."""
    desk = office.desk()
    await waits_again(office, desk)
    office.history.epoch = 2
    office.log = [a_due(90), a_due(100), a_withdrawal(111, key="other", epoch=2), a_due(head, epoch=2)]
    await office.take(a_due(91, kind="connect", cancellation_key="other"))
    while await desk.send_once(office.clock):
        pass
    assert [mail["Subject"] for mail in office.mailbox.mails] == ["Say thank you to Theo Adeyemi"]


@pytest.mark.parametrize("process", ["same", "next"])
async def test_what_was_left_out_is_looked_at_though_nothing_else_waits(office: Office, process: str) -> None:
    """Given such a restore, and no other mail that falls due, then what had been ended is mailed by the next look."""
    desk = office.desk()
    await waits_again(office, desk)
    desk = desk if process == "same" else office.desk()
    assert not await desk.send_once(office.clock)
    office.history.epoch, office.log = 2, [a_due(90), a_due(100), a_due(112, epoch=2)]
    assert await desk.send_once(office.clock)
    assert len(office.mailbox.mails) == 1


async def test_a_withdrawal_that_could_not_be_handled_yet_is_known_by_the_feed(office: Office) -> None:
    """Given a withdrawal that the broker has brought and that failed, so that it is to come again, then what it ends is
    not mailed meanwhile."""
    office.store.mark = Mark(epoch=1, proven=118, begun={118: 1})
    office.log = [a_due(90), a_withdrawal(118)]
    await office.take(a_due(90))
    desk = office.desk()
    while await desk.send_once(office.clock):
        pass
    assert office.mailbox.mails == []


async def test_what_was_read_ahead_of_the_broker_is_unknown_to_the_next_process(office: Office) -> None:
    """Given such a restore while no service runs, and a mark that has come beyond the lost withdrawal since, then what
    that had ended is mailed."""
    await waits_again(office, office.desk())
    office.store.mark, office.history.epoch = Mark(epoch=2, proven=130), 2
    office.log = [a_due(90), a_due(130, epoch=2)]
    office.ledger.close()
    mark(office, 2, 130)
    await start(office)
    await office.work()
    assert len(office.mailbox.mails) == 1


async def test_what_the_broker_has_brought_is_not_kept_as_read_ahead(office: Office) -> None:
    desk = office.desk()
    await waits_again(office, desk)

    def ahead() -> int:
        [count] = office.ledger._file.execute("SELECT count(*) FROM ahead").fetchone()
        return int(count)

    assert ahead() == 1
    await office.take(a_withdrawal(118), a_due(91, cancellation_key="other"))
    office.store.mark = Mark(epoch=1, proven=118)
    assert await desk.send_once(office.clock)
    assert (ahead(), len(office.mailbox.mails)) == (0, 1)
    assert not office.ledger.ended_ahead()


async def test_of_what_is_over_a_look_goes_through_nothing(office: Office) -> None:
    """Given many mails that were withdrawn, when a look finds nothing to send, then it takes no more than after few: it
    is taken whenever something falls due."""
    desk = office.desk()

    async def withdrawn(first: int, number: int) -> None:
        for position in range(first, first + 2 * number, 2):
            key = f"key:{position}"
            await office.take(a_due(position, cancellation_key=key), a_withdrawal(position + 1, key=key))
        while await desk.send_once(office.clock):
            pass

    async def steps() -> int:
        """Of SQLite's machine."""
        taken = count()
        office.ledger._file.set_progress_handler(lambda: next(taken) < 0, 1)
        assert not await desk.send_once(office.clock)
        office.ledger._file.set_progress_handler(None, 1)
        return next(taken)

    await withdrawn(1, 2)
    few = await steps()
    await withdrawn(100, 40)
    assert 0 < await steps() == few


async def test_a_log_that_ends_before_what_was_brought_ends_the_service(office: Office) -> None:
    desk = office.desk()
    await waits_again(office, desk)
    office.store.mark = Mark(epoch=1, proven=100, done=frozenset({115}))
    office.log = [a_due(90), a_due(112, epoch=2)]
    office.history.epoch = 2
    await office.take(a_due(91, cancellation_key="other"))
    with pytest.raises(Forked):
        await desk.send_once(office.clock)
    assert office.mailbox.mails == []


@pytest.mark.parametrize("top", [100, 104], ids=["not in its time", "in its time"])
async def test_a_log_that_has_another_timeline_at_what_was_brought_ends_the_service(office: Office, top: int) -> None:
    """Given a mark of the lost timeline, and a log that has come further in the next one, when something is to be
    mailed, then nothing is, and the service stops; not where that one began behind the mark."""
    office.store.mark, office.history.epoch = Mark(epoch=1, proven=top), 2
    office.log = [a_due(100), a_due(102, epoch=2, dedupe_key="a"), a_due(104, epoch=2, dedupe_key="b")]
    await office.take(a_due(90))
    if top == 104:
        with pytest.raises(Forked, match="position 104 of epoch 1"):
            await office.desk().send_once(office.clock)
    else:
        assert await office.desk().send_once(office.clock)
    assert len(office.mailbox.mails) == (top == 100)


async def test_who_left_in_the_lost_time_is_told_again(office: Office) -> None:
    """Given a notification that was not mailed because its seeker had left, when the log is restored to before that,
    then it is mailed.
    """
    office.kithlog.seeker["left_at"] = "2026-03-02T11:00:00Z"
    await office.deliver(a_due(90), a_due(91, dedupe_key="forgotten", cancellation_key="another"))
    assert office.mailbox.mails == []
    del office.kithlog.seeker["left_at"]
    await start_at(office, 2, 100)
    await office.deliver(a_due(102, dedupe_key="new", epoch=2, cancellation_key="another"))
    assert len(office.mailbox.mails) == 3


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
