"""The intake while broker or database are away, and with commands that break things."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import asyncpg
import pytest
from aio_pika import Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import ChannelNotFoundEntity
from structlog.testing import capture_logs

from deploy.launcher.infrastructure import Infrastructure
from services.command import intake, replying
from services.command.executor import Executor
from services.command.intake import SUSPECT, Intake
from services.command.replying import Replies
from shared.broker import topology
from shared.broker.connection import connect
from shared.broker.topology import COMMANDS, DEAD_COMMANDS
from shared.codec import UnknownEventType
from shared.command_envelope import CommandEnvelope
from shared.domain.catalogue import DECIDERS
from shared.log import Appended, Log, LogUnavailable
from tests.broker.events import PATIENCE, an_id, reached, running, taken
from tests.broker.senders import (
    FixedClock,
    Scripted,
    Sender,
    as_many,
    die_holding,
    holds,
    is_empty,
    registration,
    send_many,
)
from tests.broker.test_relay_outages import Settle
from tests.chaos.proxy import Proxy


async def test_while_the_database_is_away_commands_wait_in_place(
    amqp_url: str, sender: Sender, channel: AbstractChannel
) -> None:
    """Given a database that is away for a while, or holds what only a newer release can read, then the command is tried
    again without being delivered again."""
    away = Scripted(
        LogUnavailable("gone"),
        ConnectionRefusedError(),
        asyncpg.CannotConnectNowError("starting"),
        asyncpg.DiskFullError("full"),
        asyncpg.InterfaceError("connection is closed"),
        UnknownEventType("seeker.teleported", 1, 7),
    )
    async with running(Intake(amqp_url, away)):
        await sender.send(registration())
        _, answer = await sender.answer()

    assert answer["position"] == 1
    assert len(away.calls) == 7
    assert await is_empty(channel, COMMANDS)
    assert await is_empty(channel, DEAD_COMMANDS)


async def test_what_no_newer_release_comes_for_holds_up_nothing_else(
    amqp_url: str, sender: Sender, channel: AbstractChannel
) -> None:
    """Given a log with an event of a release that was rolled back, when commands have waited for long for one that can
    read it, and gone back for one that stands by, then those that need it are told or parked, and those beside them are
    executed."""
    struck = (registration(2), registration(4))

    class Older(Scripted):
        async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
            if {str(each.command_id) for each in envelopes} & {each["command_id"] for each in struck}:
                raise UnknownEventType("seeker.teleported", 1, 7)
            return await super().execute_all(envelopes)

    older = Older()
    for number in (1, 2, 3):
        await sender.send(registration(number))
    await sender.send(struck[1], reply=False)
    await sender.send(registration(5))
    async with running(Intake(amqp_url, older, hold=0.1)):
        answers = [(await sender.answer(number))[1] for number in (1, 2, 3, 4)]

    assert sorted(str(each.get("position", each.get("code"))) for each in answers) == ["1"] * 3 + ["unknown_event_type"]
    assert await is_empty(channel, COMMANDS)
    parked = await (await channel.get_queue(DEAD_COMMANDS)).get()
    assert parked.headers["kithlog-reason"] == "unknown_event_type"
    await parked.ack()


async def test_while_rights_are_missing_commands_wait_in_place(
    amqp_url: str, database_url: str, log: Log, sender: Sender, channel: AbstractChannel
) -> None:
    """Given a database that does not let the service into the log any more, then commands wait until it does; none is
    parked, or answered that something went wrong."""

    class Counting(Executor):
        tried = 0

        async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
            self.tried += 1
            return await super().execute_all(envelopes)

    executor = Counting(log, DECIDERS, FixedClock())

    async def was_tried_again() -> bool:
        return executor.tried > 2

    owner = await asyncpg.connect(database_url)
    await owner.execute("REVOKE USAGE ON SCHEMA log FROM kithlog_app")
    async with running(Intake(amqp_url, executor)):
        await sender.send(registration(1), reply=False)
        await sender.send(registration(2))
        await reached(was_tried_again)
        await owner.execute("GRANT USAGE ON SCHEMA log TO kithlog_app")
        _, answer = await sender.answer()
    await owner.close()

    assert answer["position"] == 2
    assert await is_empty(channel, DEAD_COMMANDS)


async def test_told_to_stop_while_the_database_is_away_it_leaves_the_command_in_the_queue(
    amqp_url: str, sender: Sender, channel: AbstractChannel
) -> None:
    """Given a command that waits for the database, when the service stops, then it is there for the next."""
    away = Scripted(*[LogUnavailable("gone")] * 1000)
    async with running(Intake(amqp_url, away)):
        await sender.send(registration())
        await away.called.wait()

    async with running(Intake(amqp_url, Scripted())):
        _, answer = await sender.answer()
    assert answer["position"] == 1


async def test_told_to_stop_as_the_database_comes_back_it_acknowledges_only_what_was_executed(
    amqp_url: str, sender: Sender, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given commands that wait for the database, and others behind them, when the service is told to stop and the
    database is back at that moment, then none is lost, and none overtakes another."""
    monkeypatch.setattr(intake, "LONGEST_PAUSE", PATIENCE)  # so that the stop falls into a pause
    away, stop = Away(), asyncio.Event()
    away.back = True
    async with running(Intake(amqp_url, away), stop):
        await sender.send(registration(1))
        await sender.answer(1)
        away.back = False
        await sender.send(registration(2))
        await reached(partial(away.is_asked, away.asked + 4))
        await sender.send(registration(3))
        await reached(partial(is_empty, channel, COMMANDS))
        away.back = True
        stop.set()

    done = [str(envelope.command_id) for call in away.calls for envelope in call]
    rest = Scripted()
    async with running(Intake(amqp_url, rest)):
        await reached(partial(is_empty, channel, COMMANDS))
        await sender.answer(3)
    done += [str(envelope.command_id) for call in rest.calls for envelope in call]
    assert list(dict.fromkeys(done)) == [registration(number)["command_id"] for number in (1, 2, 3)]


class Away(Scripted):
    """Out of reach until it is said to be back."""

    asked, tried, back = 0, 0, False

    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        self.tried += 1
        await self.confirm()
        return await super().execute_all(envelopes)

    async def confirm(self) -> int:
        self.asked += 1
        if not self.back:
            raise LogUnavailable("gone")
        return self.head

    async def is_asked(self, often: int) -> bool:
        return self.asked >= often


async def test_connections_lost_while_the_database_is_away_dead_letter_nothing(
    amqp_url: str, sender: Sender, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a database that is away, when the connection to the broker is lost more often than a command may be
    delivered, then the database's return finds all commands in their place, and they are executed."""
    monkeypatch.setattr(intake, "LONGEST_PAUSE", 0.05)
    away = Away()
    for number in range(1, 31):
        await sender.send(registration(number))
    async with Proxy(amqp_url) as proxy, running(Intake(proxy.url, away)):
        for _ in range(int(topology.TOPOLOGY.queue(COMMANDS).arguments["x-delivery-limit"]) + 2):
            await reached(partial(away.is_asked, away.asked + 2))
            proxy.cut()
        away.back = True
        await sender.answer(30)

    assert {answer["position"] for answer in map(json.loads, bodies(sender))} == {1}
    assert await is_empty(channel, COMMANDS)
    assert await is_empty(channel, DEAD_COMMANDS)


async def test_a_database_that_is_away_for_long_finds_the_commands_in_their_queue(
    amqp_url: str, sender: Sender, channel: AbstractChannel
) -> None:
    """Given a database that is away for longer than commands may be held, then they go back before the broker takes
    them, and stay there until it answers."""
    away = Away()
    async with running(Intake(amqp_url, away, hold=0.1)):
        await sender.send(registration())

        async def went_back() -> bool:
            return away.asked > 0 and not await is_empty(channel, COMMANDS)

        await reached(went_back)
        tried = away.tried
        await reached(partial(away.is_asked, away.asked + 3))
        assert away.tried == tried
        away.back = True
        _, answer = await sender.answer()
    assert answer["position"] == 1


def bodies(sender: Sender) -> list[bytes]:
    return [message.body for message in sender.answers.messages]


async def test_an_unforeseen_error_strikes_one_command(amqp_url: str, sender: Sender, channel: AbstractChannel) -> None:
    """Given a command on which the executor fails, then it is answered with a 500, and those beside it are executed."""
    bad = str(an_id("command 2"))

    class Failing(Scripted):
        async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
            if any(str(each.command_id) == bad for each in envelopes):
                raise ZeroDivisionError("a mistake")
            return await super().execute_all(envelopes)

    for number in (1, 2, 3):
        await sender.send(registration(number))
    with capture_logs() as lines:
        async with running(Intake(amqp_url, Failing())):
            await sender.answer(3)

    answers = [json.loads(message.body) for message in sender.answers.messages]
    assert [answer.get("code") for answer in answers] == [None, "internal_error", None]
    assert "mistake" not in json.dumps(answers)
    assert any(line["event"] == "command failed" and line["log_level"] == "error" for line in lines)


@pytest.mark.parametrize("reply", [False, True])
async def test_a_command_that_ends_the_process_is_found_and_parked(
    amqp_url: str, sender: Sender, channel: AbstractChannel, reply: bool
) -> None:
    """Given a command at which every process so far has died, with others behind it, then a new process parks it,
    and only it, whether it wants an answer, which may be the reason, or not, and executes the others.
    """
    for number in (1, 2, 3):
        await sender.send(registration(number), reply=reply)
    for _ in range(SUSPECT):
        await die_holding(amqp_url, 3)

    survivor = Scripted()
    concluded: list[str] = []
    async with running(Intake(amqp_url, survivor, concluded=lambda command, _: concluded.append(command))):
        parked = await taken(channel, DEAD_COMMANDS)
        await reached(lambda: as_many(concluded, 3))

    assert json.loads(parked.body) == registration(1)
    assert parked.headers["kithlog-reason"] == "suspect"
    assert [[str(each.id) for each in call] for call in survivor.calls] == [
        [registration(2)["id"]],
        [registration(3)["id"]],
    ]


async def test_where_nobody_parks_it_the_broker_does(amqp_url: str, sender: Sender, channel: AbstractChannel) -> None:
    """Given a command that ends processes before they can look at it, then the delivery limit moves it, not lost, to
    the dead-letter queue.
    """
    await sender.send(registration())
    limit = topology.TOPOLOGY.queue(COMMANDS).arguments["x-delivery-limit"]
    for _ in range(int(limit) + 1):
        await die_holding(amqp_url, 1)

    dead = await taken(channel, DEAD_COMMANDS)

    assert json.loads(dead.body) == registration()
    deaths: Any = dead.headers["x-death"]
    assert [death["reason"] for death in deaths] == ["delivery_limit"]


async def test_a_missing_dead_letter_queue_is_made_again(
    amqp_url: str, sender: Sender, executor: Executor, channel: AbstractChannel
) -> None:
    """Given somebody deleted the dead-letter queue, when a message has to be parked, then it is not lost."""
    async with running(Intake(amqp_url, executor)):
        await sender.send(registration())
        await sender.answer()
        await channel.queue_delete(DEAD_COMMANDS)
        await sender.send(b"no json", reply=False)

        async def there() -> bool:
            connection = await connect(amqp_url, "look")
            async with connection, connection.channel() as look:
                with suppress(ChannelNotFoundEntity):
                    return not await is_empty(look, DEAD_COMMANDS)
            return False

        await reached(there)
        parked = await taken(channel, DEAD_COMMANDS)

    assert parked.body == b"no json"


class Unconfirmed:
    """A broker that never confirms what goes to one queue."""

    def __init__(self, broker: Any, queue: str) -> None:
        self._broker, self._queue = broker, queue

    async def publish(self, message: Any, *, queue: str, mandatory: bool) -> None:
        if queue == self._queue:
            await asyncio.Event().wait()
        await self._broker.publish(message, queue=queue, mandatory=mandatory)


class Unanswered(Intake):
    """Answers to one queue are never confirmed."""

    async def _conclude(self, broker: Any, *more: Any) -> None:
        unconfirmed: Any = Unconfirmed(broker, "without a majority")
        await super()._conclude(unconfirmed, *more)


async def test_an_answer_that_is_never_confirmed_holds_up_nobody(
    amqp_url: str, sender: Sender, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a sender that names a queue which does not confirm, then its commands are executed, and that nothing is
    known of their answers is logged; all others get theirs."""
    monkeypatch.setattr(replying, "CONFIRMED_WITHIN", 0.05)
    elsewhere = Sender(channel, "without a majority")
    await elsewhere.send(registration(1))
    await sender.send(registration(2))
    await elsewhere.send(b"no json")
    with capture_logs() as lines:
        async with running(Unanswered(amqp_url, Scripted())):
            await sender.answer()
            await sender.send(registration(3))
            await sender.answer(2)

    # Others' answers, too, may be late: no confirm has to come that soon.
    late = [line["reply_to"] for line in lines if line["event"] == "reply not confirmed"]
    assert late.count("without a majority") == 2
    assert "intake begins again" not in [line["event"] for line in lines]
    assert await is_empty(channel, COMMANDS)
    assert await is_empty(channel, DEAD_COMMANDS)


async def test_a_queue_that_did_not_confirm_is_not_waited_for_again(
    amqp_url: str, sender: Sender, channel: AbstractChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a queue of which an answer is late, when more are to go there, then commands behind are not held up."""
    monkeypatch.setattr(replying, "CONFIRMED_WITHIN", 0.05)
    elsewhere = Sender(channel, "without a majority")
    concluded: list[str] = []
    async with running(Unanswered(amqp_url, Scripted(), concluded=lambda command, _: concluded.append(command))):
        await elsewhere.send(registration(1))
        await reached(lambda: as_many(concluded, 1))
        await sender.send(registration(2))
        await sender.answer()  # of the batch behind, so the first answer is late
        monkeypatch.setattr(replying, "CONFIRMED_WITHIN", 1e6)
        await elsewhere.send(registration(3))
        await reached(lambda: as_many(concluded, 3))
        await sender.send(registration(4))
        await sender.answer(2)


class Confirming:
    """A broker that confirms when it is told to."""

    def __init__(self) -> None:
        self.sent = 0
        self.confirms = asyncio.Event()

    async def publish(self, message: Any, *, queue: str, mandatory: bool) -> None:
        self.sent += 1
        await self.confirms.wait()


async def test_a_queue_that_confirms_late_is_waited_for_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given as many late answers as may be, then none is sent any more to their queue, until it has confirmed them: it
    is waited for as before then. What is late when the connection ends is given up."""
    monkeypatch.setattr(replying, "CONFIRMED_WITHIN", 0.01)
    monkeypatch.setattr(replying, "MOST_LATE", 2)
    broker, replies, answer = Confirming(), Replies(), Message(b"")
    to: Any = broker
    for _ in range(3):
        await replies.send(to, "slow", answer)
        await asyncio.sleep(0)
    assert broker.sent == 2
    broker.confirms.set()

    async def is_sent() -> bool:
        await replies.send(to, "slow", answer)
        return broker.sent == 3

    await reached(is_sent)
    broker.confirms.clear()
    monkeypatch.setattr(replying, "CONFIRMED_WITHIN", 1e6)
    waiting = asyncio.create_task(replies.send(to, "slow", answer))
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    broker.confirms.set()
    await waiting

    broker.confirms.clear()
    monkeypatch.setattr(replying, "CONFIRMED_WITHIN", 0.01)
    await replies.send(to, "slow", answer)
    await replies.close()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


class Waiting(Scripted):
    """Executes when it is told to go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        self.called.set()
        await self.go.wait()
        return await super().execute_all(envelopes)


async def test_what_can_not_be_parked_yet_is_not_taken_for_parked(
    amqp_url: str, sender: Sender, channel: AbstractChannel
) -> None:
    """Given no dead-letter queue, and messages of one id to be parked together, then all are in it once it is there:
    what the broker returns is told apart by its id."""
    waiting = Waiting()
    several = Intake(amqp_url, waiting)
    concluded: list[str] = []
    several._concluded = lambda command, _: concluded.append(command)
    async with running(several):
        await sender.send(registration(), reply=False)
        await waiting.called.wait()
        await channel.queue_delete(DEAD_COMMANDS)
        for number in range(5):
            await sender.send(b"no json %d" % number, reply=False, message_id="mine")
        await reached(lambda: is_empty(channel, COMMANDS))
        waiting.go.set()
        await reached(lambda: as_many(concluded, 6))

    await topology.declare(channel)
    letters = await channel.get_queue(DEAD_COMMANDS)
    parked = [(await letters.get(no_ack=True)).body for _ in range(5)]
    assert parked == [b"no json %d" % number for number in range(5)]


async def test_commands_sent_while_the_broker_restarts_are_executed_once(
    amqp_url: str, executor: Executor, log: Log, infra: Infrastructure, safe_broker: Settle
) -> None:
    """Given an intake at work, when the broker is killed and comes back, then every command that the broker has
    confirmed is executed, once.
    """
    async with running(Intake(amqp_url, executor)):
        await send_many(amqp_url, range(1, 201))
        await safe_broker()
        await asyncio.to_thread(infra.rabbitmq.kill)
        await asyncio.to_thread(infra.rabbitmq.start)
        await send_many(amqp_url, range(201, 301))
        await reached(lambda: holds(log, 300))

    assert {event.stream_id for event in await log.read(0, 1000)} == {an_id(f"seeker {n}") for n in range(1, 301)}


async def test_it_waits_for_a_broker_that_is_not_there_yet(
    amqp_url: str,
    executor: Executor,
    log: Log,
    infra: Infrastructure,
    safe_broker: Settle,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Given no broker when the intake starts, when one comes, then commands are executed."""
    caplog.set_level(logging.CRITICAL)
    await safe_broker()
    await asyncio.to_thread(infra.rabbitmq.kill)
    async with running(Intake(amqp_url, executor)) as task:
        await asyncio.to_thread(infra.rabbitmq.start)
        await send_many(amqp_url, range(1, 11))
        await reached(lambda: holds(log, 10))
        assert not task.done()


async def test_after_the_broker_was_wiped_it_takes_commands_again(
    amqp_url: str, executor: Executor, log: Log, infra: Infrastructure, safe_broker: Settle
) -> None:
    """Given an intake at work, when the broker loses all it knew, then the queues are there again and served."""
    async with running(Intake(amqp_url, executor)):
        await send_many(amqp_url, range(1, 11))
        await reached(lambda: holds(log, 10))
        await asyncio.to_thread(infra.rabbitmq.wipe)
        await asyncio.to_thread(infra.rabbitmq.start)
        await asyncio.to_thread(infra.rabbitmq.create_vhost, amqp_url.rpartition("/")[2])
        await send_many(amqp_url, range(11, 21))
        await reached(lambda: holds(log, 20))

    assert (await log.head()).position == 20
