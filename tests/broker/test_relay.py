"""The relay against the real log and the real broker."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from aio_pika.abc import AbstractChannel

from services.command import relay as relaying
from services.command.relay import LeadLost, Relay, Session
from shared.broker import cloudevents, topology
from shared.broker.outgoing import ConnectionLost, Returned
from shared.envelope import Recorded
from shared.log import Log
from tests.broker.events import an_append, an_id, consuming, reached, running


class Observed:
    """Remembers what a relay tells."""

    def __init__(self) -> None:
        self.leads = asyncio.Event()
        self.failures: list[Exception] = []
        self.events = 0
        self.has_failed = asyncio.Event()

    def leading(self, leads: bool) -> None:
        (self.leads.set if leads else self.leads.clear)()

    def published(self, *, events: int, seconds: float) -> None:
        assert seconds > 0
        self.events += events

    def failed(self, error: Exception) -> None:
        self.failures.append(error)
        self.has_failed.set()


async def fill(log: Log, upto: int, after: int = 0) -> None:
    await log.append_all([an_append(number) for number in range(after + 1, upto + 1)])


async def cursor(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval("SELECT coalesce(max(position), 0) FROM log.relay_cursor"))
    finally:
        await connection.close()


async def test_what_is_committed_is_published_in_order(database_url: str, amqp_url: str, log: Log) -> None:
    """Given a log of several pages, when the relay runs, then each position arrives once, in order, as it is there."""
    await fill(log, 1200)

    async with consuming(amqp_url) as seen:
        published = await Relay(database_url, amqp_url, log).run_once()
        await seen.until(lambda now: len(now.messages) >= 1200)

    assert published == 1200
    assert seen.positions == list(range(1, 1201))
    message = seen.messages[41]
    [event] = await log.read(41, 1)
    assert cloudevents.decode(message.body, message.headers) == event
    assert message.routing_key == "demo.interview.held"
    assert message.message_id == str(event.event_id)
    assert message.correlation_id == str(an_id("correlation 42"))
    assert message.content_type == "application/cloudevents+json"
    assert message.type == "kithlog.interview.held.v1"
    assert message.headers == {"position": 42, "previous": 41, "epoch": 1, "partition": 0}


async def test_large_events_go_in_smaller_batches(
    database_url: str, amqp_url: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given events of some hundred bytes, when a batch may have a thousand, then it has three of them, and none is
    passed over."""
    monkeypatch.setattr(relaying, "PAGE_BYTES", 1000)
    await fill(log, 31)
    batches: list[int] = []

    class Counting(Observed):
        def published(self, *, events: int, seconds: float) -> None:
            batches.append(events)

    async with consuming(amqp_url) as seen:
        await Relay(database_url, amqp_url, log, observer=Counting()).run_once()
        await seen.until(lambda now: len(now.messages) >= 31)

    assert seen.positions == list(range(1, 32))
    assert batches == [3] * 10 + [1]


async def test_it_goes_on_from_the_cursor(database_url: str, amqp_url: str, log: Log) -> None:
    """Given what was published before, when the relay runs again, then only what is new is published."""
    await fill(log, 3)
    relay = Relay(database_url, amqp_url, log)

    async with consuming(amqp_url) as seen:
        assert await relay.run_once() == 3
        assert await relay.run_once() == 0
        await fill(log, 5, after=3)
        assert await relay.run_once() == 2
        await seen.until(lambda now: len(now.messages) >= 5)

    assert seen.positions == [1, 2, 3, 4, 5]


async def test_a_commit_wakes_it(database_url: str, amqp_url: str, log: Log) -> None:
    """Given a relay that would look by itself only after an hour, when something is appended, then it is published."""
    observed = Observed()
    relay = Relay(database_url, amqp_url, log, poll=3600, observer=observed)
    async with consuming(amqp_url) as seen, running(relay):
        await observed.leads.wait()
        for number in range(1, 6):
            await fill(log, number, after=number - 1)
            await seen.until(lambda now, number=number: len(now.messages) >= number)  # type: ignore[misc]

    assert seen.positions == [1, 2, 3, 4, 5]
    assert observed.events == 5
    assert not observed.leads.is_set()
    assert await cursor(database_url) == 5


async def test_without_a_word_it_looks_by_itself(database_url: str, amqp_url: str, log: Log) -> None:
    """Given an append whose notification is lost, then the relay finds the event by polling."""
    observed = Observed()
    async with consuming(amqp_url) as seen, running(Relay(database_url, amqp_url, log, poll=0.05, observer=observed)):
        await observed.leads.wait()
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            """INSERT INTO log.event SELECT 1, 1, 'demo', 'interview', gen_random_uuid(), 1, gen_random_uuid(),
                   'interview.held', 1, now(), now(), 'a', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
                   '{}'"""
        )
        await connection.execute("UPDATE log.head SET position = 1")
        await connection.close()
        await seen.until(lambda now: bool(now.messages))

    assert seen.positions == [1]


async def test_of_two_relays_one_publishes(database_url: str, amqp_url: str, log: Log) -> None:
    """Given two relays, then each event is published once; when the leader ends, the other leads."""
    one, other = Observed(), Observed()
    async with consuming(amqp_url) as seen:
        async with running(Relay(database_url, amqp_url, log, poll=0.05, observer=other)):
            await other.leads.wait()
            async with running(Relay(database_url, amqp_url, log, poll=0.05, observer=one)):
                await fill(log, 300)
                await seen.until(lambda now: len(now.messages) >= 300)
                assert not one.leads.is_set()
            async with running(Relay(database_url, amqp_url, log, poll=0.05, observer=one)) as second:
                await fill(log, 400, after=300)
                await seen.until(lambda now: len(now.messages) >= 400)
                assert not second.done()
                assert other.leads.is_set()
        async with running(Relay(database_url, amqp_url, log, poll=0.05, observer=one)):
            await one.leads.wait()
            await fill(log, 500, after=400)
            await seen.until(lambda now: len(now.messages) >= 500)

    assert seen.positions == list(range(1, 501))
    assert one.failures == other.failures == []


async def test_a_stand_by_takes_over_when_the_leaders_session_is_cut(
    database_url: str, amqp_url: str, log: Log
) -> None:
    """Given two relays at work, when the leader's session ends again and again, then no position is missed."""
    one, other = Observed(), Observed()
    admin = await asyncpg.connect(database_url)
    async with (
        consuming(amqp_url) as seen,
        running(Relay(database_url, amqp_url, log, poll=0.02, observer=one)),
        running(Relay(database_url, amqp_url, log, poll=0.02, observer=other)),
    ):
        for upto in range(200, 2001, 200):
            await fill(log, upto, after=upto - 200)
            await reached(
                lambda: admin.fetchval(
                    """SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_locks
                   WHERE locktype = 'advisory' AND granted AND database =
                       (SELECT oid FROM pg_database WHERE datname = current_database())"""
                )
            )
        await seen.until(lambda now: now.in_order[-1:] == [2000])
    await admin.close()

    assert seen.in_order == list(range(1, 2001))
    assert one.failures + other.failures


async def test_one_that_leads_no_more_can_not_move_the_cursor(database_url: str, amqp_url: str, log: Log) -> None:
    """Given a leader that another has replaced, when it moves the cursor, then it learns so and nothing moves."""
    await fill(log, 10)
    events = await log.read(0, 10)
    async with Session.open(database_url, "events") as old:
        assert await old.lead()
        await old.move(events[1])
        connection = await asyncpg.connect(database_url)
        await connection.execute("UPDATE log.relay_cursor SET position = 7")
        await connection.close()

        with pytest.raises(LeadLost):
            await old.move(events[3])

    assert await cursor(database_url) == 7


async def test_killed_between_confirm_and_cursor_it_repeats(
    database_url: str, amqp_url: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a relay that ends after a confirm and before the cursor's move, then the next repeats and skips nothing."""
    await fill(log, 1200)
    real = Session.move

    async def killed(self: Session, to: Recorded[bytes]) -> None:
        if to.position > 500:
            self._connection.terminate()
        await real(self, to)

    async with consuming(amqp_url) as seen:
        with monkeypatch.context() as patched:
            patched.setattr(Session, "move", killed)
            with pytest.raises(asyncpg.InterfaceError):
                await Relay(database_url, amqp_url, log).run_once()
        assert await cursor(database_url) == 500
        await seen.until(lambda now: 1000 in now.positions)

        # The server may not have noticed yet that the first has gone.
        async def published() -> bool:
            return await Relay(database_url, amqp_url, log).run_once() == 700

        await reached(published)
        await seen.until(lambda now: now.positions.count(1200) >= 1 and now.positions.count(501) == 2)

    assert seen.in_order == list(range(1, 1201))
    assert seen.positions.count(500) == 1


async def test_an_unroutable_event_is_not_passed_over(
    database_url: str, amqp_url: str, log: Log, channel: AbstractChannel
) -> None:
    """Given nobody is bound any more, when events come, then the relay binds the projector's queue and repeats."""
    observed = Observed()
    async with running(Relay(database_url, amqp_url, log, observer=observed)):
        await observed.leads.wait()
        for binding in topology.TOPOLOGY.bindings:
            queue = await channel.get_queue(binding.queue, ensure=False)
            await queue.unbind(binding.exchange, binding.routing_key)
        await fill(log, 100)
        await observed.has_failed.wait()
        async with consuming(amqp_url) as seen:
            await seen.until(lambda now: now.in_order[-1:] == [100])

    assert seen.in_order == list(range(1, 101))
    assert isinstance(observed.failures[0], Returned)
    assert await cursor(database_url) == 100


async def test_a_lost_exchange_is_declared_again(
    database_url: str, amqp_url: str, log: Log, channel: AbstractChannel
) -> None:
    """Given somebody deleted exchange and queue, when events come, then both are declared again and nothing is lost."""
    observed = Observed()
    async with running(Relay(database_url, amqp_url, log, observer=observed)):
        await observed.leads.wait()
        await channel.queue_delete(topology.PROJECTOR)
        await channel.exchange_delete(topology.EVENTS)
        await fill(log, 100)
        await observed.has_failed.wait()
        await observed.leads.wait()
        async with consuming(amqp_url) as seen:
            await seen.until(lambda now: now.in_order[-1:] == [100])

    assert seen.in_order == list(range(1, 101))


async def test_a_full_queue_holds_the_relay_and_loses_nothing(
    database_url: str, amqp_url: str, log: Log, channel: AbstractChannel
) -> None:
    """Given a consumer's queue that rejects when full, when it has room again, then it has got every position."""
    await topology.declare(channel)
    full = await channel.declare_queue(
        "slow",
        durable=True,
        arguments={"x-queue-type": "quorum", "x-max-length": 10, "x-overflow": "reject-publish"},
    )
    await full.bind(topology.EVENTS, "#")
    observed = Observed()
    async with running(Relay(database_url, amqp_url, log, observer=observed)):
        for upto in range(100, 1001, 100):
            await fill(log, upto, after=upto - 100)
        await observed.has_failed.wait()
        assert await cursor(database_url) < 1000
        await channel.queue_delete("slow", if_empty=False)
        async with consuming(amqp_url) as seen:
            await seen.until(lambda now: now.in_order[-1:] == [1000])
        assert set(seen.positions) == set(range(1, 1001))
        await reached(lambda: _is_at(database_url, 1000))


async def _is_at(database_url: str, position: int) -> bool:
    return await cursor(database_url) == position


async def test_the_ordinary_publisher_serves_as_well(
    database_url: str, amqp_url: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a client library that the fast publisher does not know, then the relay publishes the same, in order."""
    monkeypatch.setattr("shared.broker.batch.version", lambda _: "8.0.0")
    await fill(log, 1200)

    async with consuming(amqp_url) as seen:
        assert await Relay(database_url, amqp_url, log).run_once() == 1200
        await seen.until(lambda now: len(now.messages) >= 1200)

    assert seen.positions == list(range(1, 1201))


async def test_stopping_does_not_wait_for_a_broker_that_does_not_answer(
    database_url: str, amqp_url: str, log: Log, handed_over: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a broker that confirms nothing, when told to stop, then the relay gives up, and nothing is passed over."""
    monkeypatch.setattr(relaying, "GRACE", 0.1)
    await fill(log, 10)
    observed = Observed()
    async with running(Relay(database_url, amqp_url, log, observer=observed)):
        await handed_over.wait()

    assert isinstance(observed.failures[0], ConnectionLost)
    assert await cursor(database_url) == 0
