"""Whether what became of reminders is explained: why there was one, and why nobody was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from shared.codec import decode
from shared.domain.identity import notification_id
from shared.envelope import Recorded
from shared.timing.policies import default_policies
from shared.timing.routing import subjects
from tests.chaos.held import ENDS, Held
from tests.chaos.seen import Seen

Ended = tuple[str, str]
"""Reason and code of a reminder that nobody was told of."""
_FOLLOWS: Mapping[str, Ended] = {
    "seeker/change-preferences": ("suppressed", "muted"),
    "contact/ask-not-to-be-contacted": ("withdrawn", "contact_closed"),
    "contact/forget": ("withdrawn", "contact_closed"),
    "notification/acknowledge": ("withdrawn", "acknowledged"),
    "notification/snooze": ("suppressed", "snoozed"),
}
"""What a reminder ends as by a command. By all others it is withdrawn, and the code is the type of their event."""
_FOUND_WHEN_DUE = {("suppressed", "muted"), ("withdrawn", "seeker.left")}
"""What is found of who is to be told when a reminder's moment has come, and names no cause then."""
_PUTS_OFF = "notification.snoozed"


def occasions(held: Held) -> Iterator[str]:
    """Every notification has the id that follows from its policy, subject, occurrence and stage. Its occurrence is an
    event before it, of the same tenant, which arms that policy for that subject, or puts off what was told. One that is
    due names the event that armed its round; one that is withdrawn may name its cause, an event before it. What it
    names so, and else what armed its round, is the cause of what began its stream."""
    for each in held.events:
        if each.type in ENDS:
            for wrong in _wrong_with(each, held.data[each.position], held):
                yield f"occasion: {each.stream} at {each.position} {wrong}"


def _wrong_with(each: Recorded[bytes], says: Mapping[str, Any], held: Held) -> Iterator[str]:
    policy, subject, occurrence = says["rule"]["policy"], UUID(says["subject_id"]), UUID(says["occurrence"])
    stages = [(each.stream_id, says["stage"]), *((UUID(one["id"]), one["stage"]) for one in says.get("others", ()))]
    for id, stage in stages:
        if id != notification_id(policy, subject, occurrence, stage):
            yield f"says of {id} that it is {policy}/{stage} of {subject}, for {occurrence}"
    occasion = _before(each, occurrence, held)
    began = occasion and _began(occasion, held)
    if occasion is None or began is None:
        yield f"is for {occurrence}, which is no event before it, or puts off what none began"
    else:
        for armed in {occasion.position: occasion, began.position: began}.values():
            if not _arms(armed, policy, subject, says["stage"]):
                yield f"is for position {armed.position}, {armed.type}, which is no reason for {policy} of {subject}"
        if each.type == "notification.due" and not _is(says["armed_by"], began):
            yield f"is armed by {says['armed_by']}, its round by position {began.position}, {began.type}"
    cause = began
    if (named := says.get("cause")) is not None:
        cause = _before(each, UUID(named["event_id"]), held)
        if cause is None or not _is(named, cause):
            yield f"names {named} as its cause, which is not there, or comes later"
    follows = cause and (cause.event_id, cause.correlation_id)
    if each.version == 1 and follows and (each.causation_id, each.correlation_id) != follows:
        yield f"is caused by {each.causation_id} ({each.correlation_id}), not by {follows[0]} ({follows[1]})"


def _before(each: Recorded[bytes], id: UUID, held: Held) -> Recorded[bytes] | None:
    """The event of that id and of the same tenant, where it is before another."""
    found = held.by_id.get((each.tenant, id))
    return found if found is not None and found.position < each.position else None


def _began(occasion: Recorded[bytes], held: Held) -> Recorded[bytes] | None:
    """With which the round began: what puts off a notification belongs to the round of that, however often."""
    found: Recorded[bytes] | None = occasion
    while found is not None and found.type == _PUTS_OFF:
        found = _before(found, UUID(held.data[found.position]["occurrence"]), held)
    return found


def _is(named: Mapping[str, Any], event: Recorded[bytes]) -> bool:
    return (UUID(named["event_id"]), named["type"], named["position"]) == (event.event_id, event.type, event.position)


def _arms(occurrence: Recorded[bytes], policy: str, subject: UUID, stage: str) -> bool:
    event = decode(occurrence)
    data: Any = event.data
    if subject not in subjects(event):
        return False
    if occurrence.type == _PUTS_OFF:
        return bool((data.rule.policy, data.stage) == (policy, stage))
    rule = default_policies().by_name.get(policy)
    return rule is not None and any(arm.on == occurrence.type and arm.wants(data) for arm in rule.armed_by)


def explained(seen: Seen, held: Held) -> Iterator[str]:
    """A reminder that clients know of, and of which nobody was told, ended for the reason that follows from a command
    that made it needless; the cause is what that command wrote, and is named unless it was found only when the
    reminder's moment had come."""
    for id, commands in seen.ended_by.items():
        for end in held.ends.get(id, ()):
            if end.type == "notification.due":
                continue
            says = held.data[end.position]
            wrote = [
                (verb, [each for each in held.by_command.get(command, ()) if each.position < end.position])
                for command, verb in commands.items()
            ]
            if not any(_explains(verb, written, says) for verb, written in wrote):
                told = f"{says['reason']} ({says['because']}, by {says.get('cause')})"
                verbs = ", ".join(verb for verb, _ in wrote)
                yield f"explained: reminder {id} ended at {end.position} as {told}, made needless by {verbs}"


def _explains(verb: str, written: Sequence[Recorded[bytes]], says: Mapping[str, Any]) -> bool:
    told, cause = (says["reason"], says["because"]), says.get("cause")
    if cause is None:
        if told not in _FOUND_WHEN_DUE:
            return False
    elif UUID(cause["event_id"]) not in {each.event_id for each in written}:
        return False
    if verb in _FOLLOWS:
        return bool(written) and told == _FOLLOWS[verb]
    return told in {("withdrawn", each.type) for each in written}
