"""What is away, for one or for all: whose turn it is, and after which pause."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.delivery import desk
from deploy.delivery.desk import DELAYS, IN_A_ROW
from shared.client import Incoming, Unavailable
from tests.client.messages import PATIENCE
from tests.delivery.office import (
    COACH,
    NOON,
    TALK,
    Office,
    a_due,
    a_problem,
)
from tests.delivery.servers import A_MOMENT


async def test_a_report_follows_when_the_command_service_is_back(office: Office) -> None:
    """Given a mail that was sent while the command service was away, when it is back, then the report follows, and no
    second mail.
    """
    office.kithlog.away = True
    with pytest.raises(Unavailable):
        await office.deliver(a_due())
    office.kithlog.away = False
    office.clock.instant += A_MOMENT
    await office.work()
    assert (len(office.mailbox.mails), office.kithlog.reports) == (1, [("report-delivered", {"channel": "email"})])


NOT_THE_SERVICES = [
    httpx.Response(404, text="default backend - 404"),
    httpx.Response(308, headers={"location": "https://kithlog.example/"}),
    httpx.Response(404, json={"code": "unknown_seeker"}),
    httpx.Response(409, headers={"content-type": "application/problem+json"}, json={"title": "Conflict"}),
    httpx.Response(200, text="<html>Please log in</html>"),
    httpx.Response(200, json={"status": "ok"}),
    a_problem(404, "unknown_path"),
    a_problem(429, "too_many"),
]
"""What proxies say, and services that were not meant."""
IDS = [f"{answer.status_code} {answer.text or 'nothing'}" for answer in NOT_THE_SERVICES]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("answer", NOT_THE_SERVICES, ids=IDS)
async def test_what_does_not_come_from_the_services_decides_nothing(
    office: Office, answer: httpx.Response, method: str
) -> None:
    """Given something before the services, or in their place, that answers to queries or to reports, then everything
    waits; when they are back, the mail is sent and its delivery reported.
    """
    office.kithlog.instead = lambda request: answer if request.method == method else None
    with pytest.raises(Unavailable):
        await office.deliver(a_due())
    office.kithlog.instead = lambda request: None
    office.clock.instant += A_MOMENT
    await office.work()
    assert (len(office.mailbox.mails), office.kithlog.reports) == (1, [("report-delivered", {"channel": "email"})])


async def test_without_a_mail_server_everything_waits(office: Office) -> None:
    """Given no mail server, then nothing is counted against the notification; when there is one, it is sent."""
    office.port = 1
    with pytest.raises(Unavailable, match="mail server is away"):
        await office.deliver(a_due())
    await office.work_again(A_MOMENT)
    assert len(office.mailbox.mails) == 1


async def test_what_is_away_for_one_mail_holds_up_no_other(office: Office) -> None:
    """Given a query that fails each time, when others fall due, then they are mailed; that one waits, uncounted, a
    little longer each time, and is mailed when the query is answered."""
    asked: list[datetime] = []

    def fail(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith(f"/interviews/{COACH}"):
            return None
        asked.append(office.clock.instant)
        return httpx.Response(500)

    office.kithlog.instead = fail
    await office.take(a_due(1, interview_id=COACH), a_due(2), a_due(3))
    async with office.at_work():
        assert await office.mailbox.has(2, seconds=PATIENCE)
        while (following := office.ledger.next_at()) is None or len(asked) < 4:
            office.clock.instant = following or office.clock.instant
            await asyncio.sleep(0.01)
    waited = [(after - before) / A_MOMENT for before, after in pairwise(asked)]
    assert waited == [1, 2, 4]
    assert office.ledger.next_mail(NOON + timedelta(days=1))[0].attempts == 0
    office.kithlog.instead = lambda request: None
    office.clock.instant = following
    await office.work()
    assert len(office.mailbox.mails) == 3


async def test_a_server_that_goes_away_for_one_recipient_holds_up_no_other(office: Office) -> None:
    """Given a mail server that ends the connection whenever it hears of one address, then others get their mails."""

    async def hang_up(server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if address == "maya@example.org":
            cast(asyncio.WriteTransport, server.transport).abort()
        envelope.rcpt_tos.append(address)
        return "250 yes"

    office.mailbox.handle_RCPT = hang_up  # type: ignore[attr-defined]
    await office.take(a_due(1), a_due(2, stage="coach", role="coach"))
    async with office.at_work():
        assert await office.mailbox.has(1, seconds=PATIENCE)
    assert [mail["To"] for mail in office.mailbox.mails] == ["coach@example.org"]
    [waits] = office.ledger.next_mail(NOON + timedelta(hours=1))
    assert (waits.notification.position, waits.state, waits.attempts) == (1, "waiting", 0)


async def test_a_report_that_fails_holds_up_nothing(office: Office) -> None:
    """Given one report that fails each time, then other mails are sent, and reported."""
    path: list[str] = []

    def fail(request: httpx.Request) -> httpx.Response | None:
        if request.method != "POST" or request.url.path not in (path or [request.url.path]):
            return None
        path[:] = [request.url.path]
        return httpx.Response(500)

    office.kithlog.instead = fail
    await office.take(a_due(1), a_due(2), a_due(3))
    async with office.at_work(), asyncio.timeout(PATIENCE):
        while len(office.kithlog.reports) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(office.mailbox.mails) == 3


async def test_reports_that_all_fail_hold_up_no_mail(office: Office) -> None:
    office.kithlog.away = True
    await office.take(*(a_due(position) for position in range(1, 9)))
    async with office.at_work():
        assert await office.mailbox.has(8, seconds=PATIENCE)


async def test_what_is_away_for_all_is_not_asked_by_each(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given many mails and no query service, then a few are tried, and then a pause is made."""
    monkeypatch.setattr(desk, "FIRST_PAUSE", 2 * PATIENCE)
    asked, pausing, first = 0, asyncio.Event(), desk._first

    async def pause(events: Sequence[asyncio.Event], seconds: float) -> None:
        if seconds == desk.FIRST_PAUSE:
            pausing.set()
        await first(events, seconds)

    def count(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(503)

    monkeypatch.setattr(desk, "_first", pause)
    office.kithlog.instead = count
    await office.take(*(a_due(position) for position in range(1, 9)))
    async with office.at_work(), asyncio.timeout(PATIENCE):
        await pausing.wait()
    assert asked == IN_A_ROW


BROKEN = COACH
"""An interview that is asked for in vain."""


def without_the_broken(request: httpx.Request) -> httpx.Response | None:
    return httpx.Response(500) if request.url.path.endswith(f"/interviews/{BROKEN}") else None


def dues_that_fail(most: int) -> list[Incoming]:
    return [a_due(position, interview_id=BROKEN) for position in range(1, most + 1)]


async def test_many_that_fail_each_time_hold_up_no_other_for_long(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given twenty mails that fail, and behind them one that does not, then that one waits for one attempt at each of
    them, but for none of the longer pauses."""
    monkeypatch.setattr(desk, "FIRST_PAUSE", 0.01)
    office.kithlog.instead = without_the_broken
    await office.take(*dues_that_fail(20), a_due(21))
    async with office.at_work():
        assert await office.mailbox.has(1, seconds=PATIENCE)


async def test_what_has_failed_comes_after_what_has_not(office: Office) -> None:
    """Given mails that failed, and whose time has come again, then one that falls due later goes first."""
    office.kithlog.instead = without_the_broken
    await office.take(*dues_that_fail(20))
    at_work = office.desk()
    for _ in range(20):
        with pytest.raises(Unavailable):
            await at_work.send_once(office.clock)
    office.clock.instant += timedelta(hours=1)
    await office.take(a_due(21))
    assert await at_work.send_once(office.clock)
    assert len(office.mailbox.mails) == 1


async def test_a_report_that_has_failed_comes_after_what_has_not(office: Office) -> None:
    office.kithlog.away = True
    await office.take(a_due(1))
    with pytest.raises(Unavailable):
        await office.work()
    office.clock.instant += timedelta(hours=1)
    await office.take(a_due(2, dedupe_key=TALK))
    at_work = office.desk()
    assert await at_work.send_once(office.clock)
    [first] = [entry for entry in [office.ledger.next_untold(office.clock.instant)] if entry]
    assert first.notification.position == 2


async def test_a_pause_ends_when_something_new_is_written_down(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given mails that fail, and a pause before the next attempt that is long, when another falls due, then it goes
    out."""
    pausing, stop, first = asyncio.Event(), asyncio.Event(), desk._first

    class Hurrying:
        """So that whatever was put off may be tried again at once."""

        async def now(self) -> datetime:
            office.clock.instant += timedelta(minutes=1)
            return office.clock.instant

    async def endless(events: Sequence[asyncio.Event], seconds: float) -> None:
        if seconds > 0.05:
            pausing.set()
            seconds = 2 * PATIENCE
        await first(events, seconds)

    monkeypatch.setattr(desk, "_first", endless)
    monkeypatch.setattr(desk, "FIRST_PAUSE", 0.01)
    office.kithlog.instead = lambda request: httpx.Response(500)
    await office.take(a_due(1))
    sending = asyncio.create_task(office.desk().send(stop, Hurrying()))
    await pausing.wait()
    office.kithlog.instead = lambda request: None
    await office.take(a_due(2))
    assert await office.mailbox.has(1, seconds=PATIENCE)
    stop.set()
    await sending


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_time_until_another_attempt_begins_when_this_one_has_ended(office: Office, method: str) -> None:
    """Given an attempt that fails after minutes, be it of a mail or of its report."""

    def fail_slowly(request: httpx.Request) -> httpx.Response | None:
        if request.method != method:
            return None
        office.clock.instant += timedelta(minutes=5)
        return httpx.Response(500)

    office.kithlog.instead = fail_slowly
    with pytest.raises(Unavailable):
        await office.deliver(a_due())
    following = office.ledger.next_at() if method == "GET" else office.ledger.next_untold_at()
    assert following == office.clock.instant + A_MOMENT


async def test_the_time_until_a_refused_mail_is_tried_again_begins_with_the_refusal(office: Office) -> None:
    def later(mail: object) -> str:
        office.clock.instant += timedelta(minutes=5)
        return "451 later"

    office.mailbox.answer = later
    await office.deliver(a_due())
    assert office.ledger.next_at() == office.clock.instant + DELAYS[0]


async def test_time_is_left_to_send_what_expires_soon(office: Office) -> None:
    """Given a mail that is tried in vain until minutes before it expires, then it is tried again before it does."""
    expiry = NOON + timedelta(minutes=15)
    office.kithlog.instead = lambda request: (
        httpx.Response(500) if office.clock.instant < expiry - timedelta(minutes=5) else None
    )
    await office.take(a_due(expires_at=expiry.isoformat()))
    while (following := office.ledger.next_at()) is not None:
        office.clock.instant = following
        with suppress(Unavailable):
            await office.work()
    assert len(office.mailbox.mails) == 1


async def test_after_an_outage_all_goes_out_soon(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given that nothing succeeds, then what fails is tried again after the longest pause, at most."""
    asked: list[datetime] = []

    def fail(request: httpx.Request) -> httpx.Response:
        asked.append(office.clock.instant)
        return httpx.Response(500)

    monkeypatch.setattr(desk, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(desk, "LONGEST_PAUSE", 0.05)
    office.kithlog.instead = fail
    await office.take(a_due())
    async with office.at_work(), asyncio.timeout(PATIENCE):
        while len(asked) < 12:
            office.clock.instant = office.ledger.next_at() or office.clock.instant
            await asyncio.sleep(0.001)
    waited = [(after - before).total_seconds() for before, after in pairwise(asked)]
    assert max(waited) == 0.05


@pytest.mark.parametrize(("notes", "refusing"), [([{"interview_id": TALK}], None), ([], "notebook")])
async def test_a_mail_that_can_not_be_made_holds_up_no_other(
    office: Office, notes: list[Any], refusing: str | None
) -> None:
    """Given notes of a shape that is not understood, or a query that is refused, then that mail is tried again later,
    and the next is sent.
    """
    office.kithlog.notes, office.kithlog.refusing = notes, refusing
    await office.deliver(a_due(1), a_due(2, kind="connect"))
    [mail] = office.mailbox.mails
    assert mail["Subject"] == "Stay connected with Theo Adeyemi"
    office.kithlog.notes, office.kithlog.refusing = [], None
    office.clock.instant += DELAYS[0]
    await office.work()
    assert len(office.mailbox.mails) == 2
