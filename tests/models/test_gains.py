"""Leads board and notebook: what conversations gave."""

from __future__ import annotations

from services.projector.models import LEADS, NOTEBOOK, TIMELINE
from shared.domain import contact, interview, lead, relationship, seeker
from shared.domain.interview.details import Advice
from shared.domain.values import Resource
from tests.domain.scenario import ANA, BEN, INTERVIEW, LEAD, NOW, SEEKER, WHOSE, on
from tests.models.history import happened, row, rows

PAIR = {"seeker_id": SEEKER, "contact_id": ANA}
OPENING = lead.Recorded(**PAIR, interview_id=INTERVIEW, kind="job_opening", what="A junior editor is sought")
PROMISE = lead.Recorded(**PAIR, kind="promised_introduction", what="Will write to Ben", person="Ben Sousa")
FOLLOWED = {**PAIR, "interview_id": INTERVIEW, "kind": "job_opening"}


def test_a_lead_is_the_seekers_to_act_on_and_a_promise_the_contacts_to_keep() -> None:
    """Given an opening and a promised introduction, then the seeker owes the one, the contact the other."""
    opening, promise = row(LEADS, happened(OPENING)), row(LEADS, happened(PROMISE))
    assert (opening.state, opening.owed_by) == ("to_act_on", "seeker")
    assert (promise.state, promise.owed_by, promise.person) == ("promised", "contact", "Ben Sousa")


def test_a_lead_knows_whom_it_led_to() -> None:
    """Given leads through which conversations were planned, then one that names somebody tells of them until they are
    forgotten; an opening tells of the opening."""
    both = {"seeker_id": SEEKER, "contact_ids": (ANA, BEN)}
    planned = interview.Planned.model_validate(both | {"purpose": "field", "about": "Marketing", "lead_id": LEAD})
    for recorded, led_to in ((PROMISE, (BEN,)), (OPENING, ())):
        found = row(LEADS, happened(recorded, planned))
        assert found.led_to == led_to
        assert (found.forgetting(BEN, NOW).what == "(forgotten)") == bool(led_to)
        assert found.forgetting(ANA, NOW) is found


def test_a_lead_led_to_whom_an_introduction_was_made_with() -> None:
    """Given a promise that was kept without a word of whom it led to, or dropped, when the introduction is made after
    all, then it tells of them until they are forgotten; an opening tells of the opening."""
    kept = {**PAIR, "kind": "promised_introduction"}
    ben = {"seeker_id": SEEKER, "contact_id": BEN}
    made = relationship.IntroductionMade(**ben, connector_id=ANA, introduced_by=(ANA,), lead_id=LEAD)
    for ended in ([], [lead.CameToSomething(**kept, what="He wrote")], [lead.Dropped(**kept, why="Ben moved away")]):
        history = happened(PROMISE, *ended, made)
        assert row(LEADS, history).led_to == (BEN,)
        found = row(LEADS, history.add(on("contact", BEN, contact.Forgotten())))
        assert (found.what, found.person, found.result) == ("(forgotten)", None, None)
    assert row(LEADS, happened(OPENING, made)).led_to == ()
    assert row(LEADS, happened(PROMISE, made.model_copy(update={"lead_id": None}))).led_to == ()


def test_what_came_of_a_lead_is_owed_to_the_contact() -> None:
    """Given a lead acted on, when something comes of it, then the seeker owes a report, and nothing after it."""
    kept = {**PAIR, "interview_id": INTERVIEW, "kind": "promised_introduction"}
    history = happened(PROMISE, lead.ActedOn(**kept, what="Wrote to him"))
    assert (row(LEADS, history).state, row(LEADS, history).owed_by) == ("acted_on", "seeker")
    found = row(LEADS, history.add(lead.CameToSomething(**kept, what="We met", new_contact_id=BEN)))
    assert (found.state, found.owed_by, found.outcome, found.new_contact_id) == (
        "to_report_back",
        "seeker",
        "something",
        BEN,
    )
    found = row(LEADS, history.add(lead.ReportedBack(**kept, channel="email")))
    assert (found.state, found.owed_by) == ("reported_back", None)
    assert found.ended_at == found.moved_at


def test_news_after_a_report_is_owed_again() -> None:
    """Given that acting was reported, when it comes to nothing later, then that is to be reported, too."""
    history = happened(OPENING, lead.ActedOn(**FOLLOWED), lead.ReportedBack(**FOLLOWED))
    found = row(LEADS, history.add(lead.CameToNothing(**FOLLOWED, why="Filled")))
    assert (found.state, found.outcome, found.result, found.ended_at) == ("to_report_back", "nothing", "Filled", None)


def test_a_dropped_lead_is_owed_by_nobody() -> None:
    """Given a lead, when it is dropped, then it is off the board but can be found."""
    found = row(LEADS, happened(OPENING, lead.Dropped(**FOLLOWED, why="Too far")))
    assert (found.state, found.owed_by, found.result) == ("dropped", None, "Too far")
    assert LEADS.file(found).state == "dropped"


def test_what_came_of_a_referral_is_about_whom_it_led_to() -> None:
    """Given a referral, then why it came to nothing, or was dropped, stands on the leads board alone, until whom it led
    to is forgotten; what is said later is not kept either."""
    referral = {**PAIR, "interview_id": INTERVIEW, "kind": "referral"}
    recorded = lead.Recorded(**referral, what="Ask Ben", person="Ben Sousa")
    both = {"seeker_id": SEEKER, "contact_ids": (BEN,)}
    planned = interview.Planned.model_validate(both | {"purpose": "field", "about": "Marketing", "lead_id": LEAD})
    forgotten = on("contact", BEN, contact.Forgotten())
    for ended in (lead.CameToNothing(**referral, why="He leaves"), lead.Dropped(**referral, why="He leaves")):
        history = happened(recorded, planned, ended)
        assert row(LEADS, history).result == "He leaves"
        assert rows(NOTEBOOK, history) == {}
        assert [each.facts for each in rows(TIMELINE, history).values()][-1] == {"kind": "referral"}
        assert row(LEADS, history.add(forgotten)).result is None
        assert row(LEADS, happened(recorded, planned, forgotten, ended)).result is None


def test_every_recording_is_a_piece_of_its_own() -> None:
    """Given notes taken twice, then both are there: a recording adds and replaces nothing."""
    blog = Resource(kind="blog", title="Margins", url="https://margins.example")
    first = interview.NotesTaken(
        **WHOSE, points=("Starts at eight",), advice=(Advice(about="skills", text="Learn indexing"),), resources=(blog,)
    )
    second = interview.NotesTaken(**WHOSE, text="She also mentioned the guild.")
    found = list(rows(NOTEBOOK, happened(first, second)).values())
    assert [piece.kind for piece in found] == ["notes", "notes"]
    assert found[0].words() == "Starts at eight\nLearn indexing\nMargins https://margins.example"
    assert found[1].text == "She also mentioned the guild."
    assert found[0].contact_ids == (ANA,)
    assert found[0].interview_id == INTERVIEW


def test_what_was_written_anywhere_is_in_the_notebook() -> None:
    """Given a reflection, a lead, its result, a touchpoint and a verdict, then each is found by its kind."""
    history = happened(
        interview.ReflectionRecorded(**WHOSE, learned="I like small houses.", clicked=4),
        OPENING,
        lead.CameToNothing(**FOLLOWED, why="Filled"),
        relationship.TouchpointRecorded(**PAIR, kind="advice_used", note="Took the course", lead_id=LEAD),
        seeker.VerdictRecorded(field="Publishing", verdict="keep_exploring", why="Pays in books"),
    )
    found = rows(NOTEBOOK, history).values()
    assert [(piece.kind, piece.words()) for piece in found] == [
        ("reflection", "I like small houses."),
        ("lead", "A junior editor is sought"),
        ("result", "Filled"),
        ("touchpoint", "Took the course"),
        ("verdict", "Publishing: keep exploring\nPays in books"),
    ]
    assert {piece.seeker_id for piece in found} == {SEEKER}


def test_what_says_nothing_is_not_a_piece() -> None:
    """Given a touchpoint without a note, then the notebook stays empty."""
    assert rows(NOTEBOOK, happened(relationship.TouchpointRecorded(**PAIR, kind="met"))) == {}
