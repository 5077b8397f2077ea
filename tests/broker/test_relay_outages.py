"""The relay while broker or database are killed, wiped and away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest
from aio_pika.abc import AbstractChannel

from deploy.launcher.infrastructure import Infrastructure
from services.command.relay import Relay
from shared.broker import topology
from shared.broker.connection import UNREACHABLE, connect, lost
from shared.broker.outgoing import ConnectionLost
from shared.database.pool import UNAVAILABLE, open_pool
from shared.log import Log, LogUnavailable
from tests.broker.events import PATIENCE, Seen, an_append, consuming, reached, running
from tests.broker.test_relay import Observed, cursor, fill
from tests.command.stand_by import stand_by_away

Settle = Callable[[], Awaitable[None]]


@asynccontextmanager
async def consuming_always(amqp_url: str, seen: Seen) -> AsyncIterator[None]:
    """A consumer that comes back whenever its connection was lost."""

    async def consume() -> None:
        while True:
            with suppress(*UNREACHABLE):
                async with consuming(amqp_url, seen=seen), await connect(amqp_url, "canary") as canary:
                    await lost(canary).wait()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(consume())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def appending(log: Log) -> AsyncIterator[list[int]]:
    """Appends one event after the other; the list holds the positions that were answered."""
    answered: list[int] = []
    stop = asyncio.Event()

    async def append() -> None:
        while not stop.is_set():
            answered.append((await log.append(an_append(len(answered) + 1))).position)

    task = asyncio.create_task(append())
    try:
        yield answered
    finally:
        # Not cut off: what was submitted would be written all the same, after the test has asked for the head.
        stop.set()
        await task


async def counted(answered: list[int], more: int) -> None:
    goal = len(answered) + more

    async def done() -> bool:
        return len(answered) >= goal

    await reached(done)


async def test_a_broker_killed_under_load_loses_nothing(
    database_url: str, amqp_url: str, log: Log, infra: Infrastructure, safe_broker: Settle
) -> None:
    """Given appends, relay and consumer at work, when the broker is killed with SIGKILL and comes back,
    then every position reaches the consumer, in order after dedupe.
    """
    seen, observed = Seen(), Observed()
    async with consuming_always(amqp_url, seen), running(Relay(database_url, amqp_url, log, observer=observed)):
        async with appending(log) as answered:
            await observed.leads.wait()
            await safe_broker()
            await seen.until(lambda now: len(now.messages) >= 100)
            await asyncio.to_thread(infra.rabbitmq.kill)
            await counted(answered, 200)
            await asyncio.to_thread(infra.rabbitmq.start)
            await observed.leads.wait()
            await counted(answered, 200)
        last = (await log.head()).position
        await seen.until(lambda now: now.in_order[-1:] == [last])

    assert seen.in_order == list(range(1, last + 1))
    assert set(answered) <= set(seen.in_order)
    assert observed.failures


async def test_a_wiped_broker_is_set_up_again(
    database_url: str, amqp_url: str, log: Log, infra: Infrastructure, safe_broker: Settle
) -> None:
    """Given a broker that has lost all it knew, when it is back, then the relay declares everything again and goes on
    from its cursor, and each message tells which came before, so that a consumer sees what it has missed.
    """
    seen, observed = Seen(), Observed()
    async with running(Relay(database_url, amqp_url, log, observer=observed)):
        await fill(log, 100)
        await reached(lambda: _is_at(database_url, 100))
        await asyncio.to_thread(infra.rabbitmq.wipe)
        await observed.has_failed.wait()  # though there was nothing to publish
        await asyncio.to_thread(infra.rabbitmq.start)
        await asyncio.to_thread(infra.rabbitmq.create_vhost, amqp_url.rpartition("/")[2])
        await observed.leads.wait()
        await fill(log, 300, after=100)
        await reached(lambda: _is_at(database_url, 300))
        async with consuming(amqp_url, seen=seen):
            await seen.until(lambda now: now.in_order[-1:] == [300])

    assert seen.in_order == list(range(101, 301))
    assert seen.messages[0].headers["previous"] == 100


async def test_it_waits_for_a_broker_that_is_not_there_yet(
    database_url: str, amqp_url: str, log: Log, infra: Infrastructure, safe_broker: Settle
) -> None:
    """Given no broker when the relay starts, when one comes, then it publishes; nobody has to start it again."""
    await safe_broker()
    await asyncio.to_thread(infra.rabbitmq.kill)
    observed = Observed()
    await fill(log, 10)
    async with running(Relay(database_url, amqp_url, log, observer=observed)) as task:
        await observed.has_failed.wait()
        assert not task.done()
        await asyncio.to_thread(infra.rabbitmq.start)
        async with consuming(amqp_url) as seen:
            await seen.until(lambda now: now.in_order[-1:] == [10])

    assert seen.in_order == list(range(1, 11))


async def test_a_database_killed_under_load_loses_nothing(
    database_url: str, amqp_url: str, log: Log, infra: Infrastructure
) -> None:
    """Given a relay at work, when PostgreSQL is killed and comes back, then it goes on without a hole."""
    observed = Observed()
    async with consuming(amqp_url) as seen, running(Relay(database_url, amqp_url, log, observer=observed)):
        await fill(log, 500)
        await seen.until(lambda now: len(now.messages) >= 100)
        await asyncio.to_thread(infra.postgres.kill)
        await observed.has_failed.wait()
        await asyncio.to_thread(infra.postgres.start)
        await fill(log, 1000, after=500)
        await seen.until(lambda now: now.in_order[-1:] == [1000])

    assert seen.in_order == list(range(1, 1001))


async def test_nothing_is_published_that_a_fail_over_would_lose(database_url: str, amqp_url: str) -> None:
    """Given a relay that leads and a stand-by that is away, when an event becomes visible that the stand-by does not
    have, then it is published when it has, and not before."""
    observed = Observed()
    pool = await open_pool(database_url)
    async with (
        Log.open(pool, database_url, patience=0.3) as log,
        consuming(amqp_url) as seen,
        running(Relay(database_url, amqp_url, log, observer=observed)),
    ):
        await observed.leads.wait()
        async with stand_by_away(database_url) as owner:
            await Log.append_within(owner, [an_append(1)])
            waiting = asyncio.create_task(observed.has_failed.wait())
            published = asyncio.create_task(seen.until(lambda now: bool(now.messages)))
            await asyncio.wait((waiting, published), return_when=asyncio.FIRST_COMPLETED)
            assert isinstance(observed.failures[0], LogUnavailable)
            assert seen.messages == []
        await published
    await pool.close()

    assert seen.positions == [1]


_END_WHO_WAITS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND datname = current_database() AND application_name = 'kithlog'
"""


async def test_a_read_that_is_cut_off_is_not_tried_again_on_a_lead_that_may_be_lost(database_url: str) -> None:
    """Given a read on its way, when the server ends its session, then the relay hears of it, at once."""
    pool = await open_pool(database_url)
    owner = await asyncpg.connect(database_url)
    async with Log.open(pool, database_url, patience=PATIENCE) as log, owner.transaction():
        await owner.execute("LOCK TABLE log.event")
        reading = asyncio.create_task(log.read_replicated(0, 10, 1000))
        while not await owner.fetchval(_END_WHO_WAITS):  # noqa: ASYNC110 - it gives no signal
            await asyncio.sleep(0.01)
        with pytest.raises(UNAVAILABLE):
            await reading
    await owner.close()
    await pool.close()


async def test_it_waits_for_the_schema(empty_database_url: str, amqp_url: str, log: Log) -> None:
    """Given a database that was not migrated yet, then the relay tries again, and does not die."""
    observed = Observed()
    async with running(Relay(empty_database_url, amqp_url, log, observer=observed)) as task:
        await observed.has_failed.wait()
        assert not task.done()

    assert isinstance(observed.failures[0], asyncpg.PostgresError)


async def _is_at(database_url: str, position: int) -> bool:
    return await cursor(database_url) == position


async def test_a_cancellation_that_nobody_asked_for_does_not_end_it(
    database_url: str, amqp_url: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a connection that goes silent, whose waiters the client library cancels, then the relay begins again."""
    declare = topology.declare
    times = 0

    async def silent_at_first(channel: AbstractChannel, all_of_it: topology.Topology) -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise asyncio.CancelledError
        await declare(channel, all_of_it)

    await fill(log, 10)
    observed = Observed()
    async with consuming(amqp_url) as seen:
        monkeypatch.setattr(topology, "declare", silent_at_first)
        async with running(Relay(database_url, amqp_url, log, observer=observed)):
            await seen.until(lambda now: len(now.messages) >= 10)

    assert isinstance(observed.failures[0], ConnectionLost)
    assert seen.positions == list(range(1, 11))


async def test_one_that_was_asked_for_ends_it(database_url: str, amqp_url: str, log: Log) -> None:
    """Given a relay at work, when its task is cancelled, then it ends, and does not begin again."""
    observed = Observed()
    task = asyncio.create_task(Relay(database_url, amqp_url, log, observer=observed).run(asyncio.Event()))
    await observed.leads.wait()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert observed.failures == []
