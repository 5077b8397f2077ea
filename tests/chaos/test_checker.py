"""The checker finds what it is there to find: each kind of violation, planted into a history that is sound."""

from __future__ import annotations

from dataclasses import replace
from inspect import isfunction
from uuid import UUID

import pytest

from tests.chaos import planted_in_log, planted_in_reminders
from tests.chaos.explained import explained
from tests.chaos.held import Held
from tests.chaos.planted_in_reminders import put_off
from tests.chaos.seen import Seen
from tests.chaos.sound import (
    NOON,
    PLANTED,
    TENANT,
    THANKS,
    WITHDRAWN,
    Plant,
    World,
    Y,
    again,
    event,
    named,
    notification,
    snoozed,
)


def kinds(violations: list[str]) -> set[str]:
    return {violation.partition(":")[0] for violation in violations}


def test_a_sound_history_has_no_violation() -> None:
    """Given a history in which all was kept, when it is judged, then nothing is found; nor when it has grown since it
    was judged last, when events came again, or when they came from the feed because the queue was gone."""
    world = World()
    assert world.judge() == []
    world.earlier = world.events[:4]
    assert world.judge() == []
    world.deliveries[3:3] = world.deliveries[1:3]
    assert world.judge() == []
    lost = world.deliveries[5]
    world.deliveries[5] = replace(lost, source="feed")
    world.deliveries[6:] = [replace(each, queue=2) for each in world.deliveries[6:]]
    assert world.judge() == []


def test_what_is_not_known_to_be_wrong_is_let_pass() -> None:
    """Given a reminder that was put off and has not ended, one that was withdrawn when an attempt to make it needless
    got no answer, and a command that was handed to the broker before that lost everything, when that is judged, then
    nothing is found."""
    world = World()
    world.seen.due[UUID(int=0xF9)] = NOON
    world.seen.put_off.add(UUID(int=0xF9))
    del world.seen.needless[WITHDRAWN]
    world.seen.perhaps.add(WITHDRAWN)
    world.seen.handed_over[TENANT, UUID(int=0xC0FFEE)] = NOON
    world.wiped_at = NOON
    assert world.judge() == []


@pytest.mark.parametrize(("plant", "found"), PLANTED, ids=lambda each: getattr(each, "__name__", None))
def test_a_planted_violation_is_found(plant: Plant, found: str) -> None:
    """Given a sound history with one thing wrong in it, when it is judged, then that is named, and nothing else but
    what follows from it."""
    world = World()
    plant(world)
    assert kinds(world.judge()) == set(found.split(", "))


ENDED_AS = [
    ("interview/thank", "withdrawn", "interview.thanked"),
    ("seeker/change-preferences", "suppressed", "muted"),
    ("contact/ask-not-to-be-contacted", "withdrawn", "contact_closed"),
    ("contact/forget", "withdrawn", "contact_closed"),
    ("notification/acknowledge", "withdrawn", "acknowledged"),
    ("notification/snooze", "suppressed", "snoozed"),
]
"""What reminders end as by some commands."""


@pytest.mark.parametrize(("verb", "reason", "because"), ENDED_AS)
def test_each_way_to_make_a_reminder_needless_has_its_reason(verb: str, reason: str, because: str) -> None:
    """Given a reminder that a command made needless, when it ends for the reason that follows from that, then nothing
    is found; when it expires instead, or ends as by another command, or without the cause that it had, then that is."""

    def kinds_as(reason: str, because: str, cause: object) -> set[str]:
        world = World()
        world.seen.ended_by = {WITHDRAWN: {world.thanks: verb}}
        world.end(reason=reason, because=because, cause=cause)
        return kinds(world.judge())

    thanks = named(THANKS, "interview.thanked")
    wrote = None if because == "muted" else thanks
    assert kinds_as(reason, because, wrote) == set()
    assert kinds_as(reason, because, None) == (set() if wrote is None else {"explained"})
    others = {(another, code) for _, another, code in ENDED_AS if code != because}
    for told in {
        ("expired", "moment_passed"),
        ("suppressed", "no_coach"),
        ("superseded", "interview.thanked"),
        *others,
    }:
        assert [kinds_as(*told, cause) for cause in (None, thanks)] == [{"explained"}] * 2


def test_who_has_left_may_be_found_to_when_a_moment_has_come() -> None:
    """Given a reminder of who had left, when it was found out so only when it was due, then no cause is asked for."""
    left = event(1, UUID(Y), 1, "seeker.left")
    ended = notification(2, WITHDRAWN, "withdrawn", because="seeker.left", cause=None)
    seen = Seen(ended_by={WITHDRAWN: {(TENANT, left.command_id): "seeker/leave"}})
    assert [*explained(seen, Held([left, ended], 2))] == []


@pytest.mark.parametrize("first", [False, True])
def test_of_two_commands_to_the_same_end_one_may_come_to_nothing(first: bool) -> None:
    """Given two commands that were to make a reminder needless in one way, one of which was never executed, when it
    ended by the other, then nothing is found, whichever was sent first."""
    world = World()
    commands = [world.thanks, (TENANT, UUID(int=0xC99))]
    world.seen.ended_by = {WITHDRAWN: dict.fromkeys(commands[:: -1 if first else 1], "interview/thank")}
    assert world.judge() == []


def test_what_was_put_off_is_due_again() -> None:
    """Given a reminder that was put off, and once more when it was due again, when it is due each time, armed by what
    had armed it first, then nothing is found."""
    world = World()
    snooze = put_off(world)
    world.append(again(9, snooze))
    assert world.judge() == []
    further = snoozed(10, of_round=snooze.event_id)
    world.append(further)
    world.seen.unknown.add((TENANT, further.command_id))
    world.append(again(11, further))
    assert world.judge() == []


def test_every_violation_that_can_be_planted_is() -> None:
    """Given the functions that plant something, then each is tried; one that is not would be trusted in vain."""
    signature = {"world": "World", "return": "None"}
    there = [*vars(planted_in_log).values(), *vars(planted_in_reminders).values()]
    planting = {each for each in there if isfunction(each) and each.__annotations__ == signature}
    assert planting == {plant for plant, _ in PLANTED}
