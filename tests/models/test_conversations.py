"""Pipeline, agenda and preparation sheet: what is known of an interview."""

from __future__ import annotations

from datetime import timedelta

from services.projector.models import AGENDA, PIPELINE, PREPARATION
from shared.domain import contact, interview
from shared.domain.interview.details import Question
from tests.domain.scenario import (
    ACCEPTED,
    ANA,
    BEN,
    HELD,
    INTERVIEW,
    NOW,
    PLANNED,
    REQUESTED,
    SCHEDULED,
    SEEKER,
    STARTS_AT,
    WHOSE,
    on,
)
from tests.models.history import happened, row, rows

BOTH = {"seeker_id": SEEKER, "contact_ids": (ANA, BEN)}
LATER = STARTS_AT + timedelta(days=2)
RESCHEDULED = interview.Rescheduled(
    **WHOSE, starts_at=LATER, time_zone="Europe/Lisbon", minutes=45, format="video", place="https://meet.example/a"
)
CANCELLED = interview.Cancelled(**WHOSE, by="contact", why="A deadline")
THANKED = interview.Thanked(**WHOSE, how="handwritten_note", thanked_ids=(ANA,))


def test_a_planned_interview_asks_for_a_request() -> None:
    """Given a plan, then the pipeline shows it, and the request is the next move."""
    found = row(PIPELINE, happened(PLANNED))
    assert (found.interview_id, found.status, found.next_move) == (INTERVIEW, "planned", "send_request")
    assert (found.purpose, found.about, found.contact_ids) == ("field", "Marketing", (ANA,))


def test_the_pipeline_keeps_the_time_of_every_milestone() -> None:
    """Given an interview from plan to thanks, then each step stands at the time when it happened."""
    hour = timedelta(hours=1)
    found = row(PIPELINE, happened(PLANNED, REQUESTED, ACCEPTED, SCHEDULED, HELD, THANKED))
    assert found.planned_at == NOW + hour
    assert found.requested_at == NOW + 2 * hour
    assert found.accepted_at == NOW + 3 * hour
    assert found.scheduled_at == NOW + 4 * hour
    assert found.held_at == NOW + 5 * hour
    assert found.thanked_at == found.moved_at == NOW + 6 * hour
    assert (found.status, found.next_move) == ("thanked", "reflect")


def test_an_interview_with_two_is_not_over_until_both_were_thanked() -> None:
    """Given two publicists, when one was thanked, then the other is still to be; with both, it is done."""
    held = interview.Held(**BOTH, format="video")
    one = interview.Thanked(**BOTH, how="email", thanked_ids=(ANA,), complete=False)
    other = interview.Thanked(**BOTH, how="email", thanked_ids=(BEN,), complete=True)
    history = happened(interview.Planned(**BOTH, purpose="field", about="Publicity"), held, one)
    found = row(PIPELINE, history)
    assert (found.next_move, found.thanked_at) == ("thank", None)
    found = row(PIPELINE, history.add(other))
    assert (found.next_move, found.thanked_ids) == ("reflect", (ANA, BEN))
    assert found.thanked_at is not None


def test_who_dropped_out_is_nowhere_asked_for() -> None:
    """Given an appointment with two, when one drops out, then board, calendar and sheet are of the other alone, and
    nothing is left of either once they are forgotten."""
    scheduled = SCHEDULED.model_copy(update=BOTH)
    history = happened(interview.Planned(**BOTH, purpose="field", about="Publicity"), scheduled)
    before = row(AGENDA, history)
    history.add(interview.ResearchRecorded(**BOTH, person="Both paint"))
    history.add(interview.DroppedOut(**BOTH, dropped_ids=(BEN,), why="On leave"))
    assert row(PIPELINE, history).contact_ids == row(PREPARATION, history).contact_ids == (ANA,)
    after = row(AGENDA, history)
    assert (after.contact_ids, after.sequence, after.uid) == ((ANA,), before.sequence + 1, before.uid)
    held = HELD.model_copy(update={"contact_ids": (ANA,)})
    assert row(PIPELINE, happened(*(e.data for e in history.events), held, THANKED)).next_move == "reflect"
    history.add(on("contact", BEN, contact.Forgotten()))
    assert row(AGENDA, history).place is None
    assert row(PREPARATION, history).person is None


def test_what_is_learned_after_one_dropped_out_is_of_the_other() -> None:
    """Given an appointment with two of whom one drops out, when another place and more of the other are said, and the
    one who dropped out is forgotten, then that stays, and what was said of both goes."""
    scheduled = SCHEDULED.model_copy(update=BOTH)
    history = happened(interview.Planned(**BOTH, purpose="field", about="Publicity"), scheduled)
    history.add(interview.ResearchRecorded(**BOTH, person="Both paint", company="They own it"))
    history.add(interview.DroppedOut(**BOTH, dropped_ids=(BEN,)))
    history.add(interview.ResearchRecorded(**WHOSE, person="She paints", industry="It shrinks"), RESCHEDULED)
    history.add(on("contact", BEN, contact.Forgotten()))
    sheet = row(PREPARATION, history)
    assert (sheet.person, sheet.company, sheet.industry) == ("She paints", None, "It shrinks")
    assert sheet.place == row(AGENDA, history).place == RESCHEDULED.place
    history.add(on("contact", ANA, contact.Forgotten()))
    assert row(PREPARATION, history).person is None


def test_whoever_let_down_decides_the_next_move() -> None:
    """Given an appointment, when the seeker misses it, an apology is next; when the contact does, a new time."""
    planned = happened(PLANNED, REQUESTED, ACCEPTED, SCHEDULED)
    assert row(PIPELINE, planned.add(interview.Missed(**WHOSE, by="seeker"))).next_move == "apologise"
    by_contact = happened(PLANNED, SCHEDULED, interview.Missed(**WHOSE, by="contact"))
    assert row(PIPELINE, by_contact).next_move == "offer_new_time"


def test_the_pipeline_is_filed_by_seeker_and_status_in_the_order_of_planning() -> None:
    """Given an interview, then its place in the seeker's pages does not change when it moves."""
    filed = PIPELINE.file(row(PIPELINE, happened(PLANNED, REQUESTED)))
    assert (filed.owner, filed.state, filed.sort) == (SEEKER, "requested", NOW + timedelta(hours=1))


def test_an_interview_without_a_time_is_not_on_the_agenda() -> None:
    """Given an interview by e-mail from plan to thanks, then the agenda knows nothing of it."""
    by_email = interview.Held(**WHOSE, format="email")
    assert rows(AGENDA, happened(PLANNED, REQUESTED, ACCEPTED, by_email, THANKED)) == {}


def test_a_calendar_entry_stays_one_and_its_sequence_rises() -> None:
    """Given an appointment that is moved, called off and made anew, then its UID stays and each change counts."""
    history = happened(PLANNED, REQUESTED, ACCEPTED, SCHEDULED)
    first = row(AGENDA, history)
    assert (first.status, first.sequence, first.starts_at, first.minutes) == ("scheduled", 0, STARTS_AT, 30)
    moved = row(AGENDA, history.add(RESCHEDULED))
    assert (moved.sequence, moved.starts_at, moved.minutes, moved.format) == (1, LATER, 45, "video")
    off = row(AGENDA, history.add(CANCELLED))
    assert (off.sequence, off.status) == (2, "cancelled")
    anew = row(AGENDA, history.add(SCHEDULED))
    assert (anew.sequence, anew.status, anew.created_at) == (3, "scheduled", first.created_at)
    assert first.uid == moved.uid == off.uid == anew.uid


def test_what_calendars_do_not_show_does_not_raise_the_sequence() -> None:
    """Given an appointment, when it is confirmed and held, then no calendar program is told to take over a change."""
    found = row(AGENDA, happened(PLANNED, SCHEDULED, interview.Confirmed(**WHOSE), HELD))
    assert (found.sequence, found.status) == (0, "held")


def test_an_appointment_that_fell_through_stays_so_when_they_talk_otherwise() -> None:
    """Given an appointment that was called off, when the two have their conversation by e-mail, then the calendar shows
    it cancelled, and neither pipeline nor sheet has its time any more."""
    times = [{"starts_at": STARTS_AT}]
    offered = interview.TimesOffered.model_validate({**WHOSE, "times": times, "time_zone": "Europe/Lisbon"})
    by_email = interview.AgreedLoosely(**WHOSE, what="Send me your questions", format="email")
    held = interview.Held(**WHOSE, format="email")
    history = happened(PLANNED, REQUESTED, ACCEPTED, SCHEDULED, CANCELLED, offered, by_email, held)
    entry = row(AGENDA, history)
    assert (entry.status, entry.sequence) == ("cancelled", 1)
    assert (row(PIPELINE, history).starts_at, row(PIPELINE, history).time_zone) == (None, None)
    sheet = row(PREPARATION, history)
    assert (sheet.starts_at, sheet.time_zone, sheet.place) == (None, None, None)


def test_whom_nobody_agreed_with_is_owed_no_new_time() -> None:
    """Given a plan or a request that is called off before anybody accepted it, then it is to rest."""
    off = interview.Cancelled(**WHOSE, by="seeker")
    assert row(PIPELINE, happened(PLANNED, off)).next_move == "let_it_rest"
    assert row(PIPELINE, happened(PLANNED, REQUESTED, CANCELLED)).next_move == "let_it_rest"


def test_the_sheet_gathers_what_was_prepared() -> None:
    """Given research in two parts, objectives and questions, then one sheet holds all of it, as said last."""
    ask = Question(text="What does a typical day look like?", topic="typical_day")
    spare = Question(text="What do you read?", topic="what_to_read_and_follow")
    found = row(
        PREPARATION,
        happened(
            PLANNED,
            REQUESTED,
            SCHEDULED,
            interview.ResearchRecorded(**WHOSE, person="Ran three launches.", company="Forty people."),
            interview.ResearchRecorded(**WHOSE, company="Forty people, two offices.", industry="Growing."),
            interview.ObjectivesSet(**WHOSE, objectives=("Learn how people begin",)),
            interview.QuestionsChosen(**WHOSE, questions=(spare,)),
            interview.QuestionsChosen(**WHOSE, questions=(ask,), reserve=(spare,)),
            interview.Prepared(**WHOSE, note="Bring the portfolio"),
        ),
    )
    assert found.person == "Ran three launches."
    assert found.company == "Forty people, two offices."
    assert (found.position, found.industry) == (None, "Growing.")
    assert (found.questions, found.reserve) == ((ask,), (spare,))
    assert found.objectives == ("Learn how people begin",)
    assert (found.starts_at, found.place, found.note) == (STARTS_AT, "Café Nobre", "Bring the portfolio")
    assert found.prepared_at is not None
