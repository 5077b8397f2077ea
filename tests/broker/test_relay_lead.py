"""Who leads, when one of several is frozen, slow, or cut off while its connections stay open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.command import relay as relaying
from services.command.relay import LeadLost, Relay
from shared.broker.outgoing import ConnectionLost
from shared.envelope import Recorded
from shared.log import Log, LogUnavailable
from tests.broker.events import FOR_EVER, PATIENCE, consuming, reached, running
from tests.broker.test_relay import Observed, cursor, fill
from tests.chaos.proxy import Proxy


@pytest.fixture
async def way(database_url: str) -> AsyncIterator[Proxy]:
    """One relay's to PostgreSQL."""
    async with Proxy(database_url) as way:
        yield way


Freeze = Callable[[Observed], Awaitable[None]]


@pytest.fixture
def freeze(way: Proxy, monkeypatch: pytest.MonkeyPatch) -> Freeze:
    """Cuts off the relay that leads over that way. The server, which does not wait for long in sessions that were begun
    before, finds it; it notices nothing itself."""
    monkeypatch.setattr(relaying, "SESSION_TIMEOUT", 2.0)
    monkeypatch.setattr(relaying, "HEARTBEAT", 0.2)

    async def freeze(leader: Observed) -> None:
        await asyncio.wait_for(leader.leads.wait(), PATIENCE)  # again, where it was found for being slow
        way.silence()
        monkeypatch.setattr(relaying, "SESSION_TIMEOUT", FOR_EVER)
        leader.failures.clear()
        leader.has_failed.clear()

    return freeze


async def test_a_frozen_leader_is_replaced(
    database_url: str, amqp_url: str, log: Log, way: Proxy, freeze: Freeze
) -> None:
    """Given a leader of which PostgreSQL hears nothing any more, when its connection stays open all the same, then a
    stand-by takes over; when the first is back, it notices, and has published nothing meanwhile."""
    frozen, other = Observed(), Observed()
    async with consuming(amqp_url) as seen, running(Relay(way.url, amqp_url, log, poll=FOR_EVER, observer=frozen)):
        await fill(log, 10)
        await reached(lambda: _is_at(database_url, 10))
        await freeze(frozen)
        async with running(Relay(database_url, amqp_url, log, poll=0.05, observer=other)):
            await asyncio.wait_for(other.leads.wait(), PATIENCE)
            assert frozen.leads.is_set()
            await fill(log, 20, after=10)
            await reached(lambda: _is_at(database_url, 20))
            way.heal()
            await asyncio.wait_for(frozen.has_failed.wait(), PATIENCE)
            await fill(log, 30, after=20)
            await seen.until(lambda now: now.in_order[-1:] == [30])

    assert isinstance(frozen.failures[0], LeadLost)
    assert seen.in_order == list(range(1, 31))
    assert [position for position in seen.positions if position > 10] == list(range(11, 31))


_NEWS = "SELECT pg_notify('kithlog_log', number || repeat('x', 7900)) FROM generate_series(1, 3000) number"


async def test_one_that_takes_in_no_news_is_replaced(
    database_url: str, amqp_url: str, log: Log, way: Proxy, freeze: Freeze
) -> None:
    """Given a leader that takes in nothing any more, when there is more news for it than fits on the way, so that its
    session waits for it to be taken, then a stand-by takes over."""
    frozen, other = Observed(), Observed()
    admin = await asyncpg.connect(database_url)
    async with running(Relay(way.url, amqp_url, log, poll=FOR_EVER, observer=frozen)):
        await freeze(frozen)
        await admin.execute(_NEWS)
        await admin.close()
        async with running(Relay(database_url, amqp_url, log, poll=0.05, observer=other)):
            await asyncio.wait_for(other.leads.wait(), PATIENCE)


async def test_one_that_is_cut_off_leads_no_more(
    amqp_url: str, log: Log, way: Proxy, handed_over: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a leader that waits for the broker's confirms, when PostgreSQL does not answer it any more, then it notices
    by itself, and waits no longer."""
    monkeypatch.setattr(relaying, "HEARTBEAT", 0.05)
    monkeypatch.setattr(relaying, "HEARTBEAT_TIMEOUT", PATIENCE / 2)  # also of the word that is on its way then
    await fill(log, 10)
    observed = Observed()
    async with running(Relay(way.url, amqp_url, log, observer=observed)):
        await asyncio.wait_for(handed_over.wait(), PATIENCE)
        monkeypatch.setattr(relaying, "HEARTBEAT_TIMEOUT", 0.5)
        way.silence()
        await asyncio.wait_for(observed.has_failed.wait(), PATIENCE)
        assert not observed.leads.is_set()
        way.heal()

    assert isinstance(observed.failures[0], LeadLost)


async def test_who_waits_tells_that_it_lives(
    database_url: str, amqp_url: str, log: Log, handed_over: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a leader that waits for the broker's confirms, and another relay that stands by and tries only after an
    hour, then PostgreSQL hears of both."""
    monkeypatch.setattr(relaying, "HEARTBEAT", 0.05)
    monkeypatch.setattr(relaying, "GRACE", 0.1)
    await fill(log, 10)
    admin = await asyncpg.connect(database_url)

    async def both_heard() -> bool:
        heard = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT 1'"
        return int(await admin.fetchval(heard)) == 2

    async with running(Relay(database_url, amqp_url, log, poll=FOR_EVER)):
        await asyncio.wait_for(handed_over.wait(), PATIENCE)
        async with running(Relay(database_url, amqp_url, log, poll=FOR_EVER)):
            await reached(both_heard)
    await admin.close()


_LEADERS = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database =
        (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_one_that_does_not_reach_the_broker_keeps_nobody_from_it(
    database_url: str, amqp_url: str, log: Log
) -> None:
    """Given a relay that waits for an answer of the broker's, then the lead is free, and one that gets answers takes
    it."""
    slow, other = Observed(), Observed()
    admin = await asyncpg.connect(database_url)
    async with Proxy(amqp_url) as way:
        way.silence()
        async with running(Relay(database_url, way.url, log, poll=0.01, observer=slow)):
            await reached(lambda: _carries(way))
            assert await admin.fetchval(_LEADERS) == 0
            await fill(log, 10)
            async with consuming(amqp_url) as seen, running(Relay(database_url, amqp_url, log, observer=other)):
                await seen.until(lambda now: len(now.messages) >= 10)
            assert not slow.leads.is_set()
            way.refuse()
    await admin.close()

    assert seen.positions == list(range(1, 11))
    assert other.failures == []


async def test_one_that_loses_the_broker_stands_by_no_more(
    database_url: str, amqp_url: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a relay that stands by, when its connection to the broker is lost, then it notices, though it would try for
    the lead only after an hour, and gets another one."""
    monkeypatch.setattr(relaying, "HEARTBEAT", FOR_EVER)  # so that what it asked last is whether it leads
    leader, other = Observed(), Observed()
    async with Proxy(amqp_url) as way, running(Relay(database_url, amqp_url, log, observer=leader)):
        await asyncio.wait_for(leader.leads.wait(), PATIENCE)
        async with running(Relay(database_url, way.url, log, poll=FOR_EVER, observer=other)):
            await reached(lambda: _stands_by(database_url))
            way.cut()
            await asyncio.wait_for(other.has_failed.wait(), PATIENCE)
            await reached(lambda: _carries(way))
            assert leader.leads.is_set()

    assert isinstance(other.failures[0], ConnectionLost)
    assert leader.failures == []


async def test_one_that_publishes_nothing_pauses_longer_and_longer(
    database_url: str, amqp_url: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a relay that leads and can't read the log for as long as it waits for it, then its pauses grow, so that one
    that stands by has its turn; when it has published something, they begin anew."""
    clock = count(step=1000)
    monkeypatch.setattr("shared.operations.pauses.monotonic", lambda: float(next(clock)))
    observed = Observed()
    enough = asyncio.Event()

    async def has_published() -> bool:
        return observed.events == 10

    class Slow:
        reads = 0

        async def read_replicated(self, after: int, limit: int, most_bytes: int) -> list[Recorded[bytes]]:
            self.reads += 1
            if self.reads == 4:
                return await log.read(after, limit)
            if self.reads == 5:
                await reached(has_published)
            if self.reads == 7:
                enough.set()
            raise LogUnavailable

    await fill(log, 10)
    with capture_logs() as said:
        async with running(Relay(database_url, amqp_url, Slow(), observer=observed)):
            await asyncio.wait_for(enough.wait(), PATIENCE)

    assert [each["pause"] for each in said if "pause" in each][:5] == [0.05, 0.1, 0.2, 0.05, 0.1]


async def _carries(way: Proxy) -> bool:
    return way.carries


async def _stands_by(database_url: str) -> bool:
    """Whether somebody has tried for the lead in vain: who gets it asks for the cursor next."""
    admin = await asyncpg.connect(database_url)
    try:
        tried = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle'
                   AND query LIKE '%pg_try_advisory_lock%'"""
        return int(await admin.fetchval(tried)) > 0
    finally:
        await admin.close()


async def _is_at(database_url: str, position: int) -> bool:
    return await cursor(database_url) == position
