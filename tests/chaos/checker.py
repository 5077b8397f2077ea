"""What must hold, whatever died: judged from what clients saw, what a consumer received, and what the log holds.

Pure: everything comes in as values, and each broken promise comes out as a sentence.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

from shared.envelope import Recorded
from tests.chaos.seen import Seen, SeenEvent
from tests.chaos.witness import Delivery

ABOUT = timedelta(minutes=10)
"""Longer than a command may be on its way, shorter than any clock is set wrong by."""
KIND, STAGE = "thank_you", "due"
"""The reminder whose moment clients know: two hours after the conversation they recorded."""


@dataclass(frozen=True)
class Held:
    """What the database holds once everything has come to rest."""

    events: Sequence[Recorded[bytes]]
    """The whole log, by position."""
    head: int
    receipts: Mapping[UUID, int] = field(default_factory=dict)
    """Command id → position of its last event, as its receipt says."""
    overdue: Collection[UUID] = ()
    """Timers that should have fired by now."""

    @cached_property
    def by_command(self) -> Mapping[UUID, tuple[SeenEvent, ...]]:
        found: dict[UUID, list[SeenEvent]] = defaultdict(list)
        for each in self.events:
            stream = f"{each.category}/{each.stream_id}"
            found[each.command_id].append(SeenEvent(each.position, each.event_id, each.type, stream, each.version))
        return {command: tuple(events) for command, events in found.items()}

    @cached_property
    def notifications(self) -> Mapping[UUID, Sequence[Recorded[bytes]]]:
        """Those that end the timer of the reminder that is watched, by interview."""
        found: dict[UUID, list[Recorded[bytes]]] = defaultdict(list)
        for each in self.events:
            if each.type in ("notification.due", "notification.withdrawn"):
                data = json.loads(each.data)
                if (data["kind"], data["stage"]) == (KIND, STAGE):
                    found[UUID(data["subject_id"])].append(each)
        return found


def check(seen: Seen, held: Held, deliveries: Sequence[Delivery]) -> list[str]:
    """All violations; none is what is wanted."""
    return [
        *acknowledged_once(seen, held),
        *never_asked(seen, held),
        *dense(held),
        *received(held, deliveries),
        *same_answers(seen, held),
        *timers(seen, held),
        *dues(held),
        *dates(seen, held),
    ]


def acknowledged_once(seen: Seen, held: Held) -> Iterator[str]:
    """Every acknowledged command is in the log exactly once, as it was answered."""
    for command_id, answer in seen.accepted.items():
        found = held.by_command.get(command_id, ())
        if found == answer.events:
            continue
        if not found:
            yield f"lost: command {command_id} was acknowledged at {answer.position} and is not in the log"
        elif len(found) > len(answer.events):
            yield f"twice: command {command_id} wrote {_positions(found)}, its answer names {_positions(answer.events)}"
        else:
            yield f"altered: command {command_id} was answered {answer.events}, the log holds {found}"


def never_asked(seen: Seen, held: Held) -> Iterator[str]:
    """Nothing is in the log that was refused, or that nobody sent."""
    own = {each.command_id for each in held.events if each.category == "notification"}
    for command_id, found in held.by_command.items():
        if command_id in seen.refused:
            refusal = seen.refused[command_id]
            yield f"refused: command {command_id} was refused ({refusal}) and wrote {_positions(found)}"
        elif command_id not in seen.accepted and command_id not in seen.unknown and command_id not in own:
            yield f"unasked: nobody sent command {command_id}, which wrote {_positions(found)}"


def dense(held: Held) -> Iterator[str]:
    """Positions are 1, 2, 3 … up to the head, versions of each stream 1, 2, 3 …, event ids unique."""
    for expected, each in enumerate(held.events, start=1):
        if each.position != expected:
            yield f"positions: {each.position} stands where {expected} should"
            break
    if held.head != (held.events[-1].position if held.events else 0):
        yield f"positions: the head is {held.head}, the last event at {held.events[-1].position if held.events else 0}"
    versions: dict[tuple[str, UUID], int] = defaultdict(int)
    for each in held.events:
        key = (each.tenant, each.stream_id)
        versions[key] += 1
        if each.version != versions[key]:
            yield f"versions: {each.stream} has {each.version} where {versions[key]} should be (at {each.position})"
            versions[key] = each.version
    if len({each.event_id for each in held.events}) != len(held.events):
        yield "event ids: some event id is there twice"


def received(held: Held, deliveries: Sequence[Delivery]) -> Iterator[str]:
    """The consumer saw every position, in order once what came again is left out; from the broker alone, without a gap
    for as long as its queue lived."""
    ids = {each.position: each.event_id for each in held.events}
    last, last_of_queue, queue = 0, 0, 0
    for each in deliveries:
        if ids.get(each.position) != each.event_id:
            yield f"delivered: {each.event_id} as position {each.position}, where the log has {ids.get(each.position)}"
        if each.position > last + 1:
            yield f"order: the consumer got {each.position} next after {last}"
        last = max(last, each.position)
        if each.source == "broker":
            if each.queue != queue:
                queue, last_of_queue = each.queue, each.position
            elif each.position > last_of_queue + 1:
                yield f"broker: {each.position} came next after {last_of_queue} from queue {queue}"
            last_of_queue = max(last_of_queue, each.position)
    if last != held.head:
        yield f"missed: the consumer got as far as {last}, the log ends at {held.head}"


def same_answers(seen: Seen, held: Held) -> Iterator[str]:
    """A command that is sent again gets its first answer, and there is a receipt that says the same."""
    for command_id, again in seen.repeated:
        first = seen.accepted.get(command_id)
        if first is not None and again != first:
            yield f"answers: command {command_id} was answered {first}, and then {again}"
    for command_id, answer in seen.accepted.items():
        receipt = held.receipts.get(command_id)
        if receipt != answer.position:
            yield f"receipts: command {command_id} was answered position {answer.position}, its receipt says {receipt}"


def timers(seen: Seen, held: Held) -> Iterator[str]:
    """The reminder that clients know of fired once, or was withdrawn for its reason; not early, not after its end."""
    for interview, due_at in seen.due.items():
        ends = held.notifications.get(interview, ())
        fired = [each for each in ends if each.type == "notification.due"]
        thanked = seen.thanked.get(interview)
        if len(fired) > 1:
            yield f"twice: the reminder of {interview} fired at {[each.position for each in fired]}"
        if not ends:
            yield f"unfired: the reminder of {interview}, due at {due_at}, neither fired nor was it withdrawn"
        elif not fired and interview not in seen.thanked:
            yield f"withdrawn: the reminder of {interview} was withdrawn and nobody had said thanks"
        for each in fired:
            if each.recorded_at < due_at:
                yield f"early: the reminder of {interview}, due at {due_at}, fired at {each.recorded_at}"
            if thanked is not None and each.position > thanked:
                yield f"late: the reminder of {interview} fired at {each.position}, after the thanks at {thanked}"


def dues(held: Held) -> Iterator[str]:
    """Whatever fired, fired once and not before its time; nothing that should have fired is left."""
    keys: set[str] = set()
    for each in held.events:
        if each.type == "notification.due":
            data = json.loads(each.data)
            if data["dedupe_key"] in keys:
                yield f"twice: notification {data['dedupe_key']} fired again at {each.position}"
            keys.add(data["dedupe_key"])
            if each.recorded_at < datetime.fromisoformat(data["due_at"]):
                yield f"early: what was due at {data['due_at']} fired at {each.recorded_at} ({each.position})"
    for id in held.overdue:
        yield f"unfired: timer {id} is overdue and nothing became of it"


def dates(seen: Seen, held: Held) -> Iterator[str]:
    """What clients left undated is dated about when it was written down, however wrong its service's own clock was."""
    for each in held.events:
        if each.command_id in seen.undated and abs(each.recorded_at - each.occurred_at) > ABOUT:
            yield f"dated: {each.position} is said to be of {each.occurred_at}, written at {each.recorded_at}"


def _positions(events: Sequence[SeenEvent]) -> str:
    return ", ".join(str(each.position) for each in events)
