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
from shared.log import Appended, LogUnavailable
from tests.broker.events import reached, running
from tests.broker.senders import Scripted, Sender, is_empty, registration

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


def written_at(position: int) -> UnknownEventType:
    return UnknownEventType("seeker.teleported", 1, position)


class Older(Scripted):
    """Can't do what it is asked for."""

    asked = 0
    fails: Exception | None = written_at(7)

    async def execute_all(self, envelopes: Sequence[CommandEnvelope]) -> list[Appended | Exception]:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return await super().execute_all(envelopes)

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


async def test_what_is_written_later_is_waited_for_anew(amqp_url: str, sender: Sender, hours: Hours) -> None:
    """Given events of a release that was rolled back, for which it was waited in vain, then none of them is waited for
    again, but what is written later is, as it may be of the release that was mended."""
    older = Older()

    async def waits_or_is_told() -> bool:
        return older.asked >= asked + 2 or len(sender.answers.messages) == 3

    async with running(Intake(amqp_url, older, hold=HOLD)):
        await sender.send(registration(1))
        await reached(partial(older.tried_again, 0))
        hours.now += HOLD + 1
        _, first = await sender.answer(1)
        older.fails = written_at(older.head)
        await sender.send(registration(2))
        _, second = await sender.answer(2)
        asked, older.fails = older.asked, written_at(older.head + 1)
        await sender.send(registration(3))
        await reached(waits_or_is_told)
        older.fails = None
        _, third = await sender.answer(3)

    assert (first.get("code"), second.get("code")) == ("unknown_event_type", "unknown_event_type")
    assert third.get("position") == 1


async def test_an_outage_before_takes_nothing_from_the_time_that_a_newer_release_has(
    amqp_url: str, sender: Sender, hours: Hours
) -> None:
    """Given a database that was away for most of the time that commands are held, when they wait for a newer release
    then and have to go back, then they wait for it on, and are executed when it is there."""

    class Asked(Older):
        asked_before = 0

        async def confirm(self) -> int:
            self.asked_before = self.asked
            return await super().confirm()

        async def came_again_and_waits(self) -> bool:
            back_and_on = 0 < self.asked_before <= self.asked - 2
            return back_and_on or bool(sender.answers.messages)

    older = Asked()
    older.fails = LogUnavailable("gone")
    async with running(Intake(amqp_url, older, hold=HOLD)):
        await sender.send(registration())
        await reached(partial(older.tried_again, 0))
        hours.now += HOLD - 1
        older.fails = written_at(7)
        await reached(partial(older.tried_again, older.asked))
        hours.now += 2
        await reached(older.came_again_and_waits)
        older.fails = None
        _, answer = await sender.answer()

    assert answer.get("position") == 1


async def test_an_outage_while_they_are_back_is_none_of_that_time_either(
    amqp_url: str, sender: Sender, hours: Hours
) -> None:
    """Given commands that went back, when PostgreSQL is away before they are taken again, for longer than they are
    held, then they wait for a newer release on, which had no time to come, and are executed when it is there."""

    class AwayThen(Older):
        asked_before = 0

        async def confirm(self) -> int:
            if not self.asked_before:
                self.asked_before = self.asked
                hours.now += HOLD
                raise LogUnavailable("gone")
            return await super().confirm()

        async def came_again_and_waits(self) -> bool:
            return 0 < self.asked_before <= self.asked - 2 or bool(sender.answers.messages)

    older = AwayThen()
    async with running(Intake(amqp_url, older, hold=HOLD)):
        await sender.send(registration())
        await reached(partial(older.tried_again, 0))
        hours.now += HOLD + 1
        await reached(older.came_again_and_waits)
        older.fails = None
        _, answer = await sender.answer()

    assert answer.get("position") == 1


async def is_there(one: Intake) -> bool:
    return (await one.presence.check.probe()).state == "ok"
