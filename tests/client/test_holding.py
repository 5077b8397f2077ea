"""What a consumer has in hand: acknowledged while the rest is worked through, and given back in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError
from aiormq.abc import DeliveredMessage

from deploy.launcher.infrastructure import Infrastructure
from shared.client import CloudEvent, Consumer, Incoming, MemoryStore, Unavailable, Wiring
from shared.client.hand import Hand
from shared.client.session import Delivery, Session
from shared.client.testing import MemoryHistory, an_event
from tests.client.messages import PATIENCE, RULES, Taken, a_consumer, consuming, held, listen, publish


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[AbstractConnection]:
    """The connections by which consumers take messages."""
    connections: asyncio.Queue[AbstractConnection] = asyncio.Queue()

    class Observed(Session):
        def __init__(self, connection: AbstractConnection, publishing: AbstractConnection, stop: asyncio.Event) -> None:
            super().__init__(connection, publishing, stop)
            connections.put_nowait(connection)

    monkeypatch.setattr("shared.client.session.Session", Observed)
    return connections


@pytest.mark.usefixtures("exchange")
async def test_a_consumer_whose_channel_the_broker_has_closed_begins_again(
    amqp_url: str,
    channel: AbstractChannel,
    taken: Taken,
    infra: Infrastructure,
    opened: asyncio.Queue[AbstractConnection],
) -> None:
    """Given a consumer that waits, when the broker closes its channel, as it does where something stays unacknowledged
    for too long, then it goes on over another connection."""
    wiring, history = Wiring(amqp_url, "statistics", audit_every=3600), MemoryHistory([held(1)])
    async with consuming(Consumer(wiring, RULES, taken.handlers, MemoryStore(), history)), asyncio.timeout(PATIENCE):
        await taken.until(lambda positions: positions == [1])
        await listen(infra, amqp_url, 1)
        transport = (await opened.get()).transport
        assert transport is not None
        channels: dict[int, Any] = transport.connection.channels
        [consumed] = [each for each in channels.values() if each and each.consumers]
        with suppress(AMQPError):  # which the broker's refusal may come as
            await consumed.basic_ack(4711)
        await opened.get()
        await publish(channel, held(2))
        await taken.until(lambda positions: positions == [1, 2])


@pytest.mark.usefixtures("exchange")
async def test_what_is_through_is_acknowledged_while_the_rest_is_in_hand(
    amqp_url: str, channel: AbstractChannel, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given messages that were taken at once, when the process ends in the middle of the second, then the first was
    acknowledged, and does not come again."""
    monkeypatch.setattr("shared.client.consumer.ACKNOWLEDGE_EVERY", 0.0)
    came, put = asyncio.Semaphore(0), Session.put

    async def counted(session: Session, message: DeliveredMessage) -> None:
        await put(session, message)
        came.release()

    monkeypatch.setattr(Session, "put", counted)
    began, go_on = ({2: asyncio.Event(), 4: asyncio.Event()} for _ in range(2))

    @taken.handlers.on("lead.recorded")
    async def block(event: CloudEvent, within: object) -> None:
        began[event.position].set()
        await go_on[event.position].wait()
        taken.positions.append(event.position)

    store = MemoryStore()
    log = [an_event("lead.recorded", {}, position=each) if each in began else held(each) for each in range(1, 6)]
    first = asyncio.create_task(a_consumer(amqp_url, taken, held(1), store=store).run(asyncio.Event()))
    await taken.until(lambda positions: positions == [1])
    await publish(channel, log[1])
    await began[2].wait()
    await publish(channel, *log[2:])
    for _ in log[1:]:
        await came.acquire()
    go_on[2].set()
    await began[4].wait()
    first.cancel()
    await asyncio.wait([first])
    go_on[4].set()
    second = a_consumer(amqp_url, taken, *log, store=store)
    async with consuming(second):
        await taken.until(lambda positions: positions == [1, 2, 3, 4, 5])
    assert second.counts.duplicates == 0


@pytest.mark.usefixtures("exchange")
async def test_what_waits_for_long_goes_back_and_is_not_asked_for_again_before_its_time(
    amqp_url: str,
    channel: AbstractChannel,
    taken: Taken,
    monkeypatch: pytest.MonkeyPatch,
    opened: asyncio.Queue[AbstractConnection],
) -> None:
    """Given that what the handler needs is away for much longer than messages are held, then they go back to their
    queue once, before the broker takes them, and are handled once when it is back."""
    monkeypatch.setattr("shared.client.hand.HOLD", 0.1)
    away, tries = asyncio.Event(), asyncio.Semaphore(0)

    def fail(event: CloudEvent) -> None:
        if event.position > 1 and away.is_set():
            tries.release()
            raise Unavailable("the database")

    taken.fails = fail
    away.set()
    log = [held(1), held(2), held(3)]
    wiring, history = Wiring(amqp_url, "statistics", audit_every=3600), MemoryHistory(log[:1])
    consumer = Consumer(wiring, RULES, taken.handlers, MemoryStore(), history)
    async with consuming(consumer), asyncio.timeout(PATIENCE):
        await taken.until(lambda positions: positions == [1])
        await opened.get()
        history.events += log[1:]
        await publish(channel, *log[1:])
        await opened.get()
        while not tries.locked():
            await tries.acquire()
        for _ in range(4):  # for longer than that
            await tries.acquire()
        assert opened.empty()
        monkeypatch.setattr("shared.client.hand.HOLD", 3600.0)
        away.clear()
        await taken.until(lambda positions: positions == [1, 2, 3])
        await publish(channel, held(4))
        await taken.until(lambda positions: positions == [1, 2, 3, 4])
    assert consumer.counts.duplicates == 1


@pytest.mark.usefixtures("exchange")
async def test_a_delay_in_place_is_waited_out_though_messages_go_back(
    amqp_url: str, channel: AbstractChannel, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a delay that is longer than messages are held, then they go back, and the next attempt is not made earlier
    for that."""
    monkeypatch.setattr("shared.client.hand.HOLD", 0.1)
    tries, waits = [0], asyncio.Queue[float]()
    ends_within = Session.ends_within

    async def noting(session: Session, seconds: float) -> None:
        waits.put_nowait(seconds)
        await ends_within(session, seconds)

    monkeypatch.setattr(Session, "ends_within", noting)

    def fail(event: CloudEvent) -> None:
        if event.position == 2:
            tries[0] += 1
            raise ValueError("for now")

    taken.fails = fail
    rules = replace(RULES, in_order=True, delays=(3600.0,))
    consumer = Consumer(Wiring(amqp_url, "statistics"), rules, taken.handlers, MemoryStore(), MemoryHistory([held(1)]))
    async with consuming(consumer), asyncio.timeout(PATIENCE):
        await taken.until(lambda positions: positions == [1])
        await publish(channel, held(2))
        while await waits.get() < 1000:
            pass
        assert tries == [1]


async def test_what_is_through_is_not_held() -> None:
    """Given a hand that has had its end, when what is to be done besides fails and is begun anew, then it may be, with
    nothing in hand."""
    worker, deliveries = Ended(), Acknowledging()
    message: Any = SimpleNamespace(
        body=b"", delivery_tag=1, header=SimpleNamespace(properties=SimpleNamespace(headers={}))
    )
    hand = Hand(cast("Any", worker), deliveries, [Delivery(message, monotonic())])
    for given in (1, 0):
        await hand.work()
        assert worker.given == given
        await hand.acknowledge()
        assert hand.may_be_held > 0
    assert deliveries.tags == [1]


class Ended:
    """A worker that is through with what it is given."""

    given = 0

    @property
    def ended(self) -> int:
        return self.given

    async def work(self, messages: Sequence[Incoming]) -> None:
        self.given = len(messages)


class Acknowledging:
    def __init__(self) -> None:
        self.tags: list[int] = []

    async def basic_ack(self, tag: int, *, multiple: bool) -> None:
        self.tags.append(tag)
