"""Back-up and restore to a point in time, by PostgreSQL's own means, and what `kithlog log fork` makes of it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.launcher.folders import RunFolder, cache_folder, server_user
from deploy.launcher.postgres import LocalPostgres
from deploy.launcher.postgres_binaries import PostgresBinaries, find_postgres
from deploy.launcher.sql import fetch_value
from services.projector.live.mailbox import Mailbox
from services.projector.storing.halting import Halted
from shared.database.migrate import migrate
from shared.database.pool import open_pool
from shared.log import Log
from tests.cli.terminal import ROOT, Terminal, history
from tests.cli.test_replay import wait_for
from tests.projector.conftest import projector

README = (ROOT / "services" / "cli" / "README.md").read_text("utf-8")


@dataclass(frozen=True)
class Archived:
    """A server of a test's own, since it is to be destroyed, that archives its WAL."""

    binaries: PostgresBinaries
    run: RunFolder
    postgres: LocalPostgres
    wal: Path

    @property
    def terminal(self) -> Terminal:
        return Terminal(self.postgres.database_url)

    def back_up(self, name: str) -> Path:
        target = self.run.subfolder(name)
        base_backup(self.binaries, self.postgres.database_url, target)
        return target


@pytest.fixture
def archived() -> Iterator[Archived]:
    """With an empty log."""
    binaries = find_postgres(os.environ, cache_folder(os.environ))
    run = RunFolder.create()
    postgres = LocalPostgres(binaries, run, os.environ)
    try:
        postgres.start()
        made = Archived(binaries, run, postgres, run.subfolder("wal"))
        archive(postgres, made.wal)
        asyncio.run(migrate(postgres.database_url))
        yield made
    finally:
        postgres.stop()
        run.remove()


def now(terminal: Terminal) -> str:
    [(moment,)] = terminal.query("SELECT clock_timestamp()::text")
    return str(moment)


def fold(terminal: Terminal) -> None:
    async def go() -> None:
        url = terminal.database_url
        async with (
            await open_pool(url) as pool,
            Log.open(pool, url) as log,
            projector(url, log, Mailbox()).session() as session,
        ):
            await session.run_once()

    asyncio.run(go())


def archive(postgres: LocalPostgres, folder: Path) -> None:
    """What the README says: every piece of WAL is copied away once it is full."""
    url = postgres.database_url
    fetch_value(url, "ALTER SYSTEM SET archive_mode = on")
    whole = f"cp %p {folder}/%f.part && sync {folder}/%f.part && mv {folder}/%f.part {folder}/%f"
    fetch_value(url, f"ALTER SYSTEM SET archive_command = 'test ! -f {folder}/%f && {whole}'")
    postgres.stop()
    postgres.start()


def archive_all(terminal: Terminal) -> None:
    """Wait until all that was written can be restored."""
    last = fetch_value(terminal.database_url, "SELECT pg_walfile_name(pg_switch_wal())")
    wait_for(lambda: terminal.query("SELECT 1 FROM pg_stat_archiver WHERE last_archived_wal >= $1", last))


def base_backup(binaries: PostgresBinaries, url: str, target: Path) -> None:
    parts = urlsplit(url)
    command = [binaries.folder / "pg_basebackup", "-D", target, "-h", parts.hostname, "-p", str(parts.port)]
    command += ["-U", parts.username, "-X", "stream", "-c", "fast", "--no-sync"]
    env = {"PGPASSWORD": parts.password or "", "PATH": os.environ["PATH"]}
    subprocess.run(command, env=env, user=server_user(), check=True, capture_output=True, cwd="/")  # type: ignore[arg-type]


def restore(
    postgres: LocalPostgres,
    backup: Path,
    folder: Path,
    moment: str | None,
    *,
    take_out: bool = True,
    reset: bool = True,
) -> None:
    """As the README says; without a moment, all that there is. Somebody may forget to take out what an earlier restore
    has left, or to take back what this one has set."""
    data = Path(str(fetch_value(postgres.database_url, "SHOW data_directory")))
    postgres.kill()
    shutil.rmtree(data)
    shutil.move(backup, data)
    if take_out:
        [command] = re.findall(r"^sed .* postgresql\.auto\.conf$", README, re.MULTILINE)
        subprocess.run(["sh", "-euc", command], cwd=data, check=True)
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"restore_command = 'cp {folder}/%f %p'\n")
        if moment is not None:
            settings.write(f"recovery_target_time = '{moment}'\nrecovery_target_action = promote\n")
    (data / "recovery.signal").touch()
    postgres.start()
    wait_for(lambda: not fetch_value(postgres.database_url, "SELECT pg_is_in_recovery()"))
    if reset:
        for statement in re.findall(r"^ALTER SYSTEM RESET .*;$", README, re.MULTILINE):
            fetch_value(postgres.database_url, statement)


def test_a_restore_to_a_point_in_time(archived: Archived) -> None:
    """Given a back-up and the WAL after it, when all is restored to a moment and the log is forked, then it holds what
    was acknowledged until then, nothing goes on unnoticed, and after a rebuild everything does, in a new epoch.
    """
    postgres, terminal, wal = archived.postgres, archived.terminal, archived.wal
    terminal.write(history(1, 1))
    backup = archived.back_up("backup")
    terminal.write(history(2, 1), after=1000)
    fold(terminal)
    kept = terminal.log()
    moment = now(terminal)
    terminal.write(history(3, 1), after=2000)
    fold(terminal)
    archive_all(terminal)

    restore(postgres, backup, wal, moment)
    assert terminal.log() == kept
    assert terminal.query("SELECT position, epoch FROM read.checkpoint") == [(len(kept), 1)]

    told = terminal.json("log", "fork", "--why", "disk lost", "--yes").object
    assert (told["position"], told["epoch"]) == (len(kept), 2)
    terminal.write(history(4, 1), after=3000)
    assert {e.epoch for e in terminal.log()[len(kept) :]} == {2}
    with pytest.raises(Halted, match="kithlog rebuild") as halted:
        fold(terminal)
    assert halted.value.reason == "forked"
    rebuilt = terminal.json("rebuild")
    assert rebuilt.code == 0, rebuilt
    fold(terminal)
    assert terminal.query("SELECT position, epoch FROM read.checkpoint") == [(len(terminal.log()), 2)]


def test_a_second_restore_to_before_the_first_has_an_epoch_of_its_own(archived: Archived) -> None:
    """Given a log that was restored, forked and went on, when the same back-up is restored to an earlier moment, at
    which it knew nothing of that fork, then the next fork's epoch is another one, above it.
    """
    postgres, terminal, wal = archived.postgres, archived.terminal, archived.wal
    backup = archived.back_up("backup")
    again = archived.run.subfolder("again")
    subprocess.run(["cp", "-aT", backup, again], check=True)
    terminal.write(history(1, 1))
    early, kept = now(terminal), terminal.log()
    terminal.write(history(2, 1), after=1000)
    late = now(terminal)
    terminal.write(history(3, 1), after=2000)
    archive_all(terminal)

    restore(postgres, backup, wal, late)
    first = terminal.json("log", "fork", "--why", "bad data", "--yes").object
    assert (first["position"] > len(kept), first["epoch"]) == (True, 2)
    terminal.write(history(4, 1), after=3000)
    archive_all(terminal)

    restore(postgres, again, wal, early)
    assert terminal.log() == kept
    assert terminal.query("SELECT epoch FROM log.head") == [(1,)]
    said = terminal.json("log", "fork", "--why", "older than was thought", "--epoch", "2", "--yes")
    assert (said.code, "--epoch 3 at least" in said.err) == (2, True)
    second = terminal.json("log", "fork", "--why", "older than was thought", "--yes").object
    assert (second["position"], second["epoch"]) == (len(kept), 3)
    assert "can't tell" not in "".join(first["next"] + second["next"])
    terminal.write(history(5, 1), after=4000)
    assert {e.epoch for e in terminal.log()[len(kept) :]} == {3}
    fold(terminal)
    assert terminal.run("verify").code == 0


@pytest.mark.parametrize("forgotten", ["reset", "take_out"])
def test_an_earlier_target_ends_no_later_restore(archived: Archived, forgotten: str) -> None:
    """Given a log that was restored to a moment, and a base back-up from after that, when that is restored without a
    target, then all that was written since is there: what the first restore has set is taken back after it, or taken
    out before the second."""
    postgres, terminal, wal = archived.postgres, archived.terminal, archived.wal
    backup = archived.back_up("backup")
    terminal.write(history(1, 1))
    moment = now(terminal)
    terminal.write(history(2, 1), after=1000)
    archive_all(terminal)

    restore(postgres, backup, wal, moment, reset=forgotten != "reset")
    later = archived.back_up("later")
    terminal.write(history(3, 1), after=2000)
    whole = terminal.log()
    archive_all(terminal)

    restore(postgres, later, wal, None, take_out=forgotten != "take_out")
    assert terminal.log() == whole
