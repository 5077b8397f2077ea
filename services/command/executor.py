"""Load, fold, decide, append: the one loop through which every command goes, however it came."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any, Protocol
from uuid import UUID

from services.command.repeating import FirstAnswers, RepetitionLog, accepted, fingerprint, refused_as
from services.command.states import States, StreamLog, Streams
from services.command.turns import Turns
from shared import codec
from shared.clock import Clock
from shared.codec import UnknownEventType
from shared.command_envelope import CommandEnvelope
from shared.domain.kernel import Context, Decider, On, Refusal, Stream
from shared.domain.occurrence import occurrence
from shared.log import (
    Append,
    Appended,
    KeyReused,
    LogUnavailable,
    OtherEra,
    Outcome,
    Pending,
    RefusedBefore,
    WrongVersion,
)
from shared.operations.turns import in_turns
from shared.replacing import replace

WAITED_FOR = (LogUnavailable, UnknownEventType)
"""What is no command's fault, and passes: PostgreSQL is away, or what a newer release has written is to be read, whose
processes are about to take over from this one."""

_TOGETHER = 3
"""Attempts at executing commands together, each on what the log holds by then."""


class EventLog(StreamLog, RepetitionLog, Protocol):
    """What the loop needs of the log."""

    async def append(self, append: Append) -> Appended: ...
    async def append_chain(self, appends: Sequence[Append]) -> list[Outcome]: ...


class Executor:
    """Executes commands against the log.

    Folded states are kept for the streams used last. A kept state may be stale when another replica wrote: an accepted
    command is judged by the log on the versions it was decided on, and a refused one is decided again on what the log
    holds now, so staleness costs a round trip and never an answer. All that a refusal rests on is read at once: of
    streams as they were at different moments, it may be a refusal that was right at none. That rests on versions that
    always stand for the same events: when the log was restored to an earlier point, or has another server, what was
    kept of it is forgotten.
    """

    def __init__(
        self, log: EventLog, deciders: Mapping[str, Decider[Any]], clock: Clock, *, keep: int = 50_000
    ) -> None:
        self._log, self._deciders, self._clock = log, deciders, clock
        self._streams = Streams(log, deciders, keep=keep)
        self._turns = Turns()
        self._first_answers = FirstAnswers(log)

    async def execute(self, envelope: CommandEnvelope) -> Appended:
        """Judge one command and append its events; a repeated command gets its first answer.

        A refusal is not kept: the caller has it, and may send the command again with the same id.

        Raises `Refusal`, `WrongVersion` (the envelope's expected version does not hold), `KeyReused`, and what is in
        `WAITED_FOR`.
        """
        tenant, stream = envelope.tenant, envelope.stream
        async with self._turns.take(tenant, stream.id):
            at_once: set[Stream] = set()
            while True:
                if at_once:
                    states = await self._streams.load(tenant, at_once, fresh=True)
                else:
                    states = await self._streams.load_own(tenant, stream, creates=envelope.data.creates)
                try:
                    append = await self._decide(envelope, states, fresh=bool(at_once))
                except (Refusal, WrongVersion) as refusal:
                    if at_once == states.streams:
                        return await self._first_answers.instead(envelope, refusal)
                    at_once = states.streams
                    continue
                try:
                    appended = await self._log.append(append)
                except (WrongVersion, OtherEra):  # somebody else was quicker: decide again on what there is now
                    at_once = states.streams
                    continue
                except KeyReused as reused:
                    return await self._first_answers.instead(envelope, reused)
                except RefusedBefore:
                    if before := await self._first_answers.of({0: envelope}):
                        return accepted(before[0])
                    continue  # the refusal was lifted meanwhile
                if not appended.repeated:
                    self._streams.keep(tenant, states, append.expected)
                return appended

    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        """Judge commands in their order and append them together; one outcome for each, in order.

        For senders that are not there any more when a command comes again: what is refused is kept before it is
        answered, and a repeated command gets its first answer, be it that it was accepted or refused.

        Outcomes are what `execute` gives or raises. Raises what is in `WAITED_FOR` when that struck all of them.
        """
        outcomes: list[Appended | Exception] = []
        for part in _parts(envelopes):
            try:
                outcomes += await self._execute_part(part)
            except WAITED_FOR as error:
                if not outcomes:
                    raise
                return outcomes + [error] * (len(envelopes) - len(outcomes))
        return outcomes

    async def _execute_part(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        """Those of one id are the same command."""
        by_index = dict(enumerate(envelopes))
        outcomes = await self._first_answers.of(by_index)
        new: dict[tuple[str, UUID], int] = {}
        for index, envelope in by_index.items():
            if index not in outcomes:
                new.setdefault((envelope.tenant, envelope.command_id), index)
        chosen = {index: envelopes[index] for index in new.values()}
        outcomes |= await self._first_answers.keep(chosen, await self._execute_new(chosen))
        for index, envelope in by_index.items():
            if index not in outcomes:  # a repetition within the batch
                again = {index: envelope}
                outcomes |= await self._first_answers.of(again) or await self._first_answers.keep(
                    again, {index: await self._outcome(envelope)}
                )
        return [outcomes[index] for index in by_index]

    async def confirm(self) -> int:
        """The log's last position, when commands can be executed. Raises `LogUnavailable`, and what asyncpg raises."""
        return await self._log.confirm()

    async def _execute_new(self, chosen: Mapping[int, CommandEnvelope]) -> dict[int, Appended | Exception]:
        """Execute commands of which none came before, as far as is known.

        Where another writer came between, the first that is concerned is executed alone, and those behind it together
        again; each alone only where that happens again and again.
        """
        outcomes: dict[int, Appended | Exception] = {}
        left = dict(chosen)
        for attempt in range(_TOGETHER):
            outcomes |= await self._execute_together(left, fresh=attempt > 0)
            left = {index: each for index, each in left.items() if index not in outcomes}
            if not left:
                return outcomes
            first = next(iter(left))
            outcomes[first] = await self._outcome(left.pop(first))
        for index, envelope in left.items():
            outcomes[index] = await self._outcome(envelope)
        return outcomes

    async def _execute_together(
        self, chosen: Mapping[int, CommandEnvelope], *, fresh: bool
    ) -> dict[int, Appended | Exception]:
        """The outcomes of all, or, where another writer came between, of those before: what was decided behind,
        refusals too, may rest on what never was."""
        at_once = {(each.tenant, each.stream) for each in chosen.values()}
        while True:
            states, appends, refused = await self._decide_all(chosen, at_once, fresh=fresh)
            looked_at = {(tenant, stream) for tenant, own in states.items() for stream in own.streams}
            if not refused or (fresh and looked_at == at_once):
                break
            at_once, fresh = looked_at, True
        try:
            written = dict(zip(appends, await self._log.append_chain(list(appends.values())), strict=True))
        except (RefusedBefore, OtherEra):
            return {}
        there = {index: outcome for index, outcome in written.items() if isinstance(outcome, Appended)}
        overtaken = [index for index in written if index not in there or there[index].repeated]
        if overtaken:
            return there | {index: refusal for index, refusal in refused.items() if index < overtaken[0]}
        for append in appends.values():
            self._streams.keep(append.tenant, states[append.tenant], append.expected)
        return {**refused, **there}

    async def _decide_all(
        self, chosen: Mapping[int, CommandEnvelope], at_once: Set[tuple[str, Stream]], *, fresh: bool
    ) -> tuple[dict[str, States], dict[int, Append], dict[int, Refusal | WrongVersion]]:
        """Judge commands in their order, each on what those before it decided: the states then, and by index what is
        to be appended and what is refused. Read `at_once` are at least the commands' own streams."""
        states = await self._streams.load_many(at_once, fresh=fresh)
        if not fresh:
            await self._look_ahead(chosen.values(), states)
        appends: dict[int, Append] = {}
        refused: dict[int, Refusal | WrongVersion] = {}
        async for index, envelope in in_turns(chosen.items()):
            try:
                appends[index] = await self._decide(envelope, states[envelope.tenant], fresh=fresh)
            except (Refusal, WrongVersion) as refusal:
                refused[index] = refusal
        return states, appends, refused

    async def _look_ahead(self, envelopes: Iterable[CommandEnvelope], states: Mapping[str, States]) -> None:
        """Load in one round trip what `_decide` would load one by one, as far as it can be told beforehand."""
        wanted = set()
        for each in envelopes:
            own, also = states[each.tenant], self._deciders[each.stream.category].also
            now = self._clock.now()
            context = Context(each.tenant, each.stream, occurrence(each.occurred_at, now), now)
            with suppress(Refusal):  # which is said when it is the command's turn
                others = also(each.data, own.state(each.stream), context)
                wanted |= {(each.tenant, other) for other in others if other not in own}
        for tenant, loaded in (await self._streams.load_many(wanted, fresh=False)).items():
            states[tenant].add(loaded)

    async def _outcome(self, envelope: CommandEnvelope) -> Appended | Exception:
        try:
            return await self.execute(envelope)
        except (Refusal, WrongVersion, KeyReused) as error:
            return error

    async def _decide(self, envelope: CommandEnvelope, states: States, *, fresh: bool) -> Append:
        """Judge on `states`, which are moved along by what was decided."""
        decider = self._deciders[envelope.stream.category]
        stream, command = envelope.stream, envelope.data
        state = states.state(stream)
        if envelope.expected_version is not None and states.version(stream) != envelope.expected_version:
            raise WrongVersion(stream, envelope.expected_version, states.version(stream))
        now = self._clock.now()
        context = Context(envelope.tenant, stream, occurrence(envelope.occurred_at, now), now, envelope.actor)
        while further := decider.further(command, state, context):
            if missing := [other for other in further if other not in states]:
                states.add(await self._streams.load(envelope.tenant, missing, fresh=fresh))
            context = replace(context, others={**context.others, **{each: states.state(each) for each in further}})
        decided = [
            each if isinstance(each, On) else On(stream, each) for each in decider.decide(command, state, context)
        ]
        expected = {each: states.version(each) for each in (stream, *context.others, *(on.stream for on in decided))}
        for on in decided:
            states.apply(on)
        return Append(
            tenant=envelope.tenant,
            command_id=envelope.command_id,
            events=[
                Pending(on.stream, on.event.type, on.event.schema_version, codec.encode(on.event)) for on in decided
            ],
            expected=expected,
            occurred_at=None if context.at == now else context.at,  # the log's clock is exact, and one for all
            actor=envelope.actor,
            correlation_id=envelope.correlation_id or envelope.command_id,
            causation_id=envelope.causation_id or envelope.command_id,
            fingerprint=fingerprint(envelope),
            era=states.era,
        )


def _parts(envelopes: Sequence[CommandEnvelope]) -> Iterator[Sequence[CommandEnvelope]]:
    """Cut before what has the id of another command that came earlier, such as one that was corrected: it is to be
    executed after that, and before what comes behind it."""
    start = 0
    first: dict[tuple[str, UUID], CommandEnvelope] = {}
    for index, envelope in enumerate(envelopes):
        same_id = first.setdefault((envelope.tenant, envelope.command_id), envelope)
        if same_id is not envelope and refused_as(same_id) != refused_as(envelope):
            yield envelopes[start:index]
            start, first = index, {(envelope.tenant, envelope.command_id): envelope}
    yield envelopes[start:]
