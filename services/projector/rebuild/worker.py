"""A process that builds a part: `python -m services.projector.rebuild.worker`.

It takes its part as one line of JSON on standard input, tells on standard output how far it is, one JSON object a line,
and ends when its standard input does: so it never outlives who started it.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import asyncpg

from services.projector.folding.changes import Parked
from services.projector.folding.selection import Selection
from services.projector.rebuild.building import Builder, CannotFold, LeftOut, Part
from services.projector.rebuild.staging import Superseded
from shared.codec import UnknownEventType
from shared.database.pool import PASSING, UNAVAILABLE, is_away
from shared.operations.garbage import spare_collections
from shared.timing.policies import Policies, default_policies

_LONGEST_LINE = 2**28
_GRACE = 5.0
"""Seconds for which a process that is not wanted any more may end by itself."""


class PartFailed(Exception):
    """A process that was to build a part can't be started, or ended early."""


async def build_in_process(
    database_url: str, part: Part, policies: Policies, advance: Callable[[int], object]
) -> tuple[list[Parked], int]:
    """Have a process of its own build a part; answers what could not be folded, and its peak memory in bytes.

    Raises `PartFailed`, `CannotFold`, `UnknownEventType`, what asyncpg raises where rights are missing,
    `ConnectionError` while PostgreSQL is away, and `OperatorInterventionError` for what else of it passes. When this is
    cancelled or this process dies, so does that.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.projector.rebuild.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
    except OSError as error:  # this machine's, and not PostgreSQL's
        raise PartFailed(f"a building process can't be started ({error}): use fewer by --processes") from error
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.create_task(process.stderr.read())
    try:
        process.stdin.write(json.dumps(_told(database_url, part, policies), default=str).encode() + b"\n")
        with suppress(ConnectionError):  # it is gone already: its end is told below, and PostgreSQL is not away
            await process.stdin.drain()
        async for line in process.stdout:
            said = json.loads(line)
            if "advanced" in said:
                advance(said["advanced"])
            elif "unknown" in said:
                *what, fields = said["unknown"]
                raise UnknownEventType(*what, fields=tuple(fields))
            elif "cannot" in said:
                raise CannotFold(_parked(said["cannot"]))
            elif "denied" in said:
                raise asyncpg.InsufficientPrivilegeError(said["denied"])
            elif "away" in said:
                raise ConnectionError(said["away"])
            elif "passing" in said:
                raise asyncpg.OperatorInterventionError(said["passing"])
            elif "done" in said:
                return [_parked(row) for row in said["failures"]], said["done"]
        said_last = (await errors).decode(errors="replace")[-2000:].strip() or "it said nothing"
        raise PartFailed(f"a building process ended early, with exit code {await process.wait()}: {said_last}")
    finally:
        ending = asyncio.create_task(_end(process))
        try:
            await asyncio.shield(ending)
        finally:
            # Cancelled meanwhile, where another part has failed as well: it is not to be left behind all the same.
            await asyncio.wait((ending, errors))


async def _end(process: asyncio.subprocess.Process) -> None:
    """It ends when its input does. Killing one that has ended just now would take its exit code from the loop."""
    assert process.stdin is not None
    process.stdin.close()
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _GRACE)
    if process.returncode is None:
        process.kill()
    await process.wait()


def _told(database_url: str, part: Part, policies: Policies) -> dict[str, Any]:
    ids = part.selection.ids
    return {
        "database_url": database_url,
        "generations": dict(part.generations),
        "after": part.after,
        "upto": part.upto,
        "left_out": part.left_out.to_json(),
        "below": part.selection.below,
        "ids": None if ids is None else sorted(ids),
        "tolerant": part.tolerant,
        "tenants": policies.tenants,
        "fingerprint": policies.fingerprint,
    }


def _parked(row: list[Any]) -> Parked:
    tenant, stream, *rest = row
    return Parked(tenant, UUID(stream), *rest)


async def _work(told: dict[str, Any]) -> None:
    ids = None if told["ids"] is None else frozenset((model, tenant, key) for model, tenant, key in told["ids"])
    selection = Selection(told["below"], ids)
    left_out = LeftOut.from_json(told["left_out"])
    part = Part(told["generations"], told["after"], told["upto"], left_out, selection, told["tolerant"])
    default = default_policies()
    policies = Policies(default.limits, default.by_name, told["tenants"])
    if policies.fingerprint != told["fingerprint"]:
        sys.exit("the timing policies are not those of this release and its tenants: rebuild with one process")
    try:
        async with Builder.open(told["database_url"], part, policies) as builder:
            await builder.build(part.upto, left_out, lambda n: _say(advanced=n))
            failures = [_row(failure) for failure in builder.failures.values()]
            _say(done=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, failures=failures)
    except CannotFold as error:
        _say(cannot=_row(error.failure))
    except UnknownEventType as error:
        _say(unknown=[error.type, error.schema_version, error.position, error.fields])
    except Superseded as error:
        sys.exit(str(error))
    except asyncpg.InsufficientPrivilegeError as error:
        _say(denied=str(error))
    except PASSING as error:
        if not is_away(error):
            raise
        how = "away" if isinstance(error, UNAVAILABLE) else "passing"
        _say(**{how: str(error) or type(error).__name__})


def _row(failure: Parked) -> list[Any]:
    return [failure.tenant, str(failure.stream_id), failure.category, failure.position, failure.model, failure.error]


def _say(**said: Any) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def _main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    told = json.loads(await reader.readline())
    work = asyncio.create_task(_work(told))
    parent = asyncio.create_task(reader.read())
    done, _ = await asyncio.wait({work, parent}, return_when=asyncio.FIRST_COMPLETED)
    if work in done:
        work.result()
    parent.cancel()
    work.cancel()


if __name__ == "__main__":
    spare_collections()
    asyncio.run(_main())
