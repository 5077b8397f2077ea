"""S2, S4: a tie that is kept for years, through help, plans for later, silence and a wish for peace."""

from __future__ import annotations

from uuid import UUID

from tests.scenarios.conftest import Open
from tests.scenarios.stage import Stage

INES = UUID(int=0x51)
BEN, CLEO = UUID(int=0xB1), UUID(int=0xC1)
COFFEE, PROMISE = UUID(int=0x11), UUID(int=0xE1)


async def ben_helps(story: Stage) -> None:
    """Asked for the introduction that he had promised, he makes it: that is no tie to call cold a week later."""
    await story.do("seekers/register", INES, {"name": "Ines Prado", "time_zone": "Europe/Berlin", "country": "DE"})
    for contact, name in ((BEN, "Ben Falk"), (CLEO, "Cleo Duarte")):
        await story.do("contacts/add", contact, {"name": name, "source": "already_known", "seeker_id": INES})
    await story.between(INES, BEN, "start-keeping-in-touch", {"cadence_days": 30, "first_after_days": 30})
    promise = {"seeker_id": INES, "contact_id": BEN, "kind": "promised_introduction", "what": "An introduction to Cleo"}
    await story.do("leads/record", PROMISE, promise)
    await story.until("2027-02-01 10:00")
    await story.between(INES, CLEO, "request-introduction", {"connector_id": BEN})
    await story.until("2027-02-22 10:00")
    await story.between(INES, CLEO, "record-introduction", {"lead_id": PROMISE})
    await story.until("2027-03-23 10:00")
    assert await story.told("keep_in_touch") == []
    [ben] = [tie for tie in await story.ask(f"/seekers/{INES}/relationships") if tie["contact"]["name"] == "Ben Falk"]
    assert (ben["warmth"], ben["last_touch"], ben["next_move"]) == ("warm", "introduction_made", "keep_in_touch")
    assert story.local(ben["next_touch_at"])[:10] == "2027-03-24"
    # That he made it he knows; what came of it he is to hear in time.
    assert await story.told("report_back") == [("report_back", "introduced", "2027-03-22 10:00")]
    await story.do("leads/report-back", PROMISE, {"channel": "phone"})


async def cleo_has_time_after_easter(story: Stage) -> None:
    """Nobody is to find a time before; those that she offers then pass unused, which is no time to let it lapse."""
    plan = {"seeker_id": INES, "contact_ids": [CLEO], "purpose": "field", "about": "Museums", "format": "coffee"}
    await story.do("interviews/plan", COFFEE, plan)
    await story.do("interviews/send-request", COFFEE, {"channel": "email", "minutes": 30, "intent": "To learn"})
    await story.do("interviews/agree-loosely", COFFEE, {"what": "Coffee after Easter", "not_before": "2027-03-30"})
    await story.until("2027-04-02 10:00")
    assert await story.told("firm_it_up") == [("firm_it_up", "due", "2027-04-01 08:00")]
    times = [{"starts_at": story.instant(f"2027-04-{day} 10:00")} for day in (22, 23)]
    await story.do("interviews/offer-times", COFFEE, {"times": times, "time_zone": "Europe/Berlin"})
    await story.until("2027-04-22 11:00")
    assert [stage for _, stage, _ in await story.told("firm_it_up")] == ["due", "due", "again"]
    assert [row["next_move"] for row in await story.ask(f"/seekers/{INES}/pipeline")] == ["take_offered_time"]
    await story.until("2027-04-26 10:00")
    assert [row["next_move"] for row in await story.ask(f"/seekers/{INES}/pipeline")] == ["agree_time"]
    coffee = {"starts_at": story.instant("2027-05-20 10:00"), "time_zone": "Europe/Berlin", "format": "coffee"}
    await story.do("interviews/schedule", COFFEE, coffee)
    assert "lapse_suggested" not in {stage for _, stage, _ in await story.told("firm_it_up")}


async def cleo_wants_peace(story: Stage) -> None:
    """Nobody prepares to meet her; it is called off."""
    await story.do("contacts/ask-not-to-be-contacted", CLEO)
    [row] = await story.ask(f"/seekers/{INES}/pipeline")
    assert (row["status"], row["next_move"]) == ("scheduled", "leave_in_peace")
    await story.until("2027-05-19 18:00")
    assert await story.told("preparation", "confirmation") == []
    await story.do("interviews/cancel", COFFEE, {"by": "contact"})


async def nobody_writes_to_ben(story: Stage) -> None:
    """The tie is not forgotten: it is mentioned in every cadence, once, until she writes after all."""
    told = await story.told("keep_in_touch")
    assert [(stage, at[:10]) for _, stage, at in told] == [
        ("due", "2027-04-22"),
        ("again", "2027-04-29"),
        ("cooling", "2027-05-06"),
    ]
    await story.until("2028-05-05 10:00")
    later = (await story.told("keep_in_touch"))[3:]
    assert {stage for _, stage, _ in later} == {"due"}
    assert [at[:10] for _, _, at in later] == [
        *("2027-06-05", "2027-07-05", "2027-08-04", "2027-09-03", "2027-10-03", "2027-11-02"),
        *("2027-12-02", "2028-01-01", "2028-01-31", "2028-03-01", "2028-03-31", "2028-04-30"),
    ]
    [ben] = [tie for tie in await story.ask(f"/seekers/{INES}/relationships") if tie["contact"]["name"] == "Ben Falk"]
    assert (ben["warmth"], ben["last_touch"]) == ("cooling", "reported_back")
    await story.between(INES, BEN, "record-touchpoint", {"kind": "progress_update", "channel": "email"})
    await story.between(INES, BEN, "end")
    await story.until("2029-01-01 10:00")
    assert len(await story.told("keep_in_touch")) == 3 + len(later)


async def test_years_of_a_tie(stage: Open) -> None:
    """Given a contact with whom a tie is kept, then helping is being in touch, what is agreed on for later is not asked
    for before, who wants peace has it, and silence is mentioned now and then for as long as the tie is kept."""
    async with stage("Europe/Berlin", "2027-01-20 10:00") as story:
        await ben_helps(story)
        await cleo_has_time_after_easter(story)
        await cleo_wants_peace(story)
        await nobody_writes_to_ben(story)
        await story.nothing_twice()
