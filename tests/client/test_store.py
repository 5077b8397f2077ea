"""The mark in the handler's own transaction, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from shared.client import CloudEvent, Handlers, Mark, PostgresStore, Rules
from shared.client.failures import HandlerFailed
from shared.client.testing import Trial, an_event

Connection = Any
TABLES = """
CREATE TABLE seen (position bigint PRIMARY KEY);
CREATE TABLE later (position bigint REFERENCES seen DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION object() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no such file' USING ERRCODE = '58P01'; END $$;
CREATE TABLE doomed (position bigint);
CREATE CONSTRAINT TRIGGER doom AFTER INSERT ON doomed DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION fail();
CREATE TABLE judged (position bigint);
CREATE CONSTRAINT TRIGGER judge AFTER INSERT ON judged DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION object();
"""


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
        await pool.execute(TABLES)
        await pool.execute(PostgresStore.TABLE)
        yield pool


async def swallow(connection: Connection) -> None:
    with suppress(asyncpg.UniqueViolationError):
        await connection.execute("INSERT INTO seen VALUES (1)")


async def refer_to_nothing(connection: Connection) -> None:
    await connection.execute("INSERT INTO later VALUES (77)")


async def be_judged(connection: Connection) -> None:
    await connection.execute("INSERT INTO judged VALUES (77)")


def with_one_fault(fault: Callable[[Connection], Any]) -> Handlers[Connection]:
    """Of which the second event's breaks what it writes; the others note that they have seen theirs."""
    handlers: Handlers[Connection] = Handlers()

    @handlers.on("interview.held")
    async def take(event: CloudEvent, connection: Connection) -> None:
        if event.position == 2:
            await fault(connection)
        else:
            await connection.execute("INSERT INTO seen VALUES ($1)", event.position)

    return handlers


@pytest.mark.parametrize("batch", [1, 10])
@pytest.mark.parametrize("fault", [swallow, refer_to_nothing, be_judged])
async def test_a_handler_whose_writing_can_not_be_committed_holds_up_nobody(
    pool: Any, fault: Callable[[Connection], Any], batch: int
) -> None:
    """Given a handler that goes on after its transaction was aborted, or breaks what is only checked at the commit,
    then it is that event's failure: tried again, parked with what the database said; the others are handled.
    """
    store = PostgresStore(pool, "statistics")
    trial = Trial(with_one_fault(fault), rules=Rules(begin="first", delays=(1,), batch=batch), store=store)
    await trial.give(*(an_event("interview.held", {}, position=position) for position in (1, 2, 3)))
    assert [row["position"] for row in await pool.fetch("SELECT position FROM seen ORDER BY 1")] == [1, 3]
    await trial.give_again()
    [parked] = trial.parked
    assert (parked.reason, parked.attempts) == ("failed", 2)
    mark = await store.load()
    assert mark is not None
    assert (mark.proven, mark.begun, dict(mark.parked)) == (3, {}, {2: "failed"})


async def test_a_mark_that_is_saved_is_committed_soon_or_not_at_all(pool: Any) -> None:
    """Given a process that is frozen right before the commit, then PostgreSQL ends its session after seconds, so that
    the mark is free for the one that takes over; nothing of that stays with the connection."""
    store = PostgresStore(pool, "statistics")
    limit = "SELECT current_setting('idle_in_transaction_session_timeout')"
    for mark in (Mark().saved(), Mark().saved().saved()):
        async with store.unit() as unit:
            before = await unit.within.fetchval(limit)
            await unit.save(mark)
            assert await unit.within.fetchval(limit) == "10s" != before
        assert await pool.fetchval(limit) == before


async def end_the_connection(connection: Connection) -> None:
    await connection.execute("SET idle_in_transaction_session_timeout = 1")
    while not connection.is_closed():  # noqa: ASYNC110 - it gives no signal
        await asyncio.sleep(0.01)
    await connection.execute("INSERT INTO seen VALUES (77)")


async def be_doomed(connection: Connection) -> None:
    await connection.execute("INSERT INTO doomed VALUES (77)")


@pytest.mark.parametrize("batch", [1, 10])
@pytest.mark.parametrize("fault", [end_the_connection, be_doomed])
async def test_nor_does_one_at_which_the_database_breaks_each_time(
    pool: Any, fault: Callable[[Connection], Any], batch: int
) -> None:
    """Given a handler that loses its connection, or makes the commit fail as only a sick database should, then after
    some tries it is that event's failure; the others are handled."""
    store = PostgresStore(pool, "statistics")
    trial = Trial(with_one_fault(fault), rules=Rules(begin="first", delays=(1,), batch=batch), store=store)
    messages = [an_event("interview.held", {}, position=position) for position in (1, 2, 3)]
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await trial.give(*messages)
    await trial.give(*messages[trial.worker.ended :])
    await trial.give_again()
    assert [row["position"] for row in await pool.fetch("SELECT position FROM seen ORDER BY 1")] == [1, 3]
    mark = await store.load()
    assert mark is not None
    assert (mark.proven, mark.begun, dict(mark.parked)) == (3, {}, {2: "failed"})


async def test_a_database_that_is_away_is_not_the_handlers_fault(pool: Any) -> None:
    """Given a connection that the server ends before the commit, then no attempt is counted."""
    handlers: Handlers[Connection] = Handlers()

    @handlers.on("interview.held")
    async def take(event: CloudEvent, connection: Connection) -> None:
        await pool.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())

    trial = Trial(handlers, store=PostgresStore(pool, "statistics"))
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)) as raised:
        await trial.give(an_event("interview.held", {}, position=1))
    assert not isinstance(raised.value, HandlerFailed)
    assert (trial.waiting, trial.parked) == ([], [])
