"""S3: a laid-off career changer gathers advice and resources, and finds out that the field is not the one."""

from __future__ import annotations

from uuid import UUID

from tests.scenarios.conftest import Open
from tests.scenarios.stage import Stage

MAE, HUGO = UUID(int=0x51), UUID(int=0xC1)
CALL = UUID(int=0x11)
BLOG, ACCOUNT, COURSE = UUID(int=0xE1), UUID(int=0xE2), UUID(int=0xE3)


async def she_is_laid_off(story: Stage) -> None:
    """She drives; she wants quiet evenings, and no reminders to connect."""
    person = {"name": "Mae Farrow", "stage": "laid_off", "fields": ["data analysis"], "time_zone": "Australia/Sydney"}
    await story.do("seekers/register", MAE, person | {"country": "AU", "locale": "en-AU"})
    await story.do("seekers/write-introduction", MAE, {"text": "Ten years of retail, and a liking for numbers."})
    quiet = {"quiet_hours": {"start": "19:00:00", "end": "08:30:00"}, "muted": ["connect"]}
    await story.do("seekers/change-preferences", MAE, quiet)
    hugo = {"name": "Hugo Lam", "source": "professional_association", "seeker_id": MAE, "position": "Data analyst"}
    await story.do("contacts/add", HUGO, hugo)


async def she_drives(story: Stage) -> None:
    """Twenty to thirty minutes of questions, plenty in reserve, and never for a job."""
    plan = {"seeker_id": MAE, "contact_ids": [HUGO], "purpose": "role", "about": "Data analyst"}
    await story.do("interviews/plan", CALL, plan)
    request = {"channel": "email", "minutes": 45, "intent": "To find out whether the field is right for me"}
    advised = await story.do("interviews/send-request", CALL, request)
    assert {advice["code"] for advice in advised["advice"]} == {"longer_than_usual", "not_personalised"}
    await story.do("interviews/accept", CALL)
    call = {"starts_at": story.instant("2026-04-04 14:30"), "time_zone": "Australia/Sydney", "format": "phone"}
    await story.do("interviews/schedule", CALL, call | {"minutes": 30})
    asks = [
        {"text": "How did you come to be in your position?", "topic": "path"},
        {"text": "Which skills, education and experience does the field ask for?"},
        {"text": "Which blogs and accounts do you follow, and should I?", "topic": "what_to_read_and_follow"},
    ]
    spare = [{"text": f"What has changed most in year {year} of your career?"} for year in range(1, 6)]
    bad = {"questions": [*asks, {"text": "Can you give me a job?"}], "reserve": spare}
    refusal = await story.refused("interviews/choose-questions", CALL, bad, "asks_for_job")
    assert refusal["field"] == "/questions/3/text"
    await story.do("interviews/choose-questions", CALL, {"questions": asks, "reserve": spare})
    sheet = await story.ask(f"/interviews/{CALL}/preparation")
    assert (len(sheet["questions"]), len(sheet["reserve"])) == (3, 5)
    assert sheet["introduction"].startswith("Ten years of retail")
    await story.do("interviews/prepare", CALL)


async def he_answers(story: Stage) -> None:
    """Advice on skills, education and experience, typed; and three things to read, follow and take."""
    await story.until("2026-04-04 15:00")
    await story.do("interviews/hold", CALL, {"minutes": 30})
    advice = [
        {"about": "skills", "text": "Learn enough statistics to doubt a chart"},
        {"about": "education", "text": "A degree matters less than a portfolio"},
        {"about": "experience", "text": "Volunteer to count something for a charity"},
    ]
    resources = [{"kind": "blog", "title": "Counting Sheep", "url": "https://sheep.example/"}]
    await story.do("interviews/take-notes", CALL, {"advice": advice, "resources": resources})
    await story.do("interviews/record-reflection", CALL, {"learned": "The work is lonelier than I like", "clicked": 4})
    gift = {"seeker_id": MAE, "contact_id": HUGO, "interview_id": CALL, "kind": "resource"}
    things = ((BLOG, "blog", "Counting Sheep"), (ACCOUNT, "account", "@dailychart"), (COURSE, "course", "Numbers I"))
    for lead, kind, title in things:
        await story.do("leads/record", lead, gift | {"what": title, "resource": {"kind": kind, "title": title}})
    # Skills, education, experience, and what to follow: each is found again by a word of it.
    for word in ("statistic", "portfolio", "volunteering", "sheep"):
        found = await story.ask(f"/seekers/{MAE}/notebook", q=word, kind="notes")
        assert [piece["interview_id"] for piece in found] == [str(CALL)], word
    [piece] = await story.ask(f"/seekers/{MAE}/notebook", kind="notes")
    assert [each["about"] for each in piece["advice"]] == ["skills", "education", "experience"]
    assert await story.ask(f"/seekers/{MAE}/notebook", q="astronomy") == []


async def the_clocks_go_back(story: Stage) -> None:
    """Twenty-four hours after three o'clock it is two: summer time ended in the night. She has no coach to be told."""
    await story.until("2026-04-09 15:30")
    assert await story.told("thank_you") == [
        ("thank_you", "due", "2026-04-04 17:00"),
        ("thank_you", "overdue", "2026-04-05 14:00"),
        ("thank_you", "last_call", "2026-04-06 14:00"),
    ]
    assert await story.silenced("thank_you") == [("thank_you", "coach", "suppressed", "no_coach")]
    assert await story.silenced("connect") == [("connect", "due", "suppressed", "muted")]
    explained = await story.ask(f"/reminders/{CALL}")
    assert explained["subject_id"] == str(CALL)
    # Three working days after Saturday, Easter Monday not being one.
    assert await story.told("act_on_lead") == [("act_on_lead", "due", "2026-04-09 15:00")] * 3
    await story.do("interviews/thank", CALL, {"how": "email"}, at="2026-04-08 18:00")
    [thanked] = await story.events("interview.thanked")
    assert story.local(thanked["time"]) == "2026-04-08 18:00"


async def she_decides(story: Stage) -> None:
    """Two leads are acted on, one is dropped; the field is not hers, and she looks further."""
    await story.do("leads/act-on", BLOG)
    await story.do("leads/act-on", ACCOUNT)
    await story.do("leads/drop", COURSE, {"why": "Not my field after all"})
    verdict = {"field": "data analysis", "verdict": "not_for_me", "why": "Too lonely"}
    await story.do("seekers/record-verdict", MAE, verdict)
    await story.do("seekers/record-verdict", MAE, {"field": "teaching", "verdict": "pursue"})
    await story.do("seekers/change-goals", MAE, {"stage": "career_changer", "fields": ["teaching"]})
    board = {row["lead_id"]: row["state"] for row in await story.ask(f"/seekers/{MAE}/leads")}
    assert board == {str(BLOG): "acted_on", str(ACCOUNT): "acted_on", str(COURSE): "dropped"}
    assert (await story.ask(f"/seekers/{MAE}"))["fields"] == ["teaching"]
    verdicts = await story.ask(f"/seekers/{MAE}/notebook", kind="verdict")
    assert {each["title"] for each in verdicts} == {"data analysis: not for me", "teaching: pursue"}
    [found] = await story.ask(f"/seekers/{MAE}/notebook", q="lonely", kind="verdict")
    assert found["text"] == "Too lonely"


async def test_a_career_changer_learns_that_a_field_is_not_hers(stage: Open) -> None:
    """Given someone laid off, when she asks for advice instead of a job, then skills, education, experience and what to
    follow can be found again, she is left in peace in quiet hours, and what she decides is on record."""
    async with stage("Australia/Sydney", "2026-03-23 10:00") as story:
        await she_is_laid_off(story)
        await she_drives(story)
        await he_answers(story)
        await the_clocks_go_back(story)
        await she_decides(story)
        await story.nothing_twice()
