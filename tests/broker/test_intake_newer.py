"""The intake with commands on what only a newer release can read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from aio_pika.abc import AbstractChannel

from services.command import intake, waiting
from services.command.intake import Intake
from shared.broker.topology import DEAD_COMMANDS
from shared.codec import UnknownEventType
from shared.command_envelope import CommandEnvelope
from shared.log import Appended
from tests.broker.events import reached
from tests.broker.senders import Scripted, Sender, is_empty, registration, running

HOLD = 100.0


class Hours:
    """A clock that stands until it is told otherwise."""

    now = 1.0


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> Hours:
    hours = Hours()
    monkeypatch.setattr(waiting, "monotonic", lambda: hours.now)
    monkeypatch.setattr(intake, "LONGEST_PAUSE", 0.05)
    return hours


class Older(Scripted):
    """Can read nothing of what it is asked for."""

    asked = 0

    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        self.asked += 1
        raise UnknownEventType("seeker.teleported", 1, 7)

    async def tried_again(self, asked: int) -> bool:
        return self.asked >= asked + 2


async def test_a_newer_release_that_stands_by_gets_what_waits_for_it(
    amqp_url: str, sender: Sender, channel: AbstractChannel, hours: Hours
) -> None:
    """Given an older release that gets the commands, and a newer one behind it in the queue, when commands have waited
    for long, then the newer one executes them; and so it does when it was away meanwhile, and others have waited."""
    older = Older()
    async with running(Intake(amqp_url, older, hold=HOLD)):
        for number in (1, 2):
            await sender.send(registration(number))
            await reached(partial(older.tried_again, older.asked))
            newer = Intake(amqp_url, Scripted())
            async with running(newer):
                await reached(partial(is_there, newer))
                hours.now += HOLD + 1
                _, answer = await sender.answer(number)
            assert answer.get("position") == 1
    assert await is_empty(channel, DEAD_COMMANDS)


async def is_there(one: Intake) -> bool:
    return (await one.presence.check.probe()).state == "ok"
