"""What is wrong with reminders: how they fired, or ended."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from shared.domain.identity import notification_id
from shared.envelope import Recorded
from tests.chaos.sound import (
    FIRED,
    HELD,
    HELD_TOO,
    LATER,
    NOON,
    REMINDED,
    TENANT,
    THANKS,
    WITH_IT,
    WITHDRAWN,
    World,
    X,
    again,
    command_of,
    event,
    held,
    named,
    notification,
    of,
    planted,
    snoozed,
)


@planted("unasked")
def answer_a_notification_unasked(world: World) -> None:
    world.append(event(8, FIRED, 2, "notification.acknowledged", command_id=UUID(int=0xC8), actor="policy:thank_you"))


@planted("unasked, receipts")
def begin_a_notification_with_an_answer(world: World) -> None:
    id = UUID(int=0xF9)
    world.append(event(8, id, 1, "notification.acknowledged", command_id=id, actor="policy:thank_you"))


@planted("unasked")
def fire_by_another_command(world: World) -> None:
    world.append(replace(notification(8, LATER, "due"), command_id=UUID(int=0xC8)))


@planted("unasked")
def withdraw_what_had_fired(world: World) -> None:
    """A client's wish, which nobody sent."""
    world.append(notification(8, LATER, "due"))
    world.append(replace(notification(9, LATER, "withdrawn"), version=2, command_id=UUID(int=0xC9)))


@planted("unasked, receipts")
def fire_in_the_name_of_a_client(world: World) -> None:
    world.append(replace(notification(8, LATER, "due"), actor="seeker:x"))


@planted("unasked, receipts")
def write_beside_a_notification(world: World) -> None:
    """One command that fires, and plans an interview on top."""
    world.append(notification(8, LATER, "due"))
    world.append(event(9, UUID(int=0x3), 1, "interview.planned", command_id=LATER, actor="policy:thank_you"))


@planted("withdrawn")
def withdraw_what_was_put_off(world: World) -> None:
    world.seen.needless[FIRED] = 6
    world.seen.put_off.add(FIRED)
    world.put(6, notification(7, FIRED, "withdrawn"))


@planted("early")
def fire_early_by_its_own_word(world: World) -> None:
    """Where no client knows when it was due."""
    world.append(replace(notification(8, LATER, "due"), recorded_at=NOON))


@planted("twice, occasion")
def fire_twice(world: World) -> None:
    """Another stream, and the same thing to be told."""
    world.append(replace(notification(8, FIRED, "due"), stream_id=UUID(int=0xF9), command_id=UUID(int=0xF9)))


@planted("twice, unasked, receipts, versions")
def fire_twice_on_one_stream(world: World) -> None:
    world.append(replace(notification(8, FIRED, "due"), event_id=UUID(int=0xE008)))


@planted("twice, withdrawn")
def fire_what_had_ended_with_another(world: World) -> None:
    world.seen.needless.clear()
    world.append(notification(8, WITH_IT, "due"))


@planted("unfired")
def never_fire(world: World) -> None:
    del world.events[6], world.deliveries[6]


@planted("unfired")
def leave_one_overdue(world: World) -> None:
    world.overdue.append(FIRED)


@planted("early")
def fire_early(world: World) -> None:
    world.events[6] = replace(world.events[6], recorded_at=NOON)


@planted("early")
def fire_earlier_than_clients_know(world: World) -> None:
    world.seen.due[FIRED] = NOON + timedelta(minutes=1)


@planted("withdrawn")
def withdraw_for_no_reason(world: World) -> None:
    world.put(6, notification(7, FIRED, "withdrawn"))


@planted("withdrawn")
def withdraw_before_the_thanks(world: World) -> None:
    """Which come later, so that what was lost looks like what was made needless."""
    world.seen.needless = dict.fromkeys((WITHDRAWN, WITH_IT), 7)


@planted("late")
def fire_after_the_thanks(world: World) -> None:
    world.put(5, notification(6, WITHDRAWN, "due", others=(WITH_IT,)))


@planted("late")
def fire_what_was_put_off(world: World) -> None:
    world.seen.needless[FIRED] = 6
    world.seen.put_off.add(FIRED)


def tell(world: World, subject: UUID, occurrence: UUID) -> None:
    """What no client knows of, under the id that belongs to it."""
    id = notification_id("thank_you", subject, occurrence, "due")
    whose: dict[str, Any] = {"subject_id": str(subject), "occurrence": str(occurrence), "armed_by": named(occurrence)}
    fired = notification(8, FIRED, "due", dedupe_key=str(id), **whose)
    follows = {"causation_id": occurrence, "correlation_id": command_of(occurrence)}
    world.append(replace(fired, stream_id=id, command_id=id, **follows))  # type: ignore[arg-type]


@planted("occasion")
def fire_for_nothing_that_happened(world: World) -> None:
    tell(world, REMINDED, UUID(int=0xE099))


@planted("occasion")
def fire_again_for_what_happened_to_another(world: World) -> None:
    tell(world, REMINDED, HELD_TOO)


@planted("occasion")
def fire_for_what_comes_later(world: World) -> None:
    tell(world, REMINDED, UUID(int=0xE009))
    late = event(9, REMINDED, 3, "interview.held", held(X))
    world.append(late)
    world.seen.unknown.add((TENANT, late.command_id))


@planted("occasion")
def fire_under_another_id(world: World) -> None:
    id = UUID(int=0xF9)
    world.append(replace(notification(8, LATER, "due", dedupe_key=str(id)), stream_id=id, command_id=id))


@planted("occasion")
def end_another_under_its_name(world: World) -> None:
    """A later stage ends with the first, and says that it is another than its id."""
    ended = json.loads(world.events[5].data)
    ended["others"][0]["stage"] = "last_call"
    world.put(5, replace(world.events[5], data=of(ended)))


@planted("occasion")
def fire_for_another_policy(world: World) -> None:
    """Which that event does not arm."""
    id = notification_id("preparation", REMINDED, HELD, "due")
    rule = {"policy": "preparation", "version": "1"}
    fired = notification(8, FIRED, "due", rule=rule, dedupe_key=str(id))
    world.append(replace(fired, stream_id=id, command_id=id))


@planted("occasion")
def arm_by_another_event(world: World) -> None:
    """Which is there, and arms the same policy for another conversation."""
    world.put(6, notification(7, FIRED, "due", armed_by=named(HELD_TOO)))


@planted("occasion")
def arm_by_what_arms_nothing(world: World) -> None:
    planned = world.events[0]
    world.put(6, notification(7, FIRED, "due", armed_by=named(planned.event_id, planned.type)))


def put_off(world: World) -> Recorded[bytes]:
    """A client asked for that, and never heard."""
    snooze = snoozed(8)
    world.append(snooze)
    world.seen.unknown.add((TENANT, snooze.command_id))
    return snooze


@planted("occasion")
def fire_another_stage_than_was_put_off(world: World) -> None:
    world.append(again(9, put_off(world), "overdue"))


@planted("occasion")
def arm_by_what_put_it_off(world: World) -> None:
    snooze = put_off(world)
    world.append(again(9, snooze, armed_by=named(snooze.event_id, snooze.type)))


@planted("occasion")
def put_off_what_nothing_began(world: World) -> None:
    snooze = snoozed(8, of_round=UUID(int=0xE099))
    snooze = replace(snooze, stream_id=FIRED)
    world.append(snooze)
    world.seen.unknown.add((TENANT, snooze.command_id))
    world.append(again(9, snooze))


@planted("occasion")
def fire_because_of_something_else(world: World) -> None:
    world.put(6, replace(world.events[6], causation_id=HELD_TOO))


@planted("occasion")
def withdraw_because_of_something_else(world: World) -> None:
    """Than the cause that it names."""
    world.put(5, replace(world.events[5], causation_id=HELD_TOO))


@planted("occasion")
def tell_of_another_correlation(world: World) -> None:
    world.put(6, replace(world.events[6], correlation_id=command_of(HELD_TOO)))


@planted("occasion")
def name_a_cause_that_is_not_there(world: World) -> None:
    cause = {**named(THANKS, "interview.thanked"), "position": 4}
    world.end(cause=cause)


@planted("occasion, explained")
def name_a_cause_that_comes_later(world: World) -> None:
    world.end(cause=named(world.events[6].event_id, "notification.due"))


@planted("explained")
def let_expire_what_was_thanked_for(world: World) -> None:
    world.end(reason="expired", because="moment_passed")


@planted("explained")
def take_the_thanks_for_something_else(world: World) -> None:
    world.end(because="interview.cancelled")


@planted("explained")
def take_the_word_of_another(world: World) -> None:
    """What ended it is of another conversation."""
    world.end(cause=named(HELD))


@planted("explained")
def name_no_cause(world: World) -> None:
    world.end(cause=None)


@planted("explained")
def let_another_take_its_place(world: World) -> None:
    """Which the thanks don't ask for."""
    world.end(reason="superseded")
