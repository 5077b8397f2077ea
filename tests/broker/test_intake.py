"""Commands over the real broker into the real log."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel
from structlog.testing import capture_logs

from services.command.executor import Executor
from services.command.intake import DUBIOUS, Intake
from shared.broker.topology import COMMANDS, DEAD_COMMANDS
from shared.log import Log
from tests.broker.events import an_id, reached, running, taken
from tests.broker.senders import Sender, die_holding, holds, is_empty, registration


async def test_a_command_is_executed_and_answered(
    amqp_url: str, sender: Sender, executor: Executor, log: Log, channel: AbstractChannel
) -> None:
    """Given a command with a reply address, then it is in the log, and the answer names its position."""
    correlation = str(an_id("correlation"))
    async with running(Intake(amqp_url, executor)):
        await sender.send(registration(), correlation=correlation)
        message, answer = await sender.answer()

    [event] = await log.read(0, 10)
    assert event.type == "seeker.registered"
    assert event.correlation_id == an_id("correlation")
    assert (answer["position"], answer["repeated"]) == (1, False)
    assert answer["events"][0]["event_id"] == str(event.event_id)
    assert message.correlation_id == correlation
    assert message.content_type == "application/json"
    assert await is_empty(channel, COMMANDS)
    assert await is_empty(channel, DEAD_COMMANDS)


async def test_a_command_needs_no_reply_address(
    amqp_url: str, sender: Sender, executor: Executor, log: Log, channel: AbstractChannel
) -> None:
    """Given a command without reply address, then it is executed, and nothing is parked."""
    async with running(Intake(amqp_url, executor)):
        await sender.send(registration(), reply=False)
        await reached(lambda: holds(log, 1))

    assert await is_empty(channel, COMMANDS)
    assert await is_empty(channel, DEAD_COMMANDS)


async def test_a_repeated_command_gets_its_first_answer(
    amqp_url: str, sender: Sender, executor: Executor, log: Log
) -> None:
    """Given the same command twice, then it is in the log once, and both answers say where."""
    async with running(Intake(amqp_url, executor)):
        await sender.send(registration())
        await sender.send(registration())
        _, first = await sender.answer(1)
        _, second = await sender.answer(2)

    assert len(await log.read(0, 10)) == 1
    assert second == first | {"repeated": True}


CHAIN = {str(number) for number in range(1, 400)}
"""How its answers are told apart."""


async def send_a_chain(sender: Sender) -> None:
    """399 commands, each of which names the version that the one before leads to."""
    seeker = str(an_id("seeker 1"))
    await sender.send(registration(), correlation="1")
    for number in range(2, 400):
        await sender.send(
            {
                "command": "seeker.change_goals",
                "tenant": "demo",
                "id": seeker,
                "command_id": str(an_id(number)),
                "expected_version": number - 1,
                "data": {"fields": [f"field {number}"]},
            },
            correlation=str(number),
        )


async def test_replicas_that_take_turns_keep_the_order(
    amqp_url: str, sender: Sender, executor: Executor, log: Log
) -> None:
    """Given two replicas, each of which begins by taking commands one at a time on a connection of its own, and of
    which one ends half-way, then what one gives up is executed before what the other is given."""
    await send_a_chain(sender)
    first, second = Intake(amqp_url, executor), Intake(amqp_url, executor)
    async with running(second):
        async with running(first):
            await sender.answer(40)
        await sender.answers.until(lambda now: any(message.correlation_id == "399" for message in now.messages))

    positions: dict[int, Any] = {}
    for message in sender.answers.messages:
        positions.setdefault(int(message.correlation_id or 0), json.loads(message.body).get("position"))
    assert positions == {number: number for number in range(1, 400)}


async def test_commands_are_executed_in_the_order_in_which_they_were_queued(
    amqp_url: str, sender: Sender, executor: Executor, log: Log
) -> None:
    """Given commands that each need the one before, when sent at once, then none is refused and their order holds."""
    await send_a_chain(sender)
    async with running(Intake(amqp_url, executor)):
        await sender.answer(399)

    answers = [json.loads(message.body) for message in sender.answers.messages]
    assert [answer.get("position") for answer in answers] == list(range(1, 400))


@pytest.mark.parametrize("often", [1, DUBIOUS - 1, DUBIOUS])
@pytest.mark.parametrize("stopped", [False, True])
async def test_what_went_back_keeps_its_order(
    amqp_url: str, sender: Sender, executor: Executor, log: Log, often: int, stopped: bool
) -> None:
    """Given commands that each need the one before, when all of them went back to the queue, as often as not to matter
    or so often that they are delivered singly, and whoever executes them is told to stop half-way or not, then they are
    executed in their order: RabbitMQ puts what goes back again behind all that has."""
    await send_a_chain(sender)
    for _ in range(often):
        await die_holding(amqp_url, 399)
    if stopped:
        async with running(Intake(amqp_url, executor)):
            await sender.answer(40)
    async with running(Intake(amqp_url, executor)):
        await sender.answers.until(lambda now: {message.correlation_id for message in now.messages} >= CHAIN)

    positions = {
        message.correlation_id: json.loads(message.body).get("position") for message in sender.answers.messages
    }
    assert positions == {number: int(number) for number in CHAIN}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed_json"),
        (b"{", 400, "malformed_json"),
        (b"\xff\xfe", 400, "malformed_json"),
        (b"[]", 422, "invalid_input"),
        (b"7", 422, "invalid_input"),
        (b"{}", 422, "invalid_input"),
        (registration(command="seeker.fly"), 422, "unknown_command"),
        (registration(tenant="No Such Name!"), 422, "invalid_input"),
        (registration(id="not-an-id"), 422, "invalid_input"),
        (registration(unheard_of=1), 422, "invalid_input"),
        (registration(data={"name": "Ada"}), 422, "invalid_input"),
        (registration(data={"name": "A\x00da", "time_zone": "Europe/Vienna"}), 400, "malformed_json"),
        (registration(data={"name": "\ud800", "time_zone": "Europe/Vienna"}), 400, "malformed_json"),
        (registration(occurred_at="2026-03-02T12:00:00"), 422, "invalid_input"),
        (registration(data={"name": "x" * 300_000, "time_zone": "Europe/Vienna"}), 413, "body_too_large"),
        (registration(command="seeker.leave", data={}), 404, "unknown_seeker"),
    ],
    ids=[
        "empty",
        "cut off",
        "not UTF-8",
        "a list",
        "a number",
        "no fields",
        "unknown command",
        "tenant's name",
        "no UUID",
        "unknown field",
        "missing field",
        "NUL",
        "half a surrogate pair",
        "naive time",
        "too large",
        "unknown stream",
    ],
)
async def test_what_can_not_be_executed_is_answered_with_its_problem(
    amqp_url: str,
    sender: Sender,
    executor: Executor,
    log: Log,
    channel: AbstractChannel,
    body: object,
    status: int,
    code: str,
) -> None:
    """Given a message at fault with a reply address, then a problem document comes back, and nothing is written."""
    async with running(Intake(amqp_url, executor)):
        await sender.send(body, correlation="mine")
        message, problem = await sender.answer()

    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["remedy"]
    legible = isinstance(body, dict) and code in {"unknown_seeker", "unknown_command", "invalid_input"}
    assert problem.get("command_id") == (str(an_id("command 1")) if legible else None)
    assert message.content_type == "application/problem+json"
    assert message.correlation_id == "mine"
    assert await log.read(0, 1) == []
    assert await is_empty(channel, COMMANDS)
    assert await is_empty(channel, DEAD_COMMANDS)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"no json", "malformed_json"),
        (json.dumps(registration(command="seeker.leave", data={})).encode(), "unknown_seeker"),
    ],
    ids=["malformed", "refused"],
)
async def test_without_a_reply_address_it_is_parked_with_the_reason(
    amqp_url: str, sender: Sender, executor: Executor, channel: AbstractChannel, body: bytes, reason: str
) -> None:
    """Given a message at fault and nobody to tell, then it is in the dead-letter queue as it was, with the reason."""
    async with running(Intake(amqp_url, executor)):
        await sender.send(
            body, reply=False, correlation="mine", message_id="m1", headers={"x-own": "kept", "CC": ["elsewhere"]}
        )
        parked = await taken(channel, DEAD_COMMANDS)

    assert parked.body == body
    assert parked.headers["kithlog-reason"] == reason
    assert parked.headers["kithlog-detail"]
    assert parked.headers["kithlog-headers"] == {"x-own": "kept", "CC": ["elsewhere"]}
    assert (parked.correlation_id, parked.message_id) == ("mine", "m1")
    assert parked.delivery_mode == DeliveryMode.PERSISTENT
    assert await is_empty(channel, COMMANDS)


async def test_among_others_only_the_one_at_fault_suffers(
    amqp_url: str, sender: Sender, executor: Executor, log: Log, channel: AbstractChannel
) -> None:
    """Given a batch with a malformed and a refused message in it, then all others are executed."""
    for number in range(1, 21):
        await sender.send(
            b"{" if number == 7 else registration(13 if number == 14 else number, command_id=str(an_id(number)))
        )

    async with running(Intake(amqp_url, executor)):
        await sender.answer(20)

    codes = [json.loads(message.body).get("code") for message in sender.answers.messages]
    assert codes == [None] * 6 + ["malformed_json"] + [None] * 6 + ["already_exists"] + [None] * 6
    assert len(await log.read(0, 100)) == 18


async def test_an_answer_that_nobody_waits_for_holds_up_nothing(
    amqp_url: str, sender: Sender, executor: Executor, channel: AbstractChannel, log: Log
) -> None:
    """Given a reply address that is gone, then the command is executed and done with."""
    gone = Sender(channel, "no.such.queue")
    async with running(Intake(amqp_url, executor)):
        await gone.send(registration(1))
        await sender.send(registration(2))
        await sender.answer()

    assert len(await log.read(0, 10)) == 2
    assert await is_empty(channel, COMMANDS)


async def test_every_line_about_a_command_carries_its_correlation_id(
    amqp_url: str, sender: Sender, executor: Executor
) -> None:
    """Given a message with a correlation id, then the lines about it carry that id, also when it is malformed; those
    about a command say which, of which tenant and stream."""
    good, bad = str(an_id("good")), str(an_id("bad"))
    refused = registration(3, command="seeker.leave", data={})
    heard: list[str] = []
    with capture_logs(processors=[_merge]) as lines:
        async with running(Intake(amqp_url, executor, concluded=lambda command, _: heard.append(command))):
            await sender.send(registration(), correlation=good)
            await sender.send(b"no json", correlation=bad, reply=False)
            await sender.send(refused, reply=False)
            await sender.send(registration(2))
            await sender.answer(2)

    by_event = {line["event"]: line for line in lines if "correlation_id" in line}
    assert by_event["command executed"]["correlation_id"] == good
    assert by_event["command parked"]["correlation_id"] == bad
    assert "command" not in by_event["command parked"]
    assert sorted(heard) == ["seeker.leave", "seeker.register", "seeker.register", "unknown"]
    told = next(line for line in lines if line.get("reason") == "unknown_seeker")
    known = {"command", "tenant", "stream", "command_id"}
    assert {name: told[name] for name in known} == {
        **{name: refused[name] for name in known - {"stream"}},
        "stream": f"seeker/{refused['id']}",
    }


def _merge(logger: Any, name: str, event: Any) -> Any:
    from structlog.contextvars import merge_contextvars

    return merge_contextvars(logger, name, event)
