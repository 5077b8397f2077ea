"""What keeps a rebuild, a rollback or a verification from being done: a line, an exit code, and nothing half-done."""

from __future__ import annotations

import asyncio
import errno
import shutil
import sys
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from deploy.launcher.infrastructure import Infrastructure
from services.projector.rebuild import work
from services.projector.rebuild.building import Builder
from services.projector.rebuild.generations import Generations
from services.projector.rebuild.staging import Staging
from services.projector.rebuild.work import Work
from tests.cli.terminal import Said, Terminal
from tests.rebuild.test_terminal import spoil, terminal

__all__ = ["terminal"]

Words = tuple[str, ...]
REBUILD: Words = ("rebuild",)
ROLLBACK: Words = ("rollback", "pipeline", "timing", "--why", "as planned")
VERIFY: Words = ("verify",)
HEAL: Words = ("verify", "--heal")


def owner(terminal: Terminal, sql: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(terminal.database_url)
        await connection.execute(sql)
        await connection.close()

    asyncio.run(run())


def generations(terminal: Terminal) -> list[tuple[Any, ...]]:
    return terminal.query("SELECT id, model, status FROM read.generation ORDER BY id")


def live(terminal: Terminal) -> list[tuple[Any, ...]]:
    """All that is live, in brief."""
    return terminal.query(
        """SELECT g.id, g.model, md5(string_agg(concat(r.tenant, r.key, r.state, r.body), '' ORDER BY r.tenant, r.key))
           FROM read.generation g LEFT JOIN read.row r ON r.generation = g.id WHERE g.status = 'live' GROUP BY g.id
           UNION ALL SELECT NULL, 'timer', md5(string_agg(concat(t), '' ORDER BY t.tenant, t.id)) FROM read.timer t
           UNION ALL SELECT h.position, 'head', h.epoch::text FROM log.head h
           ORDER BY 1, 2"""
    )


def ended(said: Said, code: int, *words: str) -> None:
    """With that code and one line that holds these words."""
    assert (said.code, said.out, said.err.count("\n")) == (code, "", 1), said
    assert [word for word in words if word not in said.err] == [], said.err


@pytest.mark.parametrize("verb", [("rebuild",), ("verify",), ("rollback", "--why", "as planned")])
def test_unknown_names(terminal: Terminal, verb: Words) -> None:
    """Given names of no read model, be it that of a table beneath `timing`, each is told, with those there are."""
    before = generations(terminal)
    ended(terminal.run(*verb, "pipelin", "contact", "timing_link"), 2, "pipelin, timing_link: one of seeker, contact")
    assert generations(terminal) == before


def test_a_newer_version_is_live(terminal: Terminal) -> None:
    """Given live models of a newer release, they are neither rebuilt nor verified by this one, alone or among others,
    and it is told which to use."""
    owner(terminal, "UPDATE read.generation SET version = 9 WHERE model IN ('agenda', 'timing_link')")
    before = generations(terminal)
    for verb in ("rebuild", "verify"):
        ended(terminal.run(verb, "agenda"), 1, "agenda is live in version 9", "use the newer release")
        ended(terminal.run(verb, "timing"), 1, "timing_link is live in", "`kithlog rollback timing --why …`")
        ended(terminal.run(verb), 1, "agenda is live in version 9")
    ended(terminal.run("rollback", "agenda", "--why", "so"), 1, "no earlier generation", "only a rebuild keeps one")
    assert generations(terminal) == before
    assert terminal.run("rebuild", "pipeline").code == terminal.run("verify", "pipeline").code == 0


@pytest.mark.parametrize("verb", [REBUILD, ROLLBACK, VERIFY])
def test_rights_that_are_missing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, verb: Words) -> None:
    """Given a wrong password, a user without the services' role, or that role without some of its rights, be it that
    only a building process misses them, it is told which; with the rights again, it is done."""
    assert terminal.run(*REBUILD).code == 0
    before, parts = live(terminal), urlsplit(terminal.database_url)
    stranger = f"stranger_{parts.path.strip('/')}"

    def as_user(user: str) -> Said:
        url = parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()
        return terminal.run(*verb, KITHLOG_DATABASE_URL=url)

    ended(as_user(f"{parts.username}:wrong"), 4, "password authentication failed", "KITHLOG_DATABASE_URL")
    owner(terminal, f"CREATE ROLE {stranger} LOGIN PASSWORD 'secret'")
    try:
        ended(as_user(f"{stranger}:secret"), 4, "permission denied", "needs the role kithlog_app")
    finally:
        owner(terminal, f"DROP ROLE {stranger}")
    monkeypatch.setattr(work, "ALONE", 10)
    rights = {"USAGE ON SCHEMA read": "schema read", "SELECT ON read.checkpoint": "table checkpoint"}
    if verb != ROLLBACK:  # where nothing has happened since, that reads no event
        rights["SELECT ON log.event"] = "table event"
    for right, of in rights.items():
        owner(terminal, f"REVOKE {right} FROM kithlog_app")
        ended(terminal.run(*verb), 4, f"permission denied for {of}", "the rights that the migrations gave it")
        owner(terminal, f"GRANT {right} TO kithlog_app")
        assert live(terminal) == before
    assert terminal.run(*verb).code == 0


@pytest.mark.parametrize(
    ("verb", "where", "step", "told"),
    [
        (REBUILD, Generations, "prepare", "goes on with what is built"),
        (REBUILD, Work, "build", "goes on with what is built"),
        (REBUILD, Staging, "flush", "goes on with what is built"),
        (REBUILD, Work, "compare", "goes on with what is built"),
        (REBUILD, Work, "_record", "goes on with what is built"),
        (ROLLBACK, Work, "_record", "`kithlog log operations`"),
        (HEAL, Builder, "build", "nothing is mended by halves"),
        (HEAL, Work, "_record", "nothing is mended by halves"),
    ],
)
def test_postgresql_goes_away_half_way(
    terminal: Terminal,
    infra: Infrastructure,
    monkeypatch: pytest.MonkeyPatch,
    verb: Words,
    where: type[Any],
    step: str,
    told: str,
) -> None:
    """Given a server that is stopped at some step, up to the last one within the transaction that changes what is live,
    nothing live is changed, and it is told what to do; when that is done, it works."""
    if verb == ROLLBACK:
        assert terminal.run(*REBUILD).code == 0
    if verb == HEAL:
        spoil(terminal)
    if step == "build" and where is Work:
        monkeypatch.setattr(work, "ALONE", 10)
    before = live(terminal)
    go_on = getattr(where, step)

    async def stopped(self: Any, *arguments: Any) -> Any:
        infra.postgres.stop()
        return await go_on(self, *arguments)

    with monkeypatch.context() as stopping:
        stopping.setattr(where, step, stopped)
        try:
            said = terminal.run(*verb)
        finally:
            infra.postgres.start()
    ended(said, 3, "PostgreSQL is away", told)
    assert live(terminal) == before
    assert terminal.run(*verb).code == 0
    assert terminal.run("verify").code == 0
    assert {row[2] for row in generations(terminal)} <= {"live", "retired"}


def test_postgresql_goes_away_right_after_the_switch(
    terminal: Terminal, infra: Infrastructure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a server that is stopped when a rebuild has switched, then it is told to look into the record of
    operations, which tells of it, rather than to rebuild once more; and there is a way back."""
    before, go_on = live(terminal), Generations.drop_earlier

    async def stopped(self: Generations) -> None:
        infra.postgres.stop()
        await go_on(self)

    with monkeypatch.context() as stopping:
        stopping.setattr(Generations, "drop_earlier", stopped)
        try:
            said = terminal.run(*REBUILD)
        finally:
            infra.postgres.start()
    ended(said, 3, "PostgreSQL is away", "look into `kithlog log operations`", "would drop the way back")
    assert [each["verb"] for each in terminal.json("log", "operations").objects] == ["rebuild"]
    assert live(terminal) != before
    assert terminal.run("rollback", *work.NAMES, "--why", "as planned").code == 0
    assert live(terminal) == before


def test_a_building_process_that_dies(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given processes that die without a word before they have heard what to do, that is told, and not that
    PostgreSQL is away."""
    monkeypatch.setattr(work, "ALONE", 10)
    with monkeypatch.context() as dying:
        dying.setattr(sys, "executable", shutil.which("false"))
        ended(terminal.run(*REBUILD), 1, "a building process ended early, with exit code 1: it said nothing")
    assert terminal.run(*REBUILD).code == 0


def test_a_building_process_that_can_not_be_started(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a machine that has no room for further processes, that is told, and not that PostgreSQL is away."""
    monkeypatch.setattr(work, "ALONE", 10)

    async def full(*arguments: str, **options: Any) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    before = live(terminal)
    with monkeypatch.context() as failing:
        failing.setattr(asyncio, "create_subprocess_exec", full)
        for verb in (REBUILD, VERIFY):
            said = terminal.run(*verb)
            ended(said, 1, "a building process can't be started", "temporarily unavailable", "fewer by --processes")
    assert live(terminal) == before
    assert terminal.run(*REBUILD).code == 0
