"""Rebuilding read models beside the live ones, and going back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from time import monotonic

from services.projector.folding.selection import EVERYTHING, Selection
from services.projector.rebuild.building import Builder, CannotFold
from services.projector.rebuild.report import Mode, Refused, Report
from services.projector.rebuild.work import Progress, Recording, Work, working
from shared.codec import UnknownEventType
from shared.database.pool import PASSING
from shared.timing.policies import Policies


async def rebuild(
    database_url: str,
    policies: Policies,
    names: Sequence[str],
    *,
    accept: str | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
    recording: Recording | None = None,
) -> Report:
    """Build read models anew and switch to them; without `switched`, the report's differences are why it did not.

    `accept` says why differences are to be expected although no version rose; it is kept with the generations.
    `recording` is called in the transaction that switches, to write down who did it.
    Raises `Busy`, `Refused`, `CannotFold`, `UnknownEventType`, and what asyncpg raises while PostgreSQL is away.
    """
    async with begun(database_url, policies, "rebuild", names, processes, progress) as (work, builder):
        work.recording = recording
        compared = await work.compare(builder)
        if accept is None and work.report.unexplained:
            return work.report
        await work.switch(builder, compared, accept)
    return work.report


async def roll_back(
    database_url: str,
    policies: Policies,
    names: Sequence[str],
    *,
    note: str | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
    recording: Recording | None = None,
) -> Report:
    """Go back to the generations before the live ones, after folding into them what came since.

    `recording` and what is raised: see `rebuild`.
    """
    async with begun(database_url, policies, "rollback", names, processes, progress) as (work, builder):
        work.recording = recording
        await work.switch(builder, await work.compare(builder), note)
    return work.report


@asynccontextmanager
async def begun(
    database_url: str,
    policies: Policies,
    mode: Mode,
    names: Sequence[str],
    processes: int | None,
    progress: Progress | None,
    selection: Selection = EVERYTHING,
) -> AsyncIterator[tuple[Work, Builder]]:
    """Everything up to the comparison, and the removal of what did not become live."""
    began = monotonic()
    async with working(database_url, policies, mode, names) as work:
        work.selection, work.processes = selection, processes or work.processes
        work.progress = progress or work.progress
        await work.generations.prepare()
        try:
            await work.build()
            async with work.joined() as builder:
                yield work, builder
        except BaseException as error:
            # What a crash leaves of a rebuild is gone on with; what was found wanting is not.
            if mode == "verify" or isinstance(error, Refused | CannotFold | UnknownEventType):
                with suppress(*PASSING):
                    await work.generations.discard()
            raise
        await work.generations.discard()
        work.report.whole_seconds = monotonic() - began
