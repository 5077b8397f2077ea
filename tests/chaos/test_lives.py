"""What the load asks for is what it means to ask: accepted where it should be, and all of it in turn."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from shared.domain.catalogue import COMMANDS, DECIDERS
from shared.domain.kernel import Context, On, Refusal, Stream
from tests.chaos.lives import AFTERNOON, NIGHT, TENANTS, Wish, life, zone_where_it_is

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)
LIVES = 300


def wishes() -> list[list[Wish]]:
    """Of many lives, as clients send them to whom nothing is refused that should not be; rivals one after the other."""
    lives = (life(f"1/{number}", lambda: NOON).wishes() for number in range(LIVES))
    return [[each for wish in wishes for each in (wish, *wish.rivals)] for wishes in lives]


class Log:
    """The states of streams, moved along by what commands decide."""

    def __init__(self) -> None:
        self._states: dict[Stream, Any] = {}

    def execute(self, wish: Wish) -> None:
        """Raises `Refusal`."""
        kind = COMMANDS[wish.message["command"]]
        command = kind.model_validate_json(json.dumps(wish.message["data"]))
        stream, decider = Stream(kind.category, wish.stream_id), DECIDERS[kind.category]
        state = self._states.get(stream)
        context = Context(wish.tenant, stream, wish.at or NOON, NOON)
        others = {other: self._states.get(other) for other in decider.also(command, state, context)}
        decided = decider.decide(command, state, Context(wish.tenant, stream, wish.at or NOON, NOON, "x", others))
        for on in (each if isinstance(each, On) else On(stream, each) for each in decided):
            self._states[on.stream] = DECIDERS[on.stream.category].evolve(self._states.get(on.stream), on.event)


def test_what_is_to_be_refused_is_refused_and_nothing_else() -> None:
    """Given many lives, when their commands are judged in their order, then those are refused of which the life says
    so; answers to notifications apart, which depend on whether those have fired."""
    for each in wishes():
        log = Log()
        for wish in each:
            if wish.category == "notification":
                continue
            if wish.must_be_refused:
                with pytest.raises(Refusal):
                    log.execute(wish)
            else:
                log.execute(wish)


def test_every_way_to_silence_a_reminder_has_its_turn() -> None:
    """Given many lives, then reminders of five kinds are armed, and made needless or put off in every way there is; a
    command id is used once."""
    asked = [wish for each in wishes() for wish in each]
    ending = Counter(f"{wish.category}/{wish.verb}" for wish in asked if wish.ends)
    assert set(ending) == {
        "interview/thank", "interview/hold", "interview/prepare", "interview/cancel",
        "notification/acknowledge", "notification/snooze",
        "relationship/pause", "relationship/end",
        "contact/forget", "contact/ask-not-to-be-contacted",
        "seeker/leave", "seeker/change-preferences", "seeker/relocate",
    }  # fmt: skip
    assert {wish.verb for wish in asked if wish.puts_off} == {"relocate"}
    assert {wish.verb for wish in asked if wish.arms} == {"hold", "schedule", "snooze"}
    assert len({wish.command_id for wish in asked}) == len(asked)
    assert {wish.tenant for wish in asked} == set(TENANTS)


def test_what_is_ended_was_armed_before() -> None:
    """Given many lives, then no command is said to end a reminder that no command before it armed."""
    for each in wishes():
        armed: set[UUID] = set()
        for wish in each:
            assert armed.issuperset(wish.ends)
            armed |= wish.arms.keys()


def test_rivals_name_the_version_that_all_of_them_saw() -> None:
    """Given many lives, then in one of twenty or more somebody has rivals; what they change is in the version that most
    of them name, no two of them say the same, and some look whether it shows."""
    contested = [wish for number in range(LIVES) for wish in life(f"1/{number}").wishes() if wish.rivals]
    assert len(contested) > LIVES / 20
    rivals = [each for wish in contested for each in (wish, *wish.rivals)]
    assert {each.expected for each in rivals} == {1, None}
    assert sum(each.expected == 1 for each in rivals) > len(rivals) / 2
    assert len({each.body["employer"] for each in rivals}) == len(rivals)
    assert any(each.look and each.shows == each.body for each in rivals)


@pytest.mark.parametrize("hour", range(24))
def test_there_is_always_somewhere_awake_and_somewhere_asleep(hour: int) -> None:
    """Given any hour, then the zone where it is afternoon is far from any quiet hours for a while, and the zone where
    it is night well inside them."""
    now = NOON + timedelta(hours=hour)
    assert 11 < now.astimezone(ZoneInfo(zone_where_it_is(AFTERNOON, now))).hour < 18
    assert now.astimezone(ZoneInfo(zone_where_it_is(NIGHT, now))).hour < 6
