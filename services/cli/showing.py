"""Events as people and as programs read them, and the trees of what led to what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from rich.text import Text
from rich.tree import Tree

from services.cli.tables import printable
from shared.envelope import Recorded

_LONGEST = 200
"""Characters of a payload among those of others."""


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


def trees(near: Sequence[Recorded[bytes]], asked_for: Sequence[Recorded[bytes]], *, stream: bool = False) -> list[Tree]:
    """What led to what, a tree for each first cause: each event under its command, each command under its own cause.

    `near` is in the order of positions: a cause comes before its effects. What was asked for is bold; with `stream` it
    is the events of one, which are shown with their payloads and without saying each time of which stream they are.
    """
    bold = {e.position for e in asked_for}
    firsts: dict[UUID, Tree] = {}
    by_id: dict[UUID, Tree] = {}
    for e in near:
        if e.command_id not in by_id:
            command = Text(printable(f"command {e.command_id} by {e.actor}"), "dim")
            above = by_id.get(e.causation_id) or firsts.get(e.correlation_id)
            if above is None and e.command_id == e.correlation_id:
                by_id[e.command_id] = firsts[e.correlation_id] = Tree(command)
            else:
                if above is None:
                    above = firsts[e.correlation_id] = Tree(Text(f"cause {e.correlation_id}", "dim"))
                by_id[e.command_id] = above.add(command)
        shown = e.position in bold
        label = Text(_label(e, of_stream=not (stream and shown)), "bold" if shown else "")
        if stream and shown:
            label.append(f"\n{_short(e)}", "not bold dim")
        by_id[e.event_id] = by_id[e.command_id].add(label)
    return list(firsts.values())


def stream_tree(near: Sequence[Recorded[bytes]], events: Sequence[Recorded[bytes]]) -> Tree:
    """The same of a stream's events as one tree."""
    first, last = events[0], events[-1]
    versions = f"versions {first.version} to {last.version}"
    root = Tree(Text(printable(f"{first.category} {first.stream_id} of {first.tenant}, {versions}")))
    root.children += trees(near, events, stream=True)
    return root


def _label(e: Recorded[bytes], *, of_stream: bool) -> str:
    whose = f" of {e.category} {e.stream_id}" if of_stream else ""
    return printable(
        f"{e.position} {e.type}{whose} v{e.version}, {e.recorded_at:%Y-%m-%d %H:%M:%S}  {brief(e)}".rstrip()
    )


def _short(e: Recorded[bytes]) -> str:
    text = printable(json.dumps(payload(e), ensure_ascii=False))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


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
