"""How a seeker is told: later, not any more, not of that kind, all at once; and the coach, where she can't be reached.

Whatever becomes of a reminder, one endpoint explains it.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from shared.domain.identity import relationship_id
from tests.scenarios.conftest import Open
from tests.scenarios.stage import Stage

NINA, ANA = UUID(int=0x51), UUID(int=0xC1)
PROGRAMME, COACH = UUID(int=0xB1), UUID(int=0xD1)
TALK = UUID(int=0x11)
ADVICE = [UUID(int=0xE1 + number) for number in range(3)]
TIE = relationship_id(NINA, ANA)
Answer = tuple[str, str, str]


async def explained(story: Stage, subject: UUID, policy: str) -> list[Answer]:
    """What the endpoint says of a policy's reminders, soonest first: stage, how it stands, and why."""
    found = await story.ask(f"/reminders/{subject}")
    mine = sorted((each for each in found["policies"] if each["policy"] == policy), key=lambda each: each["due_at"])
    return [(each["stage"], each["status"], each["will_be"] or each["because"]) for each in mine]


async def last_due(story: Stage, kind: str) -> dict[str, Any]:
    """The notification of a kind that fell due last, as it was published."""
    due: dict[str, Any] = [e for e in await story.events("notification.due") if e["data"]["kind"] == kind][-1]
    return due | {"notification_id": UUID(due["data"]["dedupe_key"])}


async def a_conversation_by_mail(story: Stage) -> None:
    """She takes part in a programme, wants no reminders to connect, and has had her answers at ten."""
    await story.do("programmes/create", PROGRAMME, {"title": "Spring"})
    await story.do("programmes/assign-coach", PROGRAMME, {"coach_id": COACH})
    person = {"name": "Nina Prado", "time_zone": "Europe/Lisbon", "country": "PT"}
    await story.do("seekers/register", NINA, person)
    await story.do("programmes/enrol-participant", PROGRAMME, {"seeker_id": NINA})
    await story.do("seekers/change-preferences", NINA, {"muted": ["connect"]})
    await story.do("contacts/add", ANA, {"name": "Ana Reis", "source": "cold", "seeker_id": NINA})
    plan = {"seeker_id": NINA, "contact_ids": [ANA], "purpose": "field", "about": "Design", "format": "email"}
    await story.do("interviews/plan", TALK, plan)
    request = {"channel": "email", "minutes": 20, "intent": "To learn how you work"}
    await story.do("interviews/send-request", TALK, request)
    await story.do("interviews/accept", TALK)
    await story.until("2026-03-02 10:00")
    await story.do("interviews/hold", TALK)


async def she_snoozes(story: Stage) -> None:
    """Two hours after, the thank-you is due; not now, says she: it comes again, once, when she said."""
    await story.until("2026-03-02 12:30")
    assert await story.told() == [("thank_you", "due", "2026-03-02 12:00")]
    first = await last_due(story, "thank_you")
    past = {"until": story.instant("2026-03-02 12:00")}
    await story.refused("notifications/snooze", first["notification_id"], past, "already_over")
    await story.do("notifications/snooze", first["notification_id"], {"until": story.instant("2026-03-02 18:00")})
    assert await explained(story, TALK, "thank_you") == [
        ("due", "fired", "interview.held"),
        ("due", "pending", "interview.held"),
        ("overdue", "pending", "interview.held"),
        ("last_call", "pending", "interview.held"),
        ("coach", "pending", "interview.held"),
    ]
    [again, *_] = await story.ask(f"/seekers/{NINA}/schedule")
    assert (story.local(again["due_at"]), again["moved_by"]) == ("2026-03-02 18:00", ["snoozed"])
    await story.until("2026-03-02 19:00")
    assert await story.told() == [
        ("thank_you", "due", "2026-03-02 12:00"),
        ("thank_you", "due", "2026-03-02 18:00"),
    ]
    second = await last_due(story, "thank_you")
    assert second["notification_id"] != first["notification_id"]
    assert second["data"]["cancellation_key"] == first["data"]["cancellation_key"]
    row = await story.ask(f"/notifications/{first['notification_id']}")
    assert (row["state"], story.local(row["snoozed_until"])) == ("snoozed", "2026-03-02 18:00")
    await story.refused(
        "notifications/snooze", first["notification_id"], {"until": "2026-04-01T09:00Z"}, "already_done"
    )


async def she_acknowledges(story: Stage) -> None:
    """Delivered and seen changes nothing; acted on ends what was to come of it, each with its reason."""
    reminder = (await last_due(story, "thank_you"))["notification_id"]
    await story.do("notifications/report-delivered", reminder, {"channel": "push"})
    pending = [stage for stage, status, _ in await explained(story, TALK, "thank_you") if status == "pending"]
    assert pending == ["overdue", "last_call", "coach"]
    await story.do("notifications/acknowledge", reminder, {"how": "acted_on"})
    await story.until("2026-03-02 20:00")
    assert await story.silenced("thank_you") == [
        ("thank_you", "coach", "withdrawn", "acknowledged"),
        ("thank_you", "last_call", "withdrawn", "acknowledged"),
        ("thank_you", "overdue", "withdrawn", "acknowledged"),
    ]
    assert await explained(story, TALK, "thank_you") == [
        ("due", "fired", "interview.held"),
        ("due", "fired", "interview.held"),
        ("overdue", "not_fired", "acknowledged"),
        ("last_call", "not_fired", "acknowledged"),
        ("coach", "not_fired", "acknowledged"),
    ]
    row = await story.ask(f"/notifications/{reminder}")
    assert (row["state"], row["how"], row["channel"]) == ("acknowledged", "acted_on", "push")
    await story.do("interviews/thank", TALK, {"how": "handwritten_note"})


async def she_muted_a_kind(story: Stage) -> None:
    """The reminder to connect is not sent, and that is written down with the reason when it would have been due."""
    assert await explained(story, TIE, "connect") == [("due", "pending", "muted")]
    await story.until("2026-03-03 09:30")
    assert await story.told("connect") == []
    assert await story.silenced("connect") == [("connect", "due", "suppressed", "muted")]
    assert await explained(story, TIE, "connect") == [("due", "not_fired", "muted")]
    [row] = await story.ask(f"/seekers/{NINA}/notifications", state="suppressed")
    assert (row["kind"], row["because"], story.local(row["recorded_at"])) == ("connect", "muted", "2026-03-03 09:00")


async def she_wants_a_digest(story: Stage) -> None:
    """Three pieces of advice of one day, due at three times of another: all come with the next digest, as one."""
    await story.do("seekers/change-preferences", NINA, {"digest": True})
    for lead, time in zip(ADVICE, ("10:00", "11:30", "15:00"), strict=True):
        await story.until(f"2026-03-09 {time}")
        gift = {"seeker_id": NINA, "contact_id": ANA, "kind": "advice", "interview_id": TALK}
        await story.do("leads/record", lead, gift | {"what": f"What she said at {time}"})
    await story.until("2026-03-13 08:59")
    # Thursday was the third working day; its digest was over before the hours of the day came.
    assert await story.told("act_on_lead") == []
    await story.until("2026-03-13 12:00")
    assert await story.told("act_on_lead") == [("act_on_lead", "due", "2026-03-13 09:00")] * 3
    due = [event["data"] for event in await story.events("notification.due")]
    leads = [data for data in due if data["kind"] == "act_on_lead"]
    assert {data["group_key"] for data in leads} == {f"{NINA}:2026-03-13"}
    assert {data["lead_id"] for data in leads} == set(map(str, ADVICE))
    assert {tuple(data["moved_by"]) for data in leads} == {("digest",)}
    assert len({data["dedupe_key"] for data in leads}) == 3


async def she_can_not_be_reached(story: Stage) -> None:
    """A full mailbox may empty itself; one that is gone is the coach's affair, who is told at once, and once."""
    reminder = (await last_due(story, "act_on_lead"))["notification_id"]
    full = {"channel": "email", "why": "Mailbox full"}
    told = await story.do("notifications/report-failed", reminder, full)
    assert [event["type"] for event in told["events"]] == ["notification.failed"]
    gone = await story.do("notifications/report-failed", reminder, full | {"permanent": True, "why": "No such mailbox"})
    assert [event["type"] for event in gone["events"]] == ["notification.failed", "notification.escalated"]
    row = await story.ask(f"/notifications/{reminder}")
    assert (row["state"], row["because"], row["coach_id"]) == ("escalated", "No such mailbox", str(COACH))
    await story.until("2026-03-20 08:00")
    assert await story.told(role="coach") == [("undeliverable", "coach", "2026-03-13 12:00")]
    [to_coach] = await story.ask(f"/coaches/{COACH}/notifications", state="due")
    assert (to_coach["recipient_id"], to_coach["seeker_id"]) == (str(COACH), str(NINA))
    lead = UUID(row["lead_id"])
    assert await explained(story, NINA, "undeliverable") == [("coach", "fired", "notification.escalated")]
    assert (await explained(story, lead, "act_on_lead"))[0] == ("due", "fired", "lead.recorded")


async def test_a_seeker_says_how_she_is_told(stage: Open) -> None:
    """Given a seeker's reminders, when she snoozes, acknowledges, mutes, wants a digest or can't be reached, then each
    is told once, later, together or to the coach, or is recorded as not told; and is explained."""
    async with stage("Europe/Lisbon", "2026-03-02 09:00") as story:
        await a_conversation_by_mail(story)
        await she_snoozes(story)
        await she_acknowledges(story)
        await she_muted_a_kind(story)
        await she_wants_a_digest(story)
        await she_can_not_be_reached(story)
        await story.nothing_twice()


async def test_what_she_puts_off_is_followed_up(stage: Open) -> None:
    """Given a loose agreement, when the reminder to find a date is snoozed until after Easter, then it comes again
    then, and what is to follow it after that: the schedule says so from the beginning."""
    async with stage("Europe/Lisbon", "2026-02-10 10:00") as story:
        await story.do("seekers/register", NINA, {"name": "Nina Prado", "time_zone": "Europe/Lisbon"})
        await story.do("contacts/add", ANA, {"name": "Ana Reis", "source": "cold", "seeker_id": NINA})
        plan = {"seeker_id": NINA, "contact_ids": [ANA], "purpose": "field", "about": "Design", "format": "coffee"}
        await story.do("interviews/plan", TALK, plan)
        request = {"channel": "email", "minutes": 20, "intent": "To learn how you work"}
        await story.do("interviews/send-request", TALK, request)
        await story.do("interviews/agree-loosely", TALK, {"what": "Coffee after Easter"})
        await story.until("2026-02-12 11:00")
        first = await last_due(story, "firm_it_up")
        await story.do("notifications/snooze", first["notification_id"], {"until": story.instant("2026-04-07 10:00")})
        ahead = [("due", "2026-04-07 10:00"), ("again", "2026-04-09 10:00"), ("lapse_suggested", "2026-04-16 10:00")]
        pending = await story.ask(f"/seekers/{NINA}/schedule")
        assert [(each["stage"], story.local(each["due_at"])) for each in pending] == ahead
        await story.until("2026-05-01 10:00")
        once = [("firm_it_up", "due", "2026-02-12 10:00"), *(("firm_it_up", *one) for one in ahead)]
        assert await story.told("firm_it_up") == once
        assert await story.silenced("firm_it_up") == []
        await story.nothing_twice()
