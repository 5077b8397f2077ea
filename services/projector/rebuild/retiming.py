"""Reckoning all pending timers anew, once, when the timing policies are not those that they were reckoned by, nor the
rules of zones and the holidays.

A projector does it before it folds. What the new policies do not know any more is ended, and recorded so, like
anything else that does not fire. What seekers have set that does not go with them any more is left aside, and told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from services.projector.folding.selection import EVERYTHING
from services.projector.folding.timing_rows import RECIPIENT, SUBJECT
from services.projector.rebuild.comparing import Facts, TimerDifference, differing_timers, write_timers
from services.projector.rebuild.report import Refused
from services.projector.rebuild.staging import QUERIES
from services.projector.storing.halting import Halted
from services.projector.storing.store import Store
from shared.codec import encode
from shared.database.queries import columns
from shared.timing import timers
from shared.timing.calendar import SOURCES
from shared.timing.endings import not_asked_for, withdrawal
from shared.timing.policies import CHANGED, Policies

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

_AT_ONCE = 2_000
"""Timers written, or recipients looked at, by one statement."""
_TOLD = 10
"""Of the seekers whose settings are left aside, as many are named."""
logger = structlog.get_logger(__name__)


def refuse_others(reckoned_by: str | None, policies: Policies) -> None:
    """Raises `Refused` where pending timers were reckoned by other policies: by these, all that the tenants have
    changed would be moved or deleted. Likewise in another calendar. An empty digest: no projector has reckoned yet."""
    if reckoned_by and reckoned_by != policies.fingerprint:
        raise Refused(
            "the timing policies are not those that the projector reckons by: set KITHLOG_POLICIES as the projector "
            f"has it, and use its release with its packages (here: {SOURCES})"
        )


async def retime(store: Store, policies: Policies) -> int:
    """Make pending timers what `policies` say, where they were reckoned by others; answers how many changed.

    In one transaction that holds the checkpoint: other projectors wait, queries and firing go on. Raises `Halted` as
    `Store.begin` does, and where the file is missing that the others came from; and what asyncpg raises while
    PostgreSQL is away.
    """
    if not await _differs(store, policies):
        return 0
    changed = 0
    async with store.turn() as (connection, checkpoint):
        if not await _differs(store, policies):  # another replica may have reckoned, for which this one has waited
            return 0
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
        aside = await _left_aside(connection, generations[RECIPIENT], policies)
        await connection.execute(QUERIES["reckoned"], policies.fingerprint)
    if aside:
        logger.warning(
            "what seekers have set is left aside where it does not go with the timing policies",
            seekers=len(aside),
            such_as=aside[:_TOLD],
        )
    if changed:
        logger.info("timers reckoned anew, for policies, zones or holidays have changed", timers=changed)
    return changed


async def _differs(store: Store, policies: Policies) -> bool:
    """Whether timers were reckoned by others than `policies`. Raises `Halted` where the file is missing that those came
    from."""
    reckoned_by = await store.reckoned_by()
    if reckoned_by == policies.fingerprint:
        return False
    if reckoned_by and reckoned_by.endswith(CHANGED) and not policies.from_file:
        # Forgotten rather than meant: what it switches off is recorded so, and does not come back with the file.
        raise Halted(
            "policies",
            "the projector before was started with a file in which tenants change the timing policies, this one "
            "without: it would end or move for good what is pending",
            "set KITHLOG_POLICIES to the file, or to an empty one where nothing is to be changed any more",
        )
    return True


async def _write(connection: Connection, found: list[TimerDifference], policies: Policies) -> None:
    await write_timers(connection, [one for one in found if one.afresh is not None])
    ended = []
    for one in found:
        if one.afresh is None and one.live is not None:
            policy = one.recipient.policies(policies).by_name.get(one.live.policy) if one.recipient else None
            event = withdrawal(one.live, *not_asked_for(policy, one.live.stage))
            ended.append((*one.id, event.reason, encode(event).decode()))
    if ended:
        await connection.execute(QUERIES["end_timers"], *columns(ended, 4))


async def _left_aside(connection: Connection, recipients: int, policies: Policies) -> list[str]:
    """Each seeker of the generation `recipients` with overrides that are not sound with `policies`, and why."""
    found = []
    place = ("", "")
    while rows := await connection.fetch(QUERIES["overrides"], recipients, *place, _AT_ONCE):
        place = (rows[-1]["tenant"], rows[-1]["key"])
        for tenant, key, body in rows:
            if body is not None and (problems := timers.RECIPIENT.validate_json(body).left_aside(policies)):
                found.append(f"{tenant}/seeker/{key}: {'; '.join(problems)}")
    return found
