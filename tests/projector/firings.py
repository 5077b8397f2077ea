"""Reminders on a real database: what arms and ends them, folded and fired."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from services.projector.firing.firing import Firing
from shared.codec import decode
from shared.domain import interview, seeker
from shared.envelope import Recorded
from shared.log import Append, Log
from shared.timing.policies import default_policies
from tests.projector.conftest import projector
from tests.projector.histories import START, Happening, appends, on

SEEKER, ANA, MEETING = UUID(int=1), UUID(int=2), UUID(int=3)
WHOSE: dict[str, Any] = {"seeker_id": SEEKER, "contact_ids": (ANA,)}
REGISTERED = on("seeker", SEEKER, seeker.Registered(name="Mona Quist", time_zone="Europe/Berlin"))
HELD = on("interview", MEETING, interview.Held(**WHOSE, format="coffee"))
THANKED = on("interview", MEETING, interview.Thanked(**WHOSE, how="email", thanked_ids=(ANA,)))
EVENING = START + timedelta(hours=9)
"""19:00 in Berlin on the day of the conversation: only the first reminder to say thanks is due."""
MUCH_LATER = START + timedelta(days=400)


def firing(database_url: str, **options: Any) -> Firing:
    return Firing(database_url, default_policies(), **options)


async def fold(database_url: str, log: Log) -> int:
    async with projector(database_url, log).session() as session:
        return await session.run_once()


async def fire(database_url: str, **options: Any) -> Any:
    async with firing(database_url, **options).session() as session:
        return await session.run_once()


async def told(log: Log) -> list[Recorded[Any]]:
    """The notifications that the log tells of."""
    return [decode(event) for event in await log.read(0, 10_000) if event.category == "notification"]


async def thanks_of(log: Log) -> list[tuple[str, str, str]]:
    found = [event.data for event in await told(log) if event.data.rule.policy == "thank_you"]
    return [(each.type, each.stage, getattr(each, "reason", "")) for each in found]


def second(happening: Happening, number: int, *, version: int) -> Append:
    [append] = appends([happening], after=number - 1)
    return Append(
        append.tenant,
        append.command_id,
        append.events,
        {happening.stream: version},
        append.occurred_at,
        append.correlation_id,
        append.causation_id,
    )
