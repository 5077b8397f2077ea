"""Several notifications for one person in one mail; each of them still has an end of its own."""

from __future__ import annotations

from datetime import timedelta
from email.message import EmailMessage

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.delivery.desk import DELAYS
from deploy.delivery.ledger import Ledger
from deploy.delivery.mailbox import text_of
from tests.delivery.office import COACH, NOON, TALK, Killed, Office, a_due, a_withdrawal

GATHER = timedelta(seconds=60)


@pytest.fixture
async def office(office: Office) -> Office:
    office.gather = GATHER
    return office


THREE = (
    a_due(1, kind="connect", cancellation_key="connect"),
    a_due(2, kind="thank_you", cancellation_key="thank_you"),
    a_due(3, kind="act_on_lead", cancellation_key="act_on_lead"),
)


def html_of(mail: EmailMessage) -> str:
    body = mail.get_body(("html",))
    assert body is not None
    return str(body.get_content())


async def test_what_shares_a_group_becomes_one_mail_and_each_is_reported(office: Office) -> None:
    """Given three of one group, when they have been gathered for a minute, then one mail holds all of them, below their
    subjects and in their order, and three deliveries are reported.
    """
    await office.deliver(*THREE)
    assert office.mailbox.mails == []
    office.clock.instant += GATHER
    await office.work()
    [mail] = office.mailbox.mails
    assert mail["Subject"] == "Stay connected with Theo Adeyemi, and 2 more"
    subjects = [
        "Stay connected with Theo Adeyemi",
        "Say thank you to Theo Adeyemi",
        "A lead from Theo Adeyemi is waiting",
    ]
    text, html = text_of(mail), html_of(mail)
    places = [text.index(f"* {subject}") for subject in subjects]
    assert places == sorted(places)
    assert all(f"{subject}</h2>" in html for subject in subjects)
    assert (text.count("Dear Maya"), text.count("mute these reminders")) == (1, 1)
    assert [report for report, _ in office.kithlog.reports] == ["report-delivered"] * 3


async def test_other_groups_and_what_is_urgent_go_by_themselves(office: Office) -> None:
    """Given one that is urgent, then it waits for nobody; given another person, day or tenant, then another mail."""
    await office.deliver(
        a_due(1),
        a_due(2, urgency="high"),
        a_due(3, group_key="maya:2026-03-03"),
        a_due(4, role="coach", stage="coach", group_key="coach:2026-03-02"),
    )
    assert len(office.mailbox.mails) == 1
    office.clock.instant += GATHER
    await office.work()
    assert [mail["To"] for mail in office.mailbox.mails].count("coach@example.org") == 1
    assert len(office.mailbox.mails) == 4


async def test_whoever_comes_late_gets_a_mail_of_its_own(office: Office) -> None:
    """Given a group whose mail was sent, when one more of it falls due, then it is sent alone, and none twice."""
    await office.take(THREE[0])
    office.clock.instant += GATHER
    await office.deliver(THREE[1])
    assert len(office.mailbox.mails) == 1, "the second came as the first was due: it goes with it"
    await office.deliver(*THREE)
    office.clock.instant += GATHER
    await office.work()
    assert [mail["Subject"] for mail in office.mailbox.mails] == [
        "Stay connected with Theo Adeyemi, and 1 more",
        "A lead from Theo Adeyemi is waiting",
    ]


async def test_each_part_may_be_withdrawn_or_expire(office: Office) -> None:
    """Given a group of three, when one is withdrawn and one expires before it is sent, then the mail holds the third
    alone; the expired one is reported as failed, the withdrawn one needs no report, even where it has expired since.
    """
    late = a_due(4, kind="report_back", expires_at=(NOON + GATHER).isoformat(), cancellation_key="report_back")
    both = a_due(5, kind="report_back", expires_at=(NOON + GATHER).isoformat(), cancellation_key="both")
    ends = (a_withdrawal(6, key="connect"), a_withdrawal(7, key="both"))
    await office.deliver(*THREE[:2], late, both, *ends)
    office.clock.instant += GATHER
    await office.work()
    [mail] = office.mailbox.mails
    assert mail["Subject"] == "Say thank you to Theo Adeyemi"
    assert sorted(report for report, _ in office.kithlog.reports) == ["report-delivered", "report-failed"]


async def test_what_is_withdrawn_while_its_mail_is_made_is_left_out(office: Office) -> None:
    """Given a mail of three, when one is withdrawn after the mail server has taken the recipient, and then another one,
    then the mail that is sent holds the third alone.
    """
    withdrawals = [a_withdrawal(4, key="connect"), a_withdrawal(5, key="thank_you")]

    async def withdraw(server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        envelope.rcpt_tos.append(address)
        if withdrawals:
            await office.take(withdrawals.pop(0))
        return "250 yes"

    office.mailbox.handle_RCPT = withdraw  # type: ignore[attr-defined]
    await office.take(*THREE)
    office.clock.instant += GATHER
    await office.work()
    [mail] = office.mailbox.mails
    assert mail["Subject"] == "A lead from Theo Adeyemi is waiting"
    assert [report for report, _ in office.kithlog.reports] == ["report-delivered"]


async def test_a_group_of_which_nothing_is_wanted_is_no_mail(office: Office) -> None:
    await office.deliver(
        *THREE, *(a_withdrawal(n, key=key) for n, key in ((4, "connect"), (5, "thank_you"), (6, "act_on_lead")))
    )
    office.clock.instant += GATHER
    await office.work()
    assert (office.mailbox.mails, office.kithlog.reports) == ([], [])


@pytest.mark.parametrize(("when_unsure", "mails"), [("never", 1), ("again", 2)])
async def test_a_mail_that_may_have_been_sent_is_never_mixed_with_others(
    office: Office, monkeypatch: pytest.MonkeyPatch, when_unsure: str, mails: int
) -> None:
    """Given a process that ended while the mail of two was with the server, when a third of the group comes and one of
    the two is withdrawn, then the mail stays what it was: never sent again, or again under its id without what was
    withdrawn; the third gets its own.
    """

    def kill(ledger: Ledger, keys: object) -> None:
        raise Killed

    office.when_unsure = when_unsure  # type: ignore[assignment]
    await office.take(*THREE[:2])
    office.clock.instant += GATHER
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "sent", kill)
        with pytest.raises(Killed):
            await office.work()
    await office.deliver(THREE[2], a_withdrawal(4, key="connect"))
    assert len(office.mailbox.mails) == mails
    assert len({mail["Message-ID"] for mail in office.mailbox.mails}) == 1
    if when_unsure == "again":
        assert office.mailbox.mails[1]["Subject"] == "Say thank you to Theo Adeyemi"
    office.clock.instant += GATHER
    await office.work()
    assert len(office.mailbox.mails) == mails + 1
    assert office.mailbox.mails[-1]["Subject"] == "A lead from Theo Adeyemi is waiting"
    delivered = [report for report, _ in office.kithlog.reports].count("report-delivered")
    assert (delivered, len(office.kithlog.reports)) == (2 if when_unsure == "again" else 1, 3)


async def test_one_that_can_not_be_written_is_parted_from_the_others(office: Office) -> None:
    """Given notes that only the thank-you needs, of a shape that is not understood, then the others go without it."""
    office.kithlog.notes = [{"interview_id": TALK}]
    await office.take(*THREE)
    office.clock.instant += GATHER
    await office.work()
    assert office.mailbox.mails == []
    office.clock.instant += DELAYS[0]
    await office.work()
    assert [mail["Subject"] for mail in office.mailbox.mails] == [
        "Stay connected with Theo Adeyemi",
        "A lead from Theo Adeyemi is waiting",
    ]


async def test_a_coach_is_told_of_several_seekers_at_once(office: Office) -> None:
    """Given two notifications to a coach, then one mail to the coach, whose parts name the seekers."""
    await office.take(
        a_due(1, stage="coach", role="coach", group_key=f"{COACH}:2026-03-02T12"),
        a_due(2, kind="participant_stalled", stage="coach", role="coach", group_key=f"{COACH}:2026-03-02T12"),
    )
    office.clock.instant += GATHER
    await office.work()
    [mail] = office.mailbox.mails
    assert (mail["To"], text_of(mail).startswith("Dear coach,")) == ("coach@example.org", True)
    assert "* Maya <b> has had no conversation yet" in text_of(mail)
