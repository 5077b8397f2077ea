"""What is wrong in the log, its receipts, its deliveries, or what clients were told and shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from tests.chaos.held import Receipt
from tests.chaos.seen import Answer, Outdated, Said, SeenEvent
from tests.chaos.sound import (
    NOON,
    OTHER_TENANT,
    REFUSED,
    REMINDED,
    TENANT,
    THANKED,
    World,
    X,
    Y,
    event,
    of,
    planted,
)


@planted("lost, altered, receipts, versions, shown, occasion")
def lose_a_command(world: World) -> None:
    del world.events[0]
    world.renumber()


@planted("twice, receipts")
def write_a_command_twice(world: World) -> None:
    world.append(replace(world.events[0], position=8, version=3, stream_id=REMINDED, event_id=UUID(int=0xE008)))


@planted("altered")
def answer_with_another_position(world: World) -> None:
    world.seen.accepted[world.first] = Answer(1, (SeenEvent(9, UUID(int=9), "x", "x", 1),))


@planted("refused")
def write_what_was_refused(world: World) -> None:
    world.append(event(8, UUID(int=0x3), 1, "interview.planned", command_id=REFUSED))


@planted("unasked")
def write_what_nobody_sent(world: World) -> None:
    world.append(event(8, UUID(int=0x3), 1, "interview.planned"))


@planted("unasked")
def write_for_another_tenant(world: World) -> None:
    """Under the id of a command that was accepted."""
    id = world.events[0].command_id
    world.append(event(8, UUID(int=0x3), 1, "interview.planned", tenant=OTHER_TENANT, command_id=id))


@planted("judged")
def accept_what_must_be_refused(world: World) -> None:
    world.seen.wrongly[world.first] = "was accepted, not refused (out_of_order)"


@planted("lost")
def lose_what_was_handed_over(world: World) -> None:
    world.seen.handed_over[TENANT, UUID(int=0xC0FFEE)] = NOON


@planted("lost")
def lose_it_after_the_broker_was_wiped(world: World) -> None:
    lose_what_was_handed_over(world)
    world.wiped_at = NOON - timedelta(seconds=1)


@planted("twice, receipts")
def write_what_was_handed_over_twice(world: World) -> None:
    world.seen.handed_over[world.first] = NOON
    del world.seen.accepted[world.first]
    world.append(event(8, UUID(int=0x3), 1, "contact.added", command_id=world.first[1]))


@planted("receipts")
def execute_twice_what_got_no_answer(world: World) -> None:
    """The receipt is of the second time."""
    world.seen.unknown.add(world.first)
    del world.seen.accepted[world.first]
    world.append(event(8, UUID(int=0x3), 1, "contact.added", command_id=world.first[1]))


@planted("receipts")
def count_both_times_as_one(world: World) -> None:
    execute_twice_what_got_no_answer(world)
    world.receipts[world.first] = Receipt(8, 2)


@planted("receipts")
def miscount_in_a_receipt(world: World) -> None:
    """From it a repetition would be told of another command's event, too."""
    world.receipts[world.thanks] = Receipt(5, 2)


@planted("receipts")
def miscount_what_got_no_answer(world: World) -> None:
    world.seen.unknown.add(world.thanks)
    del world.seen.accepted[world.thanks]
    miscount_in_a_receipt(world)


@planted("content")
def write_something_else(world: World) -> None:
    world.put(0, replace(world.events[0], data=of({"seeker_id": X, "about": "Ships"})))


@planted("content")
def leave_something_out(world: World) -> None:
    world.put(0, replace(world.events[0], data=of({"seeker_id": X})))


@planted("content")
def write_another_instant(world: World) -> None:
    world.put(4, replace(world.events[4], data=of({"seeker_id": Y, "at": "2026-11-17T13:00:00Z"})))


@planted("content")
def write_the_thanks_to_another(world: World) -> None:
    world.put(4, replace(world.events[4], data=of({"seeker_id": X, "at": "2026-11-17T12:00:00Z"})))


@planted("dated")
def date_otherwise_than_was_said(world: World) -> None:
    world.put(4, replace(world.events[4], occurred_at=NOON))


@planted("delivered")
def deliver_other_contents(world: World) -> None:
    world.deliveries[0] = replace(world.deliveries[0], digest=world.deliveries[1].digest)


@planted("answers")
def refuse_otherwise_the_second_time(world: World) -> None:
    world.seen.repeated.append(((TENANT, REFUSED), "out_of_order"))


@planted("answers")
def accept_the_second_time(world: World) -> None:
    world.seen.repeated.append(((TENANT, REFUSED), Answer(1, ())))


@planted("receipts")
def give_a_receipt_for_nothing(world: World) -> None:
    world.receipts[TENANT, REFUSED] = Receipt(1, 1)


@planted("receipts")
def give_a_receipt_for_a_part(world: World) -> None:
    """Of what was written for a command whose client never heard of it."""
    command = (TENANT, UUID(int=0xC8))
    world.seen.unknown.add(command)
    for position in (8, 9):
        world.append(event(position, UUID(int=position), 1, "contact.added", command_id=command[1]))
    world.receipts[command] = Receipt(8, 1)


@planted("dead")
def put_a_command_aside(world: World) -> None:
    world.dead_letters = 1


@planted("positions, delivered")
def leave_a_position_out(world: World) -> None:
    world.events[6] = replace(world.events[6], position=8)


@planted("positions, missed")
def set_the_head_too_high(world: World) -> None:
    world.head = 8


@planted("rewritten")
def rewrite_what_was_judged_before(world: World) -> None:
    """So that it is sound in itself."""
    world.earlier = world.events[:4]
    world.put(1, replace(world.events[1], actor="seeker:y"))


@planted("rewritten")
def lose_the_end_of_what_was_judged_before(world: World) -> None:
    """As if nobody had ever heard of it."""
    world.earlier = [*world.events, event(8, UUID(int=0x3), 1, "contact.added")]


@planted("versions, altered, delivered, version, outdated")
def leave_a_version_out(world: World) -> None:
    world.events[4] = replace(world.events[4], version=4)


@planted("event ids, delivered")
def use_an_event_id_twice(world: World) -> None:
    world.events[6] = replace(world.events[6], event_id=world.events[5].event_id)


@planted("missed")
def miss_the_last_delivery(world: World) -> None:
    del world.deliveries[-1]


@planted("order, broker")
def miss_a_delivery(world: World) -> None:
    del world.deliveries[3]


@planted("broker")
def miss_what_only_the_feed_brought(world: World) -> None:
    world.deliveries[3] = replace(world.deliveries[3], source="feed")


@planted("order, broker")
def swap_two_deliveries(world: World) -> None:
    world.deliveries[3:5] = world.deliveries[4:2:-1]


@planted("delivered")
def deliver_another_event(world: World) -> None:
    world.deliveries[3] = replace(world.deliveries[3], event_id=UUID(int=9))


@planted("answers")
def answer_differently_the_second_time(world: World) -> None:
    world.seen.repeated.append((world.first, Answer(2, ())))


@planted("answers")
def refuse_the_second_time(world: World) -> None:
    world.seen.repeated.append((world.first, "out_of_order"))


@planted("receipts")
def lose_a_receipt(world: World) -> None:
    del world.receipts[world.first]


@planted("receipts")
def lose_the_receipt_of_what_nobody_waited_for(world: World) -> None:
    del world.receipts[world.first]
    del world.seen.accepted[world.first]
    world.seen.handed_over[world.first] = NOON


@planted("receipts")
def give_a_receipt_to_another_tenant(world: World) -> None:
    world.receipts[OTHER_TENANT, world.first[1]] = world.receipts.pop(world.first)


@planted("dated")
def date_by_a_wrong_clock(world: World) -> None:
    world.put(0, replace(world.events[0], occurred_at=NOON - timedelta(hours=3)))


@planted("version")
def accept_on_another_version(world: World) -> None:
    world.say(world.thanks, expected=1)


@planted("versions")
def accept_two_on_one_version(world: World) -> None:
    """Each as if it alone had been there."""
    command = (TENANT, UUID(int=0xC8))
    world.append(event(8, THANKED, 3, "interview.prepared", command_id=command[1]))
    world.seen.unknown.add(command)
    world.seen.said[command] = Said({}, None, f"interview/{THANKED}", 2)


@planted("outdated")
def refuse_for_the_version_that_it_is(world: World) -> None:
    world.seen.outdated.append(Outdated((TENANT, REFUSED), f"interview/{THANKED}", 3, NOON + timedelta(minutes=1)))


@planted("outdated")
def refuse_for_a_version_that_comes(world: World) -> None:
    world.seen.outdated.append(Outdated((TENANT, REFUSED), f"interview/{THANKED}", 2, world.events[3].recorded_at))


@planted("shown")
def show_the_document_before(world: World) -> None:
    world.find(shown={"status": "planned"})


@planted("shown")
def show_what_a_later_position_denies(world: World) -> None:
    world.find(position=5)


@planted("shown")
def show_another_field(world: World) -> None:
    world.find(shown={"status": "held", "prepared": True})


@planted("shown")
def show_an_earlier_position(world: World) -> None:
    world.find(position=3)


@planted("shown")
def show_a_position_that_is_not_there(world: World) -> None:
    world.find(position=8, shown={"status": "thanked"})


@planted("unshown")
def show_nothing(world: World) -> None:
    world.find(status=404, position=None)


@planted("unshown")
def fail_to_show(world: World) -> None:
    world.find(status=500, position=None)


@planted("content")
def write_otherwise_what_got_no_answer(world: World) -> None:
    world.seen.unknown.add(world.first)
    del world.seen.accepted[world.first]
    write_something_else(world)


@planted("dated")
def date_otherwise_what_got_no_answer(world: World) -> None:
    world.seen.unknown.add(world.thanks)
    del world.seen.accepted[world.thanks]
    date_otherwise_than_was_said(world)
