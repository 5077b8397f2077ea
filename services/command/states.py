"""The folded states that commands are decided on."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from shared import codec
from shared.domain.kernel import Decider, On, Refusal, Stream
from shared.envelope import Recorded
from shared.immutable import immutable


class StreamLog(Protocol):
    """What loading needs of the log."""

    @property
    def era(self) -> int: ...
    async def read_streams(self, tenants: Sequence[str], stream_ids: Sequence[UUID]) -> list[Recorded[bytes]]: ...


@immutable
class Folded:
    category: str
    """That of the stream's events, where there are any: perhaps not the one that was looked for."""
    version: int
    state: Any


class States:
    """Some streams of one tenant as one command, or one batch, sees them. Moved along by what is decided.

    `era` is the log's when the first of them was read. What is asked of a stream whose id is, by then, that of a stream
    of another category raises `Refusal` `id_in_use`.
    """

    def __init__(self, deciders: Mapping[str, Decider[Any]], folded: dict[Stream, Folded], era: int) -> None:
        self._deciders, self._folded, self.era = deciders, folded, era
        self._categories = {stream.id: each.category for stream, each in folded.items() if each.version}

    def __contains__(self, stream: Stream) -> bool:
        return stream in self._folded

    @property
    def streams(self) -> set[Stream]:
        return set(self._folded)

    def state(self, stream: Stream) -> Any:
        return self._own(stream).state

    def version(self, stream: Stream) -> int:
        """0 for a stream without events."""
        return self._own(stream).version

    def _own(self, stream: Stream) -> Folded:
        category = self._categories.get(stream.id, stream.category)
        if category != stream.category:
            raise Refusal(
                "id_in_use",
                f"{stream.id} is the id of a {category}, not of a {stream.category}",
                remedy=f"give the {stream.category} an id of its own, or correct the id",
            )
        return self._folded[stream]

    def apply(self, on: On) -> None:
        """Fold a decided event. Its stream must have been loaded: nobody writes to what `also` did not name."""
        folded = self._folded[on.stream]
        state = self._deciders[on.stream.category].evolve(folded.state, on.event)
        self._folded[on.stream] = Folded(folded.category, folded.version + 1, state)
        self._categories.setdefault(on.stream.id, on.stream.category)

    def add(self, others: States) -> None:
        self._folded |= others._folded
        self._categories = others._categories | self._categories

    def folded(self, stream: Stream) -> Folded:
        return self._folded[stream]


class Streams:
    """Loads and folds streams, keeping the states used last, as long as the log is the one that they are of."""

    def __init__(self, log: StreamLog, deciders: Mapping[str, Decider[Any]], *, keep: int) -> None:
        self._log, self._deciders, self._limit = log, deciders, keep
        self._kept: OrderedDict[tuple[str, UUID], Folded] = OrderedDict()
        self._era = log.era

    async def load(self, tenant: str, streams: Collection[Stream], *, fresh: bool) -> States:
        """The states of `streams` of one tenant, as `load_many`."""
        loaded = await self.load_many([(tenant, stream) for stream in streams], fresh=fresh)
        return loaded.get(tenant) or States(self._deciders, {}, self._era)

    async def load_own(self, tenant: str, stream: Stream, *, creates: bool) -> States:
        """The state of a command's own stream, as `load`; where the command `creates` it and memory knows of none, it
        is taken to be without events, which spares a round trip: the log says so when it is not.
        """
        era = self._forget_what_was()
        if creates and (tenant, stream.id) not in self._kept:
            return States(self._deciders, {stream: Folded(stream.category, 0, None)}, era)
        return await self.load(tenant, [stream], fresh=False)

    async def load_many(self, wanted: Iterable[tuple[str, Stream]], *, fresh: bool) -> dict[str, States]:
        """States by tenant, in one round trip at most; with `fresh`, none of them from memory, and all as they were at
        one moment."""
        era = self._forget_what_was()
        found: dict[str, dict[Stream, Folded]] = defaultdict(dict)
        missing: set[tuple[str, Stream]] = set()
        for tenant, stream in wanted:
            folded = None if fresh else self._kept.get((tenant, stream.id))
            if folded is not None and folded.category == stream.category:
                self._kept.move_to_end((tenant, stream.id))
                found[tenant][stream] = folded
            else:
                missing.add((tenant, stream))
        if missing:
            for tenant, loaded in (await self._load_fresh(missing)).items():
                found[tenant] |= loaded
        return {tenant: States(self._deciders, folded, era) for tenant, folded in found.items()}

    def keep(self, tenant: str, states: States, confirmed: Iterable[Stream]) -> None:
        """Remember the states of streams that the log has confirmed: to be where an append expected them. What was only
        read, for a command that was refused, say, a fail-over may have lost."""
        if states.era != self._forget_what_was():
            return
        for stream in confirmed:
            folded = states.folded(stream)
            if folded.version:
                self._kept[tenant, stream.id] = folded
                self._kept.move_to_end((tenant, stream.id))
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)

    def _forget_what_was(self) -> int:
        """Answers the log's era, of which all is that is kept."""
        if self._era != self._log.era:
            self._kept.clear()
            self._era = self._log.era
        return self._era

    async def _load_fresh(self, wanted: set[tuple[str, Stream]]) -> dict[str, dict[Stream, Folded]]:
        # Each id once: two streams of one id, of which one is a slip, would have its events twice.
        ids = sorted({(tenant, stream.id) for tenant, stream in wanted})
        events = await self._log.read_streams([tenant for tenant, _ in ids], [id for _, id in ids])
        history: dict[tuple[str, UUID], list[Recorded[bytes]]] = defaultdict(list)
        for event in events:
            history[event.tenant, event.stream_id].append(event)
        loaded: dict[str, dict[Stream, Folded]] = defaultdict(dict)
        for tenant, stream in wanted:
            loaded[tenant][stream] = self._fold(stream, history[tenant, stream.id])
        return loaded

    def _fold(self, stream: Stream, events: Sequence[Recorded[bytes]]) -> Folded:
        if events and events[0].category != stream.category:
            return Folded(events[0].category, events[-1].version, None)
        state = self._deciders[stream.category].fold(codec.decode(event).data for event in events)
        return Folded(stream.category, events[-1].version if events else 0, state)
