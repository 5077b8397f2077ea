"""What becomes of a notification: a mail, once, or a reason why not; and a report."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import zoneinfo
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from importlib.resources import files
from itertools import count, pairwise
from pathlib import Path
from typing import Any, Literal, cast
from unittest.mock import AsyncMock, patch
from uuid import UUID

import aiosmtplib
import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from aiosmtplib.protocol import SMTPProtocol

from deploy.delivery import desk
from deploy.delivery.desk import DELAYS, FIRST_PAUSE, IN_A_ROW, NOT_KNOWN
from deploy.delivery.intake import Intake
from deploy.delivery.ledger import Ledger
from deploy.delivery.mailbox import text_of
from deploy.delivery.post import PATIENCE_WITH_DATA, Post
from deploy.delivery.service import rules, run
from deploy.delivery.settings import DeliverySettings, Services
from deploy.delivery.wording import piece, thanks, wording, write
from shared.client import Consumer, Incoming, Mark, Rules, Unavailable, Wiring
from shared.client.testing import Trial
from shared.timing.policies import default_policies
from tests.client.messages import PATIENCE
from tests.delivery.office import (
    COACH,
    LEAD,
    NOON,
    TALK,
    THEO,
    Office,
    a_due,
    a_problem,
    a_snooze,
    a_withdrawal,
    an_acknowledgement,
)
from tests.timing.story import Story, fired

A_MOMENT = timedelta(seconds=FIRST_PAUSE)
VALUES = {
    "seeker": "Maya",
    "contacts": "Theo",
    "met": "Dora",
    "lead": " (Ben)",
    "about": "agencies",
    "when": "soon",
    "draft": "…",
}


async def test_a_thank_you_comes_with_a_draft_of_what_was_noted(office: Office) -> None:
    """Given notes of the conversation, when the thank-you falls due, then the mail holds a draft that uses them, as
    text and as HTML in which nothing that people wrote is markup, and the delivery is reported.
    """
    office.kithlog.notes = [
        {"interview_id": COACH, "advice": [], "points": ["of another one"], "text": None},
        {"interview_id": TALK, "advice": [{"text": "Learn to <write> briefs"}], "points": ["p"], "text": "t"},
    ]
    await office.deliver(a_due())
    [mail] = office.mailbox.mails
    html = mail.get_body(("html",))
    assert html is not None
    assert (mail["To"], mail["Subject"]) == ('"Maya <b>" <maya@example.org>', "Say thank you to Theo Adeyemi")
    assert "What stays with me above all: Learn to <write> briefs." in text_of(mail)
    assert "agency work" in text_of(mail)
    assert "Learn to &lt;write&gt; briefs" in html.get_content()
    assert "<b>" not in html.get_content()
    assert office.kithlog.reports == [("report-delivered", {"channel": "email"})]


async def test_a_notification_that_comes_twice_is_one_mail(office: Office) -> None:
    """Given the same notification at two positions, and a new process in between, then one mail and one report."""
    await office.deliver(a_due(1, dedupe_key="same"))
    await office.deliver(a_due(2, dedupe_key="same"))
    assert (len(office.mailbox.mails), len(office.kithlog.reports)) == (1, 1)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("when_unsure", ["never", "again"])
async def test_killed_between_the_servers_answer_and_our_record(
    office: Office, monkeypatch: pytest.MonkeyPatch, when_unsure: Literal["never", "again"]
) -> None:
    """Given a process that ended right after the server took the mail, when the next one finds it so, then it sends
    none and reports a failure; or, if it was told to, the same again under the same `Message-ID`.
    """

    def kill(ledger: Ledger, keys: object) -> None:
        raise Killed

    office.when_unsure = when_unsure
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "sent", kill)
        with pytest.raises(Killed):
            await office.deliver(a_due(1), a_due(2))
    await office.work()
    ids = [mail["Message-ID"] for mail in office.mailbox.mails]
    reports = office.kithlog.reports
    if when_unsure == "never":
        assert [report for report, _ in reports] == ["report-failed", "report-delivered"]
        assert ("not known" in reports[0][1]["why"], reports[0][1]["permanent"]) == (True, False)
        assert len(ids) == len(set(ids)) == 2, "the second had not been begun"
    else:
        assert [report for report, _ in reports] == ["report-delivered", "report-delivered"]
        assert (len(ids), len(set(ids))) == (3, 2)


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


async def test_a_seeker_who_is_not_there_is_reported_for_good(office: Office) -> None:
    """Given the query service's own word that there is none, then nobody can be written to."""
    office.kithlog.instead = lambda request: a_problem(404, "unknown_seeker") if request.method == "GET" else None
    await office.deliver(a_due())
    [(report, body)] = office.kithlog.reports
    assert (office.mailbox.mails, report, body["permanent"]) == ([], "report-failed", True)


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


async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A mail server that takes a mail's data and ends the connection."""
    writer.write(b"220 hello\r\n")
    while line := await reader.readline():
        if line == b".\r\n":
            break
        if line.split()[:1] and line.split()[0] in (b"EHLO", b"MAIL", b"RCPT"):
            writer.write(b"250 yes\r\n")
        elif line == b"DATA\r\n":
            writer.write(b"354 go on\r\n")
    writer.close()


@pytest.mark.parametrize(("when_unsure", "report"), [("never", "report-failed"), ("again", "report-delivered")])
async def test_a_server_that_goes_away_before_its_answer_leaves_it_unsure(
    office: Office, when_unsure: Literal["never", "again"], report: str
) -> None:
    """Given a server that takes the data and ends the connection, then it is reported so, or sent again in a while."""
    office.when_unsure = when_unsure
    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    office.port = server.sockets[0].getsockname()[1]
    async with server:
        await office.deliver(a_due())
        assert office.kithlog.reports == []
    office.port = office.mailbox.port
    office.clock.instant += DELAYS[0]
    await office.work()
    assert [each for each, _ in office.kithlog.reports] == [report]
    assert len(office.mailbox.mails) == (when_unsure == "again")


@pytest.mark.parametrize(
    "said",
    [
        {b"": b"554 5.3.2 no SMTP service here now"},
        {b"EHLO": b"550 5.7.1 your address is not welcome", b"HELO": b"550 5.7.1 nor that one"},
        {b"MAIL": b"530 5.7.0 Authentication required"},
        {b"MAIL": b"550 5.7.1 no such sender"},
        {b"RCPT": b"530 5.7.0 Authentication required"},
    ],
    ids=["greeting", "hello", "sender, to strangers", "sender", "recipient, to strangers"],
)
async def test_a_server_that_deals_with_nobody_refuses_no_mail(office: Office, said: dict[bytes, bytes]) -> None:
    """Given a server that refuses whoever comes, before it has judged a recipient, then everything waits and nothing
    is counted against the mail.
    """

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said.get(b"", b"220 hello") + b"\r\n")
        while line := await reader.readline():
            writer.write(said.get(line[:4].upper(), b"250 yes") + b"\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        office.port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="takes no mail from us"):
            await office.deliver(a_due())
    office.port = office.mailbox.port
    office.clock.instant += A_MOMENT
    await office.work()
    assert [each for each, _ in office.kithlog.reports] == ["report-delivered"]


async def test_a_recipient_whom_the_server_does_not_know_is_reported_for_good(office: Office) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            writer.write(b"550 5.1.1 nobody of that name\r\n" if line.startswith(b"RCPT") else b"250 yes\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        office.port = server.sockets[0].getsockname()[1]
        await office.deliver(a_due())
    [(report, body)] = office.kithlog.reports
    assert (report, body["permanent"], "nobody of that name" in body["why"]) == ("report-failed", True, True)


OF_US = [b"554 5.7.1 <relay> denied", b"553 5.1.8 unknown sender", b"550 5.1.7 bad sender", b"550 5.3.5 misconfigured"]
OF_US += [b"550-5.4.1 who\r\n550 5.4.1 are you", b"504 5.5.2 bad hello", b"550 5.7.26 unauthenticated"]
OF_THE_RECIPIENT = [b"550 nobody", b"550 5.1.1 nobody", b"550 5.1.6 moved", b"556 5.1.10 null MX", b"552 5.2.2 full"]
OF_THE_RECIPIENT += [b"550 5.0.0 nobody", b"550 5.1.70 nobody", b"550 is 5.7.1 away"]


def refusing(verb: bytes, answer: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A mail server that answers so to a command, or to a mail (`.`)."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA") and verb != b"DATA":
                writer.write(b"354 go on\r\n")
                while (line := await reader.readline()) != b".\r\n":
                    pass
            writer.write((answer if line.startswith(verb) else b"250 yes") + b"\r\n")
        writer.close()

    return refuse


@pytest.mark.parametrize("verb", [b"RCPT", b"DATA"])
@pytest.mark.parametrize("answer", OF_US)
async def test_what_a_server_says_of_us_is_no_word_about_the_recipient(
    office: Office, answer: bytes, verb: bytes
) -> None:
    """Given a server that tells only after the recipient that it takes no mail from us, whoever it is for, then
    everything waits, uncounted; what expires meanwhile is reported with its words, but not with the address."""
    async with await asyncio.start_server(refusing(verb, answer), "127.0.0.1", 0) as server:
        office.port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="takes no mail from us"):
            await office.deliver(a_due(1), a_due(2, expires_at=(NOON + A_MOMENT).isoformat()))
        with pytest.raises(Unavailable, match="takes no mail from us"):
            await office.work()
    office.port = office.mailbox.port
    office.clock.instant += A_MOMENT
    await office.work()
    reports = sorted(office.kithlog.reports, key=lambda report: report[0])
    assert [each for each, _ in reports] == ["report-delivered", "report-failed"]
    assert reports[1][1]["permanent"] is False
    assert answer[4:].split()[0].decode() in reports[1][1]["why"]
    assert "maya@example.org" not in reports[1][1]["why"]


@pytest.mark.parametrize(
    ("verb", "answer"), [*((b"RCPT", answer) for answer in OF_THE_RECIPIENT), (b".", b"554 5.7.1 spam")]
)
async def test_what_a_server_says_of_the_recipient_or_the_mail_is_final(
    office: Office, verb: bytes, answer: bytes
) -> None:
    async with await asyncio.start_server(refusing(verb, answer), "127.0.0.1", 0) as server:
        office.port = server.sockets[0].getsockname()[1]
        await office.deliver(a_due())
    [(report, body)] = office.kithlog.reports
    assert (report, body["permanent"]) == ("report-failed", True)


async def test_a_policy_against_one_recipient_holds_up_no_other(office: Office) -> None:
    """Given a server that does not let us write to one address, then others get their mails; that one waits, until it
    expires."""

    async def refuse(server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if address == "maya@example.org":
            return "550 5.7.1 you are not allowed to write here"
        envelope.rcpt_tos.append(address)
        return "250 yes"

    office.mailbox.handle_RCPT = refuse  # type: ignore[attr-defined]
    await office.take(a_due(1), a_due(2, stage="coach", role="coach"))
    async with office.at_work():
        assert await office.mailbox.has(1, seconds=PATIENCE)
    assert [mail["To"] for mail in office.mailbox.mails] == ["coach@example.org"]
    office.clock.instant += timedelta(days=1)
    await office.work()
    assert sorted((body.get("permanent"), "not allowed" in str(body)) for _, body in office.kithlog.reports[1:]) == [
        (False, True)
    ]


@pytest.mark.parametrize(("verb", "code"), [(b"RCPT", b"550"), (b"RCPT", b"450"), (b".", b"554"), (b".", b"451")])
async def test_what_a_server_says_may_be_in_any_encoding(office: Office, verb: bytes, code: bytes) -> None:
    """Given a refusal in Latin-1, then it is reported, or tried again, as any other."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 go on\r\n")
                while (line := await reader.readline()) != b".\r\n":
                    pass
            writer.write(code + b" 5.1.1 Empf\xe4nger unbekannt\r\n" if line.startswith(verb) else b"250 yes\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        office.port = server.sockets[0].getsockname()[1]
        await office.deliver(a_due())
    if code.startswith(b"5"):
        [(report, body)] = office.kithlog.reports
        assert (report, body["permanent"], "unbekannt" in body["why"]) == ("report-failed", True, True)
    else:
        assert office.kithlog.reports == []
    assert office.mailbox.mails == []


async def test_a_server_has_minutes_to_answer(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """As RFC 5321 asks for: it may ask others about an address, and look through the mail, before it says yes."""
    read, patience = SMTPProtocol.read_response, list[object]()

    async def noted(protocol: SMTPProtocol, timeout: float | None = None) -> object:
        patience.append(timeout)
        return await read(protocol, timeout)

    monkeypatch.setattr(SMTPProtocol, "read_response", noted)
    await office.deliver(a_due())
    assert (patience[-5:], len(office.mailbox.mails)) == ([300.0, 300.0, 120.0, 600.0, 2.0], 1)


@pytest.mark.parametrize("when_unsure", ["never", "again"])
async def test_a_server_that_goes_away_before_it_wants_the_data_has_taken_nothing(
    office: Office, when_unsure: Literal["never", "again"]
) -> None:
    """Given a connection that breaks when the data are announced, then nothing was sent, and the mail is, later."""

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while (line := await reader.readline()) and not line.startswith(b"DATA"):
            writer.write(b"250 yes\r\n")
        writer.close()

    office.when_unsure = when_unsure
    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        office.port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="mail server is away"):
            await office.deliver(a_due())
    office.port = office.mailbox.port
    office.clock.instant += A_MOMENT
    await office.work()
    assert [each for each, _ in office.kithlog.reports] == ["report-delivered"]
    assert len(office.mailbox.mails) == 1


@pytest.mark.parametrize(
    ("answer", "report"), [(b"451 later", []), (b"250 yes", []), (b"554 no valid recipients", ["report-failed"])]
)
async def test_a_server_that_does_not_want_the_data_has_refused_the_mail(
    office: Office, answer: bytes, report: list[str]
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            writer.write((answer if line.startswith(b"DATA") else b"250 yes") + b"\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        office.port = server.sockets[0].getsockname()[1]
        await office.deliver(a_due())
    office.port = office.mailbox.port
    office.clock.instant += DELAYS[0]
    await office.work()
    assert [each for each, _ in office.kithlog.reports] == (report or ["report-delivered"])
    assert len(office.mailbox.mails) == (not report)


async def test_lines_that_begin_with_a_dot_arrive_as_they_are(office: Office) -> None:
    """Where a line holds nothing else, the mail would end there."""
    with patch("deploy.delivery.composing.thanks", lambda *_: "\n.\n.. and\n.\n"):
        await office.deliver(a_due())
    [mail] = office.mailbox.mails
    assert "\n.\n.. and\n.\n" in text_of(mail).replace("\r", "")


@pytest.mark.parametrize("error", [ValueError("not a reply"), RuntimeError("the transport is closed")])
async def test_whatever_happens_after_the_servers_answer_the_mail_is_sent(
    office: Office, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Given a server that has taken the mail, when taking leave of it fails in any way, then the mail is sent, once."""
    monkeypatch.setattr(aiosmtplib.SMTP, "quit", AsyncMock(side_effect=error))
    await office.deliver(a_due())
    monkeypatch.undo()
    office.clock.instant += DELAYS[0]
    await office.work()
    assert [each for each, _ in office.kithlog.reports] == ["report-delivered"]
    assert len(office.mailbox.mails) == 1


async def test_that_it_was_taken_is_written_down_before_anything_else(office: Office) -> None:
    """Given a server that has taken the mail, when it is told that we leave, then that is in the ledger."""
    known: list[str] = []

    async def leave(server: SMTP, session: Session, envelope: Envelope) -> str:
        ledger = Ledger(office.folder / "mails.db")
        known.extend(entry.state for entry in [ledger.next_untold(office.clock.instant)] if entry)
        ledger.close()
        return "221 bye"

    office.mailbox.handle_QUIT = leave  # type: ignore[attr-defined]
    await office.deliver(a_due())
    assert known == ["sent"]


def test_what_is_written_down_is_on_disk(tmp_path: Path) -> None:
    """Given a ledger, then SQLite waits at each commit until it is on disk: less than FULL is not enough with a WAL."""
    ledger = Ledger(tmp_path / "mails.db")
    settings = [ledger._file.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    ledger.close()
    assert settings == ["wal", 2]


@pytest.mark.parametrize("error", [ValueError("not a reply"), RuntimeError("the transport is closed")])
async def test_whatever_happens_once_the_data_go_out_leaves_it_unsure(
    office: Office, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Given a server that has taken the data, when waiting for its answer fails in any way, then no second mail goes
    out, and it is reported that this is not known.
    """
    read = SMTPProtocol.read_response

    async def lose_the_answer(protocol: SMTPProtocol, timeout: float | None = None) -> object:
        answer = await read(protocol, timeout)
        if timeout == PATIENCE_WITH_DATA:
            raise error
        return answer

    monkeypatch.setattr(SMTPProtocol, "read_response", lose_the_answer)
    await office.deliver(a_due())
    monkeypatch.undo()
    office.clock.instant += DELAYS[0]
    await office.work()
    [(report, body)] = office.kithlog.reports
    assert (len(office.mailbox.mails), report, body["why"]) == (1, "report-failed", NOT_KNOWN)


@pytest.mark.parametrize("answer", ["yes, thank you", "150 maybe", "354 go on"])
async def test_an_answer_that_says_neither_yes_nor_no_leaves_it_unsure(office: Office, answer: str) -> None:
    """Given a server that answers to the mail with no reply that the protocol knows there, then no second goes out."""
    office.mailbox.answer = lambda mail: answer
    await office.deliver(a_due())
    office.mailbox.answer = lambda mail: "250 taken"
    office.clock.instant += DELAYS[0]
    await office.work()
    [(report, body)] = office.kithlog.reports
    assert (office.mailbox.mails, report, body["why"]) == ([], "report-failed", NOT_KNOWN)


async def test_a_refusal_for_good_is_reported_and_one_for_now_is_tried_again(office: Office) -> None:
    """Given 451, then the mail is tried again later, and sent; given 550, then the failure is reported as permanent."""
    office.mailbox.answer = lambda mail: "451 later"
    await office.deliver(a_due(1))
    office.mailbox.answer = lambda mail: "250 taken"
    await office.work()
    assert (office.mailbox.mails, office.kithlog.reports) == ([], [])
    office.clock.instant += DELAYS[0]
    await office.work()
    office.mailbox.answer = lambda mail: "550 no such user"
    await office.deliver(a_due(2))
    assert len(office.mailbox.mails) == 1
    assert [(report, body.get("permanent")) for report, body in office.kithlog.reports] == [
        ("report-delivered", None),
        ("report-failed", True),
    ]


async def test_a_server_that_always_says_later_is_asked_until_the_mail_expires(office: Office) -> None:
    """Then the failure is reported, with what the server said; pauses grow to the longest and no further."""
    tries = 0

    def later(mail: object) -> str:
        nonlocal tries
        tries += 1
        return "451 mailbox is full"

    office.mailbox.answer = later
    await office.deliver(a_due())
    while not office.kithlog.reports:
        following = office.ledger.next_at()
        assert following is not None
        office.clock.instant = following
        await office.work()
    assert office.clock.instant == NOON + timedelta(days=1)
    [(report, body)] = office.kithlog.reports
    assert (report, body["permanent"]) == ("report-failed", False)
    assert "its time had passed" in body["why"]
    assert "mailbox is full" in body["why"]
    assert tries == 15


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


@pytest.mark.parametrize(
    ("said", "reported", "mails"),
    [
        ("250 yes", "report-delivered", 1),
        ("550 no such user", "report-failed", 0),
        ("451 later", "report-delivered", 1),
    ],
)
async def test_what_a_mail_server_said_is_written_down_once_it_can_be(
    office: Office, said: str, reported: str, mails: int
) -> None:
    """Given a ledger that can't be written to from the moment on at which a mail server takes a mail, or does not, then
    this process goes by what that said once it can be: nobody takes it for unknown, and nothing is mailed twice."""
    await office.take(a_due(1))
    desk = office.desk()
    path = office.folder / "mails.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:

        def answer(mail: object) -> str:
            other.execute("BEGIN IMMEDIATE")
            return said

        office.mailbox.answer = answer
        for _ in range(3):
            with pytest.raises(Unavailable, match="locked"):
                await desk.send_once(office.clock)
    office.mailbox.answer = lambda mail: "250 yes"
    office.clock.instant += DELAYS[0]
    while await desk.send_once(office.clock) or await desk.report_once(office.clock):
        pass
    assert [report for report, _ in office.kithlog.reports] == [reported]
    assert len(office.mailbox.mails) == mails


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


async def test_without_a_mail_server_everything_waits(office: Office) -> None:
    """Given no mail server, then nothing is counted against the notification; when there is one, it is sent."""
    office.port = 1
    with pytest.raises(Unavailable, match="mail server is away"):
        await office.deliver(a_due())
    office.port = office.mailbox.port
    office.clock.instant += A_MOMENT
    await office.work()
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


async def test_what_has_expired_is_not_sent(office: Office) -> None:
    await office.take(a_due())
    office.clock.instant += timedelta(days=1)
    await office.work()
    [(report, body)] = office.kithlog.reports
    assert (office.mailbox.mails, report, body["permanent"]) == ([], "report-failed", False)


@pytest.mark.parametrize("meanwhile", ["it expires", "it ends, and the broker is away"])
async def test_what_has_had_its_time_when_the_server_is_ready_is_not_sent(
    office: Office, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Given a server that takes long to say that it expects the mail, or a process that is frozen until it does, when
    the mail's time is over by then, or the log has ended it, then it is not sent."""
    passed = 0.0
    monkeypatch.setattr(desk, "monotonic", lambda: passed)

    async def slow(server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        nonlocal passed
        envelope.rcpt_tos.append(address)
        if meanwhile == "it expires":
            office.clock.instant += timedelta(days=1)
        else:
            passed = 60.0
            office.log = [a_due(1), a_withdrawal(2)]
        return "250 yes"

    office.mailbox.handle_RCPT = slow  # type: ignore[attr-defined]
    await office.deliver(a_due(1))
    reports = [report for report, _ in office.kithlog.reports]
    assert (office.mailbox.mails, reports) == ([], ["report-failed"] if meanwhile == "it expires" else [])


async def test_a_server_that_goes_away_while_that_is_looked_at_has_taken_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a server that hangs up while the log is looked at once more, then nothing was sent: the mail waits, and is
    not one of which nobody knows."""
    passed = 0.0
    monkeypatch.setattr(desk, "monotonic", lambda: passed)

    async def slow(server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        nonlocal passed
        envelope.rcpt_tos.append(address)
        passed += 60.0
        return "250 yes"

    office.mailbox.handle_RCPT = slow  # type: ignore[attr-defined]
    await office.take(a_due(1))
    at_work = office.desk()
    look, looks = at_work._look, count(1)

    async def hanging_up() -> None:
        await look()
        if next(looks) == 2:
            monkeypatch.setattr(aiosmtplib.SMTP, "is_connected", property(lambda client: False))

    at_work._look = hanging_up
    with pytest.raises(Unavailable, match="went away before"):
        await at_work.send_once(office.clock)
    assert (office.mailbox.mails, office.kithlog.reports) == ([], [])
    [entry] = office.ledger.next_mail(office.clock.instant + timedelta(hours=1))
    assert entry.state == "waiting"


async def test_a_feed_that_is_always_slow_holds_a_mail_up(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it tells is old by the time it is told: it counts as away."""
    passed = count(0.0, 60.0)
    monkeypatch.setattr(desk, "monotonic", lambda: next(passed))
    with pytest.raises(Unavailable, match="too slowly"):
        await office.deliver(a_due(1))
    assert (office.mailbox.mails, office.kithlog.reports) == ([], [])


@pytest.mark.parametrize(
    ("event", "sent"),
    [
        (a_withdrawal(2, "withdrawn"), 0),
        (a_withdrawal(2, "superseded"), 0),
        (a_withdrawal(2, "suppressed"), 1),
        # Where all stages have fallen due, nothing is left to be withdrawn.
        (an_acknowledgement(2, "acted_on"), 0),
        (an_acknowledgement(2, "dismissed"), 0),
        (an_acknowledgement(2, "seen"), 1),
    ],
)
async def test_what_was_ended_meanwhile_is_not_sent(office: Office, event: Incoming, sent: int) -> None:
    """Given a mail that waits for another attempt, when its occurrence is withdrawn or acknowledged, then it is not
    sent; what falls due after that is.
    """
    office.mailbox.answer = lambda mail: "451 later"
    await office.deliver(a_due(1), event)
    office.mailbox.answer = lambda mail: "250 taken"
    office.clock.instant += DELAYS[0]
    await office.work()
    assert len(office.mailbox.mails) == sent
    await office.deliver(a_due(3))
    assert len(office.mailbox.mails) == sent + 1


@pytest.mark.parametrize("end", [a_withdrawal(2), an_acknowledgement(2, "acted_on")], ids=["withdrawn", "acknowledged"])
async def test_what_the_log_has_ended_is_not_sent_though_the_broker_is_away(office: Office, end: Incoming) -> None:
    """Given a mail that waits for another attempt, and an event that ends it and is in the log, but was not brought,
    then it is not sent; what falls due after that is."""
    office.mailbox.answer = lambda mail: "451 later"
    await office.deliver(a_due(1))
    office.mailbox.answer = lambda mail: "250 taken"
    office.clock.instant += DELAYS[0]
    office.log = [a_due(1), end]
    await office.work()
    assert (office.mailbox.mails, office.kithlog.reports) == ([], [])
    await office.deliver(a_due(3))
    assert len(office.mailbox.mails) == 1


async def test_what_is_on_its_way_is_sent_though_a_later_reminder_is_switched_off(office: Office) -> None:
    """Given a mail that waits for another attempt, when a later reminder of its round is switched off, then it is sent;
    not where all of its policy is."""
    story = Story()
    story.leads("2026-02-25T10:00+01:00")
    due = fired(story, "act_on_lead")
    off = {"stages": {"week_3": {"enabled": False}}}
    for position, settings in ((1, off), (3, {"enabled": False})):
        known = set(story.endings)
        story.prefers("2026-03-02T12:00+01:00", overrides={"act_on_lead": settings})
        (ending,) = [story.endings[id] for id in set(story.endings) - known]
        office.mailbox.answer = lambda mail: "451 later"
        await office.deliver(
            a_due(position, cancellation_key=due.cancellation_key),
            a_withdrawal(position + 1, ending.reason, ending.cancellation_key),
        )
        office.mailbox.answer = lambda mail: "250 taken"
        office.clock.instant += DELAYS[0]
        await office.work()
        assert len(office.mailbox.mails) == 1


async def test_what_was_snoozed_before_it_was_mailed_is_not(office: Office) -> None:
    """Given two stages of one occurrence that wait for another attempt, when one is snoozed, be it that the broker has
    brought that or only the log has it, then the other one is mailed, and so is what comes when the snooze ends."""
    office.mailbox.answer = lambda mail: "451 later"
    await office.deliver(a_due(1, dedupe_key=TALK), a_due(2, dedupe_key=THEO), a_due(3, stage="overdue"))
    office.mailbox.answer = lambda mail: "250 taken"
    await office.take(a_snooze(4, TALK))
    office.log = [a_snooze(5, THEO)]
    office.clock.instant += DELAYS[0]
    await office.work()
    assert [mail["Subject"] for mail in office.mailbox.mails] == ["Theo Adeyemi would be glad of a thank-you"]
    assert len(office.kithlog.reports) == 1
    await office.deliver(a_due(6))
    assert len(office.mailbox.mails) == 2


async def test_what_ended_before_the_first_look_is_not_sent(office: Office) -> None:
    """Given a service that has just begun at a position of the log, and what ended since and was not brought, when it
    makes its first mail, then it looks from where it began."""
    await office.take(a_due(7))
    office.log = [a_due(7), a_withdrawal(8), a_due(9)]
    office.store.mark = Mark(epoch=1, proven=6)
    await office.work()
    assert office.mailbox.mails == []


async def test_a_seeker_who_has_left_is_told_nothing(office: Office) -> None:
    """Given a seeker who has left since it fell due, then they get no mail; their coach does."""
    office.kithlog.seeker["left_at"] = NOON.isoformat()
    await office.deliver(a_due(1))
    assert (office.mailbox.mails, office.kithlog.reports) == ([], [])
    await office.deliver(a_due(2, stage="coach", role="coach"))
    assert [mail["To"] for mail in office.mailbox.mails] == ["coach@example.org"]


async def test_of_a_seeker_who_has_left_nothing_is_reported(office: Office) -> None:
    """Given one who has left, and a service that begins again, when it would have expired, then there is nothing to
    tell."""
    office.kithlog.seeker["left_at"] = NOON.isoformat()
    await office.deliver(a_due(1))
    office.ledger.forget_abandoned(1, 1)  # as at each start
    office.clock.instant += timedelta(days=1)
    await office.work()
    assert (office.mailbox.mails, office.kithlog.reports) == ([], [])


async def test_a_withdrawal_that_comes_first_counts_all_the_same(office: Office) -> None:
    """Given a notification that the broker lost, and the history brought after its withdrawal, then none is sent."""
    await office.deliver(a_withdrawal(2), a_due(1))
    assert (office.mailbox.mails, office.kithlog.reports) == ([], [])


@pytest.mark.parametrize("seeker", [{}, {"name": "Maya", "email": None}, {"name": "Maya", "email": "a b@c@d"}])
async def test_whoever_has_no_address_is_reported_for_good(office: Office, seeker: dict[str, Any]) -> None:
    """So that Kithlog can tell the coach."""
    office.kithlog.seeker = seeker
    await office.deliver(a_due())
    [(report, body)] = office.kithlog.reports
    assert (office.mailbox.mails, report, body["permanent"]) == ([], "report-failed", True)


async def test_a_coach_is_told_about_the_seeker(office: Office) -> None:
    await office.deliver(a_due(stage="coach", role="coach"))
    [mail] = office.mailbox.mails
    assert mail["To"] == "coach@example.org"
    assert mail["Subject"] == "Maya <b> has not thanked Theo Adeyemi yet"


@pytest.mark.parametrize("address", ["", "no address"])
async def test_a_coach_without_an_address_is_left_to_be_mended(office: Office, address: str) -> None:
    """Given a coach whose address nobody knows, or one that is none, then the mail is tried again; when somebody has
    told it, it is sent. What expires before that is no failure for good."""
    office.coaches = {UUID(COACH): address}
    soon = (NOON + DELAYS[0]).isoformat()
    await office.deliver(a_due(1, stage="coach", role="coach"), a_due(2, stage="coach", role="coach", expires_at=soon))
    assert office.kithlog.reports == []
    office.coaches = {UUID(COACH): "coach@example.org"}
    office.clock.instant += DELAYS[0]
    await office.work()
    assert [mail["To"] for mail in office.mailbox.mails] == ["coach@example.org"]
    assert sorted((each, body.get("permanent")) for each, body in office.kithlog.reports) == [
        ("report-delivered", None),
        ("report-failed", False),
    ]


async def test_a_coach_whom_no_setting_names_is_written_to_as_the_programmes_say(office: Office) -> None:
    """Given programmes that tell addresses of coaches, then the latest one's is taken; a setting comes before it."""
    office.coaches = {}
    coached = [(THEO, "theo@example.org"), (COACH, "early@example.org"), (COACH, "late@example.org"), (COACH, None)]
    office.kithlog.programmes = [{"coaches": [{"coach_id": id, "name": None, "email": email}]} for id, email in coached]
    await office.deliver(a_due(1, stage="coach", role="coach"))
    office.coaches = {UUID(COACH): "coach@example.org"}
    await office.deliver(a_due(2, stage="coach", role="coach"))
    assert [mail["To"] for mail in office.mailbox.mails] == ["late@example.org", "coach@example.org"]


def test_a_coachs_id_may_be_written_in_any_way(monkeypatch: pytest.MonkeyPatch) -> None:
    id = UUID("a0000000-0000-4000-8000-00000000000b")
    monkeypatch.setenv("KITHLOG_DELIVERY_COACHES", json.dumps({str(id).upper(): "coach@example.org"}))
    assert DeliverySettings().coaches == {id: "coach@example.org"}


@pytest.mark.parametrize(
    ("domain", "written"),
    [("bücher.example", "xn--bcher-kva.example"), ("Straße.example", "xn--strae-oqa.example"), ("a_b.c", "a_b.c")],
)
async def test_an_address_in_a_domain_with_other_letters_is_written_to(
    office: Office, domain: str, written: str
) -> None:
    """As the DNS has it, which is what every mail server takes."""
    office.kithlog.seeker = {"name": "Jané", "email": f"jane@{domain}"}
    await office.deliver(a_due())
    [mail] = office.mailbox.mails
    assert (mail["To"].addresses[0].addr_spec, mail["To"].addresses[0].display_name) == (f"jane@{written}", "Jané")


@pytest.mark.parametrize(
    ("zone", "when"), [("Europe/Lisbon", "at 09:00 (Europe/Lisbon)"), ("Atlantis/Capital", "at 09:00 (UTC)")]
)
async def test_a_time_is_told_by_the_zones_that_the_log_goes_by(
    office: Office, tmp_path: Path, zone: str, when: str
) -> None:
    """Given a machine whose own zones say something else, then the mail does not; one that is not known is UTC."""
    tokyo = files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "zones" / "Europe").mkdir(parents=True)
    (tmp_path / "zones" / "Europe" / "Lisbon").write_bytes(tokyo)
    talk = {"about": "work", "starts_at": "2026-03-02T09:00:00Z", "time_zone": zone}
    office.kithlog.instead = lambda request: (
        httpx.Response(200, json={"item": talk}) if "/interviews/" in request.url.path else None
    )
    zoneinfo.reset_tzpath([str(tmp_path / "zones")])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        await office.deliver(a_due(kind="confirmation"))
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()
    [mail] = office.mailbox.mails
    assert when in text_of(mail)


@pytest.mark.parametrize(
    ("home", "when"),
    [
        (
            "America/New_York",
            "on Sunday, 1 March at 20:00 (America/New_York; Monday, 2 March at 10:00 in Asia/Tokyo)",
        ),
        ("Asia/Seoul", "on Monday, 2 March at 10:00 (Asia/Tokyo)"),
        ("Atlantis/Capital", "on Monday, 2 March at 10:00 (Asia/Tokyo)"),
    ],
)
async def test_a_time_is_told_on_the_seekers_own_clock_first(office: Office, home: str, when: str) -> None:
    """Given a conversation agreed on by the contact's clock, then the mail says when that is where the seeker lives,
    and both where they show different times."""
    talk = {"about": "work", "starts_at": "2026-03-02T01:00:00Z", "time_zone": "Asia/Tokyo"}
    office.kithlog.instead = lambda request: (
        httpx.Response(200, json={"item": talk}) if "/interviews/" in request.url.path else None
    )
    office.kithlog.seeker["time_zone"] = home
    await office.deliver(a_due(kind="confirmation"))
    [mail] = office.mailbox.mails
    assert when in text_of(mail)


@pytest.mark.parametrize(
    ("lead", "named"),
    [
        ({"person": "Dora Lindt", "what": "runs a studio"}, " (Dora Lindt)"),
        ({"person": None, "what": "Read the\n\nquarterly"}, " (Read the quarterly)"),
        ({"person": None, "what": "a " * 30 + "longer word " * 20}, f" ({'a ' * 30}longer word longer …)"),
        ({"person": None, "what": "(forgotten)"}, ""),
    ],
)
async def test_a_mail_about_a_lead_names_it(office: Office, lead: dict[str, Any], named: str) -> None:
    """Given several leads of one contact, then the mail about each says which, as far as that is known still."""
    office.kithlog.lead = lead
    await office.deliver(a_due(kind="act_on_lead", interview_id=None, lead_id=LEAD))
    [mail] = office.mailbox.mails
    assert mail["Subject"] == f"A lead from Theo Adeyemi is waiting{named}"
    assert f"gave you a lead{named}, and it" in text_of(mail)


async def test_thanks_up_the_chain_say_what_for(office: Office) -> None:
    """Given a conversation that somebody led to, then the mail about their thanks says with whom it was."""
    await office.deliver(a_due(kind="thank_introducer"))
    [mail] = office.mailbox.mails
    assert mail["Subject"] == "Thank Theo Adeyemi for leading you to Dora Lindt"


async def test_a_kind_without_words_is_parked(office: Office) -> None:
    trial = await office.take(a_due(kind="invented"), a_due(2))
    assert [each.reason for each in trial.parked] == ["no_words"]
    await office.work()
    assert len(office.mailbox.mails) == 1


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


async def test_services_for_different_tenants_share_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given two on one broker, then neither takes what is the other's; each begins where it is told to."""
    queues, begins = list[str](), list[str]()

    class Noting(Consumer[None]):
        def __init__(self, wiring: Wiring, rules: Rules, *others: Any) -> None:
            queues.append(wiring.queue)
            begins.append(rules.begin)
            super().__init__(wiring, rules, *others)

    monkeypatch.setattr("deploy.delivery.service.Consumer", Noting)
    stop = asyncio.Event()
    stop.set()
    for tenant in ("acme", "demo", "*"):
        await run(Services(), DeliverySettings(state=tmp_path, tenant=tenant), Post("127.0.0.1", 1), stop)
    await run(Services(), DeliverySettings(state=tmp_path), Post("127.0.0.1", 1), stop, begin="first")
    assert queues == ["kithlog.delivery.acme", "kithlog.delivery.demo", "kithlog.delivery", "kithlog.delivery"]
    assert begins == ["now", "now", "now", "first"]


def test_every_policy_and_stage_has_words() -> None:
    """Given the policies of this release, then there is a mail for each of their stages, and it can be written."""
    for policy in default_policies().by_name.values():
        for stage in policy.stages:
            words = wording(policy.kind, stage.name)
            assert words is not None, (policy.kind, stage.name)
            written = write("Dear Maya,", [piece(words, VALUES)])
            assert written.subject
            assert "{" not in written.subject + written.text
            assert "<p>Dear Maya,</p>" in written.html
    assert "stays with me" not in thanks(None, VALUES)


@pytest.mark.parametrize(
    ("kind", "stage", "not_said"),
    [
        ("request_follow_up", "again", "about a week"),  # two
        ("thank_you", "overdue", "within a day"),  # over
        ("thank_you", "last_call", "days have passed"),  # it comes earlier where that is at night
        ("thank_you", "coach", "three days"),  # working days, after a write-up that may be late
    ],
)
def test_a_mail_states_nothing_that_its_stage_makes_false(kind: str, stage: str, not_said: str) -> None:
    words = wording(kind, stage)
    assert words is not None
    assert not_said not in words["text"].lower()
