"""What was before a command, where advice on it depends on that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.command.states import StreamLog
from shared.command_envelope import CommandEnvelope
from shared.domain.advice import MESSAGES
from shared.immutable import immutable
from shared.log import Appended, LogUnavailable


@immutable
class AppendedAfter(Appended):
    """A command that was accepted, and when those of `MESSAGES` happened that came before it."""

    before: tuple[datetime, ...] = ()


async def with_before(
    log: StreamLog, envelopes: Sequence[CommandEnvelope], outcomes: list[Appended | Exception]
) -> list[Appended | Exception]:
    """The outcomes of some commands, those with `MESSAGES` as `AppendedAfter`: read from the log, so that a command
    that is repeated is told the same as the first time."""
    streams = {
        (envelope.tenant, envelope.id)
        for envelope, outcome in zip(envelopes, outcomes, strict=True)
        if type(envelope.data) in MESSAGES and isinstance(outcome, Appended)
    }
    if not streams:
        return outcomes
    happened: dict[tuple[str, UUID], list[tuple[int, str, datetime]]] = defaultdict(list)
    try:
        for event in await log.read_streams([tenant for tenant, _ in streams], [id for _, id in streams]):
            happened[event.tenant, event.stream_id].append((event.position, event.type, event.occurred_at))
    except LogUnavailable:  # they were accepted all the same
        return outcomes

    def told(envelope: CommandEnvelope, outcome: Appended | Exception) -> Appended | Exception:
        if isinstance(outcome, Exception) or type(envelope.data) not in MESSAGES:
            return outcome
        own = outcome.position - len(outcome.events)
        types = {event.type for event in MESSAGES[type(envelope.data)]}
        before = tuple(
            at for position, type, at in happened[envelope.tenant, envelope.id] if position <= own and type in types
        )
        return AppendedAfter(
            outcome.command_id, outcome.position, outcome.events, outcome.recorded_at, outcome.repeated, before
        )

    return [told(*each) for each in zip(envelopes, outcomes, strict=True)]
