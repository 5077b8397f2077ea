"""What is written down: once, on disk, and for long enough."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from deploy.delivery.intake import Intake
from deploy.delivery.ledger import Ledger
from deploy.delivery.service import rules
from shared.client import Unavailable
from shared.client.testing import Trial
from tests.client.messages import PATIENCE
from tests.delivery.office import (
    NOON,
    TALK,
    Office,
    a_due,
    a_problem,
    a_withdrawal,
)


async def test_a_notification_that_comes_twice_is_one_mail(office: Office) -> None:
    """Given the same notification at two positions, and a new process in between, then one mail and one report."""
    await office.deliver(a_due(1, dedupe_key="same"))
    await office.deliver(a_due(2, dedupe_key="same"))
    assert (len(office.mailbox.mails), len(office.kithlog.reports)) == (1, 1)


async def test_a_report_that_is_refused_is_not_repeated(office: Office) -> None:
    """Given a notification that has had another end meanwhile, then the desk goes on with the next."""
    refused: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response | None:
        if request.method != "POST" or refused:
            return None
        refused.append(request.url.path)
        return a_problem(404, "unknown_notification")

    office.kithlog.instead = refuse
    await office.deliver(a_due(1), a_due(2))
    await office.work()
    assert (len(office.mailbox.mails), len(refused), len(office.kithlog.reports)) == (2, 1, 1)


def test_what_is_written_down_is_on_disk(tmp_path: Path) -> None:
    """Given a ledger, then SQLite waits at each commit until it is on disk: less than FULL is not enough with a WAL."""
    ledger = Ledger(tmp_path / "mails.db")
    settings = [ledger._file.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    ledger.close()
    assert settings == ["wal", 2]


@contextmanager
def held(ledger: Ledger) -> Iterator[None]:
    """Somebody else writes to the ledger's file, and is not waited for."""
    [(_, _, path)] = ledger._file.execute("PRAGMA database_list").fetchmany(1)
    ledger._file.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def test_a_ledger_that_can_not_be_written_to_costs_no_notification(office: Office) -> None:
    """Given a ledger that is held by somebody else, or whose disk is full, when something falls due or is withdrawn,
    then it waits and no attempt is counted, however often; once there is room, it is mailed, once."""
    intake = Intake(office.ledger, office.clock, timedelta(), office.rung.set)
    trial = Trial(intake.handlers(), rules=rules("*"))
    with held(office.ledger):
        for event in (a_due(1), a_withdrawal(2, key="other")) * (len(rules("*").delays) + 1):
            with pytest.raises(Unavailable, match="the ledger can't be used: database is locked"):
                await trial.give(event)
    assert (trial.parked, trial.waiting) == ([], [])
    await trial.give(a_due(1))
    await office.work()
    assert (len(office.mailbox.mails), trial.parked) == (1, [])


async def test_a_ledger_that_can_not_be_written_to_keeps_mails_and_reports_waiting(office: Office) -> None:
    """Given such a ledger when a mail or a report has its turn, then that waits, and follows, once."""
    await office.take(a_due(1))
    desk = office.desk()
    with held(office.ledger), pytest.raises(Unavailable, match="locked"):
        await desk.send_once(office.clock)
    assert office.mailbox.mails == []
    assert await desk.send_once(office.clock)
    with held(office.ledger), pytest.raises(Unavailable, match="locked"):
        await desk.report_once(office.clock)
    assert await desk.report_once(office.clock)
    assert not await desk.send_once(office.clock)
    assert len(office.mailbox.mails) == 1


async def test_a_ledger_that_can_not_be_read_for_once_ends_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a ledger that does not tell when there will be something to do, then what falls due afterwards is mailed
    and reported."""
    next_at, failed = Ledger._next_at, asyncio.Event()

    def failing(ledger: Ledger, which: str, fresh: bool) -> datetime | None:
        if not failed.is_set():
            failed.set()
            raise Unavailable("the ledger can't be used: disk I/O error")
        return next_at(ledger, which, fresh)

    monkeypatch.setattr(Ledger, "_next_at", failing)
    async with office.at_work(), asyncio.timeout(PATIENCE):
        await failed.wait()
        await office.take(a_due(1))
        assert await office.mailbox.has(1, seconds=PATIENCE)


async def test_a_ledger_of_an_earlier_release_is_taken(office: Office) -> None:
    """Given one that does not know yet what was put off."""
    await office.take(a_due())
    office.ledger.close()
    earlier = sqlite3.connect(office.folder / "mails.db")
    earlier.execute("ALTER TABLE notification DROP COLUMN in_vain")
    earlier.close()
    await office.work()
    assert len(office.mailbox.mails) == 1


async def test_the_ledger_forgets_what_is_long_over(office: Office) -> None:
    """Given what was mailed, given up or withdrawn, and what ended it, when six weeks have passed since it expired,
    then the ledger holds nothing of it; what waits for its report stays, and so does what is withdrawn and may come."""
    office.kithlog.notes = [{"interview_id": TALK}]
    overdue = (NOON - timedelta(days=30)).isoformat()
    await office.deliver(
        a_due(1, kind="connect", expires_at=overdue),
        a_due(2, cancellation_key="ended"),
        a_withdrawal(3, key="ended"),
        a_withdrawal(4, key="of nothing that is known"),
        a_due(5, kind="connect", cancellation_key="connect"),
    )
    office.kithlog.away = True
    with pytest.raises(Unavailable):
        await office.deliver(a_due(6, kind="connect", cancellation_key="untold"), a_withdrawal(7, key="later"))

    def held() -> list[tuple[int, str]]:
        file = sqlite3.connect(office.folder / "mails.db")
        found = file.execute("SELECT position, key FROM notification UNION ALL SELECT position, key FROM withdrawal")
        rows = sorted(found.fetchall())
        file.close()
        return [(position, key.removeprefix("demo/")) for position, key in rows]

    everything = held()
    assert len(everything) == 7
    at_work = office.desk()
    for days, rest in ((12, 7), (1, 6), (29, 6), (2, 2)):
        office.clock.instant += timedelta(days=days)
        with suppress(Unavailable):
            await at_work.send_once(office.clock)
        assert len(held()) == rest, office.clock.instant
    assert held() == [everything[5], everything[6]]


async def test_what_is_replayed_after_the_ledger_has_forgotten_it_is_not_reported_anew(office: Office) -> None:
    """Given a mail that was delivered and reported, when it is replayed six weeks after it has expired and more, then
    the log is not told that it failed."""
    due = a_due()
    await office.deliver(due)
    office.clock.instant += timedelta(days=60)
    await office.work()
    await office.deliver(due)
    assert (len(office.mailbox.mails), [each for each, _ in office.kithlog.reports]) == (1, ["report-delivered"])
