"""The log as it is exported: events in order, each followed by the receipts of the commands that end with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from shared.database.queries import load_queries
from shared.envelope import Recorded
from shared.log.lines import KeptReceipt

QUERIES = load_queries("shared.log", "transfer.sql")
PAGE = 2_000


class Hole(Exception):
    """Positions are not dense: the log itself is damaged."""


async def contents(connection: Any, after: int, upto: int) -> AsyncIterator[Recorded[bytes] | KeptReceipt]:
    """Everything after a position, up to another; from 0 on, receipts of commands that wrote nothing come first.

    `connection` is asyncpg's, in a transaction. Raises `Hole`, and what asyncpg raises.
    """
    receipts = _receipts(connection, after + 1 if after else 0, upto)
    waiting = await anext(receipts, None)
    while waiting is not None and waiting.position == 0:
        yield waiting
        waiting = await anext(receipts, None)
    position = after
    while position < upto:
        page = await connection.fetch(QUERIES["events"], position, upto, PAGE)
        if not page:
            raise Hole(f"the log has no event at position {position + 1}")
        for row in page:
            event = Recorded(*row)
            if event.position != position + 1:
                raise Hole(f"the log has no event at position {position + 1}")
            position = event.position
            yield event
            while waiting is not None and waiting.position == position:
                yield waiting
                waiting = await anext(receipts, None)


async def _receipts(connection: Any, first: int, last: int) -> AsyncIterator[KeptReceipt]:
    cursor = await connection.cursor(QUERIES["receipts"], first, last)
    while rows := await cursor.fetch(PAGE):
        for row in rows:
            yield KeptReceipt(*row)
