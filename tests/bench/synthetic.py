"""Made-up histories as requests, as lines of an import, and as a log; see `tests/synthetic`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

from shared.codec import encode
from shared.database.pool import open_pool
from shared.domain.kernel import Stream
from shared.log import Append, Log, Pending
from tests.bench.callers import post
from tests.bench.servers import Bench
from tests.synthetic.histories import Wish, histories, wishes

START = datetime(2024, 1, 8, 9, 0, tzinfo=UTC)
"""Early enough to be over: commands from the future are refused."""


TENANT = "tenant-1"
"""That of made-up histories, where nothing else is said."""


def an_id(number: int) -> UUID:
    return UUID(int=number)


def requests(number: int, *, seed: int, tenant: str = TENANT) -> list[bytes]:
    """So many requests of some seekers' lives, to be sent in order."""
    found = list(islice(wishes(1 + number // 20, seed=seed, start=START), number))
    return [
        post(
            f"/v1/tenants/{tenant}/{wish.category}s/{wish.stream_id}/{_verb(wish)}?occurred_at={wish.at:%FT%TZ}",
            wish.command.model_dump_json(exclude_unset=True).encode(),
            Idempotency_Key=str(wish.command_id),
        )
        for wish in found
    ]


def lines(number: int, *, seed: int) -> bytes:
    """So many lines for an import."""
    return b"\n".join(_line(wish) for wish in islice(wishes(1 + number // 20, seed=seed, start=START), number))


def _verb(wish: Wish) -> str:
    return wish.command.type.partition(".")[2].replace("_", "-")


def _line(wish: Wish) -> bytes:
    message: dict[str, Any] = {
        "command": wish.command.type,
        "tenant": wish.tenant,
        "id": str(wish.stream_id),
        "command_id": str(wish.command_id),
        "occurred_at": wish.at.isoformat(),
        "data": wish.command.model_dump(mode="json", exclude_unset=True),
    }
    return json.dumps(message, ensure_ascii=False).encode()


def appends(events: int, *, seed: int, tenant: str = TENANT) -> Iterator[Append]:
    """Appends of so many events or a few more, each command's together."""
    versions: dict[UUID, int] = {}
    written = 0
    for wish, found in histories(2 + events // 40, seed=seed, start=START):
        expected: dict[Stream, int] = {}
        pending = []
        id = wish.command_id
        for on in found:
            expected.setdefault(on.stream, versions.get(on.stream.id, 0))
            versions[on.stream.id] = versions.get(on.stream.id, 0) + 1
            pending.append(Pending(on.stream, on.event.type, on.event.schema_version, encode(on.event)))
        yield Append(tenant, id, pending, expected, wish.at, id, id, "bench", id.bytes)
        written += len(found)
        if written >= events:
            return


async def log_of(bench: Bench, name: str, events: int, *, seed: int = 1) -> str:
    """A database of its own with a log of so many events or a few more."""
    url = await bench.database(name)
    pool = await open_pool(url)
    async with Log.open(pool, url) as log:
        waiting = appends(events, seed=seed)
        while chunk := list(islice(waiting, 2000)):
            for outcome in await log.append_chain(chunk):
                if isinstance(outcome, Exception):
                    raise outcome
    await pool.close()
    return url
