"""A consumer on RabbitMQ: declares its queues, feeds its worker, acknowledges what had its end."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, TypeVar

from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import (
    AMQPError,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    PublishError,
)
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelAccessRefused

from shared.client.connecting import connect
from shared.client.ends import Queued
from shared.client.failures import Forked
from shared.client.handlers import Handlers
from shared.client.history import History
from shared.client.queues import EXCHANGE, Queues
from shared.client.store import PositionStore
from shared.client.worker import ATTEMPTS, Counts, Incoming, Rules, Worker

logger = logging.getLogger(__name__)

T = TypeVar("T")
AWAY = (OSError, AMQPError, RuntimeError)
"""What is raised while RabbitMQ is away or a connection is closed under a call; `OSError` includes timeouts."""
UNDECLARED = (PublishError, ChannelInvalidStateError)
"""What publishing raises when the queue is not there, or the channel: another session declares and opens them anew."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between attempts while something is away."""
ACKNOWLEDGE_EVERY = 10.0
"""Seconds after which what is through is acknowledged, though the rest of what was taken with it is not."""
CONFIRMED_WITHIN = 5.0
"""Seconds that the broker has at least to confirm what is sent, though the consumer is told to stop meanwhile."""
HOLD = 20 * 60.0
"""Seconds for which a message is held, after which all go back to the queue: RabbitMQ closes the channel of who holds
one for half an hour, and hands it to a process that stands by while this one is at it. Going back counts as a delivery,
so none is asked for again before the next event of the history is through: an outage of what handlers need counts once,
but for processes that stand by, which hand the messages to one another.
"""


class Stopped(Exception):
    """The consumer is to stop, or its connection is gone: what is in hand comes again."""


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
        self._session: _Session | None = None
        self._hand: _Hand | None = None
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
                with _told_as_lost():
                    async with _session(self._wiring.url, stop) as self._session:
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

    async def _consume(self, session: _Session) -> None:
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

    async def _work_through(self, session: _Session, deliveries: Any, messages: Sequence[_Delivery]) -> None:
        """Acknowledge the messages when they have had their end. What has had it is not done again while what is behind
        it waits; where the consumer is told to stop meanwhile, it is acknowledged by itself."""
        self._hand = hand = _Hand(self._worker, deliveries, messages)
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

    async def _insist(self, session: _Session, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
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


@dataclass(frozen=True, slots=True)
class _Delivery:
    message: DeliveredMessage
    at: float
    """When it came."""

    @property
    def headers(self) -> dict[str, Any]:
        return self.message.header.properties.headers or {}


class _Hand:
    """Messages that were taken at once, until all have had their end."""

    def __init__(self, worker: Worker[Any], deliveries: Any, messages: Sequence[_Delivery]) -> None:
        self._worker, self._deliveries = worker, deliveries
        self._given = messages
        self._acknowledged, self._acknowledged_at = 0, monotonic()
        """How many of them, from the first on, and when that was."""

    async def work(self) -> None:
        """Begin with the first that was not acknowledged. Raises what `Worker.work` raises."""
        self._given, self._acknowledged = self._given[self._acknowledged :], 0
        await self._worker.work([Incoming(each.message.body, each.headers) for each in self._given])

    async def acknowledge(self, every: float = 0.0) -> None:
        """What has had its end, if it is that many seconds since the last time. Raises `Stopped`."""
        if monotonic() - self._acknowledged_at < every:
            return
        ended, self._acknowledged_at = self._worker.ended, monotonic()
        if ended > self._acknowledged:
            self._acknowledged = ended
            try:
                await self._deliveries.basic_ack(self._given[ended - 1].message.delivery_tag, multiple=True)
            except AWAY as error:
                raise Stopped from error

    @property
    def may_be_held(self) -> float:
        """Seconds for which the first may be that has not had its end; where all have, nothing is held."""
        ended = self._worker.ended
        return HOLD if ended >= len(self._given) else self._given[ended].at + HOLD - monotonic()


class _Session:
    """What one connection has brought. `publishing` is another, for what is sent: the broker reads nothing of one that
    publishes while it is short of memory or disk, no acknowledgement either.
    """

    def __init__(self, connection: AbstractConnection, publishing: AbstractConnection, stop: asyncio.Event) -> None:
        self.connection, self.publishing, self._stop = connection, publishing, stop
        self.lost = asyncio.Event()
        for each in (connection, publishing):
            # `connection.closed()` answers only to an end that was asked for on this side.
            each.close_callbacks.add(self.lose)
        self._waiting: deque[_Delivery] = deque()
        self.delivered = 0
        """Messages that it has brought; none to a process that stands by."""
        self._filled = asyncio.Event()
        self._losing = asyncio.create_task(self.lost.wait())
        self._ends = [self._losing, asyncio.create_task(stop.wait())]

    @property
    def over(self) -> bool:
        return self.lost.is_set() or self._stop.is_set()

    def lose(self, *why: object) -> None:
        if not self.over:
            logger.warning("RabbitMQ brings no more: %r", why[-1])
        self.lost.set()

    async def put(self, message: DeliveredMessage) -> None:
        # Nothing is awaited here, so that messages keep their order.
        self._waiting.append(_Delivery(message, monotonic()))
        self.delivered += 1
        self._filled.set()

    @property
    def waits(self) -> int:
        """Messages in hand that nobody has taken yet."""
        return len(self._waiting)

    async def take(self, most: int, seconds: float) -> list[_Delivery]:
        """The messages that have come; empty when none does within `seconds`. Raises `Stopped`."""
        filled = asyncio.create_task(self._filled.wait())
        try:
            await asyncio.wait([filled, *self._ends], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            filled.cancel()
        if self.over:
            raise Stopped
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        if not self._waiting:
            self._filled.clear()
        return taken

    async def ends_within(self, seconds: float) -> None:
        """Return after that many seconds, or when it is over."""
        await asyncio.wait(self._ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    async def outlives(self, work: asyncio.Future[Any], seconds: float) -> bool:
        """Whether the work is done, after that many seconds at most, or when the connection is lost."""
        await asyncio.wait([work, self._losing], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return work.done()

    def close(self) -> None:
        self.lost.set()
        for each in self._ends:
            each.cancel()


@asynccontextmanager
async def _session(url: str, stop: asyncio.Event) -> AsyncIterator[_Session]:
    async with _connection(url) as publishing, _connection(url) as connection:
        session = _Session(connection, publishing, stop)
        try:
            yield session
        finally:
            session.close()


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[AbstractConnection]:
    connection = await connect(url)
    try:
        yield connection
    finally:
        with suppress(*AWAY):
            await asyncio.wait_for(connection.close(), timeout=5)


@contextmanager
def _told_as_lost() -> Iterator[None]:
    """Names what the client library ends waiting with when a connection is lost, where it does not say so.

    A cancellation that nobody asked for, which would pass through every `except Exception`, becomes `Stopped`;
    `Exception` itself, of no class of its own, `ConnectionError`.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise Stopped from error
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise ConnectionError(f"the connection was lost: {error!r}") from error
