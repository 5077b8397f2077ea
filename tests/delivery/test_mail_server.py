"""What a mail server says, and what that means for a mail."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Literal
from unittest.mock import patch

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from aiosmtplib.protocol import SMTPProtocol

from deploy.delivery.desk import DELAYS
from deploy.delivery.mailbox import text_of
from shared.client import Unavailable
from tests.client.messages import PATIENCE
from tests.delivery.office import (
    NOON,
    Office,
    a_due,
)
from tests.delivery.servers import A_MOMENT, refusing


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
    await office.work_again(A_MOMENT)
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
    await office.work_again(A_MOMENT)
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
    await office.work_again(A_MOMENT)
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
    await office.work_again(DELAYS[0])
    assert [each for each, _ in office.kithlog.reports] == (report or ["report-delivered"])
    assert len(office.mailbox.mails) == (not report)


async def test_lines_that_begin_with_a_dot_arrive_as_they_are(office: Office) -> None:
    """Where a line holds nothing else, the mail would end there."""
    with patch("deploy.delivery.composing.thanks", lambda *_: "\n.\n.. and\n.\n"):
        await office.deliver(a_due())
    [mail] = office.mailbox.mails
    assert "\n.\n.. and\n.\n" in text_of(mail).replace("\r", "")


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
