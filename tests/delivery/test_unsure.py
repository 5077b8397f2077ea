"""Between the data of a mail and our record of it: what is known, and what is not."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Literal
from unittest.mock import AsyncMock

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from aiosmtplib.protocol import SMTPProtocol

from deploy.delivery.desk import DELAYS, NOT_KNOWN
from deploy.delivery.ledger import Ledger
from deploy.delivery.post import PATIENCE_WITH_DATA
from shared.client import Unavailable
from tests.delivery.office import (
    Killed,
    Office,
    a_due,
)


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
    await office.work_again(DELAYS[0])
    assert [each for each, _ in office.kithlog.reports] == [report]
    assert len(office.mailbox.mails) == (when_unsure == "again")


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
