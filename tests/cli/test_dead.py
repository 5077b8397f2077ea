"""`kithlog dead`: a command that could not be executed is looked at, sent again, or given up; never lost by looking."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

import pytest
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from shared.broker import topology
from tests.cli.terminal import Terminal
from tests.cli.test_replay import on_channel

COMMAND = {"command": "interview.plan", "tenant": "acme", "id": "1", "command_id": "2", "data": {}}
BODIES = (json.dumps(COMMAND).encode(), b"\xff not json", json.dumps(COMMAND | {"tenant": "umbrella"}).encode())


@pytest.fixture
def desk(database_url: str, amqp_url: str) -> Terminal:
    """Three dead letters, the second of which is no JSON."""
    terminal = Terminal(database_url, amqp_url)

    async def die(channel: AbstractChannel) -> None:
        await topology.declare(channel)
        for body in BODIES:
            message = Message(
                body,
                message_id="m",
                correlation_id="c",
                delivery_mode=DeliveryMode.PERSISTENT,
                headers={"kithlog-reason": "malformed", "kithlog-detail": "no purpose", "kithlog-headers": {"CC": "x"}},
            )
            await channel.default_exchange.publish(message, topology.DEAD_COMMANDS)

    on_channel(terminal, die)
    return terminal


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


def test_a_retry_sends_the_command_as_it_was(desk: Terminal) -> None:
    """Given dead letters, when one is retried and then all, then each is in the commands' queue once, and recorded."""
    one = next(row["id"] for row in desk.json("dead", "list").objects if row["tenant"] == "acme")
    assert desk.run("dead", "retry", one).code == 0
    [sent] = commands(desk)
    assert (sent.body, sent.message_id, sent.correlation_id, sent.headers) == (BODIES[0], "m", "c", {})
    assert len(desk.json("dead", "list").objects) == 2
    assert len(desk.json("dead", "retry", "--all").objects) == 2
    assert {message.body for message in commands(desk)} == set(BODIES[1:])
    assert desk.run("dead", "list").code == 0
    assert desk.query("SELECT verb, count(*) FROM log.operation GROUP BY 1") == [("dead retry", 3)]


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
    """Given dead letters, when one is discarded, then it alone is gone, and what it was and why are recorded."""
    one = next(row["id"] for row in desk.json("dead", "list").objects if row["tenant"] == "acme")
    assert desk.run("dead", "discard", one).code == 2
    assert desk.run("dead", "discard", one, "--why", "sent by a test").code == 0
    assert len(desk.json("dead", "list").objects) == 2
    [(why, details)] = desk.query("SELECT why, details FROM log.operation")
    assert why == "sent by a test"
    assert json.loads(details)["command"] == "interview.plan"
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
