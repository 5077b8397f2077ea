"""The consumer on a real broker: its queues, retries, parking, and its end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from aio_pika import IncomingMessage
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import DeliveredMessage

from deploy.launcher.infrastructure import Infrastructure
from shared.broker import topology
from shared.client import CloudEvent, Consumer, FileStore, Forked, Incoming, Mark, MemoryStore, Park, Wiring
from shared.client.connecting import connect
from shared.client.message import REPLAY
from shared.client.queues import EXCHANGE, Queues
from shared.client.testing import MemoryHistory, an_event
from shared.client.worker import SUSPICIOUS
from tests.broker import strange
from tests.chaos.proxy import Proxy
from tests.client.disk import safely_renamed, watched
from tests.client.messages import (
    PATIENCE,
    RULES,
    Slow,
    Taken,
    a_consumer,
    consuming,
    held,
    listen,
    messages_of,
    next_of,
    publish,
)


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
    and on what fails, then the one is parked and the other handled when it comes again; what they were is told.

    The second event is of no log: whoever looked would find that it ends before that."""
    tries: list[int] = []

    def fail(event: CloudEvent) -> None:
        tries.append(event.position)
        if tries.count(2) == 1:
            raise LookupError

    taken.fails = fail
    async with consuming(a_consumer(amqp_url, taken, held(1), audit_every=3600)):
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
        await listen(infra, amqp_url, 2)
        await channel.queue_delete("statistics")
        await listen(infra, amqp_url, 2)
        history.events.append(held(2))
        await publish(channel, held(2))
        await taken.until(lambda positions: positions == [1, 2])


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
async def test_while_the_broker_takes_nothing_it_is_answered_and_the_consumer_can_be_stopped(
    infra: Infrastructure, amqp_url: str, channel: AbstractChannel, taken: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a broker that is short of disk, and so reads nothing of a connection that publishes, when an event fails,
    then those before it are acknowledged, and the consumer ends when it is told to: the failed one comes again.
    """
    monkeypatch.setattr("shared.client.consumer.ACKNOWLEDGE_EVERY", 0.1)
    monkeypatch.setattr("shared.client.consumer.CONFIRMED_WITHIN", 0.1)
    failed = asyncio.Event()

    def fail(event: CloudEvent) -> None:
        if event.position == 2:
            failed.set()
            raise LookupError

    taken.fails = fail
    for name, arguments in Queues("statistics", RULES.delays).declared():
        await channel.declare_queue(name, durable=True, arguments=dict(arguments))
    await publish(channel, held(1), held(2), held(3), to="statistics")
    await asyncio.to_thread(infra.rabbitmq.ctl, "set_disk_free_limit", "1000000GB")
    try:
        async with asyncio.timeout(PATIENCE):
            async with consuming(a_consumer(amqp_url, taken, held(1), held(2), held(3))):
                await failed.wait()
            queue = await channel.get_queue("statistics")
            while queue.declaration_result.message_count != 2:
                await asyncio.sleep(0.05)  # the broker has yet to see that it ended
                queue = await channel.get_queue("statistics")
    finally:
        await asyncio.to_thread(infra.rabbitmq.ctl, "set_disk_free_limit", "200MB")
    assert taken.positions == [1]


@pytest.mark.usefixtures("exchange")
async def test_a_consumer_needs_no_right_to_declare_the_exchange(
    infra: Infrastructure, amqp_url: str, channel: AbstractChannel, taken: Taken
) -> None:
    """Given a user with the rights that are told in the README but for one, then the consumer says in the log that it
    is not let, and not that RabbitMQ is away; once it has that, too, what fails comes again.
    """

    def allow(write: str) -> None:
        vhost = urlsplit(amqp_url).path.removeprefix("/")
        rights = (r"^statistics(\..*)?$", write, r"^(kithlog\.events|statistics(\..*)?)$")
        infra.rabbitmq.ctl("set_permissions", "-p", vhost, "small", *rights)

    told, said = asyncio.Event(), list[str]()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())
            told.set()

    listener, log = Listener(logging.WARNING), logging.getLogger("shared.client.consumer")
    log.addHandler(listener)

    def fail(event: CloudEvent) -> None:
        if not failed:
            failed.append(event.position)
            raise LookupError

    failed: list[int] = []
    taken.fails = fail
    await asyncio.to_thread(infra.rabbitmq.ctl, "add_user", "small", "small")
    try:
        await asyncio.to_thread(allow, r"^statistics(\..*)?$")
        url = urlsplit(amqp_url)
        small = urlunsplit(url._replace(netloc=f"small:small@{url.netloc.rpartition('@')[2]}"))
        async with consuming(a_consumer(small, taken, held(1))):
            async with asyncio.timeout(PATIENCE):
                await told.wait()
            assert said[0].startswith("RabbitMQ does not let this user")
            await asyncio.to_thread(allow, r"^(amq\.default|statistics(\..*)?)$")
            await taken.until(lambda positions: positions == [1])
    finally:
        log.removeHandler(listener)
        await asyncio.to_thread(infra.rabbitmq.ctl, "delete_user", "small")


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

    monkeypatch.setattr("shared.client.session.connect", begin)
    async with Proxy(amqp_url) as way, asyncio.timeout(PATIENCE):
        wiring, history = Wiring(way.url, "statistics", audit_every=0.2), MemoryHistory([held(1)])
        async with consuming(Consumer(wiring, RULES, taken.handlers, MemoryStore(), history)):
            await taken.until(lambda positions: positions == [1])
            for _ in ("to publish", "to take messages"):
                await opening.get()
            while not opening.empty():  # of one that was lost before, all being slow
                opening.get_nowait()
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


async def test_a_mark_in_a_file_is_on_disk_before_it_replaces_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a mark that is saved, then a power cut leaves it or the one before, whole; and it, once that is told."""
    path = tmp_path / "mark.json"
    store = FileStore(path)
    mark = Mark(epoch=1)
    for _ in range(2):
        mark = mark.saved()
        with monkeypatch.context() as patched:
            steps = watched(patched)
            async with store.unit() as unit:
                await unit.save(mark)
        assert steps == safely_renamed(path)
    store.close()
