"""What is not mailed any more: expired, withdrawn, snoozed, or for somebody who has left."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.delivery import desk
from deploy.delivery.desk import DELAYS
from shared.client import Incoming, Mark, Unavailable
from tests.delivery.office import (
    NOON,
    TALK,
    THEO,
    Office,
    a_due,
    a_snooze,
    a_withdrawal,
    an_acknowledgement,
)
from tests.timing.story import Story, fired


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
