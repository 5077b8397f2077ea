"""What becomes of a notification: a mail, once, or a reason why not; and a report."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from deploy.delivery.delivery import Delivery
from deploy.delivery.ledger import Ledger
from deploy.delivery.mailbox import Mailbox, text_of
from deploy.delivery.platform import Platform
from deploy.delivery.post import Post
from deploy.delivery.settings import DeliverySettings
from deploy.delivery.wording import thanks, wording, write
from shared.client import Incoming, Patterns, Rules, Unavailable
from shared.client.testing import Trial, an_event
from shared.timing.policies import default_policies

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SEEKER, THEO, TALK, COACH = (f"00000000-0000-4000-8000-00000000000{n}" for n in range(1, 5))
VALUES = {"seeker": "Maya", "contacts": "Theo", "about": "agencies", "when": "soon", "draft": "…"}


def a_due(
    position: int = 1, kind: str = "thank_you", stage: str = "due", role: str = "seeker", **data: Any
) -> Incoming:
    fields = {
        "kind": kind,
        "stage": stage,
        "recipient": {"role": role, "id": COACH if role == "coach" else SEEKER, "time_zone": "Europe/Lisbon"},
        "seeker_id": SEEKER,
        "contact_ids": [THEO],
        "interview_id": TALK,
        "dedupe_key": f"key-{position}",
        "cancellation_key": "thank_you:talk:1",
        "expires_at": (NOON + timedelta(days=1)).isoformat(),
    }
    return an_event("notification.due", {**fields, **data}, position=position)


def a_withdrawal(position: int, reason: str = "withdrawn") -> Incoming:
    return an_event(
        "notification.withdrawn", {"cancellation_key": "thank_you:talk:1", "reason": reason}, position=position
    )


@dataclass
class Kithlog:
    """Both services, as this one sees them."""

    seeker: dict[str, Any] = field(default_factory=lambda: {"name": "Maya <b>", "email": "maya@example.org"})
    notes: list[dict[str, Any]] = field(default_factory=list)
    reports: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    away: bool = False

    def answer(self, request: httpx.Request) -> httpx.Response:
        *_, kind, last = request.url.path.split("/")
        if request.method == "POST":
            if self.away:
                return httpx.Response(503)
            self.reports.append((last, json.loads(request.content)))
            return httpx.Response(201, json={})
        if last == "notebook":
            return httpx.Response(200, json={"items": self.notes})
        found = {
            "seekers": self.seeker,
            "contacts": {"name": "Theo Adeyemi"},
            "interviews": {"about": "agency work", "starts_at": "2026-03-02T09:00:00Z", "time_zone": "Europe/Lisbon"},
        }
        return httpx.Response(200, json={"item": found[kind]})


class Clock:
    def __init__(self) -> None:
        self.instant = NOON

    def now(self) -> datetime:
        return self.instant


class Office:
    """A delivery service on a fresh ledger, with a mailbox for a mail server."""

    def __init__(self, folder: Path, mailbox: Mailbox, ledger: Ledger) -> None:
        self.kithlog, self.mailbox, self.ledger, self.folder = Kithlog(), mailbox, ledger, folder
        self.port = mailbox.port
        self.clock = Clock()
        self.when_unsure: Literal["never", "again"] = "never"

    def trial(self) -> Trial[None]:
        """As after a start of the process."""
        settings = DeliverySettings(
            state=self.folder, when_unsure=self.when_unsure, coaches={COACH: "coach@example.org"}
        )
        transport = httpx.MockTransport(self.kithlog.answer)
        platform = Platform("http://commands", "http://queries", transport=transport)
        delivery = Delivery(settings, platform, Post("127.0.0.1", self.port), self.ledger, self.clock)
        return Trial(delivery.handlers(), rules=Rules(Patterns(("*.notification.*",)), begin="first"))


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    ledger = Ledger(tmp_path / "mails.db")
    async with Mailbox().open() as mailbox:
        yield Office(tmp_path, mailbox, ledger)
    ledger.close()


async def test_a_thank_you_comes_with_a_draft_of_what_was_noted(office: Office) -> None:
    """Given notes of the conversation, when the thank-you falls due, then the mail holds a draft that uses them, as
    text and as HTML in which nothing that people wrote is markup, and the delivery is reported.
    """
    office.kithlog.notes = [
        {"interview_id": COACH, "advice": [], "points": ["of another one"], "text": None},
        {"interview_id": TALK, "advice": [{"text": "Learn to <write> briefs"}], "points": ["p"], "text": "t"},
    ]
    await office.trial().give(a_due())
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
    await office.trial().give(a_due(1, dedupe_key="same"))
    await office.trial().give(a_due(2, dedupe_key="same"))
    assert (len(office.mailbox.mails), len(office.kithlog.reports)) == (1, 1)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("when_unsure", ["never", "again"])
async def test_killed_between_the_servers_answer_and_our_record(
    office: Office, monkeypatch: pytest.MonkeyPatch, when_unsure: Literal["never", "again"]
) -> None:
    """Given a process that ended right after the server took the mail, when the next one gets the notification, then it
    sends none and reports a failure; or, if it was told to, the same again under the same `Message-ID`.
    """

    def kill(ledger: Ledger, key: str) -> None:
        raise Killed

    office.when_unsure = when_unsure
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "sent", kill)
        with pytest.raises(Killed):
            await office.trial().give(a_due())
    await office.trial().give(a_due())
    ids = [mail["Message-ID"] for mail in office.mailbox.mails]
    [(report, body)] = office.kithlog.reports
    if when_unsure == "never":
        assert (len(ids), report, body["permanent"]) == (1, "report-failed", False)
        assert "not known" in body["why"]
    else:
        assert (len(ids), len(set(ids)), report) == (2, 1, "report-delivered")


async def test_killed_before_the_data_went_out(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a process that ended before, then the mail was not sent, and the next process sends it."""

    def kill(ledger: Ledger, key: str) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "intend", kill)
        with pytest.raises(Killed):
            await office.trial().give(a_due())
    assert office.mailbox.mails == []
    await office.trial().give(a_due())
    assert len(office.mailbox.mails) == 1


async def test_killed_before_the_report(office: Office) -> None:
    """Given a mail that was sent while the command service was away, when it is back, then the report follows, and no
    second mail.
    """
    office.kithlog.away = True
    with pytest.raises(Unavailable):
        await office.trial().give(a_due())
    office.kithlog.away = False
    await office.trial().give(a_due())
    assert (len(office.mailbox.mails), office.kithlog.reports) == (1, [("report-delivered", {"channel": "email"})])


async def test_a_server_that_goes_away_before_its_answer_leaves_it_unsure(office: Office) -> None:
    """Given a server that takes the data and ends the connection, then nothing is sent again; the report says so."""

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := await reader.readline():
            if line == b".\r\n":
                break
            if line.split()[:1] and line.split()[0] in (b"EHLO", b"MAIL", b"RCPT"):
                writer.write(b"250 yes\r\n")
            elif line == b"DATA\r\n":
                writer.write(b"354 go on\r\n")
        writer.close()

    server = await asyncio.start_server(rude, "127.0.0.1", 0)
    office.port = server.sockets[0].getsockname()[1]
    trial = office.trial()
    async with server:
        await trial.give(a_due())
        assert (len(trial.waiting), office.kithlog.reports) == (1, [])
        await trial.give_again()
    assert [report for report, _ in office.kithlog.reports] == ["report-failed"]


async def test_a_refusal_for_good_is_reported_and_one_for_now_is_tried_again(office: Office) -> None:
    """Given 451, then the mail comes again later, and is sent; given 550, then the failure is reported as permanent."""
    office.mailbox.answer = lambda mail: "451 later"
    trial = office.trial()
    await trial.give(a_due(1))
    assert (len(trial.waiting), office.kithlog.reports) == (1, [])
    office.mailbox.answer = lambda mail: "250 taken"
    await trial.give_again()
    office.mailbox.answer = lambda mail: "550 no such user"
    await trial.give(a_due(2))
    assert len(office.mailbox.mails) == 1
    assert [(report, body.get("permanent")) for report, body in office.kithlog.reports] == [
        ("report-delivered", None),
        ("report-failed", True),
    ]


async def test_without_a_mail_server_everything_waits(office: Office) -> None:
    """Given no mail server, then nothing is counted against the notification; when there is one, it is sent."""
    office.port = 1
    with pytest.raises(Unavailable, match="mail server is away"):
        await office.trial().give(a_due())
    office.port = office.mailbox.port
    await office.trial().give(a_due())
    assert len(office.mailbox.mails) == 1


async def test_what_has_expired_is_not_sent(office: Office) -> None:
    office.clock.instant = NOON + timedelta(days=1)
    await office.trial().give(a_due())
    [(report, body)] = office.kithlog.reports
    assert (office.mailbox.mails, report, body["permanent"]) == ([], "report-failed", False)


@pytest.mark.parametrize(("reason", "sent"), [("withdrawn", 0), ("superseded", 0), ("suppressed", 1)])
async def test_what_was_withdrawn_meanwhile_is_not_sent(office: Office, reason: str, sent: int) -> None:
    """Given a mail that waits for another attempt, when its occurrence is withdrawn, then it is not sent; what falls
    due after that is.
    """
    office.mailbox.answer = lambda mail: "451 later"
    trial = office.trial()
    await trial.give(a_due(1), a_withdrawal(2, reason))
    office.mailbox.answer = lambda mail: "250 taken"
    await trial.give_again()
    assert len(office.mailbox.mails) == sent
    await trial.give(a_due(3))
    assert len(office.mailbox.mails) == sent + 1


@pytest.mark.parametrize("seeker", [{}, {"name": "Maya", "email": None}, {"name": "Maya", "email": "a b@c@d"}])
async def test_whoever_has_no_address_is_reported_for_good(office: Office, seeker: dict[str, Any]) -> None:
    """So that Kithlog can tell the coach."""
    office.kithlog.seeker = seeker
    await office.trial().give(a_due())
    [(report, body)] = office.kithlog.reports
    assert (office.mailbox.mails, report, body["permanent"]) == ([], "report-failed", True)


async def test_a_coach_is_told_about_the_seeker(office: Office) -> None:
    await office.trial().give(a_due(stage="coach", role="coach"))
    [mail] = office.mailbox.mails
    assert mail["To"] == "coach@example.org"
    assert mail["Subject"] == "Maya <b> has not thanked Theo Adeyemi yet"


async def test_a_kind_without_words_is_parked(office: Office) -> None:
    trial = office.trial()
    await trial.give(a_due(kind="invented"), a_due(2))
    assert [each.reason for each in trial.parked] == ["no_words"]
    assert len(office.mailbox.mails) == 1


def test_every_policy_and_stage_has_words() -> None:
    """Given the policies of this release, then there is a mail for each of their stages, and it can be written."""
    for policy in default_policies().by_name.values():
        for stage in policy.stages:
            words = wording(policy.kind, stage.name)
            assert words is not None, (policy.kind, stage.name)
            subject, text, html = write(words, VALUES, "Dear Maya,")
            assert subject
            assert "{" not in subject + text
            assert "<p>Dear Maya,</p>" in html
    assert "stays with me" not in thanks(None, VALUES)
