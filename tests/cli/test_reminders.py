"""`kithlog reminders`: what is ahead of somebody, and what came of the rest, as it was folded."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.projector.live.mailbox import Mailbox
from shared.database.pool import open_pool
from shared.log import Log
from tests.cli.terminal import Terminal, history
from tests.projector.conftest import projector

TENANT = "acme"


@pytest.fixture
def folded(terminal: Terminal) -> Terminal:
    """A log that was folded, and of which nothing has fired."""
    terminal.write(history(2, 1))

    async def fold() -> None:
        async with (
            await open_pool(terminal.database_url) as pool,
            Log.open(pool, terminal.database_url) as log,
            projector(terminal.database_url, log, Mailbox()).session() as session,
        ):
            await session.run_once()

    asyncio.run(fold())
    return terminal


def seeker_of(terminal: Terminal) -> tuple[str, set[str]]:
    """Somebody who has something ahead, and the ids of that."""
    rows = terminal.query(
        "SELECT seeker_id, id FROM read.timer WHERE tenant = $1 AND outcome IS NULL ORDER BY 1", TENANT
    )
    seeker = rows[0][0]
    return str(seeker), {str(id) for whose, id in rows if whose == seeker}


def pending(told: list[dict[str, Any]]) -> set[str]:
    return {each["notification_id"] for one in told for each in one["policies"] if each["status"] == "pending"}


def test_a_seekers_reminders_are_told_without_a_service(folded: Terminal) -> None:
    """Given what is pending for a seeker and no service that runs, when asked about them, then all of it is told, about
    what it is and because of what; so it is of one of their affairs alone."""
    seeker, ahead = seeker_of(folded)
    told = folded.json("reminders", seeker, "--tenant", TENANT).objects
    assert pending(told) == ahead
    assert len({one["subject_id"] for one in told}) == len(told) > 1
    assert {one["position"] for one in told} == {folded.log()[-1].position}
    one = next(one for one in told if pending([one]) and one["subject_id"] != seeker)
    assert folded.json("reminders", one["subject_id"], "--tenant", TENANT).objects == [one]

    shown = folded.run("reminders", one["subject_id"], "--tenant", TENANT)
    first = next(each for each in one["policies"] if each["status"] == "pending")
    assert shown.code == 0
    for word in (one["subject_id"], f"{first['policy']}/{first['stage']}", "pending", first["because"]):
        assert word in shown.out
    assert "waits for " in folded.run("reminders", seeker, "--tenant", TENANT).out


def test_what_is_not_there_is_not_understood(folded: Terminal) -> None:
    said = folded.run("reminders", str(UUID(int=1)), "--tenant", TENANT)
    assert (said.code, said.out) == (2, "")
    assert "nobody could be reminded" in said.err
    assert folded.run("reminders", "her", "--tenant", TENANT).code == 2


def test_what_was_reckoned_otherwise_is_not_explained(folded: Terminal, tmp_path: Path) -> None:
    """Given other policies than those that were folded with, or rows of another release, then nothing is told that is
    not so, but what to do."""
    seeker, _ = seeker_of(folded)
    other = tmp_path / "policies.toml"
    other.write_text("[acme.thank_you]\nenabled = false\n", "utf-8")
    folded.query("WITH x AS (UPDATE read.checkpoint SET policies = 'other' RETURNING 1) SELECT * FROM x")
    said = folded.run("reminders", seeker, "--tenant", TENANT, KITHLOG_POLICIES=str(other))
    assert (said.code, said.out, "set KITHLOG_POLICIES as the projector" in said.err) == (1, "", True)
    folded.query("WITH x AS (UPDATE read.checkpoint SET policies = '' RETURNING 1) SELECT * FROM x")
    folded.query(
        "WITH x AS (UPDATE read.generation SET version = 99 WHERE model = 'timing_subject' RETURNING 1) SELECT * FROM x"
    )
    said = folded.run("reminders", seeker, "--tenant", TENANT)
    assert (said.code, said.out, "kithlog doctor" in said.err) == (1, "", True)
