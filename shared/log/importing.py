"""Sealed lines into an empty log: the same positions, times, epochs and receipts, and the same read models.

The file is read to its end before the first line is written. What folding is to pass over is written first, so that it
is known before the event is there. The log is written in chunks, each a transaction that leaves a log which is the
beginning of the file; an import that was cut off goes on from there. Where a service has refused a command meanwhile,
because what it needs was not there yet, its receipt in the file counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from shared.envelope import Recorded
from shared.log.contents import QUERIES, contents
from shared.log.lines import Discarded, Header, KeptReceipt, Trailer, read_lines

CHUNK = 5_000
"""Events in one transaction."""

_EVENT = tuple(each.name for each in fields(Recorded))
_RECEIPT = tuple(each.name for each in fields(KeptReceipt))
_columns = attrgetter(*_EVENT)


class NotEmpty(Exception):
    """The log holds something that is not the beginning of the file. Nothing was written."""


class SomebodyWrites(Exception):
    """The log was appended to while it was being imported; what was written before stays."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A file whose every line is as it was written."""

    header: Header
    trailer: Trailer
    discarded: list[Discarded]
    """Few: each is an operator's decision."""
    digest: str


@dataclass(slots=True)
class _Chunk:
    events: list[Recorded[bytes]] = field(default_factory=list)
    receipts: list[KeptReceipt] = field(default_factory=list)


def verify_file(path: Path, advance: Callable[[int], None]) -> Verified:
    """Read a file from beginning to end; `advance(n)` hears of each n bytes.

    Raises `Damaged`, naming the line, and `OSError`.
    """
    header: Header | None = None
    verified: Verified | None = None
    discarded: list[Discarded] = []
    with path.open("rb") as file:
        for line in read_lines(file):  # to its end: what follows the last line counts, too
            advance(line.size)
            if isinstance(line.content, Header):
                header = line.content
            elif isinstance(line.content, Discarded):
                discarded.append(line.content)
            elif isinstance(line.content, Trailer) and header is not None:
                verified = Verified(header, line.content, discarded, line.digest.hex())
    assert verified is not None  # read_lines has raised otherwise
    return verified


async def import_log(connection: Any, path: Path, verified: Verified, *, advance: Callable[[int], None]) -> int:
    """Write a verified file into an empty log, or go on with it; answers how many events were there already.

    `advance(n)` hears of each n events. Raises `NotEmpty`, `SomebodyWrites`, `Damaged` when the file was changed
    meanwhile, and what asyncpg raises.
    """
    there: int = (await connection.fetchrow(QUERIES["head"]))["position"]
    begun = not await connection.fetchval(QUERIES["is_empty"])
    if begun:
        await _check_beginning(connection, path, there)
        advance(there)
    if verified.discarded:
        rows = map(astuple, verified.discarded)
        await connection.execute(QUERIES["pass_over"], *map(list, zip(*rows, strict=True)))
    position = there
    for chunk in _chunks(path, there, with_first=not begun):
        await _write(connection, chunk, position, verified.header.epoch)
        position += len(chunk.events)
        advance(len(chunk.events))
    return there


async def _check_beginning(connection: Any, path: Path, there: int) -> None:
    """The log must be the file's beginning, event by event, receipts included."""
    with path.open("rb") as file:
        lines = read_lines(file)
        next(lines)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            async for content in contents(connection, 0, there):
                line = next(lines, None)
                if line is None or line.content != content:
                    at = content.position
                    raise NotEmpty(f"the log is not empty, and what it holds at position {at} is not in the file")


def _chunks(path: Path, there: int, *, with_first: bool) -> Iterator[_Chunk]:
    """What the file holds after position `there`; cut before an event, so that no receipt is parted from its own.

    `with_first`: also receipts of position 0, of commands before the first event.
    """
    chunk = _Chunk()
    with path.open("rb") as file:
        for line in read_lines(file):
            match line.content:
                case Recorded(position=position) if position > there:
                    if len(chunk.events) >= CHUNK:
                        yield chunk
                        chunk = _Chunk()
                    chunk.events.append(line.content)
                case KeptReceipt(position=position) if position > there or (with_first and position == there):
                    chunk.receipts.append(line.content)
    if chunk.events or chunk.receipts:
        yield chunk


async def _write(connection: Any, chunk: _Chunk, position: int, epoch: int) -> None:
    async with connection.transaction():
        head = await connection.fetchrow(QUERIES["lock_head"])
        if head["position"] != position:
            raise SomebodyWrites(
                f"the log moved from {position} to {head['position']} meanwhile: stop the services, begin again with "
                "a new database"
            )
        await connection.copy_records_to_table(
            "event", schema_name="log", columns=_EVENT, records=map(_columns, chunk.events)
        )
        commands = [each.tenant for each in chunk.receipts], [each.command_id for each in chunk.receipts]
        await connection.execute(QUERIES["lift_refusals"], *commands)
        await connection.copy_records_to_table(
            "receipt", schema_name="log", columns=_RECEIPT, records=map(astuple, chunk.receipts)
        )
        await connection.execute(QUERIES["move_head"], position + len(chunk.events), epoch)
        await connection.execute(QUERIES["join_timeline"])
