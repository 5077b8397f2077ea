"""A command that was refused and told so stays refused, however often the broker delivers it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from services.command.executor import Executor
from services.command.intake import Intake
from shared.broker.topology import COMMANDS, DEAD_COMMANDS
from shared.domain.catalogue import DECIDERS
from shared.log import Log
from tests.broker.events import an_id, reached, running
from tests.broker.senders import FixedClock, Sender, is_empty, registration


def goals(number: int = 2, **changes: Any) -> dict[str, Any]:
    """A command that a seeker who is not registered yet is refused."""
    return registration(
        1, command="seeker.change_goals", command_id=str(an_id(number)), data={"fields": ["Geology"]}, **changes
    )


class Killed(Intake):
    """Ends once it has told how every command of its first batch ended, before it acknowledges any.

    The batch has so many commands, however they come.
    """

    def __init__(self, *arguments: Any, batch: int) -> None:
        super().__init__(*arguments)
        self._left, self._batch = batch, list[AbstractIncomingMessage]()

    async def _settle(self, broker: Any, batch: Sequence[AbstractIncomingMessage], stop: asyncio.Event) -> bool:
        self._batch += batch
        if len(self._batch) == self._left:
            return await super()._settle(broker, self._batch, stop)
        return True

    async def _conclude(self, *arguments: Any) -> None:
        await super()._conclude(*arguments)
        self._left -= 1
        if not self._left:
            raise SystemError("killed")


@pytest.mark.parametrize("reply", [True, False], ids=["answered", "parked"])
async def test_what_was_refused_is_not_executed_when_it_comes_again(
    amqp_url: str, sender: Sender, executor: Executor, log: Log, channel: AbstractChannel, reply: bool
) -> None:
    """Given a command that is refused and behind it the one that makes what it needs, when the process is killed after
    it has told both outcomes and before it has acknowledged, then its successor tells the same of both."""
    await sender.send(goals(), reply=reply)
    await sender.send(registration())
    with pytest.raises(SystemError):
        async with running(Killed(amqp_url, executor, batch=2)) as killed:
            await reached(lambda: _done(killed))
    async with running(Intake(amqp_url, Executor(log, DECIDERS, FixedClock()))):
        await sender.answer(4 if reply else 2)
        await reached(lambda: holds(channel, DEAD_COMMANDS, 0 if reply else 2))

    answers = [json.loads(message.body) for message in sender.answers.messages]
    accepted = [answer for answer in answers if "position" in answer]
    assert [answer["repeated"] for answer in accepted] == [False, True]
    if reply:
        refused = [answer for answer in answers if "position" not in answer]
        assert refused[0] == refused[1]
        assert refused[0]["code"] == "unknown_seeker"
    else:
        letters = await channel.get_queue(DEAD_COMMANDS)
        dead = [await letters.get(no_ack=True), await letters.get(no_ack=True)]
        assert [letter.headers["kithlog-reason"] for letter in dead] == ["unknown_seeker"] * 2
    assert [event.type for event in await log.read(0, 10)] == ["seeker.registered"]
    assert await is_empty(channel, COMMANDS)


async def holds(channel: AbstractChannel, queue: str, messages: int) -> bool:
    """What is parked is told to nobody: it is there a moment later."""
    found = await channel.declare_queue(queue, passive=True)
    return found.declaration_result.message_count == messages


async def _done(task: Any) -> bool:
    return bool(task.done())
