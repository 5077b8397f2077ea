"""What a command is answered that comes again: what it was answered the first time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from services.command.refusals import from_json, to_json
from shared.command_envelope import CommandEnvelope
from shared.domain.kernel import Command, Refusal
from shared.log import Appended, KeptRefusal, KeyReused, Known, WrongVersion


class RepetitionLog(Protocol):
    """What the log keeps of commands besides their events."""

    async def confirm(self) -> int: ...
    async def known(self, commands: Sequence[tuple[str, UUID]]) -> Known: ...
    async def refuse(self, refusals: Sequence[KeptRefusal]) -> list[KeptRefusal]: ...


Envelopes = Mapping[int, CommandEnvelope]
Outcomes = dict[int, Appended | Exception]


class FirstAnswers:
    """Receipts of commands that were accepted, and refusals of those that came over AMQP or in an import.

    Where there are both of one command, the receipt counts: nothing hides that it was accepted. One that was refused
    stays so when another got its id and was accepted. All raise `LogUnavailable`.
    """

    def __init__(self, log: RepetitionLog) -> None:
        self._log = log

    async def of(self, envelopes: Envelopes) -> Outcomes:
        """By index, what those that came before are to be answered."""
        keys = [(each.tenant, each.command_id) for each in envelopes.values()]
        known = await self._log.known(keys)
        outcomes = _refused(envelopes, known.refusals)
        for index, envelope in envelopes.items():
            key = (envelope.tenant, envelope.command_id)
            if receipt := known.receipts.get(key):
                if receipt.fingerprint == fingerprint(envelope):
                    outcomes[index] = known.answers[key]
                else:
                    outcomes.setdefault(index, KeyReused(envelope.command_id))
        return outcomes

    async def instead(self, envelope: CommandEnvelope, refusal: Exception) -> Appended:
        """The answer that a refused command got the first time it came, if it did; else the refusal stands."""
        return accepted((await self.of({0: envelope})).get(0, refusal))

    async def keep(self, envelopes: Envelopes, outcomes: Mapping[int, Appended | Exception]) -> Outcomes:
        """The outcomes once their refusals are durable: before that, nobody may hear of them."""
        refused: dict[int, CommandEnvelope] = {}
        kept: list[KeptRefusal] = []
        for index, outcome in outcomes.items():
            if isinstance(outcome, Refusal | WrongVersion):
                each = refused[index] = envelopes[index]
                kept.append(KeptRefusal(each.tenant, each.command_id, refused_as(each), to_json(outcome)))
        if not refused:
            return dict(outcomes)
        told = _refused(refused, await self._log.refuse(kept))
        # Their first copies were accepted meanwhile, which may be the reason why these are refused.
        overtaken = {index: each for index, each in refused.items() if index not in told}
        return {**outcomes, **told, **(await self.of(overtaken) if overtaken else {})}


def accepted(outcome: Appended | Exception) -> Appended:
    """Raises what is none."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _refused(envelopes: Envelopes, kept: Sequence[KeptRefusal]) -> Outcomes:
    if not kept:
        return {}
    known = {(each.tenant, each.command_id, each.fingerprint): each.refusal for each in kept}
    outcomes: Outcomes = {}
    for index, each in envelopes.items():
        for identity in (refused_as(each), fingerprint(each)):
            if refusal := known.get((each.tenant, each.command_id, identity)):
                outcomes[index] = from_json(refusal, each.stream)
                break
    return outcomes


def fingerprint(envelope: CommandEnvelope) -> bytes:
    """What makes two commands the same: name, stream, body and the time given; 16 bytes.

    Fields that have their defaults don't count, so that a command is the same before and after a release that adds an
    optional one, and whether it is sent without it or as null, which mean the same. Nor does the order of members,
    which a sender that writes the command anew may change.
    """
    body = _in_order(envelope.data).model_dump_json(exclude_defaults=True)
    occurred_at = envelope.occurred_at.isoformat() if envelope.occurred_at else ""
    parts = (envelope.command, str(envelope.id), body, occurred_at)
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).digest()


def _in_order(data: Command) -> Command:
    """With the members of objects whose keys its sender chooses in one order; those of the others are in theirs."""
    free = {name: value for name, value in vars(data).items() if isinstance(value, dict)}
    return data.model_copy(update=json.loads(json.dumps(free, sort_keys=True))) if free else data


def refused_as(envelope: CommandEnvelope) -> bytes:
    """What is refused to a command that names the version it expects is not refused to it with another version."""
    if envelope.expected_version is None:
        return fingerprint(envelope)
    return fingerprint(envelope) + envelope.expected_version.to_bytes(4)
