"""What will be due, what was told, and why."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from shared.domain import interview, lead, notification, seeker
from shared.timing.settling import in_turn
from tests.domain.scenario import (
    ACCEPTED,
    ADDED,
    ANA,
    COACH,
    HELD,
    INTERVIEW,
    NOW,
    PEOPLE,
    PLANNED,
    REGISTERED,
    REQUESTED,
    SCHEDULED,
    SEEKER,
    WHOSE,
)
from tests.models.history import History, happened
from tests.models.test_telling import DUE, REMINDER, TOLD, told
from tests.queries.conftest import MINE, TENANT, Library

HELD_STORY = (*PEOPLE, PLANNED, REQUESTED, ACCEPTED, SCHEDULED, HELD)


async def test_a_conversation_that_was_held_puts_thanks_on_the_schedule(library: Library) -> None:
    """Given a conversation, then what follows is on the schedule, soonest first, saying what armed it and for whom."""
    await library.fold(happened(*HELD_STORY))
    answer = await library.get(f"{MINE}/schedule", days=10)
    items = answer["items"]
    thanks = [item for item in items if item["policy"] == "thank_you"]
    assert [item["stage"] for item in thanks][:3] == ["due", "overdue", "last_call"]
    assert thanks[0]["armed_by"]["type"] == "interview.held"
    assert thanks[0]["contacts"][0]["name"] == "Ana Reis"
    assert [item["due_at"] for item in items] == sorted(item["due_at"] for item in items)


async def test_thanks_take_it_off_the_schedule(library: Library) -> None:
    """Given a thank-you, then no reminder of it is left, and keeping in touch is on the schedule for later."""
    thanked = interview.Thanked(**WHOSE, how="email", thanked_ids=(ANA,))
    await library.fold(happened(*HELD_STORY, thanked))
    policies = {item["policy"] for item in (await library.get(f"{MINE}/schedule", days=90))["items"]}
    assert "thank_you" not in policies
    assert "keep_in_touch" in policies
    soon = {item["policy"] for item in (await library.get(f"{MINE}/schedule", days=20))["items"]}
    assert "keep_in_touch" not in soon


async def test_what_nobody_will_be_told_of_is_marked_on_the_schedule(library: Library) -> None:
    """Given a seeker without a coach who has muted a kind, then the schedule says of what the coach would be told, and
    of that kind, that nobody will be, as the reminders do; of nothing else."""
    await library.fold(happened(*HELD_STORY, seeker.PreferencesChanged(muted=("connect",))))
    items = (await library.get(f"{MINE}/schedule", days=10))["items"]
    against = {(item["policy"], item["stage"]): item["will_be"] for item in items if item["will_be"]}
    assert against == {("connect", "due"): "muted", ("thank_you", "coach"): "no_coach"}
    for item in items:
        assert (await _reminder(library, item))[1] == item["will_be"]


async def test_the_schedule_comes_in_pages(library: Library) -> None:
    """Given more than a page holds, then pages lead through everything once."""
    await library.fold(happened(*HELD_STORY))
    whole = [item["id"] for item in (await library.get(f"{MINE}/schedule"))["items"]]
    assert len(whole) >= 3
    seen: list[str] = []
    after: dict[str, Any] = {}
    while True:
        answer = await library.get(f"{MINE}/schedule", limit=2, **after)
        seen += [item["id"] for item in answer["items"]]
        if answer["next"] is None:
            break
        after = {"after": answer["next"]}
    assert seen == whole


async def test_a_cursor_of_another_query_is_refused(library: Library) -> None:
    """Given `next` of the timeline, when the schedule is asked with it, then it is refused."""
    await library.fold(happened(*HELD_STORY))
    other = await library.get(f"{MINE}/timeline/{ANA}", limit=1)
    problem = await library.get(f"{MINE}/schedule", 400, after=other["next"])
    assert problem["code"] == "malformed_cursor"


async def test_what_was_told_and_what_was_not(library: Library) -> None:
    """Given one reminder that fell due and one that was suppressed, then each is found, with its reason."""
    muted = notification.Withdrawn(**TOLD, reason="suppressed", because="muted", due_at=NOW)
    history = happened(REGISTERED, ADDED, *told(DUE))
    await library.fold(history)
    [item] = (await library.get(f"{MINE}/notifications"))["items"]
    assert (item["state"], item["kind"], item["contacts"][0]["name"]) == ("due", "thank_you", "Ana Reis")
    await library.fold(history.add(*told(muted)))
    [item] = (await library.get(f"{MINE}/notifications", state="suppressed"))["items"]
    assert (item["because"], item["notification_id"]) == ("muted", str(REMINDER))
    one = await library.get(f"{TENANT}/notifications/{REMINDER}")
    assert one["item"] == item
    assert (await library.get(f"{TENANT}/notifications/{ANA}", 404))["code"] == "unknown_notification"


async def test_a_coach_reads_what_they_were_told(library: Library) -> None:
    """Given a reminder to the coach, then the coach's list has it; another's list is empty."""
    to_coach = notification.Addressee(id=COACH, role="coach", time_zone="Europe/Lisbon")
    await library.fold(happened(REGISTERED, ADDED, *told(DUE.model_copy(update={"recipient": to_coach}))))
    [item] = (await library.get(f"{TENANT}/coaches/{COACH}/notifications"))["items"]
    assert (item["notification_id"], item["role"]) == (str(REMINDER), "coach")
    assert (await library.get(f"{TENANT}/coaches/{ANA}/notifications"))["items"] == []


async def test_why_am_i_reminded(library: Library) -> None:
    """Given a conversation that was held, then its reminders say what they wait for, or what ended them."""
    await library.fold(happened(*HELD_STORY))
    answer = await library.get(f"{TENANT}/reminders/{INTERVIEW}")
    item = answer["item"]
    assert (item["subject"], item["contacts"][0]["name"]) == ("interview", "Ana Reis")
    status = {(each["policy"], each["stage"]): each for each in item["policies"]}
    assert status["thank_you", "due"]["status"] == "pending"
    assert status["thank_you", "due"]["armed_by"]["type"] == "interview.held"
    assert status["thank_you", "coach"]["will_be"] == "no_coach"
    ended = next(each for each in item["policies"] if each["policy"] == "request_follow_up")
    assert (ended["status"], ended["because"]) == ("ended", "interview.accepted")
    assert (await library.get(f"{TENANT}/reminders/{COACH}", 404))["code"] == "unknown_subject"


async def test_what_a_seeker_has_set_in_vain_is_told(library: Library) -> None:
    """Given settings of a seeker that do not go with the tenant's policies any more, then the reminders, which are as
    without them, say so and why; settings that do are not mentioned."""
    history = happened(*HELD_STORY)
    due = {"thank_you": {"stages": {"due": {"after": {"hours": 30}}}}, "limits": {"cap_per_day": 3}}
    await library.fold(history)
    assert (await library.get(f"{TENANT}/reminders/{INTERVIEW}"))["item"]["left_aside"] == []
    await library.fold(history.add(seeker.PreferencesChanged(overrides=due)))
    told = (await library.get(f"{TENANT}/reminders/{INTERVIEW}"))["item"]
    assert told["left_aside"] == ["thank_you: stage overdue does not come after the one before it"]
    [first] = [each for each in told["policies"] if (each["policy"], each["stage"]) == ("thank_you", "due")]
    assert "+" not in first["rule_version"]


async def test_what_a_seeker_prefers_is_told_as_set_and_as_in_force(library: Library) -> None:
    """Given a seeker who has set nothing, then all is as the tenant has it; of what they set, it is told what holds."""
    history = happened(*HELD_STORY)
    await library.fold(history)
    item = (await library.get(MINE))["item"]
    assert set(item["preferences"].values()) == {None}
    assert item["in_force"] == {
        "quiet_hours": None,
        "waking_hours": {"start": "08:00:00", "end": "21:00:00"},
        "working_days": [1, 2, 3, 4, 5],
        "digest": False,
        "digest_at": "09:00:00",
        "cap_per_day": 8,
        "muted": [],
        "left_aside": [],
    }
    overrides = {"limits": {"cap_per_day": 3}, "thank_you": {"stages": {"due": {"after": {"hours": 30}}}}}
    wish = seeker.PreferencesChanged(muted=("connect",), working_days=(7, 1), overrides=overrides)
    await library.fold(history.add(wish))
    item = (await library.get(MINE))["item"]
    assert (item["preferences"]["muted"], item["preferences"]["overrides"]) == (["connect"], overrides)
    assert (item["in_force"]["working_days"], item["in_force"]["cap_per_day"]) == ([1, 7], 3)
    assert item["in_force"]["left_aside"] == ["thank_you: stage overdue does not come after the one before it"]


async def test_the_schedule_ends_where_it_was_asked_to(library: Library) -> None:
    """Given reminders over days, when one day is asked for, then nothing beyond it comes."""
    await library.fold(History(start=NOW - timedelta(hours=7)).add(*HELD_STORY))
    answer = await library.get(f"{MINE}/schedule", days=1)
    assert answer["items"]
    assert all(datetime.fromisoformat(item["due_at"]) <= NOW + timedelta(days=1) for item in answer["items"])
    assert {item["seeker_id"] for item in answer["items"]} == {str(SEEKER)}


async def _put_off(library: Library, id: str, until: datetime) -> None:
    """As firing does it."""
    await library.reader.pool.execute("UPDATE read.timer SET due_at = $1 WHERE id = $2::text::uuid", until, id)


async def test_what_was_put_off_is_shown_when_it_is_due_now(library: Library) -> None:
    """Given a reminder that was due and was put off until after the next one, then it comes after that one, page by
    page, too, with its new time, without the fraction of a second that keeps the order; one that was put off beyond its
    moment is not ahead any more."""
    await library.fold(happened(*HELD_STORY))
    first, second, *_ = before = (await library.get(f"{MINE}/schedule", days=10))["items"]
    until = datetime.fromisoformat(second["due_at"]) + timedelta(minutes=5)
    await _put_off(library, first["id"], in_turn(until, datetime.fromisoformat(first["due_at"])))

    items = (await library.get(f"{MINE}/schedule", days=10))["items"]
    assert [item["id"] for item in items][:2] == [second["id"], first["id"]]
    assert items[0] == second
    local = until.astimezone(ZoneInfo(first["time_zone"])).replace(tzinfo=None)
    assert datetime.fromisoformat(items[1]["due_at"]) == until
    assert datetime.fromisoformat(items[1]["local_due"]) == local
    page = await library.get(f"{MINE}/schedule", days=10, limit=1)
    page = await library.get(f"{MINE}/schedule", days=10, limit=1, after=page["next"])
    assert page["items"] == [items[1]]
    assert await _reminder(library, first) == (until, "")

    expiry = datetime.fromisoformat(first["expires_at"])
    await _put_off(library, first["id"], expiry)
    items = (await library.get(f"{MINE}/schedule", days=10))["items"]
    assert {item["id"] for item in items} == {item["id"] for item in before} - {first["id"]}
    assert await _reminder(library, first) == (expiry, "moment_passed")


async def test_the_next_touch_is_shown_without_its_place_in_the_order(library: Library) -> None:
    """Given a reminder to keep in touch that was put off to a moment, then the next touch is due at that moment."""
    thanked = interview.Thanked(**WHOSE, how="email", thanked_ids=(ANA,))
    await library.fold(happened(*HELD_STORY, thanked))
    items = (await library.get(f"{MINE}/schedule", days=90))["items"]
    touch = next(item for item in items if item["policy"] == "keep_in_touch")
    due_at = datetime.fromisoformat(touch["due_at"])
    until = due_at + timedelta(days=1)
    await _put_off(library, touch["id"], in_turn(until, due_at))
    [tie] = (await library.get(f"{MINE}/relationships"))["items"]
    assert datetime.fromisoformat(tie["next_touch_at"]) == until


async def _reminder(library: Library, item: Any) -> tuple[datetime, str]:
    """When it is due, and what stands against it."""
    about = (await library.get(f"{TENANT}/reminders/{item['subject_id']}"))["item"]
    (found,) = [each for each in about["policies"] if each["notification_id"] == item["id"]]
    return datetime.fromisoformat(found["due_at"]), found["will_be"]


async def test_what_will_have_expired_is_not_on_the_schedule(library: Library) -> None:
    """Given an opening that closes before later reminders of it would come, then those are not shown as what will fall
    due."""
    opening = lead.Recorded(
        seeker_id=SEEKER, contact_id=ANA, kind="job_opening", what="Apply", until=NOW.date() + timedelta(days=9)
    )
    await library.fold(happened(*PEOPLE, opening))
    items = (await library.get(f"{MINE}/schedule", days=90))["items"]
    assert [item["stage"] for item in items if item["policy"] == "act_on_job_opening"] == ["due", "week_1"]
