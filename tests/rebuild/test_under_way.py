"""Rebuilding a system that is at work: killed at any moment, read from all the time, written to all the time."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.projector.firing.firing import Firing
from services.projector.live.mailbox import Mailbox
from services.projector.queries.reader import Reader
from services.projector.rebuild.rebuild import rebuild, roll_back
from services.projector.rebuild.work import NAMES
from shared.database.pool import open_pool
from shared.log import Append
from tests.cli.terminal import Terminal
from tests.projector.conftest import (
    PATIENCE,
    assert_equals,
    folder,
    projector,
    running,
)
from tests.projector.histories import TENANT, appends, history
from tests.projector.memory import Memory
from tests.rebuild.conftest import POLICIES, System

ROUNDS = int(os.environ.get("KITHLOG_TEST_REBUILD_ROUNDS", "20"))
DYING = Path(__file__).with_name("dying.py")


async def killed_after(url: str, steps: int) -> AsyncIterator[int]:
    """Start a rebuild, and kill -9 it once it has told of so many steps, unless it ended before; yields at each one,
    and the rebuild goes on meanwhile."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(DYING), url, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.getcwd()}
    )
    assert process.stdout is not None
    told = 0
    async for _ in process.stdout:
        told += 1
        if told == steps:
            process.kill()
            break
        yield told
    await process.stdout.read()
    assert await process.wait() in (0, -9)
    assert told


async def test_killed_at_any_moment_nothing_live_is_touched(system: System) -> None:
    """Given live traffic, a few events at each step of rebuilds that are killed at seeded moments, and of one that is
    let go to its end, then after each the log holds the commands that were acknowledged and nothing else, and what is
    live, pending timers included, is what folding them in memory adds to what there was."""
    rng = random.Random(20)
    acknowledged: list[UUID] = []
    seen = 0
    fold = folder()
    memory = Memory(fold)

    async def go_on(wanted: list[Append], most: int) -> None:
        acknowledged.extend(await system.append(wanted[:most]))
        del wanted[:most]

    async def nothing_but_the_traffic() -> None:
        nonlocal seen
        events = await system.log.read(seen, 1_000_000)
        assert [e.command_id for e in events] == acknowledged[seen:]
        seen = len(acknowledged)
        assert await system.caught_up() == seen
        await assert_equals(system.connection, memory.fold(events, [1]), seen, fold)

    async with running(projector(system.url, system.log, Mailbox(), poll_interval=0.02).run):
        for number in range(ROUNDS):
            wanted = appends(history(number + 1, seekers=2), after=len(acknowledged))
            await go_on(wanted, 20)
            async for _ in killed_after(system.url, rng.randint(1, 40)):
                await go_on(wanted, 5)
            await go_on(wanted, len(wanted))
            await nothing_but_the_traffic()
        wanted = appends(history(ROUNDS + 1, seekers=2), after=len(acknowledged))
        traffic = asyncio.create_task(go_on(wanted, len(wanted)))
        report = await rebuild(system.url, POLICIES, NAMES)
        await traffic
        assert report.switched
        assert report.unexplained == 0
        assert await system.connection.fetchval("SELECT count(*) FROM read.timer WHERE outcome IS NULL") > 100
        await nothing_but_the_traffic()
    statuses = [status for _, status in await system.generations()]
    assert sorted(statuses) == ["live", "retired"]


async def test_verified_while_traffic_goes_on(system: System) -> None:
    """Given a projector that folds and fires, and commands that are appended all the time, when `kithlog verify` runs,
    it finds no difference; and once a row was changed by hand, that one alone."""
    seeds = count(1)
    await system.happen(next(seeds))
    await system.fold()
    key = await system.spoil("pipeline", {})

    async def verified() -> tuple[int, dict[str, Any]]:
        """Its exit code and report; more was written when it began, and until it ended."""
        before = (await system.log.head()).position
        process = Terminal(system.url).process("verify", "--json")
        ended = asyncio.create_task(asyncio.to_thread(process.communicate, timeout=PATIENCE))
        while not ended.done():
            await system.happen(next(seeds), seekers=1)
        out, err = await ended
        report = json.loads(out)
        assert report["position"] >= before, err
        assert (await system.log.head()).position > before
        return process.returncode, report

    async with (
        running(projector(system.url, system.log, Mailbox(), poll_interval=0.02).run),
        running(Firing(system.url, POLICIES).run),
    ):
        code, report = await verified()
        assert (code, report["unexplained"], report["log"], report["failures"]) == (0, 0, [], [])
        assert await system.spoil("pipeline", {"follow_ups": 77}) == key
        code, report = await verified()
        assert (code, report["unexplained"], report["log"]) == (1, 1, [])
        [found] = report["models"]["pipeline"]["first"]
        assert (found["key"], found["fields"]["follow_ups"][0]) == (key, 77)


async def test_readers_see_one_version_or_the_other(folded: System) -> None:
    """Given a live generation whose rows are all marked, when it is replaced and rolled back while pages are read, no
    query fails, and each page is marked as a whole or not at all."""
    await folded.connection.execute(
        """UPDATE read.row SET body = (body::jsonb || '{"follow_ups": 77}')::json
           WHERE generation = (SELECT id FROM read.generation WHERE model = 'pipeline')"""
    )
    owner: UUID = await folded.connection.fetchval(
        "SELECT owner FROM read.row JOIN read.generation g ON g.id = generation WHERE g.model = 'pipeline' LIMIT 1"
    )
    pool = await open_pool(folded.url, max_size=4)
    reader, stop, seen = Reader(pool), asyncio.Event(), set[frozenset[bool]]()

    async def read() -> int:
        count = 0
        while not stop.is_set():
            page = await reader.page("pipeline", TENANT, owner=owner, limit=50)
            seen.add(frozenset(json.loads(body)["follow_ups"] == 77 for body in page.bodies))
            count += 1
        return count

    readers = [asyncio.create_task(read()) for _ in range(3)]
    await rebuild(folded.url, POLICIES, ["pipeline"], accept="marked")
    for _ in range(3):
        await roll_back(folded.url, POLICIES, ["pipeline"])
    stop.set()
    assert all(count > 0 for count in await asyncio.gather(*readers))
    assert seen <= {frozenset({True}), frozenset({False})}
    await pool.close()


@pytest.mark.parametrize("names", [NAMES, ("timing",)])
async def test_the_log_moves_by_nothing_but_live_traffic(folded: System, names: tuple[str, ...]) -> None:
    """Given pending timers, some of them due, when models are rebuilt, no event is written, and the timers are those
    from before, to the letter."""
    head = await folded.log.head()
    timers = await folded.connection.fetch("SELECT * FROM read.timer ORDER BY tenant, id")
    assert timers
    assert (await rebuild(folded.url, POLICIES, names)).switched
    assert await folded.connection.fetch("SELECT * FROM read.timer ORDER BY tenant, id") == timers
    assert await folded.log.head() == head
