"""S0: a coach matches a participant with a contact; one conversation promises eight introductions."""

from __future__ import annotations

from uuid import UUID

from tests.scenarios.conftest import Open
from tests.scenarios.stage import Stage

BRITT, LEO = UUID(int=0x51), UUID(int=0x52)
THEO = UUID(int=0xC1)
PROGRAMME, COACH = UUID(int=0xB1), UUID(int=0xD1)
COFFEE, CALL = UUID(int=0x11), UUID(int=0x12)
PROMISED = [UUID(int=0xE0 + number) for number in range(8)]
NEW = [UUID(int=0xF0 + number) for number in range(8)]
OPENING = UUID(int=0xEA)
PAIR = {"seeker_id": BRITT, "contact_id": THEO}
QUESTIONS = [
    {"text": "What does a typical day look like for you?", "topic": "typical_day"},
    {"text": "What are the biggest challenges of the industry?", "topic": "challenges"},
    {"text": "How did you break into the industry?", "topic": "breaking_in"},
    {"text": "What led you to the work that you do now?", "topic": "path"},
    {"text": "What do you like most about it?", "topic": "likes_and_changes"},
    {"text": "What would you change if you could?", "topic": "likes_and_changes"},
    {"text": "Which kinds of work are there in an agency?", "topic": "kinds_of_jobs"},
    {"text": "What does a career path in advertising look like?", "topic": "career_path"},
    {"text": "What do you read to keep up?", "topic": "what_to_read_and_follow"},
    {"text": "Whom else should I talk to?", "topic": "whom_else"},
]
FORBIDDEN = {
    "Will you hire me?": "asks_for_job",
    "How much do you make?": "asks_own_pay",
    "Could you help me find a job?": "asks_to_find_job",
}


async def the_coach_matches(story: Stage) -> None:
    """Dana's programme, two participants who have never done it, and a match with the best of who is of the field."""
    await story.do("programmes/create", PROGRAMME, {"title": "Odyssey", "fields": ["marketing"]})
    await story.do("programmes/assign-coach", PROGRAMME, {"coach_id": COACH, "name": "Dana Whitfield"})
    for seeker, name in ((BRITT, "Britt Larsen"), (LEO, "Leo Marsh")):
        person = {"name": name, "time_zone": "America/Chicago", "country": "US", "fields": ["marketing"]}
        await story.do("seekers/register", seeker, person)
        await story.do("programmes/enrol-participant", PROGRAMME, {"seeker_id": seeker})
    theo = {"name": "Theo Okafor", "source": "programme_directory", "employer": "Beacon Row", "fields": ["marketing"]}
    await story.do("contacts/add", THEO, theo)
    await story.do("contacts/offer-hours", THEO, {"capacity": 1, "formats": ["coffee", "phone"]})
    others = {"Wren Adair": ("marketing", 0), "Ida Moss": ("Event marketing", 4), "Paul Reyes": ("law", 4)}
    for number, (name, (field, capacity)) in enumerate(others.items(), 0xC2):
        added = {"name": name, "source": "programme_directory", "capacity": capacity, "fields": [field]}
        await story.do("contacts/add", UUID(int=number), added)
    best, second = await story.ask(f"/programmes/{PROGRAMME}/participants/{BRITT}/candidates")
    assert (best["contact"]["name"], best["fit"], best["free"], best["formats"]) == (
        "Theo Okafor", "exact", 1, ["coffee", "phone"],
    )  # fmt: skip
    assert (second["contact"]["name"], second["field"], second["fit"]) == ("Ida Moss", "Event marketing", "related")
    match = {"seeker_id": BRITT, "contact_id": best["contact"]["contact_id"]}
    await story.refused("programmes/propose-match", PROGRAMME, match | {"field": "Nursing"}, "field_of_neither")
    await story.do("programmes/propose-match", PROGRAMME, match | {"field": best["field"]})
    rest = await story.ask(f"/programmes/{PROGRAMME}/participants/{BRITT}/candidates")
    assert [each["contact"]["name"] for each in rest] == ["Ida Moss"]
    [for_leo, _] = await story.ask(f"/programmes/{PROGRAMME}/participants/{LEO}/candidates")
    assert (for_leo["contact"]["name"], for_leo["awaiting"]) == ("Theo Okafor", 1)
    await story.do("programmes/accept-match", PROGRAMME, PAIR)


async def she_asks(story: Stage) -> None:
    """A stated length, coffee or phone at their convenience; one place a month, and it is hers."""
    plan = {"seeker_id": BRITT, "contact_ids": [THEO], "purpose": "field", "about": "Marketing"}
    await story.do("interviews/plan", COFFEE, plan | {"programme_id": PROGRAMME})
    request = {
        "channel": "email",
        "minutes": 30,
        "format": "coffee",
        "intent": "To learn about your industry from somebody who seems a great person to learn from",
        "personalised_by": "Your campaign for the river museum",
    }
    await story.do("interviews/send-request", COFFEE, request)
    theirs = UUID(int=0x13)
    await story.do("interviews/plan", theirs, plan | {"seeker_id": LEO})
    await story.refused("interviews/send-request", theirs, request, "contact_at_capacity")
    [load] = await story.ask(f"/contacts/{THEO}/load")
    assert (load["month"], load["requests"], load["capacity"]) == ("2026-01", 1, 1)


async def they_agree(story: Stage) -> None:
    """He is vague at first, then fixes a time, then moves it: the seeker yields. What was due moves with it."""
    await story.until("2026-01-07 12:00")
    await story.do("interviews/agree-loosely", COFFEE, {"what": "Coffee some time next week"})
    await story.until("2026-01-09 14:00")
    assert await story.told("firm_it_up") == [("firm_it_up", "due", "2026-01-09 12:00")]
    coffee = {"time_zone": "America/Chicago", "minutes": 30, "format": "coffee", "place": "The kiosk on Main"}
    first, second = story.instant("2026-01-14 10:00"), story.instant("2026-01-16 15:00")
    await story.do("interviews/schedule", COFFEE, coffee | {"starts_at": first})
    moved = await story.do("interviews/reschedule", COFFEE, coffee | {"starts_at": second, "asked_by": "contact"})
    assert [event["type"] for event in moved["events"]] == ["interview.rescheduled"]
    [entry] = await story.ask(f"/seekers/{BRITT}/agenda")
    assert (entry["sequence"], story.local(entry["starts_at"])) == (1, "2026-01-16 15:00")


async def she_prepares(story: Stage) -> None:
    """Ten questions, none of the three that must not be asked; reminded while she is not ready."""
    await story.until("2026-01-14 09:00")
    assert await story.told("preparation") == [("preparation", "due", "2026-01-13 15:00")]
    for text, code in FORBIDDEN.items():
        problem = await story.refused("interviews/choose-questions", COFFEE, {"questions": [{"text": text}]}, code)
        assert problem["field"] == "/questions/0/text"
    await story.do("interviews/choose-questions", COFFEE, {"questions": QUESTIONS})
    await story.do("interviews/prepare", COFFEE)
    sheet = await story.ask(f"/interviews/{COFFEE}/preparation")
    assert [each["text"] for each in sheet["questions"]] == [each["text"] for each in QUESTIONS]
    await story.until("2026-01-15 12:00")
    assert await story.told("preparation", "confirmation") == [
        ("preparation", "due", "2026-01-13 15:00"),
        ("confirmation", "due", "2026-01-15 09:00"),
    ]
    await story.do("interviews/confirm", COFFEE)


async def they_meet(story: Stage) -> None:
    """It overruns since he shows her the whole agency; he promises eight introductions and volunteers an opening."""
    await story.until("2026-01-16 15:50")
    await story.do("interviews/hold", COFFEE, {"minutes": 50})
    await story.do("interviews/take-notes", COFFEE, {"points": ["Met the entire agency", "A tour of the office"]})
    await story.do("interviews/record-reflection", COFFEE, {"learned": "Agencies are kinder than feared", "clicked": 5})
    gift = {"seeker_id": BRITT, "contact_id": THEO, "interview_id": COFFEE}
    for number, lead in enumerate(PROMISED):
        promise = {"kind": "promised_introduction", "what": f"An introduction at organisation {number}"}
        await story.do("leads/record", lead, gift | promise | {"person": f"Person {number}"})
    await story.do("leads/record", OPENING, gift | {"kind": "job_opening", "what": "They look for a junior copywriter"})
    [interview] = await story.ask(f"/seekers/{BRITT}/pipeline")
    assert (interview["status"], interview["next_move"], interview["overran"]) == ("held", "thank", True)


async def she_thanks_late(story: Stage) -> None:
    """Reminded the same day in waking hours and a day after; what comes later is withdrawn once she has thanked."""
    await story.until("2026-01-17 18:00")
    assert await story.told("thank_you") == [
        ("thank_you", "due", "2026-01-16 17:50"),
        ("thank_you", "overdue", "2026-01-17 15:50"),
    ]
    await story.do("interviews/thank", COFFEE, {"how": "email"})
    await story.until("2026-01-20 12:00")
    assert await story.silenced("thank_you") == [
        ("thank_you", "coach", "withdrawn", "interview.thanked"),
        ("thank_you", "last_call", "withdrawn", "interview.thanked"),
    ]
    # Friday's opening waits for one working day; Monday the 19th is a public holiday.
    assert await story.told("act_on_lead") == []
    await story.until("2026-01-20 16:00")
    assert await story.told("act_on_lead", "connect") == [
        ("connect", "due", "2026-01-20 09:00"),
        ("act_on_lead", "due", "2026-01-20 15:50"),
    ]


async def promises_are_kept(story: Stage) -> None:
    """Seven of eight; each kept one is an edge of the network, the last is asked about twice. She writes to six of the
    seven."""
    await story.until("2026-01-22 10:00")
    await story.do("leads/act-on", OPENING, {"what": "Wrote to them"})
    for number in range(7):
        person = {"name": f"Person {number}", "source": "referral", "seeker_id": BRITT, "introduced_by": THEO}
        await story.do("contacts/add", NEW[number], person)
        await story.do("leads/come-to-something", PROMISED[number], {"new_contact_id": NEW[number]})
    for each in NEW[:6]:
        await story.between(BRITT, each, "record-touchpoint", {"kind": "guidance_asked", "channel": "email"})
    network = await story.ask(f"/seekers/{BRITT}/network")
    edges = {(edge["source"], edge["target"], edge["kind"]) for edge in network["edges"]}
    assert edges == {
        (str(BRITT), str(THEO), "knows"),
        *((str(THEO), str(each), "introduced") for each in NEW[:7]),
        (str(THEO), str(PROMISED[7]), "promised"),
    }


async def one_of_them_talks_to_her(story: Stage) -> None:
    """A call with one of the seven: Theo, who knows of the introductions that he made, is to be thanked for it."""
    await story.until("2026-01-23 12:00")
    assert await story.told("write_to_contact") == [("write_to_contact", "due", "2026-01-23 09:00")]
    await story.between(BRITT, NEW[6], "record-touchpoint", {"kind": "guidance_asked", "channel": "email"})
    assert await story.told("report_back") == []
    for lead in PROMISED[:7]:
        await story.do("leads/report-back", lead, {"channel": "email"})
    plan = {"seeker_id": BRITT, "contact_ids": [NEW[0]], "purpose": "role", "about": "Copywriter"}
    await story.do("interviews/plan", CALL, plan | {"lead_id": PROMISED[0], "programme_id": PROGRAMME})
    await story.do("interviews/send-request", CALL, {"channel": "email", "minutes": 20, "intent": "To learn the craft"})
    await story.do("interviews/accept", CALL)
    call = {"starts_at": story.instant("2026-01-29 11:00"), "time_zone": "America/Chicago", "format": "phone"}
    await story.do("interviews/schedule", CALL, call | {"minutes": 20})
    await story.until("2026-01-29 11:25")
    await story.do("interviews/hold", CALL, {"minutes": 18})
    [held] = await story.events("interview.held", CALL)
    assert (held["data"]["introduced_by"], held["data"]["overran"]) == ([str(THEO)], False)
    await story.do("interviews/thank", CALL, {"how": "email"})
    await story.until("2026-01-30 12:00")
    assert await story.told("thank_introducer") == [("thank_introducer", "due", "2026-01-30 09:00")]
    await story.between(BRITT, THEO, "record-touchpoint", {"kind": "thanks", "channel": "email"})


async def what_cannot_be_delivered(story: Stage) -> None:
    """Her mailbox is gone: the coach is told in her stead, once, on the next working day."""
    [reminder] = await story.ask(
        f"/seekers/{BRITT}/notifications", state="due", since=story.instant("2026-02-17 00:00"), limit=1
    )
    bounced = {"channel": "email", "permanent": True}
    await story.do("notifications/report-failed", UUID(reminder["notification_id"]), bounced)
    await story.until("2026-03-02 12:00")
    assert await story.told(role="coach") == [
        ("participant_stalled", "coach", "2026-01-26 09:00"),
        ("undeliverable", "coach", "2026-03-02 08:00"),
    ]


async def what_the_coach_sees(story: Stage) -> None:
    """One of two participants has done it, twice, and thanked once within a day; the other needs the coach."""
    await story.until("2026-03-01 10:00")
    assert await story.told(role="coach") == [("participant_stalled", "coach", "2026-01-26 09:00")]
    [stalled] = await story.ask(f"/coaches/{COACH}/notifications", state="due")
    assert stalled["seeker_id"] == str(LEO)
    board = (await story.ask(f"/programmes/{PROGRAMME}/board"))["board"]
    assert (board["participants"], board["never_held_one"], board["matches_accepted"]) == (2, 1, 1)
    assert {step["step"]: (step["participants"], step["count"]) for step in board["funnel"]} == {
        "asked": (1, 2),
        "accepted": (1, 2),
        "held": (1, 2),
        "thanked_within_a_day": (1, 1),
        "leads_acted_on": (1, 1),
    }
    # The eighth is asked about after ten working days, and ten more: holidays are no working days.
    assert await story.told("promised_introduction") == [
        ("promised_introduction", "due", "2026-02-02 15:50"),
        ("promised_introduction", "again", "2026-02-17 15:50"),
    ]
    await what_cannot_be_delivered(story)
    await story.do("leads/come-to-nothing", PROMISED[7], {"why": "They have moved"})
    leads = await story.ask(f"/seekers/{BRITT}/leads")
    assert [row["state"] for row in leads] == ["reported_back"] * 7 + ["to_report_back", "acted_on"]
    assert await story.types(COFFEE, "interview") == [
        "planned", "request_sent", "agreed_loosely", "scheduled", "rescheduled", "questions_chosen", "prepared",
        "confirmed", "held", "notes_taken", "reflection_recorded", "thanked",
    ]  # fmt: skip


async def test_one_conversation_promises_eight_introductions(stage: Open) -> None:
    """Given a programme whose participants have never done it, when its coach arranges one conversation, then that
    is asked, moved, prepared, held and thanked for at the contact's convenience, and grows into a network."""
    async with stage("America/Chicago", "2026-01-05 10:00") as story:
        await the_coach_matches(story)
        await she_asks(story)
        await they_agree(story)
        await she_prepares(story)
        await they_meet(story)
        await she_thanks_late(story)
        await promises_are_kept(story)
        await one_of_them_talks_to_her(story)
        await what_the_coach_sees(story)
        await story.nothing_twice()
