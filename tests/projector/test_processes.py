"""The projector service as processes of its own: killed where it hurts most, and two at a time."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
from aio_pika.abc import AbstractConnection

from deploy.launcher.ports import pick
from shared.domain import interview, seeker
from shared.log import Log
from tests.chaos.processes import ServiceProcess, url_of
from tests.chaos.proxy import Proxy
from tests.projector.conftest import At, assert_equals_a_cold_fold, folder, owning, state, until, until_blocked, write
from tests.projector.firings import ANA, MUCH_LATER, told
from tests.projector.histories import Happening, on
from tests.projector.observed import folded
from tests.projector.test_doorbell import HISTORY, broker, nobody_consumes, publish, waiting

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

__all__ = ["broker"]

FROM_MESSAGES_ALONE = {"KITHLOG_POLL_INTERVAL": "3600", "KITHLOG_FIRE": "false"}
METHOD_FRAME = 1
BASIC_ACK = struct.pack(">HH", 60, 80)


class SeesAcknowledgements(Proxy):
    """A way to the broker that reads along what consumers acknowledge, and may keep it from the broker."""

    def __init__(self, server_url: str, *, keep: bool) -> None:
        super().__init__(server_url)
        self._keep = keep
        self.acknowledged = 0
        """The last message that a consumer acknowledged: the first to come on a channel is 1."""

    async def _onward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Frame by frame: type, channel, size; then the payload, which begins with class and method; then an end."""
        try:
            writer.write(await reader.readexactly(len(b"AMQP0091")))
            while True:
                head = await reader.readexactly(7)
                kind, _, size = struct.unpack(">BHI", head)
                payload = await reader.readexactly(size + 1)
                acknowledges = kind == METHOD_FRAME and payload.startswith(BASIC_ACK)
                if acknowledges:
                    (self.acknowledged,) = struct.unpack_from(">Q", payload, len(BASIC_ACK))
                if not (acknowledges and self._keep):
                    writer.write(head + payload)
                    await writer.drain()
        except asyncio.IncompleteReadError as end:
            raise ConnectionResetError from end


@asynccontextmanager
async def process(
    number: int, database_url: str, way_to_the_broker: Proxy, logs: Path, **settings: str
) -> AsyncIterator[ServiceProcess]:
    """A projector that is being started; killed in the end."""
    port = pick()
    async with Proxy(database_url) as way_to_the_database, Proxy(url_of(port)) as clients:
        service = ServiceProcess(
            "projector", number, port, clients, way_to_the_database, way_to_the_broker, logs, settings
        )
        service.start()
        try:
            yield service
        finally:
            await service.kill()


async def is_ready(service: ServiceProcess) -> bool:
    answer = await service.ask("/readyz")
    return answer is not None and answer.status_code == 200


async def test_killed_between_commit_and_acknowledgement(
    log: Log, database_url: str, amqp_url: str, connection: Connection, broker: AbstractConnection, tmp_path: Path
) -> None:
    """Given a projector that has committed what messages brought, when it is killed before any acknowledgement reached
    the broker, then all messages come again to the next, which folds none of them a second time and acknowledges all.
    """
    async with (
        SeesAcknowledgements(amqp_url, keep=True) as way,
        process(1, database_url, way, tmp_path, **FROM_MESSAGES_ALONE) as first,
    ):
        await until(lambda: is_ready(first))
        events = await write(log, HISTORY)
        await publish(broker, events)
        await until(lambda: folded(connection, len(events)))
        await until(lambda: has_acknowledged(way, 1))
    before = await state(connection)
    await until(lambda: nobody_consumes(broker))
    assert await waiting(broker) == len(events)

    async with (
        SeesAcknowledgements(amqp_url, keep=False) as way,
        process(2, database_url, way, tmp_path, **FROM_MESSAGES_ALONE),
    ):
        await until(lambda: has_acknowledged(way, len(events)))
        await until(lambda: folded(connection, len(events)))
    await until(lambda: nobody_consumes(broker))
    assert await waiting(broker) == 0
    assert await state(connection) == before
    await assert_equals_a_cold_fold(connection, events, folder())


async def has_acknowledged(way: SeesAcknowledgements, number: int) -> bool:
    return way.acknowledged >= number


async def test_two_projectors_race_for_what_is_due(
    log: Log, database_url: str, amqp_url: str, connection: Connection, at: At, tmp_path: Path
) -> None:
    """Given many due timers and two projectors that are at it at the same moment, then each fires or ends once, and
    one event tells of it."""
    lives: list[Happening] = []
    for n in range(12):
        person = UUID(int=100 + n)
        lives.append(on("seeker", person, seeker.Registered(name="Mona", time_zone="Asia/Kolkata")))
        held = interview.Held(seeker_id=person, contact_ids=(ANA,), format="coffee")
        lives.append(on("interview", UUID(int=200 + n), held))
    await write(log, lives)
    await at(MUCH_LATER)

    async with (
        Proxy(amqp_url) as way,
        owning(database_url) as holder,
        owning(database_url) as observer,
        process(1, database_url, way, tmp_path, KITHLOG_FIRING_BATCH="3") as one,
        process(2, database_url, way, tmp_path, KITHLOG_FIRING_BATCH="4") as two,
    ):
        await holder.execute("BEGIN; SELECT 1 FROM log.head FOR UPDATE")
        await until(lambda: is_ready(one))
        await until(lambda: is_ready(two))
        await until(lambda: folded(connection, len(lives)))
        await until_blocked(observer, 2)
        pending = await connection.fetchval("SELECT count(*) FROM read.timer")
        await holder.execute("ROLLBACK")
        await until(lambda: nothing_is_due(connection))
    events = await told(log)
    assert len({event.stream_id for event in events}) == len(events) == pending >= 12 * 3


async def nothing_is_due(connection: Connection) -> bool:
    return not await connection.fetchval("SELECT count(*) FROM read.timer WHERE due_at <= $1", MUCH_LATER)
