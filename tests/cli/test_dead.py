"""`kithlog dead`: a command that could not be executed is looked at, sent again, or given up; never lost by looking."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from subprocess import DEVNULL
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aio_pika import Channel, DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from services.cli import dead, dead_letters
from shared.broker import connection, topology
from tests.broker import strange
from tests.chaos.proxy import Proxy
from tests.cli.terminal import Said, Terminal
from tests.cli.test_replay import on_channel, wait_for
from tests.projector.conftest import until

COMMAND = {"command": "interview.plan", "tenant": "acme", "id": "1", "command_id": "2", "data": {}}
BODIES = (json.dumps(COMMAND).encode(), b"\xff not json", json.dumps(COMMAND | {"tenant": "umbrella"}).encode())


@pytest.fixture
def desk(database_url: str, amqp_url: str) -> Terminal:
    """Three dead letters, the second of which is no JSON."""
    terminal = Terminal(database_url, amqp_url)
    die(terminal, BODIES)
    return terminal


def die(terminal: Terminal, bodies: Sequence[bytes]) -> None:
    """Put more into the dead-letter queue, in order."""

    async def publish(channel: AbstractChannel) -> None:
        await topology.declare(channel)
        for body in bodies:
            message = Message(
                body,
                message_id="m",
                correlation_id="c",
                delivery_mode=DeliveryMode.PERSISTENT,
                headers={"kithlog-reason": "malformed", "kithlog-detail": "no purpose", "kithlog-headers": {"CC": "x"}},
            )
            await channel.default_exchange.publish(message, topology.DEAD_COMMANDS)

    on_channel(terminal, publish)


def as_json(**changes: object) -> bytes:
    return json.dumps(COMMAND | changes).encode()


STRANGE = [
    b"[" * 2_000,
    b'{"command":' * 2_000,
    as_json(command="\ud800"),
    as_json(tenant="a\0b", command_id=str(UUID(int=1))),
    as_json(tenant=["acme"], command={"a": 1}, command_id=float("nan")),
    b'{"command": ' + b"1" * 5_000 + b"}",
]
"""Bodies that can't be decoded, shown or recorded as they are."""


def numbered(numbers: Iterable[int]) -> list[bytes]:
    return [json.dumps(COMMAND | {"tenant": f"tenant{number:03}"}).encode() for number in numbers]


def waiting(terminal: Terminal, queue: str) -> int:
    """How many messages a queue holds."""

    async def count(channel: AbstractChannel) -> int:
        return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count or 0

    return on_channel(terminal, count)


def commands(terminal: Terminal) -> Sequence[AbstractIncomingMessage]:
    """What is in the commands' queue, as its one active consumer gets it."""

    async def take(channel: AbstractChannel) -> list[AbstractIncomingMessage]:
        queue = await channel.declare_queue(topology.COMMANDS, passive=True)
        count = queue.declaration_result.message_count or 0
        messages: list[AbstractIncomingMessage] = []
        async with queue.iterator(no_ack=True) as iterator:
            while len(messages) < count:
                messages.append(await anext(iterator))
        return messages

    return on_channel(terminal, take)


def test_looking_loses_nothing(desk: Terminal) -> None:
    """Given dead letters, when they are listed and shown again and again, then they are all there, with the reason."""
    for _ in range(3):
        listed = desk.json("dead", "list")
        assert listed.code == 1
        assert {(row["command"], row["tenant"], row["reason"]) for row in listed.objects} == {
            ("interview.plan", "acme", "malformed"),
            (None, None, "malformed"),
            ("interview.plan", "umbrella", "malformed"),
        }
        one = next(row["id"] for row in listed.objects if row["tenant"] == "acme")
        assert desk.json("dead", "show", one).object["body"] == COMMAND
    assert "no purpose" in desk.run("dead", "show", one).out
    assert "malformed" in desk.run("dead", "list").out


def test_what_is_not_listed_is_counted(desk: Terminal) -> None:
    """Given more dead letters than are to be listed, the first are, in order, and it is said how many lie behind."""
    listed = desk.json("dead", "list", "-n", "2")
    assert (listed.code, [row["tenant"] for row in listed.objects]) == (1, ["acme", None])
    assert "1 more" in listed.err
    whole = desk.json("dead", "list", "-n", "3")
    assert ([row["tenant"] for row in whole.objects], whole.err) == (["acme", None, "umbrella"], "")


def test_what_somebody_else_holds_is_not_told_as_none(desk: Terminal) -> None:
    """Given dead letters all of which somebody else holds, then that is told, not that there are none; once they are
    back, they are listed."""

    async def look(channel: AbstractChannel) -> Sequence[Said]:
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await (await channel.get_queue(topology.DEAD_COMMANDS)).consume(arrived.put)
        for _ in BODIES:
            await arrived.get()
        return [await asyncio.to_thread(desk.run, "dead", *words) for words in (("list",), ("retry", "--all"))]

    listed, sent = on_channel(desk, look)
    assert listed.code == 1
    for said in (listed, sent):
        assert "somebody else" in said.err
        assert "no dead letters" not in said.err
    wait_for(lambda: waiting(desk, topology.DEAD_COMMANDS) == len(BODIES))
    assert len(desk.json("dead", "list").objects) == len(BODIES)


def test_looking_leaves_the_order_as_it_is(desk: Terminal) -> None:
    """Given many dead letters, however many of them are looked at, and one of them discarded, the rest keep their
    order."""
    die(desk, numbered(range(60)))
    order = [row["id"] for row in desk.json("dead", "list").objects]
    assert [row["tenant"] for row in desk.json("dead", "list").objects][3:] == [f"tenant{n:03}" for n in range(60)]
    desk.run("dead", "list", "-n", "2")
    desk.run("dead", "show", order[30])
    assert desk.run("dead", "discard", order.pop(20), "--why", "sent by a test").code == 0
    assert [row["id"] for row in desk.json("dead", "list").objects] == order


def test_more_than_can_be_held_at_once(desk: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given more dead letters than can be held at once, what can't be looked at is counted, or said where an id is
    looked for; but all are retried, in order."""
    monkeypatch.setattr(dead_letters, "MOST", 5)
    monkeypatch.setattr(dead, "MOST", 5)
    bodies = [*BODIES, *numbered(range(20))]
    die(desk, bodies[len(BODIES) :])
    listed = desk.json("dead", "list", "-n", "5")
    assert len(listed.objects) == 5
    assert "18 more" in listed.err
    assert "the first 5, further ones" in desk.run("dead", "show", "unknown").err
    sent = desk.json("dead", "retry", "--all")
    assert (sent.code, len(sent.objects), sent.err) == (0, len(bodies), "")
    assert [message.body for message in commands(desk)] == bodies


def test_a_retry_sends_the_command_as_it_was(desk: Terminal) -> None:
    """Given dead letters, when one is retried and then all, then each is in the commands' queue once, and recorded."""
    one = next(row["id"] for row in desk.json("dead", "list").objects if row["tenant"] == "acme")
    assert desk.run("dead", "retry", one, "--why", "the service is mended").code == 0
    told = desk.json("log", "operations", "--about", one).object
    assert (told["actor"], told["verb"], told["why"]) == ("ines@desk", "dead retry", "the service is mended")
    assert told["details"]["command"] == "interview.plan"
    [sent] = commands(desk)
    assert (sent.body, sent.message_id, sent.correlation_id, sent.headers) == (BODIES[0], "m", "c", {})
    assert len(desk.json("dead", "list").objects) == 2
    assert len(desk.json("dead", "retry", "--all").objects) == 2
    assert {message.body for message in commands(desk)} == set(BODIES[1:])
    assert desk.run("dead", "list").code == 0
    assert desk.query("SELECT verb, count(*) FROM log.operation GROUP BY 1") == [("dead retry", 3)]


def test_what_fails_again_is_sent_again_once(desk: Terminal) -> None:
    """Given commands that come back at once, when all are retried, then each is sent once, in order, and all are there
    for the next time; with an id that there is not, none is sent."""

    async def throw_back(channel: AbstractChannel) -> None:
        await channel.queue_delete(topology.COMMANDS)
        await channel.declare_queue(
            topology.COMMANDS,
            durable=True,
            arguments={
                "x-message-ttl": 0,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": topology.DEAD_COMMANDS,
            },
        )

    die(desk, numbered(range(9)))
    on_channel(desk, throw_back)
    before = [row["tenant"] for row in desk.json("dead", "list").objects]
    sent = desk.json("dead", "retry", "--all")
    assert (sent.code, [row["tenant"] for row in sent.objects]) == (0, before)
    wait_for(lambda: waiting(desk, topology.DEAD_COMMANDS) == len(before))
    again = desk.json("dead", "list").objects
    assert [row["tenant"] for row in again] == before
    assert {row["reason"] for row in again} == {"expired"}
    ids = [row["id"] for row in again]
    refused = desk.json("dead", "retry", ids[-1], "unknown", ids[0])
    assert (refused.code, refused.objects) == (1, [])
    assert "no dead letter unknown" in refused.err
    assert [row["id"] for row in desk.json("dead", "retry", ids[-1], ids[0]).objects] == [ids[0], ids[-1]]


@pytest.mark.parametrize("recorded", [False, True])
def test_a_retry_that_is_killed_has_lost_none(desk: Terminal, recorded: bool) -> None:
    """Given many dead letters, when retrying all is killed half-way, after one of them was sent, and recorded or not,
    and begun again, then each command is in the queue in the old order, and only that one is there twice."""
    bodies = [*BODIES, *numbered(range(20))]
    die(desk, bodies[len(BODIES) :])
    assert desk.run("dead", "list").code == 1
    there = len(BODIES) + 10
    asyncio.run(retry_killed_at(desk, "tenant010", recorded=recorded))
    # What the killed one was holding comes back when the broker has noticed.
    wait_for(lambda: waiting(desk, topology.DEAD_COMMANDS) == len(bodies) - there)
    wait_for(lambda: desk.run("dead", "retry", "--all").code == 0 and desk.run("dead", "list").code == 0)
    assert [message.body for message in commands(desk)] == [*bodies[: there + 1], *bodies[there:]]
    [(operations,)] = desk.query("SELECT count(*) FROM log.operation WHERE verb = 'dead retry'")
    assert operations == len(bodies) + recorded


_TRAP = """
CREATE FUNCTION log.trap() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$;
CREATE TRIGGER trap BEFORE INSERT ON log.operation
    FOR EACH ROW WHEN (NEW.details ->> 'tenant' = '{tenant}') EXECUTE FUNCTION log.trap();
SELECT pg_advisory_lock(1);
"""
_TRAPPED = """
SELECT pid FROM pg_locks
WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_RECORDED = "SELECT count(*) FROM log.operation WHERE details ->> 'tenant' = $1"


async def retry_killed_at(desk: Terminal, tenant: str, *, recorded: bool) -> None:
    """All are retried by a process that is ended by SIGKILL when that tenant's command is sent, and is to be recorded,
    or, `recorded`, to be taken out of the dead-letter queue."""
    owner = await asyncpg.connect(desk.database_url)
    await owner.execute(_TRAP.format(tenant=tenant))
    async with Proxy(desk.amqp_url) as way:
        words = ("dead", "retry", "--all")
        process = Terminal(desk.database_url, way.url).process(*words, stdout=DEVNULL, stderr=DEVNULL)
        await until(lambda: owner.fetchval(_TRAPPED))
        if recorded:
            way.silence()
            await owner.execute("SELECT pg_advisory_unlock(1)")
            await until(lambda: owner.fetchval(_RECORDED, tenant))
        process.kill()
        await asyncio.to_thread(process.wait)
        # Its session would go on once it is let go: nothing has told it yet that nobody is there.
        await owner.execute(f"SELECT pg_terminate_backend(pid) FROM ({_TRAPPED}) AS trapped")
    await owner.close()


def test_a_retry_lifts_the_refusal(desk: Terminal) -> None:
    """Given dead letters of commands that were refused, when one is retried, then its refusal alone is lifted: kept, it
    would be the answer to the retried command, too."""
    ids = str(UUID(int=1)), str(UUID(int=2))

    async def die(channel: AbstractChannel) -> None:
        for id in ids:
            body = json.dumps(COMMAND | {"command_id": id}).encode()
            await channel.default_exchange.publish(Message(body), topology.DEAD_COMMANDS)

    on_channel(desk, die)
    for id in ids:
        desk.query(f"SELECT FROM log.refuse('{{acme}}', '{{{id}}}', ARRAY['x'::bytea], ARRAY['{{}}'::json])")
    [one] = [row["id"] for row in desk.json("dead", "list").objects if row["command_id"] == ids[0]]
    assert desk.run("dead", "retry", one).code == 0
    assert desk.query("SELECT command_id::text FROM log.refusal") == [(ids[1],)]


def test_a_discarded_command_is_gone_and_recorded(desk: Terminal) -> None:
    """Given dead letters, when one is discarded, then it alone is gone, and by which name and ids, with the reason, is
    recorded: its content, which may be personal data, is not."""
    one = next(row["id"] for row in desk.json("dead", "list").objects if row["tenant"] == "acme")
    assert desk.run("dead", "discard", one).code == 2
    assert desk.run("dead", "discard", one, "--why", "sent by a test").code == 0
    assert len(desk.json("dead", "list").objects) == 2
    [(why, details)] = desk.query("SELECT why, details FROM log.operation")
    assert why == "sent by a test"
    assert json.loads(details) == {
        "id": one,
        "command": "interview.plan",
        "tenant": "acme",
        "stream_id": "1",
        "command_id": "2",
        "reason": "malformed",
        "detail": "no purpose",
        "bytes": len(BODIES[0]),
    }
    assert desk.run("dead", "discard", one, "--why", "again").code == 1
    assert desk.run("dead", "show", "none").code == 1
    assert desk.run("dead", "retry").code == 2
    assert commands(desk) == []


def test_a_command_that_is_not_taken_stays(desk: Terminal) -> None:
    """Given no commands' queue, when a dead letter is retried, then it stays where it is, and that is said."""

    async def delete(channel: AbstractChannel) -> None:
        await channel.queue_delete(topology.COMMANDS)

    on_channel(desk, delete)
    said = desk.run("dead", "retry", "--all")
    assert said.code == 1
    assert topology.COMMANDS in said.err
    assert len(desk.json("dead", "list").objects) == 3
    assert desk.query("SELECT * FROM log.operation") == []


def test_without_broker_or_database_nothing_is_done(desk: Terminal) -> None:
    """Given a broker or a database that is away, when dead letters are retried, then the code is 3 and all stay."""
    assert desk.run("dead", "list", KITHLOG_AMQP_URL="amqp://a:b@127.0.0.1:1/").code == 3
    nowhere = "postgresql://a:b@127.0.0.1:1/kithlog"
    assert desk.run("dead", "retry", "--all", KITHLOG_DATABASE_URL=nowhere).code == 3
    assert len(desk.json("dead", "list").objects) == 3
    other_host = desk.amqp_url.rpartition("/")[0] + "/nowhere"
    assert desk.run("dead", "list", KITHLOG_AMQP_URL=other_host).code in (3, 4)


def test_a_broker_that_falls_silent_is_away(desk: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a broker that takes a connection and says nothing any more, when dead letters are looked at, a queue is
    looked for, or the doctor is at work, then it is told to be away, and not as a defect of ours."""
    monkeypatch.setattr(connection, "HEARTBEAT", 1)

    async def without_a_word(words: tuple[str, ...]) -> Said:
        async with Proxy(desk.amqp_url) as proxy:
            declare = Channel.declare_queue

            async def silent(self: Channel, *arguments: Any, **options: Any) -> Any:
                proxy.silence()
                return await declare(self, *arguments, **options)

            with monkeypatch.context() as falling:
                falling.setattr(Channel, "declare_queue", silent)
                return await asyncio.to_thread(desk.run, *words, KITHLOG_AMQP_URL=proxy.url)

    for words in (("dead", "list"), ("replay", "plan", "mine")):
        said = asyncio.run(without_a_word(words))
        assert (said.code, said.out) == (3, "")
        assert "RabbitMQ is away (the connection to RabbitMQ went silent)" in said.err
    said = asyncio.run(without_a_word(("doctor", "--watch", "0.5", "--json")))
    assert said.code == 3
    [lost] = [row["detail"] for row in said.objects if (row["where"], row["state"]) == ("rabbitmq", "away")]
    assert "went silent" in lost


def test_strange_ones_are_dealt_with_like_others(desk: Terminal) -> None:
    """Given dead letters that can't be decoded, shown or recorded as they are, then they and those behind them are
    listed, shown, discarded and retried."""

    async def publish(channel: AbstractChannel) -> None:
        for properties in (*strange.PROPERTIES.values(), *strange.HEADERS.values()):
            await strange.publish(channel, topology.DEAD_COMMANDS, properties, BODIES[0])

    die(desk, STRANGE)
    on_channel(desk, publish)
    die(desk, BODIES[:1])
    rows = desk.json("dead", "list").objects
    assert len(rows) == len(BODIES) + len(STRANGE) + len(strange.PROPERTIES) + len(strange.HEADERS) + 1
    assert {row["reason"] for row in rows} == {"malformed", "unreadable_properties", "unknown"}
    assert desk.run("dead", "list").code == 1
    for row in rows:
        assert desk.json("dead", "show", row["id"]).object["id"] == row["id"]
        assert desk.run("dead", "show", row["id"]).code == 0
    for row in rows[3:6]:
        assert desk.run("dead", "discard", row["id"], "--why", "a test client sent it").code == 0
    left = rows[:3] + rows[6:]
    assert [row["id"] for row in desk.json("dead", "retry", "--all").objects] == [row["id"] for row in left]
    assert len(commands(desk)) == len(left)
    assert desk.run("dead", "list").code == 0


def test_a_recursion_without_end_is_a_defect(desk: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a mistake of ours that Python calls a RuntimeError, then it is not told as RabbitMQ's absence."""

    def endless(letter: dead_letters.DeadLetter) -> None:
        raise RecursionError

    monkeypatch.setattr(dead_letters.DeadLetter, "to_dict", endless)
    with pytest.raises(RecursionError):
        desk.run("dead", "list")
