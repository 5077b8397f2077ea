"""Messages that break what takes them: each is put aside, and none that lies beside it suffers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from structlog.testing import capture_logs

from services.command import intake
from services.command.executor import Executor
from services.command.intake import Intake
from shared.broker.outgoing import ConnectionLost
from shared.broker.properties import UNREADABLE
from shared.broker.topology import COMMANDS, DEAD_COMMANDS
from shared.command_envelope import CommandEnvelope
from shared.log import Appended, Log
from tests.broker import strange
from tests.broker.events import reached, running, taken
from tests.broker.senders import Scripted, Sender, die_holding, holds, is_empty, registration

PERSISTENT = b"\x10\x00\x02"
STRANGE = {
    "twice, then nested": (PERSISTENT, b'[{"a":1,"a":2},' + b"[" * 2_000, "malformed_json"),
    "half a pair as key": (PERSISTENT, rb'{"\ud800":1}', "malformed_json"),
    **{name: (properties, b"no json", "malformed_json") for name, properties in strange.HEADERS.items()},
    **{
        name: (properties, json.dumps(registration(13)).encode(), "unreadable_properties")
        for name, properties in strange.PROPERTIES.items()
    },
}


@pytest.mark.parametrize(("properties", "body", "reason"), STRANGE.values(), ids=STRANGE)
async def test_it_alone_is_parked(
    amqp_url: str,
    sender: Sender,
    executor: Executor,
    log: Log,
    channel: AbstractChannel,
    properties: bytes,
    body: bytes,
    reason: str,
) -> None:
    """Given a message at fault among others, and nobody to tell, then it is parked as it was, with the reason, and
    nothing begins again."""
    await sender.send(registration(1), reply=False)
    await strange.publish(channel, COMMANDS, properties, body)
    await sender.send(registration(2), reply=False)
    with capture_logs() as lines:
        async with running(Intake(amqp_url, executor)):
            await reached(lambda: holds(log, 2))
            parked = await taken(channel, DEAD_COMMANDS)

    assert (parked.body, parked.headers["kithlog-reason"]) == (body, reason)
    assert await is_empty(channel, COMMANDS)
    assert await is_empty(channel, DEAD_COMMANDS)
    assert "intake begins again" not in [line["event"] for line in lines]


@pytest.mark.parametrize("name", strange.HEADERS)
async def test_headers_that_can_not_be_sent_again_are_told(
    amqp_url: str, sender: Sender, executor: Executor, channel: AbstractChannel, name: str
) -> None:
    """Given a message to be parked whose own headers can't be sent again, then they are told as text."""
    await strange.publish(channel, COMMANDS, strange.HEADERS[name], b"no json")
    async with running(Intake(amqp_url, executor)):
        parked = await taken(channel, DEAD_COMMANDS)

    told = parked.headers["kithlog-headers"]
    assert isinstance(told, str)
    assert told.startswith("{'odd': ")


async def test_properties_that_can_not_be_read_are_told(
    amqp_url: str, sender: Sender, executor: Executor, channel: AbstractChannel
) -> None:
    """Given a message whose properties can't be read, then what was wrong with them is told."""
    await strange.publish(channel, COMMANDS, strange.correlation_id(b"\xff"), b"{}")
    async with running(Intake(amqp_url, executor)):
        parked = await taken(channel, DEAD_COMMANDS)

    assert "invalid start byte" in str(parked.headers["kithlog-detail"])
    assert UNREADABLE in dict(parked.headers["kithlog-headers"])  # type: ignore[arg-type]


CULPRIT = registration(7)


class Breaking(Intake):
    """Its connection ends as soon as a certain command is taken."""

    most = 0
    """Deliveries of any other command that did not count for it."""

    async def _settle(self, broker: Any, batch: Sequence[AbstractIncomingMessage], stop: asyncio.Event) -> bool:
        if any(json.loads(message.body) == CULPRIT for message in batch):
            raise ConnectionLost("for a reason that nobody has thought of")
        counts: list[Any] = [(message.headers or {}).get("x-delivery-count", 0) for message in batch]
        self.most = max(self.most, *counts)
        return await super()._settle(broker, batch, stop)


async def test_what_ends_every_connection_takes_none_along(
    amqp_url: str, sender: Sender, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an intake that has settled commands, and one that ends every connection among many that were delivered with
    it, then the broker dead-letters that one, and the others are executed, having come five times at most: with the
    three connections that it ends before it goes alone, and with the one on which that is seen."""
    monkeypatch.setattr(intake, "LONGEST_PAUSE", 0.05)
    breaking = Breaking(amqp_url, Scripted())
    async with running(breaking):
        await sender.send(registration(100))
        await sender.answer()
        for number in range(1, 31):
            await sender.send(registration(number))
        await sender.answer(30)
        dead = await taken(channel, DEAD_COMMANDS)

    assert json.loads(dead.body) == CULPRIT
    deaths: Any = dead.headers["x-death"]
    assert [death["reason"] for death in deaths] == ["delivery_limit"]
    assert breaking.most <= 4
    assert await is_empty(channel, COMMANDS)
    assert await is_empty(channel, DEAD_COMMANDS)


class Watched(Intake):
    """Tells what is delivered and not taken yet."""

    waiting: asyncio.Queue[AbstractIncomingMessage]

    async def _work(self, broker: Any, waiting: Any, *more: Any) -> None:
        self.waiting = waiting
        await super()._work(broker, waiting, *more)


class First(Scripted):
    """Executes the first batch when it is told to go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.in_hand = 0

    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        if not self.calls:
            self.in_hand = len(envelopes)
            await self.go.wait()
        return await super().execute_all(envelopes)


@pytest.mark.parametrize("lost", range(1, intake.DUBIOUS))
async def test_one_lost_connection_or_two_slow_nothing_down(amqp_url: str, sender: Sender, lost: int) -> None:
    """Given many commands that were delivered to one connection or two which were lost, then they are not executed one
    by one."""
    for number in range(1, 31):
        await sender.send(registration(number))
    for _ in range(lost):
        await die_holding(amqp_url, 30)
    executor = First()
    watched = Watched(amqp_url, executor)

    async def delivered() -> bool:
        return executor.in_hand > 0 and executor.in_hand + watched.waiting.qsize() == 30

    async with running(watched):
        await reached(delivered)
        executor.go.set()
        await sender.answer(30)
    assert len(executor.calls) <= 2


async def test_after_three_it_is_one_by_one(amqp_url: str, sender: Sender) -> None:
    """Given commands that went back three times, then each is executed alone: one may be what ends processes."""
    for number in range(1, 6):
        await sender.send(registration(number))
    for _ in range(intake.DUBIOUS):
        await die_holding(amqp_url, 5)
    executor = Scripted()
    async with running(Intake(amqp_url, executor)):
        await sender.answer(5)
    assert [len(call) for call in executor.calls] == [1] * 5


async def test_what_a_sender_says_of_deliveries_is_not_believed(amqp_url: str, sender: Sender) -> None:
    """Given a command whose sender claims that it went back often, when it is delivered first, then it is executed."""
    await sender.send(registration(), headers={intake.DELIVERIES: 50})
    executor = Scripted()
    async with running(Intake(amqp_url, executor)):
        _, answer = await sender.answer()
    assert answer.get("position") == 1


class Stumbling(Intake):
    """Its connection ends as soon as a certain command is executed."""

    async def _execute(
        self, envelopes: Sequence[CommandEnvelope], stop: asyncio.Event
    ) -> list[Appended | Exception] | None:
        if any(str(each.command_id) == CULPRIT["command_id"] for each in envelopes):
            raise ConnectionLost("for a reason that nobody has thought of")
        return await super()._execute(envelopes, stop)


async def test_what_ended_every_connection_is_parked(
    amqp_url: str, sender: Sender, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given an intake that has settled commands, and one whose execution ends every connection, then that one is parked
    as suspect, and the others are executed."""
    monkeypatch.setattr(intake, "LONGEST_PAUSE", 0.05)
    async with running(Stumbling(amqp_url, Scripted())):
        await sender.send(registration(100))
        await sender.answer()
        for number in range(1, 11):
            await sender.send(registration(number), reply=number != 7)
        await sender.answer(10)
        parked = await taken(channel, DEAD_COMMANDS)

    assert (json.loads(parked.body), parked.headers["kithlog-reason"]) == (CULPRIT, "suspect")
    assert await is_empty(channel, COMMANDS)
    assert await is_empty(channel, DEAD_COMMANDS)


class FullDisk(Scripted):
    """A database that answers, and can't write for a while."""

    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        if len(self.calls) <= intake.SUSPECT + 2:
            self.calls.append(list(envelopes))
            raise asyncpg.DiskFullError("full")
        return await super().execute_all(envelopes)


async def test_what_was_held_too_long_is_not_suspected(
    amqp_url: str, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given commands that went back to their queue again and again because PostgreSQL could not write, then all are
    executed once that can, and not only those of the first batch."""
    monkeypatch.setattr(intake, "BATCH", 2)
    for number in range(1, 5):
        await sender.send(registration(number))
    async with running(Intake(amqp_url, FullDisk(), hold=-1)):
        await sender.answer(4)
    assert [json.loads(message.body).get("position") for message in sender.answers.messages] == [1] * 4
