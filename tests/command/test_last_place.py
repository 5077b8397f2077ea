"""The contact's last place, when several seekers ask for it at the same moment over several services (rule 4)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from uuid import UUID

import asyncpg

from services.command.app import create_app
from tests.command.client import Client
from tests.command.conftest import FixedClock, serving, settings

SEEKERS = [UUID(int=0x5EE0 + number) for number in range(4)]
CONTACTS = [UUID(int=0xA00 + number) for number in range(12)]
REQUEST = {"channel": "email", "minutes": 20, "intent": "I want to learn about your field."}


def interview(seeker: UUID, contact: UUID) -> UUID:
    return UUID(int=seeker.int * 0x10000 + contact.int)


async def given_plans(client: Client) -> None:
    """Every seeker means to ask every contact, each of whom has two places a month."""
    for seeker in SEEKERS:
        await client.send("seekers/register", seeker, {"name": "Mona Quist", "time_zone": "Europe/Lisbon"})
    for contact in CONTACTS:
        await client.send("contacts/add", contact, {"name": "Ana Reis", "source": "cold", "capacity": 2})
        for seeker in SEEKERS:
            plan = {"seeker_id": str(seeker), "contact_ids": [str(contact)], "purpose": "field", "about": "Marketing"}
            planned = await client.send("interviews/plan", interview(seeker, contact), plan)
            assert planned.status_code == 201, planned.text


async def test_who_asks_at_the_same_moment_for_the_last_place(
    database_url: str, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Given contacts with one place left, when three seekers ask for it at the same moment, each of another service,
    then one gets it, the others a clear refusal, and nothing was written for them."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in SEEKERS:
            app = create_app(settings(database_url), clock=FixedClock())
            clients.append(await stack.enter_async_context(serving(app)))
            await app.state.gate.opened()
        await given_plans(clients[0])
        first, *others = SEEKERS
        for contact in CONTACTS:
            asked = await clients[0].send("interviews/send-request", interview(first, contact), REQUEST)
            assert asked.status_code == 200, asked.text
            answers = await asyncio.gather(
                *(
                    client.send("interviews/send-request", interview(seeker, contact), REQUEST)
                    for client, seeker in zip(clients[1:], others, strict=True)
                )
            )
            refused = [answer.json() for answer in answers if answer.status_code == 409]
            assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
            assert {problem["code"] for problem in refused} == {"contact_at_capacity"}
            assert all("2 requests a month" in problem["detail"] for problem in refused)
    written = await database.fetch(
        "SELECT stream_id, count(*) FROM log.event WHERE type = 'contact.asked' GROUP BY stream_id"
    )
    assert {row["stream_id"]: row["count"] for row in written} == dict.fromkeys(CONTACTS, 2)
    assert await database.fetchval("SELECT count(*) FROM log.event WHERE type = 'interview.request_sent'") == 24
