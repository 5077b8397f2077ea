"""What the fault suite has found, each as small as it can be shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aio_pika import Message as Outgoing
from aiormq.connection import FrameReceiver

from services.command.intake import Intake
from services.command.relay import Relay
from services.projector.live.doorbell import Doorbell, Message
from services.projector.live.mailbox import Delivery, Mailbox, Place
from shared.broker import topology
from shared.broker.connection import told_as_lost
from shared.broker.consuming import consuming
from shared.broker.outgoing import ConnectionLost

PATIENCE = 60.0
"""Seconds after which a test that waits for something gives up."""


@dataclass
class HangsUp:
    """A broker's address at which somebody accepts connections, and closes them during the handshake."""

    url: str
    calls: int = 0
    thrice: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        self.calls += 1
        if self.calls == 3:
            self.thrice.set()


@asynccontextmanager
async def hanging_up() -> AsyncIterator[HangsUp]:
    broker = HangsUp("")
    server = await asyncio.start_server(broker.answer, "127.0.0.1", 0)
    async with server:
        broker.url = f"amqp://guest:guest@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield broker


Run = Callable[[asyncio.Event], Awaitable[None]]


def doorbell(database_url: str, amqp_url: str) -> Run:
    return Doorbell(amqp_url, Mailbox()).run


def relay(database_url: str, amqp_url: str) -> Run:
    class EmptyLog:
        async def read(self, after: int, limit: int) -> list[object]:
            return []

    return Relay(database_url, amqp_url, EmptyLog()).run  # type: ignore[arg-type]


def intake(database_url: str, amqp_url: str) -> Run:
    return Intake(amqp_url, object(), body_limit=1).run  # type: ignore[arg-type]


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has so much to do that the connection's end has arrived before it first looks."""
    get_frame = FrameReceiver.get_frame

    async def look_late(receiver: FrameReceiver) -> object:
        while True:
            if receiver.reader.at_eof() or receiver.reader.exception():
                return await get_frame(receiver)
            await asyncio.sleep(0)

    monkeypatch.setattr(FrameReceiver, "get_frame", look_late)


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("loop", [doorbell, relay, intake])
async def test_a_broker_that_hangs_up_during_the_handshake_is_waited_for(
    loop: Callable[[str, str], Run], database_url: str
) -> None:
    """Given something before the broker that accepts connections and closes them again, when a loop tries to connect,
    then it goes on trying and does not die: the doorbell used to, and took its service's readiness along."""
    async with hanging_up() as broker:
        stop = asyncio.Event()
        running = asyncio.ensure_future(loop(database_url, broker.url)(stop))
        thrice = asyncio.create_task(broker.thrice.wait())
        await asyncio.wait((running, thrice), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        thrice.cancel()
        assert broker.calls >= 3
        assert not running.done()
        stop.set()
        await asyncio.wait_for(running, PATIENCE)


async def test_messages_outlive_their_channel(amqp_url: str) -> None:
    """Given messages in the mailbox, when their connection is lost before they are folded, then they can still be
    folded and acknowledged (in vain: they come again): asking for their channel used to end the projector's loop."""
    mailbox = Mailbox()
    queue, place = topology.TOPOLOGY.queue(topology.PROJECTOR), Place()
    async with consuming(amqp_url, "test", queue, lambda raw: mailbox.put(Message(raw, place)), prefetch=10) as broker:
        connection = await broker.connect()
        async with connection.channel() as channel:
            await topology.declare(channel)
            for body in (b"1", b"2"):
                await channel.default_exchange.publish(Outgoing(body), topology.PROJECTOR)
        await broker.start()
        deliveries: list[Delivery] = []
        async with asyncio.timeout(PATIENCE):
            while len(deliveries) < 2:
                await mailbox.filled()
                deliveries += mailbox.take(10)
    assert [delivery.body for delivery in deliveries] == [b"1", b"2"]
    assert deliveries[0].channel == deliveries[1].channel
    await deliveries[-1].acknowledge()


@pytest.mark.parametrize("error", [Exception(), asyncio.CancelledError(), ConnectionResetError()])
async def test_what_can_not_be_acknowledged_ends_no_loop(error: BaseException) -> None:
    """Given a connection that is lost while the projector acknowledges, which the client library tells by an exception
    of no class, among others, then acknowledging raises nothing: the message comes again."""

    class Lost:
        async def ack(self, *, multiple: bool) -> None:
            raise error

    await Message(Lost(), Place()).acknowledge()  # type: ignore[arg-type]


async def test_a_loss_without_a_name_gets_one() -> None:
    with pytest.raises(ConnectionLost), told_as_lost():
        raise Exception
    with pytest.raises(ValueError, match="ours"), told_as_lost():
        raise ValueError("ours")
