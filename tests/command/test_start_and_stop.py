"""The service starts before what it stands on, goes on without it, and finishes what it accepted when told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import aio_pika
import asyncpg
import httpx
import pytest

from services.command.app import create_app
from services.command.executor import Executor
from shared.broker import topology
from shared.command_envelope import CommandEnvelope
from shared.database.migrate import migrate
from shared.database.pool import open_pool
from shared.domain.catalogue import COMMANDS, DECIDERS
from shared.domain.kernel import Stream
from shared.log import Append, Log, Pending
from tests.broker.events import reached
from tests.command.client import ADD, ANA, REGISTER, SEEKER, Client, message, ndjson, problem
from tests.command.conftest import NOW, FixedClock, serving, settings
from tests.command.proxy import Proxy

VERDICT = {"field": "Geology", "verdict": "pursue"}


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[Proxy]:
    """A closed way to PostgreSQL."""
    async with Proxy(database_url) as proxy:
        yield proxy


async def checks(client: Client, status: int) -> dict[str, Any]:
    response = await client.http.get("/readyz")
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_it_serves_before_its_database_is_there(proxy: Proxy) -> None:
    """Given no PostgreSQL, then it is alive, not ready, and tells callers to come again; when PostgreSQL comes, then
    it accepts commands by itself."""
    app = create_app(settings(proxy.url), clock=FixedClock())
    async with serving(app) as client:
        assert (await client.http.get("/healthz")).status_code == 200
        found = await checks(client, 503)
        assert (found["status"], found["checks"]["database"]["state"]) == ("unready", "failing")
        response = await client.send("seekers/register", SEEKER, REGISTER)
        problem(response, 503, "starting")
        assert response.headers["retry-after"] == "1"
        await proxy.open()
        await app.state.gate.opened()
        assert (await client.send("seekers/register", SEEKER, REGISTER)).status_code == 201
        assert (await checks(client, 200))["status"] == "ready"


async def test_it_can_be_stopped_while_it_waits(proxy: Proxy) -> None:
    """Given no PostgreSQL, when it is told to stop, then it does."""
    async with serving(create_app(settings(proxy.url), clock=FixedClock())):
        pass


async def test_commands_wait_out_an_outage(proxy: Proxy) -> None:
    """Given a running service, when PostgreSQL goes away and comes back, then a command that came meanwhile is
    accepted, whether it needs to read first or not, and nothing is doubled."""
    await proxy.open()
    app = create_app(settings(proxy.url, append_patience=60), clock=FixedClock())
    async with serving(app) as client:
        await app.state.gate.opened()
        await client.send("seekers/register", SEEKER, REGISTER)
        await proxy.close()
        known = asyncio.create_task(client.send("seekers/record-verdict", SEEKER, VERDICT))
        unknown = asyncio.create_task(client.send("seekers/register", UUID(int=2), REGISTER))
        assert (await checks(client, 503))["checks"]["database"]["state"] == "failing"
        await proxy.open()
        assert (await known).status_code == 200
        assert (await unknown).status_code == 201
        assert {(await known).json()["position"], (await unknown).json()["position"]} == {2, 3}


async def test_patience_ends_with_an_answer_that_can_be_repeated(proxy: Proxy) -> None:
    """Given PostgreSQL away for longer than patience, then 503 tells the key to repeat with; repeated when it is
    back, the command is executed once."""
    await proxy.open()
    app = create_app(settings(proxy.url, append_patience=0.2), clock=FixedClock())
    async with serving(app) as client:
        await app.state.gate.opened()
        await proxy.close()
        document = problem(await client.send("seekers/register", SEEKER, REGISTER), 503, "log_unavailable")
        await proxy.open()
        repeated = {"Idempotency-Key": document["command_id"]}
        status = 503
        while status == 503:  # each attempt may find the connections that were cut
            response = await client.send("seekers/register", SEEKER, REGISTER, headers=repeated)
            status = response.status_code
        assert response.status_code == 201, response.text
        assert response.json()["position"] == 1


async def test_a_full_disk_is_an_outage(database_url: str, database: asyncpg.Connection[asyncpg.Record]) -> None:
    """Given PostgreSQL that answers, and has no room to write, then commands and lines of an import are answered 503
    and may be repeated; once there is room, they are executed."""
    app = create_app(settings(database_url, append_patience=0.2), clock=FixedClock())
    line = ndjson(message("seeker.register", UUID(int=2), REGISTER, number=2))
    async with serving(app) as client:
        await app.state.gate.opened()
        await database.execute(
            """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql
               AS $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
               CREATE TRIGGER full_disk BEFORE INSERT ON log.event FOR EACH STATEMENT EXECUTE FUNCTION full_disk()"""
        )
        refused = await client.send("seekers/register", SEEKER, REGISTER)
        problem(refused, 503, "log_unavailable")
        assert refused.headers["retry-after"] == "2"
        assert [each["problem"]["code"] for each in await client.bulk(line)] == ["log_unavailable"]
    await database.execute("DROP TRIGGER full_disk ON log.event")
    patient = create_app(settings(database_url), clock=FixedClock())  # enough for any machine
    async with serving(patient) as client:
        await patient.state.gate.opened()
        assert (await client.send("seekers/register", SEEKER, REGISTER)).status_code == 201
        assert [each["status"] for each in await client.bulk(line)] == [200]


async def test_rights_that_are_missing_are_an_outage(
    database_url: str, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Given PostgreSQL that does not let the service into the log any more, then commands and lines of an import are
    answered 503, whatever they have to read or write; once it does, they are executed."""
    app = create_app(settings(database_url), clock=FixedClock())
    lines = ndjson(*(message("seeker.register", UUID(int=n), REGISTER, number=n) for n in (2, 3)))
    async with serving(app) as client:
        await app.state.gate.opened()
        await database.execute("REVOKE USAGE ON SCHEMA log FROM kithlog_app")
        for what in ("seekers/register", "seekers/leave"):
            refused = await client.send(what, SEEKER, REGISTER if what == "seekers/register" else {})
            problem(refused, 503, "log_unavailable")
        assert [each["problem"]["code"] for each in await client.bulk(lines)] == ["log_unavailable"] * 2
        await database.execute("GRANT USAGE ON SCHEMA log TO kithlog_app")
        assert (await client.send("seekers/register", SEEKER, REGISTER)).status_code == 201
        assert [each["status"] for each in await client.bulk(lines)] == [200] * 2


async def of_a_newer_release(database_url: str) -> None:
    """A seeker whose history goes on with an event that is not known here."""
    there = Stream("seeker", SEEKER)
    pool = await open_pool(database_url)
    async with Log.open(pool, database_url) as log:
        registered = await Executor(log, DECIDERS, FixedClock()).execute(
            CommandEnvelope(
                command="seeker.register",
                tenant="acme",
                id=SEEKER,
                command_id=UUID(int=1),
                data=COMMANDS["seeker.register"].model_validate(REGISTER),
            )
        )
        event = Pending(there, "seeker.teleported", 1, b"{}")
        id = UUID(int=99)
        await log.append(Append("acme", id, [event], {there: registered.events[0].version}, NOW, id, id))
    await pool.close()


async def test_what_a_newer_release_has_written_is_an_outage(database_url: str) -> None:
    """Given a stream with an event that only a newer release knows, as while services are replaced, then a command on
    it is answered 503, as queries of it are, and in an import so are the lines behind it: they might be refused for
    lack of it, and stay so. None of it is kept. Those before it are executed, whichever they are together with."""
    await migrate(database_url)
    await of_a_newer_release(database_url)
    app = create_app(settings(database_url), clock=FixedClock())
    before = [message("seeker.register", UUID(int=n), REGISTER, number=n) for n in (4, 5)]
    reused = {**before[0], "data": {**REGISTER, "name": "Grace Example"}}  # not executed together with the first
    behind = [message("seeker.record_verdict", SEEKER, VERDICT, number=2), message("contact.add", ANA, ADD, number=3)]
    async with serving(app) as client:

        async def told(*lines: dict[str, Any]) -> list[str | None]:
            return [each.get("problem", {}).get("code") for each in await client.bulk(ndjson(*lines))]

        await app.state.gate.opened()
        refused = await client.send("seekers/record-verdict", SEEKER, VERDICT)
        problem(refused, 503, "unknown_event_type")
        assert refused.headers["retry-after"] == "2"
        not_yet = ["unknown_event_type"] * 2
        assert await told(before[0], *behind) == [None, *not_yet]
        assert await told(before[0], reused, before[1], *behind) == [None, "key_reused", None, *not_yet]
        assert (await client.bulk(ndjson(behind[1])))[0]["status"] == 200


async def until_somebody_waits_for_a_lock(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while True:
        if await connection.fetchval(query):
            return
        await asyncio.sleep(0.005)


async def test_stopping_finishes_what_was_accepted(
    database_url: str, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Given a command whose append waits for another writer, when the service is told to stop, then it stops after
    the command was written and answered."""
    app = create_app(settings(database_url), clock=FixedClock())
    blocker = await asyncpg.connect(database_url)
    lifespan = app.router.lifespan_context(app)
    await lifespan.__aenter__()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://command") as http:
        await app.state.gate.opened()
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("SELECT * FROM log.head FOR UPDATE")
        sent = asyncio.create_task(Client(http).send("seekers/register", SEEKER, REGISTER))
        await until_somebody_waits_for_a_lock(database)
        stopping = asyncio.create_task(lifespan.__aexit__(None, None, None))
        await app.state.gate.closed()
        assert not stopping.done()
        await transaction.rollback()
        assert (await sent).status_code == 201
        await stopping
    await blocker.close()
    assert await database.fetchval("SELECT count(*) FROM log.event") == 1


async def test_events_reach_the_broker(database_url: str, amqp_url: str) -> None:
    """Given a service with its broker, when a command is accepted, then its event is published; commands from the
    broker's queue are executed and answered, too; it is ready."""
    connection = await aio_pika.connect(amqp_url)
    async with connection, connection.channel() as channel:
        await topology.declare(channel)
        inbox = await channel.declare_queue(exclusive=True)
        await inbox.bind(topology.EVENTS, "#")
        app = create_app(settings(database_url, amqp_url=amqp_url, relay=True, intake=True), clock=FixedClock())
        async with serving(app) as client:
            await app.state.gate.opened()
            await client.send("seekers/register", SEEKER, REGISTER)
            assert (await next_of(inbox)).routing_key == "acme.seeker.registered"

            async def is_ready() -> bool:
                return bool((await checks(client, 200))["status"] == "ready")

            await reached(is_ready)
            found = await checks(client, 200)
            assert {"database", "relay broker", "intake broker", "publishing"} <= set(found["checks"])


async def next_of(queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    async with queue.iterator(no_ack=True) as messages:
        return await anext(messages)


async def test_a_broker_that_does_not_let_it_in_is_told(database_url: str, amqp_url: str) -> None:
    """Given a RabbitMQ that can be reached and refuses the password, then `/readyz` says so for relay and intake."""
    at = amqp_url.index("@")
    shut_out = settings(database_url, amqp_url=f"{amqp_url[:at]}-not{amqp_url[at:]}", relay=True, intake=True)
    app = create_app(shut_out, clock=FixedClock())
    async with serving(app) as client:
        await app.state.gate.opened()

        async def says_why() -> bool:
            found = await checks(client, 200)
            told = [found["checks"][f"{loop} broker"] for loop in ("relay", "intake")]
            return all(each["state"] == "degraded" and "ACCESS_REFUSED" in each["detail"] for each in told)

        await reached(says_why)


async def test_without_a_broker_commands_are_still_accepted(database_url: str) -> None:
    """Given no RabbitMQ, then commands are accepted and durable, and `/readyz` calls it degraded."""
    nowhere = settings(
        database_url, amqp_url="amqp://nobody@127.0.0.1:1/", relay=True, intake=True, stalled_after=0.001
    )
    app = create_app(nowhere, clock=FixedClock())
    async with serving(app) as client:
        await app.state.gate.opened()
        assert (await client.send("seekers/register", SEEKER, REGISTER)).status_code == 201
        assert (await checks(client, 200))["status"] == "degraded"

        async def stands_still() -> bool:
            found = await checks(client, 200)
            return "has not moved" in found["checks"]["publishing"]["detail"]

        await reached(stands_still)
