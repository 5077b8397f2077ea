"""`kithlog replay`: to one queue and to no other, as planned, once."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from deploy.launcher.infrastructure import Infrastructure
from services.cli import replaying
from shared.broker import cloudevents, topology
from shared.broker.connection import connect
from shared.broker.outgoing import ConnectionLost, Outgoing, Publisher
from shared.broker.publisher import open_publisher
from tests.cli.terminal import Terminal, end, history
from tests.projector.histories import appends

T = TypeVar("T")
MINE = "crm.events"
OTHERS = ("erp.events", "mail.events")
SLOWLY = ("--rate", "5")
"""So that it takes half a minute, and is still under way when it is ended or disturbed half-way."""


@pytest.fixture
def desk(database_url: str, amqp_url: str) -> Terminal:
    """A log of some interviews, and three consumers' queues, bound to all events."""
    terminal = Terminal(database_url, amqp_url)
    terminal.write(history(2, 4))

    async def declare(channel: AbstractChannel) -> None:
        await topology.declare(channel)
        for name in (MINE, *OTHERS):
            queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
            await queue.bind(topology.EVENTS, "#")

    on_channel(terminal, declare)
    return terminal


def on_channel(terminal: Terminal, act: Callable[[AbstractChannel], Awaitable[T]]) -> T:
    async def go() -> T:
        connection = await connect(terminal.amqp_url, "test")
        try:
            async with connection.channel() as channel:
                return await act(channel)
        finally:
            await connection.close()

    return asyncio.run(go())


def received(terminal: Terminal, name: str) -> list[AbstractIncomingMessage]:
    async def take(channel: AbstractChannel) -> list[AbstractIncomingMessage]:
        queue = await channel.get_queue(name)
        messages = []
        while (message := await queue.get(no_ack=True, fail=False)) is not None:
            messages.append(message)
        return messages

    return on_channel(terminal, take)


def test_one_queue_gets_the_range_and_no_other_gets_any(desk: Terminal) -> None:
    """Given three consumers, when a range is replayed to one, then it gets exactly that, marked; the others nothing."""
    log = desk.log()
    done = desk.json("replay", "run", MINE, "--from", "5", "--to", "20", "--why", "lost a day").object
    assert (done["status"], done["sent"], done["total"]) == ("done", 16, 16)
    messages = received(desk, MINE)
    assert [cloudevents.decode(m.body, m.headers) for m in messages] == log[4:20]
    assert {(m.headers["replay"], m.headers["replay-id"]) for m in messages} == {(True, done["id"])}
    assert [m.message_id for m in messages] == [str(e.event_id) for e in log[4:20]]
    for other in OTHERS:
        assert received(desk, other) == []
    [row] = desk.json("replay", "list").objects
    assert (row["queue"], row["actor"], row["why"], row["status"]) == (MINE, "ines@desk", "lost a day", "done")
    told = desk.run("replay", "list").out
    assert "lost a day" in told
    assert "5–20" in told


def test_a_plan_tells_and_sends_nothing(desk: Terminal) -> None:
    """Given filters and a rate, when a replay is planned, then counts and time are told, and no message is sent."""
    held = [e for e in desk.log() if e.type == "interview.held"]
    plan = desk.json("replay", "plan", MINE, "--type", "interview.held", "--tenant", "acme", "--rate", "2").object
    assert plan["types"] == {"interview.held": len(held)}
    assert (plan["after"], plan["upto"]) == (held[0].position - 1, held[-1].position)
    assert plan["tenants"] == 1
    assert plan["seconds"] == pytest.approx(len(held) / 2)
    assert "interview.held" in desk.run("replay", "plan", MINE, "--type", "interview.held").out
    assert received(desk, MINE) == []
    assert desk.json("replay", "list").objects == []


def test_whose_events_they_are_is_told(desk: Terminal) -> None:
    """Given events of two tenants, when a replay of all is planned or run, then their number is told."""
    of_others = [replace(each, tenant="umbrella", command_id=uuid4()) for each in appends(history(1, 1))]
    desk.append(of_others)
    total = len(desk.log())
    assert desk.json("replay", "plan", MINE).object["tenants"] == 2
    assert f"{total} events of 2 tenants" in desk.run("replay", "plan", MINE).out
    assert f"{total} events of 2 tenants to {MINE}" in desk.run("replay", "run", MINE, "--why", "test").err
    assert "of 1 tenant to" in desk.run("replay", "run", MINE, "--why", "test", "--tenant", "umbrella").err


def test_filters_choose(desk: Terminal) -> None:
    """Given a stream, a category or a span of times, when they are replayed, then nothing else is sent."""
    log = desk.log()
    stream = log[0].stream_id
    middle = log[len(log) // 2].recorded_at
    for words, wanted in (
        (["--stream", str(stream)], [e for e in log if e.stream_id == stream]),
        (["--category", "lead"], [e for e in log if e.category == "lead"]),
        (["--since", middle.isoformat()], [e for e in log if e.recorded_at >= middle]),
        (["--until", "2200-01-01", "--to", "9"], log[:9]),
    ):
        assert desk.run("replay", "run", MINE, "--why", "test", *words).code == 0
        assert [m.headers["position"] for m in received(desk, MINE)] == [e.position for e in wanted]
    told = desk.run("replay", "list", COLUMNS="250").out
    assert f"{stream}" in told
    assert "lead.*" in told


def test_notifications_are_left_out_unless_they_are_named(desk: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given notification events in the range, when it is replayed, they are left out; when they are named, they go."""
    monkeypatch.setattr(replaying, "_is_notification", lambda type: type == "seeker.registered")
    told = sum(e.type == "seeker.registered" for e in desk.log())
    assert told
    plan = desk.json("replay", "plan", MINE).object
    assert plan["suppressed"] == {"seeker.registered": told}
    assert plan["events"] == len(desk.log()) - told
    assert desk.run("replay", "run", MINE, "--why", "test").code == 0
    others = [e.position for e in desk.log() if e.type != "seeker.registered"]
    assert [m.headers["position"] for m in received(desk, MINE)] == others
    assert desk.json("replay", "plan", MINE, "--type", "seeker.registered").object["suppressed"] == {}


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_replay_is_ended_and_resumed(desk: Terminal, how: signal.Signals, code: int) -> None:
    """Given a replay that is killed or interrupted half-way, when resumed, then all comes, and little of it twice."""
    total = len(desk.log())
    process = desk.process("replay", "run", MINE, "--why", "test", *SLOWLY)
    wait_for(lambda: desk.query("SELECT 1 FROM log.replay WHERE sent > 5"))
    said = end(process, how)
    assert said.code == code
    [row] = desk.json("replay", "list").objects
    assert row["status"] == "interrupted"
    assert (f"`kithlog replay resume {row['id']}`" in said.err) is (how == signal.SIGINT)
    desk.query("WITH fast AS (UPDATE log.replay SET rate = NULL RETURNING 1) SELECT * FROM fast")
    done = desk.json("replay", "resume", row["id"]).object
    assert (done["status"], done["sent"]) == ("done", total)
    positions = [m.headers["position"] for m in received(desk, MINE)]
    assert list(dict.fromkeys(positions)) == list(range(1, total + 1))
    assert len(positions) - total <= 1  # one page of that rate
    assert desk.run("replay", "resume", row["id"]).code == 1


def test_what_was_confirmed_is_not_sent_again(desk: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a broker that goes away with batches on the way, when the replay is resumed, then nothing comes twice."""
    batch, before = 4, 5
    monkeypatch.setattr(replaying, "BATCH", batch)
    monkeypatch.setattr(replaying, "open_publisher", partial(_that_fails_after, before))
    assert desk.run("replay", "run", MINE, "--why", "test").code == 3
    monkeypatch.undo()
    [row] = desk.json("replay", "list").objects
    assert row["sent"] == before * batch
    assert desk.run("replay", "resume", row["id"]).code == 0
    positions = [m.headers["position"] for m in received(desk, MINE)]
    assert positions == list(range(1, len(desk.log()) + 1))


class _Failing:
    def __init__(self, publisher: Publisher, batches: int) -> None:
        self._publisher, self._left = publisher, batches

    async def publish(self, batch: Sequence[Outgoing]) -> None:
        self._left -= 1
        if self._left < 0:
            raise ConnectionLost("gone")
        await self._publisher.publish(batch)


async def _that_fails_after(batches: int, connection: AbstractConnection, exchange: str) -> Publisher:
    return _Failing(await open_publisher(connection, exchange), batches)


def test_a_replay_is_paused_resumed_and_cancelled(desk: Terminal) -> None:
    """Given a running replay, when paused from elsewhere, then it ends with 1; resumed and cancelled, for good."""
    process = desk.process("replay", "run", MINE, "--why", "test", *SLOWLY, "--json")
    [(id,)] = wait_for(lambda: desk.query("SELECT id::text FROM log.replay WHERE sent > 2"))
    assert desk.run("replay", "resume", id).code == 1
    assert desk.json("replay", "pause", id).object["status"] == "paused"
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert '"paused"' in out
    assert desk.run("replay", "pause", id).code == 1
    again = desk.process("replay", "resume", id)
    sent = desk.query("SELECT sent FROM log.replay")[0][0]
    wait_for(lambda: desk.query("SELECT 1 FROM log.replay WHERE sent > $1", sent))
    assert desk.run("replay", "cancel", id).code == 0
    again.communicate(timeout=60)
    assert again.returncode == 1
    assert desk.run("replay", "resume", id).code == 1
    positions = [m.headers["position"] for m in received(desk, MINE)]
    assert positions == list(range(1, len(positions) + 1))
    verbs = desk.query("SELECT verb FROM log.operation ORDER BY id")
    assert verbs == [(f"replay {verb}",) for verb in ("run", "pause", "resume", "cancel")]


BOUNDED = "crm.bounded"
BOUND = 10


async def bounded(channel: AbstractChannel) -> AbstractQueue:
    """A queue as the contract wants one that fills up to be."""
    arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-max-length": BOUND, "x-overflow": "drop-head"}
    return await channel.declare_queue(BOUNDED, durable=True, arguments=arguments)


def slowly_taken(desk: Terminal, process: subprocess.Popen[str], count: int) -> list[int]:
    """The positions of so many messages of the bounded queue, as a consumer gets them until a process has ended."""

    async def take(channel: AbstractChannel) -> list[int]:
        positions: list[int] = []
        all_there = asyncio.Event()

        async def one(message: AbstractIncomingMessage) -> None:
            positions.append(int(str(message.headers["position"])))
            await asyncio.sleep(0.01)
            await message.ack()
            if len(positions) == count:
                all_there.set()

        await channel.set_qos(prefetch_count=1)
        queue = await bounded(channel)
        await queue.consume(one)
        async with asyncio.timeout(60):
            await all_there.wait()
        await asyncio.to_thread(process.communicate, timeout=60)
        return positions

    return on_channel(desk, take)


def test_a_slow_consumer_is_not_overrun(desk: Terminal) -> None:
    """Given a queue that drops its oldest and a consumer that is slower than the broker, when a replay is given less
    room than the queue has, then all arrives; with more room than that the broker confirms, and drops."""
    on_channel(desk, bounded)
    said = desk.json("replay", "run", BOUNDED, "--why", "test", "--to", "100", "--room", "1000").object
    assert (said["status"], said["sent"], len(received(desk, BOUNDED))) == ("done", 100, BOUND)

    process = desk.process("replay", "run", BOUNDED, "--why", "test", "--to", "100", "--room", "5")
    assert slowly_taken(desk, process, 100) == list(range(1, 101))
    assert process.returncode == 0


def test_a_full_queue_that_nobody_consumes_is_told(desk: Terminal) -> None:
    """Given a queue without a consumer, when its room is used up, then a replay says what it waits for, can be
    interrupted, paused and resumed meanwhile, and goes on with the room it was given once there is a consumer."""
    on_channel(desk, bounded)
    first = desk.process("replay", "run", BOUNDED, "--why", "test", "--to", "100", "--room", "5")
    [(id,)] = wait_for(lambda: desk.query("SELECT id::text FROM log.replay WHERE sent = 4"))
    assert first.stderr is not None
    assert first.stderr.readline().startswith(f"replay {id}: 100 events")
    told = first.stderr.readline()
    assert told.startswith(f"{BOUNDED} holds 4 messages and is to hold no more than 5 (--room), and nobody consumes it")
    assert f"`kithlog replay resume {id}`" in told
    assert end(first).code == 130

    second = desk.process("replay", "resume", id)
    assert second.stderr is not None
    assert second.stderr.readline() == told
    assert desk.run("replay", "pause", id).code == 0
    second.communicate(timeout=60)
    assert second.returncode == 1

    third = desk.process("replay", "resume", id)
    assert slowly_taken(desk, third, 100) == list(range(1, 101))
    assert third.returncode == 0
    assert desk.json("replay", "list").objects[0]["room"] == 5


NOT_REPLAYED = [
    (["crm.event", "--why", "x"], "no queue"),
    ([topology.PROJECTOR, "--why", "x"], "own queue"),
    ([MINE], "--why"),
    ([MINE, "--why", "x", "--from", "9", "--to", "8"], "empty"),
    ([MINE, "--why", "x", "--from", "100000"], "empty"),
    ([MINE, "--why", "x", "--type", "interview.hold"], "interview.held"),
    ([MINE, "--why", "x", "--tenant", "nobody"], "empty"),
    ([MINE, "--why", "x", "--since", "yesterday"], "--since"),
    ([MINE, "--why", "x", "--rate", "0"], "rate"),
    ([MINE, "--why", "x", "--room", "0"], "room"),
]


def test_what_can_not_be_replayed_is_a_usage_error(desk: Terminal) -> None:
    """Given an unknown queue, an empty range or a name that nothing has, when replayed, then 2, and nothing is done."""
    for words, named in NOT_REPLAYED:
        said = desk.run("replay", "run", *words)
        assert said.code == 2, words
        assert named in said.err
    assert desk.query("SELECT * FROM log.replay") == []
    assert received(desk, MINE) == []


def test_unknown_replays_are_said(desk: Terminal) -> None:
    """Given no replay of that id, when it is paused, resumed or cancelled, then the code is 1, for no id 2."""
    for verb in ("pause", "resume", "cancel"):
        assert desk.run("replay", verb, str(UUID(int=3))).code == 1
        assert desk.run("replay", verb, "three").code == 2


def test_a_broker_that_goes_away_half_way(desk: Terminal, infra: Infrastructure) -> None:
    """Given a broker that drops the connection during a replay, when it ends with 3, then resuming sends the rest."""
    process = desk.process("replay", "run", MINE, "--why", "test", *SLOWLY)
    wait_for(lambda: desk.query("SELECT 1 FROM log.replay WHERE sent > 5"))
    asyncio.run(cut(desk, infra))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    [row] = desk.json("replay", "list").objects
    assert f"kithlog replay resume {row['id']}" in err
    desk.query("WITH fast AS (UPDATE log.replay SET rate = NULL RETURNING 1) SELECT * FROM fast")
    assert desk.run("replay", "resume", row["id"]).code == 0
    positions = [m.headers["position"] for m in received(desk, MINE)]
    assert list(dict.fromkeys(positions)) == list(range(1, len(desk.log()) + 1))


async def cut(desk: Terminal, infra: Infrastructure) -> None:
    """The connections to the broker. Meanwhile a replay can't write down what it has sent, and so does not end."""
    owner = await asyncpg.connect(desk.database_url)
    async with owner.transaction():
        await owner.execute("SELECT FROM log.replay FOR UPDATE")
        virtual_host = desk.amqp_url.rpartition("/")[2]
        await asyncio.to_thread(infra.rabbitmq.ctl, "close_all_connections", "--vhost", virtual_host, "test")
    await owner.close()


def test_a_database_that_goes_away_half_way(desk: Terminal) -> None:
    """Given PostgreSQL, which ends the session during a replay, when it ends with 3, then resuming sends the rest."""
    process = desk.process("replay", "run", MINE, "--why", "test", *SLOWLY)
    wait_for(lambda: desk.query("SELECT 1 FROM log.replay WHERE sent > 5"))
    asyncio.run(end_sessions(desk.database_url))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    [row] = desk.json("replay", "list").objects
    assert row["status"] == "interrupted"
    assert "PostgreSQL went away" in err
    assert f"`kithlog replay resume {row['id']}`" in err
    desk.query("WITH fast AS (UPDATE log.replay SET rate = NULL RETURNING 1) SELECT * FROM fast")
    assert desk.run("replay", "resume", row["id"]).code == 0
    positions = [m.headers["position"] for m in received(desk, MINE)]
    assert list(dict.fromkeys(positions)) == list(range(1, len(desk.log()) + 1))
    assert len(positions) - len(desk.log()) <= 1  # one page of that rate


async def end_sessions(url: str) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'kithlog cli'"
    )
    await owner.close()


def test_a_queue_that_goes_away_half_way(desk: Terminal) -> None:
    """Given a queue that is deleted during a replay, then that is said, and the replay can be resumed."""
    process = desk.process("replay", "run", MINE, "--why", "test", *SLOWLY)
    wait_for(lambda: desk.query("SELECT 1 FROM log.replay WHERE sent > 5"))
    on_channel(desk, lambda channel: channel.queue_delete(MINE))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"queue {MINE} is gone" in err
    assert desk.json("replay", "list").objects[0]["status"] == "interrupted"


def test_a_broker_that_is_not_there(desk: Terminal) -> None:
    """Given no broker, when a replay is run, then the code is 3, the setting is named, and nothing is recorded."""
    said = desk.run("replay", "run", MINE, "--why", "x", KITHLOG_AMQP_URL="amqp://a:b@127.0.0.1:1/")
    assert said.code == 3
    assert "KITHLOG_AMQP_URL" in said.err
    assert desk.query("SELECT * FROM log.replay") == []


def wait_for(found: Callable[[], T]) -> T:
    """What a query finds, once it finds something; gives up after a minute."""

    async def poll() -> T:
        async with asyncio.timeout(60):
            while not (rows := await asyncio.to_thread(found)):  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.02)
            return rows

    return asyncio.run(poll())
