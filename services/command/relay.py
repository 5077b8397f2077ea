"""The relay: publishes what was committed to the log, in order, and remembers how far it has come.

At least once: the cursor moves after the broker's confirms, so whatever comes between repeats some events and loses
none. In order: one leader reads the log by position and publishes over one channel. After a failure it starts again
from the cursor on new connections; repeated events carry the same ids and positions, so consumers know them.

Where PostgreSQL commits to a synchronous stand-by, nothing is published before that has it: after a fail-over consumers
would take what is written at that position then for a repetition.

A message that comes back unroutable, or is refused by a queue, is not passed over either: the relay declares the
topology again and repeats, with growing pauses, until it is taken. A consumer's queue that rejects what is published
when full therefore holds up all; queues that may fill should drop their oldest and heal from the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import asyncpg
import structlog
from aio_pika.abc import AbstractConnection

from shared.broker import topology
from shared.broker.connection import UNREACHABLE, connected, lost, told_as_lost
from shared.broker.outgoing import ConnectionLost, Outgoing, Publisher
from shared.broker.publisher import open_publisher
from shared.database.pool import UNAVAILABLE
from shared.database.pool import connect as connect_database
from shared.database.queries import load_queries
from shared.envelope import Recorded
from shared.log import LogUnavailable
from shared.log.reading import NOTIFY_CHANNEL
from shared.operations.health import Presence
from shared.operations.pauses import Pauses
from shared.operations.waits import end, first_of

logger = structlog.get_logger(__name__)
QUERIES = load_queries("services.command", "relay.sql")

NAME = "events"
PAGE = 250
"""Events per batch. Beyond this the broker's rate does not grow, but what is repeated after a failure does."""
PAGE_BYTES = 1024 * 1024
"""A batch ends with the event whose payload reaches this sum, so that what is on its way has room in memory."""
GATHERING = 0.003
"""Seconds after a page that was not full: what is appended meanwhile goes together, which costs less all the way to
the read models and makes up for the wait. What follows on quiet is published at once."""
WINDOW = 8
"""Batches on their way at once: the next is read and written while the one before is being confirmed."""
LONGEST_PAUSE = 2.0
"""Seconds between attempts while PostgreSQL or RabbitMQ is away."""
GRACE = 5.0
"""Seconds that stopping waits for confirms that are due."""
SESSION_TIMEOUT = 15.0
"""Seconds without a word from this side after which PostgreSQL ends the session, and frees the lock: a leader that is
frozen, or whose machine or network is gone, holds up nobody for longer. Far more than the event loop is ever busy."""
HEARTBEAT = 3.0
"""Seconds between words where there is nothing else to say."""
HEARTBEAT_TIMEOUT = 5.0
"""Seconds after which its answer is not waited for."""
STATEMENT_TIMEOUT = 10.0
"""Seconds likewise for other statements, which may have to wait for somebody. Less than `SESSION_TIMEOUT`, as the other
two are together: who is cut off stops before the server lets another lead."""


class LeadLost(Exception):
    """This relay leads no more: its session has ended, or somebody else has moved the cursor."""


BEGIN_AGAIN = (
    *UNAVAILABLE,
    *UNREACHABLE,
    asyncpg.PostgresError,  # also while the schema is not there yet
    LogUnavailable,
    LeadLost,
)
"""What a relay meets while PostgreSQL or RabbitMQ is away; the cursor tells where to go on."""


class LogReader(Protocol):
    async def read_replicated(self, after: int, limit: int, most_bytes: int) -> list[Recorded[bytes]]: ...


class RelayObserver(Protocol):
    """Hears what the relay does; for metrics."""

    def leading(self, leads: bool) -> None: ...

    def published(self, *, events: int, seconds: float) -> None:
        """One batch was confirmed, so many seconds after it was handed over."""
        ...

    def failed(self, error: Exception) -> None:
        """An attempt ended; the next follows after a pause."""
        ...


class Silent:
    """Observes nothing."""

    def leading(self, leads: bool) -> None: ...

    def published(self, *, events: int, seconds: float) -> None: ...

    def failed(self, error: Exception) -> None: ...


class Session:
    """The connection that holds the leader's lock, hears of new events, and alone moves the cursor.

    Lock and cursor share it so that a leader whose lock is gone can't move the cursor: both went with the session.
    """

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record], name: str) -> None:
        self._connection, self._name = connection, name
        self._turn = asyncio.Lock()
        """A connection does one thing at a time."""
        self.news = asyncio.Event()
        """Set when something was appended."""
        self.ended = asyncio.Event()
        """Set when the session has ended, whoever ended it."""
        self.position = 0
        """The cursor, once `lead` has answered yes."""

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, name: str) -> AsyncIterator[Session]:
        """Raises what is in `UNAVAILABLE`."""
        connection = await connect_database(
            database_url,
            command_timeout=STATEMENT_TIMEOUT,
            server_settings={
                # A cursor move that is lost in a crash repeats some events, no more: not worth a flush to disk.
                "synchronous_commit": "off",
                "idle_session_timeout": _milliseconds(SESSION_TIMEOUT),
                # A server that has news to tell to somebody who takes in nothing waits for that and looks at no other
                # limit. Nor are there keepalives meanwhile: no probes are sent while data is on its way.
                "tcp_user_timeout": _milliseconds(SESSION_TIMEOUT),
            },
        )
        try:
            session = cls(connection, name)
            connection.add_termination_listener(lambda _: session.ended.set())
            await connection.add_listener(NOTIFY_CHANNEL, lambda *_: session.news.set())
            beating = asyncio.create_task(session._beat())
            try:
                yield session
            finally:
                await end(beating)
        finally:
            with suppress(*UNAVAILABLE):
                await connection.close(timeout=2)

    async def _beat(self) -> None:
        """Tell the server that this side is alive, and end the session when it does not answer.

        Beside everything else: standing by, idle, or waiting for a broker that confirms nothing.
        """
        try:
            while True:
                await asyncio.sleep(HEARTBEAT)
                async with self._turn:
                    await self._connection.execute("SELECT 1", timeout=HEARTBEAT_TIMEOUT)
        except (*UNAVAILABLE, asyncpg.PostgresError) as error:
            logger.warning("the relay's session is given up", error=repr(error))
            self._connection.terminate()

    async def lead(self) -> bool:
        """Take the lead if nobody has it. Raises what is in `UNAVAILABLE`."""
        async with self._turn:
            # Tried, not waited for: a waiting statement would keep vacuum from cleaning up, for days on a stand-by.
            if not await self._connection.fetchval(QUERIES["take_lead"], self._name):
                return False
            await self._connection.execute(QUERIES["start_cursor"], self._name)
            self.position = await self._connection.fetchval(QUERIES["cursor"], self._name)
            return True

    async def move(self, to: Recorded[bytes]) -> None:
        """Everything up to `to` is confirmed. Raises `LeadLost` and what is in `UNAVAILABLE`."""
        async with self._turn:
            moved = await self._connection.fetchval(
                QUERIES["move_cursor"], self._name, self.position, to.position, to.epoch
            )
        if moved is None:
            raise LeadLost(f"cursor {self._name!r} is not at {self.position} any more")
        self.position = to.position

    def check(self) -> None:
        """Raises `LeadLost` when the session has ended."""
        if self._connection.is_closed():
            raise LeadLost("the leader's session with PostgreSQL has ended")


@dataclass(frozen=True, slots=True)
class Batch:
    """Some events on their way to the broker."""

    publishing: asyncio.Task[None]
    events: int
    last: Recorded[bytes]
    since: float


class Relay:
    """`run` it in as many replicas as you like: one leads, the others stand by."""

    def __init__(
        self,
        database_url: str,
        amqp_url: str,
        log: LogReader,
        *,
        observer: RelayObserver | None = None,
        name: str = NAME,
        poll: float = 1.0,
    ) -> None:
        """`poll`: seconds after which the log is read, or the lead tried for, though nothing was heard."""
        self._database_url, self._amqp_url, self._log = database_url, amqp_url, log
        self._observer = observer or Silent()
        self._name, self._poll = name, poll
        self.presence = Presence("relay broker")
        # However long an attempt has lasted: one that leads and publishes nothing is to leave the lead to others.
        self._pauses = Pauses(LONGEST_PAUSE)

    async def run_once(self) -> int:
        """Publish all that is committed, if the lead is to be had; answers how many events.

        Raises what is in `UNAVAILABLE` and `UNREACHABLE`, `LogUnavailable` and `LeadLost`.
        """
        async with Session.open(self._database_url, self._name) as session, self._connection() as connection:
            if not await session.lead():
                return 0
            start = session.position
            await self._pump(session, connection, until=None)
            return session.position - start

    async def run(self, stop: asyncio.Event) -> None:
        """Lead or stand by until `stop` is set; then what is on its way is confirmed, or given up after `GRACE`.

        Begins again, with growing pauses, while PostgreSQL or RabbitMQ is away.
        """
        while not stop.is_set():
            try:
                with told_as_lost():
                    await self._lead_or_stand_by(stop)
            except BEGIN_AGAIN as error:
                pause = self._pauses.next()
                self.presence.away(error)
                self._observer.failed(error)
                logger.warning("relay begins again", error=repr(error), pause=pause)
                await first_of(stop.wait(), timeout=pause)

    async def _lead_or_stand_by(self, stop: asyncio.Event) -> None:
        # The lead comes last: who can't reach the broker, be it slowly, must not keep it from somebody who can.
        async with Session.open(self._database_url, self._name) as session, self._connection() as connection:
            gone = lost(connection)
            self.presence.here()
            while not await session.lead():
                await first_of(stop.wait(), gone.wait(), timeout=self._poll)
                if stop.is_set():
                    return
                if gone.is_set():
                    raise ConnectionLost("the connection to RabbitMQ has closed")
            self._observer.leading(True)
            logger.info("relay leads", cursor=session.position)
            try:
                await self._pump(session, connection, until=stop)
            finally:
                self._observer.leading(False)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AbstractConnection]:
        """A connection to a broker on which everything is declared."""
        async with connected(self._amqp_url, "relay") as connection:
            await topology.declare_on(connection)
            yield connection

    async def _pump(self, session: Session, connection: AbstractConnection, until: asyncio.Event | None) -> None:
        """Publish until `until` is set, or, without it, until the log's end."""
        publisher = await open_publisher(connection, topology.EVENTS)
        window: asyncio.Queue[Batch | None] = asyncio.Queue(WINDOW)
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(_watch(session, connection, until or asyncio.Event()))
                group.create_task(self._feed(session, publisher, group, window, until))
                while (batch := await window.get()) is not None:
                    await batch.publishing
                    await session.move(batch.last)
                    self._pauses.reset()
                    self._observer.published(events=batch.events, seconds=monotonic() - batch.since)
                watch.cancel()
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _feed(
        self,
        session: Session,
        publisher: Publisher,
        group: asyncio.TaskGroup,
        window: asyncio.Queue[Batch | None],
        until: asyncio.Event | None,
    ) -> None:
        after = session.position
        while until is None or not until.is_set():
            session.news.clear()
            page = await self._log.read_replicated(after, PAGE, PAGE_BYTES)
            session.check()  # one that was frozen has a successor, who publishes what was read
            if page:
                publishing = group.create_task(publisher.publish([Outgoing.of(event) for event in page]))
                await window.put(Batch(publishing, len(page), page[-1], monotonic()))
                after = page[-1].position
                if len(page) < PAGE:
                    await asyncio.sleep(GATHERING)
            elif until is None:
                break
            else:
                await first_of(session.news.wait(), until.wait(), timeout=self._poll)
        await window.put(None)


async def _watch(session: Session, connection: AbstractConnection, until: asyncio.Event) -> None:
    """Raises `LeadLost` when the session has ended, `ConnectionLost` when the broker is gone, and when stopping takes
    too long."""
    gone = lost(connection)
    await first_of(gone.wait(), session.ended.wait(), until.wait())
    if until.is_set():
        await first_of(gone.wait(), session.ended.wait(), timeout=GRACE)
    session.check()
    raise ConnectionLost("the connection to RabbitMQ has closed")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f}"
