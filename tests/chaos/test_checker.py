"""The checker finds what it is there to find: each kind of violation, planted into a history that is sound."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared.envelope import Recorded
from tests.chaos.checker import Held, check
from tests.chaos.seen import Answer, Seen, SeenEvent
from tests.chaos.witness import Delivery

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)
REMINDED, THANKED = UUID(int=0x1), UUID(int=0x2)
"""Two conversations: one whose reminder fired, one that was thanked for in time."""
REFUSED = UUID(int=0xBAD)


def event(
    position: int, stream_id: UUID, version: int, type: str, data: bytes = b"{}", **more: object
) -> Recorded[bytes]:
    category = type.partition(".")[0]
    at = NOON + timedelta(seconds=position)
    command = UUID(int=0xC000 + position)
    recorded: Recorded[bytes] = Recorded(
        position, 1, "acme", category, stream_id, version, UUID(int=0xE000 + position), type, 1, at, at, "seeker:x",
        command, command, command, data,
    )  # fmt: skip
    return replace(recorded, **more)  # type: ignore[arg-type]


def notification(position: int, interview: UUID, outcome: str, version: int = 1) -> Recorded[bytes]:
    data = {
        "kind": "thank_you", "stage": "due", "subject_id": str(interview), "dedupe_key": f"thank_you/{interview}",
        "due_at": (NOON + timedelta(seconds=5)).isoformat(),
    }  # fmt: skip
    stream = UUID(int=interview.int + 0xF0)
    return event(position, stream, version, f"notification.{outcome}", json.dumps(data).encode())


@dataclass
class World:
    """A sound history, and what was seen of it. Plant something, then judge."""

    events: list[Recorded[bytes]] = field(
        default_factory=lambda: [
            event(1, REMINDED, 1, "interview.planned"),
            event(2, THANKED, 1, "interview.planned"),
            event(3, REMINDED, 2, "interview.held"),
            event(4, THANKED, 2, "interview.held"),
            event(5, THANKED, 3, "interview.thanked"),
            notification(6, THANKED, "withdrawn"),
            notification(7, REMINDED, "due"),
        ]
    )
    seen: Seen = field(default_factory=Seen)
    deliveries: list[Delivery] = field(default_factory=list)
    receipts: dict[UUID, int] = field(default_factory=dict)
    overdue: list[UUID] = field(default_factory=list)

    def __post_init__(self) -> None:
        for each in self.events:
            self.deliveries.append(Delivery("broker", 1, each.position, each.event_id))
            if each.category == "interview":
                stream = f"interview/{each.stream_id}"
                known = SeenEvent(each.position, each.event_id, each.type, stream, each.version)
                self.seen.accepted[each.command_id] = Answer(each.position, (known,))
                self.receipts[each.command_id] = each.position
        self.seen.refused[REFUSED] = "already_exists"
        self.seen.due = dict.fromkeys((REMINDED, THANKED), NOON + timedelta(seconds=5))
        self.seen.thanked[THANKED] = 5

    def renumber(self) -> None:
        """Close the gaps that taking something out has left, so that nothing but that is wrong."""
        self.events = [replace(each, position=place) for place, each in enumerate(self.events, start=1)]
        self.deliveries = [Delivery("broker", 1, each.position, each.event_id) for each in self.events]

    def judge(self) -> list[str]:
        held = Held(self.events, len(self.events), self.receipts, self.overdue)
        return check(self.seen, held, self.deliveries)


def kinds(violations: list[str]) -> set[str]:
    return {violation.partition(":")[0] for violation in violations}


def test_a_sound_history_has_no_violation() -> None:
    """Given a history in which all was kept, when it is judged, then nothing is found; nor when events came again, or
    came from the feed because the queue was gone."""
    world = World()
    assert world.judge() == []
    world.deliveries[3:3] = world.deliveries[1:3]
    assert world.judge() == []
    lost = world.deliveries[5]
    world.deliveries[5] = replace(lost, source="feed")
    world.deliveries[6:] = [replace(each, queue=2) for each in world.deliveries[6:]]
    assert world.judge() == []


def lose_a_command(world: World) -> None:
    del world.events[0]
    world.renumber()


def write_a_command_twice(world: World) -> None:
    again = replace(world.events[0], position=8, version=3, stream_id=REMINDED, event_id=UUID(int=0xE008))
    world.events.append(again)
    world.deliveries.append(Delivery("broker", 1, 8, again.event_id))


def answer_with_another_position(world: World) -> None:
    command = world.events[0].command_id
    world.seen.accepted[command] = replace(world.seen.accepted[command], events=())
    world.seen.accepted[command] = Answer(1, (SeenEvent(9, UUID(int=9), "x", "x", 1),))


def write_what_was_refused(world: World) -> None:
    bad = event(8, UUID(int=0x3), 1, "interview.planned", command_id=REFUSED)
    world.events.append(bad)
    world.deliveries.append(Delivery("broker", 1, 8, bad.event_id))


def write_what_nobody_sent(world: World) -> None:
    bad = event(8, UUID(int=0x3), 1, "interview.planned")
    world.events.append(bad)
    world.deliveries.append(Delivery("broker", 1, 8, bad.event_id))


def leave_a_position_out(world: World) -> None:
    world.events[6] = replace(world.events[6], position=8)


def leave_a_version_out(world: World) -> None:
    world.events[4] = replace(world.events[4], version=4)


def use_an_event_id_twice(world: World) -> None:
    world.events[6] = replace(world.events[6], event_id=world.events[5].event_id)


def miss_the_last_delivery(world: World) -> None:
    del world.deliveries[-1]


def miss_a_delivery(world: World) -> None:
    del world.deliveries[3]


def miss_what_only_the_feed_brought(world: World) -> None:
    world.deliveries[3] = replace(world.deliveries[3], source="feed")


def swap_two_deliveries(world: World) -> None:
    world.deliveries[3:5] = world.deliveries[4:2:-1]


def deliver_another_event(world: World) -> None:
    world.deliveries[3] = replace(world.deliveries[3], event_id=UUID(int=9))


def answer_differently_the_second_time(world: World) -> None:
    world.seen.repeated.append((world.events[0].command_id, Answer(2, ())))


def lose_a_receipt(world: World) -> None:
    del world.receipts[world.events[0].command_id]


def fire_twice(world: World) -> None:
    again = notification(8, REMINDED, "due", version=2)
    world.events.append(again)
    world.deliveries.append(Delivery("broker", 1, 8, again.event_id))


def never_fire(world: World) -> None:
    del world.events[6], world.deliveries[6]


def leave_one_overdue(world: World) -> None:
    world.overdue.append(UUID(int=0xF1))


def fire_early(world: World) -> None:
    world.events[6] = replace(world.events[6], recorded_at=NOON)


def withdraw_for_no_reason(world: World) -> None:
    world.events[6] = notification(7, REMINDED, "withdrawn")


def fire_after_the_thanks(world: World) -> None:
    world.events[5] = notification(6, THANKED, "due")


def date_by_a_wrong_clock(world: World) -> None:
    world.seen.undated.add(world.events[0].command_id)
    world.events[0] = replace(world.events[0], occurred_at=NOON - timedelta(hours=3))


PLANTED: list[tuple[Callable[[World], None], str]] = [
    (lose_a_command, "lost"),
    (write_a_command_twice, "twice"),
    (answer_with_another_position, "altered"),
    (write_what_was_refused, "refused"),
    (write_what_nobody_sent, "unasked"),
    (leave_a_position_out, "positions"),
    (leave_a_version_out, "versions"),
    (use_an_event_id_twice, "event ids"),
    (miss_the_last_delivery, "missed"),
    (miss_a_delivery, "order"),
    (miss_what_only_the_feed_brought, "broker"),
    (swap_two_deliveries, "order"),
    (deliver_another_event, "delivered"),
    (answer_differently_the_second_time, "answers"),
    (lose_a_receipt, "receipts"),
    (fire_twice, "twice"),
    (never_fire, "unfired"),
    (leave_one_overdue, "unfired"),
    (fire_early, "early"),
    (withdraw_for_no_reason, "withdrawn"),
    (fire_after_the_thanks, "late"),
    (date_by_a_wrong_clock, "dated"),
]


@pytest.mark.parametrize(("plant", "kind"), PLANTED, ids=lambda each: getattr(each, "__name__", None))
def test_a_planted_violation_is_found(plant: Callable[[World], None], kind: str) -> None:
    """Given a sound history with one thing wrong in it, when it is judged, then that is named."""
    world = World()
    plant(world)
    assert kind in kinds(world.judge())
