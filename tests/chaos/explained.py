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
    "notification/snooze": ("superseded", "snoozed"),
}
"""What a reminder ends as by a command. By all others it is withdrawn, or another takes its place, and the code is the
type of their event."""


def occasions(held: Held) -> Iterator[str]:
    """Every notification has the id that follows from its policy, subject, occurrence and stage. Its occurrence is an
    event before it, of the same tenant, which arms that policy for that subject, or puts off what was told. So is what
    it names as its cause."""
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
    armed = held.by_id.get((each.tenant, occurrence))
    if armed is None or armed.position >= each.position:
        yield f"is for {occurrence}, which is no event before it"
    elif not _arms(armed, policy, subject, says["stage"]):
        yield f"is for position {armed.position}, {armed.type}, which is no reason for {policy} of {subject}"
    cause = says.get("cause") or says.get("armed_by")
    if cause is not None:
        named = held.by_id.get((each.tenant, UUID(cause["event_id"])))
        if named is None or (named.position, named.type) != (cause["position"], cause["type"]):
            yield f"names {cause} as its cause, which is not there"
        elif named.position >= each.position:
            yield f"names position {named.position} as its cause, which comes later"


def _arms(occurrence: Recorded[bytes], policy: str, subject: UUID, stage: str) -> bool:
    event = decode(occurrence)
    data: Any = event.data
    if subject not in subjects(event):
        return False
    if occurrence.type == "notification.snoozed":
        return bool((data.rule.policy, data.stage) == (policy, stage))
    rule = default_policies().by_name.get(policy)
    return rule is not None and any(arm.on == occurrence.type and arm.wants(data) for arm in rule.armed_by)


def explained(seen: Seen, held: Held) -> Iterator[str]:
    """A reminder that clients know of, and of which nobody was told, ended for the reason that follows from a command
    that made it needless; the cause, where one is named, is what that command wrote."""
    for id, commands in seen.ended_by.items():
        for end in held.ends.get(id, ()):
            if end.type == "notification.due":
                continue
            says = held.data[end.position]
            wrote = {
                verb: [each for each in held.by_command.get(command, ()) if each.position < end.position]
                for command, verb in commands.items()
            }
            if not any(_explains(verb, written, says) for verb, written in wrote.items()):
                told = f"{says['reason']} ({says['because']}, by {says.get('cause')})"
                yield f"explained: reminder {id} ended at {end.position} as {told}, made needless by {', '.join(wrote)}"


def _explains(verb: str, written: Sequence[Recorded[bytes]], says: Mapping[str, Any]) -> bool:
    told, cause = (says["reason"], says["because"]), says.get("cause")
    if cause is not None and UUID(cause["event_id"]) not in {each.event_id for each in written}:
        return False
    if verb in _FOLLOWS:
        return bool(written) and told == _FOLLOWS[verb]
    return told in {(reason, each.type) for each in written for reason in ("withdrawn", "superseded")}
