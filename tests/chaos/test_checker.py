"""The checker finds what it is there to find: each kind of violation, planted into a history that is sound."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from inspect import isfunction
from typing import Any
from uuid import UUID

import pytest

from shared.domain.identity import notification_id
from shared.envelope import Recorded
from tests.chaos.checker import check
from tests.chaos.explained import explained
from tests.chaos.held import Held, Receipt
from tests.chaos.seen import Answer, Command, Look, Outdated, Said, Seen, SeenEvent
from tests.chaos.witness import Delivery, digest_of

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)
TENANT, OTHER_TENANT = "acme", "birch"
REMINDED, THANKED = UUID(int=0x1), UUID(int=0x2)
"""Two conversations: one whose reminder fired, one that was thanked for in time."""
X, Y = str(UUID(int=0xA)), str(UUID(int=0xB))
"""Whose they are."""
HELD, HELD_TOO, THANKS = (UUID(int=0xE000 + position) for position in (3, 4, 5))
"""Events: that the one was held, the other was, too, and was thanked for."""
FIRED = notification_id("thank_you", REMINDED, HELD, "due")
LATER = notification_id("thank_you", REMINDED, HELD, "overdue")
"""Reminders of the first: one that fired, and one that has not ended yet."""
WITHDRAWN = notification_id("thank_you", THANKED, HELD_TOO, "due")
WITH_IT = notification_id("thank_you", THANKED, HELD_TOO, "overdue")
"""Of the second: one that was needless, and a later one that ended with it."""
OCCASIONS = {
    FIRED: (REMINDED, HELD, "due"),
    LATER: (REMINDED, HELD, "overdue"),
    WITHDRAWN: (THANKED, HELD_TOO, "due"),
    WITH_IT: (THANKED, HELD_TOO, "overdue"),
}
"""Subject, occurrence and stage."""
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


def notification(
    position: int, id: UUID, outcome: str, others: tuple[UUID, ...] = (), **otherwise: object
) -> Recorded[bytes]:
    """How a reminder ends: as the first event of its stream, written by its policy; withdrawn, for the thanks."""
    subject, occurrence, stage = OCCASIONS[id]
    withdrawn = {"reason": "withdrawn", "because": "interview.thanked", "cause": named(THANKS, "interview.thanked")}
    says: dict[str, Any] = {
        "dedupe_key": str(id),
        "due_at": (NOON + timedelta(seconds=5)).isoformat(),
        "rule": {"policy": "thank_you", "version": "1"},
        "subject_id": str(subject),
        "occurrence": str(occurrence),
        "stage": stage,
        "others": [{"id": str(other), "stage": OCCASIONS[other][2]} for other in others],
        **(withdrawn if outcome == "withdrawn" else {"armed_by": named(occurrence)}),
        **otherwise,
    }
    cause = UUID((says.get("cause") or named(occurrence))["event_id"])
    follows = {"causation_id": cause, "correlation_id": command_of(cause)}
    return event(
        position, id, 1, f"notification.{outcome}", of(says), command_id=id, actor="policy:thank_you", **follows
    )


def named(event_id: UUID, type: str = "interview.held") -> dict[str, Any]:
    """As notifications name an event of this history."""
    return {"event_id": str(event_id), "type": type, "position": event_id.int - 0xE000}


def command_of(event_id: UUID) -> UUID:
    return UUID(int=event_id.int - 0xE000 + 0xC000)


def snoozed(position: int, of_round: UUID = HELD) -> Recorded[bytes]:
    """What had fired of the first conversation's round is put off by its recipient."""
    says = {
        "kind": "thank_you",
        "stage": "due",
        "rule": {"policy": "thank_you", "version": "1"},
        "subject": "interview",
        "subject_id": str(REMINDED),
        "occurrence": str(of_round),
        "recipient": {"id": X, "role": "seeker", "time_zone": "Europe/Berlin"},
        "seeker_id": X,
        "cancellation_key": f"thank_you:{REMINDED}:{HELD}",
        "until": (NOON + timedelta(seconds=5)).isoformat(),
    }
    stream_id = notification_id("thank_you", REMINDED, of_round, "due")
    return event(position, stream_id, 2, "notification.snoozed", of(says))


def again(position: int, snooze: Recorded[bytes], stage: str = "due", **otherwise: object) -> Recorded[bytes]:
    """What was put off is due again, armed by what had armed it first."""
    id = notification_id("thank_you", REMINDED, snooze.event_id, stage)
    says: dict[str, Any] = {"dedupe_key": str(id), "occurrence": str(snooze.event_id), "stage": stage, **otherwise}
    return replace(notification(position, FIRED, "due", **says), stream_id=id, command_id=id)


def of(says: Mapping[str, object]) -> bytes:
    return json.dumps(says).encode()


def held(seeker_id: str) -> bytes:
    return of({"seeker_id": seeker_id, "contact_ids": [str(UUID(int=0xD))], "format": "email"})


def delivery(event: Recorded[bytes]) -> Delivery:
    """By the broker, as it should be."""
    told = (f"kithlog.{event.type}.v1", event.tenant, str(event.stream_id), event.version)
    digest = digest_of(*told, event.occurred_at.isoformat(), json.loads(event.data))
    return Delivery("broker", 1, event.position, event.event_id, digest)


@dataclass
class World:
    """A sound history, and what was seen of it. Plant something, then judge."""

    events: list[Recorded[bytes]] = field(
        default_factory=lambda: [
            event(1, REMINDED, 1, "interview.planned", of({"seeker_id": X, "about": "Radio"})),
            event(2, THANKED, 1, "interview.planned", of({"seeker_id": Y, "about": "Ships"})),
            event(3, REMINDED, 2, "interview.held", held(X)),
            event(4, THANKED, 2, "interview.held", held(Y)),
            event(5, THANKED, 3, "interview.thanked", of({"seeker_id": Y, "at": "2026-11-17T12:00:00Z"})),
            notification(6, WITHDRAWN, "withdrawn", others=(WITH_IT,)),
            notification(7, FIRED, "due"),
        ]
    )
    seen: Seen = field(default_factory=Seen)
    deliveries: list[Delivery] = field(default_factory=list)
    receipts: dict[Command, Receipt] = field(default_factory=dict)
    head: int | None = None
    """None: the last event's position, as it must be."""
    overdue: list[UUID] = field(default_factory=list)
    dead_letters: int = 0
    wiped_at: datetime | None = None
    earlier: list[Recorded[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for each in self.events:
            self.deliveries.append(delivery(each))
            if each.category == "interview":
                stream = f"interview/{each.stream_id}"
                known = SeenEvent(each.position, each.event_id, each.type, stream, each.version)
                self.seen.accepted[TENANT, each.command_id] = Answer(each.position, (known,))
                self.receipts[TENANT, each.command_id] = Receipt(each.position, 1)
                shows = {"status": each.type.removeprefix("interview.")}
                self.seen.said[TENANT, each.command_id] = Said({}, each.occurred_at, stream, each.version - 1, shows)
        self.say(self.first, body={"about": "Radio", "seeker_id": X}, at=None)
        self.say(self.thanks, body={"at": "2026-11-17T13:00:00+01:00"})
        at = self.events[4].recorded_at
        self.seen.outdated.append(Outdated(self.thanks, f"interview/{THANKED}", 1, at))
        self.seen.outdated.append(Outdated((TENANT, REFUSED), f"interview/{THANKED}", 2, at))
        self.seen.looks = [
            Look(self.held, 4, 200, 4, {"status": "held"}),
            Look(self.held, 4, 200, 6, {"status": "thanked"}),
            # What was read after its position was.
            Look(self.held, 4, 200, 4, {"status": "thanked"}),
        ]
        self.seen.refused[TENANT, REFUSED] = "already_exists"
        self.seen.due = dict.fromkeys((FIRED, WITHDRAWN, WITH_IT), NOON + timedelta(seconds=5))
        self.seen.needless = dict.fromkeys((WITHDRAWN, WITH_IT), 5)
        self.seen.ended_by = {id: {self.thanks: "interview/thank"} for id in (WITHDRAWN, WITH_IT)}

    @property
    def first(self) -> Command:
        return TENANT, self.events[0].command_id

    @property
    def thanks(self) -> Command:
        return TENANT, self.events[4].command_id

    @property
    def held(self) -> Command:
        """In the conversation that was thanked for."""
        return TENANT, self.events[3].command_id

    def say(self, command: Command, **otherwise: Any) -> None:
        self.seen.said[command] = replace(self.seen.said[command], **otherwise)

    def find(self, **otherwise: Any) -> None:
        """Of all that clients have looked for, the first."""
        self.seen.looks[0] = replace(self.seen.looks[0], **otherwise)

    def append(self, further: Recorded[bytes]) -> None:
        """Written and delivered as it should be, with its own receipt; nothing but the event itself is wrong."""
        self.events.append(further)
        self.deliveries.append(delivery(further))
        if further.command_id != further.stream_id:
            self.receipts[further.tenant, further.command_id] = Receipt(further.position, 1)

    def put(self, place: int, event: Recorded[bytes]) -> None:
        """In the place of another, likewise."""
        self.events[place], self.deliveries[place] = event, delivery(event)

    def end(self, **otherwise: object) -> None:
        """What was needless, and with it what ended then; otherwise than it should."""
        self.put(5, notification(6, WITHDRAWN, "withdrawn", (WITH_IT,), **otherwise))

    def renumber(self) -> None:
        """Close the gaps that taking something out has left, so that nothing but that is wrong."""
        self.events = [replace(each, position=place) for place, each in enumerate(self.events, start=1)]
        self.deliveries = [delivery(each) for each in self.events]
        self.receipts = {
            (TENANT, each.command_id): Receipt(each.position, 1) for each in self.events if each.category == "interview"
        }

    def judge(self) -> list[str]:
        head = len(self.events) if self.head is None else self.head
        held = Held(self.events, head, self.receipts, self.overdue, self.dead_letters, self.wiped_at, self.earlier)
        return check(self.seen, held, self.deliveries)


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


def lose_a_command(world: World) -> None:
    del world.events[0]
    world.renumber()


def write_a_command_twice(world: World) -> None:
    world.append(replace(world.events[0], position=8, version=3, stream_id=REMINDED, event_id=UUID(int=0xE008)))


def answer_with_another_position(world: World) -> None:
    world.seen.accepted[world.first] = Answer(1, (SeenEvent(9, UUID(int=9), "x", "x", 1),))


def write_what_was_refused(world: World) -> None:
    world.append(event(8, UUID(int=0x3), 1, "interview.planned", command_id=REFUSED))


def write_what_nobody_sent(world: World) -> None:
    world.append(event(8, UUID(int=0x3), 1, "interview.planned"))


def write_for_another_tenant(world: World) -> None:
    """Under the id of a command that was accepted."""
    id = world.events[0].command_id
    world.append(event(8, UUID(int=0x3), 1, "interview.planned", tenant=OTHER_TENANT, command_id=id))


def answer_a_notification_unasked(world: World) -> None:
    world.append(event(8, FIRED, 2, "notification.acknowledged", command_id=UUID(int=0xC8), actor="policy:thank_you"))


def begin_a_notification_with_an_answer(world: World) -> None:
    id = UUID(int=0xF9)
    world.append(event(8, id, 1, "notification.acknowledged", command_id=id, actor="policy:thank_you"))


def fire_by_another_command(world: World) -> None:
    world.append(replace(notification(8, LATER, "due"), command_id=UUID(int=0xC8)))


def withdraw_what_had_fired(world: World) -> None:
    """A client's wish, which nobody sent."""
    world.append(notification(8, LATER, "due"))
    world.append(replace(notification(9, LATER, "withdrawn"), version=2, command_id=UUID(int=0xC9)))


def fire_in_the_name_of_a_client(world: World) -> None:
    world.append(replace(notification(8, LATER, "due"), actor="seeker:x"))


def write_beside_a_notification(world: World) -> None:
    """One command that fires, and plans an interview on top."""
    world.append(notification(8, LATER, "due"))
    world.append(event(9, UUID(int=0x3), 1, "interview.planned", command_id=LATER, actor="policy:thank_you"))


def accept_what_must_be_refused(world: World) -> None:
    world.seen.wrongly[world.first] = "was accepted, not refused (out_of_order)"


def lose_what_was_handed_over(world: World) -> None:
    world.seen.handed_over[TENANT, UUID(int=0xC0FFEE)] = NOON


def lose_it_after_the_broker_was_wiped(world: World) -> None:
    lose_what_was_handed_over(world)
    world.wiped_at = NOON - timedelta(seconds=1)


def write_what_was_handed_over_twice(world: World) -> None:
    world.seen.handed_over[world.first] = NOON
    del world.seen.accepted[world.first]
    world.append(event(8, UUID(int=0x3), 1, "contact.added", command_id=world.first[1]))


def execute_twice_what_got_no_answer(world: World) -> None:
    """The receipt is of the second time."""
    world.seen.unknown.add(world.first)
    del world.seen.accepted[world.first]
    world.append(event(8, UUID(int=0x3), 1, "contact.added", command_id=world.first[1]))


def count_both_times_as_one(world: World) -> None:
    execute_twice_what_got_no_answer(world)
    world.receipts[world.first] = Receipt(8, 2)


def miscount_in_a_receipt(world: World) -> None:
    """From it a repetition would be told of another command's event, too."""
    world.receipts[world.thanks] = Receipt(5, 2)


def miscount_what_got_no_answer(world: World) -> None:
    world.seen.unknown.add(world.thanks)
    del world.seen.accepted[world.thanks]
    miscount_in_a_receipt(world)


def write_something_else(world: World) -> None:
    world.put(0, replace(world.events[0], data=of({"seeker_id": X, "about": "Ships"})))


def leave_something_out(world: World) -> None:
    world.put(0, replace(world.events[0], data=of({"seeker_id": X})))


def write_another_instant(world: World) -> None:
    world.put(4, replace(world.events[4], data=of({"seeker_id": Y, "at": "2026-11-17T13:00:00Z"})))


def write_the_thanks_to_another(world: World) -> None:
    world.put(4, replace(world.events[4], data=of({"seeker_id": X, "at": "2026-11-17T12:00:00Z"})))


def date_otherwise_than_was_said(world: World) -> None:
    world.put(4, replace(world.events[4], occurred_at=NOON))


def deliver_other_contents(world: World) -> None:
    world.deliveries[0] = replace(world.deliveries[0], digest=world.deliveries[1].digest)


def refuse_otherwise_the_second_time(world: World) -> None:
    world.seen.repeated.append(((TENANT, REFUSED), "out_of_order"))


def accept_the_second_time(world: World) -> None:
    world.seen.repeated.append(((TENANT, REFUSED), Answer(1, ())))


def give_a_receipt_for_nothing(world: World) -> None:
    world.receipts[TENANT, REFUSED] = Receipt(1, 1)


def give_a_receipt_for_a_part(world: World) -> None:
    """Of what was written for a command whose client never heard of it."""
    command = (TENANT, UUID(int=0xC8))
    world.seen.unknown.add(command)
    for position in (8, 9):
        world.append(event(position, UUID(int=position), 1, "contact.added", command_id=command[1]))
    world.receipts[command] = Receipt(8, 1)


def withdraw_what_was_put_off(world: World) -> None:
    world.seen.needless[FIRED] = 6
    world.seen.put_off.add(FIRED)
    world.put(6, notification(7, FIRED, "withdrawn"))


def fire_early_by_its_own_word(world: World) -> None:
    """Where no client knows when it was due."""
    world.append(replace(notification(8, LATER, "due"), recorded_at=NOON))


def put_a_command_aside(world: World) -> None:
    world.dead_letters = 1


def leave_a_position_out(world: World) -> None:
    world.events[6] = replace(world.events[6], position=8)


def set_the_head_too_high(world: World) -> None:
    world.head = 8


def rewrite_what_was_judged_before(world: World) -> None:
    """So that it is sound in itself."""
    world.earlier = world.events[:4]
    world.put(1, replace(world.events[1], actor="seeker:y"))


def lose_the_end_of_what_was_judged_before(world: World) -> None:
    """As if nobody had ever heard of it."""
    world.earlier = [*world.events, event(8, UUID(int=0x3), 1, "contact.added")]


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
    world.seen.repeated.append((world.first, Answer(2, ())))


def refuse_the_second_time(world: World) -> None:
    world.seen.repeated.append((world.first, "out_of_order"))


def lose_a_receipt(world: World) -> None:
    del world.receipts[world.first]


def lose_the_receipt_of_what_nobody_waited_for(world: World) -> None:
    del world.receipts[world.first]
    del world.seen.accepted[world.first]
    world.seen.handed_over[world.first] = NOON


def give_a_receipt_to_another_tenant(world: World) -> None:
    world.receipts[OTHER_TENANT, world.first[1]] = world.receipts.pop(world.first)


def fire_twice(world: World) -> None:
    """Another stream, and the same thing to be told."""
    world.append(replace(notification(8, FIRED, "due"), stream_id=UUID(int=0xF9), command_id=UUID(int=0xF9)))


def fire_twice_on_one_stream(world: World) -> None:
    world.append(replace(notification(8, FIRED, "due"), event_id=UUID(int=0xE008)))


def fire_what_had_ended_with_another(world: World) -> None:
    world.seen.needless.clear()
    world.append(notification(8, WITH_IT, "due"))


def never_fire(world: World) -> None:
    del world.events[6], world.deliveries[6]


def leave_one_overdue(world: World) -> None:
    world.overdue.append(FIRED)


def fire_early(world: World) -> None:
    world.events[6] = replace(world.events[6], recorded_at=NOON)


def fire_earlier_than_clients_know(world: World) -> None:
    world.seen.due[FIRED] = NOON + timedelta(minutes=1)


def withdraw_for_no_reason(world: World) -> None:
    world.put(6, notification(7, FIRED, "withdrawn"))


def withdraw_before_the_thanks(world: World) -> None:
    """Which come later, so that what was lost looks like what was made needless."""
    world.seen.needless = dict.fromkeys((WITHDRAWN, WITH_IT), 7)


def fire_after_the_thanks(world: World) -> None:
    world.put(5, notification(6, WITHDRAWN, "due", others=(WITH_IT,)))


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


def fire_for_nothing_that_happened(world: World) -> None:
    tell(world, REMINDED, UUID(int=0xE099))


def fire_again_for_what_happened_to_another(world: World) -> None:
    tell(world, REMINDED, HELD_TOO)


def fire_for_what_comes_later(world: World) -> None:
    tell(world, REMINDED, UUID(int=0xE009))
    late = event(9, REMINDED, 3, "interview.held", held(X))
    world.append(late)
    world.seen.unknown.add((TENANT, late.command_id))


def fire_under_another_id(world: World) -> None:
    id = UUID(int=0xF9)
    world.append(replace(notification(8, LATER, "due", dedupe_key=str(id)), stream_id=id, command_id=id))


def end_another_under_its_name(world: World) -> None:
    """A later stage ends with the first, and says that it is another than its id."""
    ended = json.loads(world.events[5].data)
    ended["others"][0]["stage"] = "last_call"
    world.put(5, replace(world.events[5], data=of(ended)))


def fire_for_another_policy(world: World) -> None:
    """Which that event does not arm."""
    id = notification_id("preparation", REMINDED, HELD, "due")
    rule = {"policy": "preparation", "version": "1"}
    fired = notification(8, FIRED, "due", rule=rule, dedupe_key=str(id))
    world.append(replace(fired, stream_id=id, command_id=id))


def arm_by_another_event(world: World) -> None:
    """Which is there, and arms the same policy for another conversation."""
    world.put(6, notification(7, FIRED, "due", armed_by=named(HELD_TOO)))


def arm_by_what_arms_nothing(world: World) -> None:
    planned = world.events[0]
    world.put(6, notification(7, FIRED, "due", armed_by=named(planned.event_id, planned.type)))


def put_off(world: World) -> Recorded[bytes]:
    """A client asked for that, and never heard."""
    snooze = snoozed(8)
    world.append(snooze)
    world.seen.unknown.add((TENANT, snooze.command_id))
    return snooze


def fire_another_stage_than_was_put_off(world: World) -> None:
    world.append(again(9, put_off(world), "overdue"))


def arm_by_what_put_it_off(world: World) -> None:
    snooze = put_off(world)
    world.append(again(9, snooze, armed_by=named(snooze.event_id, snooze.type)))


def put_off_what_nothing_began(world: World) -> None:
    snooze = snoozed(8, of_round=UUID(int=0xE099))
    snooze = replace(snooze, stream_id=FIRED)
    world.append(snooze)
    world.seen.unknown.add((TENANT, snooze.command_id))
    world.append(again(9, snooze))


def fire_because_of_something_else(world: World) -> None:
    world.put(6, replace(world.events[6], causation_id=HELD_TOO))


def withdraw_because_of_something_else(world: World) -> None:
    """Than the cause that it names."""
    world.put(5, replace(world.events[5], causation_id=HELD_TOO))


def tell_of_another_correlation(world: World) -> None:
    world.put(6, replace(world.events[6], correlation_id=command_of(HELD_TOO)))


def name_a_cause_that_is_not_there(world: World) -> None:
    cause = {**named(THANKS, "interview.thanked"), "position": 4}
    world.end(cause=cause)


def name_a_cause_that_comes_later(world: World) -> None:
    world.end(cause=named(world.events[6].event_id, "notification.due"))


def let_expire_what_was_thanked_for(world: World) -> None:
    world.end(reason="expired", because="moment_passed")


def take_the_thanks_for_something_else(world: World) -> None:
    world.end(because="interview.cancelled")


def take_the_word_of_another(world: World) -> None:
    """What ended it is of another conversation."""
    world.end(cause=named(HELD))


def name_no_cause(world: World) -> None:
    world.end(cause=None)


def let_another_take_its_place(world: World) -> None:
    """Which the thanks don't ask for."""
    world.end(reason="superseded")


def date_by_a_wrong_clock(world: World) -> None:
    world.put(0, replace(world.events[0], occurred_at=NOON - timedelta(hours=3)))


def accept_on_another_version(world: World) -> None:
    world.say(world.thanks, expected=1)


def accept_two_on_one_version(world: World) -> None:
    """Each as if it alone had been there."""
    command = (TENANT, UUID(int=0xC8))
    world.append(event(8, THANKED, 3, "interview.prepared", command_id=command[1]))
    world.seen.unknown.add(command)
    world.seen.said[command] = Said({}, None, f"interview/{THANKED}", 2)


def refuse_for_the_version_that_it_is(world: World) -> None:
    world.seen.outdated.append(Outdated((TENANT, REFUSED), f"interview/{THANKED}", 3, NOON + timedelta(minutes=1)))


def refuse_for_a_version_that_comes(world: World) -> None:
    world.seen.outdated.append(Outdated((TENANT, REFUSED), f"interview/{THANKED}", 2, world.events[3].recorded_at))


def show_the_document_before(world: World) -> None:
    world.find(shown={"status": "planned"})


def show_what_a_later_position_denies(world: World) -> None:
    world.find(position=5)


def show_another_field(world: World) -> None:
    world.find(shown={"status": "held", "prepared": True})


def show_an_earlier_position(world: World) -> None:
    world.find(position=3)


def show_a_position_that_is_not_there(world: World) -> None:
    world.find(position=8, shown={"status": "thanked"})


def show_nothing(world: World) -> None:
    world.find(status=404, position=None)


def fail_to_show(world: World) -> None:
    world.find(status=500, position=None)


def write_otherwise_what_got_no_answer(world: World) -> None:
    world.seen.unknown.add(world.first)
    del world.seen.accepted[world.first]
    write_something_else(world)


def date_otherwise_what_got_no_answer(world: World) -> None:
    world.seen.unknown.add(world.thanks)
    del world.seen.accepted[world.thanks]
    date_otherwise_than_was_said(world)


PLANTED: list[tuple[Callable[[World], None], str]] = [
    (lose_what_was_handed_over, "lost"),
    (lose_it_after_the_broker_was_wiped, "lost"),
    (write_what_was_handed_over_twice, "twice, receipts"),
    (execute_twice_what_got_no_answer, "receipts"),
    (count_both_times_as_one, "receipts"),
    (miscount_in_a_receipt, "receipts"),
    (miscount_what_got_no_answer, "receipts"),
    (write_something_else, "content"),
    (leave_something_out, "content"),
    (write_another_instant, "content"),
    (write_the_thanks_to_another, "content"),
    (date_otherwise_than_was_said, "dated"),
    (deliver_other_contents, "delivered"),
    (refuse_otherwise_the_second_time, "answers"),
    (accept_the_second_time, "answers"),
    (give_a_receipt_for_nothing, "receipts"),
    (give_a_receipt_for_a_part, "receipts"),
    (withdraw_what_was_put_off, "withdrawn"),
    (fire_early_by_its_own_word, "early"),
    (fire_earlier_than_clients_know, "early"),
    (lose_a_command, "lost, altered, receipts, versions, shown, occasion"),
    (write_a_command_twice, "twice, receipts"),
    (answer_with_another_position, "altered"),
    (write_what_was_refused, "refused"),
    (write_what_nobody_sent, "unasked"),
    (write_for_another_tenant, "unasked"),
    (answer_a_notification_unasked, "unasked"),
    (begin_a_notification_with_an_answer, "unasked, receipts"),
    (fire_by_another_command, "unasked"),
    (withdraw_what_had_fired, "unasked"),
    (fire_in_the_name_of_a_client, "unasked, receipts"),
    (write_beside_a_notification, "unasked, receipts"),
    (accept_what_must_be_refused, "judged"),
    (put_a_command_aside, "dead"),
    (leave_a_position_out, "positions, delivered"),
    (set_the_head_too_high, "positions, missed"),
    (rewrite_what_was_judged_before, "rewritten"),
    (lose_the_end_of_what_was_judged_before, "rewritten"),
    (leave_a_version_out, "versions, altered, delivered, version, outdated"),
    (use_an_event_id_twice, "event ids, delivered"),
    (miss_the_last_delivery, "missed"),
    (miss_a_delivery, "order, broker"),
    (miss_what_only_the_feed_brought, "broker"),
    (swap_two_deliveries, "order, broker"),
    (deliver_another_event, "delivered"),
    (answer_differently_the_second_time, "answers"),
    (refuse_the_second_time, "answers"),
    (lose_a_receipt, "receipts"),
    (lose_the_receipt_of_what_nobody_waited_for, "receipts"),
    (give_a_receipt_to_another_tenant, "receipts"),
    (fire_twice, "twice, occasion"),
    (fire_twice_on_one_stream, "twice, unasked, receipts, versions"),
    (fire_what_had_ended_with_another, "twice, withdrawn"),
    (fire_for_nothing_that_happened, "occasion"),
    (fire_again_for_what_happened_to_another, "occasion"),
    (fire_for_what_comes_later, "occasion"),
    (fire_under_another_id, "occasion"),
    (fire_for_another_policy, "occasion"),
    (end_another_under_its_name, "occasion"),
    (arm_by_another_event, "occasion"),
    (arm_by_what_arms_nothing, "occasion"),
    (fire_another_stage_than_was_put_off, "occasion"),
    (arm_by_what_put_it_off, "occasion"),
    (put_off_what_nothing_began, "occasion"),
    (fire_because_of_something_else, "occasion"),
    (withdraw_because_of_something_else, "occasion"),
    (tell_of_another_correlation, "occasion"),
    (name_a_cause_that_is_not_there, "occasion"),
    (name_a_cause_that_comes_later, "occasion, explained"),
    (let_expire_what_was_thanked_for, "explained"),
    (take_the_thanks_for_something_else, "explained"),
    (take_the_word_of_another, "explained"),
    (name_no_cause, "explained"),
    (let_another_take_its_place, "explained"),
    (never_fire, "unfired"),
    (leave_one_overdue, "unfired"),
    (fire_early, "early"),
    (withdraw_for_no_reason, "withdrawn"),
    (withdraw_before_the_thanks, "withdrawn"),
    (fire_after_the_thanks, "late"),
    (fire_what_was_put_off, "late"),
    (date_by_a_wrong_clock, "dated"),
    (accept_on_another_version, "version"),
    (accept_two_on_one_version, "versions"),
    (refuse_for_the_version_that_it_is, "outdated"),
    (refuse_for_a_version_that_comes, "outdated"),
    (show_the_document_before, "shown"),
    (show_what_a_later_position_denies, "shown"),
    (show_another_field, "shown"),
    (show_an_earlier_position, "shown"),
    (show_a_position_that_is_not_there, "shown"),
    (show_nothing, "unshown"),
    (fail_to_show, "unshown"),
    (write_otherwise_what_got_no_answer, "content"),
    (date_otherwise_what_got_no_answer, "dated"),
]


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
def test_a_planted_violation_is_found(plant: Callable[[World], None], found: str) -> None:
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
    """Given the functions here that plant something, then each is tried; one that is not would be trusted in vain."""
    signature = {"world": "World", "return": "None"}
    planting = {each for each in globals().values() if isfunction(each) and each.__annotations__ == signature}
    assert planting == {plant for plant, _ in PLANTED}
