"""The consumer on a real broker: its queues, retries, parking, acknowledgements, and its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aio_pika import IncomingMessage
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError
from aiormq.abc import DeliveredMessage

from deploy.launcher.infrastructure import Infrastructure
from shared.broker import topology
from shared.client import (
    CloudEvent,
    Consumer,
    FileStore,
    Forked,
    Incoming,
    Mark,
    MemoryStore,
    Page,
    Park,
    Patterns,
    Rules,
    Unavailable,
    Wiring,
)
from shared.client.connecting import connect
from shared.client.consumer import _Delivery, _Hand, _Session
from shared.client.patterns import EVERYTHING
from shared.client.queues import EXCHANGE, Queues
from shared.client.testing import MemoryHistory, an_event
from shared.client.worker import REPLAY, SUSPICIOUS
from tests.broker import strange
from tests.chaos.processes import consumers
from tests.chaos.proxy import Proxy
from tests.client.messages import PATIENCE, Taken, consuming, messages_of, next_of, publish

RULES = Rules(begin="first", delays=(0.05, 0.1))


def held(position: int, **attributes: Any) -> Incoming:
    return an_event("interview.held", {"minutes": 25}, position=position, **attributes)


@pytest.fixture
def taken() -> Taken:
    return Taken()


@pytest.fixture
async def exchange(channel: AbstractChannel) -> None:
    await channel.declare_exchange(EXCHANGE, "topic", durable=True)


def a_consumer(amqp_url: str, taken: Taken, *log: Incoming, store: MemoryStore | None = None) -> Consumer[None]:
    wiring = Wiring(amqp_url, "statistics", audit_every=0.2)
    return Consumer(wiring, RULES, taken.handlers, store or MemoryStore(), MemoryHistory(log))


def test_the_exchange_is_the_relays() -> None:
    assert topology.EVENTS == EXCHANGE


def test_queues_lose_nothing_unless_they_are_bounded() -> None:
    """Every queue that dead-letters does so without loss; one that drops its oldest dead-letters nothing."""
    unbounded, bounded = (dict(Queues("q", (1, 60), most).declared()) for most in (None, 100))
    assert list(unbounded) == ["q.parked", "q", "q.retry.1000", "q.retry.60000"]
    for arguments in [*unbounded.values(), *bounded.values()]:
        assert arguments["x-queue-type"] == "quorum"
        assert "x-delivery-limit" in arguments
        if "x-dead-letter-exchange" in arguments:
            lossless = (arguments["x-dead-letter-strategy"], arguments["x-overflow"])
            assert lossless == ("at-least-once", "reject-publish")
    assert unbounded["q"]["x-dead-letter-routing-key"] == "q.parked"
    assert bounded["q"]["x-overflow"] == "drop-head"
    assert "x-dead-letter-exchange" not in bounded["q"]


@pytest.mark.usefixtures("exchange")
async def test_a_failing_event_comes_back_and_is_parked_at_last(
    amqp_url: str, channel: AbstractChannel, taken: Taken
) -> None:
    """Given one event that fails once and one that always fails, when their delays are over, then the first is handled,
    the second parked with reason, error and attempts; others did not wait.
    """
    log = [held(1), held(2), held(3)]
    tries: list[int] = []

    def fail(event: CloudEvent) -> None:
        tries.append(event.position)
        if event.position == 2 or (event.position == 1 and tries.count(1) == 1):
            raise LookupError("nothing of that name")

    taken.fails = fail
    async with consuming(a_consumer(amqp_url, taken, *log)):
        await taken.until(lambda positions: set(positions) == {1, 3})
        parked = await next_of(channel, "statistics.parked")
    assert (taken.positions, tries.count(2)) == ([3, 1], 3)
    headers = parked.headers
    assert (headers["reason"], headers["attempts"], headers["position"]) == ("failed", 3, 2)
    assert "nothing of that name" in str(headers["error"])
    assert parked.body == log[1].body


@pytest.mark.usefixtures("exchange")
async def test_a_handler_that_hangs_holds_up_nobody(amqp_url: str, channel: AbstractChannel, taken: Taken) -> None:
    """Given a handler that never comes back from one event, then it is ended, the next is handled, and that event is
    parked after its last attempt.
    """

    @taken.handlers.on("lead.recorded")
    async def hang(event: CloudEvent, within: object) -> None:
        await asyncio.Event().wait()

    log = [an_event("lead.recorded", {}, position=1), held(2)]
    rules = replace(RULES, handler_timeout=0.05)
    consumer = Consumer(Wiring(amqp_url, "statistics"), rules, taken.handlers, MemoryStore(), MemoryHistory(log))
    async with consuming(consumer):
        await taken.until(lambda positions: positions == [2])
        parked = await next_of(channel, "statistics.parked")
    headers = parked.headers
    assert (headers["reason"], headers["attempts"], headers["position"]) == ("failed", 3, 1)
    assert "TimeoutError" in str(headers["error"])


@pytest.mark.usefixtures("exchange")
async def test_what_can_not_be_handled_is_parked_and_the_rest_goes_on(
    amqp_url: str, channel: AbstractChannel, taken: Taken
) -> None:
    """Given messages of every kind that no repetition mends, then each is parked as it came, with its reason, and what
    is behind them is handled.
    """
    unknown = an_event("interview.invented", {}, position=2)
    newer = an_event("interview.held", {}, position=3, version=2)
    bad = [Incoming(b"\x00not JSON"), Incoming(b'{"hello":"world"}'), unknown, newer]
    history = MemoryHistory([held(1)])
    consumer = Consumer(Wiring(amqp_url, "statistics"), RULES, taken.handlers, MemoryStore(), history)
    async with consuming(consumer):
        await taken.until(lambda positions: positions == [1])
        await publish(channel, *bad, held(1), held(4), to="statistics")
        await taken.until(lambda positions: positions == [1, 4])
        parked = await messages_of(channel, "statistics.parked", len(bad))
    assert [each.headers["reason"] for each in parked] == [
        "not_json",
        "not_a_cloudevent",
        "unknown_type",
        "newer_version",
    ]
    assert [each.body for each in parked] == [each.body for each in bad]
    assert consumer.counts.duplicates == 1


@pytest.mark.usefixtures("exchange")
async def test_what_the_client_library_can_not_read_is_brought_to_an_end(
    amqp_url: str, channel: AbstractChannel, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given messages of which aio-pika can't make its own, and which it drops, when others come after them, then none
    was acknowledged unseen: not a replay, which no gap tells of, nor what is no event.
    """
    strange = [Incoming(b"not JSON"), replace(held(1), headers={REPLAY: "after the fix"})]

    class Choosy(IncomingMessage):
        def __init__(self, message: DeliveredMessage, no_ack: bool = False) -> None:
            if message.body in [each.body for each in strange]:
                raise ValueError("3 is not a valid DeliveryMode")
            super().__init__(message, no_ack)

    async with consuming(a_consumer(amqp_url, taken, held(1))):
        await taken.until(lambda positions: positions == [1])
        with monkeypatch.context() as patch:
            patch.setattr("aio_pika.queue.IncomingMessage", Choosy)
            await publish(channel, *strange, held(2), to="statistics")
            await taken.until(lambda positions: positions[-1] == 2)
        parked = await next_of(channel, "statistics.parked")
    assert (taken.positions, parked.headers["reason"]) == ([1, 1, 2], "not_json")


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("name", strange.HEADERS)
async def test_headers_that_can_not_be_sent_again_hold_up_nobody(
    amqp_url: str, channel: AbstractChannel, taken: Taken, name: str
) -> None:
    """Given headers that the client library reads and does not write, or that fill a frame, on what has to be parked
    and on what fails, then the one is parked and the other handled when it comes again; what they were is told."""
    tries: list[int] = []

    def fail(event: CloudEvent) -> None:
        tries.append(event.position)
        if tries.count(2) == 1:
            raise LookupError

    taken.fails = fail
    async with consuming(a_consumer(amqp_url, taken, held(1))):
        await taken.until(lambda positions: positions == [1])
        await strange.publish(channel, "statistics", strange.HEADERS[name], b"no JSON")
        await strange.publish(channel, "statistics", strange.HEADERS[name], held(2).body)
        parked = await next_of(channel, "statistics.parked")
        await taken.until(lambda positions: positions == [1, 2])
    assert (parked.headers["reason"], parked.body, tries) == ("not_json", b"no JSON", [1, 2, 2])
    assert str(parked.headers["unsendable"]).startswith("{'odd': ")


@pytest.mark.usefixtures("exchange")
async def test_what_a_handler_says_is_told_whatever_letters_it_quotes(
    amqp_url: str, channel: AbstractChannel, taken: Taken
) -> None:
    """Given a handler that parks an event and quotes half a character, then it is parked."""

    def park(event: CloudEvent) -> None:
        if event.position == 1:
            raise Park("bad", "its name is \ud83d")

    taken.fails = park
    async with consuming(a_consumer(amqp_url, taken, held(1), held(2))):
        await taken.until(lambda positions: positions == [2])
        parked = await next_of(channel, "statistics.parked")
    assert (parked.headers["reason"], parked.headers["error"]) == ("bad", "its name is ?")


@pytest.mark.usefixtures("exchange")
async def test_a_parked_event_can_be_given_again(amqp_url: str, channel: AbstractChannel, taken: Taken) -> None:
    """Given an event that the handler of this release can take, when it is published with `replay`, then it is."""
    async with consuming(a_consumer(amqp_url, taken, held(1), held(2))):
        await taken.until(lambda positions: positions == [1, 2])
        await publish(channel, replace(held(1), headers={REPLAY: "after the fix"}), to="statistics")
        await taken.until(lambda positions: positions == [1, 2, 1])


class Slow:
    """Handles `lead.recorded` once it may go on."""

    def __init__(self, taken: Taken) -> None:
        self.began, self.go_on, self._taken = asyncio.Event(), asyncio.Event(), taken
        taken.handlers.on("lead.recorded")(self._take)

    async def _take(self, event: CloudEvent, within: object) -> None:
        self.began.set()
        await self.go_on.wait()
        self._taken.positions.append(event.position)


@pytest.mark.usefixtures("exchange")
async def test_stopping_leaves_nothing_half_done(amqp_url: str, channel: AbstractChannel, taken: Taken) -> None:
    """Given a handler in the middle of an event, when the consumer is told to stop, then that event is finished and
    acknowledged, and those behind it stay in the queue for the next process.
    """
    handler, stop = Slow(taken), asyncio.Event()
    store = MemoryStore()
    slow = an_event("lead.recorded", {}, position=2)
    consumer = a_consumer(amqp_url, taken, held(1), store=store)
    running = asyncio.create_task(consumer.run(stop))
    await taken.until(lambda positions: positions == [1])
    await publish(channel, slow)
    await handler.began.wait()
    await publish(channel, held(3))
    stop.set()
    handler.go_on.set()
    await running
    assert taken.positions == [1, 2]
    async with consuming(a_consumer(amqp_url, taken, held(1), slow, store=store)):
        await taken.until(lambda positions: positions == [1, 2, 3])


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("of", ["messages", "history", "what was lost"])
async def test_stopping_does_not_wait_for_all_that_is_there(
    amqp_url: str, channel: AbstractChannel, taken: Taken, of: str
) -> None:
    """Given many events in hand, as one delivery, as one page of the history or because they were put aside and lost,
    when the consumer is told to stop during the first, then that is finished, and the others are the next process's."""
    handler, stop = Slow(taken), asyncio.Event()
    store, slow = MemoryStore(), an_event("lead.recorded", {}, position=2)
    async with consuming(a_consumer(amqp_url, taken, held(1), store=store)):
        await taken.until(lambda positions: positions == [1])
    if of == "messages":
        await publish(channel, slow, held(3))
    if of == "what was lost":
        assert store.mark is not None
        store.mark = store.mark.put_aside(2, 1, attempts=1).put_aside(3, 2, attempts=1)
    running = asyncio.create_task(a_consumer(amqp_url, taken, held(1), slow, held(3), store=store).run(stop))
    await handler.began.wait()
    stop.set()
    handler.go_on.set()
    await running
    assert taken.positions == [1, 2]
    async with consuming(a_consumer(amqp_url, taken, held(1), slow, held(3), store=store)):
        await taken.until(lambda positions: positions == [1, 2, 3])


@pytest.mark.usefixtures("exchange")
async def test_a_consumer_that_the_broker_has_ended_begins_again(
    amqp_url: str, channel: AbstractChannel, taken: Taken, infra: Infrastructure
) -> None:
    """Given two processes of one consumer, neither of which looks at the history for long, when somebody deletes their
    queue and it is there again before they look, then both listen to it: the broker has told them."""
    wiring = Wiring(amqp_url, "statistics", audit_every=3600)
    store, history = MemoryStore(), MemoryHistory([held(1)])

    def process() -> Consumer[None]:
        return Consumer(wiring, RULES, taken.handlers, store, history)

    async with consuming(process()), consuming(process()):
        await taken.until(lambda positions: positions == [1])
        await _listen(infra, amqp_url, 2)
        await channel.queue_delete("statistics")
        await _listen(infra, amqp_url, 2)
        history.events.append(held(2))
        await publish(channel, held(2))
        await taken.until(lambda positions: positions == [1, 2])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[AbstractConnection]:
    """The connections of consumers."""
    connections: asyncio.Queue[AbstractConnection] = asyncio.Queue()

    async def opening(url: str) -> AbstractConnection:
        connections.put_nowait(connection := await connect(url))
        return connection

    monkeypatch.setattr("shared.client.consumer.connect", opening)
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
        await _listen(infra, amqp_url, 1)
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
    came, put = asyncio.Semaphore(0), _Session.put

    async def counted(session: _Session, message: DeliveredMessage) -> None:
        await put(session, message)
        came.release()

    monkeypatch.setattr(_Session, "put", counted)
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
    monkeypatch.setattr("shared.client.consumer.HOLD", 0.1)
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
        monkeypatch.setattr("shared.client.consumer.HOLD", 3600.0)
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
    monkeypatch.setattr("shared.client.consumer.HOLD", 0.1)
    tries, waits = [0], asyncio.Queue[float]()
    ends_within = _Session.ends_within

    async def noting(session: _Session, seconds: float) -> None:
        waits.put_nowait(seconds)
        await ends_within(session, seconds)

    monkeypatch.setattr(_Session, "ends_within", noting)

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
    hand = _Hand(cast("Any", worker), deliveries, [_Delivery(message, monotonic())])
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


@pytest.mark.usefixtures("exchange")
async def test_who_starts_beside_a_busy_process_leaves_its_work_to_it(
    amqp_url: str, channel: AbstractChannel, taken: Taken, infra: Infrastructure
) -> None:
    """Given a process in the middle of an event, which waits in no queue any more, when another one starts, then it
    does not take that event for lost."""
    handler, store = Slow(taken), MemoryStore()
    history = MemoryHistory([held(1)])

    def process() -> Consumer[None]:
        return Consumer(Wiring(amqp_url, "statistics"), RULES, taken.handlers, store, history)

    async with consuming(process()):
        await taken.until(lambda positions: positions == [1])
        history.events.append(an_event("lead.recorded", {}, position=2))
        await publish(channel, history.events[1])
        await handler.began.wait()
        handler.began.clear()
        async with consuming(process()):
            listening, twice = (
                asyncio.create_task(_listen(infra, amqp_url, 2)),
                asyncio.create_task(handler.began.wait()),
            )
            await asyncio.wait([listening, twice], return_when=asyncio.FIRST_COMPLETED)
            listening.cancel()
            handler.go_on.set()
            assert not twice.done()
            twice.cancel()
    assert ((store.mark or Mark()).begun, taken.positions) == ({}, [1, 2])


@pytest.mark.usefixtures("exchange")
async def test_who_takes_over_from_another_process_gets_back_what_the_broker_has_lost(
    amqp_url: str, channel: AbstractChannel, taken: Taken, infra: Infrastructure
) -> None:
    """Given a process that started beside another one, and an event put aside that the broker loses, when the other one
    ends and something is brought to this one, then the event is handled, though neither looks at the history for long.
    """
    wiring, rules = Wiring(amqp_url, "statistics", audit_every=3600), replace(RULES, delays=(600,))
    store, history = MemoryStore(), MemoryHistory([])

    def fail(event: CloudEvent) -> None:
        if event.position == 1:
            raise LookupError

    def process() -> Consumer[None]:
        return Consumer(wiring, rules, taken.handlers, store, history)

    taken.fails = fail
    async with AsyncExitStack() as stack:
        async with consuming(process()):
            await _listen(infra, amqp_url, 1)
            history.events += [held(1), held(2)]
            await publish(channel, *history.events)
            await taken.until(lambda positions: positions == [2])
            await stack.enter_async_context(consuming(process()))
            await _listen(infra, amqp_url, 2)
        await (await channel.get_queue("statistics.retry.600000")).purge()
        taken.fails = lambda event: None
        history.events.append(held(3))
        await publish(channel, held(3))
        await taken.until(lambda positions: 3 in positions)
        assert taken.positions == [2, 1, 3]


@pytest.mark.usefixtures("exchange")
async def test_who_takes_over_takes_nothing_for_lost_that_is_on_its_way_back(
    amqp_url: str, channel: AbstractChannel, taken: Taken, infra: Infrastructure
) -> None:
    """Given two events put aside, of which one comes back from its delay to the process that takes over, then the other
    one is not tried before its delay is over."""
    wiring, rules = Wiring(amqp_url, "statistics", audit_every=3600), replace(RULES, delays=(600,))
    store, history, delayed = MemoryStore(), MemoryHistory([held(1), held(2)]), "statistics.retry.600000"

    def fail(event: CloudEvent) -> None:
        raise LookupError

    def process() -> Consumer[None]:
        return Consumer(wiring, rules, taken.handlers, store, history)

    taken.fails = fail
    async with AsyncExitStack() as stack:
        async with consuming(process()):
            await _listen(infra, amqp_url, 1)
            first, second = await messages_of(channel, delayed, 2)
            await stack.enter_async_context(consuming(process()))
            await _listen(infra, amqp_url, 2)
        taken.fails = lambda event: None
        for message, queue in ((first, delayed), (second, "statistics")):
            await publish(channel, Incoming(message.body, dict(message.headers)), to=queue)
        history.events.append(held(3))
        await publish(channel, held(3))
        await taken.until(lambda positions: 3 in positions)
        assert taken.positions == [2, 3]


class Asked(MemoryHistory):
    """Tells how often it is asked."""

    def __init__(self, *log: Incoming) -> None:
        super().__init__(log)
        self._times, self._asked = 0, asyncio.Event()

    async def page(self, after: int, limit: int = 500, wanted: Patterns = EVERYTHING) -> Page:
        self._times += 1
        self._asked.set()
        return await super().page(after, limit, wanted)

    async def again(self, times: int) -> None:
        """Until it was asked so often from now on."""
        enough = self._times + times
        async with asyncio.timeout(PATIENCE):
            while self._times < enough:
                self._asked.clear()
                await self._asked.wait()


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("in_order", [False, True])
async def test_who_stands_by_does_not_begin_what_the_other_has_in_hand(
    amqp_url: str, channel: AbstractChannel, taken: Taken, infra: Infrastructure, in_order: bool
) -> None:
    """Given a process in the middle of an event, or waiting for its next attempt in place, when another one looks at
    the history again and again, then it leaves that event to the first."""
    tries, began, go_on = 0, asyncio.Event(), asyncio.Event()

    @taken.handlers.on("lead.recorded")
    async def take(event: CloudEvent, within: object) -> None:
        nonlocal tries
        tries += 1
        began.set()
        if in_order:
            raise LookupError
        if tries == 1:
            await go_on.wait()

    store, rules = MemoryStore(), replace(RULES, in_order=in_order, delays=(3600,))
    history = Asked(held(1))

    def process(audit_every: float, log: MemoryHistory) -> Consumer[None]:
        wiring = Wiring(amqp_url, "statistics", audit_every=audit_every)
        return Consumer(wiring, rules, taken.handlers, store, log)

    async with consuming(process(3600, MemoryHistory([held(1)]))):
        await taken.until(lambda positions: positions == [1])
        await _listen(infra, amqp_url, 1)
        async with consuming(process(0.05, history)):
            await history.again(3)
            event = an_event("lead.recorded", {}, position=2)
            await publish(channel, event)
            await began.wait()
            history.events.append(event)
            await history.again(10)
            go_on.set()
    assert tries == 1


@pytest.mark.usefixtures("exchange")
async def test_two_processes_that_are_brought_nothing_miss_nothing(amqp_url: str, taken: Taken) -> None:
    """Given two processes, to neither of which the broker brings anything, then what is recorded is handled."""
    store, history = MemoryStore(), MemoryHistory([held(1)])
    wiring, rules = Wiring(amqp_url, "statistics", audit_every=0.05), replace(RULES, handler_timeout=0.1)

    def process() -> Consumer[None]:
        return Consumer(wiring, rules, taken.handlers, store, history)

    async with consuming(process()), consuming(process()):
        await taken.until(lambda positions: positions == [1])
        history.events.append(held(2))
        await taken.until(lambda positions: positions == [1, 2])


async def _listen(infra: Infrastructure, amqp_url: str, processes: int) -> None:
    """Until the queue has so many consumers, those included that wait for their turn."""
    async with asyncio.timeout(PATIENCE):
        while (await consumers(infra.rabbitmq, amqp_url))["statistics"] != processes:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


@pytest.mark.usefixtures("exchange")
async def test_an_event_that_ends_its_process_each_time_is_parked(
    amqp_url: str, channel: AbstractChannel, taken: Taken
) -> None:
    """Given an event during which the process ends whenever it is handled, when new processes have tried as often as is
    allowed, then it is parked, and the one behind it is handled.
    """
    began = asyncio.Event()

    @taken.handlers.on("lead.recorded")
    async def never_ends(event: CloudEvent, within: object) -> None:
        began.set()
        await asyncio.Event().wait()

    store, history = MemoryStore(), MemoryHistory([held(1)])
    wiring = Wiring(amqp_url, "statistics")

    async def process() -> None:
        await Consumer(wiring, RULES, taken.handlers, store, history).run(asyncio.Event())

    first = asyncio.create_task(process())
    await taken.until(lambda positions: positions == [1])
    await publish(channel, an_event("lead.recorded", {}, position=2), held(3))
    ended = 0
    while not first.done():
        trying, handled = asyncio.create_task(began.wait()), asyncio.create_task(taken.until(lambda them: 3 in them))
        await asyncio.wait([trying, handled], return_when=asyncio.FIRST_COMPLETED)
        for each in (first, trying, handled):
            each.cancel()
        await asyncio.gather(first, trying, handled, return_exceptions=True)
        if began.is_set():
            began.clear()
            ended += 1
            first = asyncio.create_task(process())
    parked = await next_of(channel, "statistics.parked")
    assert (parked.headers["reason"], parked.headers["position"]) == ("no_answer", 2)
    assert taken.positions == [1, 3]
    assert ended == SUSPICIOUS + len(RULES.delays) + 1


async def test_a_fork_ends_the_consumer(amqp_url: str, taken: Taken) -> None:
    """Given a log that ends before what the consumer has seen, then `run` raises, and does not try for ever."""
    store = MemoryStore()
    async with consuming(a_consumer(amqp_url, taken, held(1), held(2), store=store)):
        await taken.until(lambda positions: positions == [1, 2])
    with pytest.raises(Forked):
        await a_consumer(amqp_url, taken, held(1), store=store).run(asyncio.Event())


async def test_a_wiped_broker_is_set_up_again_and_nothing_is_lost(
    infra: Infrastructure, amqp_url: str, safe_broker: Callable[[], Awaitable[None]], taken: Taken
) -> None:
    """Given an event that waits for its next attempt, when the broker loses everything, then that event and those
    recorded meanwhile are read from the history.
    """
    failing = asyncio.Event()

    def fail(event: CloudEvent) -> None:
        if event.position == 1 and not failing.is_set():
            raise LookupError

    taken.fails = fail
    history = MemoryHistory([held(1), held(2)])
    wiring = Wiring(amqp_url, "statistics", audit_every=0.2)
    rules = replace(RULES, delays=(3600,))
    async with consuming(Consumer(wiring, rules, taken.handlers, MemoryStore(), history)):
        await taken.until(lambda positions: positions == [2])
        failing.set()
        await asyncio.to_thread(infra.rabbitmq.wipe)
        history.events.append(held(3))
        await asyncio.to_thread(infra.rabbitmq.start)
        await taken.until(lambda positions: sorted(positions) == [1, 2, 3])


@pytest.mark.usefixtures("exchange")
async def test_queues_that_are_there_and_have_lost_what_was_put_aside(
    amqp_url: str, channel: AbstractChannel, taken: Taken
) -> None:
    """Given a broker that was set up again from its definitions, or by a process that ended right then, and has brought
    a new event since, when the consumer starts, then the event that waited for its next attempt is handled, and the
    new one.
    """
    for name, arguments in Queues("statistics", RULES.delays).declared():
        await channel.declare_queue(name, durable=True, arguments=dict(arguments))
    await publish(channel, held(3), to="statistics")
    store = MemoryStore(Mark(epoch=1, proven=2, begun={1: 1}))
    async with consuming(a_consumer(amqp_url, taken, held(1), held(2), held(3), store=store)):
        await taken.until(lambda positions: positions == [1, 3])


@pytest.mark.usefixtures("exchange")
async def test_what_was_put_aside_and_lost_is_found_while_the_connection_lasts(
    amqp_url: str, channel: AbstractChannel, taken: Taken
) -> None:
    """Given an event that waits for its next attempt, when somebody purges the queue that it waits in, then it is
    handled, though no connection is lost and nothing new comes."""
    failing = asyncio.Event()

    def fail(event: CloudEvent) -> None:
        if event.position == 1 and not failing.is_set():
            raise LookupError

    taken.fails = fail
    wiring, rules = Wiring(amqp_url, "statistics", audit_every=0.1), replace(RULES, delays=(3600,))
    history = MemoryHistory([held(1), held(2), held(3)])
    async with consuming(Consumer(wiring, rules, taken.handlers, MemoryStore(), history)):
        await taken.until(lambda positions: positions == [2, 3])
        # A process that is brought nothing stands by, and leaves this to the one that works.
        await publish(channel, held(3), to="statistics")
        failing.set()
        for name, _ in Queues("statistics", rules.delays).declared():
            if name not in ("statistics", "statistics.parked"):
                await (await channel.get_queue(name)).purge()
        await taken.until(lambda positions: positions == [2, 3, 1])


@pytest.mark.usefixtures("exchange")
async def test_what_still_waits_in_the_broker_is_left_there(
    amqp_url: str, channel: AbstractChannel, taken: Taken
) -> None:
    """Given an event that waits for its next attempt, when another process starts, then it is not tried before."""

    def fail(event: CloudEvent) -> None:
        if event.position == 1 and not taken.positions:
            raise LookupError

    taken.fails = fail
    store, rules = MemoryStore(), replace(RULES, delays=(3600,))
    wiring, history = Wiring(amqp_url, "statistics"), MemoryHistory([held(1), held(2)])
    async with consuming(Consumer(wiring, rules, taken.handlers, store, history)):
        await taken.until(lambda positions: positions == [2])
    async with consuming(Consumer(wiring, rules, taken.handlers, store, history)):
        await publish(channel, held(3))
        await taken.until(lambda positions: 3 in positions)
    assert taken.positions == [2, 3]


@pytest.mark.usefixtures("exchange")
async def test_a_queue_that_was_deleted_is_declared_again(
    amqp_url: str, channel: AbstractChannel, taken: Taken
) -> None:
    """Given an event that waits for its next attempt, when somebody deletes the consumer's queues under it, then they
    are there again, that event is handled, and so is what comes after.
    """
    failing = asyncio.Event()

    def fail(event: CloudEvent) -> None:
        if event.position == 1 and not failing.is_set():
            raise LookupError

    taken.fails = fail
    history = MemoryHistory([held(1), held(2)])
    wiring, rules = Wiring(amqp_url, "statistics", audit_every=0.2), replace(RULES, delays=(3600,))
    async with consuming(Consumer(wiring, rules, taken.handlers, MemoryStore(), history)):
        await taken.until(lambda positions: positions == [2])
        failing.set()
        await channel.queue_delete("statistics.retry.3600000")
        await channel.queue_delete("statistics")
        await taken.until(lambda positions: positions == [2, 1])
        history.events.append(held(3))
        await publish(channel, held(3))
        await taken.until(lambda positions: positions == [2, 1, 3])


@pytest.mark.parametrize("deleted", ["statistics.parked", "statistics.retry.50"])
@pytest.mark.usefixtures("exchange")
async def test_a_queue_beside_it_that_was_deleted_is_declared_again(
    amqp_url: str, channel: AbstractChannel, taken: Taken, deleted: str
) -> None:
    """Given that somebody deletes the queue of what is parked, or of what comes again, when an event fails that must
    go there, then the queue is there again, that event goes there, and what is behind it is handled.
    """
    tries = 0

    def fail(event: CloudEvent) -> None:
        nonlocal tries
        tries += event.position == 2
        if event.position == 2 and deleted == "statistics.parked":
            raise Park("bad")
        if event.position == 2 and tries <= 2:
            raise LookupError

    taken.fails = fail
    history = MemoryHistory([held(1)])
    wiring = Wiring(amqp_url, "statistics", audit_every=0.2)
    async with consuming(Consumer(wiring, RULES, taken.handlers, MemoryStore(), history)):
        await taken.until(lambda positions: positions == [1])
        await channel.queue_delete(deleted)
        history.events += [held(2), held(3)]
        await publish(channel, held(2), held(3))
        if deleted == "statistics.parked":
            await taken.until(lambda positions: positions == [1, 3])
            assert (await next_of(channel, deleted)).headers["reason"] == "bad"
        else:
            await taken.until(lambda positions: set(positions) == {1, 2, 3})


@pytest.mark.usefixtures("exchange")
async def test_a_connection_that_falls_silent_is_opened_again(
    amqp_url: str, channel: AbstractChannel, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a broker that says nothing any more, when the heartbeat has found that out while the consumer waits for an
    answer, then the consumer goes on over another connection: nobody has told it to end.
    """
    monkeypatch.setattr("shared.client.connecting.HEARTBEAT", 1)
    opening: asyncio.Queue[None] = asyncio.Queue()

    async def begin(url: str) -> AbstractConnection:
        opening.put_nowait(None)
        return await connect(url)

    monkeypatch.setattr("shared.client.consumer.connect", begin)
    async with Proxy(amqp_url) as way, asyncio.timeout(PATIENCE):
        wiring, history = Wiring(way.url, "statistics", audit_every=0.2), MemoryHistory([held(1)])
        async with consuming(Consumer(wiring, RULES, taken.handlers, MemoryStore(), history)):
            await taken.until(lambda positions: positions == [1])
            await opening.get()
            way.silence()
            await opening.get()
            way.heal()
            await publish(channel, held(2))
            await taken.until(lambda positions: positions == [1, 2])


def test_a_file_keeps_the_mark_for_one_process(tmp_path: Path) -> None:
    """Given a saved mark, then the next process finds it; a second process beside it is refused the file."""
    path = tmp_path / "mark.json"

    async def save() -> None:
        store = FileStore(path)
        mark = (await store.load()) or Mark(epoch=1)
        async with store.unit() as unit:
            await unit.save(mark.after(mark.proven + 1, mark.proven).saved())
        with pytest.raises(BlockingIOError):
            FileStore(path)
        store.close()

    asyncio.run(save())
    asyncio.run(save())
    kept = json.loads(path.read_text())
    assert (kept["proven"], kept["saves"]) == (2, 2)
