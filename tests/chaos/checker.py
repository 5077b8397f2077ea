"""What must hold, whatever died: judged from what clients saw, what a consumer received, and what the log holds.

Pure: everything comes in as values, and each broken promise comes out as a sentence.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any
from uuid import UUID

from shared.envelope import Recorded
from tests.chaos.explained import explained, occasions
from tests.chaos.held import ENDS, Held, Receipt, stream_of
from tests.chaos.seen import Command, Seen, SeenEvent
from tests.chaos.witness import Delivery, digest_of

ABOUT = timedelta(minutes=10)
"""Longer than a command may be on its way, shorter than any clock is set wrong by."""


def check(seen: Seen, held: Held, deliveries: Sequence[Delivery]) -> list[str]:
    """All violations; none is what is wanted."""
    return [
        *acknowledged_once(seen, held),
        *handed_over(seen, held),
        *as_said(seen, held),
        *never_asked(seen, held),
        *judged(seen, held),
        *expected(seen, held),
        *shown(seen, held),
        *dense(held),
        *unchanged(held),
        *received(held, deliveries),
        *same_answers(seen, held),
        *timers(seen, held),
        *dues(held),
        *occasions(held),
        *explained(seen, held),
        *dates(seen, held),
    ]


def acknowledged_once(seen: Seen, held: Held) -> Iterator[str]:
    """Every acknowledged command is in the log exactly once, as it was answered."""
    for command, answer in seen.accepted.items():
        found = tuple(map(_as_seen, held.by_command.get(command, ())))
        if found == answer.events:
            continue
        if not found:
            yield f"lost: command {_name(command)} was acknowledged at {answer.position} and is not in the log"
        elif len(found) > len(answer.events):
            asked, wrote = _positions(answer.events), _positions(found)
            yield f"twice: command {_name(command)} wrote {wrote}, its answer names {asked}"
        else:
            yield f"altered: command {_name(command)} was answered {answer.events}, the log holds {found}"


def handed_over(seen: Seen, held: Held) -> Iterator[str]:
    """What the broker has confirmed is executed once though nobody waits for it, unless the broker lost everything."""
    for command, at in seen.handed_over.items():
        found = held.by_command.get(command, ())
        if not found and (held.wiped_at is None or at > held.wiped_at):
            yield f"lost: command {_name(command)}, sent at {at}, was confirmed by the broker and is not in the log"
        if len(found) > 1:
            yield f"twice: command {_name(command)} wrote {_positions(found)}"


def as_said(seen: Seen, held: Held) -> Iterator[str]:
    """The log holds what clients said; a stream belongs to one seeker, but for a programme's, which has many."""
    for command, said in seen.said.items():
        found = held.by_command.get(command, ())
        wrote = [held.data[each.position] for each in found]
        lacking = [name for name, value in said.body.items() if not any(_same(value, one.get(name)) for one in wrote)]
        if found and lacking:
            yield f"content: command {_name(command)} said {said.body}, the log lacks {', '.join(lacking)} of it"
    seekers: dict[tuple[str, str, UUID], str] = {}
    for each in held.events:
        seeker = None if each.category == "programme" else held.data[each.position].get("seeker_id")
        if seeker is not None and seeker != seekers.setdefault((each.tenant, each.category, each.stream_id), seeker):
            yield f"content: {each.stream} is about another seeker at {each.position} than before"


def _same(said: Any, written: Any) -> bool:
    """Instants may be written in another way."""
    if said == written or not (isinstance(said, str) and isinstance(written, str)):
        return bool(said == written)
    with suppress(ValueError):
        return datetime.fromisoformat(said) == datetime.fromisoformat(written)
    return False


def never_asked(seen: Seen, held: Held) -> Iterator[str]:
    """Nothing is in the log that was refused, or that nobody sent, but for what ends a timer."""
    sent = seen.accepted.keys() | seen.handed_over.keys() | seen.unknown
    for command, found in held.by_command.items():
        if command in seen.refused:
            yield f"refused: command {_name(command)} ({seen.refused[command]}) wrote {_positions(found)}"
        elif not (command in sent or _ends_a_timer(found)):
            yield f"unasked: nobody sent command {_name(command)}, which wrote {_positions(found)}"


def judged(seen: Seen, held: Held) -> Iterator[str]:
    """What must be refused was refused, and nothing else was; nothing failed, and nothing was put aside that is as
    clients should send it."""
    for command, how in seen.wrongly.items():
        yield f"judged: command {_name(command)} {how}"
    if held.dead_letters:
        yield f"dead: {held.dead_letters} commands were put aside as dead letters"


def expected(seen: Seen, held: Held) -> Iterator[str]:
    """Who named a version was accepted on that one, and refused only when the stream had gone beyond it."""
    for command, said in seen.said.items():
        wrote = [each for each in held.by_command.get(command, ()) if stream_of(each) == said.stream]
        if said.expected is not None and wrote and wrote[0].version != said.expected + 1:
            yield f"version: command {_name(command)} named {said.expected} of {said.stream}, wrote {wrote[0].version}"
    for each in seen.outdated:
        stream = held.by_stream.get((each.command[0], each.stream), ())
        if not any(event.version == each.expected + 1 and event.recorded_at <= each.at for event in stream):
            told = f"{each.expected} of {each.stream}, which was the latest at {each.at}"
            yield f"outdated: command {_name(each.command)} was refused for version {told}"


def shown(seen: Seen, held: Held) -> Iterator[str]:
    """Who asks for the position of a command sees it: a document is of that position or a later one, and says what the
    commands up to its own left there, or up to one after that."""
    for look in seen.looks:
        command, stream = _name(look.command), seen.said[look.command].stream
        if look.status != 200 or look.position is None:
            yield f"unshown: who looked for command {command} was answered with status {look.status}"
            continue
        if not look.wanted <= look.position <= held.head:
            yield f"shown: command {command} was looked for as of {look.wanted}, the answer is of {look.position}"
        says: dict[str, Any] = {}
        right = []
        for each in held.by_stream.get((look.command[0], stream), ()):
            if each.position > look.position:
                right.append(says)
            said = seen.said.get((each.tenant, each.command_id))
            if said is not None and said.stream == stream:
                says = says | said.shows
        if not any(look.shown.items() <= each.items() for each in [*right, says]):
            yield f"shown: {stream} at {look.position}, looked for by command {command}, said {look.shown}, not {says}"


def _ends_a_timer(written: Sequence[Recorded[bytes]]) -> bool:
    """Whether it is what a policy writes by itself: how one notification's stream begins."""
    first = written[0]
    begins = len(written) == 1 and first.command_id == first.stream_id
    return begins and first.type in ENDS and first.actor.startswith("policy:")


def _apart(written: Sequence[Recorded[bytes]]) -> bool:
    """Whether there are others between the events of one command, as there are if it was executed twice."""
    return written[-1].position - written[0].position >= len(written)


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


def unchanged(held: Held) -> Iterator[str]:
    """What was judged before is there as it was, whichever server has the log by now."""
    rewritten = [was.position for was, each in zip_longest(held.earlier, held.events) if was not in (None, each)]
    if rewritten:
        yield f"rewritten: {len(rewritten)} events are not what they were, the first at {rewritten[0]}"


def received(held: Held, deliveries: Sequence[Delivery]) -> Iterator[str]:
    """The consumer saw every position, in order once what came again is left out; from the broker alone, without a gap
    for as long as its queue lived."""
    ids = {each.position: each.event_id for each in held.events}
    digests = {each.position: _digest(each, held) for each in held.events}
    last, last_of_queue, queue = 0, 0, 0
    for each in deliveries:
        if ids.get(each.position) != each.event_id:
            yield f"delivered: {each.event_id} as position {each.position}, where the log has {ids.get(each.position)}"
        elif digests[each.position] != each.digest:
            yield f"delivered: position {each.position} does not say what the log does"
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


def _digest(event: Recorded[bytes], held: Held) -> str:
    type, time = f"kithlog.{event.type}.v{event.schema_version}", event.occurred_at.isoformat()
    return digest_of(type, event.tenant, str(event.stream_id), event.version, time, held.data[event.position])


def same_answers(seen: Seen, held: Held) -> Iterator[str]:
    """A command that is sent again gets its first answer, and there is a receipt that says the same: for all that the
    log holds, whoever heard of it, and nothing else. All that a command wrote, it wrote at once."""
    for command, again in seen.repeated:
        first = seen.accepted.get(command) or seen.refused.get(command)
        if first is not None and again != first:
            yield f"answers: command {_name(command)} was told {first}, and then {again}"
    for command, answer in seen.accepted.items():
        receipt, told = held.receipts.get(command), Receipt(answer.position, len(answer.events))
        if receipt != told:
            yield f"receipts: command {_name(command)} was answered {told}, its receipt says {receipt}"
    for command in held.by_command.keys() | held.receipts.keys():
        written, receipt = held.by_command.get(command, ()), held.receipts.get(command)
        if receipt is None and _ends_a_timer(written):
            continue
        if not written or receipt != Receipt(written[-1].position, len(written)) or _apart(written):
            yield f"receipts: command {_name(command)} wrote {_positions(written) or None}, its receipt says {receipt}"


def timers(seen: Seen, held: Held) -> Iterator[str]:
    """Each reminder that clients know of fired once, or was withdrawn for its reason; not early, and not after a
    command had been answered that made it needless."""
    for id, due_at in seen.due.items():
        ends = held.ends.get(id, ())
        fired = [each for each in ends if each.type == "notification.due"]
        needless = seen.needless.get(id)
        if len(ends) > 1:
            yield f"twice: reminder {id} ended at {_positions(ends)}"
        if not ends and id not in seen.put_off:
            yield f"unfired: reminder {id}, due at {due_at}, neither fired nor was it withdrawn"
        elif (
            ends
            and not fired
            and id not in seen.perhaps
            and (needless is None or ends[0].position < needless or id in seen.put_off)
        ):
            yield f"withdrawn: reminder {id} was withdrawn at {_positions(ends)}, and nobody had made it needless"
        for each in fired:
            if each.recorded_at < due_at:
                yield f"early: reminder {id}, due at {due_at}, fired at {each.recorded_at}"
            if needless is not None and each.position > needless:
                yield f"late: reminder {id} fired at {each.position}, needless since {needless}"


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
    """What happened is dated as clients said; undated, or about now, as it is written down, however wrong its service's
    own clock was."""
    for each in held.events:
        said = seen.said.get((each.tenant, each.command_id))
        if said is None or each.occurred_at == said.at:
            continue
        now = said.at is None or abs(each.recorded_at - said.at) < ABOUT
        if not (now and each.occurred_at == each.recorded_at):
            yield f"dated: {each.position} is of {each.occurred_at}, said {said.at}, written at {each.recorded_at}"


def _as_seen(event: Recorded[bytes]) -> SeenEvent:
    return SeenEvent(event.position, event.event_id, event.type, stream_of(event), event.version)


def _name(command: Command) -> str:
    return "/".join(map(str, command))


def _positions(events: Sequence[SeenEvent] | Sequence[Recorded[bytes]]) -> str:
    return ", ".join(str(each.position) for each in events)
