"""Which commands are the same, across releases and channels, and what a repetition is answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.command.executor import Executor
from services.command.repeating import fingerprint
from shared.command_envelope import CommandEnvelope
from shared.database.pool import open_pool
from shared.domain.catalogue import DECIDERS
from shared.domain.kernel import Refusal
from shared.domain.seeker import Register
from shared.log import Appended, KeptRefusal, KeyReused, Known, Log, LogUnavailable, WrongVersion
from tests.command.client import ADD, ANA, INTERVIEW, PLAN, REGISTER, REQUEST, SEEKER, Client, message, ndjson
from tests.command.conftest import FixedClock
from tests.command.stand_by import stand_by_away
from tests.command.test_executor import envelope, opened, register, verdict

PATIENCE = 60.0
"""Seconds: longer than anything here takes."""
BY_EMAIL = {**PLAN, "format": "email"}
"""Held without an appointment."""


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[Log]:
    async with opened(database_url, 1) as [log]:
        yield log


def replica(log: Log) -> Executor:
    """Another process: with a memory of its own."""
    return Executor(log, DECIDERS, FixedClock())


async def given_a_request(executor: Executor) -> None:
    """An interview that was asked for: it can be accepted, and is not held before it is."""
    await executor.execute(register())
    await executor.execute(envelope("contact.add", ANA, ADD, number=2))
    await executor.execute(envelope("interview.plan", INTERVIEW, BY_EMAIL, number=3))
    await executor.execute(envelope("interview.send_request", INTERVIEW, REQUEST, number=4))


def hold(number: int = 10, **others: Any) -> CommandEnvelope:
    return envelope("interview.hold", INTERVIEW, {}, number=number, **others)


def accept(number: int = 11) -> CommandEnvelope:
    return envelope("interview.accept", INTERVIEW, {}, number=number)


def told(outcomes: Sequence[Appended | Exception]) -> list[str]:
    return [each.code if isinstance(each, Refusal) else type(each).__name__ for each in outcomes]


@pytest.fixture
def executor(log: Log) -> Executor:
    return Executor(log, DECIDERS, FixedClock())


@pytest.mark.parametrize(
    ("command", "id", "data", "digest"),
    [
        ("seeker.register", SEEKER, REGISTER, "e089927474ff274ed7143e5ff1eebab3"),
        ("seeker.register", SEEKER, {**REGISTER, "stage": "graduate"}, "d6d7a39d81d06e78a6d326bb058412a7"),
        ("contact.add", ANA, ADD, "e35a435a4d83307792f5b4f8eec6d6d3"),
        ("interview.send_request", INTERVIEW, REQUEST, "8e30a57299ee952029f9bb1666e6d318"),
        ("interview.accept", INTERVIEW, {}, "777e43aa53b77b224dc9bf6870bd8be8"),
    ],
)
def test_what_identifies_a_command_stays_what_it_is(command: str, id: Any, data: dict[str, Any], digest: str) -> None:
    """Given a receipt of an earlier release, then this one finds that it is of the same command: a digest that changes
    here would have repetitions across the upgrade refused as `key_reused`."""
    assert fingerprint(envelope(command, id, data, number=1)).hex() == digest


def preferring(overrides: dict[str, Any]) -> CommandEnvelope:
    return envelope("seeker.change_preferences", SEEKER, {"digest": True, "overrides": overrides}, number=2)


OVERRIDES = {"thank_you": {"due_after": "3h", "max_lateness": "5d"}, "defaults": {"lead": [{"b": 1, "a": 2}, "x"]}}
TURNED = {"defaults": {"lead": [{"a": 2, "b": 1}, "x"]}, "thank_you": {"max_lateness": "5d", "due_after": "3h"}}


def test_the_order_of_members_leaves_a_command_the_same() -> None:
    """Given a command whose sender chooses the keys of a field, then it is the same whatever their order; with other
    values, or items of a list in another order, it is another."""
    command = preferring(OVERRIDES)
    assert list(TURNED) != list(OVERRIDES)
    assert fingerprint(preferring(TURNED)) == fingerprint(command)
    for others in ({**OVERRIDES, "defaults": {"lead": ["x", {"b": 1, "a": 2}]}}, {**OVERRIDES, "thank_you": {}}):
        assert fingerprint(preferring(others)) != fingerprint(command)


def test_an_optional_field_that_is_new_leaves_a_command_the_same() -> None:
    """Given a release that adds an optional field to a command, then the command without it is the same as before, and
    sent with null, too; with a value it is another."""

    class Newer(Register):
        pronouns: str | None = None

    before = register()
    for data, same in (
        (REGISTER, True),
        ({**REGISTER, "pronouns": None}, True),
        ({**REGISTER, "pronouns": "x"}, False),
    ):
        after = before.model_copy(update={"data": Newer.model_validate_json(json.dumps(data))})
        assert (fingerprint(after) == fingerprint(before)) == same


async def test_a_repeated_command_is_known_alone_and_among_others(log: Log, executor: Executor) -> None:
    """Given a command that was executed, when it is repeated at another replica, alone or among others, then it gets
    its first answer; other content with its key is told so."""
    first = await executor.execute(register())
    later = replica(log)
    alone = await later.execute(register())
    _, among, reused = await later.execute_all(
        [verdict(2), register(), envelope("seeker.register", SEEKER, {**REGISTER, "name": "Other"}, number=1)]
    )
    assert [alone.events, getattr(among, "events", among)] == [first.events] * 2
    assert alone.repeated
    assert isinstance(reused, KeyReused)


async def test_a_refused_command_stays_refused_though_it_would_be_accepted_by_now(log: Log, executor: Executor) -> None:
    """Given a batch whose first command is refused and whose second makes what the first needs, when the batch comes
    again, whole or in parts, to whichever replica, then every command gets its first answer."""
    await given_a_request(executor)
    batch = [hold(), accept()]
    first = await executor.execute_all(batch)
    assert told(first) == ["out_of_order", "Appended"]
    for again in (executor, replica(log)):
        refused, repeated = await again.execute_all(batch)
        assert vars(refused) == vars(first[0])
        assert getattr(repeated, "events", repeated) == getattr(first[1], "events", first)
    assert told(await replica(log).execute_all(batch[:1])) == ["out_of_order"]
    assert "interview.held" not in [event.type for event in await log.read(0, 100)]
    assert told(await executor.execute_all([hold(12)])) == ["Appended"]


async def test_a_command_that_comes_twice_in_a_batch_is_refused_twice(executor: Executor) -> None:
    """Given a command that is refused, one that makes what it needs, and the first again, all in one batch, then the
    repetition is refused like the first."""
    await given_a_request(executor)
    assert told(await executor.execute_all([hold(), accept(), hold()])) == ["out_of_order", "Appended", "out_of_order"]


async def test_a_correction_in_the_same_batch_comes_before_what_needs_it(log: Log, executor: Executor) -> None:
    """Given a batch with a command that is refused, its correction under the same id, and one that needs that, when it
    comes once and again, then each is judged in its turn, and answered the same."""
    await given_a_request(executor)
    batch = [hold(9), accept(9), hold(10), hold(9), accept(9)]
    expected = ["out_of_order", "Appended", "Appended", "out_of_order", "Appended"]
    assert told(await executor.execute_all(batch)) == expected
    assert told(await replica(log).execute_all(batch)) == expected
    assert told(await executor.execute_all([hold(9)])) == ["out_of_order"]


async def test_an_import_that_is_sent_again_is_told_the_same(client: Client) -> None:
    """Given an import of which a line is refused and a later one makes what it needs, when it is sent again, then each
    line is reported as before; with its error corrected, a line may keep its command id."""
    await client.given_people()
    lines = [
        message("interview.plan", INTERVIEW, BY_EMAIL, number=3),
        message("interview.hold", INTERVIEW, {}, number=4),
        message("interview.send_request", INTERVIEW, REQUEST, number=5),
        message("interview.accept", INTERVIEW, {}, number=6),
        message("interview.accept", INTERVIEW, {}, number=7, expected_version=9),
    ]
    first, again = await client.bulk(ndjson(*lines)), await client.bulk(ndjson(*lines))
    assert [each["status"] for each in first] == [200, 409, 200, 200, 412]
    assert [_problem(each) for each in again] == [_problem(each) for each in first]
    assert [each["answer"]["repeated"] for each in again if "answer" in each] == [True] * 3
    corrected = message("interview.hold", INTERVIEW, {}, number=7, expected_version=3)
    [outcome] = await client.bulk(ndjson(corrected))
    assert outcome["status"] == 200
    once_more = await client.bulk(ndjson(*lines))
    assert [_problem(each) for each in once_more] == [_problem(each) for each in first]


def _problem(outcome: dict[str, Any]) -> dict[str, Any]:
    """Without the id of the import, which each has of its own."""
    return {name: value for name, value in outcome.get("problem", {}).items() if name != "correlation_id"}


async def test_expecting_another_version_a_command_is_judged_again(executor: Executor) -> None:
    """Given a command that was refused for the version it expected, when it comes with the right one, then it is
    accepted, and with the wrong one refused as before."""
    await executor.execute(register())
    outcomes = await executor.execute_all([verdict(2, expected_version=7)])
    assert told(outcomes) == ["WrongVersion"]
    again, right = await executor.execute_all([verdict(2, expected_version=7), verdict(2, expected_version=1)])
    assert isinstance(again, WrongVersion)
    assert (again.stream, again.expected, again.actual) == (verdict(2).stream, 7, 1)
    assert isinstance(right, Appended)
    assert told(await executor.execute_all([verdict(2, expected_version=7)])) == ["Appended"]


async def test_refused_without_a_version_it_is_refused_with_each(executor: Executor) -> None:
    """Given a command that was refused and had named no version, when it comes with one that holds, then it gets its
    first answer whichever way it comes; refused to a version that it named, it is judged without one, and over HTTP."""
    await given_a_request(executor)
    refused = [hold(20), hold(21, expected_version=2), verdict(22, expected_version=2)]
    outcomes = await executor.execute_all([*refused, accept(), verdict(23)])
    assert told(outcomes) == ["out_of_order", "out_of_order", "WrongVersion", "Appended", "Appended"]
    assert told(await executor.execute_all([hold(20, expected_version=3)])) == ["out_of_order"]
    with pytest.raises(Refusal, match="out_of_order"):
        await executor.execute(hold(20, expected_version=3))
    assert told(await executor.execute_all([hold(21)])) == ["Appended"]
    assert told(await executor.execute_all([verdict(22, expected_version=2)])) == ["WrongVersion"]
    assert (await executor.execute(verdict(22, expected_version=2))).events


async def test_a_caller_who_waits_for_the_answer_may_repeat_what_was_refused(executor: Executor) -> None:
    """Given a command that was refused over HTTP, when what it needs is there, then the same key gets it through."""
    await given_a_request(executor)
    with pytest.raises(Refusal, match="out_of_order"):
        await executor.execute(hold())
    await executor.execute(accept())
    assert (await executor.execute(hold())).events


async def test_what_was_frozen_can_not_let_in_what_its_successor_has_refused(log: Log, executor: Executor) -> None:
    """Given a replica that has asked for refusals and is frozen, when its successor refuses the command, then it is
    refused by the replica that wakes up, too, though it sees what would let it in; also on the way of HTTP."""
    await given_a_request(executor)
    frozen = Unaware(log)
    assert told(await executor.execute_all([hold(), accept()])) == ["out_of_order", "Appended"]
    woken = Executor(frozen, DECIDERS, FixedClock())
    assert told(await woken.execute_all([hold(), verdict(5)])) == ["out_of_order", "Appended"]
    assert frozen.asked
    with pytest.raises(Refusal, match="out_of_order"):
        await executor.execute(hold())


class Unaware:
    """A log that had kept no refusal yet when it was first asked."""

    def __init__(self, log: Log) -> None:
        self._log, self.asked = log, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def known(self, commands: Any) -> Known:
        first, self.asked = not self.asked, True
        known = await self._log.known(commands)
        return Known(known.receipts, known.answers, []) if first else known


async def test_a_refusal_never_hides_that_a_command_was_accepted(
    log: Log, executor: Executor, database: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Given a command that was accepted, then no refusal is kept of it, and one that is there all the same is not
    what a repetition is answered."""
    await given_a_request(executor)
    refusal = KeptRefusal("acme", accept().command_id, fingerprint(accept()), '{"expected": 1, "actual": 2}')
    await executor.execute(accept())
    assert await log.refuse([refusal]) == []
    await database.execute(
        "INSERT INTO log.refusal (tenant, command_id, fingerprint, refusal) VALUES ($1, $2, $3, $4)",
        refusal.tenant, refusal.command_id, refusal.fingerprint, refusal.refusal,
    )  # fmt: skip
    assert told(await replica(log).execute_all([accept()])) == ["Appended"]
    assert (await executor.execute(accept())).repeated


async def test_refusals_do_not_pile_up(log: Log, database: asyncpg.Connection[asyncpg.Record]) -> None:
    """Given refusals of which some are older than thirty days, when others are kept, then the old ones go, twice as
    many as came, the oldest first."""
    await log.refuse([KeptRefusal("acme", UUID(int=number), b"f", "{}") for number in range(1, 8)])
    await database.execute(
        """UPDATE log.refusal
           SET recorded_at = log.now() - interval '31 days' + right(command_id::text, 1)::integer * interval '1 minute'
           WHERE command_id <> $1""",
        UUID(int=7),
    )
    await log.refuse([KeptRefusal("acme", UUID(int=number), b"f", "{}") for number in (8, 9)])
    left = await database.fetch("SELECT command_id FROM log.refusal ORDER BY 1")
    assert [row[0].int for row in left] == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("statistics", ["none", "fresh"])
async def test_refusals_that_stay_are_not_gone_through(
    database: asyncpg.Connection[asyncpg.Record], statistics: str
) -> None:
    """Given many refusals of which none is old, when another is kept, then they are not looked at: the log's head is
    held meanwhile."""
    await database.execute(
        """INSERT INTO log.refusal (tenant, command_id, fingerprint, refusal)
           SELECT 'acme', md5(n::text)::uuid, 'f', '{}' FROM generate_series(1, 5000) AS n"""
    )
    if statistics == "fresh":
        await database.execute("ANALYZE log.refusal")
    async with database.transaction():
        keep = "SELECT log.refuse(ARRAY['acme'], ARRAY[$1::uuid], ARRAY['f'::bytea], ARRAY['{}'::json])"
        await database.execute(keep, UUID(int=1))
        read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relid = 'log.refusal'::regclass"
        assert await database.fetchval(read) < 10


async def test_no_repetition_is_answered_before_the_stand_by_has_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given commands of which the primary alone knows the answers, because its stand-by is away, when they are
    repeated, then they wait for the stand-by: a fail-over now would lose what was acknowledged."""
    commands = [register(), verdict(9, UUID(int=9))]
    pool = await open_pool(database_url)
    async with Log.open(pool, database_url, patience=PATIENCE) as log:
        executor = replica(log)
        first = await executor.execute_all(commands)
        assert told(first) == ["Appended", "unknown_seeker"]
        async with stand_by_away(database_url):
            with monkeypatch.context() as hasty:
                hasty.setattr(log, "_patience", 0.3)
                for each in commands:
                    with pytest.raises(LogUnavailable):
                        await replica(log).execute_all([each])
                with pytest.raises(LogUnavailable):
                    await executor.execute(register())
        assert told(await replica(log).execute_all(commands)) == told(first)
    await pool.close()


async def test_what_a_fail_over_has_lost_is_answered_by_nobody(database_url: str) -> None:
    """Given a repeated command whose first answer only a primary has that lost its stand-by, when the stand-by takes
    over while the answer waits to be confirmed, then it is not told: the command is executed on what there is now."""
    pool = await open_pool(database_url)
    async with Log.open(pool, database_url, patience=PATIENCE) as log:
        await replica(log).execute(register())
        async with stand_by_away(database_url) as owner:
            again = asyncio.create_task(replica(log).execute_all([register()]))
            while not (waiting := await owner.fetchval(CONFIRMING)):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.01)
            await owner.execute("SET session_replication_role = replica")
            await owner.execute("DELETE FROM log.event")  # which the server that takes over lacks
            await owner.execute("DELETE FROM log.receipt")
            await owner.execute("SELECT pg_terminate_backend($1)", waiting)
        [outcome] = await again
    assert isinstance(outcome, Appended)
    assert not outcome.repeated
    await pool.close()


CONFIRMING = """
    SELECT pid FROM pg_stat_activity
    WHERE wait_event = 'SyncRep' AND datname = current_database() AND query LIKE '%log.head%'
"""
