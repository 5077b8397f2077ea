"""Events as people and as programs read them, and the tree of what led to what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from rich.text import Text
from rich.tree import Tree

from services.cli.terminal import printable
from shared.envelope import Recorded


def as_object(e: Recorded[bytes]) -> dict[str, Any]:
    """The envelope field by field, the payload as JSON."""
    return {
        "position": e.position,
        "epoch": e.epoch,
        "tenant": e.tenant,
        "category": e.category,
        "stream_id": str(e.stream_id),
        "version": e.version,
        "event_id": str(e.event_id),
        "type": e.type,
        "schema_version": e.schema_version,
        "occurred_at": e.occurred_at.isoformat(),
        "recorded_at": e.recorded_at.isoformat(),
        "actor": e.actor,
        "command_id": str(e.command_id),
        "correlation_id": str(e.correlation_id),
        "causation_id": str(e.causation_id),
        "data": payload(e),
    }


def payload(e: Recorded[bytes]) -> Any:
    """The payload, or its text where it is no JSON: to be looked at all the same."""
    try:
        return json.loads(e.data)
    except ValueError:
        return e.data.decode("utf-8", "replace")


def brief(e: Recorded[bytes]) -> str:
    """What a notification is about and why it ended, with the stages that ended with it; of other events nothing."""
    data = payload(e)
    if e.category != "notification" or not isinstance(data, dict) or "kind" not in data:
        return ""
    others = [str(other.get("stage")) for other in data.get("others") or () if isinstance(other, dict)]
    told = f"{data['kind']}/{'+'.join(dict.fromkeys([str(data.get('stage')), *others]))}"
    if "reason" in data:
        told += f": {data['reason']}"
    return told + (f", because of {data['because']}" if data.get("because") else "")


def line(e: Recorded[bytes]) -> str:
    """One line: what, when, whose."""
    return printable(
        f"{e.position:>9}  {e.recorded_at:%Y-%m-%d %H:%M:%S}  {e.tenant:<14}  {e.type:<32}  "
        f"{e.stream_id} v{e.version}  {e.actor}  {brief(e)}"
    ).rstrip()


def relatives(family: Sequence[Recorded[bytes]], shown: Recorded[bytes]) -> list[Recorded[bytes]]:
    """Of all that shares a first cause: what led to the event, what was written with it, and what followed from it."""
    causes, effects = branches(family, shown)
    related = {*causes, *effects, shown.position}
    return [e for e in family if e.position in related or e.command_id == shown.command_id]


def tree(family: Sequence[Recorded[bytes]], shown: Recorded[bytes]) -> Tree:
    """What has one first cause, each under the command or event that caused it; the event that was asked for is bold.

    `family` is in the order of positions: a cause comes before its effects.
    """
    root = Tree(Text(f"cause {shown.correlation_id}"))
    by_id: dict[UUID, Tree] = {}
    for e in family:
        if e.command_id not in by_id:
            # Under the event that caused the command; first causes, and those of other families, under the root.
            above = by_id.get(e.causation_id, root)
            by_id[e.command_id] = above.add(Text(printable(f"command {e.command_id} by {e.actor}"), "dim"))
        label = Text(
            printable(f"{e.position} {e.type} of {e.category} {e.stream_id} v{e.version}  {brief(e)}".rstrip())
        )
        if e.position == shown.position:
            label.stylize("bold")
        by_id[e.event_id] = by_id[e.command_id].add(label)
    return root


def branches(family: Sequence[Recorded[bytes]], shown: Recorded[bytes]) -> tuple[list[int], list[int]]:
    """Positions of what led to an event, first cause first, and of what followed from it, however indirectly."""
    by_event = {e.event_id: e for e in family}
    causes: list[int] = []
    above = by_event.get(shown.causation_id)
    while above is not None:
        causes.append(above.position)
        above = by_event.get(above.causation_id)
    effects = {shown.event_id: shown.position}
    for e in family:
        if e.causation_id in effects:
            effects[e.event_id] = e.position
    return causes[::-1], sorted(set(effects.values()) - {shown.position})
