"""A log that is restored to an earlier point under a running service: versions then stand for other events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from services.command.executor import Executor
from shared.command_envelope import CommandEnvelope
from shared.domain.catalogue import DECIDERS
from shared.domain.kernel import Refusal
from shared.log import Appended, Log, group_commit
from tests.command.client import SEEKER
from tests.command.conftest import FixedClock
from tests.command.test_executor import Interrupted, envelope, opened, register, verdict


@pytest.fixture
async def logs(database_url: str) -> AsyncIterator[list[Log]]:
    async with opened(database_url, 2) as logs:
        yield logs


async def restore(database_url: str, *, position: int, fork: bool) -> None:
    """What a restore leaves: a log that ends earlier, sessions that have ended; and, where it was forked, an epoch."""
    owner = await asyncpg.connect(database_url, server_settings={"session_replication_role": "replica"})
    await owner.execute("DELETE FROM log.event WHERE position > $1", position)
    await owner.execute("DELETE FROM log.receipt WHERE position > $1", position)
    await owner.execute("UPDATE log.head SET position = $1, epoch = epoch + $2", position, int(fork))
    await owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await owner.close()


async def outcome(executor: Executor, command: CommandEnvelope, *, alone: bool) -> Appended | Exception:
    if not alone:
        return (await executor.execute_all([command]))[0]
    try:
        return await executor.execute(command)
    except Refusal as refusal:
        return refusal


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a batch"])
@pytest.mark.parametrize(
    ("fork", "taken_over", "since"),
    [(True, False, 9), (False, True, 9), (False, False, 0)],
    ids=["forked", "taken over", "ends earlier"],
)
async def test_what_was_kept_in_memory_of_a_lost_timeline_decides_nothing(
    database_url: str, logs: list[Log], monkeypatch: pytest.MonkeyPatch, alone: bool, fork: bool, taken_over: bool,
    since: int,
) -> None:  # fmt: skip
    """Given a seeker whose version 2 a service remembers as a verdict, when a restore, or a stand-by that takes over,
    lacks that, and another service makes it the seeker's leaving, then nothing is accepted on what is remembered: the
    command is refused on what the log holds."""
    here, there = (Executor(log, DECIDERS, FixedClock()) for log in logs)
    await here.execute(register())
    await here.execute(verdict(2))
    await here.execute(register(3, UUID(int=3)))

    await restore(database_url, position=1, fork=fork)
    if taken_over:

        async def next_one(connection: object) -> int:
            return 2

        monkeypatch.setattr(group_commit, "timeline_of", next_one)
    await there.execute(envelope("seeker.leave", SEEKER, {}, number=4))
    for number in range(since):
        await there.execute(register(100 + number, UUID(int=100 + number)))

    refused = await outcome(here, verdict(5), alone=alone)
    assert isinstance(refused, Refusal)
    assert refused.code == "out_of_order"
    history = await logs[0].read_stream("acme", SEEKER)
    assert [event.type for event in history] == ["seeker.registered", "seeker.left"]
    assert isinstance(await outcome(here, register(6, UUID(int=6)), alone=alone), Appended)


async def test_a_server_that_does_not_tell_its_timeline_is_written_to(database_url: str, logs: list[Log]) -> None:
    """Given a server that is operated by others, who do not let everybody look at its WAL, then commands are accepted,
    and a session that ends is no restore."""
    owner = await asyncpg.connect(database_url)
    await owner.execute("REVOKE EXECUTE ON FUNCTION pg_walfile_name(pg_lsn) FROM PUBLIC")
    await owner.close()
    here = Executor(logs[0], DECIDERS, FixedClock())
    await here.execute(register())
    await restore(database_url, position=1, fork=False)
    assert (await here.execute(verdict(2))).events[0].version == 2
    assert logs[0].era == 0


async def test_what_was_only_read_is_not_kept(database_url: str, logs: list[Log]) -> None:
    """Given a seeker whose version 2 is a verdict that no stand-by has, and a batch that reads it to refuse a command
    about them, and is written, for another seeker, after a fail-over that has lost the verdict and made version 2 their
    leaving, then nothing was confirmed of the first seeker, and what follows is decided on what the log holds."""
    async with opened(database_url, 1) as [lost]:
        await Executor(lost, DECIDERS, FixedClock()).execute_all([register(), verdict(2)])
    there = Executor(logs[1], DECIDERS, FixedClock())

    async def fail_over() -> None:
        await restore(database_url, position=1, fork=False)
        await there.execute(envelope("seeker.leave", SEEKER, {}, number=3))

    here = Executor(Interrupted(logs[0], fail_over), DECIDERS, FixedClock())
    refused, written = await here.execute_all([register(4), register(5, UUID(int=5))])
    assert isinstance(refused, Refusal)
    assert isinstance(written, Appended)
    with pytest.raises(Refusal, match="out_of_order"):
        await here.execute(verdict(6))


async def test_a_session_that_ends_is_no_restore(database_url: str, logs: list[Log]) -> None:
    """Given a database that was restarted and lost nothing, then commands go on without a word."""
    here, there = (Executor(log, DECIDERS, FixedClock()) for log in logs)
    await here.execute(register())
    await there.execute(verdict(2))
    await restore(database_url, position=2, fork=False)
    assert (await here.execute(verdict(3))).events[0].version == 3
    assert logs[0].era == 0
