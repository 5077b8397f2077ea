"""Notifications, programmes and participants: what the platform does around conversations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from services.projector.models import NOTIFICATIONS, PARTICIPANTS, PROGRAMMES
from services.projector.models.notification import COACH as COACH_ROW
from services.projector.models.notification import coachs_list
from services.projector.models.participant import Match
from shared.domain import notification, programme
from shared.domain.kernel import Event, On
from tests.domain.scenario import ANA, BEN, COACH, INTERVIEW, NOW, PROGRAMME, SEEKER, on
from tests.models.history import happened, row, rows

REMINDER = UUID(int=0xD0E)
TOLD: dict[str, Any] = {
    "kind": "thank_you",
    "stage": "due",
    "rule": notification.Rule(policy="thank_you", version="1"),
    "subject": "interview",
    "subject_id": INTERVIEW,
    "occurrence": UUID(int=1),
    "recipient": notification.Addressee(id=SEEKER, role="seeker", time_zone="Europe/Lisbon"),
    "seeker_id": SEEKER,
    "contact_ids": (ANA,),
    "interview_id": INTERVIEW,
    "cancellation_key": "c",
}
CAUSE = notification.Cause(event_id=UUID(int=2), type="interview.held", position=7)
DUE = notification.Due(
    **TOLD,
    dedupe_key="d",
    group_key="g",
    due_at=NOW,
    local_due=NOW.replace(tzinfo=None),
    not_before=NOW,
    expires_at=NOW + timedelta(days=1),
    late_seconds=12,
    urgency="high",
    topic="gratitude",
    armed_by=CAUSE,
)


def told(*events: Event) -> list[On]:
    return [on("notification", REMINDER, event) for event in events]


def test_what_fell_due_says_why() -> None:
    """Given a reminder that fell due, then the row tells what it was about, what armed it, and how late it was."""
    found = row(NOTIFICATIONS, happened(*told(DUE)))
    assert (found.notification_id, found.state, found.kind, found.stage) == (REMINDER, "due", "thank_you", "due")
    assert (found.armed_by, found.armed_by_event_id, found.late_seconds) == ("interview.held", UUID(int=2), 12)
    assert (found.due_at, found.because) == (NOW, None)


def test_what_was_not_told_says_why_not() -> None:
    """Given a reminder that was suppressed, then it is found as suppressed, with the reason and the moment."""
    withdrawn = notification.Withdrawn(**TOLD, reason="suppressed", because="muted", due_at=NOW)
    found = row(NOTIFICATIONS, happened(*told(withdrawn)))
    assert (found.state, found.because, found.due_at) == ("suppressed", "muted", NOW)
    assert NOTIFICATIONS.file(found).state == "suppressed"


def test_a_reminder_taken_back_keeps_what_it_was() -> None:
    """Given a reminder that fell due, when it becomes needless, then it is withdrawn, and when it was due is kept."""
    needless = notification.Withdrawn(
        **TOLD, reason="withdrawn", because="interview.thanked", cause=CAUSE.model_copy(update={"position": 9})
    )
    found = row(NOTIFICATIONS, happened(*told(DUE, needless)))
    assert (found.state, found.because, found.due_at, found.urgency) == ("withdrawn", "interview.thanked", NOW, "high")


def test_delivery_comes_back() -> None:
    """Given a reminder, when delivery fails for good and is passed to the coach, then each step shows."""
    failed = notification.Failed(**TOLD, channel="email", why="No such address", permanent=True)
    history = happened(*told(DUE, notification.Delivered(**TOLD, channel="push")))
    assert (row(NOTIFICATIONS, history).state, row(NOTIFICATIONS, history).channel) == ("delivered", "push")
    found = row(NOTIFICATIONS, history.add(*told(failed)))
    assert (found.state, found.because) == ("failed", "No such address")
    found = row(NOTIFICATIONS, history.add(*told(notification.Escalated(**TOLD, coach_id=COACH))))
    assert (found.state, found.coach_id) == ("escalated", COACH)


def test_having_seen_it_is_told_and_changes_nothing_else() -> None:
    """Given a reminder that was delivered, when it is seen, then it stands where it stood, until more is made of it."""
    seen = notification.Acknowledged(**TOLD, how="seen")
    events = (DUE, notification.Delivered(**TOLD, channel="push"), seen)
    found = row(NOTIFICATIONS, happened(*told(*events)))
    assert (found.state, found.how, found.channel) == ("delivered", "seen", "push")
    found = row(NOTIFICATIONS, happened(*told(*events, notification.Acknowledged(**TOLD, how="acted_on"))))
    assert (found.state, found.how) == ("acknowledged", "acted_on")


def test_a_coach_finds_what_they_were_told() -> None:
    """Given a reminder to the coach, then it is in the seeker's list and in the coach's."""
    to_coach = notification.Addressee(id=COACH, role="coach", time_zone="Europe/Lisbon")
    found = rows(NOTIFICATIONS, happened(*told(DUE.model_copy(update={"recipient": to_coach}))))
    owners = {key: NOTIFICATIONS.file(each).owner for key, each in found.items()}
    assert owners == {str(REMINDER): SEEKER, f"{REMINDER}{COACH_ROW}": coachs_list(COACH)}


def test_a_programme_and_its_coaches() -> None:
    """Given a programme, when a coach is assigned twice, then they are one coach, as named last."""
    found = row(
        PROGRAMMES,
        happened(
            programme.Created(title="Autumn", fields=("Publishing",)),
            programme.CoachAssigned(coach_id=COACH, name="Rui"),
            programme.CoachAssigned(coach_id=ANA),
            programme.CoachAssigned(coach_id=COACH, name="Rui Melo", email="rui@example.org"),
        ),
    )
    assert found.title == "Autumn"
    assert [(coach.coach_id, coach.name) for coach in found.coaches] == [(ANA, None), (COACH, "Rui Melo")]


def test_a_coach_who_takes_over_again_is_named_as_before() -> None:
    """Given a coach with name and address, when another is assigned, and the first again by id alone, then the first is
    last in the order, with name and address as they were; and a new address leaves the name."""
    history = happened(
        programme.Created(title="Autumn"),
        programme.CoachAssigned(coach_id=COACH, name="Rui", email="rui@example.org"),
        programme.CoachAssigned(coach_id=ANA, name="Ana"),
        programme.CoachAssigned(coach_id=COACH),
    )
    other, again = row(PROGRAMMES, history).coaches
    assert (other.coach_id, other.name) == (ANA, "Ana")
    assert (again.coach_id, again.name, again.email) == (COACH, "Rui", "rui@example.org")
    [_, again] = row(PROGRAMMES, history.add(programme.CoachAssigned(coach_id=COACH, email="melo@example.org"))).coaches
    assert (again.name, again.email) == ("Rui", "melo@example.org")


def test_a_participants_way_through_a_programme() -> None:
    """Given a participant, when a match is turned down and another accepted, then both count and the latter shows."""
    pairing = {"seeker_id": SEEKER, "contact_id": ANA, "coach_id": COACH}
    history = happened(
        programme.ParticipantEnrolled(seeker_id=SEEKER, coach_id=COACH),
        programme.MatchProposed(**pairing | {"contact_id": BEN}),
        programme.MatchProposed(**pairing),
        programme.MatchTurnedDown(**pairing),
        programme.MatchProposed(**pairing),
        programme.MatchAccepted(**pairing),
    )
    found = row(PARTICIPANTS, history)
    assert (found.matches_proposed, found.matches_turned_down, found.matches_accepted) == (3, 1, 1)
    assert found.matches == (Match(BEN, "proposed"), Match(ANA, "accepted"))
    assert (found.matched_contact_id, found.coach_id) == (ANA, COACH)
    assert PARTICIPANTS.file(found).owner == PROGRAMME
    down = row(PARTICIPANTS, history.add(programme.MatchTurnedDown(**pairing)))
    assert (down.matched_contact_id, down.matches[-1]) == (None, Match(ANA, "turned_down"))
    passed_on = row(PARTICIPANTS, history.add(programme.CoachChanged(seeker_id=SEEKER, coach_id=BEN)))
    assert (passed_on.coach_id, passed_on.enrolled_at) == (BEN, found.enrolled_at)
    left = row(PARTICIPANTS, history.add(programme.ParticipantLeft(seeker_id=SEEKER)))
    assert PARTICIPANTS.file(left).state == "left"
    back = row(PARTICIPANTS, history.add(programme.ParticipantEnrolled(seeker_id=SEEKER)))
    assert (back.left_at, back.matches_accepted) == (None, 1)
    first, last = history.events[0].occurred_at, history.events[-1].occurred_at
    assert (back.first_enrolled_at, back.enrolled_at, PARTICIPANTS.file(back).sort) == (first, last, last)
