"""The notification's own stream: what delivery services and people report back."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from pydantic import ValidationError

from shared.domain import notification
from shared.domain.kernel import Command, Context, Event, Refusal, Stream
from shared.domain.notification import DECIDER, Due, Withdrawn
from shared.timing.endings import withdrawal
from shared.timing.settling import Fire, settle
from tests.timing.story import COACH, SEEKER, Story, at

NOW = at("2026-05-05T13:00+02:00")


def _story(coach: UUID | None = COACH) -> Story:
    story = Story()
    if coach:
        story.enrols("2026-04-01T10:00+02:00", coach)
    story.holds("2026-05-05T10:00+02:00")
    return story


def _due(coach: UUID | None = COACH, stage: str = "due") -> Due:
    story = _story(coach)
    timer = story.timer("thank_you", stage)
    result = settle(timer, timer.due_at, story.recipients[SEEKER], 0, story.policies)
    assert isinstance(result, Fire)
    return result.event


def _decide(history: list[Event], command: Command, now: datetime = NOW) -> list[Event]:
    stream = Stream("notification", UUID(int=1))
    decided = DECIDER.decide(command, DECIDER.fold(history), Context("tenant", stream, now, now))
    assert all(isinstance(one, Event) for one in decided)
    return [one for one in decided if isinstance(one, Event)]


def _refused(history: list[Event], command: Command, now: datetime = NOW) -> str:
    with pytest.raises(Refusal) as refusal:
        _decide(history, command, now)
    return refusal.value.code


def _types(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def test_delivered_after_a_failure() -> None:
    """Given due, when it fails for now and is delivered then, then both are recorded and nobody else is told."""
    due = _due()
    failed = _decide([due], notification.ReportFailed(channel="push", why="timeout"))
    assert _types(failed) == ["notification.failed"]
    delivered = _decide([due, *failed], notification.ReportDelivered(channel="mail"))
    assert _types(delivered) == ["notification.delivered"]
    event = delivered[0]
    assert isinstance(event, notification.Delivered)
    assert (event.kind, event.subject_id, event.seeker_id, event.channel) == (
        "thank_you",
        due.subject_id,
        SEEKER,
        "mail",
    )


def test_a_permanent_failure_escalates_to_the_coach() -> None:
    due = _due()
    events = _decide([due], notification.ReportFailed(permanent=True))
    assert _types(events) == ["notification.failed", "notification.escalated"]
    assert isinstance(events[1], notification.Escalated)
    assert events[1].coach_id == COACH
    state = DECIDER.fold([due, *events])
    assert state is not None
    assert state.status == "escalated"


def test_a_permanent_failure_without_a_coach_or_of_a_coach_s_own_notification() -> None:
    command = notification.ReportFailed(permanent=True)
    assert _types(_decide([_due(coach=None)], command)) == ["notification.failed"]
    assert _types(_decide([_due(stage="coach")], command)) == ["notification.failed"]


def test_snoozing() -> None:
    """Given due, when snoozed to a time ahead, then so; to one that is past, a refusal names the field; not twice."""
    due = _due()
    snooze = notification.Snooze(until=NOW + timedelta(days=1))
    events = _decide([due], snooze)
    assert _types(events) == ["notification.snoozed"]
    assert _refused([due], notification.Snooze(until=NOW)) == "already_over"
    assert _refused([due, *events], snooze) == "already_done"
    assert _types(_decide([due, *events], notification.Acknowledge(how="acted_on"))) == ["notification.acknowledged"]


def test_how_it_is_acknowledged_is_said() -> None:
    """Given a click that says nothing, then it is not taken for the deed, which would end all reminders of it."""
    with pytest.raises(ValidationError, match="how"):
        notification.Acknowledge.model_validate({})


def test_acknowledged_is_final() -> None:
    due = _due()
    acknowledged = _decide([due], notification.Acknowledge(how="dismissed"))
    for again in (notification.Acknowledge(how="acted_on"), notification.Acknowledge(how="seen")):
        assert _refused([due, *acknowledged], again) == "already_done"
    for command in (
        notification.Snooze(until=NOW + timedelta(days=1)),
        notification.ReportDelivered(),
        notification.Withdraw(),
    ):
        assert _refused([due, *acknowledged], command) == "out_of_order"


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (notification.Acknowledge(how="acted_on"), "acknowledged"),
        (notification.Acknowledge(how="dismissed"), "acknowledged"),
        (notification.Snooze(until=NOW + timedelta(days=1)), "snoozed"),
        (notification.ReportDelivered(channel="email"), "delivered"),
        (notification.ReportFailed(permanent=True), "escalated"),
        (notification.Withdraw(), "withdrawn"),
    ],
)
def test_having_seen_it_prevents_nothing(command: Command, status: str) -> None:
    """Given what was seen before it was delivered, then all may follow that might have; to be seen happens once."""
    due = _due()
    seen = _decide([due], notification.Acknowledge(how="seen"))
    state = DECIDER.fold([due, *seen])
    assert state is not None
    assert state.status == "due"
    state = DECIDER.fold(_decide([due, *seen], command), state)
    assert state is not None
    assert state.status == status
    assert _refused([due, *seen], notification.Acknowledge(how="seen")) == "already_done"


def test_taken_back() -> None:
    due = _due()
    (event,) = _decide([due], notification.Withdraw(because="sent_by_mistake"))
    assert isinstance(event, Withdrawn)
    assert (event.reason, event.because) == ("withdrawn", "sent_by_mistake")


@pytest.mark.parametrize(
    "command",
    [
        notification.ReportDelivered(),
        notification.ReportFailed(),
        notification.Acknowledge(how="acted_on"),
        notification.Snooze(until=NOW + timedelta(days=1)),
        notification.Withdraw(),
    ],
)
def test_a_notification_begins_with_its_timer_and_not_with_a_command(command: Command) -> None:
    assert _refused([], command) == "unknown_notification"


def test_what_was_withdrawn_can_not_be_delivered() -> None:
    timer = _story().timer("thank_you")
    gone = withdrawal(timer, "expired", "moment_passed")
    assert _refused([gone], notification.ReportDelivered()) == "out_of_order"
    assert _refused([gone], notification.Withdraw()) == "already_done"


def test_events_survive_json() -> None:
    """Given every event of a notification, when written without what is absent and read back, then it is the same."""
    due = _due()
    timer = _story().timer("thank_you")
    events: list[Event] = [due, withdrawal(timer, "expired", "moment_passed")]
    events += _decide([due], notification.ReportFailed(permanent=True, why="no such address", channel="mail"))
    events += _decide([due], notification.ReportDelivered())
    events += _decide([due], notification.Acknowledge(how="acted_on"))
    events += _decide([due], notification.Snooze(until=NOW + timedelta(days=1)))
    for event in events:
        assert type(event).model_validate_json(event.model_dump_json(exclude_none=True)) == event
    assert {type(event) for event in events} == set(notification.MACHINE.moves)
