"""Seekers, contacts, and what is asked of contacts."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from services.projector.models import CONTACT_LOAD, CONTACTS, SEEKERS
from shared.domain import contact, interview, seeker
from shared.domain.values import Hours
from tests.domain.scenario import ADDED, ANA, ASKED, BEN, HELD, INTERVIEW, NOW, REGISTERED, SEEKER, WHOSE
from tests.models.history import happened, row, rows

HOUR = timedelta(hours=1)


def test_a_seeker_is_as_they_said_last() -> None:
    """Given a seeker who corrects, moves and changes goals, then the row shows what holds now."""
    found = row(
        SEEKERS,
        happened(
            REGISTERED,
            seeker.DetailsCorrected(name="Mona Quist-Hall", email="mona@example.org"),
            seeker.GoalsChanged(stage="career_changer", fields=("Publishing",), goal_date=date(2027, 4, 1)),
            seeker.IntroductionWritten(text="I edit."),
            seeker.Moved(time_zone="Asia/Kolkata", country="IN", locale="en-IN"),
        ),
    )
    assert (found.name, found.email, found.stage) == ("Mona Quist-Hall", "mona@example.org", "career_changer")
    assert (found.fields, found.goal_date) == (("Publishing",), date(2027, 4, 1))
    assert (found.time_zone, found.country, found.locale) == ("Asia/Kolkata", "IN", "en-IN")
    assert (found.introduction, found.left_at) == ("I edit.", None)


def test_a_seeker_prefers_what_they_have_set_last() -> None:
    """Given preferences, when some are changed, then what is absent stays, lists are complete, and an empty one is."""
    night = Hours(start=time(22), end=time(7))
    first = seeker.PreferencesChanged(quiet_hours=night, muted=("connect", "thank_you"), digest=True)
    history = happened(REGISTERED, first, seeker.PreferencesChanged(overrides={"thank_you": {"enabled": False}}))
    assert row(SEEKERS, history).preferences == seeker.Preferences(
        quiet_hours=night, muted=("connect", "thank_you"), digest=True, overrides={"thank_you": {"enabled": False}}
    )
    found = row(SEEKERS, history.add(seeker.PreferencesChanged(muted=(), digest=False))).preferences
    assert (found.muted, found.digest, found.quiet_hours) == ((), False, night)
    assert SEEKERS.decode(SEEKERS.encode(row(SEEKERS, history))) == row(SEEKERS, history)


def test_a_seeker_who_left_and_returned_is_here() -> None:
    gone = happened(REGISTERED, seeker.Left())
    assert SEEKERS.file(row(SEEKERS, gone)).state == "left"
    back = row(SEEKERS, gone.add(seeker.Returned()))
    assert (back.left_at, SEEKERS.file(back).state) == (None, "graduate")


def test_only_the_last_feed_is_open() -> None:
    """Given a calendar feed, when another is opened, the first is revoked; when it is closed, none is left."""
    first, second = "a" * 64, "b" * 64
    history = happened(REGISTERED, seeker.CalendarFeedOpened(secret_sha256=first))
    assert row(SEEKERS, history).feed_sha256 == first
    assert row(SEEKERS, history.add(seeker.CalendarFeedOpened(secret_sha256=second))).feed_sha256 == second
    assert row(SEEKERS, history.add(seeker.CalendarFeedClosed())).feed_sha256 is None


def test_corrections_leave_what_they_do_not_name() -> None:
    """Given a contact, when the employer is corrected, then all else stays."""
    added = ADDED.model_copy(update={"position": "Editor", "fields": ("Publishing",)})
    found = row(CONTACTS, happened(added, contact.DetailsCorrected(employer="Nobre Books")))
    assert (found.name, found.employer, found.position) == ("Ana Reis", "Nobre Books", "Editor")
    assert found.fields == ("Publishing",)


EVERYTHING_KNOWN = contact.Added(
    name="Ana Reis",
    source="cold",
    email="ana@example.org",
    phone="+351 21 000 0000",
    profile_url="https://example.org/ana",
    employer="Nobre",
    position="Editor",
    fields=("Publishing",),
    time_zone="Europe/Lisbon",
)


def test_what_is_taken_back_of_a_contact_is_not_shown() -> None:
    """Given a contact with every detail, when some are taken back, then the row has none of those, and the others."""
    some = contact.DetailsCorrected(position="Publisher", taken_back=("phone", "employer"))
    found = row(CONTACTS, happened(EVERYTHING_KNOWN, some))
    assert (found.phone, found.employer) == (None, None)
    assert (found.email, found.position, found.time_zone) == ("ana@example.org", "Publisher", "Europe/Lisbon")
    rest = contact.DetailsCorrected(fields=(), taken_back=("email", "profile_url", "position", "time_zone"))
    found = row(CONTACTS, happened(EVERYTHING_KNOWN, some, rest))
    assert (found.email, found.profile_url, found.position, found.time_zone) == (None, None, None, None)
    assert (found.name, found.fields) == ("Ana Reis", ())


def test_nothing_is_left_of_a_forgotten_contact() -> None:
    """Given a contact with every detail, when they are forgotten, then the row holds none that is about them."""
    found = row(CONTACTS, happened(EVERYTHING_KNOWN, contact.Forgotten()))
    body = CONTACTS.encode(found)
    assert found.status == "forgotten"
    for detail in ("Ana", "example.org", "351", "Nobre", "Editor", "Publishing", "Lisbon"):
        assert detail not in body


def test_whoever_offers_hours_may_be_asked_again() -> None:
    """Given a contact who asked for peace, when they offer hours, then they are reachable with that capacity."""
    quiet = happened(ADDED, contact.AskedNotToBeContacted())
    assert row(CONTACTS, quiet).status == "do_not_contact"
    found = row(CONTACTS, quiet.add(contact.HoursOffered(capacity=3, formats=("coffee",))))
    assert (found.status, found.capacity, found.formats) == ("reachable", 3, ("coffee",))


def test_hours_are_offered_until_peace_is_asked_for() -> None:
    """Given a contact who offered hours, then the row tells when, until they ask for peace or are forgotten."""
    offered = [ADDED, contact.HoursOffered(capacity=3)]
    assert row(CONTACTS, happened(*offered)).hours_offered_at == NOW + 2 * HOUR
    assert row(CONTACTS, happened(*offered, contact.AskedNotToBeContacted())).hours_offered_at is None
    assert row(CONTACTS, happened(*offered, contact.Forgotten())).hours_offered_at is None


def test_places_count_in_the_month_that_they_were_taken() -> None:
    """Given two requests in November and one in December, when one of November is freed, then one is left in each."""
    other = contact.Asked(seeker_id=SEEKER, interview_id=BEN, month="2026-11")
    december = contact.Asked(seeker_id=SEEKER, interview_id=INTERVIEW, month="2026-12")
    freed = contact.PlaceFreed(seeker_id=SEEKER, interview_id=BEN, month="2026-11", why="declined")
    found = rows(CONTACT_LOAD, happened(ASKED, other, december, freed))
    assert {key: load.requests for key, load in found.items()} == {f"{ANA}/2026-11": 1, f"{ANA}/2026-12": 1}
    filed = CONTACT_LOAD.file(found[f"{ANA}/2026-12"])
    assert (filed.owner, filed.state, filed.sort) == (ANA, "2026-12", datetime(2026, 12, 1, tzinfo=UTC))


def test_what_wears_a_contact_out_is_counted() -> None:
    """Given follow-ups, moved appointments and no-shows, then those count that the seeker caused."""
    time = {"starts_at": NOW, "time_zone": "UTC", "format": "coffee"}
    found = row(
        CONTACT_LOAD,
        happened(
            interview.RequestFollowedUp(**WHOSE, channel="email", number=1),
            interview.Rescheduled(**WHOSE, **time, asked_by="contact"),
            interview.Rescheduled(**WHOSE, **time, asked_by="seeker"),
            interview.Missed(**WHOSE, by="contact"),
            interview.Missed(**WHOSE, by="seeker"),
            interview.Cancelled(**WHOSE, by="other"),
            HELD,
        ),
    )
    assert (found.follow_ups, found.reschedules, found.no_shows, found.cancellations) == (1, 1, 1, 0)
    assert (found.held, found.minutes) == (1, 30)
