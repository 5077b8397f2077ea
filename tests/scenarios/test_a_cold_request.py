"""S2: a cold but personal request, a video call across time zones, periodic updates, and what came of it."""

from __future__ import annotations

from uuid import UUID

from tests.scenarios.conftest import Open
from tests.scenarios.stage import Stage

RAVI, GRACE = UUID(int=0x51), UUID(int=0xC1)
CALL = UUID(int=0x11)


async def he_writes_to_a_stranger(story: Stage) -> None:
    """Intent, little time, and why her: nothing is lacking but an answer."""
    await story.do("seekers/register", RAVI, {"name": "Ravi Menon", "time_zone": "Asia/Kolkata", "stage": "graduate"})
    grace = {"name": "Grace Holm", "source": "cold", "source_detail": "Her company's website", "seeker_id": RAVI}
    await story.do("contacts/add", GRACE, grace | {"employer": "Northwind Labs", "time_zone": "America/New_York"})
    plan = {"seeker_id": RAVI, "contact_ids": [GRACE], "purpose": "company", "about": "Northwind Labs"}
    await story.do("interviews/plan", CALL, plan)
    request = {"channel": "social_network", "minutes": 25, "intent": "To learn how your team works", "format": "video"}
    plain = await story.do("interviews/send-request", CALL, request | {"personalised_by": "Your talk on sea ice"})
    assert plain["advice"] == []


async def she_is_silent_and_he_follows_up(story: Stage) -> None:
    """Reminded after five working days; one kind follow-up, and she answers before the second is due."""
    await story.until("2026-03-10 12:00")
    assert await story.told() == [("request_follow_up", "due", "2026-03-10 11:00")]
    [row] = await story.ask(f"/seekers/{RAVI}/pipeline")
    assert (row["status"], row["next_move"]) == ("requested", "follow_up")
    await story.do("interviews/follow-up", CALL, {"channel": "email", "message": "I know how busy a launch is."})
    ahead = await story.ask(f"/seekers/{RAVI}/schedule")
    assert [(each["stage"], story.local(each["due_at"])) for each in ahead] == [
        ("again", "2026-03-17 12:00"),
        ("lapse_suggested", "2026-03-24 12:00"),
    ]
    await story.until("2026-03-13 18:00")
    await story.do("interviews/accept", CALL, {"format": "video"})
    times = [{"starts_at": story.instant("2026-03-20 18:30"), "minutes": 30}]
    await story.do("interviews/offer-times", CALL, {"times": times, "time_zone": "America/New_York"})
    # Nine in the morning in New York, where the clocks went forward the week before.
    video = {"time_zone": "America/New_York", "minutes": 30, "format": "video", "place": "https://meet.example/ravi"}
    await story.do("interviews/schedule", CALL, video | {"starts_at": "2026-03-20T09:00:00-04:00"})
    await story.until("2026-03-13 18:30")
    assert await story.silenced("request_follow_up") == [
        ("request_follow_up", "again", "superseded", "interview.request_followed_up"),
        ("request_follow_up", "again", "withdrawn", "interview.accepted"),
        ("request_follow_up", "lapse_suggested", "superseded", "interview.request_followed_up"),
        ("request_follow_up", "lapse_suggested", "withdrawn", "interview.accepted"),
    ]


async def he_prepares_and_they_talk(story: Stage) -> None:
    """Research and objectives are ready before the reminder; the call ends in time, in the evening of his day."""
    await story.until("2026-03-16 20:00")
    research = {"company": "A launch in May", "industry": "Remote sensing", "person": "A glaciologist by training"}
    await story.do("interviews/record-research", CALL, research)
    await story.do("interviews/set-objectives", CALL, {"objectives": ["How the team works", "Which skills count"]})
    await story.do("interviews/choose-questions", CALL, {"questions": [{"text": "What does your week look like?"}]})
    await story.do("interviews/prepare", CALL)
    await story.until("2026-03-19 12:00")
    assert await story.told("preparation", "confirmation") == [("confirmation", "due", "2026-03-19 09:00")]
    assert await story.silenced("preparation") == [
        ("preparation", "day_before", "withdrawn", "interview.prepared"),
        ("preparation", "due", "withdrawn", "interview.prepared"),
    ]
    await story.do("interviews/confirm", CALL)
    await story.until("2026-03-20 18:58")
    await story.do("interviews/start", CALL, at="2026-03-20 18:30")
    await story.do("interviews/hold", CALL, {"minutes": 28})
    notes = {"points": ["They publish their data"], "text": "Ask about the open data set in a year"}
    await story.do("interviews/take-notes", CALL, notes)
    await story.until("2026-03-20 20:30")
    await story.do("interviews/thank", CALL, {"how": "email"})
    await story.until("2026-03-21 12:00")
    assert await story.told("thank_you") == []


async def he_keeps_her_posted(story: Stage) -> None:
    """A month after, then a quarter after each update; the delivery service reports, he answers one from the mail."""
    await story.until("2026-04-20 10:00")
    assert await story.told("keep_in_touch") == [("keep_in_touch", "due", "2026-04-19 20:30")]
    [due] = [event for event in await story.events("notification.due") if event["data"]["kind"] == "keep_in_touch"]
    reminder = UUID(due["data"]["dedupe_key"])
    assert {action["command"] for action in due["data"]["actions"]} >= {"relationship.record_touchpoint"}
    await story.do("notifications/report-delivered", reminder, {"channel": "email"})
    await story.do("notifications/acknowledge", reminder, {"how": "seen"})
    await story.between(RAVI, GRACE, "record-touchpoint", {"kind": "progress_update", "channel": "email"})
    await story.until("2026-07-19 12:00")
    assert (await story.told("keep_in_touch"))[1:] == [("keep_in_touch", "due", "2026-07-19 10:00")]
    await story.between(RAVI, GRACE, "record-touchpoint", {"kind": "advice_used", "channel": "email"})
    await story.until("2026-11-02 09:00")
    assert (await story.told("keep_in_touch"))[2:] == [
        ("keep_in_touch", "due", "2026-10-17 12:00"),
        ("keep_in_touch", "again", "2026-10-24 12:00"),
        ("keep_in_touch", "cooling", "2026-10-31 12:00"),
    ]
    [tie] = await story.ask(f"/seekers/{RAVI}/relationships")
    assert tie["warmth"] == "cooling"
    await story.between(RAVI, GRACE, "record-touchpoint", {"kind": "good_wishes", "channel": "email"})


async def what_came_of_it(story: Stage) -> None:
    """A job, through a person; and all that passed between the two, in one timeline."""
    await story.do("seekers/record-outcome", RAVI, {"kind": "found_job", "through_contact_id": GRACE})
    [tie] = await story.ask(f"/seekers/{RAVI}/relationships")
    assert (tie["warmth"], story.local(tie["next_touch_at"])) == ("warm", "2027-01-31 09:00")
    timeline = await story.ask(f"/seekers/{RAVI}/timeline/{GRACE}")
    touches = [entry for entry in timeline if entry["type"] == "relationship.touchpoint_recorded"]
    assert [story.local(entry["occurred_at"]) for entry in touches] == [
        "2026-11-02 09:00", "2026-07-19 12:00", "2026-04-20 10:00",
    ]  # fmt: skip
    assert await story.types(CALL, "interview") == [
        "planned", "request_sent", "request_followed_up", "accepted", "times_offered", "scheduled",
        "research_recorded", "objectives_set", "questions_chosen", "prepared", "confirmed", "started", "held",
        "notes_taken", "thanked",
    ]  # fmt: skip
    reminder = (await story.ask(f"/seekers/{RAVI}/notifications", state="delivered"))[0]
    assert (reminder["kind"], reminder["channel"], reminder["how"]) == ("keep_in_touch", "email", "seen")


async def test_a_cold_request_becomes_a_lasting_tie(stage: Open) -> None:
    """Given a stranger and a personal request, when it is followed up once and leads to a call, then the tie is kept
    warm by periodic updates, whose reminders come by the seeker's half-hour clock."""
    async with stage("Asia/Kolkata", "2026-03-03 11:00") as story:
        await he_writes_to_a_stranger(story)
        await she_is_silent_and_he_follows_up(story)
        await he_prepares_and_they_talk(story)
        await he_keeps_her_posted(story)
        await what_came_of_it(story)
        await story.nothing_twice()
