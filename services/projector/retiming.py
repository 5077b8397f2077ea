"""Reckoning all pending timers anew, once, when the timing policies are not those that they were reckoned by, nor the
rules of zones and the holidays.

A projector does it before it folds. What the new policies do not know any more is ended, and recorded so, like
anything else that does not fire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from services.projector.rebuild_comparing import Facts, TimerDifference, differing_timers
from services.projector.rebuild_report import Refused
from services.projector.rebuild_selection import EVERYTHING
from services.projector.rebuild_staging import QUERIES as REBUILD
from services.projector.store import QUERIES, Store, columns, timer_row
from services.projector.timing_models import RECIPIENT, SUBJECT
from shared.codec import encode
from shared.timing.calendar import SOURCES
from shared.timing.endings import switched_off, withdrawal
from shared.timing.policies import Policies

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

_AT_ONCE = 2_000
"""Timers written by one statement."""
logger = structlog.get_logger(__name__)


def refuse_others(reckoned_by: str | None, policies: Policies) -> None:
    """Raises `Refused` where pending timers were reckoned by other policies: by these, all that the tenants have
    changed would be moved or deleted. Likewise in another calendar. An empty digest: no projector has reckoned yet."""
    if reckoned_by and reckoned_by != policies.fingerprint:
        raise Refused(
            "the timing policies are not those that the projector reckons by: set KITHLOG_POLICIES as the projector "
            f"has it, and use its release with its packages (here: {SOURCES}), or start the projector with these first"
        )


async def retime(store: Store, policies: Policies) -> int:
    """Make pending timers what `policies` say, where they were reckoned by others; answers how many changed.

    In one transaction that holds the checkpoint: other projectors wait, queries and firing go on. Raises `Halted` as
    `Store.begin` does, and what asyncpg raises while PostgreSQL is away.
    """
    if await store.reckoned_by() == policies.fingerprint:
        return 0
    changed = 0
    async with store.turn() as (connection, checkpoint):
        if await store.reckoned_by() == policies.fingerprint:
            return 0  # by another replica, for which this one has waited
        # It is not done again: a process whose digest a crash took back would halt, for others' policies as it seems.
        await connection.execute("SET LOCAL synchronous_commit = on")
        generations = store.generations
        facts = Facts(generations[SUBJECT], generations[RECIPIENT], checkpoint.position, policies)
        page: list[TimerDifference] = []
        async for one in differing_timers(connection, facts, EVERYTHING):
            if one.explained is None and one.ended is None:
                page.append(one)
                changed += 1
            if len(page) >= _AT_ONCE:
                await _write(connection, page, policies)
                page.clear()
        await _write(connection, page, policies)
        await connection.execute(QUERIES["reckoned"], policies.fingerprint)
    if changed:
        logger.info("timers reckoned anew, for policies, zones or holidays have changed", timers=changed)
    return changed


async def _write(connection: Connection, found: list[TimerDifference], policies: Policies) -> None:
    pending = [timer_row(one.id, one.afresh) for one in found if one.afresh is not None]
    if pending:
        await connection.execute(REBUILD["upsert_timers"], *columns(pending, 9))
    ended = []
    for one in found:
        if one.afresh is None and one.live is not None:
            policy = one.recipient.policies(policies).by_name.get(one.live.policy) if one.recipient else None
            event = withdrawal(one.live, *switched_off(policy))
            ended.append((*one.id, event.reason, encode(event).decode()))
    if ended:
        await connection.execute(QUERIES["end_timers"], *columns(ended, 4))
