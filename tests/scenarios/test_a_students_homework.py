"""S1: a student with a goal five months ahead meets two publicists at once, and writes notes by hand."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

from icalendar import Calendar

from shared.domain.conversation import Topic, propose
from tests.scenarios.conftest import Open
from tests.scenarios.stage import Stage

LENA = UUID(int=0x51)
NORA, IVO, PROFESSOR = UUID(int=0xC1), UUID(int=0xC2), UUID(int=0xC3)
LUNCH, LETTERS = UUID(int=0x11), UUID(int=0x12)
REFERRAL = UUID(int=0xE1)
SECRET = "0123456789abcdef0123456789abcdef"


async def she_sets_out(story: Stage) -> None:
    """Months ahead of her goal; she asks those first whom people she knows can name."""
    person = {
        "name": "Lena Brandt", "stage": "student", "fields": ["publishing"], "goal": "A traineeship",
        "goal_date": "2026-06-15", "time_zone": "Europe/Berlin", "country": "DE", "locale": "de",
    }  # fmt: skip
    await story.do("seekers/register", LENA, person)
    for contact, name, source in ((NORA, "Nora Vogt", "alumni_network"), (IVO, "Ivo Kranz", "social_network")):
        about = {"source": source, "seeker_id": LENA, "employer": "Quill House", "position": "Publicist"}
        await story.do("contacts/add", contact, about | {"name": name})
    ahead = await story.ask(f"/seekers/{LENA}/schedule", days=200)
    assert [(each["stage"], story.local(each["due_at"])) for each in ahead] == [
        ("five_months", "2026-01-15 09:00"),
        ("two_months", "2026-04-15 09:00"),
        ("two_weeks", "2026-06-01 09:00"),
    ]


async def she_asks_both(story: Stage) -> None:
    """One conversation with two people, to learn and not to seek, where and when it suits them."""
    plan = {"seeker_id": LENA, "contact_ids": [NORA, IVO], "purpose": "field", "about": "Publishing"}
    await story.do("interviews/plan", LUNCH, plan)
    plea = {"channel": "email", "minutes": 30, "intent": "Do you have a position for me?"}
    await story.refused("interviews/send-request", LUNCH, plea, "asks_for_job")
    await story.do("interviews/send-request", LUNCH, plea | {"intent": "To learn how a book finds its readers"})
    await story.refused("interviews/schedule", LUNCH, appointment(story), "out_of_order")
    await story.do("interviews/accept", LUNCH, {"format": "in_person"})
    await story.do("interviews/schedule", LUNCH, appointment(story))
    [asked_of_nora] = await story.events("contact.asked", NORA)
    [asked_of_ivo] = await story.events("contact.asked", IVO)
    assert asked_of_nora["data"] == asked_of_ivo["data"]


def appointment(story: Stage) -> dict[str, object]:
    return {
        "starts_at": story.instant("2026-02-24 16:00"), "time_zone": "Europe/Berlin", "minutes": 30,
        "format": "in_person", "place": "Quill House, third floor",
    }  # fmt: skip


async def she_does_her_homework(story: Stage) -> None:
    """On person, company and position; ten questions over the topics, some in reserve: all on one sheet."""
    await story.until("2026-02-22 10:00")
    assert await story.told("preparation", "goal_date_ahead") == [
        ("goal_date_ahead", "five_months", "2026-01-15 09:00"),
        ("preparation", "due", "2026-02-21 16:00"),
    ]
    research = {"person": "Nora began in rights", "company": "Forty titles a year", "position": "Publicist"}
    await story.do("interviews/record-research", LUNCH, research)
    proposal = propose("field", field="publishing")
    questions = [{"text": each.text, "topic": each.topic} for each in proposal.questions]
    reserve = [{"text": each.text, "topic": each.topic} for each in proposal.reserve]
    await story.do("interviews/choose-questions", LUNCH, {"questions": questions, "reserve": reserve})
    await story.do("interviews/prepare", LUNCH)
    assert len(questions) == 10
    assert {each["topic"] for each in questions} <= set(Topic)
    sheet = (await story.get(f"/interviews/{LUNCH}/preparation.md")).text
    assert "Forty titles a year" in sheet
    assert "Nora Vogt" in sheet
    assert "Ivo Kranz" in sheet


async def they_meet_and_she_wraps_up(story: Stage) -> None:
    """At the end she asks each of them whom else to talk to; one of them names somebody."""
    await story.until("2026-02-24 16:30")
    assert await story.told("confirmation") == [("confirmation", "due", "2026-02-23 09:00")]
    await story.do("interviews/hold", LUNCH, {"minutes": 30})
    for contact in (NORA, IVO):
        await story.between(LENA, contact, "ask-referral", {"about": "Children's books", "interview_id": LUNCH})
    referral = {"seeker_id": LENA, "contact_id": NORA, "interview_id": LUNCH, "kind": "referral"}
    await story.do("leads/record", REFERRAL, referral | {"what": "Talk to Ada Lind", "person": "Ada Lind"})


async def she_thanks_each_by_hand(story: Stage) -> None:
    """Thanking one of two leaves the reminder standing; thanking the other ends it."""
    await story.until("2026-02-24 19:00")
    note = {"how": "handwritten_note"}
    await story.do("interviews/thank", LUNCH, note | {"contact_ids": [NORA]})
    await story.until("2026-02-25 17:00")
    assert await story.told("thank_you") == [
        ("thank_you", "due", "2026-02-24 18:30"),
        ("thank_you", "overdue", "2026-02-25 16:30"),
    ]
    await story.do("interviews/thank", LUNCH, note)
    assert [event["data"]["complete"] for event in await story.events("interview.thanked")] == [False, True]
    await story.refused("interviews/thank", LUNCH, {"how": "email"}, "already_thanked")


async def the_professor_answers_by_mail(story: Stage) -> None:
    """An e-mail interview: accepted, written and over; it never had a time, and is in no calendar."""
    who = {"name": "Ada Lind", "source": "referral", "seeker_id": LENA, "introduced_by": NORA}
    await story.do("contacts/add", PROFESSOR, who)
    plan = {"seeker_id": LENA, "contact_ids": [PROFESSOR], "purpose": "field_of_study", "about": "Book studies"}
    await story.do("interviews/plan", LETTERS, plan | {"lead_id": REFERRAL})
    await story.do("leads/act-on", REFERRAL)
    by_mail = {"channel": "email", "minutes": 15, "format": "email", "intent": "To learn what the major is like"}
    await story.do("interviews/send-request", LETTERS, by_mail)
    await story.refused("interviews/hold", LETTERS, None, "out_of_order")
    await story.do("interviews/accept", LETTERS, {"format": "email"})
    await story.do("interviews/hold", LETTERS)
    await story.do("interviews/thank", LETTERS, {"how": "email"})
    digest = sha256(SECRET.encode()).hexdigest()
    await story.do("seekers/open-calendar-feed", LENA, {"secret_sha256": digest})
    entries = Calendar.from_ical(await story.calendar(LENA, SECRET)).walk("VEVENT")
    assert [entry["UID"] for entry in entries] == [f"{LUNCH}@kithlog"]
    assert entries[0].decoded("DTSTART") == story.instant("2026-02-24 16:00")
    await story.until("2026-02-26 12:00")
    assert await story.told("thank_introducer") == [("thank_introducer", "due", "2026-02-26 09:00")]


async def she_stays_in_touch(story: Stage) -> None:
    """Thirty days after each was thanked, by her wall clock; who is written to is asked about a quarter later."""
    await story.until("2026-03-27 10:00")
    await story.between(LENA, NORA, "record-touchpoint", {"kind": "progress_update", "channel": "letter"})
    await story.until("2026-06-14 10:00")
    to_each: dict[UUID, list[tuple[str, str]]] = {NORA: [], IVO: [], PROFESSOR: []}
    for event in await story.events("notification.due"):
        if event["data"]["kind"] == "keep_in_touch":
            [contact] = event["data"]["contact_ids"]
            to_each[UUID(contact)].append((event["data"]["stage"], story.local(event["time"])))
    assert to_each[NORA] == [("due", "2026-03-26 19:00")]
    # Summer time began on 29 March: the wall clock stays.
    assert to_each[IVO] == [
        ("due", "2026-03-27 17:00"),
        ("again", "2026-04-03 17:00"),
        ("cooling", "2026-04-10 17:00"),
    ]
    ties = {row["contact_id"]: row["warmth"] for row in await story.ask(f"/seekers/{LENA}/relationships")}
    assert (ties[str(NORA)], ties[str(IVO)]) == ("warm", "cooling")
    assert await story.told("goal_date_ahead") == [
        ("goal_date_ahead", "five_months", "2026-01-15 09:00"),
        ("goal_date_ahead", "two_months", "2026-04-15 09:00"),
        ("goal_date_ahead", "two_weeks", "2026-06-01 09:00"),
    ]


async def test_a_student_meets_two_publicists_at_once(stage: Open) -> None:
    """Given a goal five months ahead, when a student asks two people at once, then each of them counts as asked, is
    to be thanked and kept in touch with; and one of them leads to a professor who answers by mail."""
    async with stage("Europe/Berlin", "2026-01-12 09:00") as story:
        await she_sets_out(story)
        await she_asks_both(story)
        await she_does_her_homework(story)
        await they_meet_and_she_wraps_up(story)
        await she_thanks_each_by_hand(story)
        await the_professor_answers_by_mail(story)
        await she_stays_in_touch(story)
        await story.nothing_twice()
