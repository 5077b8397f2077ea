"""The doorbell on a real broker: what it brings, and that it may be lost in every way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from deploy.launcher.infrastructure import Infrastructure
from services.projector.live.doorbell import Doorbell
from services.projector.live.mailbox import Delivery, Mailbox
from shared.broker import cloudevents, topology
from shared.broker.connection import connect
from shared.broker.outgoing import Outgoing
from shared.broker.publisher import open_publisher
from shared.domain import contact
from shared.envelope import Recorded
from shared.log import Log
from shared.operations.health import OK
from tests.chaos.proxy import Proxy
from tests.cli.test_parked import Broken
from tests.projector.conftest import assert_equals_a_cold_fold, folder, projector, running, until, write
from tests.projector.histories import history, on
from tests.projector.observed import folded

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

HISTORY = history(seed=11, seekers=3)


@asynccontextmanager
async def connected(amqp_url: str) -> AsyncIterator[AbstractConnection]:
    connection = await connect(amqp_url, "test")
    try:
        yield connection
    finally:
        await connection.close()


async def publish(connection: AbstractConnection, events: Sequence[Recorded[bytes]]) -> None:
    publisher = await open_publisher(connection, topology.EVENTS)
    await publisher.publish([Outgoing.of(event) for event in events])


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[AbstractConnection]:
    async with connected(amqp_url) as connection:
        async with connection.channel() as channel:
            await topology.declare(channel)
        yield connection


class Deaf:
    """A log that must not be read."""

    async def read(self, after: int, limit: int, most_bytes: int) -> list[Recorded[bytes]]:
        raise AssertionError("the log was read although messages came")


class Awaited(Mailbox):
    """Tells when its loop first waits for it, the look at the log with which it begins behind it, and how many messages
    it is through with."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = asyncio.Event()
        self._taken = self._through = 0

    def take(self, most: int) -> list[Delivery]:
        taken = super().take(most)
        self._taken += len(taken)
        return taken

    async def filled(self) -> None:
        self._through = self._taken
        self.awaited.set()
        await super().filled()

    async def through(self, messages: int) -> bool:
        return self._through >= messages


async def waiting(connection: AbstractConnection) -> int:
    """Messages in the projector's queue that no consumer holds."""
    async with connection.channel() as channel:
        queue = await channel.declare_queue(topology.PROJECTOR, passive=True)
        return queue.declaration_result.message_count or 0


async def nobody_consumes(broker: AbstractConnection) -> bool:
    """The broker has noticed that the consumer is gone; what it had not acknowledged waits again."""
    async with broker.channel() as channel:
        queue = await channel.declare_queue(topology.PROJECTOR, passive=True)
        return queue.declaration_result.consumer_count == 0


async def test_messages_arrive_in_order_and_are_acknowledged(
    log: Log, database_url: str, amqp_url: str, connection: Connection, broker: AbstractConnection
) -> None:
    """Given a consumer, when events are published, then they are folded from the messages alone, and after stopping
    none is left in the queue."""
    mailbox = Awaited()
    loop = projector(database_url, Deaf(), mailbox, poll_interval=3600)
    async with running(Doorbell(amqp_url, mailbox).run), running(loop.run):
        await mailbox.awaited.wait()
        events = await write(log, HISTORY)
        await publish(broker, events)
        await until(lambda: folded(connection, len(events)))
    await assert_equals_a_cold_fold(connection, events, folder())
    await until(lambda: nobody_consumes(broker))
    assert await waiting(broker) == 0


async def test_of_what_does_not_fit_it_keeps_that_it_came(
    log: Log,
    database_url: str,
    amqp_url: str,
    connection: Connection,
    broker: AbstractConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given larger messages than may wait, then the log is read for them, and they are acknowledged all the same."""
    monkeypatch.setattr("services.projector.live.mailbox.MOST_BYTES", 1)
    mailbox = Awaited()
    async with (
        running(Doorbell(amqp_url, mailbox).run),
        running(projector(database_url, log, mailbox, poll_interval=3600).run),
    ):
        await mailbox.awaited.wait()
        events = await write(log, HISTORY)
        await publish(broker, events)
        # The log is read for the first of them, and tells of all: those that are on their way yet would come again.
        await until(lambda: mailbox.through(len(events)))
    await assert_equals_a_cold_fold(connection, events, folder())
    await until(lambda: nobody_consumes(broker))
    assert await waiting(broker) == 0


async def test_a_backlog_that_was_left_behind_is_dropped(
    log: Log,
    database_url: str,
    amqp_url: str,
    connection: Connection,
    broker: AbstractConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given a queue full of what was read from the log meanwhile, then hardly any of it is brought, and what is
    published afterwards is folded like anything else."""
    monkeypatch.setattr("services.projector.live.mailbox.BACKLOG", 10)
    monkeypatch.setattr("services.projector.live.doorbell.LOOK_AGAIN", 0.05)
    events = await write(log, HISTORY)
    await publish(broker, events)
    mailbox = Awaited()
    mailbox.overtake(10)
    bell = Doorbell(amqp_url, mailbox, prefetch=2)
    async with running(bell.run):
        await until(lambda: empty(broker))
        await until(lambda: asyncio.sleep(0, mailbox.drops > 0))
    async with (
        running(Doorbell(amqp_url, mailbox, prefetch=2).run),
        running(projector(database_url, log, mailbox, poll_interval=0.05).run),
    ):
        events = await write(log, history(seed=12, seekers=1), after=len(events))
        await publish(broker, events)
        await until(lambda: folded(connection, len(events)))
        await until(lambda: empty(broker))
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_looks_do_not_wait_for_messages_on_their_way(
    amqp_url: str, broker: AbstractConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a consumer that is slower than what comes, then whether its queue is there is asked on another connection.

    On its own, the answer came behind thousands of messages: later than was waited for it, so that connection and
    place were given up, time and again, and all those messages came once more.
    """
    on_which = declared_on(monkeypatch)
    async with running(Doorbell(amqp_url, Mailbox()).run):
        await until(lambda: asyncio.sleep(0, len(on_which) >= 3))
    consumers, *others = on_which
    assert consumers not in others
    assert len(set(others)) == 1


async def test_a_look_that_fails_loses_no_place(
    amqp_url: str, broker: AbstractConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a look that is not answered in time, then the next one is made on a new connection, and the consumer keeps
    its own."""
    on_which = declared_on(monkeypatch, failing=2)
    async with running(Doorbell(amqp_url, Mailbox()).run):
        await until(lambda: asyncio.sleep(0, len(on_which) >= 4))
    consumers, failed, *others = on_which
    assert failed not in others
    assert consumers not in others
    assert len(set(others)) == 1  # where the consumer had begun again, there were more


def declared_on(monkeypatch: pytest.MonkeyPatch, *, failing: int = 0) -> list[AbstractConnection]:
    """The connections on which the doorbell declares, time after time, with hardly a pause; one time may fail."""
    monkeypatch.setattr("services.projector.live.doorbell.LOOK_AGAIN", 0.01)
    declare, on_which = topology.declare_on, list[AbstractConnection]()

    async def declare_on(connection: AbstractConnection, *what: Any) -> None:
        on_which.append(connection)
        if len(on_which) == failing:
            raise TimeoutError
        await declare(connection, *what)

    monkeypatch.setattr(topology, "declare_on", declare_on)
    return on_which


async def test_what_was_not_acknowledged_comes_again(
    log: Log, database_url: str, amqp_url: str, connection: Connection, broker: AbstractConnection
) -> None:
    """Given a consumer that is gone before it acknowledged anything, then the next gets all of it."""
    events = await write(log, HISTORY)
    await publish(broker, events)
    lost = Mailbox()
    async with running(Doorbell(amqp_url, lost).run):
        await lost.filled()
    mailbox = Mailbox()
    async with running(Doorbell(amqp_url, mailbox).run):
        received: list[Any] = []

        async def all_there() -> bool:
            received.extend(mailbox.take(100))
            return len(received) >= len(events)

        await until(all_there)
    positions = [cloudevents.decode(each.body, each.headers).position for each in received]
    assert positions == [event.position for event in events]


async def test_a_connection_cut_at_the_beginning_is_noticed_though_a_library_swallows_it(
    amqp_url: str, broker: AbstractConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a connection that is cut while the doorbell begins to consume, at the very moment at which a wait within a
    library is over and takes the cancellation for its own, then the doorbell begins again all the same.

    It was deaf until the broker went away once more.
    """
    declare, swallowing = topology.declare_on, asyncio.Event()

    async def declare_on(*what: Any) -> None:
        if swallowing.is_set():
            await declare(*what)
            return
        swallowing.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    monkeypatch.setattr(topology, "declare_on", declare_on)
    async with Proxy(amqp_url) as proxy:
        doorbell = Doorbell(proxy.url, Mailbox())

        async def listens() -> bool:
            return await doorbell.presence.check.probe() == OK

        async with running(doorbell.run):
            await swallowing.wait()
            proxy.cut()
            await until(listens)


async def test_a_queue_that_is_deleted_comes_back(
    log: Log,
    database_url: str,
    amqp_url: str,
    connection: Connection,
    broker: AbstractConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Given that somebody deletes the queue with all that is in it, then the log heals what was lost, and what is
    published later rings again.

    The doorbell looks right after the deletion: what it declared anew then, it was deaf to for good.
    """
    monkeypatch.setattr("services.projector.live.doorbell.LOOK_AGAIN", 0.05)
    declare, deleted, times = topology.declare_on, asyncio.Event(), count()

    async def declare_on(*what: Any) -> None:
        if next(times):
            await deleted.wait()
        await declare(*what)

    monkeypatch.setattr(topology, "declare_on", declare_on)
    mailbox = Mailbox()
    async with running(Doorbell(amqp_url, mailbox).run):
        await until(lambda: has_consumer(broker))
        async with running(projector(database_url, log, mailbox, poll_interval=0.05).run):
            events = await write(log, HISTORY)
            await publish(broker, events)
            await until(lambda: folded(connection, len(events)))
            async with broker.channel() as channel:
                await channel.queue_delete(topology.PROJECTOR)
                deleted.set()
            events = await write(log, history(seed=12, seekers=1), after=len(events))
            await until(lambda: folded(connection, len(events)))
        await assert_equals_a_cold_fold(connection, events, folder())

        await until(lambda: has_consumer(broker))
        await publish(broker, events[-1:])
        rung: list[int] = []

        async def rings_for_it() -> bool:
            rung.extend(cloudevents.decode(each.body or b"", each.headers).position for each in mailbox.take(100))
            return events[-1].position in rung

        await until(rings_for_it)


async def test_a_connection_that_goes_silent(
    amqp_url: str, log: Log, broker: AbstractConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a broker that says nothing any more, which the client library tells of by cancelling whatever waits for it,
    then the doorbell begins again, and rings."""
    monkeypatch.setattr("services.projector.live.doorbell.LOOK_AGAIN", 0.01)
    declare, silences = topology.declare_on, [False, True]

    async def silent(*what: Any) -> None:
        if silences and silences.pop(0):
            raise asyncio.CancelledError
        await declare(*what)

    monkeypatch.setattr(topology, "declare_on", silent)
    mailbox = Mailbox()
    async with running(Doorbell(amqp_url, mailbox).run):
        await until(lambda: asyncio.sleep(0, not silences))
        await publish(broker, await write(log, HISTORY))
        await asyncio.wait_for(mailbox.filled(), 30)


async def test_who_has_halted_leaves_its_place(
    log: Log, database_url: str, amqp_url: str, connection: Connection, broker: AbstractConnection
) -> None:
    """Given two projectors, of which the one that is given the messages has to halt, then the other, which looks at the
    log by itself once in an hour, folds what the first had been given, and what comes then."""
    events = await write(log, HISTORY)
    async with projector(database_url, log).session() as session:
        first = await session.run_once()
    halting, other = Mailbox(), Awaited()
    standing_by = Doorbell(amqp_url, other)
    async with running(Doorbell(amqp_url, halting).run):
        await until(lambda: has_consumer(broker))
        async with (
            running(standing_by.run),
            running(projector(database_url, Deaf(), other, poll_interval=3600).run),
        ):
            await until(lambda: rings(standing_by))
            await other.awaited.wait()
            events = await write(log, history(seed=12, seekers=1), after=first)
            await publish(broker, events[first:])
            await halting.filled()
            async with running(projector(database_url, log, halting, folder=folder(Unknown()), poll_interval=0.01).run):
                await until(lambda: folded(connection, len(events)))
                second = len(events)
                events = await write(log, history(seed=13, seekers=1), after=second)
                await publish(broker, events[second:])
                await until(lambda: folded(connection, len(events)))
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_who_goes_on_takes_a_place_again(
    log: Log, database_url: str, amqp_url: str, connection: Connection, broker: AbstractConnection
) -> None:
    """Given a projector that has left its place, when the reason is gone, then it is given messages again; meanwhile it
    says that it has none."""
    mailbox = Mailbox()
    bell = Doorbell(amqp_url, mailbox)
    later = "UPDATE read.generation SET version = version + $1 WHERE model = 'pipeline'"
    async with running(bell.run), running(projector(database_url, log, mailbox, poll_interval=0.01).run):
        await until(lambda: has_consumer(broker))
        events = await write(log, HISTORY)
        await until(lambda: folded(connection, len(events)))
        await connection.execute(later, 1)
        await connection.execute("UPDATE read.checkpoint SET turn = turn + 1")
        await until(lambda: nobody_consumes(broker))
        await until(lambda: says(bell, "folding has stopped"))
        await connection.execute(later, -1)
        await until(lambda: has_consumer(broker))
        await until(lambda: rings(bell))
        await publish(broker, events[-1:])
        await until(lambda: empty(broker))


class Unknown(Broken):
    """A read model whose rows are yet to be built."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "unknown"  # type: ignore[misc]  # of this object alone


async def has_consumer(connection: AbstractConnection) -> bool:
    """The projector's queue is there, and somebody consumes from it."""
    with suppress(ChannelNotFoundEntity):
        async with connection.channel() as channel:
            queue = await channel.declare_queue(topology.PROJECTOR, passive=True)
            return bool(queue.declaration_result.consumer_count)
    return False


async def test_the_broker_dies_and_comes_back_empty(
    infra: Infrastructure, log: Log, database_url: str, amqp_url: str, connection: Connection
) -> None:
    """Given a broker that is killed and loses everything, then folding goes on from the log meanwhile; once the broker
    is back, the doorbell declares its queue anew and rings."""
    mailbox = Mailbox()
    bell = Doorbell(amqp_url, mailbox)
    async with (
        running(bell.run),
        running(projector(database_url, log, mailbox, poll_interval=0.05).run),
    ):
        await until(lambda: rings(bell))
        await asyncio.to_thread(infra.rabbitmq.wipe)
        events = await write(log, HISTORY)
        await until(lambda: folded(connection, len(events)))
        assert (await bell.presence.check.probe()).state == "degraded"
        await asyncio.to_thread(infra.rabbitmq.start)
        name = amqp_url.rsplit("/", 1)[1]
        await asyncio.to_thread(infra.rabbitmq.create_vhost, name)
        await until(lambda: rings(bell))
        late = [on("contact", UUID(int=90), contact.Added(name="Late", source="event"))]
        events = await write(log, late, after=500)
        async with connected(amqp_url) as broker:
            await publish(broker, events)
            await until(lambda: folded(connection, len(events)))
            await until(lambda: empty(broker))
    await assert_equals_a_cold_fold(connection, events, folder())


async def says(bell: Doorbell, what: str) -> bool:
    return what in (await bell.presence.check.probe()).detail


async def rings(bell: Doorbell) -> bool:
    return (await bell.presence.check.probe()).state == "ok"


async def empty(broker: AbstractConnection) -> bool:
    return await waiting(broker) == 0
