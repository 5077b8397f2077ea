"""The log, page by page."""

from __future__ import annotations

from itertools import accumulate, count
from typing import TYPE_CHECKING

import asyncpg
import pytest

from services.projector.live import pace as pace_module
from services.projector.live import session as session_module
from services.projector.live.session import Session
from shared.envelope import Recorded
from shared.log import Log
from tests.projector.conftest import (
    CountedLog,
    assert_equals_a_cold_fold,
    folder,
    projector,
    state,
    write,
)
from tests.projector.observed import HISTORY, Heard

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


async def test_a_log_is_folded_from_its_beginning(log: Log, database_url: str, connection: Connection) -> None:
    """Given a log and no message at all, then all of it is folded, in pages."""
    events = await write(log, HISTORY)
    async with projector(database_url, log, page=7).session() as session:
        assert await session.run_once() == len(events)
        assert await session.run_once() == 0
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_a_page_is_bounded_by_bytes_too(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given more bytes than a page may have, then each ends with the event that reaches them, and nothing is passed
    over."""
    monkeypatch.setattr(session_module, "PAGE_BYTES", 1000)
    heard, events = Heard(), await write(log, HISTORY)
    async with projector(database_url, log, observer=heard).session() as session:
        assert await session.run_once() == len(events)
    ends = accumulate(size for _, size in heard.sources)
    pages = [events[end - size : end] for end, (_, size) in zip(ends, heard.sources, strict=True)]
    sizes = [[len(event.data) for event in page] for page in pages]
    assert len(pages) > 10
    assert all(sum(size[:-1]) < 1000 <= sum(size) for size in sizes[:-1])
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_a_long_log_is_read_in_stretches(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a log that takes longer to read than messages are to wait, then they have their turn, and it is gone on
    with at once, though nothing comes."""
    ticks = count(0.0, 2.0)
    monkeypatch.setattr(session_module, "monotonic", lambda: next(ticks))
    monkeypatch.setattr(session_module, "STRETCH", 5.0)
    events = await write(log, HISTORY[:40])
    moved: list[int] = []
    async with projector(database_url, log, page=7, poll_interval=1000.0).session() as session:
        while sum(moved) < len(events):
            assert session.next_look == 0.0
            moved.append(await session.run_once())
        assert session.next_look > 0.0
    assert len(moved) > 1
    assert all(moved)
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_a_page_that_took_long_is_followed_by_shorter_ones(
    log: Log, database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given pages that take longer than they are to, then those behind them have fewer events."""
    monkeypatch.setattr(pace_module, "LEAST", 5)
    monkeypatch.setattr(pace_module, "SECONDS", 1e-9)
    heard = Heard()
    events = await write(log, HISTORY[:60])
    async with projector(database_url, log, page=10, observer=heard).session() as session:
        await session.run_once()
    sizes = [size for _, size in heard.sources]
    # Some were read by then: one is while the one before is folded, and the one before that written.
    assert sizes[0] == 10
    assert sizes[-1] == 5
    assert sum(sizes) == len(events)
    await assert_equals_a_cold_fold(connection, events, folder())


async def test_it_stops_with_the_page_in_hand(log: Log, database_url: str, connection: Connection) -> None:
    """Given a long way to catch up, when told to stop, then it ends between two pages, at a committed checkpoint."""
    events = await write(log, HISTORY)
    heard = Heard()

    class Slow(CountedLog):
        session: Session

        async def read(self, after: int, limit: int, most_bytes: int) -> list[Recorded[bytes]]:
            self.session.stopping = after >= 20
            return await super().read(after, limit, most_bytes)

    slow = Slow(log)
    async with projector(database_url, slow, page=10, observer=heard).session() as session:
        slow.session = session
        folded = await session.run_once()
    assert 0 < folded < len(events)
    assert (await state(connection))["position"] == folded
    assert sum(count for _, count in heard.sources) == folded
