"""A consumer on RabbitMQ: declares its queues, feeds its worker, acknowledges what had its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, TypeVar

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    PublishError,
)
from aiormq.exceptions import ChannelAccessRefused

from shared.client.ends import Queued
from shared.client.failures import Forked
from shared.client.hand import Hand
from shared.client.handlers import Handlers
from shared.client.history import History
from shared.client.message import ATTEMPTS
from shared.client.queues import EXCHANGE, Queues
from shared.client.rules import Counts, Rules
from shared.client.session import AWAY, Delivery, Session, Stopped, open_session, told_as_lost
from shared.client.store import PositionStore
from shared.client.worker import Worker

logger = logging.getLogger(__name__)

T = TypeVar("T")
UNDECLARED = (PublishError, ChannelInvalidStateError)
"""What publishing raises when the queue is not there, or the channel: another session declares and opens them anew."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between attempts while something is away."""
ACKNOWLEDGE_EVERY = 10.0
"""Seconds after which what is through is acknowledged, though the rest of what was taken with it is not."""
CONFIRMED_WITHIN = 5.0
"""Seconds that the broker has at least to confirm what is sent, though the consumer is told to stop meanwhile."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a consumer is connected."""

    url: str
    queue: str
    """Its own name for its queue; all processes of one consumer share it, and its mark."""
    prefetch: int = 500
    """Messages that may wait here unacknowledged: fewer where each takes seconds."""
    audit_every: float = 30.0
    """Seconds between looks at the history, whether something is missing that shows as no gap: see `Worker.look`. A
    process that was brought nothing may be standing by, and waits for longer than an event may be in hand."""
    max_length: int | None = None
    """See `Queues.max_length`."""


class Consumer(Generic[T]):
    """Handles every event that matches `rules.wanted`, whatever the broker loses, repeats or brings out of order.

    `await run(stop)` until `stop` is set. Messages are acknowledged after their handler's unit of work was committed.
    """

    def __init__(
        self,
        wiring: Wiring,
        rules: Rules,
        handlers: Handlers[T],
        store: PositionStore[T],
        history: History,
    ) -> None:
        self._wiring, self._rules = wiring, rules
        self._queues = Queues(wiring.queue, rules.delays, wiring.max_length)
        self._ends = Queued(self._queues, self._confirmed)
        self._worker = Worker(handlers, store, history, self._ends, rules, self._pause, self._go_on)
        self._session: Session | None = None
        self._hand: Hand | None = None
        self._held_too_long = False
        self._paused_until = 0.0
        """When the last pause was to end, on the monotonic clock: what goes back meanwhile cuts it short."""

    @property
    def counts(self) -> Counts:
        return self._worker.counts

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; what is in hand then is brought to its end, the rest stays in the queue.

        Waits while RabbitMQ, the history or the store are away. Raises `Forked`, and aio-pika's
        `ChannelPreconditionFailed` when a queue is there with other arguments.
        """
        pause = FIRST_PAUSE
        while not stop.is_set():
            began = monotonic()
            try:
                with told_as_lost():
                    async with open_session(self._wiring.url, stop) as self._session:
                        await self._consume(self._session)
            except (Forked, ChannelPreconditionFailed):
                raise
            except Stopped:
                pass
            except ChannelAccessRefused as error:
                logger.error("RabbitMQ does not let this user do what a consumer has to: %r", error)
            except AWAY as error:
                logger.warning("RabbitMQ is away, or what was declared there: %r", error)
            finally:
                self._session = None
            pause = FIRST_PAUSE if monotonic() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)

    async def _consume(self, session: Session) -> None:
        self._ends.channel = await session.publishing.channel(publisher_confirms=True, on_return_raises=True)
        await _declare_exchange(session.connection)
        channel = await session.connection.channel()
        await channel.set_qos(prefetch_count=self._wiring.prefetch)
        waiting, aside, taken = await self._declare(channel)
        if not taken:  # else another process is at work; what this one's lost connection still has is seen to below
            await self._insist(session, self._worker.miss, aside)
            await self._insist(session, self._worker.recover)
            if self._held_too_long:
                await self._pause(self._paused_until - monotonic())
            if not waiting:
                await self._insist(session, self._worker.audit)
            elif self._held_too_long:
                await self._insist(session, self._worker.go_ahead)
            self._held_too_long = False
        # A layer below aio-pika's own messages: it drops, before any callback, those of which it can't make one (of an
        # unknown delivery mode, say), and whoever acknowledges many at once would acknowledge them unseen.
        deliveries = await channel.get_underlay_channel()
        # Where the queue is deleted, the broker ends the consumer; where what it handed over stays unanswered for too
        # long, it closes the channel. The connection it leaves as it is.
        deliveries.on_consumer_cancel_callbacks.add(session.lose)
        channel.close_callbacks.add(session.lose)
        await deliveries.basic_consume(self._queues.name, session.put)
        looked = monotonic()
        before: tuple[int, int, int] | None = None
        while True:
            to_wait = looked + self._wiring.audit_every - monotonic()
            if to_wait <= 0:
                # Should the broker not have said so: this raises where the queue is gone, and all is declared anew.
                counted = (*await self._count(session.connection), session.delivered)
                waiting, aside, delivered = counted
                if delivered and counted == before and not waiting and not session.waits:
                    # Nothing is on its way back from its delay, be it to another process, from which this one would
                    # take over: so what is not there was lost, as in a queue that is bounded, or was purged.
                    await self._insist(session, self._worker.miss, aside)
                    await self._insist(session, self._worker.recover)
                before = counted
                await self._insist(session, self._worker.look, not session.delivered)
                looked = monotonic()
                continue
            messages = await session.take(self._wiring.prefetch, to_wait)
            if not messages:
                continue
            if taken:
                # The one that was at work is so no more, for the queue has one active consumer at a time. Its queue may
                # never be still, nor this one begin anew. What is on its way back from its delay is not lost.
                back, aside = await self._count(session.connection)
                back += session.waits + sum(ATTEMPTS in each.headers for each in messages)
                await self._insist(session, self._worker.miss, aside + back)
                await self._insist(session, self._worker.recover)
                taken = False
            await self._work_through(session, deliveries, messages)

    async def _work_through(self, session: Session, deliveries: Any, messages: Sequence[Delivery]) -> None:
        """Acknowledge the messages when they have had their end. What has had it is not done again while what is behind
        it waits; where the consumer is told to stop meanwhile, it is acknowledged by itself."""
        self._hand = hand = Hand(self._worker, deliveries, messages)
        try:
            await self._insist(session, hand.work)
        except (Stopped, Forked):
            if not session.lost.is_set():
                with suppress(Stopped):
                    await hand.acknowledge()
            raise
        finally:
            self._hand = None
        await hand.acknowledge()

    async def _insist(self, session: Session, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Do it until it is done, however long store or history are away. Raises `Stopped`, `Forked`, `UNDECLARED`."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await work(*arguments)
            except (Forked, Stopped, *UNDECLARED):
                raise
            except Exception as error:
                if session.lost.is_set():
                    raise Stopped from error
                logger.warning("waiting, since something is away: %r", error)
            await self._pause(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _pause(self, seconds: float) -> None:
        self._paused_until = monotonic() + seconds
        if self._hand is not None:
            await self._hand.acknowledge()
            seconds = min(seconds, self._hand.may_be_held)
        if self._session is not None:
            await self._session.ends_within(max(0.0, seconds))
        await self._go_on()

    async def _go_on(self) -> None:
        if self._session is None or self._session.over:
            raise Stopped
        if self._hand is not None:
            await self._hand.acknowledge(every=ACKNOWLEDGE_EVERY)
            if self._hand.may_be_held <= 0:
                logger.warning("messages go back to their queue, since they were held for too long")
                self._held_too_long = True
                raise Stopped

    async def _confirmed(self, sending: Awaitable[object]) -> None:
        """Wait until the broker has it safe, which may take as long as one of its alarms. Raises `Stopped`.

        Not sent again meanwhile: each time would leave another copy, for when the alarm is over.
        """
        sent = asyncio.ensure_future(sending)
        try:
            while self._session is None or not await self._session.outlives(sent, CONFIRMED_WITHIN):
                await self._go_on()
            await sent
        finally:
            sent.cancel()

    async def _declare(self, channel: AbstractChannel) -> tuple[int, int, bool]:
        """How many messages are in the queue, how many wait beside it for another attempt, and whether it has a
        consumer.
        """
        waiting, aside, taken = 0, 0, False
        for name, arguments in self._queues.declared():
            declared = await channel.declare_queue(name, durable=True, arguments=dict(arguments))
            count = declared.declaration_result.message_count or 0
            if name == self._queues.name:
                waiting, taken = count, bool(declared.declaration_result.consumer_count)
                for key in self._rules.wanted.keys:
                    await declared.bind(EXCHANGE, key)
            elif name != self._queues.parked:
                aside += count
        return waiting, aside, taken

    async def _count(self, connection: AbstractConnection) -> tuple[int, int]:
        """Messages, as `_declare`, of queues that are there. Raises aio-pika's `ChannelNotFoundEntity`."""
        counts: dict[str, int] = {}
        async with connection.channel() as attempt:
            # The queue last: what comes back to it meanwhile is counted twice rather than not at all.
            for name in sorted((name for name, _ in self._queues.declared()), key=lambda n: n == self._queues.name):
                found = await attempt.declare_queue(name, passive=True)
                counts[name] = found.declaration_result.message_count or 0
        del counts[self._queues.parked]
        return counts.pop(self._queues.name), sum(counts.values())


async def _declare_exchange(connection: AbstractConnection) -> None:
    """Where it is not there yet: it is the relay's, and who only consumes need not be allowed to declare it."""
    try:
        async with connection.channel() as attempt:
            await attempt.get_exchange(EXCHANGE)
    except ChannelNotFoundEntity:
        async with connection.channel() as attempt:
            await attempt.declare_exchange(EXCHANGE, "topic", durable=True)
