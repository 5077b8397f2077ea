"""The log's promises on real PostgreSQL, with the interleavings that break them forced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest

from shared.database.pool import connect, open_pool
from shared.domain.kernel import Stream
from shared.log import Append, Appended, Head, KeptRefusal, KeyReused, Log, Pending, RefusedBefore, WrongVersion
from shared.log.reading import QUERIES as READING
from shared.log.writing import QUERIES as WRITING
from shared.log.writing import write

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
A, B = Stream("interview", UUID(int=1)), Stream("contact", UUID(int=2))
if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


def append(
    command: int, expected: dict[Stream, int], *, writes: int = 1, content: bytes = b"p", tenant: str = "acme"
) -> Append:
    events = [Pending(stream, "interview.held", 1, b'{"n":%d}' % command) for stream in expected for _ in range(writes)]
    id = UUID(int=command)
    return Append(tenant, id, events, expected, AT, id, id, actor="seeker:1", fingerprint=content)


@asynccontextmanager
async def opened(database_url: str, **options: Any) -> AsyncIterator[Log]:
    pool = await open_pool(database_url)
    try:
        async with Log.open(pool, database_url, **options) as log:
            yield log
    finally:
        await pool.close()


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[Log]:
    async with opened(database_url) as log:
        yield log


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[Connection]:
    connection = await connect(database_url)
    yield connection
    await connection.close()


async def until_blocked(observer: Connection, sessions: int) -> None:
    """Wait until so many sessions of this database wait for a lock."""
    while True:
        blocked = await observer.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        if blocked >= sessions:
            return
        await asyncio.sleep(0.005)


def positions(events: Sequence[Any]) -> list[int]:
    return [event.position for event in events]


async def test_an_append_is_read_back_with_its_whole_envelope(log: Log) -> None:
    """Given an empty log, when a command's events are appended, then every field comes back as it was given."""
    answer = await log.append(append(1, {A: 0, B: 0}))
    events = await log.read(0, 10)
    assert positions(events) == [1, 2]
    first = events[0]
    assert (first.tenant, first.stream, first.version, first.type) == ("acme", A, 1, "interview.held")
    assert (first.epoch, first.schema_version, first.data) == (1, 1, b'{"n":1}')
    assert (first.occurred_at, first.actor, first.command_id) == (AT, "seeker:1", UUID(int=1))
    assert first.recorded_at == answer.recorded_at
    assert answer.position == 2
    assert [event.event_id for event in events] == [written.event_id for written in answer.events]
    assert await log.head() == Head(2, 1)


@pytest.mark.parametrize("replicated", [False, True])
async def test_a_page_ends_with_the_event_that_fills_it(log: Log, replicated: bool) -> None:
    """Given events of seven bytes, then a page has as many as reach the sum, one at least, and no more than wanted."""
    await log.append(append(1, {A: 0}, writes=6))
    read = log.read_replicated if replicated else log.read
    pages = [await read(1, limit, most_bytes) for limit, most_bytes in ((9, 14), (9, 15), (9, 1), (2, 99))]
    assert [positions(page) for page in pages] == [[2, 3], [2, 3, 4], [2], [2, 3]]
    assert pages[0] == await log.read(1, 2)


async def test_what_is_undated_happens_when_it_is_recorded(log: Log) -> None:
    """Given events without a time, then they happened when they were recorded, by the same clock."""
    answer = await log.append(replace(append(1, {A: 0}), occurred_at=None))
    assert [event.occurred_at for event in await log.read(0, 10)] == [answer.recorded_at]


async def test_positions_are_dense_whatever_is_refused(log: Log) -> None:
    """Given many callers of whom half expect a wrong version, then no gaps, and refusals wrote nothing."""
    streams = [Stream("interview", UUID(int=100 + n)) for n in range(50)]
    commands = count(1)
    appends = [append(next(commands), {stream: version}) for stream in streams for version in (0, 7, 0, 1)]
    outcomes = await log.append_all(appends)
    written = [outcome for outcome in outcomes if isinstance(outcome, Appended)]
    assert len(written) == 100  # of each stream: version 0, then 1
    assert positions(await log.read(0, 1000)) == list(range(1, 101))
    for stream in streams:
        assert [event.version for event in await log.read_stream("acme", stream.id)] == [1, 2]


async def test_a_repeated_command_gets_the_first_answer(log: Log) -> None:
    first = await log.append(append(1, {A: 0}))
    await log.append(append(2, {A: 1}))
    again = await log.append(append(1, {A: 0}))
    assert again.repeated
    assert (again.position, again.events, again.recorded_at) == (
        first.position,
        first.events,
        first.recorded_at,
    )
    with pytest.raises(KeyReused):
        await log.append(append(1, {A: 0}, content=b"other"))
    assert (await log.head()).position == 2


async def test_the_same_command_id_of_another_tenant_is_another_command(log: Log) -> None:
    assert not (await log.append(append(1, {A: 0}))).repeated
    assert not (await log.append(append(1, {A: 0}, tenant="other"))).repeated


async def test_what_was_refused_is_not_written_and_takes_no_position(log: Log) -> None:
    """Given a command whose refusal was kept, when it is appended after all, with another one before it, then nothing
    is written, and the next append gets the next position; the same id with other content, which was not refused, is
    written."""
    await log.append(append(1, {A: 0}))
    await log.refuse([KeptRefusal("acme", UUID(int=2), b"p", "{}")])
    with pytest.raises(RefusedBefore):
        await log.append_chain([append(3, {B: 0}), append(2, {A: 1})])
    assert await log.head() == Head(1, 1)
    assert (await log.append(append(3, {B: 0}))).position == 2
    assert (await log.append(append(2, {A: 1}, content=b"other"))).position == 3


async def test_what_comes_to_nothing_takes_no_position(log: Log) -> None:
    """Given appends that are refused or known, when PostgreSQL has said so, then the head is where it was."""
    await log.append(append(1, {A: 0}, writes=3))
    with pytest.raises(WrongVersion):
        await log.append(append(2, {A: 1}, writes=2))
    assert (await log.append(append(1, {A: 0}, writes=3))).repeated
    assert await log.head() == Head(3, 1)
    assert (await log.append(append(4, {B: 0}))).position == 4


async def test_two_copies_of_a_command_race(database_url: str, connection: Connection) -> None:
    """Given two replicas that append the same command at the same moment, then one writes and both answer alike."""
    async with opened(database_url) as one, opened(database_url) as two, asyncio.TaskGroup() as group:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM log.head FOR UPDATE")
            tasks = [group.create_task(each.append(append(1, {A: 0}))) for each in (one, two)]
            observer = await asyncpg.connect(database_url)
            await until_blocked(observer, 2)
            await observer.close()
        answers = await asyncio.gather(*tasks)
        assert sorted(answer.repeated for answer in answers) == [False, True]
        assert answers[0].events == answers[1].events
        assert (await one.head()).position == 1


class Between:
    """A session beside which something happens after its first append statement."""

    def __init__(self, connection: Connection, then: Callable[[], Awaitable[object]]) -> None:
        self._connection, self._then, self.statements = connection, then, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def fetchrow(self, query: str, *arguments: object) -> object:
        row = await self._connection.fetchrow(query, *arguments)
        self.statements += 1
        if self.statements == 1:
            await self._then()
        return row


async def test_a_copy_that_came_since_is_answered_as_durably_as_it_was_written(
    log: Log, connection: Connection
) -> None:
    """Given a batch of a command that came before and another of which a copy is written right after the statement has
    said so, then that one is answered only when a further statement has seen it: to be seen is not to be on a stand-by,
    but what a statement saw is, once that is answered."""
    known, raced = append(1, {A: 0}), append(2, {B: 0})
    await log.append(known)
    session = Between(connection, lambda: log.append(raced))
    first, second = await write(session, [known, raced])
    assert isinstance(first, Appended)
    assert isinstance(second, Appended)
    assert (first.repeated, second.repeated) == (True, True)
    assert session.statements == 2


async def test_two_appenders_of_one_stream_race(database_url: str, connection: Connection) -> None:
    """Given two replicas that expect the same version, then one wins and the other is told the version it lost to."""
    async with opened(database_url) as one, opened(database_url) as two, asyncio.TaskGroup() as group:
        async with connection.transaction():
            await connection.execute("SELECT 1 FROM log.head FOR UPDATE")
            tasks = [group.create_task(_outcome(log, append(n, {A: 0}))) for n, log in ((1, one), (2, two))]
            observer = await asyncpg.connect(database_url)
            await until_blocked(observer, 2)
            await observer.close()
        outcomes = await asyncio.gather(*tasks)
        [refused] = [each for each in outcomes if isinstance(each, WrongVersion)]
        assert refused.actual == 1
        assert (await one.head()).position == 1


async def test_a_reader_skips_nothing_while_a_slow_transaction_is_open(
    log: Log, database_url: str, connection: Connection
) -> None:
    """Given a slow append between fast ones, then a reader that follows the log sees every position, in order."""
    await log.append(append(1, {A: 0}))
    cursor, seen = 0, []

    async def follow() -> None:
        nonlocal cursor
        for event in await log.read(cursor, 100):
            seen.append(event.position)
            cursor = event.position

    await follow()
    async with asyncio.TaskGroup() as group, connection.transaction():
        [slow] = await Log.append_within(connection, [append(2, {B: 0}, writes=3)])
        fast = group.create_task(log.append(append(3, {A: 1})))
        observer = await asyncpg.connect(database_url)
        await until_blocked(observer, 1)
        await observer.close()
        await follow()
        assert seen == [1]
    assert isinstance(slow, Appended)
    assert (slow.position, fast.result().position) == (4, 5)
    await follow()
    assert seen == [1, 2, 3, 4, 5]


async def test_a_rollback_returns_its_positions(log: Log, connection: Connection) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await Log.append_within(connection, [append(1, {A: 0}, writes=5)])
    await transaction.rollback()
    assert (await log.append(append(2, {A: 0}))).position == 1


@pytest.mark.parametrize(("actor", "schema_version"), [("nul\0", 1), ("anyone", 2**31)])
async def test_one_bad_append_hurts_nobody_else(log: Log, actor: str, schema_version: int) -> None:
    """Given a batch in which PostgreSQL can't take one append, or asyncpg can't send it, then the others are written,
    and it is told at once: waiting mends neither."""
    bad = append(1, {A: 0})
    events = [replace(event, schema_version=schema_version) for event in bad.events]
    bad = replace(bad, actor=actor, events=events)
    outcomes = await asyncio.gather(log.append(bad), log.append(append(2, {B: 0})), return_exceptions=True)
    assert isinstance(outcomes[0], asyncpg.PostgresError | asyncpg.DataError)
    assert isinstance(outcomes[1], Appended)
    assert positions(await log.read(0, 10)) == [1]


async def test_one_refused_before_leaves_the_others_together(log: Log, connection: Connection) -> None:
    """Given two batches of 64 callers, in the first a command whose refusal was kept, then that one is told, and the
    others are written in their order, in few transactions: nobody makes each of them wait for one of its own."""
    await log.refuse([KeptRefusal("acme", UUID(int=200), b"p", "{}")])
    wanted = [append(number + 1, {A: number}) for number in range(127)]
    outcomes = await asyncio.gather(
        *map(log.append, [*wanted[:40], append(200, {B: 0}), *wanted[40:]]), return_exceptions=True
    )
    assert isinstance(outcomes.pop(40), RefusedBefore)
    assert [each.position for each in outcomes if isinstance(each, Appended)] == [*range(1, 128)]
    halvings = 6
    assert await connection.fetchval("SELECT count(DISTINCT xmin::text) FROM log.receipt") == halvings + 1


async def test_an_append_outlives_the_loss_of_its_connection(log: Log, database_url: str) -> None:
    """Given that the server ends the writer's connection, then the append is written by the next one, once."""
    await log.append(append(1, {A: 0}))
    admin = await asyncpg.connect(database_url)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await admin.close()
    assert not (await log.append(append(2, {A: 1}))).repeated
    assert (await log.append(append(2, {A: 1}))).repeated


class Batches:
    """Hears how many commands each batch held, and how many events it wrote."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.events: list[int] = []

    def appended(self, *, commands: int, events: int, seconds: float) -> None:
        self.sizes.append(commands)
        self.events.append(events)


@pytest.mark.parametrize(("callers", "sizes"), [(20, [20]), (48, [32, 16]), (200, [100, 100])])
async def test_where_many_wait_two_batches_are_under_way(database_url: str, callers: int, sizes: list[int]) -> None:
    """Given callers who append at the same moment, then few make one batch; of many, half are left for a second batch,
    and those of one stream are still written in the order in which they came."""
    heard = Batches()
    async with opened(database_url, observer=heard) as log:
        outcomes = await log.append_all([append(n + 1, {A: n}) for n in range(callers)])
    assert [outcome.position for outcome in outcomes if isinstance(outcome, Appended)] == [*range(1, callers + 1)]
    assert heard.sizes == sizes


async def test_only_events_that_were_written_are_counted(database_url: str) -> None:
    """Given a command that is repeated, in its batch or later, and one that is refused, then what is told to be written
    is what the log has more."""
    heard = Batches()
    async with opened(database_url, observer=heard) as log:
        await log.append_all([append(1, {A: 0}), append(1, {A: 0}), append(2, {A: 7}), append(3, {A: 1})])
        await log.append_all([append(1, {A: 0}), append(3, {A: 1})])
        await log.append(append(4, {A: 2}))
        assert (await log.head()).position == 3
    assert (heard.sizes, heard.events) == ([4, 2, 1], [2, 0, 1])


class Broken:
    """An observer that fails."""

    def appended(self, *, commands: int, events: int, seconds: float) -> None:
        raise ValueError("broken")


async def test_an_observer_that_fails_keeps_nobody_waiting(database_url: str) -> None:
    async with opened(database_url, observer=Broken()) as log:
        for n in range(4):
            assert (await log.append(append(n + 1, {A: n}))).position == n + 1


async def test_the_second_batch_waits_for_the_first_ones_trouble(database_url: str) -> None:
    """Given two batches under way, of which the first holds what PostgreSQL can't take and loses its connection, then
    every other append is written once, in the order in which they came, and the bad one alone is told."""
    wanted = [append(n + 1, {A: n}) for n in range(200)]
    async with opened(database_url) as log:
        await log.append(append(1000, {B: 0}))  # has a connection that can be lost
        appending = asyncio.gather(
            log.append_all(wanted[:49]),
            log.append(replace(append(1001, {B: 1}), actor="nul\0")),
            log.append_all(wanted[49:]),
            return_exceptions=True,
        )
        admin = await asyncpg.connect(database_url)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await admin.close()
        before, bad, after = await appending
        assert isinstance(bad, asyncpg.PostgresError | asyncpg.DataError)
        assert [outcome.events[0].version for outcome in (*before, *after)] == [*range(1, 201)]  # type: ignore[misc]
        there = await log.read_streams(["acme"], [A.id])  # which waits where its session was ended, too
        assert [e.command_id for e in there] == [each.command_id for each in wanted]


async def test_what_was_submitted_is_written_before_the_log_closes(database_url: str) -> None:
    async with opened(database_url) as log:
        tasks = [asyncio.create_task(log.append(append(n, {Stream("lead", UUID(int=n)): 0}))) for n in range(1, 201)]
        await asyncio.sleep(0)  # lets the tasks submit; nothing depends on how far they get
    assert all(isinstance(task.result(), Appended) for task in tasks)


@pytest.mark.parametrize("statement", ["UPDATE {} SET tenant = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["log.event", "log.receipt"])
async def test_history_is_append_only(log: Log, database_url: str, table: str, statement: str) -> None:
    """Neither the services' role (by grants) nor the owner (by trigger) can change what was written."""
    await log.append(append(1, {A: 0}))
    owner, service = await asyncpg.connect(database_url), await connect(database_url)
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await owner.execute(statement.format(table))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute(statement.format(table))
    await owner.close()
    await service.close()


@pytest.mark.parametrize(
    ("query", "arguments"),
    [
        ("read_streams", (["acme"], [A.id], [0])),
        ("receipts", (["acme"], [UUID(int=1)])),
        ("refusals", (["acme"], [UUID(int=2)])),
        ("written", ([0], [1])),
    ],
)
async def test_a_lookup_stays_one_when_the_log_grows(
    log: Log, connection: Connection, database_url: str, query: str, arguments: tuple[Any, ...]
) -> None:
    """Given a log so short that scanning it is cheapest, when a session looks up often enough to keep its plan, then
    the plan is one for long logs, too: plans made at a service's first start used to scan all that came after."""
    await log.append(append(1, {A: 0}))
    await log.refuse([KeptRefusal("acme", UUID(int=2), b"p", "{}")])
    owner = await asyncpg.connect(database_url)
    await owner.execute("ANALYZE")
    await owner.close()
    async with connection.transaction():
        for _ in range(7):  # from the sixth time on PostgreSQL may keep one plan for all arguments
            assert len(await connection.fetch({**READING, **WRITING}[query], *arguments)) == 1
        scans = await connection.fetchval("SELECT sum(seq_scan) FROM pg_stat_xact_user_tables WHERE schemaname = 'log'")
    assert scans == 0


async def test_every_written_stream_needs_an_expected_version(log: Log) -> None:
    bare = append(1, {A: 0})
    with pytest.raises(ValueError, match="no expected version for stream interview"):
        await log.append(Append("acme", UUID(int=1), bare.events, {}, AT, UUID(int=1), UUID(int=1)))


async def _outcome(log: Log, wanted: Append) -> Appended | WrongVersion:
    try:
        return await log.append(wanted)
    except WrongVersion as refused:
        return refused
